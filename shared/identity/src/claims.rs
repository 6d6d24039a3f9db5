//! What does a token say? Claims by name or by pointer, each of the type it has to be.

use serde_json::{Map, Value};

use crate::TokenError;

/// Claims of a token whose signature was checked.
#[derive(Clone, Debug)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

impl Claims {
    /// A claim by its name, or by a pointer such as `/act/sub`. A name may hold slashes as long as it begins with none.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let found = match name.strip_prefix('/') {
            None => self.0.get(name),
            Some(path) => {
                let unescape = |it: &str| it.replace("~1", "/").replace("~0", "~");
                let mut steps = path.split('/').map(unescape);
                let first = steps.next().and_then(|it| self.0.get(&it));
                steps.fold(first, |at, step| at?.get(&step))
            }
        };
        found.filter(|it| !it.is_null())
    }

    /// A text, if there is one.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, TokenError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(TokenError::claim(name, "is not a text")),
        }
    }

    /// One text or several; none where there is no such claim.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&str>, TokenError> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| TokenError::claim(name, "is not a list of texts"))
            }
            Some(_) => Err(TokenError::claim(name, "is not a list of texts")),
        }
    }

    /// Seconds since 1970, if there are any.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<u64>, TokenError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                let whole = value.as_u64().or_else(|| {
                    // Some issuers write fractions.
                    value.as_f64().filter(|it| (0.0..4e10).contains(it)).map(|it| it.trunc() as u64)
                });
                whole.map(Some).ok_or_else(|| TokenError::claim(name, "is not a time"))
            }
        }
    }

    /// Whether a claim is, or holds, one of some values. Numbers and truth values count as they are written.
    pub(crate) fn is_one_of(&self, name: &str, values: &[String]) -> bool {
        let is = |value: &Value| match value {
            Value::String(text) => values.contains(text),
            Value::Bool(_) | Value::Number(_) => values.contains(&value.to_string()),
            _ => false,
        };
        match self.get(name) {
            Some(Value::Array(items)) => items.iter().any(is),
            Some(value) => is(value),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_name_or_by_pointer() {
        let claims = json!({
            "https://example.com/groups": ["a"], "act": { "sub": "agent" }, "a/b": "x",
            "kubernetes.io": { "serviceaccount": { "name": "deployer" } }, "none": null,
        });
        let Value::Object(claims) = claims else { unreachable!("an object") };
        let claims = Claims(claims);
        assert_eq!(claims.texts("https://example.com/groups"), Ok(vec!["a"]));
        assert_eq!(claims.text("/act/sub"), Ok(Some("agent")));
        assert_eq!(claims.text("/kubernetes.io/serviceaccount/name"), Ok(Some("deployer")));
        assert_eq!(claims.text("/a~1b"), Ok(Some("x")));
        for absent in ["none", "/act/none", "/act/sub/deeper", "/", "", "act.sub"] {
            assert_eq!(claims.text(absent), Ok(None), "{absent}");
        }
        assert!(claims.text("act").is_err() && claims.texts("act").is_err());
    }

    #[test]
    fn a_time_is_a_number_and_nothing_that_looks_like_one() {
        let claims = |value: Value| Claims(Map::from_iter([("exp".to_owned(), value)]));
        assert_eq!(claims(json!(1_700_000_000)).seconds("exp"), Ok(Some(1_700_000_000)));
        assert_eq!(claims(json!(1_700_000_000.7)).seconds("exp"), Ok(Some(1_700_000_000)));
        for wrong in [json!("1700000000"), json!(-1), json!(1e300), json!([1]), json!(true)] {
            assert!(claims(wrong.clone()).seconds("exp").is_err(), "{wrong}");
        }
    }
}
