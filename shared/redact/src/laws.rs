//! No text is dear to mask: the work grows as the text does, whoever wrote it.

use std::cell::Cell;

use proptest::prelude::*;
use serde_json::json;

use super::*;

thread_local! {
    /// Bytes that steps of this thread looked at.
    pub(super) static WORKED: Cell<u64> = const { Cell::new(0) };
}

fn work(text: &str) -> u64 {
    WORKED.set(0);
    redact(text, false);
    WORKED.get()
}

/// Four times the text takes about four times the work, and no byte is looked at more than some hundred times by any pass.
/// The shorter one is longer than what any pass looks ahead, which would make it cheaper than its share.
fn assert_linear(of: impl Fn(usize) -> String) {
    let (short, long) = (of(400), of(1600));
    let (less, more) = (work(&short), work(&long));
    assert!(more <= 5 * less.max(40_000), "{less} and then {more} for {:?}…", &short[..short.len().min(80)]);
    assert!(
        more <= 4000 * long.len() as u64,
        "{more} for {} bytes of {:?}",
        long.len(),
        &short[..short.len().min(80)]
    );
}

const UNITS: [&str; 34] = [
    "sk-",
    "xsk-1A",
    "token : a ",
    "token=",
    "token=$",
    "token: \"a",
    "password='x",
    "db_pass=",
    "a",
    "-",
    " ",
    "a@b.cc,",
    "a@b.é",
    "@",
    "x://u:changeme@",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa://u:changeme@",
    "://",
    "authorization=",
    "authorization: bearer ",
    "authorization:bearer changeme",
    "bearer bearer",
    "cookie: a=b",
    "cookie: your=xxx",
    "xya29.",
    "aeyJaaaaaaaaaaaa",
    "hf_",
    "1:AA",
    "4111 1111 ",
    "-----BEGIN ",
    "BEGIN END PRIVATE ",
    "aws secret key",
    "x-amz-signature=",
    "%25",
    "\\\\u005c",
];

#[test]
fn the_work_grows_as_the_text_does() {
    for unit in UNITS {
        for (before, after) in [
            ("", ""),
            ("", "://u:changeme@h"),
            ("password: \"", "\" PRIVATE KEY"),
            ("-----BEGIN PRIVATE KEY-----\n", "\ntoken=1"),
            ("", ".aaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_linear(|count| format!("{before}{}{after}", unit.repeat(count)));
        }
    }
}

#[test]
fn values_within_values_and_names_that_become_one_are_looked_at_once() {
    let mut value = json!("hunter2");
    for _ in 0..100 {
        value = json!({ "name": "x", "value": [value] });
    }
    let mut masked = Masked::default();
    redact_value(&mut value, false, &mut masked);
    let names = (0..20_000).map(|it| (format!("{it:05}@example.com"), json!(it)));
    let mut value = Value::Object(names.collect());
    redact_value(&mut value, false, &mut masked);
    assert_eq!(value.as_object().map(Map::len), Some(20_000));
    assert_eq!(
        (&value["[email]"], &value["[email] (2)"], &value["[email] (20000)"]),
        (&json!(0), &json!(1), &json!(19_999))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_work_grows_as_any_text_does(parts in prop::collection::vec(prop::sample::select(&UNITS[..]), 1..4), ends in prop::collection::vec(prop::sample::select(&UNITS[..]), 0..3)) {
        // Of 2,400 and 9,600 bytes, whatever it is made of: beside the shorter one, what a pass looks ahead is little.
        let unit = parts.concat();
        assert_linear(|count| format!("{}{}", unit.repeat(count * 6 / unit.len()), ends.concat()));
    }

    #[test]
    fn no_text_breaks_masking(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(&UNITS[..]).prop_map(str::to_owned),
        "[a-zé漢🙂@.]{0,6}",
        (0..400_usize, prop::sample::select(&["é", "漢", "🙂", "a", "a\u{301}"][..])).prop_map(|(count, it)| it.repeat(count)),
    ], 0..8)) {
        redact(&parts.concat(), false);
    }
}

#[test]
fn an_address_as_long_as_can_be_ends_between_characters() {
    for letter in ["é", "漢", "🙂"] {
        for count in 60..140 {
            let long = letter.repeat(count);
            for text in
                [format!("a@b.{long}"), format!("{long}@b.cc {long}"), format!("{long}@{long}.{long}@c.dd")]
            {
                redact(&text, false);
            }
        }
    }
    assert_eq!(redact(&format!("to {}@b.cc", "é".repeat(20)), false).0, "to [email]");
}
