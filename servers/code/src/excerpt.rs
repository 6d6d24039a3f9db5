//! How much of a long line may be told, so that no secret in it loses the half, or the name, by which it is known? It is
//! masked while it is whole, as far as around what is shown.

use std::borrow::Cow;

/// Longer lines are not shown whole.
const WHOLE_MAX: usize = 160;
/// Of a line, what is looked at before and after what is shown.
const AROUND_BYTES: usize = 8 * 1024;

/// What is shown of a line: all of it, or what stands around the match that starts at a byte of it.
pub(crate) fn around(line: &[u8], start: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = start.min(line.len());
    let indent = line.iter().take_while(|it| it.is_ascii_whitespace()).count().min(start);
    let from = start.saturating_sub(AROUND_BYTES).max(indent);
    let to = line.len().min(start + AROUND_BYTES);
    let (before, after) = (lossy(&line[from..start]), lossy(&line[start..to]));
    redact::excerpt(&format!("{before}{after}"), before.len(), WHOLE_MAX).trim_end().to_owned()
}

/// The start of a text, of so many characters at most.
pub(crate) fn beginning(text: &[u8], most: usize) -> String {
    let window = &text[..text.len().min(4 * most + AROUND_BYTES)];
    redact::short(&lossy(window), most)
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str, wanted: &str) -> String {
        around(line.as_bytes(), line.find(wanted).expect("it is there"))
    }

    #[test]
    fn no_secret_is_shown_without_what_it_is_known_by() {
        let far = "x, ".repeat(60);
        for (before, value) in [
            ("\"db_password\":\"", "hunter2-very-secret-passw0rd\","),
            ("Authorization: Basic ", "aHVudGVyMjpodW50ZXIy "),
            ("curl -H 'cookie: session=", "0123456789abcdef; b=c' "),
            ("AKIAIOSFODNN7EXAMPLE, ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY12AMPLEKEY, "),
            ("password: 'correct horse, ", "battery staple', "),
        ] {
            let line = format!("{far}{before}{value}\"region\":\"eu-1\", {far}");
            for wanted in ["region", &value[..6], &value[value.len() / 2..]] {
                let told = found(&line, wanted);
                let known = &value[value.len() / 3..value.len() * 2 / 3];
                assert!(!told.contains(known), "{wanted}: {told}");
            }
            assert!(found(&line, "region").contains("\"region\":\"eu-1\""), "{}", found(&line, "region"));
        }
    }

    #[test]
    fn no_secret_is_cut_in_two() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let line = format!("{} {token} {}", "word ".repeat(33), "more ".repeat(60));
        for wanted in ["word", "ghp_", "more"] {
            let told = found(&line, wanted);
            assert!(!told.contains("ghp_") && !told.contains("a1B2"), "{told}");
        }
        assert_eq!(beginning(format!("say {token}").as_bytes(), 20), "say …");
        assert_eq!(beginning(token.as_bytes(), 100), token, "the gate masks what is not cut");
        assert_eq!(beginning(b"card 4111 1111 1111 1111 is", 14), "card …");
    }

    #[test]
    fn a_long_line_without_secrets_is_shown_around_its_match() {
        let line = format!("{}, needle, {}", "call(a), ".repeat(50), "call(b), ".repeat(50));
        let told = found(&line, "needle");
        assert!(told.starts_with('…') && told.contains(", needle, call(b)") && told.ends_with('…'), "{told}");
        assert_eq!(told.chars().count(), WHOLE_MAX + 2, "{told}");
        assert_eq!(around(b"  short\r", 2), "short");
        let line = format!("{}店{}", "鍵".repeat(9_000), "鍵".repeat(9_000));
        let told = found(&line, "店");
        assert!(told.contains('店') && !told.contains('\u{fffd}'), "{told}");
        let long = "鍵".repeat(40_000);
        for most in [1, 160, 2_000] {
            assert_eq!(beginning(long.as_bytes(), most).chars().count(), most + 1);
        }
    }
}
