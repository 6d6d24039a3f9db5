//! Where a file stands in a repository, in its one spelling.

use serde::Serialize;

use super::shown;

/// Path from the repository's root: components joined by single slashes, none of them `.`, `..` or `.git`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RepositoryPath(String);

const BYTES_MAX: usize = 1024;

impl RepositoryPath {
    /// Refuses every other spelling, saying the right one where there is one.
    pub(crate) fn parse(text: &str) -> Result<RepositoryPath, String> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(format!("expected a path of 1 to {BYTES_MAX} bytes, got {}", text.len()));
        }
        if let Some(bad) = text.chars().find(|it| it.is_control()) {
            return Err(format!("expected no control characters, got U+{:04X}", u32::from(bad)));
        }
        let slashed = text.replace('\\', "/");
        let mut components: Vec<&str> = Vec::new();
        for component in slashed.split('/') {
            match component {
                "" | "." => {}
                ".." if components.pop().is_none() => {
                    return Err(format!(
                        "`{}` leaves the repository; write the path from its root",
                        shown(text)
                    ));
                }
                ".." => {}
                _ => components.push(component),
            }
        }
        if components.iter().any(|it| it.eq_ignore_ascii_case(".git")) {
            return Err(format!("`{}` is git's own folder, not part of what it keeps", shown(text)));
        }
        let right = components.join("/");
        if right == text {
            return Ok(RepositoryPath(right));
        }
        match right.is_empty() {
            true => Err(format!("`{}` is the repository's root; write what is in it", shown(text))),
            false => Err(format!(
                "write the path from the repository's root, plainly: `{}` instead of `{}`",
                shown(&right),
                shown(text)
            )),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_one_spelling_and_the_refusal_of_another_says_it() {
        for (other, right) in [
            ("./src/a.rs", "src/a.rs"),
            ("/src/a.rs", "src/a.rs"),
            ("src//a.rs", "src/a.rs"),
            ("src/./a.rs", "src/a.rs"),
            ("src/b/../a.rs", "src/a.rs"),
            ("src/", "src"),
            ("src\\a.rs", "src/a.rs"),
        ] {
            let problem = RepositoryPath::parse(other).expect_err(other);
            assert!(problem.contains(&format!("`{right}` instead of")), "{problem}");
        }
    }

    #[test]
    fn a_path_stays_inside_and_out_of_gits_own_folder() {
        for wrong in
            ["", "..", "../x", "a/../../x", "/", ".", "a\0b", "a\nb", ".git/config", "a/.GIT/hooks/x"]
        {
            assert!(RepositoryPath::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(
            RepositoryPath::parse("../etc/passwd").expect_err("outside").contains("leaves the repository")
        );
        assert!(RepositoryPath::parse(&"a".repeat(2000)).is_err());
        assert!(RepositoryPath::parse(".github/CODEOWNERS").is_ok());
        assert!(RepositoryPath::parse("a b/ü…/x.tar.gz").is_ok());
    }

    proptest! {
        #[test]
        fn a_path_that_parses_is_kept_as_it_is(text in "[a./\\\\-]{0,14}") {
            if let Ok(path) = RepositoryPath::parse(&text) {
                prop_assert_eq!(path.text(), text.as_str());
                prop_assert!(text.split('/').all(|it| !matches!(it, "" | "." | "..")));
            }
        }
    }
}
