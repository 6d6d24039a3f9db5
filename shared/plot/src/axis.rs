//! Which numbers and moments stand at the axes? Round ones, few enough to be read.

use jiff::{Timestamp, tz::TimeZone};

/// Where values are between bottom and top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

/// Values beyond are drawn at the edge, so that no difference overflows.
const VALUE_MAX: f64 = 1e300;
/// About so many intervals are between bottom and top.
const INTERVALS: f64 = 5.0;
/// No axis has more marks, whatever rounding does.
const TICKS_MAX: usize = 12;
/// Most intervals between moments.
const MOMENTS_MAX: i64 = 8;
/// Intervals that people think in, in seconds.
const STEPS: [i64; 20] = [
    1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
    604_800, 2_592_000, 31_536_000,
];
const DAY: i64 = 86_400;

impl Scale {
    /// From the least to the greatest, made round. From zero where that is not far below.
    pub(crate) fn over(values: impl Iterator<Item = f64>) -> Scale {
        let ends = |(low, high): (f64, f64), it: f64| (low.min(it), high.max(it));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let (mut low, mut high) = match low <= high {
            true => (low.max(-VALUE_MAX), high.min(VALUE_MAX)),
            false => (0.0, 1.0),
        };
        if low > 0.0 && low < high / 2.0 {
            low = 0.0;
        }
        if high < 0.0 && high > low / 2.0 {
            high = 0.0;
        }
        // What does not move lies in the middle.
        if high - low <= high.abs().max(low.abs()) * 1e-9 {
            let around = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            (low, high) = (low - around, high + around);
        }
        let step = round((high - low) / INTERVALS);
        let (floor, ceiling) = ((low / step).floor() * step, (high / step).ceil() * step);
        match floor.is_finite() && ceiling.is_finite() && floor < ceiling {
            true => Scale { low: floor, high: ceiling, step },
            false => Scale { low, high, step },
        }
    }

    /// How far up a value lies: 0 at the bottom, 1 at the top.
    pub(crate) fn part(&self, value: f64) -> f64 {
        let part = (value.clamp(-VALUE_MAX, VALUE_MAX) - self.low) / (self.high - self.low);
        if part.is_finite() { part } else { 0.5 }
    }

    /// Values at which a mark stands, and how they are written.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let greatest = self.low.abs().max(self.high.abs());
        let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
        let (unit, letter) = units.into_iter().find(|it| greatest >= it.0).unwrap_or((1.0, ""));
        let written = |value: f64| {
            if !(1e-4..1e15).contains(&greatest) {
                return format!("{value:.1e}");
            }
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and is bounded next")]
            let decimals = (-(self.step / unit).log10().floor()).clamp(0.0, 7.0) as i32;
            format!("{:.*}{letter}", usize::try_from(decimals).unwrap_or(0), value / unit)
        };
        let count = ((self.high - self.low) / self.step).round();
        let tick = |at: usize| self.low + at as f64 * self.step;
        (0..TICKS_MAX)
            .take_while(|at| *at as f64 <= count)
            .map(tick)
            // Rounding leaves no trace of a zero that is none.
            .map(|it| if it.abs() < self.step * 1e-6 { 0.0 } else { it })
            .map(|it| (it, written(it)))
            .collect()
    }
}

/// Moments at which a mark stands, and how they are written.
pub(crate) fn moments(from: i64, to: i64) -> Vec<(i64, String)> {
    let seconds = to.saturating_sub(from);
    let Some(step) = STEPS.into_iter().find(|it| seconds / it <= MOMENTS_MAX).filter(|_| seconds > 0) else {
        return Vec::new();
    };
    let first = from.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
    let ticks = (0..=MOMENTS_MAX).map(|it| first.saturating_add(it * step)).take_while(|it| *it <= to);
    ticks.map(|it| (it, label(it, step))).collect()
}

fn label(at: i64, step: i64) -> String {
    let form = match step {
        DAY.. => "%Y-%m-%d",
        _ if at.rem_euclid(DAY) == 0 => "%m-%d",
        60.. => "%H:%M",
        _ => "%H:%M:%S",
    };
    written(at, form)
}

/// A moment to the second.
pub(crate) fn moment(at: i64) -> String {
    written(at, "%Y-%m-%d %H:%M:%S")
}

fn written(at: i64, form: &str) -> String {
    let at = Timestamp::from_second(at).ok();
    at.map(|it| it.to_zoned(TimeZone::UTC).strftime(form).to_string()).unwrap_or_default()
}

/// The next of 1, 2, 5 and 10 times a power of ten.
fn round(size: f64) -> f64 {
    let power = 10_f64.powf(size.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|it| it * power >= size * 0.999_999).unwrap_or(10.0);
    let step = times * power;
    if step.is_finite() && step > 0.0 { step } else { size.max(f64::MIN_POSITIVE) }
}
