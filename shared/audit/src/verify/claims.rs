//! What do the records of a log say? Its leaves as they are in its files; and the heads of other logs in them, as far as a checkpoint
//! signs them: whoever writes something behind a log accuses no other with it.

use std::path::Path;

use ed25519_dalek::VerifyingKey as PublicKey;

use super::{
    frames::{self, Frames},
    leaf::{Head, Leaf},
    log::segments,
    published::{Bundles, Came, Published},
    signed,
    tree::{self, Growing},
};
use crate::{AuditError, pool::Place};

/// Heads that wait for a checkpoint; a log that holds more of them between two is no log of ours.
const WAITING_MAX: usize = 100_000;

/// What a log is read as.
enum Part<'a> {
    Leaf(&'a [u8]),
    Checkpoint(&'a [u8]),
}

/// Heads in the records of one log, until a checkpoint is seen that signs all of them.
#[derive(Default)]
struct Claims {
    tree: Growing,
    waiting: Vec<Head>,
}

impl Claims {
    fn leaf(&mut self, bytes: &[u8]) {
        // Only a start and what goes on with it hold heads, and no field of theirs comes before the event.
        const BEGIN: &[u8] = b"{\"event\":\"s";
        self.tree.push(tree::leaf(bytes));
        if bytes.starts_with(BEGIN)
            && self.waiting.len() < WAITING_MAX
            && let Ok(leaf) = Leaf::read(bytes)
        {
            self.waiting.extend(leaf.siblings);
        }
    }

    /// The heads that a checkpoint signs.
    fn signed(&mut self, note: &[u8], keys: &[PublicKey]) -> Vec<Head> {
        let is_signed = !self.waiting.is_empty()
            && signed::open(note, keys)
                .is_ok_and(|it| (it.size, it.root) == (self.tree.size(), self.tree.root()));
        if is_signed { std::mem::take(&mut self.waiting) } else { Vec::new() }
    }
}

/// Every head of another log that stands in the signed records of one.
pub(crate) fn claims(
    place: &Place,
    keys: &[PublicKey],
    mut found: impl FnMut(Head),
) -> Result<(), AuditError> {
    let mut claims = Claims::default();
    parts(&place.folder, |part| match part {
        Part::Leaf(bytes) => claims.leaf(bytes),
        Part::Checkpoint(note) => claims.signed(note, keys).into_iter().for_each(&mut found),
    })
}

/// The same of what is published, whose one checkpoint signs all of it.
pub(crate) fn published_claims(
    it: &Published,
    keys: &[PublicKey],
    found: impl FnMut(Head),
) -> Result<(), AuditError> {
    let Ok(checkpoint) = signed::open(&it.note, keys) else { return Ok(()) };
    let (mut claims, mut leaves) = (Claims::default(), Bundles::new(&it.folder, checkpoint.size));
    while leaves.next()? == Came::Leaf {
        claims.leaf(leaves.leaf());
    }
    claims.signed(&it.note, keys).into_iter().for_each(found);
    Ok(())
}

/// Every leaf of a log, as it is in its files: whether they are those that were signed is another question.
pub(crate) fn leaves(folder: &Path, mut visit: impl FnMut(&[u8])) -> Result<(), AuditError> {
    parts(folder, |part| match part {
        Part::Leaf(bytes) => visit(bytes),
        Part::Checkpoint(_) => {}
    })
}

fn parts(folder: &Path, mut visit: impl FnMut(Part<'_>)) -> Result<(), AuditError> {
    let segments = segments(folder)?;
    if let Some(first) = segments.first().filter(|it| it.first > 0) {
        let mut leaves = Bundles::new(&folder.join("tlog"), first.first);
        while leaves.next()? == Came::Leaf {
            visit(Part::Leaf(leaves.leaf()));
        }
    }
    for segment in &segments {
        let mut frames = Frames::open(&segment.path)?;
        while let Some(kind) = frames.next()? {
            match kind {
                frames::LEAF => visit(Part::Leaf(frames.content())),
                frames::CHECKPOINT => visit(Part::Checkpoint(frames.content())),
                _ => {}
            }
        }
    }
    Ok(())
}
