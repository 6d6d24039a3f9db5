//! What did operators do to the logs? Erasures, accepted losses and changes of keys, as far as signed records say so.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::{SignedDuration, Timestamp};

use super::{
    claims::leaves,
    leaf::{Head, Leaf},
    log::judge,
    loss::Loss,
    report::Alteration,
    seen::Sightings,
    succession::{Book, Succession},
    walk::{Account, Given},
};
use crate::{
    AuditError,
    operator::OPERATOR,
    pool::{Place, places},
};

/// Lost logs that one record can accept, so that it stays below the bound of a leaf.
pub(crate) const LOST_MAX: usize = 100;
/// Erased subjects and lost logs that are kept in mind; more of them did not come from our program.
const DEEDS_MAX: usize = 100_000;
/// Keys that one after the other may have signed.
const KEYS_MAX: usize = 64;
/// A record may have been sealed just before its key was destroyed, and dated just after.
const OVERLAP: SignedDuration = SignedDuration::from_secs(2);

/// What the operators' logs say was done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deeds {
    /// When the key of a subject was destroyed last, by pseudonym.
    erased: BTreeMap<String, Erasure>,
    /// Accepted losses, one after the other.
    pub(super) losses: Vec<Loss>,
    /// Keys that were retired, and the heads of the logs that were closed with them: one of each, unless somebody lies.
    retired: Vec<PublicKey>,
    closed: BTreeMap<String, BTreeSet<Head>>,
    /// Keys that several others claim to follow.
    forked: Vec<PublicKey>,
}

/// The key was there before, and is not there after.
#[derive(Clone, Copy, Debug)]
struct Erasure {
    began: Timestamp,
    ended: Timestamp,
}

impl Deeds {
    /// Reads the operators' logs of a state folder, and says which keys count: the given ones, and those that they lead to.
    /// Only what stands under a checkpoint that one of these signed counts.
    pub(crate) fn read(state: &Path, given: &Given<'_>) -> Result<(Vec<PublicKey>, Deeds), AuditError> {
        let places: Vec<Place> = places(state)?.into_iter().filter(|it| it.server == OPERATOR).collect();
        let candidates = candidates(&places, given.keys)?;
        let mut books = Vec::new();
        for place in &places {
            let it = judge(place, &Given { keys: &candidates, ..*given }, &Sightings::default())?.it;
            if let (Some(key), Some(origin)) = (it.key, it.origin) {
                let head = Head { origin, size: it.size, root: it.root };
                books.push(Book { log: place.name(), key, head, deeds: it.deeds });
            }
        }
        let Succession { keys, retired, forked, closed, books } = Succession::of(given.keys, &books);
        let mut deeds = Deeds { retired, forked, ..Deeds::default() };
        for head in closed {
            deeds.closed.entry(head.origin.clone()).or_default().insert(head);
        }
        for book in books {
            book.deeds.iter().for_each(|it| deeds.add(&book.log, it));
        }
        Ok((keys, deeds))
    }

    /// Heads of logs that were closed with their keys.
    pub(crate) fn closed(&self) -> impl Iterator<Item = &Head> {
        self.closed.values().flatten()
    }

    /// What a key signed that it was not to sign: beyond what was closed with it, or for two successors.
    pub(crate) fn misuse(&self, it: &Account) -> Option<Alteration> {
        let key = it.key?;
        let origin = it.origin.as_deref().unwrap_or_default();
        let named = it.deeds.iter().find(|it| it.next.is_some()).filter(|_| self.forked.contains(&key));
        let (index, problem) = if let Some(named) = named {
            (named.index, "its key names more than one successor".to_owned())
        } else if !self.retired.contains(&key) {
            return None;
        } else if let Some(heads) = self.closed.get(origin) {
            let other = heads.iter().find(|head| (head.size, head.root) != (it.size, it.root))?;
            let Head { size, .. } = other;
            let problem =
                format!("it was closed with {size} records when its key was retired, and has {}", it.size);
            (it.size.min(*size), problem)
        } else {
            (0, "its key was retired, and it is none of the logs that were closed then".to_owned())
        };
        let likely = "the retired key was kept and used, or a change of keys did not end".to_owned();
        Some(Alteration { index, file: String::new(), offset: 0, problem, likely })
    }

    /// Whether a record is one of these.
    pub(crate) fn is_one(leaf: &Leaf) -> bool {
        leaf.erased.is_some() || matches!(leaf.event, "lost" | "rotated")
    }

    fn add(&mut self, log: &str, leaf: &Leaf) {
        if self.erased.len() + self.losses.len() >= DEEDS_MAX {
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
        self.losses.extend(Loss::of(log, leaf));
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
}

/// The given keys, and all that records speak of, whoever wrote them.
fn candidates(places: &[Place], given: &[PublicKey]) -> Result<Vec<PublicKey>, AuditError> {
    let mut keys = given.to_vec();
    for place in places {
        leaves(&place.folder, |bytes| {
            let Ok(leaf) = Leaf::read(bytes) else { return };
            for key in [leaf.next, leaf.previous].into_iter().flatten() {
                if keys.len() < KEYS_MAX && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        })?;
    }
    Ok(keys)
}
