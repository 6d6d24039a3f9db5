//! A stretch of time, as people write it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A stretch of time: `1h` (until now), `now-3h/now-1h`, two RFC 3339 times joined by `/`, or `around=TIME±30m`
/// (`+-` will do for `±`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    from: Moment,
    to: Moment,
}

/// A window in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Seconds before now.
    Before(i64),
    At(Timestamp),
}

const RIGHT: &str = "expected `1h`, `now-3h/now-1h`, `2026-01-31T10:00:00Z/2026-01-31T11:00:00Z` or \
                     `around=2026-01-31T10:00:00Z±30m`";
/// Longest window: 400 days.
const SECONDS_MAX: i64 = 400 * 86_400;

impl Window {
    /// Parses a window.
    pub fn parse(text: &str) -> Result<Window, String> {
        let trimmed = text.trim();
        let (from, to) = if let Some(around) = trimmed.strip_prefix("around=") {
            let (at, by) = around
                .split_once('±')
                .or_else(|| around.split_once("+-"))
                .ok_or_else(|| format!("{RIGHT}, got `{text}`"))?;
            let at = time(at)?;
            let by = SignedDuration::from_secs(seconds(by)?);
            let apart = |it: Result<Timestamp, jiff::Error>| it.map(Moment::At).map_err(|_| RIGHT.to_owned());
            (apart(at.checked_sub(by))?, apart(at.checked_add(by))?)
        } else if let Some((from, to)) = trimmed.split_once('/') {
            (moment(from)?, moment(to)?)
        } else {
            (Moment::Before(seconds(trimmed)?), Moment::Before(0))
        };
        let window = Window { text: text.to_owned(), from, to };
        match (from, to) {
            (Moment::Before(from), Moment::Before(to)) if from <= to => {
                Err(format!("`{text}` ends before it starts"))
            }
            (Moment::At(from), Moment::At(to)) if from >= to => {
                Err(format!("`{text}` ends before it starts"))
            }
            _ => Ok(window),
        }
    }

    /// The window as seen at `now`; wrong when it ends before it starts or is longer than 400 days.
    pub fn at(&self, now: Timestamp) -> Result<Span, String> {
        let place = |moment| match moment {
            Moment::At(at) => Some(at),
            Moment::Before(by) => now.checked_sub(SignedDuration::from_secs(by)).ok(),
        };
        let (Some(from), Some(to)) = (place(self.from), place(self.to)) else {
            return Err(format!("`{}` is out of range", self.text));
        };
        match to.as_second() - from.as_second() {
            ..=0 => Err(format!("`{}` ends before it starts", self.text)),
            1..=SECONDS_MAX => Ok(Span { from, to }),
            _ => Err(format!("`{}` is longer than 400 days", self.text)),
        }
    }
}

impl Span {
    /// How long it is.
    pub fn seconds(&self) -> i64 {
        self.to.as_second() - self.from.as_second()
    }
}

impl std::fmt::Display for Span {
    /// Both ends in UTC to the second, joined by `/`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |it: Timestamp| it.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        write!(f, "{}/{}", text(self.from), text(self.to))
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Window::parse(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 80 })
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    match text.trim() {
        "now" => Ok(Moment::Before(0)),
        text => match text.strip_prefix("now-") {
            Some(by) => seconds(by).map(Moment::Before),
            None => time(text).map(Moment::At),
        },
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.trim().parse().map_err(|_| format!("{RIGHT}, got `{text}`"))
}

/// Seconds in `90s`, `15m`, `1h30m`, `7d`, `2w`.
fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("{RIGHT}, got `{text}`");
    let (mut total, mut number) = (0_i64, None::<i64>);
    for letter in text.trim().chars() {
        if let Some(digit) = letter.to_digit(10) {
            let grown = number.unwrap_or(0).checked_mul(10).and_then(|it| it.checked_add(i64::from(digit)));
            number = Some(grown.ok_or_else(wrong)?);
            continue;
        }
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let part = number.take().and_then(|it| it.checked_mul(unit)).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    match (total, number) {
        (1..=SECONDS_MAX, None) => Ok(total),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let now = "2026-01-31T12:00:00Z".parse().expect("a time");
        Window::parse(text)?.at(now).map(|it| it.to_string())
    }

    #[test]
    fn every_form_resolves_to_utc() {
        let hour = Ok("2026-01-31T11:00:00Z/2026-01-31T12:00:00Z".to_owned());
        assert_eq!(at("1h"), hour);
        assert_eq!(at("now-1h/now"), hour);
        assert_eq!(at("2026-01-31T11:00:00Z/now"), hour);
        assert_eq!(at("2026-01-31T12:00:00+01:00/2026-01-31T12:00:00Z"), hour);
        assert_eq!(at("around=2026-01-31T11:30:00Z±30m"), hour);
        assert_eq!(at("around=2026-01-31T11:30:00Z+-30m"), hour);
        assert!(at("400d").is_ok(), "the longest there is");
        assert_eq!(at("1h30m"), Ok("2026-01-31T10:30:00Z/2026-01-31T12:00:00Z".to_owned()));
    }

    #[test]
    fn what_is_no_window_says_what_would_be() {
        for wrong in [
            "",
            "h",
            "5",
            "1y",
            "-1h",
            "now",
            "now/now-1h",
            "0s",
            "9999999999999999999h",
            "401d",
            "around=now",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(at("now/now-1h").expect_err("backwards").contains("ends before it starts"));
        assert!(at("2026-01-31T13:00:00Z/now").expect_err("future").contains("ends before it starts"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_a_window_is_never_empty(text in "\\PC{0,40}") {
            if let Ok(window) = Window::parse(&text)
                && let Ok(span) = window.at(Timestamp::UNIX_EPOCH)
            {
                prop_assert!(span.from < span.to);
            }
        }
    }
}
