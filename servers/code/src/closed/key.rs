//! Which lines of an open file are a private key's? Tools that show lines out of their context leave those out, because
//! what masks text on the way out no longer sees where the key begins.

use std::ops::Range;

use memchr::memmem;

/// What stands in place of such a line.
pub(crate) const CLOSED_LINE: &str = "[line of a private key: closed]";

/// Longest private key, in lines; a key of 16,384 bits has 200.
const LINES_MAX: usize = 400;

/// Lines of private keys, by index from 0, in order.
pub(crate) fn key_lines(content: &[u8]) -> Vec<Range<usize>> {
    if memmem::find(content, b"PRIVATE KEY").is_none() {
        return Vec::new();
    }
    let has = |line: &[u8], word: &[u8]| memmem::find(line, word).is_some();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut open: Option<usize> = None;
    for (index, line) in content.split(|it| *it == b'\n').enumerate() {
        let is_marker = has(line, b"PRIVATE KEY");
        if open.is_none() && is_marker && has(line, b"BEGIN ") {
            open = Some(index);
        }
        let Some(start) = open else { continue };
        let ends = is_marker && has(line, b"END ");
        let is_long = index - start >= LINES_MAX;
        match ranges.last_mut().filter(|it| it.start == start) {
            Some(range) => range.end = index + 1,
            None => ranges.push(start..index + 1),
        }
        if ends || is_long {
            open = None;
        }
    }
    ranges
}

/// Whether a line is in one of the ranges.
pub(crate) fn is_within(ranges: &[Range<usize>], line: usize) -> bool {
    ranges.iter().any(|it| it.contains(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_closed_from_its_first_line_to_its_last() {
        let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
        let text =
            format!("a: |\n  {begin}\n  MIIE\n  abcd\n  {end}\nb: 1\n{begin}x{end}\nc\n{begin}\nleft open");
        assert_eq!(key_lines(text.as_bytes()), [1..5, 6..7, 8..10]);
        assert!(key_lines(b"-----BEGIN PUBLIC KEY-----\nMIIE\n").is_empty());
        assert!(key_lines(b"").is_empty());
        let long = format!("{begin}\n{}", "x\n".repeat(1000));
        let range = key_lines(long.as_bytes()).pop().expect("a range");
        assert_eq!((range.start, range.end), (0, LINES_MAX + 1));
    }
}
