//! At which moments is a query evaluated?

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use tool::{Span, Window};

/// Most points per series when the step is ours to choose.
const POINTS_WANTED: i64 = 120;
/// Most points per series that Prometheus answers.
const POINTS_MAX: i64 = 11_000;
/// Steps people think in, in seconds.
const STEPS: [i64; 17] =
    [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200];

/// Moments of a range query. The last one is the end of its window, so that the newest value is always seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// First moment, Unix seconds.
    pub(crate) from: i64,
    /// Last moment, Unix seconds.
    pub(crate) to: i64,
    /// Distance, seconds.
    pub(crate) step: i64,
}

/// One moment or a stretch of time, as an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum When {
    /// An RFC 3339 time.
    At(Moment),
    /// Everything else.
    Over(Window),
}

/// One moment: an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    text: String,
    at: Timestamp,
}

impl Grid {
    /// Lays a grid over a window.
    pub(crate) fn over(span: Span, step: Option<i64>) -> Result<Grid, String> {
        let seconds = span.seconds();
        let fits = |step: &i64| seconds / step <= POINTS_WANTED;
        let chosen =
            || STEPS.into_iter().find(fits).unwrap_or((seconds / POINTS_WANTED / 86_400 + 1) * 86_400);
        let step = step.unwrap_or_else(chosen);
        let count = seconds / step;
        if count >= POINTS_MAX {
            let least = seconds / (POINTS_MAX - 1) + 1;
            return Err(format!("{step} s gives {} points; at least {least} s for this window", count + 1));
        }
        let to = span.to.as_second();
        Ok(Grid { from: to - count * step, to, step })
    }

    /// How many moments there are.
    pub(crate) fn points(self) -> u64 {
        u64::try_from((self.to - self.from) / self.step + 1).unwrap_or(1)
    }

    /// The same stretch at its start, middle and end only.
    pub(crate) fn sparse(self) -> Grid {
        Grid { step: ((self.to - self.from) / 2).max(1), ..self }
    }
}

impl Moment {
    /// The moment.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

/// UTC, to the second.
pub(crate) fn utc(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A length of time in its two largest units: `45s`, `1h5m`, `2d3h`.
pub(crate) fn lasting(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and no window is that long")]
    let whole = seconds.round() as i64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(first) = units.iter().position(|it| whole >= it.0) else { return "0s".to_owned() };
    let (size, unit) = units[first];
    let rest = units.get(first + 1).map(|next| (whole % size / next.0, next.1)).filter(|it| it.0 > 0);
    let rest = rest.map_or_else(String::new, |(count, unit)| format!("{count}{unit}"));
    format!("{}{unit}{rest}", whole / size)
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        match text.trim().parse() {
            Ok(at) => Ok(When::At(Moment { text, at })),
            Err(_) => Window::parse(&text).map(When::Over).map_err(D::Error::custom),
        }
    }
}

/// Both ends in UTC, and the step.
impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |it| utc(Timestamp::from_second(it).unwrap_or_default());
        write!(f, "{}/{} every {} s", end(self.from), end(self.to), self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(seconds: i64, step: Option<i64>) -> Result<Grid, String> {
        let to = Timestamp::from_second(1_000_000_000).expect("a time");
        let from = Timestamp::from_second(1_000_000_000 - seconds).expect("a time");
        Grid::over(Span { from, to }, step)
    }

    #[test]
    fn a_chosen_step_gives_at_most_121_points_and_ends_at_the_end() {
        for seconds in [1, 59, 60, 3_600, 21_600, 86_400, 7 * 86_400, 400 * 86_400] {
            let grid = over(seconds, None).expect("a grid");
            assert!(grid.points() <= 121, "{seconds}: {grid:?}");
            assert_eq!(grid.to, 1_000_000_000);
        }
        assert_eq!(over(21_600, None).expect("a grid").step, 300);
    }

    #[test]
    fn one_time_is_a_moment_and_the_rest_are_windows() {
        let parse = |text: &str| serde_json::from_value::<When>(text.into());
        assert!(
            matches!(parse("2026-01-31T10:00:00Z"), Ok(When::At(it)) if it.at().as_second() == 1_769_853_600)
        );
        assert!(matches!(parse("6h"), Ok(When::Over(_))));
        assert!(parse("yesterday").expect_err("neither").to_string().contains("expected `1h`"));
        let kept = serde_json::to_value(parse("2026-01-31T10:00:00Z").expect("a time")).expect("text");
        assert_eq!(kept, "2026-01-31T10:00:00Z");
    }

    #[test]
    fn a_length_of_time_is_told_in_its_two_largest_units() {
        let told = [0.2, 45.0, 60.0, 3_900.0, 3_661.0, 183_600.0, 86_400.0, -5.0].map(lasting);
        assert_eq!(told, ["0s", "45s", "1m", "1h5m", "1h1m", "2d3h", "1d", "0s"]);
    }

    #[test]
    fn a_step_too_fine_is_refused_with_one_that_fits() {
        let error = over(86_400, Some(1)).expect_err("too fine");
        assert_eq!(error, "1 s gives 86401 points; at least 8 s for this window");
        assert!(over(86_400, Some(8)).is_ok());
        assert_eq!(over(10, Some(60)).expect("one point").points(), 1);
        assert_eq!(over(21_600, None).expect("a grid").sparse().points(), 3);
    }
}
