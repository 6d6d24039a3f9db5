//! Argument types that cannot hold a bad value: the schema and the parser are one definition.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Unexpected, Visitor},
};

/// Text of `MIN` to `MAX` characters, without control characters other than tab and line feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// Whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Number<const MIN: u64, const MAX: u64>(u64);

/// Name of a configured thing: lower-case letters, digits and `-`, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Slug(String);

/// Id of a change ticket, as its system writes it: letters, digits, `-` and `_`, at most 63, e.g. `CHG0030045` or `OPS-12`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change(String);

/// Most tokens an answer may take: 200 to 8000, 2000 unless told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MaxTokens(u64);

impl<const MIN: usize, const MAX: usize> JsonSchema for Text<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": MIN, "maxLength": MAX })
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let count = text.chars().count();
        if !(MIN..=MAX).contains(&count) {
            return Err(D::Error::custom(format!("expected {MIN} to {MAX} characters, got {count}")));
        }
        if let Some(bad) = text.chars().find(|it| it.is_control() && !matches!(it, '\t' | '\n')) {
            return Err(D::Error::custom(format!(
                "expected no control characters, got U+{:04X}",
                u32::from(bad)
            )));
        }
        Ok(Text(text))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Number<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_u64(Whole::<MIN, MAX>)
    }
}

/// Says in a client's words what is expected, whatever was sent instead.
struct Whole<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for Whole<MIN, MAX> {
    type Value = Number<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Number::new(number).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}

impl<const MIN: u64, const MAX: u64> Number<MIN, MAX> {
    /// The number if it is within the bounds.
    pub const fn new(number: u64) -> Option<Self> {
        if number < MIN || number > MAX { None } else { Some(Number(number)) }
    }

    /// The number, within the bounds.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl JsonSchema for Slug {
    fn schema_name() -> Cow<'static, str> {
        "Slug".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9-]{1,63}$" })
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let valid = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-');
        match (1..=63).contains(&text.len()) && text.bytes().all(valid) {
            true => Ok(Slug(text)),
            false => Err(D::Error::custom("expected 1 to 63 of a-z, 0-9 and -")),
        }
    }
}

impl JsonSchema for Change {
    fn schema_name() -> Cow<'static, str> {
        "Change".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$" })
    }
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let valid = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        match begins && text.len() <= 63 && text.bytes().all(valid) {
            true => Ok(Change(text)),
            false => Err(D::Error::custom("expected 1 to 63 letters, digits, - and _, e.g. OPS-12")),
        }
    }
}

impl JsonSchema for MaxTokens {
    fn schema_name() -> Cow<'static, str> {
        "MaxTokens".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Number::<200, 8000>::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for MaxTokens {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Number::<200, 8000>::deserialize(input).map(|it| MaxTokens(it.get()))
    }
}

impl Default for MaxTokens {
    fn default() -> MaxTokens {
        MaxTokens(2000)
    }
}

impl MaxTokens {
    /// The number of tokens.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> Deref for Text<MIN, MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Slug {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Deref for Change {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn a_number_parses_exactly_when_it_is_in_range(number in any::<i64>()) {
            let parsed = serde_json::from_value::<Number<1, 240>>(json!(number));
            prop_assert_eq!(parsed.is_ok(), (1..=240).contains(&number));
        }

        #[test]
        fn text_keeps_what_it_was_given_or_refuses(text in ".{0,12}") {
            let parsed = serde_json::from_value::<Text<1, 8>>(Value::String(text.clone()));
            let valid = (1..=8).contains(&text.chars().count())
                && !text.chars().any(|it| it.is_control() && it != '\t' && it != '\n');
            prop_assert_eq!(parsed.is_ok(), valid);
            if let Ok(parsed) = parsed {
                prop_assert_eq!(&*parsed, text.as_str());
            }
        }

        #[test]
        fn the_id_of_a_ticket_is_one_step_of_a_path_and_no_more(text in "[ -~]{0,70}|[A-Z]{2,4}-?[0-9]{1,8}") {
            let parsed = serde_json::from_value::<Change>(Value::String(text.clone()));
            let plain = text.chars().all(|it| it.is_ascii_alphanumeric() || it == '-' || it == '_');
            let valid = plain && text.len() <= 63 && text.starts_with(|it: char| it.is_ascii_alphanumeric());
            prop_assert_eq!(parsed.is_ok(), valid);
        }

        #[test]
        fn a_slug_holds_only_its_alphabet(text in "[ -~]{0,70}") {
            let parsed = serde_json::from_value::<Slug>(Value::String(text.clone()));
            let valid = !text.is_empty() && text.len() <= 63
                && text.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-');
            prop_assert_eq!(parsed.is_ok(), valid);
        }
    }
}
