//! Is that the same person? When in doubt, yes.

/// Whether two names may be one person's. Identity providers and policies tell names apart to the letter; who looks at a
/// notification at night does not, so what differs in case alone, or in what surrounds it, is one person.
pub fn is_same_person(one: &str, other: &str) -> bool {
    folded(one) == folded(other)
}

/// How a name is compared and kept.
pub(crate) fn folded(name: &str) -> String {
    // `user+tag@host` reaches `user@host` at most mail providers.
    let name = name.trim().to_lowercase();
    match name.split_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split('+').next().unwrap_or(user)),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_equal_are_one_person() {
        for other in ["Alice@example.com", "alice@EXAMPLE.com", " alice@example.com ", "alice+2@example.com"]
        {
            assert!(is_same_person("alice@example.com", other), "{other}");
        }
        for other in ["alice@example.org", "alicia@example.com", "alice", ""] {
            assert!(!is_same_person("alice@example.com", other), "{other}");
        }
    }
}
