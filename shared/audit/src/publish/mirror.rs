//! How does what is published get elsewhere? File by file from the log's own folder, then the checkpoint over the one that
//! was read: where another history stands already, it is left as it is.

use std::sync::Arc;

use ed25519_dalek::VerifyingKey as PublicKey;

use super::{CHECKPOINT, Failure, Subject, TLOG, Target, TargetError, folder::Folder};
use crate::{
    AuditError, Digest,
    note::Checkpoint,
    tiles::{self, Part, WIDTH, tree_at},
};

/// Publishes one log in one other place.
pub(super) struct Mirror {
    log: String,
    origin: String,
    key: PublicKey,
    source: Folder,
    target: Arc<dyn Target>,
    /// The checkpoint there, its size and its tag; none before it was looked at and after a failure.
    there: Option<(Vec<u8>, u64, Option<String>)>,
    /// Partial files that this process has put there and that are not full yet.
    partials: Vec<(Part, u64, String)>,
}

impl Mirror {
    pub(super) fn new(subject: &Subject<'_>, target: Arc<dyn Target>) -> Mirror {
        Mirror {
            log: subject.log.clone(),
            origin: subject.origin.to_owned(),
            key: subject.key,
            source: Folder::new(&subject.folder.join(TLOG)),
            target,
            there: None,
            partials: Vec::new(),
        }
    }

    /// Puts there what the log's own folder has.
    pub(super) fn follow(&mut self) -> Result<u64, Failure> {
        let (note, here) = self.here()?;
        let (old, before, tag) = match self.there.take() {
            Some(it) => it,
            None => self.look(&here)?,
        };
        // Witnesses' lines may have come since, or be of an older checkpoint.
        if before == here.size && (old == note || old.len() > note.len()) {
            self.there = Some((old, before, tag));
            return Ok(before);
        }
        for (part, number) in tiles::full(before, here.size) {
            self.create(&part.path(number, WIDTH), here.size)?;
        }
        for (part, number, width) in tiles::partials(here.size) {
            let path = part.path(number, width);
            self.create(&path, here.size)?;
            self.partials.push((part, number, path));
        }
        let Some(tag) = self.target.replace(&self.at(CHECKPOINT), &note, tag.as_deref())? else {
            // Whoever it was: the next look tells whether it is this history.
            return Err(TargetError("another writer published there meanwhile".to_owned()).into());
        };
        self.there = Some((note, here.size, Some(tag)));
        self.clear(here.size);
        Ok(here.size)
    }

    /// The checkpoint in the log's own folder.
    fn here(&self) -> Result<(Vec<u8>, Checkpoint), Failure> {
        let note = self.source.get(CHECKPOINT)?.unwrap_or_default();
        match Checkpoint::open(&note, &[self.key]) {
            Ok(checkpoint) if checkpoint.origin == self.origin => Ok((note, checkpoint)),
            _ => Err(self.damaged("its published checkpoint is gone or not its own").into()),
        }
    }

    /// What stands there, if it is a prefix of this log.
    fn look(&self, here: &Checkpoint) -> Result<(Vec<u8>, u64, Option<String>), Failure> {
        let Some(stored) = self.target.read(&self.at(CHECKPOINT))? else { return Ok((Vec::new(), 0, None)) };
        let diverged = |problem: String| Failure::Diverged(format!("{}: {problem}", self.at(CHECKPOINT)));
        let there = Checkpoint::open(&stored.bytes, &[self.key]).ok().filter(|it| it.origin == self.origin);
        let there = there.ok_or_else(|| diverged("a checkpoint that this log did not sign".to_owned()))?;
        if there.size > here.size {
            return Err(diverged(format!("{} records, and this log has {}", there.size, here.size)));
        }
        if self.root_at(there.size, here.size)? != there.root {
            return Err(diverged(format!("other records up to {}: another writer has this key", there.size)));
        }
        Ok((stored.bytes, there.size, Some(stored.tag)))
    }

    /// The root over the first records of this log.
    fn root_at(&self, size: u64, of: u64) -> Result<Digest, AuditError> {
        let tree = tree_at(size, of, |path| self.source.get(path))?;
        tree.map(|it| it.root()).ok_or_else(|| self.damaged("its published tiles are not whole"))
    }

    /// Puts a file there; one that is there already must be the same.
    fn create(&self, path: &str, size: u64) -> Result<(), Failure> {
        let bytes = self.source.get(path)?;
        let bytes = bytes.ok_or_else(|| self.damaged(&format!("{TLOG}/{path} of {size} records is gone")))?;
        let at = self.at(path);
        if self.target.create(&at, &bytes)? || self.target.read(&at)?.is_some_and(|it| it.bytes == bytes) {
            return Ok(());
        }
        Err(Failure::Diverged(format!("{at}: other bytes than this log's, which were not replaced")))
    }

    /// Removes partial files whose full ones are there. What a process before this one left does no harm.
    fn clear(&mut self, size: u64) {
        let (target, origin) = (&self.target, &self.origin);
        self.partials.retain(|(part, number, path)| {
            let level = match part {
                Part::Tile(level) => *level,
                Part::Entries => 0,
            };
            let is_full = size >> (8 * (level + 1)) > *number;
            !is_full || target.remove(&format!("{origin}/{path}")).is_err()
        });
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }

    fn damaged(&self, problem: &str) -> AuditError {
        AuditError::Damaged { log: self.log.clone(), problem: problem.to_owned() }
    }
}
