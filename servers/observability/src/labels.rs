//! What do label sets share, and how is the rest written?

use std::collections::BTreeMap;

/// Names and values; `__name__` is the metric.
pub(crate) type Labels = BTreeMap<String, String>;

/// Labels that every set has with the same value. Of one set: none, so that its row still says what it is.
pub(crate) fn common<'a>(sets: impl IntoIterator<Item = &'a Labels>) -> Labels {
    let mut sets = sets.into_iter();
    let Some(first) = sets.next() else { return Labels::new() };
    let mut common: Labels = first.clone();
    let mut several = false;
    for set in sets {
        several = true;
        common.retain(|name, value| set.get(name) == Some(value));
        if common.is_empty() {
            break;
        }
    }
    if several { common } else { Labels::new() }
}

/// `code=500,pod=a`, without the labels in `except`. Values are quoted where they would be ambiguous.
pub(crate) fn text(labels: &Labels, except: &Labels) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().filter(|(name, _)| !except.contains_key(*name)) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push('=');
        let plain = |it: char| !it.is_whitespace() && !matches!(it, ',' | '=' | '"' | '\\');
        match !value.is_empty() && value.chars().all(plain) {
            true => text.push_str(value),
            false => text.push_str(&format!("{value:?}")),
        }
    }
    text
}

/// Whether a label of this name can be written in a query as it is. Systems know others, and anybody whose metrics they
/// collect makes them up: such a name is a piece of a query, not a word in it.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let letters = |it: char| it.is_ascii_alphanumeric() || it == '_';
    !name.is_empty() && name.chars().all(letters) && !name.starts_with(|it: char| it.is_ascii_digit())
}

/// At most `most` characters of a text, with a sign that there was more: masked before it is cut.
pub(crate) fn short(text: &str, most: usize) -> String {
    redact::short(text, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_all_share_is_said_once() {
        let sets = [set(&[("job", "app"), ("pod", "a")]), set(&[("job", "app"), ("pod", "b")])];
        let shared = common(&sets);
        assert_eq!(text(&shared, &Labels::new()), "job=app");
        assert_eq!(text(&sets[1], &shared), "pod=b");
        assert_eq!(common(&sets[..1]), Labels::new());
        assert_eq!(common(&[set(&[("a", "1")]), set(&[])]), Labels::new());
    }

    #[test]
    fn a_name_that_could_pass_for_more_than_a_name_is_none() {
        for plain in ["a", "_b", "job_2", "__name__"] {
            assert!(is_plain_name(plain), "{plain}");
        }
        for other in ["", "2a", "a-b", "a.b", "ä", "a:b", "x=\"1\"} or {y"] {
            assert!(!is_plain_name(other), "{other}");
        }
    }

    #[test]
    fn a_value_that_could_pass_for_another_label_is_quoted() {
        let tricky = set(&[("a", "x,b=y"), ("c", ""), ("d", "say \"hi\"")]);
        assert_eq!(text(&tricky, &Labels::new()), r#"a="x,b=y",c="",d="say \"hi\"""#);
        assert_eq!(short("äöü", 2), "äö…");
        assert_eq!(short("äö", 2), "äö");
    }
}
