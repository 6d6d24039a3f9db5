//! What may hide in text from outside? Characters that a person does not see and a model reads: they are removed, whole
//! terminal sequences included, and counted.
//!
//! They are removed and not replaced, so that a secret that was broken up by them is whole again when it is looked for.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Longest terminal sequence that is removed as one; beyond it only the escape character goes, so that a sequence
/// without an end cannot hide what follows.
const SEQUENCE_MAX: usize = 256;

/// The text without what hides in it, and how many characters were removed.
pub fn clean(text: &str) -> (Cow<'_, str>, u64) {
    if is_plain(text) || !text.chars().any(|it| hides(it) || breaks(it)) {
        return (Cow::Borrowed(text), 0);
    }
    let (mut kept, mut removed) = (String::with_capacity(text.len()), 0);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = sequence(rest).unwrap_or(next.len_utf8());
        let (part, after) = rest.split_at(length);
        if breaks(next) {
            kept.push('\n');
        } else if !hides(next) {
            kept.push(next);
        } else if !(next == '\r' && after.starts_with('\n')) {
            removed += part.chars().count() as u64;
        }
        rest = after;
    }
    (Cow::Owned(kept), removed)
}

/// Cleans every string of a value, keys included, and says how many characters were removed.
pub fn clean_value(value: &mut Value) -> u64 {
    match value {
        Value::String(text) => {
            let (cleaned, removed) = clean(text);
            if let Cow::Owned(cleaned) = cleaned {
                *text = cleaned;
            }
            removed
        }
        Value::Array(values) => values.iter_mut().map(clean_value).sum(),
        Value::Object(fields) => clean_fields(fields),
        _ => 0,
    }
}

fn clean_fields(fields: &mut Map<String, Value>) -> u64 {
    let mut removed: u64 = fields.values_mut().map(clean_value).sum();
    if fields.keys().any(|it| matches!(clean(it), (Cow::Owned(_), _))) {
        let renamed = std::mem::take(fields).into_iter().map(|(name, value)| {
            let (cleaned, count) = clean(&name);
            removed += count;
            (cleaned.into_owned(), value)
        });
        *fields = crate::distinct(renamed);
    }
    removed
}

/// Whether a text holds nothing but what is seen in ASCII, line feeds and tabs: most do. Every byte is looked at, so that many
/// are at once.
pub(crate) fn is_plain(text: &str) -> bool {
    let harmless = |it: u8| (b' '..=b'~').contains(&it) | (it == b'\n') | (it == b'\t');
    text.bytes().fold(true, |plain, it| plain & harmless(it))
}

/// Whether a character is not seen, or changes how others are seen. Line feed and tab stay.
pub fn hides(it: char) -> bool {
    match u32::from(it) {
        0x09 | 0x0A => false,
        0x00..=0x1F | 0x7F..=0x9F => true, // control
        0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F => true, // unseen
        0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F => true, // zero-width, bidirectional
        0x3164 | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB => true, // fillers, marks
        0xFE00..=0xFE0F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A => true, // variation selectors, format controls
        0xE0000..=0xE0FFF => true, // tags, variation selectors supplement
        _ => false,
    }
}

/// Line ends that are not a line feed become one.
fn breaks(it: char) -> bool {
    matches!(it, '\u{2028}' | '\u{2029}')
}

/// How long the terminal sequence at the start of the text is.
fn sequence(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().take(SEQUENCE_MAX).skip(1);
    let kind = match text.chars().next()? {
        '\u{1b}' => chars.next()?.1,
        '\u{9b}' => '[',
        '\u{9d}' => ']',
        '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => 'P',
        _ => return None,
    };
    let end = |(at, it): (usize, char)| at + it.len_utf8();
    match kind {
        '[' => chars
            .find(|(_, it)| !(' '..='?').contains(it))
            .filter(|(_, it)| ('@'..='~').contains(it))
            .map(end),
        ']' | 'P' | 'X' | '^' | '_' => {
            let mut before = kind;
            for (at, it) in chars {
                match it {
                    '\u{7}' | '\u{9c}' => return Some(at + it.len_utf8()),
                    '\\' if before == '\u{1b}' => return Some(at + 1),
                    '\n' => return None,
                    _ => before = it,
                }
            }
            None
        }
        ' '..='/' => chars
            .find(|(_, it)| !(' '..='/').contains(it))
            .filter(|(_, it)| ('0'..='~').contains(it))
            .map(end),
        '0'..='~' => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn terminal_sequences_go_whole() {
        for (given, right) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}2Kgone", "gone"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}", "link"),
            ("\u{1b}(Bplain", "plain"),
            ("\u{1b}cfull reset", "full reset"),
        ] {
            assert_eq!(clean(given).0, right, "{given:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_hides_nothing_that_follows() {
        let (text, removed) = clean("\u{1b}]0;title and then all the rest");
        assert_eq!((text.as_ref(), removed), ("]0;title and then all the rest", 1));
        assert_eq!(clean("\u{1b}[31").0, "[31");
    }

    #[test]
    fn what_is_removed_is_counted_and_what_is_visible_stays() {
        let (text, removed) = clean("a\u{202e}b\u{200b}c\u{e0041}d\u{fe0f}\u{feff}");
        assert_eq!((text.as_ref(), removed), ("abcd", 5));
        assert_eq!(clean("line\r\nline\ttab"), (Cow::Owned("line\nline\ttab".to_owned()), 0));
        assert!(matches!(clean("déjà vu — 日本語 🙂 ▁▂▃"), (Cow::Borrowed(_), 0)));
    }

    #[test]
    fn keys_are_cleaned_too_and_none_is_lost() {
        let mut value = json!({ "a\u{200b}": 1, "a": [ "\u{202e}x" ], "b": { "c\u{7}": null } });
        assert_eq!(clean_value(&mut value), 3);
        assert_eq!(value, json!({ "a": 1, "a (2)": ["x"], "b": { "c": null } }));
    }

    proptest! {
        #[test]
        fn nothing_that_hides_survives_and_cleaning_twice_changes_nothing(text in any::<String>(), more in "[\u{0}-\u{20}a-z;\\[\\]\u{7f}-\u{9f}\u{2000}-\u{2070}]{0,60}") {
            for text in [text, more] {
                let once = clean(&text).0.into_owned();
                prop_assert!(!once.chars().any(|it| hides(it) || breaks(it)), "{once:?}");
                prop_assert_eq!(clean(&once), (Cow::Borrowed(once.as_str()), 0));
            }
        }
    }
}
