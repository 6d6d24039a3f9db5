//! How do names and paths appear in what a person reads?

use std::path::Path;

/// Nearest of the words one may have meant.
pub(crate) fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    let far = (wanted.chars().count() / 3).clamp(1, 3);
    let by_distance = known.iter().map(|it| (strsim::damerau_levenshtein(wanted, it), *it));
    by_distance.filter(|(distance, _)| *distance <= far).min().map(|(_, it)| it)
}

/// `unknown key "urll"; did you mean "url"?`
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let name = clean(name);
    match nearest(&name, known) {
        Some(near) => format!("unknown {what} \"{name}\"; did you mean \"{near}\"?"),
        None => format!("unknown {what} \"{name}\"; known: {}", list(known)),
    }
}

/// `a, b, c`
pub(crate) fn list(words: &[&str]) -> String {
    words.join(", ")
}

/// A path for people.
pub(crate) fn path(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

/// Text that others wrote, such as a file name or a rule, without what would move a terminal's cursor or hide letters.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match hides(letter) {
            true => clean.extend(letter.escape_unicode()),
            false => clean.push(letter),
        }
    }
    clean
}

/// Whether a letter moves a terminal's cursor, is not seen, or changes how others are seen. Line feed and tab do too.
pub fn hides(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a text is a connection's name: 1 to 63 of `a-z`, `0-9` and `-`.
pub(crate) fn is_slug(text: &str) -> bool {
    let valid = |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(valid)
}

/// Whether a text is a word that policies may use: 1 to 63 ASCII letters, digits, `.`, `_` and `-`.
pub(crate) fn is_word(text: &str) -> bool {
    let valid = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(valid)
}

/// Whether a text names an agent or a person: 1 to 128 of ASCII letters, digits and `.` `_` `-` `@` `+`.
pub(crate) fn is_principal(text: &str) -> bool {
    let valid = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-' | b'@' | b'+');
    (1..=128).contains(&text.len()) && text.bytes().all(valid)
}

/// Whether a text names a caller as tokens may: also with `:` and `/`, as in `system:serviceaccount:shop:deployer`.
pub(crate) fn is_caller(text: &str) -> bool {
    is_principal(&text.replace([':', '/'], "-"))
}

/// A name out of any text: `Web Shop.git` becomes `web-shop-git`.
pub(crate) fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in text.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9') => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(63);
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}
