//! What was durable when the last process ended, and is it still there?
//!
//! Everything up to the last valid checkpoint counts. What stands behind it was never acknowledged: it is kept aside and
//! cut. Anything else that does not fit was not caused by a crash, and the log does not open.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use ed25519_dalek::VerifyingKey as PublicKey;
use serde::Deserialize;

use crate::{
    AuditError,
    error::At,
    frame::{CONTENT_MAX, Frames, HEAD_BYTES, Kind, Next, last_written},
    merkle::{Tree, leaf_hash},
    note::{BadNote, Checkpoint},
    record::Word,
    segment::{Header, Segment},
};

/// A log at the end of a commit.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// First index of the last segment.
    pub(crate) segment: u64,
    /// Where the next commit begins in it.
    pub(crate) end: u64,
    /// The last checkpoint and its note.
    pub(crate) checkpoint: Option<(Checkpoint, String)>,
    /// Intents without outcome, with the places of their leaves in their segments.
    pub(crate) open: BTreeMap<u64, u64>,
    /// Whether the last record is a stop.
    pub(crate) stopped: bool,
}

/// What reading a journal found.
pub(crate) struct Replay {
    /// After the last commit that fits everything before it.
    pub(crate) state: State,
    /// What stood behind it and cannot come from a crash.
    pub(crate) damage: Option<Damage>,
}

/// Something in a journal that its writer did not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// First index of the segment.
    pub(crate) segment: u64,
    /// Byte of the segment.
    pub(crate) offset: u64,
    /// First record that cannot be trusted.
    pub(crate) index: u64,
    pub(crate) what: String,
}

/// What a start needs to know of a leaf.
#[derive(Deserialize)]
struct Brief {
    index: u64,
    event: Word,
    intent: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { segment, offset, index, what } = self;
        write!(out, "{what} at record {index} (byte {offset} of the journal")?;
        match segment {
            0 => write!(out, ")"),
            _ => write!(out, "'s segment from {segment})"),
        }
    }
}

/// Reads a journal from a state that is known to be good, or from its beginning.
pub(crate) fn replay(
    segments: &[Segment],
    from: Option<State>,
    keys: &[PublicKey],
) -> Result<Replay, AuditError> {
    let mut state = from.unwrap_or_default();
    let begin = state.segment;
    for (at, segment) in segments.iter().enumerate().filter(|(_, it)| it.first >= begin) {
        let mut next = state.clone();
        let damage = if at > 0 && segment.first > state.segment {
            next.enter(segment.first)
        } else {
            next.segment = segment.first;
            None
        };
        let is_last = at + 1 == segments.len();
        let damage = match damage {
            Some(what) => Some((0, what)),
            None => read_segment(segment, is_last, &mut state, next, keys).at("read", &segment.path)?,
        };
        if let Some((offset, what)) = damage {
            let damage = Damage { segment: segment.first, offset, index: state.tree.size(), what };
            return Ok(Replay { state, damage: Some(damage) });
        }
    }
    Ok(Replay { state, damage: None })
}

/// Reads a segment behind `next.end`; `state` is that after the last commit that fits. Says where and what does not.
fn read_segment(
    segment: &Segment,
    is_last: bool,
    state: &mut State,
    mut next: State,
    keys: &[PublicKey],
) -> io::Result<Option<(u64, String)>> {
    let mut file = File::open(&segment.path)?;
    file.seek(SeekFrom::Start(next.end))?;
    let mut frames = Frames::new(BufReader::with_capacity(256 * 1024, &file), next.end);
    let mut origin = state.checkpoint.as_ref().map(|(it, _)| it.origin.clone());
    loop {
        let offset = frames.offset();
        let fit = match frames.step()? {
            Next::Frame(Kind::Header) if offset == 0 => {
                next.header(frames.content(), origin.as_deref()).map(|it| origin = Some(it))
            }
            Next::Frame(Kind::Header) => Err("a second header".to_owned()),
            Next::Frame(Kind::Leaf) => next.leaf(frames.content(), offset),
            Next::Frame(Kind::Payload) => Ok(()),
            Next::Frame(Kind::Checkpoint) => {
                next.sign_off(frames.content(), origin.as_deref(), keys).map(|()| {
                    next.end = frames.offset();
                    *state = next.clone();
                })
            }
            Next::End | Next::Broken(_) => break,
        };
        if let Err(what) = fit {
            return Ok(Some((offset, what)));
        }
    }
    // Later segments are made whole before they have their name, and followed only once they end in a commit.
    let entered = state.segment == segment.first && state.checkpoint.is_some();
    let incomplete =
        (segment.first > 0 && !entered) || (!is_last && last_written(&file, state.end)?.is_some());
    let what =
        || (frames.offset(), "bytes that are no commit, in a segment that no crash could tear".to_owned());
    Ok(incomplete.then(what))
}

impl State {
    /// Goes on in the next segment.
    fn enter(&mut self, first: u64) -> Option<String> {
        (self.segment, self.end) = (first, 0);
        let size = self.tree.size();
        // Where the segments before the first one that is left were dropped, its header says what they held.
        (size != first).then(|| format!("a segment that begins with record {first}, behind {size} records"))
    }

    /// The origin, if the header is that of this segment.
    fn header(&mut self, content: &[u8], origin: Option<&str>) -> Result<String, String> {
        let header = Header::parse(content).ok_or_else(|| "a header of another format".to_owned())?;
        if origin.is_some_and(|it| it != header.origin) {
            return Err(format!("a segment of another log, {}", header.origin));
        }
        if header.tree.size() != self.segment || (self.checkpoint.is_some() && header.tree != self.tree) {
            return Err("a header of another segment".to_owned());
        }
        self.tree = header.tree;
        Ok(header.origin)
    }

    fn leaf(&mut self, content: &[u8], offset: u64) -> Result<(), String> {
        let leaf: Brief = serde_json::from_slice(content)
            .map_err(|_| "something that is no leaf of format 1".to_owned())?;
        if leaf.index != self.tree.size() {
            return Err(format!("a record that calls itself {}", leaf.index));
        }
        self.tree.push(leaf_hash(content));
        self.stopped = leaf.event == Word::Stop;
        if leaf.event == Word::Intent {
            self.open.insert(leaf.index, offset);
        }
        if let Some(intent) = leaf.intent {
            self.open.remove(&intent);
        }
        Ok(())
    }

    fn sign_off(&mut self, note: &[u8], origin: Option<&str>, keys: &[PublicKey]) -> Result<(), String> {
        let checkpoint = Checkpoint::open(note, keys).map_err(|problem| {
            match problem {
                BadNote::Malformed => "something that is no checkpoint",
                BadNote::OtherKey => "a checkpoint signed with another key",
                BadNote::Forged => "a checkpoint whose signature is forged",
            }
            .to_owned()
        })?;
        if Some(checkpoint.origin.as_str()) != origin {
            return Err(format!("a checkpoint of another log, {}", checkpoint.origin));
        }
        if checkpoint.size != self.tree.size() || checkpoint.root != self.tree.root() {
            return Err(format!(
                "records that are not those of the checkpoint over {} of them",
                checkpoint.size
            ));
        }
        let text = String::from_utf8(note.to_vec()).expect("a checkpoint is text");
        self.checkpoint = Some((checkpoint, text));
        Ok(())
    }
}

/// Sizes of the first two validly signed checkpoints at or after a place, wherever they stand.
pub(crate) fn checkpoints_behind(file: &File, from: u64, keys: &[PublicKey]) -> io::Result<Vec<u64>> {
    /// No note is longer, so blocks overlap by it.
    const NOTE_MAX: usize = 4096;
    let mut block = vec![0; CONTENT_MAX];
    let (mut offset, mut sizes) = (from, Vec::new());
    loop {
        let got = file.read_at(&mut block, offset)?;
        for name in starts_of(&block[..got], b"bailiwick/") {
            let Some(at) = name.checked_sub(HEAD_BYTES) else { continue };
            let mut frames = Frames::new(&block[at..got], 0);
            if let Next::Frame(Kind::Checkpoint) = frames.step()?
                && let Ok(checkpoint) = Checkpoint::open(frames.content(), keys)
                && !sizes.contains(&checkpoint.size)
            {
                sizes.push(checkpoint.size);
            }
        }
        if sizes.len() > 1 || got <= NOTE_MAX {
            return Ok(sizes);
        }
        offset += (got - NOTE_MAX) as u64;
    }
}

/// Where a word begins.
fn starts_of(block: &[u8], word: &'static [u8]) -> impl Iterator<Item = usize> {
    let candidates = block.iter().enumerate().filter(move |(_, it)| **it == word[0]);
    candidates.map(|(at, _)| at).filter(move |at| block[*at..].starts_with(word))
}
