//! How far does each key count? Of a retired one no more than what was closed with it, and of a revoked one no more than the revocation
//! excepts.
//!
//! Whoever steals a key can write with it what an operator would: so a key that comes before another cannot revoke it.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    leaf::{Head, Leaf},
    report::Alteration,
    seen::{Sightings, Source},
    succession::{Book, Succession, successors},
    walk::Account,
};
use crate::{VerifyingKey, keys::NAME};

/// Keys, and how far each counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Keys that count, the given ones first.
    pub(crate) keys: Vec<PublicKey>,
    /// Keys after which others came.
    retired: Vec<PublicKey>,
    /// The last heads that they signed, by the origin of their logs: one of each, unless somebody lies.
    closed: BTreeMap<String, BTreeSet<Head>>,
    /// Keys that several others claim to follow.
    forked: Vec<PublicKey>,
    revoked: Vec<Revocation>,
}

/// A key that is not to be trusted any more.
#[derive(Clone, Debug)]
struct Revocation {
    key: PublicKey,
    /// Heads up to which it still is, by the origin of its logs; of all others nothing.
    trusted: BTreeMap<String, Head>,
    told: Revoked,
}

/// A key that was revoked, as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// Its verifier key.
    pub key: String,
    /// Which record says so: `<server>/<n>:<index>`.
    pub record: String,
    /// When.
    pub time: Timestamp,
    /// In the operator's words.
    pub reason: String,
}

impl Trust {
    /// Follows the given keys through operators' logs, and says which of these count.
    pub(super) fn of<'a>(given: &[PublicKey], books: &'a [Book]) -> (Trust, Vec<&'a Book>) {
        let Succession { keys, retired, forked, closed, books: counted } = Succession::of(given, books);
        let mut it = Trust { keys, retired, forked, ..Trust::default() };
        for head in closed {
            it.closed.entry(head.origin.clone()).or_default().insert(head);
        }
        for book in &counted {
            for leaf in &book.deeds {
                if let Some(key) = leaf.revoked.filter(|key| !it.comes_before(book.key, key, books)) {
                    it.revoke(key, &book.log, leaf);
                }
            }
        }
        (it, counted)
    }

    /// Whether a key is another, or leads to it: whoever stole a key would revoke the one that came next.
    fn comes_before(&self, key: PublicKey, other: &PublicKey, books: &[Book]) -> bool {
        let mut reached = vec![key];
        let mut at = 0;
        while let Some(old) = reached.get(at).copied() {
            let after = successors(&old, books).into_iter().filter(|it| self.keys.contains(it));
            for next in after {
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
            at += 1;
        }
        reached.contains(other)
    }

    /// Several records about one key hold together: each can only take more of its trust.
    fn revoke(&mut self, key: PublicKey, log: &str, leaf: &Leaf) {
        let at = self.revoked.iter().position(|it| it.key == key).unwrap_or_else(|| {
            let told = Revoked {
                key: VerifyingKey::new(NAME, key).to_string(),
                record: format!("{log}:{}", leaf.index),
                time: leaf.time,
                reason: leaf.reason.clone().unwrap_or_default(),
            };
            self.revoked.push(Revocation { key, trusted: BTreeMap::new(), told });
            self.revoked.len() - 1
        });
        for head in &leaf.trusted {
            let known = self.revoked[at].trusted.entry(head.origin.clone()).or_insert_with(|| head.clone());
            if head.size < known.size {
                *known = head.clone();
            }
        }
    }

    /// Holds these heads against the logs.
    pub(super) fn show(&self, sightings: &mut Sightings) {
        let by = Source::Sibling("operator".to_owned());
        self.heads().filter(|it| it.size > 0).for_each(|it| sightings.add(&it.origin, it.seen_by(&by)));
    }

    /// Heads that logs must have had: those that they were closed with, and those up to which a revoked key is trusted.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.closed.values().flatten().chain(self.revoked.iter().flat_map(|it| it.trusted.values()))
    }

    /// The head that a log was closed with.
    pub(crate) fn closed(&self, origin: &str) -> Option<&Head> {
        self.closed.get(origin)?.first()
    }

    /// Keys that were revoked.
    pub(super) fn told(&self) -> Vec<Revoked> {
        self.revoked.iter().map(|it| it.told.clone()).collect()
    }

    pub(crate) fn is_revoked(&self, key: &PublicKey) -> bool {
        self.revoked.iter().any(|it| it.key == *key)
    }

    /// What a log holds beyond what its key is trusted for. `is_published` where only what is published was read, which may be behind.
    pub(crate) fn beyond(&self, it: &Account, is_published: bool) -> Option<Alteration> {
        let key = it.key?;
        let origin = it.origin.as_deref().unwrap_or_default();
        let revoked = self.revoked.iter().find(|it| it.key == key).and_then(|by| by.beyond(origin, it));
        let misused = || self.misused(&key, origin, it, is_published);
        let (index, problem, likely) = revoked.or_else(misused)?;
        Some(Alteration { index, file: String::new(), offset: 0, problem, likely: likely.to_owned() })
    }

    /// What a key signed that it was not to sign: beyond what was closed with it, or for two successors.
    fn misused(
        &self,
        key: &PublicKey,
        origin: &str,
        it: &Account,
        is_published: bool,
    ) -> Option<(u64, String, &'static str)> {
        let likely = "the retired key was kept and used, or a change of keys did not end";
        let named = it.deeds.iter().find(|it| it.next.is_some()).filter(|_| self.forked.contains(key));
        if let Some(named) = named {
            return Some((named.index, "its key names more than one successor".to_owned(), likely));
        }
        if !self.retired.contains(key) {
            return None;
        }
        let Some(heads) = self.closed.get(origin) else {
            let problem = "its key was retired, and it is none of the logs that were closed then".to_owned();
            return Some((0, problem, likely));
        };
        let fits = |head: &Head| {
            (head.size, head.root) == (it.size, it.root) || (is_published && it.size < head.size)
        };
        let other = heads.iter().find(|head| !fits(head))?;
        let (closed, now) = (other.size, it.size);
        let problem = format!("it was closed with {closed} records when its key was retired, and has {now}");
        Some((closed.min(now), problem, likely))
    }
}

impl Revocation {
    /// The first record of a log that the revocation does not except.
    fn beyond(&self, origin: &str, it: &Account) -> Option<(u64, String, &'static str)> {
        let trusted = self.trusted.get(origin).map_or(0, |it| it.size);
        if it.size <= trusted && self.trusted.contains_key(origin) {
            return None;
        }
        let Revoked { record, time, reason, .. } = &self.told;
        let from = match trusted {
            0 => "for all of this log".to_owned(),
            from => format!("from record {from} on"),
        };
        let problem = format!(
            "record {record} of {time} revokes its key {from} (\"{reason}\"), and it has {}",
            it.size
        );
        Some((
            trusted,
            problem,
            "these records were signed with a stolen key, or while it may have been stolen",
        ))
    }
}
