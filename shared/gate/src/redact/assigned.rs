//! Which values are secret because of the name they are given? `password=…`, `"api_key": "…"`, `--token …`.
//!
//! Names alone would mask half of every source file, so a value must also look like one: not a placeholder, a type, a call
//! or a variable.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

use super::{Span, is_marked};

/// A name that ends in such a word, and what may stand between it and its value.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?i)(passw(?:or)?d|pwd|passphrase|passcode|secret|token|(?:api|access|auth|private|secret|signing|encryption|account|storage|master|license|shared)[_.-]?key|client-key-data|credentials?)[0-9]{0,2}(?:["'\]\\]{0,3}([ \t]{0,8}(?:=>|:=|={1,2}|:|>)[ \t]{0,8})|([ \t]{1,4}))"#;
    RegexBuilder::new(pattern).unicode(false).build().expect("the pattern is compiled by every test")
});

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// In quotes, or as a value of its own.
    Apart,
    /// `name=value`.
    Tight,
    /// `name: value` or `name = value`, where the value may be a word of a sentence or of a program.
    Loose,
    /// As [`Written::Loose`], and there is nothing else on the line.
    OwnLine,
}

/// One of them is in every name that [`NAMES`] finds.
pub(super) const NAME_STEMS: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "credential"];

/// Finds values under names that say they are secret; for texts that have one of [`NAME_STEMS`].
pub(super) fn scan(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = NAMES.captures_at(bytes, from) {
        let (whole, word) =
            (found.get(0).map_or(0..0, |it| it.range()), found.get(1).map_or(0, |it| it.start()));
        from = whole.end;
        let named = word - bytes[..word].iter().rev().take(64).take_while(|it| is_name(**it)).count();
        let name = &bytes[named..whole.start + found.get(1).map_or(0, |it| it.len())];
        let separator = found.get(2).map(|it| it.as_bytes());
        let allowed = match separator {
            None => name.starts_with(b"--"),
            Some(it) if it.ends_with(b">") && !it.contains(&b'=') => bytes[..named].ends_with(b"<"),
            // `Token::Bearer` is a path of names.
            Some(it) => !(it.ends_with(b":") && bytes.get(whole.end) == Some(&b':')),
        };
        let name = String::from_utf8_lossy(name);
        if let (true, Some((start, end, written))) = (allowed, value(bytes, named, whole.end, separator)) {
            let secret = String::from_utf8_lossy(&bytes[start..end]);
            if let Some(kind) = judged(&name, &secret, written) {
                spans.push(Span { start, end, kind });
                from = end;
            }
        }
        if from >= bytes.len() {
            break;
        }
    }
}

/// The kind of secret that a value is that stands alone under a name.
pub(super) fn holds_secret(name: &str, value: &str) -> Option<&'static str> {
    if !has_stem(name) {
        return None;
    }
    let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let with_value = format!("{stem}=");
    let found = NAMES.find(with_value.as_bytes()).filter(|it| it.end() == with_value.len());
    found.and_then(|_| judged(stem, value.trim(), Written::Apart))
}

/// Whether [`NAMES`] could find anything in a name: most have none of its words, and searching is dearer than looking.
fn has_stem(name: &str) -> bool {
    let name = name.as_bytes();
    NAME_STEMS.iter().any(|stem| name.windows(stem.len()).any(|it| it.eq_ignore_ascii_case(stem.as_bytes())))
}

/// Words that stand where a secret goes.
const PLACEHOLDERS: &str = "null none nil undefined true false yes no string str &str text bool int integer number bytes object any \
    required optional changeme change_me example redacted masked hidden removed secret password passwd token username \
     default empty missing invalid expired unset todo n/a env value";

/// Whether a value says that a real one goes there.
pub(super) fn is_placeholder(value: &str) -> bool {
    let bare =
        value.trim_matches(|it: char| it.is_ascii_punctuation() && !matches!(it, '$' | '{' | '<' | '%'));
    let first = bare.chars().next();
    let repeated = |it: &str| first.is_some_and(|first| it.chars().all(|other| other == first));
    let variable = |it: &str| {
        let name = it.trim_start_matches('$').trim_start_matches(['{', '(']).trim_end_matches(['}', ')']);
        it.starts_with('$') && name.chars().all(|it| it.is_ascii_alphanumeric() || "_.-:/ ".contains(it))
    };
    let lower = bare.to_ascii_lowercase();
    bare.is_empty()
        || PLACEHOLDERS.split_ascii_whitespace().any(|it| it == lower)
        || repeated(bare)
        || variable(bare)
        || lower.starts_with("your")
        || lower.starts_with("xxx")
        || bare.starts_with('<')
        || bare.starts_with("{{")
        || bare.starts_with('%') && bare.len() <= 3
        || is_marked(value)
        || value.chars().all(|it| it.is_ascii_punctuation() || it == '•' || it == '…')
}

/// Where the value stands that follows a name, and how it is written.
fn value(
    bytes: &[u8],
    named: usize,
    mut start: usize,
    separator: Option<&[u8]>,
) -> Option<(usize, usize, Written)> {
    let quote = bytes.get(start).copied().filter(|it| matches!(it, b'"' | b'\'' | b'`'));
    if let Some(quote) = quote {
        start += 1;
        let mut end = start;
        while let Some(it) = bytes.get(end).filter(|it| **it != quote && **it != b'\n') {
            end += if *it == b'\\' && bytes.get(end + 1).is_some_and(|it| *it != b'\n') { 2 } else { 1 };
        }
        return Some((start, end.min(bytes.len()), Written::Apart));
    }
    let stop = |it: &u8| it.is_ascii_whitespace() || b"\"'`,;&<>)}]|".contains(it);
    let end = start + bytes[start..].iter().take_while(|it| !stop(it)).count();
    let alone = || {
        let line = bytes[..named].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let rest = bytes[end..].iter().position(|it| *it == b'\n').map_or(bytes.len(), |it| end + it);
        let before = &bytes[line..named];
        before.iter().all(|it| b" \t-+\"'".contains(it)) && bytes[end..rest].trim_ascii().is_empty()
    };
    let written = match separator {
        Some(it) if !it.contains(&b' ') && !it.contains(&b'\t') => Written::Tight,
        _ if alone() => Written::OwnLine,
        _ => Written::Loose,
    };
    Some((start, end, written))
}

/// The kind of secret that a value is, given its name and how it is written.
fn judged(name: &str, value: &str, written: Written) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let kind = if name.contains("pass") || name.contains("pwd") {
        "password"
    } else if name.ends_with("token") {
        "token"
    } else if name.ends_with("key") {
        "key"
    } else {
        "secret"
    };
    let has = |class: fn(&u8) -> bool| value.bytes().any(|it| class(&it));
    let (digit, letter) = (has(u8::is_ascii_digit), has(u8::is_ascii_alphabetic));
    let odd = value.bytes().any(|it| it.is_ascii_punctuation() && !b"._-/:".contains(&it));
    let mixed = digit && letter || odd || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    if is_placeholder(value) || value.len() < 3 || written != Written::Apart && is_code(value) {
        return None;
    }
    let secret = match (kind, written) {
        // Names of secrets and marks of pages are not secrets: `secret="grafana-tls"`, `page_token=…`.
        ("token", _) if is_position(&name) => false,
        ("secret" | "token" | "key", _) if is_label(value) => false,
        ("password", Written::Apart | Written::Tight) => true,
        ("password", Written::OwnLine) => value.len() >= 4,
        ("password", Written::Loose) => value.len() >= 6 && (digit || odd),
        ("token", _) => value.len() >= 8 && mixed && (digit || written == Written::Apart) && letter,
        (_, Written::Apart | Written::Tight | Written::OwnLine) => value.len() >= 6 && mixed,
        (_, Written::Loose) => value.len() >= 8 && digit && letter,
    };
    secret.then_some(kind)
}

/// `page_token`, `continue-token`, `cancellation_token`: where one is, not who one is.
fn is_position(name: &str) -> bool {
    ["page", "next", "continu", "cancel", "sync", "position", "num_", "max_"]
        .iter()
        .any(|it| name.contains(it))
}

/// Lower-case words and numbers joined by hyphens, underscores, dots or slashes, as objects are named, or the name of a
/// constant.
fn is_label(value: &str) -> bool {
    let constant = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_uppercase()) || it.len() <= 2;
    if value.contains('_') && value.split('_').all(constant) {
        return true;
    }
    let parts = || value.split(['-', '_', '.', '/', ':']);
    value.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-_./:".contains(&it))
        && parts().count() > 1
        && parts().all(|it| it.len() <= 16 && !it.bytes().all(|it| it.is_ascii_hexdigit()) || it.len() <= 8)
}

/// A call, a path of names, a generic type, a format: what stands for a value in source code.
fn is_code(value: &str) -> bool {
    let names = |it: &str| {
        it.split(['.', ':'])
            .all(|it| !it.starts_with(|it: char| it.is_ascii_digit()) && it.bytes().all(is_word))
    };
    let is_path = value.contains("::") || value.contains('.') && !value.bytes().any(|it| it.is_ascii_digit());
    value.contains('(') && !value.starts_with('(')
        || value.contains("->")
        || value.starts_with(['&', '*', '(', '[', '{', '<', '\\'])
        || value.starts_with("b\"")
        || value.contains('[') && value.ends_with('[')
        || is_path && names(value.trim_end_matches('.'))
}

fn is_word(it: u8) -> bool {
    it.is_ascii_alphanumeric() || it == b'_'
}

fn is_name(it: u8) -> bool {
    is_word(it) || matches!(it, b'.' | b'-')
}
