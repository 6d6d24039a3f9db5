//! What did operators do to the logs? Erasures and accepted losses, as far as signed records say so.

use std::{collections::BTreeMap, path::Path};

use jiff::{SignedDuration, Timestamp};

use super::{
    leaf::{Head, Leaf},
    log::judge,
    seen::{Sighting, Sightings, What},
    walk::Given,
};
use crate::{AuditError, Digest, accept::digest_of_folder, operator::OPERATOR, pool::places};

/// Lost logs that one record can accept, so that it stays below the bound of a leaf.
pub(crate) const LOST_MAX: usize = 100;
/// Erased subjects and lost logs that are kept in mind; more of them did not come from our program.
const DEEDS_MAX: usize = 100_000;
/// A record may have been sealed just before its key was destroyed, and dated just after.
const OVERLAP: SignedDuration = SignedDuration::from_secs(2);

/// What the operators' logs say was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deeds {
    /// When the key of a subject was destroyed last, by pseudonym.
    erased: BTreeMap<String, Erasure>,
    /// Accepted losses, by the origin of what was lost.
    lost: BTreeMap<String, Loss>,
}

/// The key was there before, and is not there after.
#[derive(Clone, Copy, Debug)]
struct Erasure {
    began: Timestamp,
    ended: Timestamp,
}

/// The loss of a log, accepted.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    size: u64,
    root: Digest,
    record: String,
    time: Timestamp,
    reason: String,
    /// Folder below `logs` with what is left, and its digest.
    left: Option<(String, Digest)>,
}

impl Deeds {
    /// Reads the operators' logs of a state folder. Only what stands under a checkpoint that one of the keys signed counts.
    pub(crate) fn read(state: &Path, given: &Given<'_>) -> Result<Deeds, AuditError> {
        let mut deeds = Deeds::default();
        for place in places(state)?.into_iter().filter(|it| it.server == OPERATOR) {
            let read = judge(&place, given, &Sightings::default())?;
            for leaf in &read.it.deeds {
                deeds.add(&place.name(), leaf);
            }
        }
        Ok(deeds)
    }

    /// Whether a record is one of these.
    pub(crate) fn is_one(leaf: &Leaf) -> bool {
        leaf.erased.is_some() || leaf.event == "lost"
    }

    fn add(&mut self, log: &str, leaf: &Leaf) {
        if self.erased.len() + self.lost.len() >= DEEDS_MAX {
            return;
        }
        if let Some(pseudonym) = &leaf.erased {
            let first = Erasure { began: leaf.time, ended: leaf.time };
            let last = self.erased.entry(pseudonym.clone()).or_insert(first);
            last.ended = leaf.time.max(last.ended);
            if leaf.event == "intent" {
                last.began = leaf.time.max(last.began);
            }
        }
        for Head { origin, size, root } in &leaf.lost {
            let loss = Loss {
                size: *size,
                root: *root,
                record: format!("{log}:{}", leaf.index),
                time: leaf.time,
                reason: leaf.reason.clone().unwrap_or_default(),
                left: leaf.left.clone(),
            };
            match self.lost.get(origin).is_some_and(|known| known.size > loss.size) {
                true => {}
                false => drop(self.lost.insert(origin.clone(), loss)),
            }
        }
    }

    /// Whether the key that sealed a record of this moment may have been destroyed since, on record.
    pub(crate) fn may_be_erased(&self, subject: &str, time: Timestamp) -> bool {
        let last = self.erased.get(subject);
        last.is_some_and(|it| it.ended.checked_add(OVERLAP).is_ok_and(|ended| time <= ended))
    }

    /// Whether it must have been.
    pub(crate) fn must_be_erased(&self, subject: &str, time: Timestamp) -> bool {
        self.erased.get(subject).is_some_and(|it| time < it.began)
    }

    pub(crate) fn loss(&self, origin: &str) -> Option<&Loss> {
        self.lost.get(origin)
    }
}

impl Loss {
    /// Whether what was seen is no more than what was accepted.
    pub(crate) fn covers(&self, seen: &Sighting) -> bool {
        seen.size < self.size
            || (seen.size == self.size && !matches!(seen.what, What::Root(root) if root != self.root))
    }

    /// Which record accepts it.
    pub(crate) fn record(&self) -> &str {
        &self.record
    }

    /// The loss in a sentence, and what became of what was left.
    pub(crate) fn told(&self, state: Option<&Path>) -> String {
        let Loss { size, record, time, reason, left, .. } = self;
        let kept = match (left, state) {
            (None, _) => "nothing of it was left".to_owned(),
            (Some((folder, _)), None) => format!("what is left was put into logs/{folder}"),
            (Some((folder, digest)), Some(state)) => {
                let path = state.join("logs").join(folder);
                match digest_of_folder(&path) {
                    Ok(now) if now == *digest => format!("what is left stands in logs/{folder}, unchanged"),
                    Ok(_) => format!("what is left stands in logs/{folder} and WAS CHANGED since"),
                    Err(_) => format!("what was left in logs/{folder} cannot be read any more"),
                }
            }
        };
        format!("lost with {size} records; record {record} accepted that at {time}: \"{reason}\"; {kept}")
    }
}
