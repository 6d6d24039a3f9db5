//! Where does a private key begin and end? It has many lines, and they may arrive as lines of one text, as lines or cells
//! one by one, forwards or backwards, from the middle, with other lines in between.

use super::{Span, worked};

/// What a private key is called.
pub(super) const KIND: &str = "private key";

/// Whether the text so far leaves a private key open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyBlock {
    state: State,
    /// The line before was masked.
    adjacent: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    /// After one of its two markers; how many lines the other may still be away.
    Inside(u16),
    /// No marker was seen, but the text starts in the middle: only as long as every line is of a key.
    Perhaps,
}

/// Longest private key, in lines; a key of 16,384 bits has 200.
const LINES_MAX: u16 = 400;
/// Shortest line in the middle of a private key.
const LINE_MIN: usize = 40;

impl KeyBlock {
    /// For a text that may start in the middle of a private key.
    pub(super) fn continuing() -> KeyBlock {
        KeyBlock { state: State::Perhaps, adjacent: false }
    }

    pub(super) fn is_inside(self) -> bool {
        matches!(self.state, State::Inside(_))
    }

    /// Whether a text without markers leaves everything as it is.
    pub(super) fn is_outside(self) -> bool {
        self.state == State::Outside
    }

    /// Finds what belongs to private keys.
    pub(super) fn scan(&mut self, text: &str, spans: &mut Vec<Span>) {
        if self.is_outside() && !text.contains("PRIVATE KEY") {
            return;
        }
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some((start, end)) = self.line(line.trim_end_matches('\n')) {
                spans.push(Span { start: at + start, end: at + end, kind: KIND });
            }
            at += line.len();
        }
    }

    /// What of one line belongs to a private key.
    fn line(&mut self, line: &str) -> Option<(usize, usize)> {
        let begin = marker(line, "BEGIN ");
        let end = marker(line, "END ");
        let found = match (begin, end) {
            (Some(begin), Some(end)) => {
                let opens = begin.0 > end.0;
                self.state = if opens { State::Inside(LINES_MAX) } else { State::Outside };
                let (start, stop) = if opens { (0, line.len()) } else { (begin.0, end.1) };
                Some((start, stop))
            }
            // Backwards, this is the last line and the key is closed.
            (Some(begin), None) if self.is_inside() && !self.opened_forwards(line, begin) => {
                self.state = State::Outside;
                Some((begin.0, line.len()))
            }
            (Some(begin), None) => {
                self.state = State::Inside(LINES_MAX);
                Some((begin.0, line.len()))
            }
            (None, Some(end)) => {
                self.state = if self.is_inside() { State::Outside } else { State::Inside(LINES_MAX) };
                Some((0, end.1))
            }
            (None, None) => self.middle(line),
        };
        self.adjacent = found.is_some();
        found
    }

    /// A second begin without an end between opens a second key, unless the lines run backwards: then the lines before
    /// were of this key, and nothing follows the marker.
    fn opened_forwards(&self, line: &str, begin: (usize, usize)) -> bool {
        !self.adjacent || !line[begin.1..].trim().is_empty()
    }

    fn middle(&mut self, line: &str) -> Option<(usize, usize)> {
        let words = || line.split(|it: char| !is_base64(it));
        let long = words().any(|it| is_key_material(it, LINE_MIN));
        match self.state {
            State::Outside => None,
            State::Perhaps => {
                let bare = line.trim_start_matches(['+', '-', '>', '|', ' ', '\t', '"', '\'']);
                let bare = bare.trim_end_matches([' ', '\t', '"', '\'', ',', '\\']);
                let of_key = is_key_material(bare, LINE_MIN)
                    || self.adjacent && !bare.is_empty() && bare.chars().all(is_base64);
                if !of_key {
                    self.state = State::Outside;
                }
                of_key.then_some((0, line.len()))
            }
            State::Inside(left) => {
                self.state = left.checked_sub(1).map_or(State::Outside, State::Inside);
                let bare = line.trim_matches(['+', '-', '>', '|', ' ', '\t', '"', '\'', ',', '\\']);
                let padded = words().next_back().is_some_and(|it| it.len() >= 4 && it.ends_with('='));
                let last = self.adjacent && !bare.is_empty() && bare.chars().all(is_base64);
                (long || last || padded).then_some((0, line.len()))
            }
        }
    }
}

fn is_base64(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '+' | '/' | '=')
}

/// Whether a word is a line of base64 and not a digest in hexadecimal or a path.
fn is_key_material(word: &str, shortest: usize) -> bool {
    let has = |class: fn(&u8) -> bool| word.bytes().any(|it| class(&it));
    word.len() >= shortest
        && word.chars().all(is_base64)
        && !word.bytes().all(|it| it.is_ascii_hexdigit())
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
}

/// Most bytes from `BEGIN` to the end of `PRIVATE KEY`.
const NAME_MAX: usize = 64;

/// Where `-----BEGIN … PRIVATE KEY-----` or the like stands.
fn marker(line: &str, word: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = line[from..].find(word) {
        let at = from + found;
        let rest = &line[at + word.len()..];
        let named = |it: &u8| it.is_ascii_uppercase() || it.is_ascii_digit() || *it == b' ';
        let name = &rest[..rest.bytes().take(NAME_MAX).take_while(named).count()];
        worked(name.len());
        if let Some(kind) = name.find("PRIVATE KEY") {
            let start = line[..at].trim_end_matches([' ', '-']).len();
            let after = rest[kind + "PRIVATE KEY".len()..].trim_start_matches(" BLOCK");
            let after = after.trim_start_matches([' ', '-']);
            if start < at && line.as_bytes()[at - 1] == b'-' {
                return Some((start, line.len() - after.len()));
            }
        }
        from = at + word.len();
    }
    None
}
