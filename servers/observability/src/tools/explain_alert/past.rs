//! How often did an alert fire, for how long, and does it flap?

use jiff::Timestamp;
use tool::{Span, ToolError};

use crate::{
    backends::prometheus::{Inquiry, Moments, Outcome, Prometheus},
    grid::{Grid, lasting, utc},
    matcher::{LabelMatcher, Relation},
    statistics::{Point, sparkline},
};

/// Most moments looked at: more precise than a person needs, and cheap for one number each.
const POINTS_MAX: i64 = 1_440;
/// Least distance of moments, seconds.
const STEP_MIN: i64 = 15;
/// An alert that becomes active this often, and on average so often for each set of labels, flaps.
const FLAPPING: (f64, f64) = (5.0, 3.0);
const WIDTH: usize = 30;

/// A stretch during which something was so: first and last moment, Unix seconds.
type Episode = (f64, f64);

/// The history of an alert, one sentence each; empty when there is no trace of it.
pub(super) async fn look(
    prometheus: &Prometheus,
    alert: &str,
    filter: &[LabelMatcher],
    span: Span,
    interval: f64,
    inquiry: &Inquiry,
) -> Result<Vec<String>, ToolError> {
    let selected = selected(alert, filter);
    let step = step(span, interval);
    let invalid = |problem| ToolError::Invalid { argument: "window", problem };
    let grid = Grid::over(span, Some(step)).map_err(invalid)?;
    let window = span.seconds();
    // Between two moments further apart than evaluations an alert may have come and gone.
    let within = step as f64 > interval;
    let alerts = match within {
        true => format!("max_over_time(ALERTS{selected}[{step}s])"),
        false => format!("ALERTS{selected}"),
    };
    let states = prometheus.compose(&format!("sum by (alertstate) ({alerts})"))?;
    let sets = format!("count(last_over_time(ALERTS_FOR_STATE{selected}[{window}s]))");
    let starts =
        prometheus.compose(&format!("sum(changes(ALERTS_FOR_STATE{selected}[{window}s])) + {sets}"))?;
    let sets = prometheus.compose(&sets)?;
    let (over, at) = (Moments::Over(grid), Moments::At(span.to));
    let (states, starts, sets) = tokio::join!(
        prometheus.query(&states, over, inquiry),
        prometheus.query(&starts, at, inquiry),
        prometheus.query(&sets, at, inquiry),
    );
    let (mut firing, mut pending) = (Vec::new(), Vec::new());
    if let Outcome::Matrix(series) = states?.outcome {
        for it in series {
            match it.metric.get("alertstate").map(String::as_str) {
                Some("firing") => firing = it.values,
                Some("pending") => pending = it.values,
                _ => {}
            }
        }
    }
    // Not every store keeps the series behind these two.
    let number =
        |it: Result<crate::backends::prometheus::Answered, _>| it.ok().and_then(|it| single(it.outcome));
    let mut told = tell(&firing, &pending, grid, number(starts).zip(number(sets)));
    if within && !told.is_empty() {
        told.push(format!("all of it to within {}", lasting(step as f64)));
    }
    Ok(told)
}

/// Every evaluation, unless that is too many moments.
fn step(span: Span, interval: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let interval = interval.round() as i64;
    interval.max(STEP_MIN).max(span.seconds() / POINTS_MAX + 1)
}

fn selected(alert: &str, filter: &[LabelMatcher]) -> String {
    let name =
        LabelMatcher { name: "alertname".to_owned(), relation: Relation::Equal, value: alert.to_owned() };
    let all: Vec<String> = std::iter::once(&name).chain(filter).map(ToString::to_string).collect();
    format!("{{{}}}", all.join(","))
}

fn single(outcome: Outcome) -> Option<f64> {
    let Outcome::Vector(series) = outcome else { return None };
    series.first()?.value.map(|it| it.0.1)
}

fn tell(firing: &[Point], pending: &[Point], grid: Grid, active: Option<(f64, f64)>) -> Vec<String> {
    let step = grid.step as f64;
    let fired = episodes(firing, step);
    let mut told = Vec::new();
    if let Some((from, to)) = fired.last() {
        let lengths: Vec<f64> = fired.iter().map(|(from, to)| to - from + step).collect();
        let all = lasting(lengths.iter().sum());
        let longest = lasting(lengths.iter().copied().fold(0.0, f64::max));
        let until = if to + 2.0 * step > grid.to as f64 { "now".to_owned() } else { moment(*to) };
        let spark = sparkline(firing, grid.from as f64, grid.to as f64, WIDTH);
        let times = times(fired.len());
        told.push(format!(
            "fired {times}, {all} in all, longest {longest}, last {} to {until}: {spark}",
            moment(*from)
        ));
    }
    let vain = episodes(pending, step);
    let vain: Vec<&Episode> =
        vain.iter().filter(|it| !fired.iter().any(|fired| follows(it, fired, step))).collect();
    if let Some((from, to)) = vain.last() {
        let times = times(vain.len());
        told.push(format!(
            "pending {times} without firing, last {} for {}",
            moment(*from),
            lasting(to - from + step)
        ));
    }
    let (least, each) = FLAPPING;
    if let Some((starts, sets)) = active
        && starts >= least
        && starts >= each * sets
    {
        told.push(format!("flapping: {starts} starts of {sets} sets of labels"));
    }
    told
}

/// Whether an alert that was pending went on to fire, or others fired meanwhile.
fn follows(pending: &Episode, fired: &Episode, step: f64) -> bool {
    fired.0 <= pending.1 + 2.0 * step && fired.1 >= pending.0
}

/// Stretches of points without a gap.
fn episodes(points: &[Point], step: f64) -> Vec<Episode> {
    let mut found: Vec<Episode> = Vec::new();
    for (at, _) in points.iter().filter(|it| it.1 > 0.0) {
        match found.last_mut() {
            Some(last) if at - last.1 < 1.5 * step => last.1 = *at,
            _ => found.push((*at, *at)),
        }
    }
    found
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn moment(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a moment of a window")]
    utc(Timestamp::from_second(seconds as i64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_counted_and_a_pending_one_that_fired_is_no_second() {
        let grid = Grid { from: 0, to: 600, step: 60 };
        let firing = [(120.0, 1.0), (180.0, 2.0), (480.0, 1.0), (540.0, 1.0), (600.0, 1.0)];
        let pending = [(60.0, 1.0), (300.0, 1.0), (420.0, 1.0)];
        let told = tell(&firing, &pending, grid, Some((9.0, 2.0)));
        expect_test::expect![[r#"
            fired 2 times, 5m in all, longest 3m, last 1970-01-01T00:08:00Z to now: ······▁··█··············▁··▁·▁
            pending once without firing, last 1970-01-01T00:05:00Z for 1m
            flapping: 9 starts of 2 sets of labels"#]]
        .assert_eq(&told.join("\n"));
        assert!(tell(&[], &[], grid, Some((0.0, 0.0))).is_empty());
        assert_eq!(tell(&firing, &[], grid, Some((9.0, 4.0))).len(), 1, "many alerts, each seldom");
    }

    #[test]
    fn every_evaluation_is_looked_at_unless_there_are_too_many() {
        let span = |hours: i64| Span {
            from: Timestamp::from_second(0).expect("a time"),
            to: Timestamp::from_second(hours * 3_600).expect("a time"),
        };
        assert_eq!([step(span(1), 60.0), step(span(1), 1.0), step(span(240), 15.0)], [60, 15, 601]);
    }
}
