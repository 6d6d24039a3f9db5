//! Which commit is meant: a name or an id, and steps back from it. The part of git's revision language that is quick to
//! resolve and that reads the same for everyone.

use gix::bstr::ByteSlice;
use serde::{Serialize, Serializer};

use super::shown;

/// A branch, tag, commit id or `HEAD`, with steps back: `main`, `v1.2`, `3f9ac01e2`, `HEAD~3`, `main^2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    /// A reference's name, short or in full, or a commit id's digits.
    pub(crate) base: String,
    /// In order.
    pub(crate) steps: Vec<Step>,
}

/// A step back in history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `~n`: so many first parents back.
    Back(u32),
    /// `^n`: the n-th parent, from 1.
    Parent(u32),
}

/// A revision, or what one has that another has not: `v1.2..main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevisionRange {
    /// Leave out what this has.
    pub(crate) since: Option<Revision>,
    /// Take what this has.
    pub(crate) until: Revision,
}

const BYTES_MAX: usize = 250;
const STEPS_MAX: u32 = 1000;

impl Revision {
    /// What stands at the tip of the repository.
    pub(crate) fn head() -> Revision {
        Revision { base: "HEAD".to_owned(), steps: Vec::new() }
    }

    /// Reads one revision.
    pub(crate) fn parse(text: &str) -> Result<Revision, String> {
        let right = "expected a branch, tag, commit id or `HEAD`, with `~n` or `^n` for steps back";
        let wrong = |why: &str| format!("{right}; got `{}`: {why}", shown(text));
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(format!("{right}; got {} bytes", text.len()));
        }
        if text.contains("..") {
            return Err(wrong("a range is not one revision"));
        }
        if text.contains(':') {
            return Err(wrong(
                "searching messages (`:/`) and naming files (`revision:path`) are not offered",
            ));
        }
        if text.contains("@{") {
            return Err(wrong("reference logs (`@{…}`) are not read; name a commit or use `window`"));
        }
        if text.contains("^{") {
            return Err(wrong("`^{…}` is not offered; tags already lead to their commits"));
        }
        let (base, steps) = text.split_at(text.find(['~', '^']).unwrap_or(text.len()));
        let base = if base == "@" { "HEAD" } else { base };
        if gix::validate::reference::name_partial(base.as_bytes().as_bstr()).is_err() {
            return Err(wrong("that is no name that git allows"));
        }
        let steps = steps_in(steps).ok_or_else(|| wrong("the steps back are not understood"))?;
        let far = steps.iter().map(|it| it.cost()).fold(0_u32, u32::saturating_add);
        match far <= STEPS_MAX {
            true => Ok(Revision { base: base.to_owned(), steps }),
            false => Err(wrong(&format!("at most {STEPS_MAX} steps back; name a commit or use `window`"))),
        }
    }
}

impl RevisionRange {
    /// All that stands at the tip of the repository.
    pub(crate) fn head() -> RevisionRange {
        RevisionRange { since: None, until: Revision::head() }
    }

    /// Reads a revision or `since..until`.
    pub(crate) fn parse(text: &str) -> Result<RevisionRange, String> {
        if text.contains("...") {
            return Err(format!(
                "`{}`: three dots are not offered; `a..b` is what b has and a has not",
                shown(text)
            ));
        }
        match text.split_once("..") {
            None => Ok(RevisionRange { since: None, until: Revision::parse(text)? }),
            Some((since, until)) => Ok(RevisionRange {
                since: Some(Revision::parse(since)?),
                until: if until.is_empty() { Revision::head() } else { Revision::parse(until)? },
            }),
        }
    }
}

impl Step {
    fn cost(self) -> u32 {
        match self {
            Step::Back(far) => far,
            Step::Parent(_) => 1,
        }
    }
}

/// `~3^2~` and the like; none when something else stands there.
fn steps_in(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let after = rest.strip_prefix(['~', '^'])?;
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number = match &after[..digits] {
            "" => 1,
            digits => digits.parse().ok()?,
        };
        steps.push(match sign {
            '~' => Step::Back(number),
            _ if number > 0 => Step::Parent(number),
            _ => return None,
        });
        rest = &after[digits..];
    }
    Some(steps)
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.base)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Back(far) => write!(f, "~{far}"),
            Step::Parent(number) => write!(f, "^{number}"),
        })
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for RevisionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.since {
            Some(since) => write!(f, "{since}..{}", self.until),
            None => write!(f, "{}", self.until),
        }
    }
}

impl Serialize for RevisionRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_ids_and_steps_are_read() {
        let parsed = |text| Revision::parse(text).map(|it| (it.base, it.steps));
        assert_eq!(parsed("main"), Ok(("main".into(), vec![])));
        assert_eq!(parsed("feature/a-b"), Ok(("feature/a-b".into(), vec![])));
        assert_eq!(
            parsed("@~3^2~"),
            Ok(("HEAD".into(), vec![Step::Back(3), Step::Parent(2), Step::Back(1)]))
        );
        assert_eq!(parsed("refs/tags/v1^"), Ok(("refs/tags/v1".into(), vec![Step::Parent(1)])));
    }

    #[test]
    fn what_is_slow_or_odd_is_refused_with_what_would_be_right() {
        for wrong in [
            "",
            "a b",
            ":/fix",
            "main:src",
            "HEAD@{1}",
            "@{u}",
            "v1^{commit}",
            "v1^{/fix}",
            "a..b",
            "^0",
            "main^0",
            "HEAD~1001",
            "HEAD~9999999999",
            "a/../b",
            "-x:",
            "a*",
            "a?",
            "a[",
            "x.lock",
            "~1",
            "a~é",
        ] {
            let problem = Revision::parse(wrong).expect_err(wrong);
            assert!(problem.starts_with("expected a branch"), "{problem}");
        }
        assert!(RevisionRange::parse("a...b").is_err());
        assert!(RevisionRange::parse("..b").is_err());
    }

    #[test]
    fn a_range_without_an_end_ends_at_head() {
        assert_eq!(RevisionRange::parse("v1..").map(|it| it.to_string()), Ok("v1..HEAD".to_owned()));
        assert_eq!(RevisionRange::parse("v1..main~2").map(|it| it.to_string()), Ok("v1..main~2".to_owned()));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_reads_back_the_same(text in "[a@~^0-9./{:é-]{0,12}") {
            if let Ok(revision) = Revision::parse(&text) {
                prop_assert_eq!(Revision::parse(&revision.to_string()), Ok(revision));
            }
        }
    }
}
