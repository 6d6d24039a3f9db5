//! Does a label set meet a condition? `name="value"`, `!=`, `=~`, `!~`.

use regex::Regex;
use serde_json::{Value, json};

use crate::store::Labels;

/// One condition on one label.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) name: String,
    pub(super) value: String,
    /// Whether it holds when the value is met, or when it is not.
    pub(super) equal: bool,
    pattern: Option<Regex>,
}

impl Matcher {
    /// Compiles it.
    pub(super) fn new(name: &str, value: &str, equal: bool, regex: bool) -> Result<Matcher, String> {
        if !crate::promql::is_label(name) {
            return Err(format!("invalid label name {name:?}"));
        }
        let pattern = match regex {
            false => None,
            true => {
                let wrong = |_| format!("error parsing regexp: {value}");
                Some(Regex::new(&format!("^(?:{value})$")).map_err(wrong)?)
            }
        };
        Ok(Matcher { name: name.to_owned(), value: value.to_owned(), equal, pattern })
    }

    /// Reads one as it stands in `filter=`.
    pub(super) fn parse(text: &str) -> Result<Matcher, String> {
        let wrong = || format!("bad matcher format: {text}");
        let text = text.trim();
        let end = text.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').ok_or_else(wrong)?;
        let (name, rest) = (&text[..end], text[end..].trim_start());
        let operators = [("=~", true, true), ("!~", false, true), ("!=", false, false), ("=", true, false)];
        let (operator, equal, regex) =
            operators.into_iter().find(|it| rest.starts_with(it.0)).ok_or_else(wrong)?;
        let value = unquoted(rest[operator.len()..].trim()).ok_or_else(wrong)?;
        Matcher::new(name, &value, equal, regex).map_err(|_| wrong())
    }

    /// Whether a value meets it.
    pub(super) fn meets(&self, value: &str) -> bool {
        let met = self.pattern.as_ref().map_or(self.value == value, |it| it.is_match(value));
        met == self.equal
    }

    /// Whether labels meet it; an absent label is an empty one.
    pub(super) fn admits(&self, labels: &Labels) -> bool {
        self.meets(labels.get(&self.name))
    }

    pub(super) fn json(&self) -> Value {
        let regex = self.pattern.is_some();
        json!({ "isEqual": self.equal, "isRegex": regex, "name": self.name, "value": self.value })
    }
}

/// Without its quotes, if it has any, and with `\"`, `\\` and `\n` resolved.
fn unquoted(text: &str) -> Option<String> {
    let inner = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    let mut value = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next()? {
                'n' => value.push('\n'),
                it @ ('"' | '\\') => value.push(it),
                it => value.extend(['\\', it]),
            },
            // It would have closed the value.
            '"' => return None,
            it => value.push(it),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_relation_holds_for_what_it_says() {
        let labels = Labels::new([("service", "cart-api"), ("severity", "critical")]);
        for (text, expected) in [
            (r#"service="cart-api""#, true),
            ("service=cart-api", true),
            (r#"service!="cart-api""#, false),
            (r#"service=~"cart.*""#, true),
            (r#"service=~"cart""#, false),
            (r#"service!~"cart.*""#, false),
            (r#"team="""#, true),
            (r#"team!="""#, false),
            (r#" severity = "critical" "#, true),
        ] {
            assert_eq!(Matcher::parse(text).expect(text).admits(&labels), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["", "service", "=x", r#"a="b"#, r#"a=~"(""#, r#"a="b"c""#, "9a=b"] {
            assert!(Matcher::parse(text).is_err(), "{text}");
        }
    }
}
