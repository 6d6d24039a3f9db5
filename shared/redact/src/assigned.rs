//! Which values are secret because of the name they are given? `password=…`, `"api_key": "…"`, `--token …`.
//!
//! Names alone would mask half of every source file, so a value must also look like one: not a placeholder, a type, a call
//! or a variable.

use std::{ops::Range, sync::LazyLock};

use regex::bytes::{Regex, RegexBuilder};

use super::{Span, is_marked, worked};

/// A name that ends in such a word, and what may stand between it and its value.
static NAMES: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?i)(passw(?:or)?d|pass|pwd|passphrase|passcode|secret|token|(?:api|access|auth|private|secret|signing|encryption|account|storage|master|license|shared)[_.-]?key|client-key-data|credentials?)[0-9]{0,2}(?:["'\]\\]{0,3}([ \t]{0,8}(?:=>|:=|={1,2}|:|>)[ \t]{0,8})|([ \t]{1,4}))"#;
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

/// Most bytes of a value that are looked at to judge it: what a secret is shows by its beginning.
const JUDGED_MAX: usize = 256;

/// Finds values under names that say they are secret; for texts that have one of [`NAME_STEMS`].
pub(super) fn scan(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut values = Values { bytes, line: Line::default(), run: 0..0 };
    while let Some(found) = NAMES.captures_at(bytes, from) {
        let (whole, word) =
            (found.get(0).map_or(0..0, |it| it.range()), found.get(1).map_or(0..0, |it| it.range()));
        worked(whole.end - from);
        from = whole.end;
        let named =
            word.start - bytes[..word.start].iter().rev().take(64).take_while(|it| is_name(**it)).count();
        let name = &bytes[named..word.end];
        let separator = found.get(2).map(|it| it.as_bytes());
        let allowed = match separator {
            None => name.starts_with(b"--"),
            Some(it) if it.ends_with(b">") && !it.contains(&b'=') => bytes[..named].ends_with(b"<"),
            // `Token::Bearer` is a path of names.
            Some(it) => !(it.ends_with(b":") && bytes.get(whole.end) == Some(&b':')),
        };
        if !allowed || !is_name_end(bytes, &word) {
            continue;
        }
        let (start, end, written) = values.at(named, whole.end, separator);
        let secret = String::from_utf8_lossy(&bytes[start..end.min(start + JUDGED_MAX)]);
        worked(secret.len());
        if let Some(kind) = judged(&String::from_utf8_lossy(name), &secret, written) {
            spans.push(Span { start, end, kind });
            from = end;
        }
        if from >= bytes.len() {
            return;
        }
    }
    worked(bytes.len() - from);
}

/// The kind of secret that a value is that stands alone under a name.
pub(super) fn holds_secret(name: &str, value: &str) -> Option<&'static str> {
    if !has_stem(name) {
        return None;
    }
    let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let with_value = format!("{stem}=");
    let found = NAMES.captures(with_value.as_bytes())?;
    let word = found.get(1).map_or(0..0, |it| it.range());
    let ends = found.get(0).is_some_and(|it| it.end() == with_value.len());
    (ends && is_name_end(with_value.as_bytes(), &word))
        .then(|| judged(stem, value.trim(), Written::Apart))
        .flatten()
}

/// Whether a word that was found ends a name: `pass` alone is one only as a word of its own, `DB_PASS` and `smtpPass`, and
/// not in `compass`.
fn is_name_end(bytes: &[u8], word: &Range<usize>) -> bool {
    let before = word.start.checked_sub(1).map_or(b'_', |it| bytes[it]);
    word.len() != PASS.len()
        || !bytes[word.clone()].eq_ignore_ascii_case(PASS)
        || !before.is_ascii_alphanumeric()
        || bytes[word.clone()].starts_with(b"Pa")
}

const PASS: &[u8] = b"pass";

/// Whether [`NAMES`] could find anything in a name: most have none of its words, and searching is dearer than looking.
pub(super) fn has_stem(name: &str) -> bool {
    let name = name.as_bytes();
    let begins = |rest: &[u8]| {
        NAME_STEMS
            .iter()
            .any(|stem| rest.get(..stem.len()).is_some_and(|it| it.eq_ignore_ascii_case(stem.as_bytes())))
    };
    // Most letters begin none of them.
    name.iter().enumerate().any(|(at, it)| {
        matches!(it.to_ascii_lowercase(), b'p' | b's' | b't' | b'k' | b'c') && begins(&name[at..])
    })
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
    let lower = bare.to_ascii_lowercase();
    // `your-token` and `xxx-xxx`, and not what merely begins so.
    let alone = |rest: &str| !rest.starts_with(|it: char| it.is_ascii_alphanumeric());
    bare.is_empty()
        || PLACEHOLDERS.split_ascii_whitespace().any(|it| it == lower)
        || repeated(bare)
        || is_variable(bare)
        || lower.strip_prefix("your").is_some_and(alone)
        || lower.strip_prefix("xxx").is_some_and(|it| alone(it.trim_start_matches('x')))
        || bare.starts_with('<')
        || bare.starts_with("{{")
        || bare.starts_with('%') && bare.len() <= 3
        || is_marked(value)
        || value.chars().all(|it| it.is_ascii_punctuation() || it == '•' || it == '…')
}

/// `$NAME`, `$name`, `$1`, `${…}` and `$(…)`; `$ecretPass99` only begins like one.
fn is_variable(value: &str) -> bool {
    let Some(name) = value.strip_prefix('$') else { return false };
    let plain = |it: char| it.is_ascii_alphanumeric() || "_.-:/ ".contains(it);
    if name.starts_with(['{', '(']) {
        return name.trim_start_matches(['{', '(']).trim_end_matches(['}', ')']).chars().all(plain);
    }
    let all = |class: fn(u8) -> bool| name.bytes().all(|it| class(it) || it == b'_');
    let starts = name.bytes().next().is_some_and(|it| !it.is_ascii_digit());
    starts && (all(|it| it.is_ascii_uppercase() || it.is_ascii_digit()) || all(|it| it.is_ascii_lowercase()))
        || (1..=2).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_digit())
}

/// Finds where values stand. Asked from left to right, it looks at each byte a bounded number of times.
struct Values<'a> {
    bytes: &'a [u8],
    line: Line,
    /// The last value that was not in quotes: the next may be the rest of it.
    run: Range<usize>,
}

/// A line, and what of it is neither white space nor the marks of a list or a difference.
#[derive(Default)]
struct Line {
    start: usize,
    end: usize,
    indent: usize,
    content: usize,
}

impl Values<'_> {
    /// Where the value stands that follows a name, and how it is written.
    fn at(&mut self, named: usize, mut start: usize, separator: Option<&[u8]>) -> (usize, usize, Written) {
        let bytes = self.bytes;
        let quote = bytes.get(start).copied().filter(|it| matches!(it, b'"' | b'\'' | b'`'));
        if let Some(quote) = quote {
            start += 1;
            let mut end = start;
            while let Some(it) = bytes.get(end).filter(|it| **it != quote && **it != b'\n') {
                end += if *it == b'\\' && bytes.get(end + 1).is_some_and(|it| *it != b'\n') { 2 } else { 1 };
            }
            worked(end - start);
            return (start, end.min(bytes.len()), Written::Apart);
        }
        if !self.run.contains(&start) {
            let stop = |it: &u8| it.is_ascii_whitespace() || b"\"'`,;&<>)}]|".contains(it);
            let length = bytes[start..].iter().take_while(|it| !stop(it)).count();
            worked(length);
            self.run = start..start + length;
        }
        let end = self.run.end;
        let written = match separator {
            Some(it) if !it.contains(&b' ') && !it.contains(&b'\t') => Written::Tight,
            _ if self.is_alone(named, end) => Written::OwnLine,
            _ => Written::Loose,
        };
        (start, end, written)
    }

    /// Whether a name and its value are all there is on their line.
    fn is_alone(&mut self, named: usize, end: usize) -> bool {
        if !(self.line.start..=self.line.end).contains(&named) || self.line.end == 0 {
            self.line = Line::around(self.bytes, named);
        }
        named <= self.line.indent && end >= self.line.content
    }
}

impl Line {
    fn around(bytes: &[u8], at: usize) -> Line {
        let start = bytes[..at].iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let end = bytes[at..].iter().position(|it| *it == b'\n').map_or(bytes.len(), |it| at + it);
        let line = &bytes[start..end];
        let indent = start + line.iter().take_while(|it| b" \t-+\"'".contains(it)).count();
        worked(end - start);
        Line { start, end, indent, content: start + line.trim_ascii_end().len() }
    }
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
    let bare_pass = name == "pass" && !mixed && value.len() < 8;
    let secret = match (kind, written) {
        // `pass=12`, `pass: 99.5%`, `"pass": "inline"`: what passed, and the passes of a compiler.
        ("password", _) if name.ends_with("pass") && (bare_pass || is_count(value)) => false,
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

/// A number as it stands in a summary.
fn is_count(value: &str) -> bool {
    value.bytes().all(|it| it.is_ascii_digit() || b".,:/%".contains(&it))
        && value.bytes().filter(u8::is_ascii_digit).count() < 6
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_stem_anywhere_in_any_case_is_found() {
        for stem in NAME_STEMS {
            let upper = stem.to_ascii_uppercase();
            for name in [stem.to_owned(), format!("my_{upper}"), format!("{stem}s"), format!("x{stem}y")] {
                assert!(has_stem(&name), "{name}");
            }
            assert!(!has_stem(&stem[1..]) && !has_stem(&stem[..stem.len() - 1]), "{stem}");
        }
    }
}
