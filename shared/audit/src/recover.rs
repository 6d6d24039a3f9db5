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
    frame::{CONTENT_MAX, Frames, HEAD_BYTES, Kind, Next},
    ledger::HEADER,
    merkle::{Tree, leaf_hash},
    note::{BadNote, Checkpoint},
    record::Word,
};

/// A log at the end of a commit.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// Where the next commit begins.
    pub(crate) end: u64,
    /// The last checkpoint and its note.
    pub(crate) checkpoint: Option<(Checkpoint, String)>,
    /// Intents without outcome, with the places of their leaves.
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
    /// Byte of the journal.
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
        write!(out, "{} at record {} (byte {} of the journal)", self.what, self.index, self.offset)
    }
}

/// Reads a journal from a state that is known to be good, or from its beginning.
pub(crate) fn replay(mut file: &File, from: Option<State>, keys: &[PublicKey]) -> io::Result<Replay> {
    let mut state = from.unwrap_or_default();
    let mut origin = state.checkpoint.as_ref().map(|(it, _)| it.origin.clone());
    file.seek(SeekFrom::Start(state.end))?;
    let mut frames = Frames::new(BufReader::with_capacity(256 * 1024, file), state.end);
    let mut next = state.clone();
    loop {
        let offset = frames.offset();
        let step = frames.step()?;
        let fit = match step {
            Next::Frame(Kind::Header) if offset == 0 => {
                origin = header(frames.content());
                origin.as_ref().map(|_| ()).ok_or_else(|| "a header of another format".to_owned())
            }
            Next::Frame(Kind::Header) => Err("a second header".to_owned()),
            Next::Frame(Kind::Leaf) => next.leaf(frames.content(), offset),
            Next::Frame(Kind::Payload) => Ok(()),
            Next::Frame(Kind::Checkpoint) => {
                next.sign_off(frames.content(), origin.as_deref(), keys).map(|()| {
                    next.end = frames.offset();
                    state = next.clone();
                })
            }
            Next::End | Next::Broken(_) => return Ok(Replay { state, damage: None }),
        };
        if let Err(what) = fit {
            let index = state.tree.size();
            return Ok(Replay { state, damage: Some(Damage { offset, index, what }) });
        }
    }
}

impl State {
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

/// The origin in a journal's first frame.
pub(crate) fn header(content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok()?;
    let origin = text.strip_prefix(HEADER)?.strip_prefix('\n')?.strip_suffix('\n')?;
    (!origin.contains('\n')).then(|| origin.to_owned())
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
