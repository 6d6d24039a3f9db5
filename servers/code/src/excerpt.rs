//! How much of a long line may be told, so that a secret in it is still known for one? What masks text on the way out knows
//! secrets by their form and by the name before them: a word is never cut in two, nor a value from its name.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Longer lines are not shown whole.
const WHOLE_BYTES_MAX: usize = 160;
/// Shown before a match, when nothing there says that what follows is secret.
const BEFORE_BYTES: usize = 40;
/// Longer words are left out.
const WORD_BYTES_MAX: usize = 256;
/// Shown before a match, when something there does.
const TELLING_BYTES_MAX: usize = 1024;

/// What makes a secret of what follows it, in any case: parts of names, marks of schemes, an identity beside its secret.
static TELLING: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?i)pass|pwd|secret|token|key|credential|auth|bearer|cookie|aws|akia|asia|://";
    RegexBuilder::new(words).unicode(false).build().expect("a constant that a test compiles")
});

/// What is shown of a line: all of it, or what stands around the match that starts at a byte of it.
pub(crate) fn around(line: &[u8], start: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = start.min(line.len());
    let indent = line.iter().take_while(|it| it.is_ascii_whitespace()).count().min(start);
    if line.len() - indent <= WHOLE_BYTES_MAX {
        return String::from_utf8_lossy(&line[indent..]).trim_end().to_owned();
    }
    match shown(line, indent, start) {
        Some((from, to)) => {
            let (before, after) = (mark(from > indent), mark(to < line.len()));
            format!("{before}{}{after}", String::from_utf8_lossy(&line[from..to]).trim())
        }
        None => format!("[not shown: byte {} of a line of {}]", start + 1, line.len()),
    }
}

/// The start of a text, of so many bytes at most.
pub(crate) fn beginning(text: &[u8], most: usize) -> String {
    if text.len() <= most {
        return String::from_utf8_lossy(text).into_owned();
    }
    let end = (1..=most).rev().find(|it| is_between_words(text, *it)).unwrap_or(0);
    format!("{}…", String::from_utf8_lossy(&text[..end]).trim_end())
}

/// Which bytes of a long line are shown; none when a match is too far behind what says that it may be secret.
fn shown(line: &[u8], indent: usize, start: usize) -> Option<(usize, usize)> {
    let near = start.saturating_sub(BEFORE_BYTES).max(indent);
    let from = match TELLING.is_match(&line[indent..start]) {
        true => indent,
        false => {
            let least = near.saturating_sub(WORD_BYTES_MAX).max(indent);
            (least..=near).rev().find(|it| *it == indent || is_between_words(line, *it))?
        }
    };
    if start - from > TELLING_BYTES_MAX {
        return None;
    }
    let to = end_of(line, start, (from + WHOLE_BYTES_MAX).max(start + BEFORE_BYTES));
    (to > start || start == line.len()).then_some((from, to))
}

/// Where what is shown ends: after the last word before `most`, or after a longer one that starts there.
fn end_of(text: &[u8], start: usize, most: usize) -> usize {
    if most >= text.len() {
        return text.len();
    }
    let is_end = |it: &usize| is_between_words(text, *it);
    let before = (start + 1..=most).rev().find(is_end);
    before.or_else(|| (most..=text.len().min(most + WORD_BYTES_MAX)).find(is_end)).unwrap_or(start)
}

/// Whether no word, address or number reaches over this place.
fn is_between_words(text: &[u8], at: usize) -> bool {
    let (Some(before), Some(after)) = (at.checked_sub(1).and_then(|it| text.get(it)), text.get(at)) else {
        return true;
    };
    let parts = |it: &u8| it.is_ascii_whitespace() || !it.is_ascii() || b",;\"'`()[]{}<>|".contains(it);
    let in_character = (0x80..0xC0).contains(after);
    if in_character || (!parts(before) && !parts(after)) {
        return false;
    }
    // Card numbers are written in groups.
    let digit = |it: usize| text.get(it).is_some_and(u8::is_ascii_digit);
    let in_number = (*before == b' ' && at >= 2 && digit(at - 2) && digit(at))
        || (*after == b' ' && digit(at - 1) && digit(at + 1));
    !in_number
}

fn mark(is_cut: bool) -> &'static str {
    if is_cut { "…" } else { "" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(line: &str, wanted: &str) -> String {
        around(line.as_bytes(), line.find(wanted).expect("it is there"))
    }

    #[test]
    fn a_value_is_never_shown_without_the_name_that_makes_it_a_secret() {
        let far = "x, ".repeat(60);
        for (before, value) in [
            ("\"db_password\":\"", "hunter2-very-secret-passw0rd\","),
            ("Authorization: Basic ", "aHVudGVyMjpodW50ZXIy "),
            ("curl -H 'cookie: session=", "0123456789abcdef; b=c' "),
            ("AKIAIOSFODNN7EXAMPLE, ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY, "),
            ("password: 'correct horse, ", "battery staple', "),
        ] {
            let line = format!("{far}{before}{value}\"region\":\"eu-1\", {far}");
            for wanted in ["region", &value[..6], &value[value.len() / 2..]] {
                let told = found(&line, wanted);
                assert!(!told.contains(value) || told.contains(before), "{wanted}: {told}");
                assert!(told.starts_with('x') || told.starts_with('['), "{wanted}: {told}");
            }
        }
        let line = format!("password=1; {}region", "x; ".repeat(600));
        assert_eq!(found(&line, "region"), "[not shown: byte 1813 of a line of 1818]");
    }

    #[test]
    fn a_word_is_never_cut_in_two() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let line = format!("{} {token} {}", "word ".repeat(33), "more ".repeat(60));
        for wanted in ["word", "ghp_", "more"] {
            let told = found(&line, wanted);
            assert!(told.contains(&token) || !told.contains("ghp_") && !told.contains("a1B2"), "{told}");
        }
        let blob = "0a".repeat(5_000);
        assert!(around(blob.as_bytes(), 3_000).starts_with("[not shown"));
        assert_eq!(beginning(format!("say {token}").as_bytes(), 20), "say…");
        assert_eq!(beginning(token.as_bytes(), 100), token);
        assert_eq!(beginning(b"card 4111 1111 1111 1111", 14), "card…");
    }

    #[test]
    fn a_long_line_without_secrets_is_shown_around_its_match() {
        let line = format!("{}, needle, {}", "call(a), ".repeat(50), "call(b), ".repeat(50));
        let told = found(&line, "needle");
        assert!(told.starts_with('…') && told.contains(", needle, call(b)") && told.ends_with('…'), "{told}");
        assert!(told.len() < 2 * WHOLE_BYTES_MAX, "{told}");
        assert_eq!(around(b"  short\r", 2), "short");
        let told = found(&format!("{}店{}", "鍵".repeat(300), "鍵".repeat(300)), "店");
        assert!(told.contains('店') && !told.contains('\u{fffd}'), "{told}");
    }

    proptest! {
        #[test]
        fn every_word_that_is_shown_is_a_word_of_the_line(words in proptest::collection::vec("[a-z0-9:/.=-]{1,30}", 20..80), at in 0_usize..500) {
            let line = words.join(" ");
            let told = around(line.as_bytes(), at.min(line.len()));
            let told = told.trim_matches('…');
            prop_assert!(told.starts_with("[not shown") || told.split(' ').all(|it| words.iter().any(|word| word == it)), "{}", told);
            let told = beginning(line.as_bytes(), 60);
            prop_assert!(told.trim_matches('…').split(' ').filter(|it| !it.is_empty()).all(|it| words.iter().any(|word| word == it)), "{}", told);
        }
    }
}
