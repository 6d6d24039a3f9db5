//! Which lines of an open file are a private key's? Tools that show lines leave those out, because what masks text on the
//! way out may not see where the key begins.

use std::ops::Range;

use memchr::memmem;

/// What stands in place of such a line.
pub(crate) const CLOSED_LINE: &str = "[line of a private key: closed]";

/// Longest private key, in lines that do not all read like one; a key of 16,384 bits has 200.
const LINES_MAX: usize = 400;
/// Shortest word of base64 that makes its line one of a key, whatever stands beside it.
const WORD_MIN: usize = 40;

/// A key that has begun.
struct Open {
    start: usize,
    /// After the last line that reads as if it were the key's.
    likely_end: usize,
    is_likely: bool,
}

/// Lines of private keys, by index from 0, in order and apart.
///
/// All lines from the first marker to the second are a key's, however they are written. Where the second is missing, as in
/// programs that look for the first, only those are that read as a key's do: or hundreds of lines of a program would be
/// closed with it.
pub(crate) fn key_lines(content: &[u8]) -> Vec<Range<usize>> {
    if memmem::find(content, b"PRIVATE KEY").is_none() {
        return Vec::new();
    }
    let has = |line: &[u8], word: &[u8]| memmem::find(line, word).is_some();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut open: Option<Open> = None;
    for (index, line) in content.split(|it| *it == b'\n').enumerate() {
        let is_marker = has(line, b"PRIVATE KEY");
        let (begins, ends) = (is_marker && has(line, b"BEGIN "), is_marker && has(line, b"END "));
        if begins {
            ranges.extend(open.take().map(|it| it.start..it.likely_end));
            open = Some(Open { start: index, likely_end: index + 1, is_likely: true });
        }
        let Some(key) = &mut open else { continue };
        key.is_likely &= index == key.start || is_likely(line);
        if ends {
            ranges.push(key.start..index + 1);
            open = None;
        } else if !key.is_likely && index - key.start >= LINES_MAX {
            ranges.push(key.start..key.likely_end);
            open = None;
        } else if key.is_likely && !line.trim_ascii().is_empty() {
            key.likely_end = index + 1;
        }
    }
    ranges.extend(open.map(|it| it.start..it.likely_end));
    ranges
}

/// Whether a line is in one of the ranges.
pub(crate) fn is_within(ranges: &[Range<usize>], line: usize) -> bool {
    let next = ranges.partition_point(|it| it.start <= line);
    next.checked_sub(1).is_some_and(|it| ranges[it].contains(&line))
}

/// Whether a line after the first marker reads as if it were the key's: nothing, one word of base64 in quotes or behind a
/// comment's mark, a header such as `DEK-Info: …`, or anything with a long word of base64.
fn is_likely(line: &[u8]) -> bool {
    let of_key = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/' | b'=' | b'\\');
    let mark = |it: &u8| it.is_ascii_whitespace() || b"\"'`,;+#/*|>.-:<()".contains(it);
    let start = line.iter().position(|it| !mark(it)).unwrap_or(line.len());
    let end = line.iter().rposition(|it| !mark(it)).map_or(start, |it| it + 1);
    let bare = &line[start..end.max(start)];
    bare.iter().all(|it| of_key(*it))
        || [b"Proc-Type:".as_slice(), b"DEK-Info:", b"Version:", b"Comment:"]
            .iter()
            .any(|it| bare.starts_with(it))
        || bare.split(|it| !of_key(*it)).any(|it| it.len() >= WORD_MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";
    const END: &str = "-----END RSA PRIVATE KEY-----";

    /// First line and the one after the last, of each.
    fn closed(text: &str) -> Vec<(usize, usize)> {
        key_lines(text.as_bytes()).into_iter().map(|it| (it.start, it.end)).collect()
    }

    #[test]
    fn a_private_key_is_closed_from_its_first_line_to_its_last() {
        let text =
            format!("a: |\n  {BEGIN}\n  MIIE\n  ab cd?\n  {END}\nb: 1\n{BEGIN}x{END}\nc\n{BEGIN}\nMIIE");
        assert_eq!(closed(&text), [(1, 5), (6, 7), (8, 10)]);
        assert!(key_lines(b"-----BEGIN PUBLIC KEY-----\nMIIE\n").is_empty());
        assert!(key_lines(b"").is_empty());
    }

    #[test]
    fn without_an_end_a_key_reaches_as_far_as_its_lines_read_like_one() {
        let long = format!("{BEGIN}\n{}", "MIIE\n".repeat(1000));
        assert_eq!(closed(&long), [(0, 1001)]);
        let far = format!("{BEGIN}\n{}{END}\n", "some words\n".repeat(LINES_MAX));
        assert_eq!(closed(&far), [(0, 1)]);
        let program =
            format!("if text.starts_with(\"{BEGIN}\") {{\n    return Err(Refused);\n}}\nfn other() {{}}\n");
        assert_eq!(closed(&program), [(0, 1)]);
        let quoted =
            format!("x = \"{BEGIN}\\n\" +\n    \"MIIEowIBAAKCAQEA\\n\" +\n  \"abcd\";\nfn other() {{}}\n");
        assert_eq!(closed(&quoted), [(0, 3)]);
        let headed = format!("# {BEGIN}\n# Proc-Type: 4,ENCRYPTED\n#\n# MIIEow\nkeep = this one\nMIIE\n");
        assert_eq!(closed(&headed), [(0, 4)]);
        let twice = format!("{BEGIN}\nsome words\nMIIE\n{BEGIN}\nany words\n{END}\n");
        assert_eq!(closed(&twice), [(0, 1), (3, 6)]);
    }

    proptest! {
        #[test]
        fn what_is_within_is_what_a_plain_loop_finds(gaps in proptest::collection::vec((0_usize..4, 1_usize..4), 0..20), line in 0_usize..120) {
            let mut at = 0;
            let ranges: Vec<Range<usize>> = gaps.iter().map(|(gap, length)| {
                let start = at + gap;
                at = start + length;
                start..at
            }).collect();
            prop_assert_eq!(is_within(&ranges, line), ranges.iter().any(|it| it.contains(&line)));
        }

        #[test]
        fn between_two_markers_everything_is_closed(lines in proptest::collection::vec("[ -~]{0,60}", 0..30)) {
            let plain: Vec<String> = lines.into_iter().map(|it| it.replace("KEY", "")).collect();
            let text = format!("a\n{BEGIN}\n{}\n{END}\nb", plain.join("\n"));
            let last = text.lines().count() - 2;
            let ranges = key_lines(text.as_bytes());
            prop_assert!((1..=last).all(|it| is_within(&ranges, it)) && !is_within(&ranges, last + 1));
        }
    }
}
