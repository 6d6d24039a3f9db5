//! What is published, and in which order? Tiles and bundles first, synced, then the checkpoint that needs them: from the
//! journal, as far as it is durable, and again from the journal whatever was cut off.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::AtomicU64},
};

use ed25519_dalek::VerifyingKey as PublicKey;

use super::{CHECKPOINT, Desk, Failure, PAYLOADS, Subject, TLOG, folder::Folder, prune};
use crate::{
    AuditError,
    frame::Kind,
    ledger::Reach,
    note::Checkpoint,
    segment::{Position, Segment, Walk, end_of_commit},
    tiles::{self, Edge, Part, WIDTH},
};

/// Records between two published checkpoints at most, so that a long backlog is published bit by bit.
const ROUND_MAX: u64 = 64 * WIDTH;

/// Publishes one log in the folder beside its journal.
pub(super) struct Publisher {
    pub(super) log: String,
    pub(super) folder: PathBuf,
    origin: String,
    key: PublicKey,
    found: Position,
    pub(super) keep_segments: Option<u32>,
    pub(super) tlog: Folder,
    pub(super) payloads: Folder,
    /// Witnesses' lines are added to the checkpoint by others.
    desk: Desk,
    /// Records that the collector holds; none where there is no collector.
    pub(super) collected: Option<Arc<AtomicU64>>,
    /// What stands there, and where the journal goes on; none before it was looked at and after a failure.
    edge: Option<(Edge, Position)>,
    /// The checkpoint that was found there. What is made again under it is not told before it is whole.
    found_there: Option<Checkpoint>,
}

impl Publisher {
    pub(super) fn new(subject: &Subject<'_>, keep_segments: Option<u32>, desk: Desk) -> Publisher {
        Publisher {
            log: subject.log.clone(),
            folder: subject.folder.to_owned(),
            origin: subject.origin.to_owned(),
            key: subject.key,
            found: subject.found,
            keep_segments,
            tlog: Folder::new(&subject.folder.join(TLOG)),
            payloads: Folder::private(&subject.folder.join(PAYLOADS)),
            desk,
            collected: None,
            edge: None,
            found_there: None,
        }
    }

    /// Publishes the journal up to there, tells so, and drops what need not be kept.
    pub(super) fn publish(&mut self, reach: &Reach, told: impl FnOnce(u64)) -> Result<u64, Failure> {
        // Whatever fails leaves the folder as it is: the next attempt looks at it anew.
        let mut staged = Vec::new();
        let (mut edge, mut position) = match self.edge.take() {
            Some(it) => it,
            None => self.look(reach, &mut staged)?,
        };
        while position != reach.position {
            (edge, position) = self.round(edge, position, reach, &mut staged)?;
        }
        let size = edge.size();
        self.edge = Some((edge, position));
        // Whoever waits for what is published does not wait for what is dropped.
        told(size);
        prune::prune(self, reach)?;
        Ok(size)
    }

    /// Publishes up to a checkpoint of the journal.
    fn round(
        &self,
        mut edge: Edge,
        from: Position,
        reach: &Reach,
        staged: &mut Vec<String>,
    ) -> Result<(Edge, Position), Failure> {
        // Opened anew: what was read ahead the last time may have been written since.
        let mut walk = Walk::new(&self.folder, from);
        let mut note = Vec::new();
        let before = edge.size();
        while walk.position() != reach.position {
            match walk.step()? {
                Some(Kind::Leaf) => {
                    for (path, bytes) in edge.push(walk.content()) {
                        self.stage(path, &bytes, staged)?;
                    }
                }
                Some(Kind::Checkpoint) => {
                    note = walk.content().to_vec();
                    if edge.size() - before >= ROUND_MAX {
                        break;
                    }
                }
                Some(_) => {}
                None => return Err(self.damaged("its journal ends before what was durable").into()),
            }
        }
        self.check(&note, &edge)?;
        for (path, bytes) in edge.partials() {
            self.stage(path, &bytes, staged)?;
        }
        self.tlog.settle(staged)?;
        staged.clear();
        // Last, because it says that all of the others are there.
        if self.found_there.as_ref().is_none_or(|it| it.size < edge.size()) {
            let _writes = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            self.tlog.put(CHECKPOINT, &note)?;
        }
        self.clear(before, edge.size())?;
        Ok((edge, walk.position()))
    }

    /// Refuses records that are not those of a checkpoint of the journal.
    pub(super) fn check(&self, note: &[u8], edge: &Edge) -> Result<(), Failure> {
        let signed = Checkpoint::open(note, &[self.key]).ok().filter(|it| it.origin == self.origin);
        let (size, root) = (edge.size(), edge.tree().root());
        let there = self.found_there.as_ref().filter(|it| it.size == size);
        if signed.is_none_or(|it| it.size != size || it.root != root)
            || there.is_some_and(|it| it.root != root)
        {
            let problem =
                format!("the {size} records of its journal and what was published before do not fit");
            return Err(Failure::Diverged(problem));
        }
        Ok(())
    }

    /// Removes what was partial at one size and is full at another.
    fn clear(&self, before: u64, size: u64) -> Result<(), AuditError> {
        tiles::full(before, size).try_for_each(|(part, number)| self.tlog.clear(&part.path(number, WIDTH)))
    }

    /// What stands there already, and where the journal goes on behind it.
    fn look(&mut self, reach: &Reach, staged: &mut Vec<String>) -> Result<(Edge, Position), Failure> {
        let size = reach.position.index;
        self.found_there = self.published()?;
        if let Some(checkpoint) = &self.found_there {
            if checkpoint.size > size {
                let problem = format!("{} records are published, and there are {size}", checkpoint.size);
                return Err(Failure::Diverged(problem));
            }
            let edge = Edge::read(checkpoint.size, |path| self.tlog.get(path))?;
            if let Some(edge) = edge.filter(|it| it.tree().root() == checkpoint.root)
                && let Some(position) = self.place_of(checkpoint.size)?
                && self.has_all(checkpoint.size)?
            {
                // Those before the last round were removed by it; its own may have been left.
                self.clear(checkpoint.size.saturating_sub(2 * ROUND_MAX), checkpoint.size)?;
                return Ok((edge, position));
            }
            tracing::warn!(
                log = self.log,
                "what was published is not whole; it is made again from the journal"
            );
        }
        let segments = Segment::list(&self.folder)?;
        let first = segments.first().map_or(0, |it| it.first);
        let edge = self.dropped(first, staged)?;
        Ok((edge, Position { segment: first, offset: 0, index: first }))
    }

    /// Whether every full tile and bundle of so many records is there. What is in them is asked before a segment is dropped.
    fn has_all(&self, size: u64) -> Result<bool, AuditError> {
        for (part, number) in tiles::full(0, size) {
            if !self.tlog.has(&part.path(number, WIDTH))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The edge behind the records before a segment, by the tree that it begins with.
    pub(super) fn edge_before(
        &self,
        segment: &Segment,
        published: u64,
        staged: &mut Vec<String>,
    ) -> Result<Edge, AuditError> {
        let header = segment.header()?.filter(|it| it.origin == self.origin);
        let tree = header.ok_or_else(|| self.damaged("a segment of its journal has no header"))?.tree;
        let read = Edge::at(segment.first, published, |path| self.tlog.get(path))?;
        let edge = match read.filter(|it| it.tree() == tree) {
            Some(edge) => edge,
            None => self.dropped(segment.first, staged)?,
        };
        match edge.tree() == tree {
            true => Ok(edge),
            false => Err(self.damaged(&format!(
                "what is published of the records before {} is not theirs",
                segment.first
            ))),
        }
    }

    /// The checkpoint that stands there, if it is one of this log.
    fn published(&self) -> Result<Option<Checkpoint>, AuditError> {
        let note = self.tlog.get(CHECKPOINT)?;
        let ours = |note: Vec<u8>| Checkpoint::open(&note, &[self.key]).ok();
        Ok(note.and_then(ours).filter(|it| it.origin == self.origin))
    }

    /// Where the journal goes on behind so many records; none when no commit ends there.
    fn place_of(&self, size: u64) -> Result<Option<Position>, AuditError> {
        if size == self.found.index {
            return Ok(Some(self.found));
        }
        end_of_commit(&self.folder, size)
    }

    /// The edge behind the records of segments that were dropped: their leaves stand in full bundles only.
    fn dropped(&self, size: u64, staged: &mut Vec<String>) -> Result<Edge, AuditError> {
        let mut edge = Edge::default();
        while edge.size() < size {
            let path = Part::Entries.path(edge.size() / WIDTH, WIDTH);
            let bundle = self.tlog.get(&path)?.unwrap_or_default();
            let entries = tiles::entries(&bundle).filter(|it| it.len() as u64 == WIDTH);
            let entries =
                entries.ok_or_else(|| self.damaged(&format!("{TLOG}/{path} is gone or not whole")))?;
            for leaf in entries {
                if edge.size() < size {
                    for (path, bytes) in edge.push(leaf) {
                        self.stage(path, &bytes, staged)?;
                    }
                }
            }
        }
        Ok(edge)
    }

    pub(super) fn stage(
        &self,
        path: String,
        bytes: &[u8],
        staged: &mut Vec<String>,
    ) -> Result<(), AuditError> {
        if self.tlog.stage(&path, bytes)? {
            staged.push(path);
        }
        Ok(())
    }

    pub(super) fn damaged(&self, problem: &str) -> AuditError {
        AuditError::Damaged { log: self.log.clone(), problem: problem.to_owned() }
    }
}
