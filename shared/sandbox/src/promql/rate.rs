//! How fast did it change? Counters with their resets, extrapolated to the ends of the range, and straight lines.
//!
//! Source: `extrapolatedRate`, `instantValue` and `linearRegression` of Prometheus' `promql/functions.go`.

use super::{quantile::Sum, select::Window};

/// `rate`, `increase` (`counter`) and `delta` (not).
pub(super) fn extrapolated(window: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    let (times, values) = (window.times, window.values);
    let (first, last) = (*values.first()?, *values.last()?);
    if values.len() < 2 {
        return None;
    }
    let mut change = last - first;
    if counter {
        let resets = values.windows(2).filter(|it| it[1] < it[0]);
        change += resets.map(|it| it[0]).sum::<f64>();
    }
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1_000.0;
    let (first_time, last_time) = (times[0], times[times.len() - 1]);
    let mut to_start = seconds(window.start, first_time);
    let to_end = seconds(last_time, window.end);
    let sampled = seconds(first_time, last_time);
    let apart = sampled / (values.len() - 1) as f64;
    if counter && change > 0.0 && first >= 0.0 {
        // A counter was not below zero: before that moment it did not grow.
        to_start = to_start.min(sampled * (first / change));
    }
    let threshold = apart * 1.1;
    let reached = |distance: f64| if distance < threshold { distance } else { apart / 2.0 };
    let mut factor = (sampled + reached(to_start) + reached(to_end)) / sampled;
    if per_second {
        factor /= seconds(window.start, window.end);
    }
    Some(change * factor)
}

/// `irate` (`per_second`, a counter) and `idelta` (neither): from the last two samples.
pub(super) fn last_two(window: &Window<'_>, per_second: bool) -> Option<f64> {
    let [.., before, last] = *window.values else { return None };
    let [.., from, to] = *window.times else { return None };
    let change = if per_second && last < before { last } else { last - before };
    match to - from {
        0 => None,
        apart if per_second => Some(change / (apart as f64 / 1_000.0)),
        _ => Some(change),
    }
}

/// Slope per second, and height at `at`, of the line through the samples.
pub(super) fn line(window: &Window<'_>, at: i64) -> Option<(f64, f64)> {
    let first = *window.values.first()?;
    if window.values.len() < 2 {
        return None;
    }
    if window.values.iter().all(|it| *it == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let (mut x, mut y) = (Sum::default(), Sum::default());
    let (mut xy, mut xx) = (Sum::default(), Sum::default());
    for (time, value) in window.times.iter().zip(window.values) {
        let since = (time - at) as f64 / 1_000.0;
        x.add(since);
        y.add(*value);
        xy.add(since * value);
        xx.add(since * since);
    }
    let count = window.values.len() as f64;
    let (x, y) = (x.total(), y.total());
    let covariance = xy.total() - x * y / count;
    let variance = xx.total() - x * x / count;
    let slope = covariance / variance;
    Some((slope, y / count - slope * x / count))
}
