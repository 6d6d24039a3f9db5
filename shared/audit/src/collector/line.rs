//! Does this frame belong here? A log frame by frame, judged by nothing but its key and what came before: the verifier's own reading
//! of the format, of a file on the disk and of what arrives alike.

use std::io::Read;

use ed25519_dalek::VerifyingKey as PublicKey;

use crate::{
    Digest,
    verify::{
        frames::{self, read},
        leaf::Leaf,
        signed::{self, Unsigned},
        tree::{self, Growing},
    },
};

/// A log as far as it was read.
#[derive(Clone)]
pub(super) struct Line {
    origin: String,
    key: PublicKey,
    tree: Growing,
    /// Records under the last checkpoint, and their root.
    size: u64,
    root: Digest,
    /// Whether the header was read.
    begun: bool,
    /// Whether the last leaf commits to a payload that was not seen yet.
    awaits: bool,
    stopped: bool,
}

/// Why a frame does not belong where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// It is not what may stand there.
    #[error("{0}")]
    Malformed(String),
    /// A checkpoint that the log's key did not sign.
    #[error("a checkpoint that the key of the log did not sign")]
    Unsigned,
    /// A checkpoint that the log's key signed, over other records.
    #[error("records that are not those of the checkpoint behind them")]
    Contradicts,
}

impl Line {
    pub(super) fn new(origin: &str, key: PublicKey) -> Line {
        let tree = Growing::default();
        Line {
            origin: origin.to_owned(),
            key,
            size: 0,
            root: tree.root(),
            tree,
            begun: false,
            awaits: false,
            stopped: false,
        }
    }

    /// Records under the last checkpoint.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Root over them.
    pub(super) fn root(&self) -> Digest {
        self.root
    }

    /// Whether the last record is a stop.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Reads whole commits, up to the last byte.
    pub(super) fn read(&mut self, mut frames: &[u8]) -> Result<(), Unfit> {
        let mut whole = true;
        while !frames.is_empty() {
            (whole, _) = self.step(&mut frames)?.ok_or_else(|| malformed("bytes that are no frame"))?;
        }
        if whole { Ok(()) } else { Err(malformed("records without a checkpoint behind them")) }
    }

    /// Reads one frame, and says whether it ended a commit and how many bytes it took; none where there is no frame.
    pub(super) fn step(&mut self, input: &mut impl Read) -> Result<Option<(bool, u64)>, Unfit> {
        let mut content = Vec::new();
        let kind = read(input, &mut content).map_err(|error| malformed(&format!("unreadable: {error}")))?;
        let Some(kind) = kind else { return Ok(None) };
        match kind {
            frames::HEADER => self.header(&content)?,
            _ if !self.begun => return Err(malformed("a frame before the header")),
            frames::LEAF => self.leaf(&content)?,
            frames::PAYLOAD if self.awaits => self.awaits = false,
            frames::PAYLOAD => return Err(malformed("a payload that no record commits to")),
            _ => self.checkpoint(&content)?,
        }
        Ok(Some((kind == frames::CHECKPOINT, (frames::FRONT + content.len()) as u64)))
    }

    fn header(&mut self, content: &[u8]) -> Result<(), Unfit> {
        let right = format!("bailiwick journal v1\n{}\n", self.origin);
        if self.begun || content != right.as_bytes() {
            return Err(malformed("a header of another log, of another format, or a second one"));
        }
        self.begun = true;
        Ok(())
    }

    fn leaf(&mut self, content: &[u8]) -> Result<(), Unfit> {
        self.no_payload()?;
        let index = self.tree.size();
        let leaf = Leaf::read(content)
            .map_err(|why| malformed(&format!("record {index} is no canonical leaf of format 1: {why}")))?;
        if leaf.index != index {
            return Err(malformed(&format!("record {index} calls itself {}", leaf.index)));
        }
        self.tree.push(tree::leaf(content));
        self.awaits = leaf.commitment.is_some();
        self.stopped = leaf.event == "stop";
        Ok(())
    }

    fn checkpoint(&mut self, note: &[u8]) -> Result<(), Unfit> {
        self.no_payload()?;
        let signed = signed::open(note, &[self.key]).map_err(|it| match it {
            Unsigned::Malformed => malformed("a checkpoint that is none"),
            Unsigned::Unknown | Unsigned::Forged => Unfit::Unsigned,
        })?;
        if signed.origin != self.origin {
            return Err(malformed("a checkpoint of another log"));
        }
        if signed.size != self.tree.size() || signed.root != self.tree.root() {
            return Err(Unfit::Contradicts);
        }
        if signed.size == self.size {
            return Err(malformed("a second checkpoint over the same records"));
        }
        (self.size, self.root) = (signed.size, signed.root);
        Ok(())
    }

    fn no_payload(&self) -> Result<(), Unfit> {
        if self.awaits { Err(malformed("a record without the payload that it commits to")) } else { Ok(()) }
    }
}

fn malformed(problem: &str) -> Unfit {
    Unfit::Malformed(problem.to_owned())
}
