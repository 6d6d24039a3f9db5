//! Which secrets and personal details does a text hold, and what stands in their place? Every string that leaves, in a
//! result, an error or the log, passes here on its way out of the gate.
//!
//! A text is searched as it stands, without the characters that hide, and with percent, JSON and backslash escapes taken
//! back, so that a secret broken up or encoded is found too; what is masked is the stretch of the original. Keywords are
//! looked for first and a pattern is compiled only when its keyword occurs: nothing is paid for what does not occur.
//!
//! * **Invariant:** masking twice changes nothing.
//! * **Invariant:** the work grows as the text does, whoever wrote it.
//! * **Invariant:** a text is masked before it is cut: [`short`], [`excerpt`] and [`abridged`] are the ways to cut one that
//!   the gate has not been over. Half a secret, or a value without its name, is known by nothing.

mod assigned;
mod block;
mod clean;
mod cut;
mod personal;
mod rules;
mod view;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use serde::Serialize;
use serde_json::{Map, Value};

use block::KeyBlock;
pub use clean::{clean, clean_value, hides};
pub use cut::{abridged, excerpt, short};
use view::View;

/// How much was masked, by kind: `github token`, `email`. The kinds are a closed list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Masked(BTreeMap<&'static str, u64>);

/// Masks secrets and, unless revealed, personal details of one text. Masking twice changes nothing.
pub fn redact(text: &str, reveal_pii: bool) -> (Cow<'_, str>, Masked) {
    let mut redactor = Redactor::new(reveal_pii);
    let redacted = redactor.text(text);
    (redacted, redactor.masked)
}

/// Masks every string of a value, keys included, and what stands under a telling key.
pub fn redact_value(value: &mut Value, reveal_pii: bool, masked: &mut Masked) {
    let mut redactor = Redactor::new(reveal_pii);
    redactor.value(value);
    masked.merge(&redactor.masked);
}

/// A stretch of a text to be masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    kind: &'static str,
}

/// Masks texts that follow one another: a private key may begin in one and end in another.
#[derive(Clone, Debug)]
pub struct Redactor {
    reveal_pii: bool,
    block: KeyBlock,
    /// What was masked so far.
    pub masked: Masked,
}

/// Masking may bring together what was apart; it is repeated until nothing changes, and so often at most.
const PASSES_MAX: usize = 8;
/// Escapes within escapes are taken back so deep.
const DEPTH_MAX: usize = 3;

impl Redactor {
    /// For texts of their own; secrets are masked always, personal details unless they are revealed.
    pub fn new(reveal_pii: bool) -> Redactor {
        Redactor { reveal_pii, block: KeyBlock::default(), masked: Masked::default() }
    }

    /// For texts that may begin inside of a private key.
    pub fn continuing(reveal_pii: bool) -> Redactor {
        Redactor { block: KeyBlock::continuing(), ..Redactor::new(reveal_pii) }
    }

    /// Masks one text.
    pub fn text<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let spans = self.spans(text);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = self.mask(text, &spans);
        for _ in 1..PASSES_MAX {
            let mut again = Redactor::new(self.reveal_pii);
            let spans = again.spans(&masked);
            if spans.is_empty() {
                break;
            }
            masked = self.mask(&masked, &spans);
        }
        Cow::Owned(masked)
    }

    /// Masks every string of a value, keys included.
    pub fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|it| self.value(it)),
            Value::Object(fields) => self.fields(fields),
            _ => {}
        }
    }

    /// Masks what stands under a name that says it is secret, and what else is to be masked.
    pub fn named(&mut self, name: &str, value: &mut Value) {
        self.under(name, value);
        self.value(value);
    }

    /// Masks what a name says is secret, also in lists. What is within objects has names of its own.
    fn under(&mut self, name: &str, value: &mut Value) {
        if !assigned::has_stem(name) {
            return;
        }
        let secret = match value {
            Value::String(text) => assigned::holds_secret(name, text),
            Value::Number(number) => assigned::holds_secret(name, &number.to_string()),
            Value::Array(values) => {
                values.iter_mut().for_each(|it| self.under(name, it));
                return;
            }
            _ => None,
        };
        if let Some(kind) = secret {
            self.masked.add(kind, 1);
            *value = Value::String(mark(kind));
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>) {
        // `{"name": "DB_PASSWORD", "value": "…"}`, as environments of containers are written.
        if let Some(name) = said(fields).map(str::to_owned) {
            for holder in ["value", "Value"] {
                if let Some(value) = fields.get_mut(holder) {
                    self.under(&name, value);
                }
            }
        }
        for (name, value) in fields.iter_mut() {
            self.named(name, value);
        }
        if fields.keys().any(|it| !Redactor::new(self.reveal_pii).spans(it).is_empty()) {
            let renamed = std::mem::take(fields).into_iter();
            *fields = distinct(renamed.map(|(name, value)| (self.text(&name).into_owned(), value)));
        }
    }

    /// What of a text is to be masked, in order and apart.
    fn spans(&mut self, text: &str) -> Vec<Span> {
        if self.block.is_outside() && is_word(text) {
            return Vec::new();
        }
        let mut spans = Vec::new();
        let (before, mut after) = (self.block, self.block);
        let mut view = View::visible(text);
        for _ in 0..=DEPTH_MAX {
            // What the most decoded view says is what holds: there the markers of a key are as they were meant.
            after = before;
            let scan = |spans: &mut Vec<Span>, text: &str| {
                after.scan(text, spans);
                if rules::scan(text, spans) {
                    assigned::scan(text, spans);
                }
                if !self.reveal_pii {
                    personal::scan(text, spans);
                }
            };
            view.scan(scan, &mut spans);
            match view.decoded() {
                Some(decoded) => view = decoded,
                None => break,
            }
        }
        self.block = after;
        apart(text, spans)
    }

    fn mask(&mut self, text: &str, spans: &[Span]) -> String {
        let (mut masked, mut from) = (String::with_capacity(text.len()), 0);
        for span in spans {
            masked.push_str(&text[from..span.start]);
            masked.push_str(&mark(span.kind));
            self.masked.add(span.kind, 1);
            from = span.end;
        }
        masked.push_str(&text[from..]);
        masked
    }
}

/// The name that an object gives to its value, by the first of these keys that has one.
fn said(fields: &Map<String, Value>) -> Option<&str> {
    const KEYS: [&str; 4] = ["name", "key", "Name", "Key"];
    let named = fields.iter().filter_map(|(key, value)| {
        let rank = KEYS.iter().position(|it| it == key)?;
        Some((rank, value.as_str()?))
    });
    named.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// Whether a text is too short and too plain to hold anything that is looked for: most names and words are, and so are digests.
/// The shortest secret of a known form has 15 characters, or a mark that these do not have; the mark of every longer one has a
/// letter beyond `f`, and no card has as many digits.
fn is_word(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-');
    let letter = |it: u8| it.is_ascii_lowercase() || it == b'_';
    match text.len() {
        0..14 => text.bytes().all(plain),
        14..18 => text.bytes().all(letter),
        40..=64 => text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it)),
        _ => false,
    }
}

impl Masked {
    /// Kinds and how often each was masked.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(kind, count)| (*kind, *count))
    }

    /// How much was masked in all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Adds what was masked elsewhere.
    pub fn merge(&mut self, other: &Masked) {
        other.iter().for_each(|(kind, count)| self.add(kind, count));
    }

    fn add(&mut self, kind: &'static str, count: u64) {
        *self.0.entry(kind).or_default() += count;
    }
}

/// Fields under their names, or under the name and a number where masking or cleaning made two names one.
pub(crate) fn distinct(fields: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut result = Map::new();
    let mut taken: HashMap<String, u64> = HashMap::new();
    for (name, value) in fields {
        let mut free = name.clone();
        while result.contains_key(&free) {
            let number = taken.entry(name.clone()).and_modify(|it| *it += 1).or_insert(2);
            free = format!("{name} ({number})");
        }
        result.insert(free, value);
    }
    result
}

/// Notes how many bytes a step looked at, so that a test can hold the sum to the length of the text.
fn worked(_bytes: usize) {
    #[cfg(test)]
    laws::WORKED.with(|it| it.set(it.get() + _bytes as u64));
}

/// What stands in place of a secret or a personal detail.
fn mark(kind: &str) -> String {
    match kind {
        personal::EMAIL | personal::CARD => format!("[{kind}]"),
        _ => format!("[secret: {kind}]"),
    }
}

/// Whether a value is a mark already, or holds one.
fn is_marked(value: &str) -> bool {
    value.contains("[secret:") || value.contains("[email]") || value.contains("[card number]")
}

/// Orders spans, joins those that overlap or are parted by white space within one key, and keeps characters whole.
fn apart(text: &str, mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|it| (it.start, std::cmp::Reverse(it.end)));
    let mut result: Vec<Span> = Vec::with_capacity(spans.len());
    for mut span in spans {
        span.start = text.floor_char_boundary(span.start);
        span.end = text.ceil_char_boundary(span.end);
        match result.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            Some(last)
                if last.kind == block::KIND
                    && span.kind == block::KIND
                    && text[last.end..span.start].trim().is_empty() =>
            {
                last.end = span.end;
            }
            _ => result.push(span),
        }
    }
    result
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
