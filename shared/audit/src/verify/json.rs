//! Are these bytes the one spelling of what they say? RFC 8785 with integers in full, read strictly and without help from
//! what writes it: sorted keys, no spaces, one escape for every letter.

use std::borrow::Cow;

/// Deepest nesting in a leaf: a list of objects is two.
const DEPTH_MAX: usize = 8;

/// A value in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// `true`, `false` or `null`.
    Word(&'static str),
    /// Between the bounds of `i64` and `u64`.
    Integer(i128),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// In the order of their names.
    Fields(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Reads a whole value, or says what is not canonical about it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value<'_>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no UTF-8")?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    if reader.at == text.len() { Ok(value) } else { Err("something stands behind the value") }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, &'static str> {
        if depth > DEPTH_MAX {
            return Err("nested too deep");
        }
        match self.peek() {
            Some(b'{') => self.fields(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|it| self.take(it));
                word.map(Value::Word).ok_or("no canonical JSON")
            }
        }
    }

    fn fields(&mut self, depth: usize) -> Result<Value<'a>, &'static str> {
        self.at += 1;
        let mut fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        if self.take("}") {
            return Ok(Value::Fields(fields));
        }
        loop {
            let name = self.string()?;
            if fields.last().is_some_and(|(last, _)| !last.encode_utf16().lt(name.encode_utf16())) {
                return Err("keys out of order, or one twice");
            }
            if !self.take(":") {
                return Err("a key without a value");
            }
            fields.push((name, self.value(depth + 1)?));
            if self.take("}") {
                return Ok(Value::Fields(fields));
            }
            if !self.take(",") {
                return Err("an object that does not end");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, &'static str> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take("]") {
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err("a list that does not end");
            }
        }
    }

    fn integer(&mut self) -> Result<Value<'a>, &'static str> {
        let rest = &self.text[self.at..];
        let sign = usize::from(rest.starts_with('-'));
        let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let (text, number) = (&rest[..sign + digits], &rest[sign..sign + digits]);
        let zero = number.starts_with('0') && (digits > 1 || sign == 1);
        if zero || digits > 20 {
            return Err("a number that is not spelled as an integer");
        }
        let value: i128 = text.parse().map_err(|_| "a number that is not spelled as an integer")?;
        if value < i128::from(i64::MIN) || value > i128::from(u64::MAX) {
            return Err("a number out of bounds");
        }
        self.at += text.len();
        Ok(Value::Integer(value))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, &'static str> {
        if !self.take("\"") {
            return Err("a key that is no string");
        }
        let begin = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().take_while(|it| !matches!(it, b'"' | b'\\' | 0..=0x1f)).count();
            if let Some(text) = &mut unescaped {
                text.push_str(&rest[..plain]);
            }
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    let text = &self.text[begin..self.at];
                    self.at += 1;
                    return Ok(unescaped.map_or(Cow::Borrowed(text), Cow::Owned));
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_with(|| self.text[begin..self.at].to_owned());
                    text.push(escape(&self.text[self.at..], &mut self.at)?);
                }
                _ => return Err("a string that does not end"),
            }
        }
    }
}

/// The letter that an escape stands for; moves the place behind it. Every letter has one spelling.
fn escape(rest: &str, at: &mut usize) -> Result<char, &'static str> {
    const SHORT: [(&str, char); 7] = [
        ("\\\"", '"'),
        ("\\\\", '\\'),
        ("\\b", '\u{8}'),
        ("\\t", '\t'),
        ("\\n", '\n'),
        ("\\f", '\u{c}'),
        ("\\r", '\r'),
    ];
    if let Some((spelled, letter)) = SHORT.into_iter().find(|(spelled, _)| rest.starts_with(spelled)) {
        *at += spelled.len();
        return Ok(letter);
    }
    let digits =
        rest.strip_prefix("\\u00").and_then(|it| it.get(..2)).ok_or("an escape that is not needed")?;
    let lower = digits.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    let code = u8::from_str_radix(digits, 16).ok().filter(|it| lower && *it < 0x20);
    let letter = code.map(char::from).filter(|it| !SHORT.iter().any(|(_, short)| short == it));
    *at += 6;
    letter.ok_or("an escape that is not needed")
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::canonical;

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
            "[\u{0}-\u{30}\"\\\\]{0,6}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn as_json(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Word("null") => serde_json::Value::Null,
            Value::Word(word) => json!(*word == "true"),
            Value::Integer(it) => u64::try_from(*it).map_or_else(|_| json!(*it as i64), |it| json!(it)),
            Value::Text(it) => json!(it),
            Value::List(items) => items.iter().map(as_json).collect(),
            Value::Fields(fields) => serde_json::Value::Object(
                fields.iter().map(|(name, it)| (name.to_string(), as_json(it))).collect(),
            ),
        }
    }

    proptest! {
        #[test]
        fn what_the_writer_spells_reads_as_what_it_meant(value in any_value()) {
            let bytes = canonical(&value).unwrap();
            prop_assert_eq!(as_json(&parse(&bytes).unwrap()), value);
        }

        #[test]
        fn whatever_reads_is_spelled_as_the_writer_would(bytes in "[{}\\[\\]\",:a0-9\\\\u -]{0,24}") {
            if let Ok(value) = parse(bytes.as_bytes()) {
                prop_assert_eq!(canonical(&as_json(&value)).unwrap(), bytes.into_bytes());
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let refused = [
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\": 1}",
            " 1",
            "01",
            "-0",
            "1.0",
            "1e3",
            "18446744073709551616",
            "\"\\u0041\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            "\"\\u001F\"",
            "\"\\/\"",
            "\"\n\"",
            "[1,]",
            "nul",
            "",
            "[[[[[[[[[[1]]]]]]]]]]",
        ];
        for text in refused {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        assert_eq!(parse(b"\"\\u001f\\n\""), Ok(Value::Text("\u{1f}\n".into())));
    }
}
