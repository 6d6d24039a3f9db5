//! A condition on one label, as an argument: `alertname="HighErrorRate"`, `team=~"a|b"`.

use std::{borrow::Cow, fmt};

use promql_parser::{
    label::Matcher,
    parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX, TokenId},
    util::unquote_string,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    expression::refuse_large,
    labels::{Labels, is_plain_name},
};

/// A condition on one label. Serialized in one canonical form, so that policies and records compare equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelMatcher {
    /// Label name.
    pub(crate) name: String,
    /// How it compares.
    pub(crate) relation: Relation,
    /// What it compares with, unquoted.
    pub(crate) value: String,
}

/// How a label is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Matches,
    MatchesNot,
}

/// From `MIN` to `MAX` conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LabelMatchers<const MIN: usize, const MAX: usize>(Vec<LabelMatcher>);

/// Conditions in the form that is held against many label sets: compiled once.
#[derive(Debug)]
pub(crate) struct Filter(Vec<Option<Matcher>>);

const TEXT_MAX: usize = 300;
const RIGHT: &str = "expected a matcher like `alertname=\"HighErrorRate\"` (=, !=, =~, !~)";

impl Relation {
    /// As written between label and value.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Matches => "=~",
            Relation::MatchesNot => "!~",
        }
    }

    fn token(self) -> TokenId {
        match self {
            Relation::Equal => T_EQL,
            Relation::NotEqual => T_NEQ,
            Relation::Matches => T_EQL_REGEX,
            Relation::MatchesNot => T_NEQ_REGEX,
        }
    }
}

impl LabelMatcher {
    /// Parses one condition; the value may stand without quotes when it holds no quote, brace or comma.
    pub(crate) fn parse(text: &str) -> Result<LabelMatcher, String> {
        let wrong = || format!("{RIGHT}, got `{}`", crate::labels::short(text, 60));
        if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            return Err(wrong());
        }
        let text = text.trim();
        let end = text.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').ok_or_else(wrong)?;
        let (name, rest) = text.split_at(end);
        if !is_plain_name(name) {
            return Err(wrong());
        }
        let relations = [Relation::Matches, Relation::MatchesNot, Relation::NotEqual, Relation::Equal];
        let rest = rest.trim_start();
        let (relation, value) = relations
            .into_iter()
            .find_map(|it| rest.strip_prefix(it.sign()).map(|value| (it, value.trim())))
            .ok_or_else(wrong)?;
        let value = match value.starts_with(['"', '\'', '`']) {
            true => unquoted(value).ok_or_else(wrong)?,
            false if value.contains(['"', '\'', '`', '{', '}', ',', '=']) => return Err(wrong()),
            false => value.to_owned(),
        };
        let matcher = LabelMatcher { name: name.to_owned(), relation, value };
        if matches!(relation, Relation::Matches | Relation::MatchesNot) {
            refuse_large(&matcher.value)?;
        }
        matcher.compiled().map_err(|_| format!("`{}` is not a regular expression", matcher.value))?;
        Ok(matcher)
    }

    /// In the form that decides whether a label set has it.
    pub(crate) fn compiled(&self) -> Result<Matcher, String> {
        Matcher::new_matcher(self.relation.token(), self.name.clone(), self.value.clone())
    }

    /// Whether it may hold for a value. Of expressions only the plainest are judged: what is in brackets or escaped may
    /// mean less here (`[a-z&&x]`) than to the system that is sent it.
    pub(crate) fn may_match(&self, value: &str) -> bool {
        let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '*' | '+' | '|');
        let judged = match self.relation {
            Relation::Equal | Relation::NotEqual => true,
            Relation::Matches | Relation::MatchesNot => self.value.chars().all(plain),
        };
        !judged || self.compiled().is_ok_and(|it| it.is_match(value))
    }

    /// Whether it holds only for one value of the label, and that is not the absence of the label.
    pub(crate) fn pins(&self, label: &str) -> Option<&str> {
        (self.relation == Relation::Equal && self.name == label && !self.value.is_empty())
            .then_some(self.value.as_str())
    }
}

/// What stands between quotes. The parser cuts in two what stands behind a backslash and is more than one byte.
pub(crate) fn unquoted(text: &str) -> Option<String> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' && !letters.next().is_some_and(|it| it.is_ascii()) {
            return None;
        }
    }
    unquote_string(text).ok()
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.name, self.relation.sign())
    }
}

impl Filter {
    /// Whether a thing with these labels meets all.
    pub(crate) fn meets(&self, labels: &Labels) -> bool {
        let value = |name: &str| labels.get(name).map_or("", String::as_str);
        self.0.iter().all(|it| it.as_ref().is_some_and(|it| it.is_match(value(&it.name))))
    }

    /// Whether a thing with these labels, and perhaps more, may meet all.
    pub(crate) fn allows(&self, labels: &Labels) -> bool {
        let fits = |it: &Matcher| labels.get(&it.name).is_none_or(|value| it.is_match(value));
        self.0.iter().all(|it| it.as_ref().is_some_and(fits))
    }
}

impl<const MIN: usize, const MAX: usize> LabelMatchers<MIN, MAX> {
    /// To hold against label sets.
    pub(crate) fn filter(&self) -> Filter {
        Filter(self.0.iter().map(|it| it.compiled().ok()).collect())
    }

    /// In the order given.
    pub(crate) fn as_slice(&self) -> &[LabelMatcher] {
        &self.0
    }
}

impl Serialize for LabelMatcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LabelMatcher {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        LabelMatcher::parse(&String::deserialize(input)?).map_err(D::Error::custom)
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for LabelMatchers<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let matchers = Vec::<LabelMatcher>::deserialize(input)?;
        if !(MIN..=MAX).contains(&matchers.len()) {
            return Err(D::Error::custom(format!(
                "expected {MIN} to {MAX} matchers, got {}",
                matchers.len()
            )));
        }
        for (at, matcher) in matchers.iter().enumerate() {
            if matchers[..at].contains(matcher) {
                return Err(D::Error::custom(format!("`{matcher}` stands twice")));
            }
        }
        Ok(LabelMatchers(matchers))
    }
}

impl<const MIN: usize, const MAX: usize> JsonSchema for LabelMatchers<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        "LabelMatchers".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // What is paid for on every request: how long one may be is said when it is too long.
        let items = json_schema!({ "type": "string" });
        match MIN {
            0 => json_schema!({ "type": "array", "items": items, "maxItems": MAX }),
            _ => json_schema!({ "type": "array", "items": items, "minItems": MIN, "maxItems": MAX }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_relation_parses_into_one_canonical_form() {
        for (given, canonical) in [
            ("severity=critical", r#"severity="critical""#),
            (" severity = 'critical' ", r#"severity="critical""#),
            (r#"team=~"a|b""#, r#"team=~"a|b""#),
            ("team!=`x\"y`", r#"team!="x\"y""#),
            (r#"path!~"\\d+""#, r#"path!~"\\d+""#),
            ("gone=", r#"gone="""#),
        ] {
            assert_eq!(LabelMatcher::parse(given).expect(given).to_string(), canonical);
        }
    }

    #[test]
    fn an_expression_that_systems_read_differently_is_taken_to_match() {
        for (text, may) in [
            ("team=cart", true),
            ("team=checkout", false),
            ("team!=cart", false),
            ("team=~\"cart|checkout\"", true),
            ("team=~\"check.*\"", false),
            ("team=~\"car\"", false),
            ("team!~\"c.*\"", false),
            ("team=~\"[a-z&&x]art\"", true),
            ("team=~\"(?i)CART\"", true),
            ("team!~\"[c]art\"", true),
        ] {
            assert_eq!(LabelMatcher::parse(text).expect(text).may_match("cart"), may, "{text}");
        }
    }

    #[test]
    fn a_matcher_cannot_smuggle_in_another() {
        for wrong in [
            "",
            "critical",
            "=x",
            "1a=x",
            "a-b=x",
            r#"a="b",c="d""#,
            r#"a="b"} or {c="d""#,
            "a=b,c=d",
            "a=b} or {c",
            "a=\"b",
            "a=~\"(\"",
            "a=\"x\ny\"",
            "a=\"\\é\"",
            "a=~'b\\€'",
        ] {
            assert!(LabelMatcher::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_expression_that_takes_long_to_hold_against_thousands_is_refused() {
        let error = LabelMatcher::parse("instance=~\"\\\\w{100}\"").expect_err("too large");
        assert!(error.contains("too large a regular expression"), "{error}");
        let query = crate::promql::Query::parse("up{instance=~\"\\\\w{100}\"}").expect_err("too large");
        assert!(query.contains("too large a regular expression"), "{query}");
        let many = vec!["a{b=~\"c\"}"; 33].join(" or ");
        let error = crate::promql::Query::parse(&many).expect_err("too many");
        assert!(error.contains("more than 32 regular expressions"), "{error}");
    }

    proptest! {
        #[test]
        fn the_canonical_form_parses_back_to_the_same(value in "[ -~äß€]{0,30}", at in 0..2_usize) {
            let relation = [Relation::Equal, Relation::NotEqual][at];
            let matcher = LabelMatcher { name: "label".to_owned(), relation, value };
            prop_assert_eq!(LabelMatcher::parse(&matcher.to_string()), Ok(matcher));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _either = LabelMatcher::parse(&text);
        }

        #[test]
        fn no_quoted_value_breaks_it(value in "[\\\\xu0-7a\"'é€ ]{0,12}", quote in "[\"'`]") {
            let _either = LabelMatcher::parse(&format!("a={quote}{value}{quote}"));
        }
    }
}
