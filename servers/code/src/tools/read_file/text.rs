//! Bytes of a file as lines of text, or what else they are.

use std::ops::Range;

use memchr::memchr_iter;

use crate::{backends::is_binary, closed, excerpt};

/// What a file holds.
pub(super) enum Content<'a> {
    Text(Decoded<'a>),
    /// What it is instead.
    Other(&'static str),
}

/// Text, split into lines when asked for: a list of all of them can take many times what the text takes.
pub(super) struct Decoded<'a> {
    text: &'a [u8],
    count: usize,
    closed: Vec<Range<usize>>,
    notes: Vec<&'static str>,
}

/// Longest line handed on. No answer holds more of it.
const LINE_BYTES_MAX: usize = 32 * 1024;
/// Most text handed on at once: above what the largest answer holds.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// First bytes of files that are often met and never text.
const KINDS: [(&[u8], &str); 16] = [
    (b"\x89PNG", "binary: PNG image"),
    (b"\xff\xd8\xff", "binary: JPEG image"),
    (b"GIF8", "binary: GIF image"),
    (b"RIFF", "binary: RIFF media"),
    (b"%PDF", "binary: PDF document"),
    (b"PK\x03\x04", "binary: ZIP archive (also jar, docx, xlsx)"),
    (b"\x1f\x8b", "binary: gzip"),
    (b"\x28\xb5\x2f\xfd", "binary: zstd"),
    (b"7z\xbc\xaf", "binary: 7z archive"),
    (b"\x7fELF", "binary: ELF program"),
    (b"MZ", "binary: Windows program"),
    (b"\0asm", "binary: WebAssembly"),
    (b"SQLite format 3", "binary: SQLite database"),
    (b"wOF2", "binary: font"),
    (b"\xfe\xff", "UTF-16 text, which is not shown"),
    (b"\xff\xfe", "UTF-16 text, which is not shown"),
];

/// Tells text from what is not.
pub(super) fn decode(content: &[u8]) -> Content<'_> {
    if is_binary(content) {
        let known = KINDS.iter().find(|(start, _)| content.starts_with(start));
        return Content::Other(known.map_or("binary", |it| it.1));
    }
    let (text, mut notes) = match content.strip_prefix(b"\xef\xbb\xbf") {
        Some(text) => (text, vec!["starts with a byte order mark"]),
        None => (content, Vec::new()),
    };
    let (mut count, mut with_return, mut longest, mut start) = (0, 0, 0, 0);
    // A line end ends the last line; it does not start another.
    let last = (!text.is_empty() && !text.ends_with(b"\n")).then_some(text.len());
    for end in memchr_iter(b'\n', text).chain(last) {
        count += 1;
        with_return += usize::from(text[start..end].ends_with(b"\r"));
        longest = longest.max(end - start);
        start = end + 1;
    }
    if with_return > 0 {
        let all = with_return + 1 >= count;
        notes.push(if all { "lines end with CR LF" } else { "some lines end with CR LF" });
    }
    if std::str::from_utf8(text).is_err() {
        notes.push("not UTF-8: what could not be read stands as U+FFFD");
    }
    if text.starts_with(b"version https://git-lfs.github.com/spec/") {
        notes.push("a pointer: the content is in Git LFS, not in this repository");
    }
    if longest > LINE_BYTES_MAX {
        notes.push("very long lines are cut, which `…` at their end shows");
    }
    Content::Text(Decoded { text, count, closed: closed::key_lines(text), notes })
}

impl Decoded<'_> {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// `text`, and what to know when reading it.
    pub(super) fn kind(&self) -> String {
        [&["text"], self.notes.as_slice()].concat().join("; ")
    }

    /// Lines from `first` to `last`, from 1, as many as an answer may need.
    pub(super) fn lines(&self, first: u64, last: u64) -> Vec<String> {
        let first = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = usize::try_from(last).unwrap_or(usize::MAX).min(self.count);
        let start = match first {
            0 => Some(0),
            _ => memchr_iter(b'\n', self.text).nth(first - 1).map(|it| it + 1),
        };
        let rest = start.and_then(|it| self.text.get(it..)).unwrap_or_default();
        let mut bytes = 0;
        let fits = |it: &(usize, &[u8])| {
            let before = bytes;
            bytes += it.1.len().min(LINE_BYTES_MAX) + 1;
            before < TEXT_BYTES_MAX
        };
        let wanted = (first..last).zip(rest.split(|it| *it == b'\n')).take_while(fits);
        wanted.map(|(index, it)| self.line(index, it)).collect()
    }

    fn line(&self, index: usize, bytes: &[u8]) -> String {
        match closed::is_within(&self.closed, index) {
            true => closed::CLOSED_LINE.to_owned(),
            false => excerpt::beginning(bytes.strip_suffix(b"\r").unwrap_or(bytes), LINE_BYTES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(content: &[u8]) -> (Vec<String>, String) {
        match decode(content) {
            Content::Text(it) => (it.lines(1, it.count() as u64), it.kind()),
            Content::Other(kind) => (vec![], kind.to_owned()),
        }
    }

    #[test]
    fn line_ends_marks_and_encodings_are_said_and_not_shown() {
        let ab = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(text(b"a\nb\n"), (ab(), "text".into()));
        assert_eq!(text(b"a\nb"), (ab(), "text".into()));
        assert_eq!(text(b""), (vec![], "text".into()));
        assert_eq!(text(b"\n"), (vec![String::new()], "text".into()));
        assert_eq!(text(b"a\r\nb\r\n"), (ab(), "text; lines end with CR LF".into()));
        assert_eq!(text(b"\xef\xbb\xbfa\nb"), (ab(), "text; starts with a byte order mark".into()));
        let (lines, kind) = text(b"caf\xe9\n");
        assert_eq!(lines, ["caf\u{fffd}"]);
        assert!(kind.contains("not UTF-8"));
        assert_eq!(text(b"\x89PNG\r\n\x1a\n\0\0").1, "binary: PNG image");
        assert_eq!(text(b"\xff\xfea\0b\0").1, "UTF-16 text, which is not shown");
        let (lines, kind) = text(&[b'x'; LINE_BYTES_MAX + 1]);
        assert!(lines[0].ends_with('…') && kind.contains("cut"));
    }

    #[test]
    fn lines_of_private_keys_are_closed_wherever_reading_starts() {
        let text = "a\n// -----BEGIN PRIVATE KEY-----\n// MIIEhunter2\n// -----END PRIVATE KEY-----\nb\n";
        let Content::Text(decoded) = decode(text.as_bytes()) else { panic!("text") };
        for (first, last) in [(1, 5), (2, 5), (3, 3), (3, 5), (4, 4)] {
            let told = decoded.lines(first, last);
            let open = |it: &&String| !it.contains(closed::CLOSED_LINE);
            assert!(told.iter().filter(open).all(|it| it == "a" || it == "b"), "{first}-{last}: {told:?}");
            assert_eq!(told.len() as u64, last - first + 1);
        }
    }

    proptest! {
        #[test]
        fn a_part_of_the_lines_is_the_same_part_of_all_lines(
            content in proptest::collection::vec(prop_oneof![3 => 1_u8.., 1 => Just(b'\n')], 0..200), first in 1_u64..20, more in 0_u64..20
        ) {
            if let Content::Text(it) = decode(&content) {
                let all = it.lines(1, it.count() as u64);
                let plain = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
                prop_assert_eq!(all.len(), String::from_utf8_lossy(plain).split_terminator('\n').count());
                let wanted: Vec<_> =
                    all.into_iter().skip(first as usize - 1).take(more as usize + 1).collect();
                prop_assert_eq!(it.lines(first, first + more), wanted);
            }
        }
    }
}
