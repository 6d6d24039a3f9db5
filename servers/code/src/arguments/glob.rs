//! Which paths are meant? Folders and names from the root, `*.rs` anywhere, `!` for what is not.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Serialize;

use super::shown;

/// One wish: `src/`, `*.rs`, `api/**/v2.proto`, `!tests/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Glob(String);

/// Several wishes together.
pub(crate) struct Globs {
    wanted: Option<GlobSet>,
    unwanted: GlobSet,
}

const BYTES_MAX: usize = 250;
/// Wishes in one call.
pub(crate) const GLOBS_MAX: usize = 20;

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Glob, String> {
        let right = "expected a path or glob from the repository's root like `src/`, `*.rs` or `!tests/`";
        let body = text.strip_prefix('!').unwrap_or(text);
        let is_plain = !body.is_empty()
            && text.len() <= BYTES_MAX
            && !body.starts_with(['/', '!'])
            && !body.contains('\\')
            && !body.contains(char::is_control)
            && body.trim_end_matches('/').split('/').all(|it| !matches!(it, "" | "." | ".."));
        let glob = Glob(text.to_owned());
        match is_plain && glob.globs().into_iter().all(|it| built(&it).is_some()) {
            true => Ok(glob),
            false => Err(format!("{right}, got `{}`", shown(text))),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The folder that holds all it can match; empty for the root.
    pub(crate) fn root(&self) -> &str {
        let body = self.body();
        if !body.contains('/') && is_pattern(body) {
            return "";
        }
        match body.find(['*', '?', '[', '{']) {
            Some(at) => body[..at].rsplit_once('/').map_or("", |it| it.0),
            None => body.trim_end_matches('/'),
        }
    }

    /// Whether it names one place and no pattern.
    pub(crate) fn is_plain(&self) -> bool {
        !is_pattern(self.body()) && !self.is_unwanted()
    }

    pub(crate) fn is_unwanted(&self) -> bool {
        self.0.starts_with('!')
    }

    fn body(&self) -> &str {
        self.0.strip_prefix('!').unwrap_or(&self.0)
    }

    fn globs(&self) -> Vec<String> {
        let body = self.body();
        let trimmed = body.trim_end_matches('/');
        let mut globs = Vec::new();
        if is_pattern(trimmed) {
            // Some paths read like patterns, as `app/[id]/page.tsx` does: what is called just so is meant too.
            let literal = globset::escape(trimmed);
            globs.extend((!body.ends_with('/')).then(|| literal.clone()));
            globs.push(format!("{literal}/**"));
        }
        let root = if is_pattern(trimmed) && !trimmed.contains('/') { "**/" } else { "" };
        globs.extend(match trimmed {
            it if it.ends_with("**") => vec![format!("{root}{it}")],
            it if body.ends_with('/') => vec![format!("{root}{it}/**")],
            it => vec![format!("{root}{it}"), format!("{root}{it}/**")],
        });
        globs
    }
}

impl Globs {
    /// Without a wish for something, everything is wanted but what is not.
    pub(crate) fn of(globs: &[Glob]) -> Globs {
        let set = |is_unwanted: bool| {
            let mut set = GlobSetBuilder::new();
            let meant = globs.iter().filter(|it| it.is_unwanted() == is_unwanted);
            meant.flat_map(Glob::globs).filter_map(|it| built(&it)).for_each(|it| {
                set.add(it);
            });
            // Each was built alone when it was parsed; what is too large together matches nothing.
            set.build().unwrap_or_else(|_| GlobSet::empty())
        };
        let has_wishes = globs.iter().any(|it| !it.is_unwanted());
        Globs { wanted: has_wishes.then(|| set(false)), unwanted: set(true) }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.wanted.as_ref().is_none_or(|it| it.is_match(path)) && !self.unwanted.is_match(path)
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn built(glob: &str) -> Option<globset::Glob> {
    GlobBuilder::new(glob).literal_separator(true).build().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(globs: &[&str], path: &str) -> bool {
        let globs: Vec<Glob> = globs.iter().map(|it| Glob::parse(it).expect("a glob")).collect();
        Globs::of(&globs).matches(path)
    }

    #[test]
    fn names_stand_from_the_root_and_patterns_without_a_folder_anywhere() {
        for (globs, path, expected) in [
            (&[][..], "a/b", true),
            (&["src/"], "src/a.rs", true),
            (&["src"], "src/a/b.rs", true),
            (&["src/"], "lib/src/a.rs", false),
            (&["src/a.rs"], "src/a.rs", true),
            (&["*.rs"], "src/a/b.rs", true),
            (&["src/*.rs"], "src/a/b.rs", false),
            (&["src/**/*.rs"], "src/a/b.rs", true),
            (&["src/", "!src/gen/"], "src/gen/a.rs", false),
            (&["!*.md"], "README.md", false),
            (&["!*.md"], "src/a.rs", true),
            (&["*.{ts,tsx}"], "web/a.tsx", true),
            (&["app/[id]/page.tsx"], "app/[id]/page.tsx", true),
            (&["app/[id]/page.tsx"], "app/i/page.tsx", true),
            (&["app/[...slug]/"], "app/[...slug]/page.tsx", true),
            (&["app/", "!app/[id]"], "app/[id]/page.tsx", false),
            (&["a{b}c"], "x/a{b}c", false),
        ] {
            assert_eq!(matches(globs, path), expected, "{globs:?} {path}");
        }
    }

    #[test]
    fn what_is_no_path_of_the_repository_is_refused() {
        for wrong in
            ["", "!", "/src", "../x", "a/../b", "a//b", "a\\b", "a\nb", "!!a", "[", "./a", &"a".repeat(300)]
        {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_glob_knows_the_folder_that_holds_all_it_matches() {
        for (glob, root) in [
            ("src/", "src"),
            ("src/a.rs", "src/a.rs"),
            ("*.rs", ""),
            ("src/a/*.rs", "src/a"),
            ("src/a*", "src"),
            ("**/x", ""),
        ] {
            assert_eq!(Glob::parse(glob).expect("a glob").root(), root, "{glob}");
        }
    }

    proptest! {
        #[test]
        fn what_a_glob_matches_is_below_its_root(glob in "[ab*?/{},!]{1,8}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            if let Ok(glob) = Glob::parse(&glob)
                && !glob.is_unwanted()
                && Globs::of(std::slice::from_ref(&glob)).matches(&path)
            {
                let root = glob.root();
                prop_assert!(root.is_empty() || path == root || path.starts_with(&format!("{root}/")), "{} {}", root, path);
            }
        }
    }
}
