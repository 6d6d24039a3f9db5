//! How does a text read once nothing hides in it and its escapes are taken back? A view knows which stretch of the
//! original each of its bytes came from.

use std::borrow::Cow;

use super::Span;
use crate::clean::{hides, is_plain};

/// A reading of a text.
pub(super) struct View<'a> {
    text: Cow<'a, str>,
    /// Where in the original each byte starts, and the original's length; none when they are the same.
    starts: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    /// The text without characters that hide.
    pub(super) fn visible(text: &'a str) -> View<'a> {
        if is_plain(text) || !text.chars().any(hides) {
            return View { text: Cow::Borrowed(text), starts: None };
        }
        let mut reading = Reading::of(text.len());
        for (at, it) in text.char_indices().filter(|(_, it)| !hides(*it)) {
            reading.push(it, at);
        }
        reading.end(text.len())
    }

    /// The view with one layer of escapes taken back; none when it has none.
    pub(super) fn decoded(&self) -> Option<View<'static>> {
        let bytes = self.text.as_bytes();
        if !bytes.iter().any(|it| matches!(it, b'%' | b'\\' | b'&')) {
            return None;
        }
        let mut reading = Reading::of(bytes.len());
        let (mut at, mut changed) = (0, false);
        while let Some(next) = self.text[at..].chars().next() {
            let (it, length) = match next {
                '%' | '\\' | '&' => escape(&bytes[at..]).unwrap_or((next, next.len_utf8())),
                _ => (next, next.len_utf8()),
            };
            changed |= length != next.len_utf8();
            if !hides(it) {
                reading.push(it, self.start(at));
            }
            at += length;
        }
        changed.then(|| reading.end(self.start(bytes.len())))
    }

    /// Searches the view and tells where in the original what was found stands.
    pub(super) fn scan(&self, scan: impl FnOnce(&mut Vec<Span>, &str), spans: &mut Vec<Span>) {
        let from = spans.len();
        scan(spans, &self.text);
        for span in &mut spans[from..] {
            (span.start, span.end) = (self.start(span.start), self.start(span.end));
        }
    }

    fn start(&self, at: usize) -> usize {
        self.starts.as_ref().map_or(at, |it| it[at])
    }
}

/// A view in the making.
struct Reading {
    text: String,
    starts: Vec<usize>,
}

impl Reading {
    fn of(length: usize) -> Reading {
        Reading { text: String::with_capacity(length), starts: Vec::with_capacity(length + 1) }
    }

    fn push(&mut self, it: char, start: usize) {
        self.text.push(it);
        self.starts.resize(self.text.len(), start);
    }

    fn end(mut self, length: usize) -> View<'static> {
        self.starts.push(length);
        View { text: Cow::Owned(self.text), starts: Some(self.starts) }
    }
}

/// The character that an escape stands for, and how many bytes the escape has. Only ASCII: secrets are.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let hex = |from: usize, to: usize| {
        let digits = std::str::from_utf8(bytes.get(from..to)?).ok()?;
        let number = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
        Some((char::from(number), to)).filter(|it| it.0.is_ascii())
    };
    match bytes {
        [b'%', ..] => hex(1, 3),
        [b'\\', b'x', ..] => hex(2, 4),
        [b'\\', b'u', b'0', b'0', ..] => hex(4, 6),
        [b'\\', b'n', ..] => Some(('\n', 2)),
        [b'\\', b'r', ..] => Some(('\n', 2)),
        [b'\\', b't', ..] => Some(('\t', 2)),
        [b'\\', it @ (b'"' | b'\'' | b'/' | b'\\'), ..] => Some((char::from(*it), 2)),
        [b'&', ..] => {
            ["&quot;\"", "&amp;&", "&#39;'", "&#34;\"", "&#64;@", "&lt;<", "&gt;>"].iter().find_map(|it| {
                let (entity, stands_for) = it.split_at(it.len() - 1);
                bytes
                    .starts_with(entity.as_bytes())
                    .then(|| (char::from(stands_for.as_bytes()[0]), entity.len()))
            })
        }
        _ => None,
    }
}
