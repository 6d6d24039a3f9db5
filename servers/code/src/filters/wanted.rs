//! What has to stand in a line for a pattern to match it? Said in grams, and only what is certain: where it is not,
//! anything will do.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

use super::bits::{Gram, grams, may_hold};

/// What a content needs before a pattern can match in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Anything,
    Gram(Gram),
    All(Vec<Wanted>),
    One(Vec<Wanted>),
}

/// Of the parsed expression, as `pattern` allows.
const NESTED_MAX: u32 = 50;

impl Wanted {
    /// What a pattern needs, parsed as `Pattern` parses it.
    pub(crate) fn of(pattern: &str, ignore_case: bool) -> Wanted {
        let parsed = ParserBuilder::new()
            .multi_line(true)
            .unicode(!pattern.is_ascii())
            .utf8(false)
            .case_insensitive(ignore_case)
            .crlf(true)
            .nest_limit(NESTED_MAX)
            .build()
            .parse(pattern);
        parsed.map_or(Wanted::Anything, |it| of(&it))
    }

    /// Whether a content with these bits may match.
    pub(super) fn may_be_in(&self, bits: &[u8]) -> bool {
        match self {
            Wanted::Anything => true,
            Wanted::Gram(gram) => may_hold(bits, *gram),
            Wanted::All(parts) => parts.iter().all(|it| it.may_be_in(bits)),
            Wanted::One(parts) => parts.iter().any(|it| it.may_be_in(bits)),
        }
    }
}

/// Bytes that have to stand side by side, and what else was found to be needed.
#[derive(Default)]
struct Walk {
    run: Vec<u8>,
    needs: Vec<Wanted>,
}

fn of(expression: &Hir) -> Wanted {
    let mut walk = Walk::default();
    walk.part(expression);
    walk.break_off();
    match walk.needs.len() {
        0 => Wanted::Anything,
        _ => Wanted::All(walk.needs),
    }
}

impl Walk {
    fn part(&mut self, part: &Hir) {
        match part.kind() {
            // Neither has a width: what stands before is beside what stands behind.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.run.extend(literal.0.iter().map(u8::to_ascii_lowercase)),
            HirKind::Class(class) => match only_letter(class) {
                Some(letter) => self.run.push(letter),
                None => self.break_off(),
            },
            HirKind::Capture(capture) => self.part(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|it| self.part(it)),
            HirKind::Repetition(repeated) => {
                self.break_off();
                if repeated.min > 0 {
                    self.need(of(&repeated.sub));
                }
            }
            HirKind::Alternation(parts) => {
                self.break_off();
                let parts: Vec<Wanted> = parts.iter().map(of).collect();
                if !parts.contains(&Wanted::Anything) {
                    self.need(Wanted::One(parts));
                }
            }
        }
    }

    /// Ends the bytes that stand side by side.
    fn break_off(&mut self) {
        let run = std::mem::take(&mut self.run);
        grams(&run).for_each(|it| self.need(Wanted::Gram(it)));
    }

    fn need(&mut self, need: Wanted) {
        if need != Wanted::Anything {
            self.needs.push(need);
        }
    }
}

/// The one byte that a class stands for, whatever its case.
fn only_letter(class: &Class) -> Option<u8> {
    let mut letters = Vec::new();
    match class {
        Class::Unicode(class) => {
            for range in class.ranges() {
                letters.extend((range.start()..=range.end()).take(3).map(|it| u8::try_from(it).ok()));
            }
        }
        Class::Bytes(class) => {
            for range in class.ranges() {
                letters.extend((range.start()..=range.end()).take(3).map(Some));
            }
        }
    }
    // Beyond ASCII a character is more than one byte.
    let folded = |it: Option<u8>| it.filter(u8::is_ascii).map(|it| it.to_ascii_lowercase());
    let first = folded(*letters.first()?)?;
    (letters.len() <= 2 && letters.iter().all(|it| folded(*it) == Some(first))).then_some(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::bits::Maker, *};
    use crate::{pattern::Pattern, tests::patient};

    fn passes(pattern: &str, ignore_case: bool, content: &str) -> bool {
        let bits = Maker::new().bits(content.as_bytes()).expect("small");
        Wanted::of(pattern, ignore_case).may_be_in(&bits)
    }

    #[test]
    fn contents_without_what_is_needed_are_told_apart() {
        let content = "fn retry_later(request) {}\nlet total = 3;\n";
        for (pattern, expected) in [
            ("retry_later", true),
            ("timeout", false),
            (r"fn retry_\w+\(", true),
            (r"fn settle_\w+\(", false),
            ("(settle|retry)_later", true),
            ("(settle|refund)_later", false),
            ("(settle|r)", true),
            ("(request){2}", true),
            ("(timeout)+", false),
            ("(timeout)*", true),
            (r"\btotal\b", true),
            (r"^lets ?total$", false),
            ("RETRY_LATER", true),
            ("later.*request", true),
            (r"\w+", true),
            ("ab", true),
        ] {
            assert_eq!(passes(pattern, false, content), expected, "{pattern}");
        }
        assert!(passes("ReTrY", true, content) && !passes("SETTLE", true, content));
    }

    #[test]
    fn patterns_of_which_nothing_is_certain_want_anything() {
        for pattern in ["a", "ab", r"\w+\s\d", "(abc)?", "abc|d", "[a-z]{3,}", ".*", "("] {
            assert_eq!(Wanted::of(pattern, false), Wanted::Anything, "{pattern}");
        }
        assert_ne!(Wanted::of("[a][b][c]", false), Wanted::Anything);
    }

    /// What one part of a pattern may be.
    fn parts() -> impl Strategy<Value = String> {
        let leaf = proptest::sample::select(vec![
            "a",
            "b",
            "ab",
            "abc",
            "bca",
            "K",
            "k",
            "s",
            "ſ",
            "é",
            "É",
            "ß",
            ".",
            "[ab]",
            "[aA]",
            "[^b]",
            r"\w",
            r"\s",
            "^",
            "$",
            r"\b",
            "",
            "(?i)ab",
            "(?i:kS)",
            "(?-u:\\x61)",
            r"\.",
            " ",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..5).prop_map(|it| it.concat()),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}|{b})")),
                (inner, proptest::sample::select(vec!["?", "*", "+", "{2}", "{0,2}", "{1,3}", "??"]))
                    .prop_map(|(it, times)| format!("(?:{it}){times}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_matches_passes(
            pattern in parts(), ignore_case in any::<bool>(),
            content in proptest::collection::vec(proptest::sample::select(vec![
                "a", "b", "c", "A", "B", "k", "K", "\u{212a}", "s", "ſ", "é", "É", "ß", "abc", "bca", " ", ".", "\n", "\r\n",
            ]), 0..12)
        ) {
            let content = content.concat();
            let Ok(compiled) = Pattern::new(&pattern, ignore_case) else { return Ok(()) };
            let found = compiled.scan(content.as_bytes(), &[], 10, &patient());
            if found.count > 0 {
                prop_assert!(passes(&pattern, ignore_case, &content), "{pattern:?} in {content:?}");
            }
        }
    }
}
