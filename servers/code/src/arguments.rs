//! Arguments that only this server has. Each parses to one spelling, so that a policy that names a path cannot be
//! passed by writing the path differently.

mod glob;
mod path;
mod place;
mod revision;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(crate) use glob::{GLOBS_MAX, Glob, Globs};
pub(crate) use path::RepositoryPath;
pub(crate) use place::Place;
pub(crate) use revision::{Revision, RevisionRange, Step};

/// Lines of a file, both ends included, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A commit id in full or its first 7 digits and more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sha(String);

/// Part of a name: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part(String);

impl LineRange {
    /// Reads `120` or `120-180`.
    pub(crate) fn parse(text: &str) -> Result<LineRange, String> {
        let wrong = || format!("expected a line `120` or lines `120-180`, got `{}`", shown(text));
        let number = |text: &str| match text.as_bytes() {
            [b'1'..=b'9', rest @ ..] if rest.len() < 9 && rest.iter().all(u8::is_ascii_digit) => {
                text.parse::<u64>().map_err(|_| wrong())
            }
            _ => Err(wrong()),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = LineRange { first: number(first)?, last: number(last)? };
        match range.first <= range.last {
            true => Ok(range),
            false => Err(format!("lines `{text}` end before they start; write `{last}-{first}`")),
        }
    }
}

impl Sha {
    fn parse(text: &str) -> Result<Sha, String> {
        let hex = |it: u8| matches!(it, b'0'..=b'9' | b'a'..=b'f');
        match (7..=40).contains(&text.len()) && text.bytes().all(hex) {
            true => Ok(Sha(text.to_owned())),
            false => Err(format!("expected 7 to 40 of 0-9 and a-f, got `{}`", shown(text))),
        }
    }

    /// Its digits.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl Part {
    fn parse(text: &str) -> Result<Part, String> {
        match (1..=100).contains(&text.chars().count()) && !text.contains(char::is_control) {
            true => Ok(Part(text.to_owned())),
            false => Err("expected 1 to 100 characters, none of them a control character".to_owned()),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for LineRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Serialize for LineRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Parses from text. The schema leaves the form to the description and the refusal, which say it in fewer words.
macro_rules! from_text {
    ($kind:ident) => {
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                $kind::parse(&String::deserialize(input)?).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                stringify!($kind).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string" })
            }
        }
    };
}

from_text!(LineRange);
from_text!(Sha);
from_text!(Part);
from_text!(Place);
from_text!(Glob);
from_text!(RepositoryPath);
from_text!(Revision);
from_text!(RevisionRange);

/// A bad argument as an error may repeat it: short and on one line.
fn shown(text: &str) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { '?' } else { it }).collect();
    redact::short(&line, 80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_one_number_or_two_in_order() {
        let parsed = |text| LineRange::parse(text).map(|it| (it.first, it.last));
        assert_eq!(parsed("120"), Ok((120, 120)));
        assert_eq!(parsed("120-180"), Ok((120, 180)));
        for wrong in
            ["", "0", "0-5", "-5", "5-", "5-4", "1-2-3", "+1", " 1", "1 - 2", "01", "1e3", "9999999999"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert!(parsed("9-3").expect_err("backwards").contains("write `3-9`"));
    }

    proptest! {
        #[test]
        fn lines_that_parse_are_written_back_as_the_same_lines(text in "[0-9-]{0,12}") {
            if let Ok(lines) = LineRange::parse(&text) {
                prop_assert!(1 <= lines.first && lines.first <= lines.last);
                prop_assert_eq!(LineRange::parse(&lines.to_string()), Ok(lines));
            }
        }
    }
}
