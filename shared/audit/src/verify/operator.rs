//! What did operators do to the logs? Erasures, accepted losses, changes and revocations of keys, as far as signed
//! records say so.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::{SignedDuration, Timestamp};

use super::{
    claims::leaves,
    leaf::{Head, Leaf},
    log::judge,
    log_of,
    loss::Loss,
    place,
    published::{Bundles, Came, Published},
    seen::Sightings,
    signed,
    succession::Book,
    trust::Trust,
    walk::{Account, Given},
};
use crate::{
    AuditError,
    keys::NAME,
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
    /// Keys that count, and how far.
    pub(crate) trust: Trust,
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
    pub(crate) fn read(state: &Path, given: &Given<'_>) -> Result<Deeds, AuditError> {
        let places: Vec<Place> = places(state)?.into_iter().filter(|it| it.server == OPERATOR).collect();
        let mut keys = given.keys.to_vec();
        for place in &places {
            leaves(&place.folder, |bytes| candidate(&mut keys, bytes))?;
        }
        let given_all = Given { keys: &keys, ..*given };
        let mut books = Vec::new();
        for place in &places {
            books.extend(book(&place.name(), judge(place, &given_all, &Sightings::default())?.it));
        }
        Ok(Deeds::new(given.keys, &books))
    }

    /// The same from what is published of operators' logs.
    pub(crate) fn read_published(folders: &[PathBuf], given: &Given<'_>) -> Result<Deeds, AuditError> {
        let mut ours = Vec::new();
        for folder in folders {
            let claim = Published::read(folder)?.and_then(|it| signed::claim(&it.note));
            let claim = claim.filter(|it| it.origin.starts_with(&format!("{NAME}/{OPERATOR}/")));
            ours.extend(claim.map(|it| (folder, it)));
        }
        let mut keys = given.keys.to_vec();
        for (folder, claim) in &ours {
            let mut leaves = Bundles::new(folder, claim.size);
            while leaves.next()? == Came::Leaf {
                candidate(&mut keys, leaves.leaf());
            }
        }
        let given_all = Given { keys: &keys, ..*given };
        let mut books = Vec::new();
        for (folder, claim) in &ours {
            let it = place::judge_published(folder, &given_all, &Sightings::default())?.it;
            books.extend(book(log_of(&claim.origin), it));
        }
        Ok(Deeds::new(given.keys, &books))
    }

    fn new(given: &[PublicKey], books: &[Book]) -> Deeds {
        let (trust, counted) = Trust::of(given, books);
        let mut deeds = Deeds { trust, ..Deeds::default() };
        for book in counted {
            book.deeds.iter().for_each(|it| deeds.add(&book.log, it));
        }
        deeds
    }

    /// Whether a record is one of these.
    pub(crate) fn is_one(leaf: &Leaf) -> bool {
        leaf.erased.is_some() || matches!(leaf.event, "lost" | "rotated" | "revoked")
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

/// Keys that a record speaks of, whoever wrote it.
fn candidate(keys: &mut Vec<PublicKey>, bytes: &[u8]) {
    let Ok(leaf) = Leaf::read(bytes) else { return };
    for key in [leaf.next, leaf.previous].into_iter().flatten() {
        if keys.len() < KEYS_MAX && !keys.contains(&key) {
            keys.push(key);
        }
    }
}

/// An operators' log, if one key signed it.
fn book(log: &str, it: Account) -> Option<Book> {
    let head = Head { origin: it.origin?, size: it.size, root: it.root };
    Some(Book { log: log.to_owned(), key: it.key?, head, deeds: it.deeds })
}
