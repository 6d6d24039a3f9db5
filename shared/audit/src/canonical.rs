//! Which bytes stand for a JSON value? Keys sorted, no spaces, one spelling of every string and integer.

use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Why a value has no canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Two programs may spell one float differently: scale it to an integer or write it as text.
    #[error("{path}: {number} is not an integer; scale it or write it as text")]
    Float {
        /// JSON pointer, e.g. `/arguments/step`; empty for the value itself.
        path: String,
        /// The float.
        number: String,
    },
    /// Parsers stop at some depth: flatten it.
    #[error("{path}: nested deeper than {} levels", DEPTH_MAX)]
    TooDeep {
        /// JSON pointer.
        path: String,
    },
}

/// Deepest nesting. Below `serde_json`'s own limit of 128, so that whatever was written can be parsed.
const DEPTH_MAX: usize = 100;

/// Canonical bytes after RFC 8785 (keys in the order of their UTF-16 code units, its escapes), with one difference: numbers
/// are integers, written in full and never by way of a double.
pub fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut bytes = Vec::with_capacity(256);
    write(value, &mut bytes, 0).map_err(Refused::into_error)?;
    Ok(bytes)
}

/// Canonical bytes of an object that is not put together first; no name may come twice.
pub fn canonical_object<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> Result<Vec<u8>, NotCanonical> {
    let mut bytes = Vec::with_capacity(512);
    object(fields.into_iter().collect(), &mut bytes, 0).map_err(Refused::into_error)?;
    Ok(bytes)
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// What was refused, with the path collected on the way out, innermost first.
struct Refused {
    float: Option<Number>,
    path: Vec<String>,
}

impl Refused {
    fn within(mut self, step: impl ToString) -> Refused {
        self.path.push(step.to_string().replace('~', "~0").replace('/', "~1"));
        self
    }

    fn into_error(self) -> NotCanonical {
        let path = self.path.iter().rev().fold(String::new(), |path, step| path + "/" + step);
        match self.float {
            Some(number) => NotCanonical::Float { path, number: number.to_string() },
            None => NotCanonical::TooDeep { path },
        }
    }
}

fn write(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), Refused> {
    if depth > DEPTH_MAX {
        return Err(Refused { float: None, path: Vec::new() });
    }
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) if number.is_f64() => {
            return Err(Refused { float: Some(number.clone()), path: Vec::new() });
        }
        Value::Number(number) => {
            serde_json::to_writer(&mut *out, number).expect("an integer has a JSON form, and a Vec takes it");
        }
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out, depth + 1).map_err(|it| it.within(position))?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            object(fields.iter().map(|(name, it)| (name.as_str(), it)).collect(), out, depth)?;
        }
    }
    Ok(())
}

fn object(mut fields: Vec<(&str, &Value)>, out: &mut Vec<u8>, depth: usize) -> Result<(), Refused> {
    // By UTF-16 code units, which is by bytes in ASCII.
    match fields.iter().all(|(name, _)| name.is_ascii()) {
        true => fields.sort_unstable_by_key(|(name, _)| *name),
        false => {
            fields.sort_unstable_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()))
        }
    }
    out.push(b'{');
    for (position, (name, item)) in fields.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        write(item, out, depth + 1).map_err(|it| it.within(name))?;
    }
    out.push(b'}');
    Ok(())
}

/// `serde_json` escapes exactly as RFC 8785 asks: the short forms, `\u00xx` in lower case for other control characters,
/// everything else as it is.
fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string always has a JSON form, and a Vec takes it");
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::{Map, json};

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, it)| (name.clone(), reversed(it))).collect();
                Value::Object(fields.into_iter().rev().collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn canonical_bytes_parse_back_to_the_same_bytes(value in any_value()) {
            let bytes = canonical(&value).unwrap();
            let parsed: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&parsed, &value);
            prop_assert_eq!(canonical(&parsed).unwrap(), bytes);
        }

        #[test]
        fn the_order_of_keys_never_matters(value in any_value()) {
            prop_assert_eq!(canonical(&reversed(&value)).unwrap(), canonical(&value).unwrap());
        }

        #[test]
        fn a_float_is_refused_wherever_it_stands(value in any_value(), float in any::<f64>()) {
            prop_assume!(float.is_finite());
            let holder = json!({ "a/b": [value, { "x~": float }] });
            let NotCanonical::Float { path, .. } = canonical(&holder).unwrap_err() else { panic!("another error") };
            prop_assert_eq!(path, "/a~1b/1/x~0");
        }
    }

    #[test]
    fn strings_and_keys_are_spelled_as_in_rfc_8785() {
        let value = json!({ "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7 });
        let expected =
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
        let escapes = canonical(&json!("\u{8}\u{c}\u{0f}\"\\/\u{7f}")).unwrap();
        assert_eq!(escapes, b"\"\\b\\f\\u000f\\\"\\\\/\x7f\"");
    }

    #[test]
    fn what_is_too_deep_to_parse_is_not_written() {
        let deep = (0..200).fold(Value::Null, |inner, _| json!([inner]));
        assert!(matches!(canonical(&deep), Err(NotCanonical::TooDeep { .. })));
        let deepest = (0..100).fold(Value::Null, |inner, _| json!([inner]));
        assert_eq!(serde_json::from_slice::<Value>(&canonical(&deepest).unwrap()).unwrap(), deepest);
    }
}
