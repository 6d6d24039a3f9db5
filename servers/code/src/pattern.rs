//! What does a regular expression match, line by line? Linear in the text, and bounded in what one step may cost.

use std::ops::Range;

use grep_matcher::{LineMatchKind, Matcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memchr_iter, memrchr};

use crate::{backends::Stop, closed, excerpt};

/// A regular expression over lines.
pub(crate) struct Pattern {
    matcher: RegexMatcher,
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    pub(crate) text: String,
    /// Whether it looks as if what matches were defined here.
    pub(crate) is_definition: bool,
}

/// What one content holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scanned {
    /// Lines that match.
    pub(crate) count: u64,
    /// The first of them, and definitions before others; by number.
    pub(crate) lines: Vec<Line>,
    pub(crate) long_lines: u64,
    /// Whether it was time to stop before all was searched.
    pub(crate) is_cut: bool,
}

/// Of the compiled expression: what bounds the time that one byte can take.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
const CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;
const NESTED_MAX: u32 = 50;
/// What is searched before the clock is looked at again.
const PART_BYTES: usize = 64 * 1024;
/// Longer lines are not searched: minified code and data.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;
/// Of a line, what is looked at to tell a definition.
const TEXT_BYTES_MAX: usize = 160;
/// Matches of one file that are looked at for a definition.
const DEFINITIONS_SOUGHT: u64 = 1_000;

impl Pattern {
    /// Compiles an expression; what is wrong with it is said in words to act on.
    pub(crate) fn new(text: &str, ignore_case: bool) -> Result<Pattern, String> {
        let build = |unicode: bool| {
            RegexMatcherBuilder::new()
                .multi_line(true)
                .unicode(unicode)
                .case_insensitive(ignore_case)
                .size_limit(COMPILED_BYTES_MAX)
                .dfa_size_limit(CACHE_BYTES_MAX)
                .nest_limit(NESTED_MAX)
                .crlf(true)
                .build(text)
        };
        // Bytes are enough for what is written in ASCII, and quicker.
        match build(!text.is_ascii()) {
            Ok(matcher) => Ok(Pattern { matcher }),
            Err(error) => Err(problem(text, &error.to_string())),
        }
    }

    /// Finds the lines of a content that match and keeps some; ends early, with what was found, when it is time to stop.
    /// Closed lines match nothing, or one could learn by asking what they hold.
    pub(crate) fn scan(&self, content: &[u8], closed: &[Range<usize>], keeps: usize, stop: &Stop) -> Scanned {
        let mut scan =
            Scan { pattern: self, content, closed, keeps, found: Scanned::default(), counted: (0, 1) };
        let mut at = 0;
        while at < content.len() {
            if stop.is_reached_now() {
                scan.found.is_cut = true;
                break;
            }
            let end = part_end(content, at);
            if end - at > LINE_BYTES_MAX {
                scan.found.long_lines += 1;
            } else {
                scan.part(at, end);
            }
            at = end;
        }
        scan.found.lines.sort_by_key(|it| it.number);
        scan.found
    }
}

/// One content being searched.
struct Scan<'a> {
    pattern: &'a Pattern,
    content: &'a [u8],
    closed: &'a [Range<usize>],
    keeps: usize,
    found: Scanned,
    /// Up to where lines were counted, and the number of the line there.
    counted: (usize, u64),
}

impl Scan<'_> {
    /// Searches whole lines.
    fn part(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let rest = &self.content[at..end];
            let Ok(Some(kind)) = self.pattern.matcher.find_candidate_line(rest) else { return };
            let (near, is_match) = match kind {
                LineMatchKind::Confirmed(near) => (at + near, true),
                LineMatchKind::Candidate(near) => (at + near, false),
            };
            let first = memrchr(b'\n', &self.content[at..near]).map_or(at, |it| at + it + 1);
            if first >= end {
                return;
            }
            let last = memchr(b'\n', &self.content[near..end]).map_or(end, |it| near + it);
            let line = &self.content[first..last.max(first)];
            if is_match || self.pattern.matcher.is_match(line).unwrap_or(false) {
                self.line(first, line);
            }
            at = last.max(first) + 1;
        }
    }

    fn line(&mut self, first: usize, line: &[u8]) {
        if !self.closed.is_empty() && closed::is_within(self.closed, (self.number(first) - 1) as usize) {
            return;
        }
        self.found.count += 1;
        let has_room = self.found.lines.len() < self.keeps;
        if self.keeps == 0 || (!has_room && self.found.count > DEFINITIONS_SOUGHT) {
            return;
        }
        let matched = self.pattern.matcher.find(line).ok().flatten();
        let (start, end) = matched.map_or((0, 0), |it| (it.start(), it.end()));
        let is_definition = is_definition(line, start, end);
        let replaced = match has_room {
            true => None,
            false => match self.found.lines.iter().rposition(|it| !it.is_definition) {
                Some(last) if is_definition => Some(last),
                _ => return,
            },
        };
        let line = Line { number: self.number(first), text: excerpt::around(line, start), is_definition };
        match replaced {
            Some(at) => self.found.lines[at] = line,
            None => self.found.lines.push(line),
        }
    }

    /// The number of the line that starts here. Asked in order, so that every byte is counted once.
    fn number(&mut self, first: usize) -> u64 {
        let (from, number) = self.counted;
        let number = number + memchr_iter(b'\n', &self.content[from..first.max(from)]).count() as u64;
        self.counted = (first.max(from), number);
        number
    }
}

/// Where a part of whole lines ends: after about so many bytes, or after the one long line that starts here.
fn part_end(content: &[u8], at: usize) -> usize {
    if content.len() - at <= PART_BYTES {
        return content.len();
    }
    let near = at + PART_BYTES;
    match memrchr(b'\n', &content[at..near]) {
        Some(end) => at + end + 1,
        None => memchr(b'\n', &content[near..]).map_or(content.len(), |it| near + it + 1),
    }
}

/// Whether a line reads as if it defined what matches: in most languages a word before it says so.
fn is_definition(line: &[u8], start: usize, end: usize) -> bool {
    const WORDS: [&str; 34] = [
        "fn",
        "func",
        "fun",
        "def",
        "class",
        "struct",
        "enum",
        "trait",
        "interface",
        "type",
        "const",
        "static",
        "let",
        "var",
        "val",
        "module",
        "mod",
        "function",
        "object",
        "record",
        "namespace",
        "package",
        "define",
        "macro",
        "macro_rules",
        "table",
        "index",
        "view",
        "message",
        "service",
        "rpc",
        "protocol",
        "typedef",
        "union",
    ];
    const MODIFIERS: [&str; 6] = ["public", "private", "protected", "internal", "export", "static"];
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned();
    let start = start.min(line.len());
    let (before, matched) =
        (&line[start.saturating_sub(TEXT_BYTES_MAX)..start], text(&line[start..end.min(line.len())]));
    let before = String::from_utf8_lossy(before).into_owned();
    let words = |text: &str| -> Vec<String> {
        text.split(|it: char| !it.is_alphanumeric() && it != '_')
            .filter(|it| !it.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let is_word = |it: &String| WORDS.contains(&it.as_str());
    let (said, inside) = (words(&before), words(&matched));
    let after_word = said.last().or(inside.first().filter(|_| inside.len() > 1)).is_some_and(is_word)
        || (inside.len() > 1 && inside.first().is_some_and(is_word));
    let line = text(line);
    let line = line.trim();
    let is_method = said.first().is_some_and(|it| ["func", "def", "fun"].contains(&it.as_str()))
        && (before.trim_end().ends_with(')') || before.ends_with('.'));
    let is_member =
        said.first().is_some_and(|it| MODIFIERS.contains(&it.as_str())) && line.ends_with(['{', '(']);
    after_word || is_method || is_member
}

fn problem(text: &str, error: &str) -> String {
    let last = error.lines().map(str::trim).rfind(|it| !it.is_empty()).unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    match () {
        () if error.contains("\"\\n\"") || error.contains("line terminator") => {
            "a match stands within one line; leave out line ends".to_owned()
        }
        () if error.contains("size limit") => {
            format!("`{}` is too large once compiled; repeat less often", shortened(text))
        }
        () => format!(
            "`{}` is no regular expression that is understood: {}; write `\\(` for a bracket itself",
            shortened(text),
            shortened(why)
        ),
    }
}

fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    redact::short(&line, 120)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tests::patient;

    fn scan(pattern: &str, content: &str) -> Vec<(u64, String)> {
        let found =
            Pattern::new(pattern, false).expect("a pattern").scan(content.as_bytes(), &[], 40, &patient());
        found.lines.into_iter().map(|it| (it.number, it.text)).collect()
    }

    #[test]
    fn anchors_are_of_lines_and_a_match_never_leaves_its_line() {
        let text = "fn pay() {\r\n  retry(3);\r\n}\n\nfn other() {}";
        assert_eq!(scan("^fn ", text), [(1, "fn pay() {".into()), (5, "fn other() {}".into())]);
        assert_eq!(scan(r"\{$", text), [(1, "fn pay() {".into())]);
        assert_eq!(scan(r"pay[^x]*other", text), []);
        assert_eq!(scan("^$", "a\n\nb\n"), [(2, String::new())]);
        assert_eq!(scan("größe", "die größe\n"), [(1, "die größe".into())]);
        assert_eq!(scan("", "a\nb\n").len(), 2);
    }

    #[test]
    fn what_is_no_pattern_or_too_large_says_what_would_be_right() {
        for (wrong, says) in [
            ("(", "no regular expression"),
            ("a\\nb", "within one line"),
            ("(\\w{500}){500}", "too large"),
            (r"(?=x)", "no regular"),
        ] {
            let problem = Pattern::new(wrong, false).err().expect(wrong);
            assert!(problem.contains(says), "{problem}");
        }
        assert!(Pattern::new(&"(".repeat(60), false).is_err());
    }

    #[test]
    fn definitions_are_told_from_uses() {
        for (line, pattern, expected) in [
            ("pub fn pay(amount: u64) {", "pay", true),
            ("pub fn pay(amount: u64) {", "fn pay", true),
            ("    pay(3);", "pay", false),
            ("func (c *Cart) Pay() error {", "Pay", true),
            ("  def self.pay", "pay", true),
            ("class Checkout:", "Checkout", true),
            ("  public void pay(int n) {", "pay", true),
            ("const RETRIES = 3", "RETRIES", true),
            ("return RETRIES", "RETRIES", false),
            ("CREATE TABLE orders (", "orders", true),
            ("import { pay } from './pay'", "pay", false),
        ] {
            let found =
                Pattern::new(pattern, false).expect("a pattern").scan(line.as_bytes(), &[], 9, &patient());
            assert_eq!(found.lines[0].is_definition, expected, "{line}");
        }
    }

    #[test]
    fn a_definition_after_many_uses_is_kept() {
        let text = format!("{}fn pay() {{}}\n", "pay();\n".repeat(500));
        let found = Pattern::new("pay", false).expect("a pattern").scan(text.as_bytes(), &[], 5, &patient());
        assert_eq!((found.count, found.lines.len()), (501, 5));
        assert_eq!((found.lines[4].number, found.lines[4].is_definition), (501, true));
    }

    #[test]
    fn closed_lines_match_nothing_and_lines_too_long_are_counted() {
        let text = format!(
            "-----BEGIN PRIVATE KEY-----\nMIIEhunter2\n-----END PRIVATE KEY-----\n{}hunter\nhunter3\n",
            "x".repeat(LINE_BYTES_MAX + PART_BYTES)
        );
        let closed = closed::key_lines(text.as_bytes());
        let found =
            Pattern::new("hunter", false).expect("a pattern").scan(text.as_bytes(), &closed, 5, &patient());
        assert_eq!((found.count, found.long_lines, found.is_cut), (1, 1, false));
        assert_eq!((found.lines[0].number, found.lines[0].text.as_str()), (5, "hunter3"));
    }

    /// As costly as what compiles can be: without a bound on a part, this would take hours.
    #[test]
    fn a_costly_pattern_ends_when_it_is_time() {
        let text = "abcdefghij klmnopqrst uvwxy ".repeat(300_000);
        for costly in ["(?:[a-z ]{1,60}){20}9", "(?:a?b?c?d?e?f?g?h?){150}9", r"(?:\w+\s?){1,90}9$"] {
            let started = Instant::now();
            let stop = Stop::new(CancellationToken::new(), started + Duration::from_millis(500));
            if let Ok(pattern) = Pattern::new(costly, true) {
                pattern.scan(text.replace("uvwxy ", "uvwxy\n").as_bytes(), &[], 5, &stop);
                pattern.scan(text.as_bytes(), &[], 5, &stop);
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{costly}: {:?}", started.elapsed());
        }
    }

    #[test]
    fn what_was_searched_only_in_part_says_so() {
        let late = Stop::new(CancellationToken::new(), Instant::now());
        let found = Pattern::new("b", false).expect("a pattern").scan(b"a\nb\n", &[], 5, &late);
        assert_eq!((found.count, found.is_cut), (0, true));
    }

    proptest! {
        #[test]
        fn lines_and_numbers_are_those_of_a_plain_loop(
            lines in proptest::collection::vec("[ab ]{0,6}", 0..40), pattern in proptest::sample::select(vec!["a", "ab", "a.b", "^a", "b$", "^$", "a|b b", "[^a]b"]), pad in 0_usize..3
        ) {
            let pad = "c".repeat(pad * 40_000);
            let text: String = lines.iter().map(|it| format!("{it}{pad}\n")).collect();
            let found = Pattern::new(pattern, false).expect("a pattern").scan(text.as_bytes(), &[], 1000, &patient());
            let plain = regex::Regex::new(pattern).expect("a pattern");
            let expected: Vec<u64> =
                text.lines().zip(1..).filter(|(it, _)| plain.is_match(it)).map(|it| it.1).collect();
            prop_assert_eq!(found.lines.iter().map(|it| it.number).collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!(found.count, expected.len() as u64);
        }
    }
}
