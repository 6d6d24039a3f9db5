//! Of which file is one a copy? Editors, people and programs put a mark behind the name, and the secrets stay in it.

/// Endings of copies, under which the original's rule holds.
const COPIES: [&str; 13] = [
    "~",
    ".bak",
    ".backup",
    ".old",
    ".orig",
    ".save",
    ".swp",
    ".swo",
    ".tmp",
    ".copy",
    ".disabled",
    ".txt",
    "copy",
];

/// Copies of copies.
const NAMES_MAX: usize = 16;

/// A file's name, and those of which it may be a copy, one ending after the other taken off: `tls.key.bak-2024`,
/// `tls.key.bak`, `tls.key`.
pub(super) fn without_copies(name: &str) -> Vec<&str> {
    let mut names = vec![name, bare(name)];
    loop {
        let name = names[names.len() - 1];
        let shorter = match COPIES.iter().find_map(|it| name.strip_suffix(it)) {
            Some(shorter) => shorter,
            None => name.trim_end_matches(|it: char| it.is_ascii_digit()),
        };
        let shorter = shorter.trim_end_matches(['-', '_', '.', ' ', '(', ')', '#', '~', ':']);
        if shorter == name || shorter.is_empty() || names.len() >= NAMES_MAX {
            return names;
        }
        names.push(shorter);
    }
}

/// A name without the marks that editors put around it while they have it open.
pub(super) fn bare(name: &str) -> &str {
    let name = name.trim_matches('#');
    name.strip_prefix(".#").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ending_after_the_other_is_taken_off() {
        assert_eq!(
            without_copies("tls.key.bak-2024"),
            ["tls.key.bak-2024", "tls.key.bak-2024", "tls.key.bak", "tls.key"]
        );
        assert_eq!(without_copies("#a.pem#").last(), Some(&"a.pem"));
        assert_eq!(without_copies(".#a.pem").last(), Some(&"a.pem"));
        for name in ["", "#", "2024", "(1)", ".bak", "a"] {
            assert!(!without_copies(name).is_empty(), "{name}");
        }
    }
}
