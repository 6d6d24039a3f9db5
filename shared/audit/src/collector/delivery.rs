//! What is sent to a collector? A few lines that say which log, under which key and from where on, then frames as they stand in
//! the journal.

use crate::{
    VerifyingKey,
    record::is_word,
    verify::frames::{self, read},
};

/// First line.
const TITLE: &str = "bailiwick delivery v1";
/// Longest text before the frames.
const HEAD_BYTES_MAX: usize = 1024;

/// Frames of a log, and whose they are.
pub(crate) struct Delivery<'a> {
    pub(crate) origin: String,
    /// What the log is signed with.
    pub(crate) key: VerifyingKey,
    /// Records before the first of these.
    pub(crate) from: u64,
    /// Whole commits.
    pub(crate) frames: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// The text in front of the frames.
    pub(crate) fn head(origin: &str, key: &VerifyingKey, from: u64) -> String {
        format!("{TITLE}\norigin {origin}\nkey {key}\nfrom {from}\n\n")
    }

    /// Reads a delivery, without judging its frames.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Delivery<'a>, &'static str> {
        let front = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let end = front.windows(2).position(|it| it == b"\n\n").ok_or("no empty line before the frames")?;
        let head = std::str::from_utf8(&front[..end]).map_err(|_| "not UTF-8 before the frames")?;
        let mut lines = head.split('\n');
        if lines.next() != Some(TITLE) {
            return Err("not a delivery of version 1");
        }
        let mut field = |name: &str| lines.next().and_then(|it| it.strip_prefix(name)?.strip_prefix(' '));
        let (origin, key, from) = (field("origin"), field("key"), field("from"));
        let (Some(origin), Some(key), Some(from), None) = (origin, key, from, lines.next()) else {
            return Err("expected the lines `origin`, `key` and `from`");
        };
        let number: u64 = from.parse().map_err(|_| "`from` is no number")?;
        if number.to_string() != from {
            return Err("`from` is no number");
        }
        let key = key.parse().map_err(|_| "`key` is no verifier key")?;
        if server_of(origin).is_none() {
            return Err("`origin` is not that of a log");
        }
        Ok(Delivery { origin: origin.to_owned(), key, from: number, frames: &bytes[end + 2..] })
    }

    /// Server and number that the origin names.
    pub(crate) fn place(&self) -> (&str, u32) {
        server_of(&self.origin).expect("checked when it was read")
    }
}

/// `<server>` and `<n>` of `bailiwick/<server>/<n>/<16 hex digits>`.
fn server_of(origin: &str) -> Option<(&str, u32)> {
    let mut parts = origin.strip_prefix("bailiwick/")?.split('/');
    let (server, number, digits) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |it: u8| matches!(it, b'0'..=b'9' | b'a'..=b'f');
    let known = is_word(server) && digits.len() == 16 && digits.bytes().all(hex) && parts.next().is_none();
    let number = number.parse().ok().filter(|it: &u32| it.to_string() == number)?;
    known.then_some((server, number))
}

/// Contents of the checkpoints among frames, as far as they can be read.
pub(crate) fn checkpoints(mut frames: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut content) = (Vec::new(), Vec::new());
    while let Ok(Some(kind)) = read(&mut frames, &mut content) {
        if kind == frames::CHECKPOINT {
            found.push(content.clone());
        }
    }
    found
}
