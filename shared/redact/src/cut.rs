//! How is a text shortened that nobody has masked yet? Masked while it is whole, so that no secret loses the half, or the
//! name, by which it is known. Personal details stay, whole: the gate masks them unless policy reveals them.

use std::ops::Range;

use super::{PASSES_MAX, Redactor, Span, mark, redact};

/// Looked at before and after what is shown, in bytes: what makes a secret of it stands nearby.
const AROUND: usize = 4096;
/// Characters shown before the place that an excerpt is about, of so many.
const BEFORE: usize = 4;

/// The first characters of a text, with a sign that there was more. A text that is not too long is left as it is: the gate
/// masks it.
pub fn short(text: &str, most: usize) -> String {
    excerpt(text, 0, most)
}

/// The characters of a text around one of its bytes, with signs that there was more.
pub fn excerpt(text: &str, at: usize, most: usize) -> String {
    if text.len() <= most || text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let at = text.floor_char_boundary(at.min(text.len()));
    let bytes = 4 * most + AROUND;
    let window =
        text.ceil_char_boundary(at.saturating_sub(bytes))..text.floor_char_boundary(at.saturating_add(bytes));
    let continues = window.start > 0;
    let (masked, at) = masked(&text[window.clone()], at - window.start, continues);
    let shown = shown(&masked, at, most);
    let before = if continues || shown.start > 0 { "…" } else { "" };
    let after = if window.end < text.len() || shown.end < masked.len() { "…" } else { "" };
    format!("{before}{}{after}", &masked[shown])
}

/// Beginning and end of a text that is too long, with a sign of how much is missing between, everything in it masked.
pub fn abridged(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let masked = redact(&text, false).0;
    let start = masked.floor_char_boundary(most / 2);
    let end = masked.ceil_char_boundary(masked.len().saturating_sub(most / 2).max(start));
    match &masked[start..end] {
        "" => masked.into_owned(),
        gone => format!("{}…[{} bytes left out]…{}", &masked[..start], gone.len(), &masked[end..]),
    }
}

/// A text without its secrets, and where a place of it is then.
fn masked(text: &str, at: usize, continues: bool) -> (String, usize) {
    let (mut text, mut at) = (text.to_owned(), at);
    let mut redactor = if continues { Redactor::continuing(true) } else { Redactor::new(true) };
    for _ in 0..PASSES_MAX {
        let spans = redactor.spans(&text);
        if spans.is_empty() {
            break;
        }
        let place = moved(&spans, at);
        text = redactor.mask(&text, &spans);
        at = text.floor_char_boundary(place.min(text.len()));
        redactor = Redactor::new(true);
    }
    (text, at)
}

/// Where a place is once spans are masked; the mark, if it is in one.
fn moved(spans: &[Span], at: usize) -> usize {
    let mut place = at;
    for span in spans.iter().take_while(|it| it.start <= at) {
        let gone = span.end.min(at) - span.start;
        let mark = if span.end <= at { mark(span.kind).len() } else { 0 };
        place = (place + mark).saturating_sub(gone);
    }
    place
}

/// What of a text without secrets is shown: no more than so many characters, unless an address is longer, and no address,
/// card number or mark in part.
fn shown(text: &str, at: usize, most: usize) -> Range<usize> {
    let back = |from: usize, count: usize| {
        text[..from].char_indices().rev().take(count).last().map_or(from, |it| it.0)
    };
    let on = |from: usize, count: usize| {
        text[from..].char_indices().nth(count).map_or(text.len(), |it| from + it.0)
    };
    let wholes = wholes(text);
    let within = |place: usize| wholes.iter().find(|it| it.start < place && place < it.end).cloned();
    let mut start = back(at, most / BEFORE);
    if on(start, most) == text.len() {
        start = back(text.len(), most);
    }
    let start = within(start).map_or(start, |it| if it.end > at { it.start } else { it.end });
    let end = on(start, most);
    let end = within(end).map_or(end, |it| if it.start > start { it.start } else { it.end });
    start..end
}

/// What is told whole or not at all: personal details, and marks of what was masked.
fn wholes(text: &str) -> Vec<Range<usize>> {
    let spans = Redactor::new(false).spans(text);
    let marks = text.match_indices("[secret: ").filter_map(|(at, _)| {
        let end = text[at..].bytes().take(64).position(|it| it == b']')?;
        Some(at..at + end + 1)
    });
    spans.iter().map(|it| it.start..it.end).chain(marks).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_masked_before_a_text_is_cut() {
        let dsn = "postgres://shop:hunter2-very-long-passw0rd@db.internal.example/shop";
        let line = format!(
            "{{\"x\":\"{}\",\"db_password\":\"hunter2-very-secret-passw0rd\",\"region\":\"eu\",\"y\":\"{}\"}}",
            "a ".repeat(300),
            "b ".repeat(300)
        );
        for most in 8..200 {
            for at in 0..dsn.len() {
                let told = excerpt(&format!("{dsn} {}", "z ".repeat(100)), at, most);
                assert!(!told.contains("hunter2") && !told.contains("passw0rd"), "{told}");
            }
            let told = excerpt(&line, line.find("region").expect("it is there"), most);
            assert!(!told.contains("hunter2") && !told.contains("passw0rd"), "{told}");
        }
        let told = excerpt(&line, line.find("region").expect("it is there"), 60);
        assert!(told.starts_with("…\",\"region\":\"eu\"") && told.ends_with('…'), "{told}");
    }

    #[test]
    fn an_address_stays_whole_so_that_policy_may_reveal_it() {
        let text = format!("told bob.jones@example.com about {}", "it ".repeat(40));
        for most in 1..60 {
            let told = short(&text, most);
            assert!(!told.contains("bob") || told.contains("bob.jones@example.com"), "{told}");
        }
        assert_eq!(short(&text, 30), "told bob.jones@example.com abo…");
        assert_eq!(short(&text, 12), "told …");
    }

    #[test]
    fn what_fits_is_left_to_the_gate() {
        assert_eq!(short("password=hunter2", 16), "password=hunter2");
        assert_eq!(short("password=hunter2", 15), "password=…");
        assert_eq!(short("größer", 6), "größer");
        assert_eq!(short("größer", 3), "grö…");
    }

    #[test]
    fn a_key_that_begins_before_what_is_shown_is_masked() {
        let body = "MIIEpAIBAAKCAQEA1x5Qm3Vh8cT0yZpLk2WnR7uJdE4sFgHbNqXoCvPiAaBtYwMz\\n".repeat(20);
        let text =
            format!("{{\"key\":\"-----BEGIN PRIVATE KEY-----\\n{body}-----END PRIVATE KEY-----\\n\"}}");
        for at in (0..text.len()).step_by(7) {
            assert!(!excerpt(&text, at, 100).contains("MIIE"), "{at}: {}", excerpt(&text, at, 100));
        }
    }

    proptest! {
        #[test]
        fn an_excerpt_is_as_short_as_it_should_be_and_holds_no_secret(before in "[a-zé漢 ,:\"]{0,300}", after in "[ ,\"][a-zé漢 ,:\"]{0,300}", at in 0..800_usize, most in 1..200_usize) {
            let token = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5");
            let text = format!("{before} {token}{after}");
            let told = excerpt(&text, at, most);
            prop_assert!(told == text || !told.contains(&token[..8]) && !told.contains(&token[30..]), "{}", told);
            prop_assert!(told == text || told.chars().count() <= most.max(24) + 2, "{}", told);
        }
    }
}
