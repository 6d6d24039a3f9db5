//! Is every record what was signed? One log, record by record, with nothing in memory but where its tree stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::Timestamp;

use super::{
    leaf::Leaf,
    operator::Deeds,
    payload::{Beside, Found, Opener},
    published::Comparison,
    report::{Findings, Payloads},
    seen::Compared,
    signed::{self, Unsigned},
    steps::Approvals,
    tree::{self, Growing},
};
use crate::{AuditError, Digest};

/// Policies that are counted one by one; a log that names more of them is no log of ours.
const POLICIES_MAX: usize = 1024;

/// What every log is judged with.
pub(crate) struct Given<'a> {
    pub(crate) keys: &'a [PublicKey],
    /// Whether the keys came from elsewhere.
    pub(crate) independent: bool,
    /// Where the keys of payloads may be.
    pub(crate) state: Option<&'a Path>,
    /// Digests of policies that were given; empty: none is asked about.
    pub(crate) policies: &'a [Digest],
    /// What operators did.
    pub(crate) deeds: &'a Deeds,
}

/// Why a record, or what stands in its place, is not what was written.
pub(crate) struct Wrong {
    pub(crate) index: u64,
    pub(crate) problem: String,
    pub(crate) likely: &'static str,
}

/// What was read so far.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) origin: Option<String>,
    /// Records under valid checkpoints, and their root.
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) checkpoints: u64,
    /// The one key that signed them.
    pub(crate) key: Option<PublicKey>,
    pub(crate) payloads: Payloads,
    /// Intents without outcome.
    pub(crate) open: BTreeSet<u64>,
    /// What approvals went through.
    pub(crate) approvals: Approvals,
    /// Whether the last record is a stop.
    pub(crate) stopped: bool,
    /// The last record in which a start says that no stop came before it, and how many there are.
    pub(crate) recovered: Option<u64>,
    pub(crate) recoveries: u64,
    pub(crate) last: Option<Timestamp>,
    /// Records by the policy that decided them.
    pub(crate) policies: BTreeMap<Digest, u64>,
    /// Of erased payloads, those whose erasure no record tells.
    pub(crate) unexplained: u64,
    /// Payloads that can be opened although their subject was erased.
    pub(crate) restored: u64,
    /// Erasures and accepted losses under valid checkpoints.
    pub(crate) deeds: Vec<Leaf>,
    pub(crate) findings: Findings,
}

/// A log being read.
pub(crate) struct Walk<'a> {
    given: &'a Given<'a>,
    pub(crate) it: Account,
    pub(crate) tree: Growing,
    pub(crate) seen: Compared,
    pub(crate) published: Option<Comparison>,
    opener: Opener,
    /// Of this commit, records that are not where they say, as (where, what they say).
    strange: Vec<(u64, u64)>,
    /// The last leaf, until its payload was seen.
    awaited: Option<(Leaf, Digest)>,
    /// What operators did in this commit.
    deeds: Vec<Leaf>,
    /// The last checkpoint.
    note: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(given: &'a Given<'a>, seen: Compared, published: Option<Comparison>) -> Walk<'a> {
        Walk {
            given,
            it: Account::default(),
            tree: Growing::default(),
            seen,
            published,
            opener: Opener::new(None, ""),
            strange: Vec::new(),
            awaited: None,
            deeds: Vec::new(),
            note: Vec::new(),
        }
    }

    /// From here on it is this log.
    pub(crate) fn name(&mut self, origin: &str) {
        self.opener = Opener::new(self.given.state, origin);
        self.it.origin = Some(origin.to_owned());
    }

    /// Whether everything that was read stands under a checkpoint.
    pub(crate) fn is_whole(&self) -> bool {
        self.awaited.is_none() && self.it.checkpoints > 0 && self.it.size == self.tree.size()
    }

    pub(crate) fn leaf(&mut self, bytes: &[u8]) -> Result<Option<Wrong>, AuditError> {
        let index = self.tree.size();
        if let Some(wrong) = self.no_payload() {
            return Ok(Some(wrong));
        }
        let leaf = match Leaf::read(bytes) {
            Ok(leaf) => leaf,
            Err(why) => {
                let problem = format!("record {index} is no canonical leaf of format 1: {why}");
                return Ok(Some(Wrong { index, problem, likely: "the record was changed" }));
            }
        };
        if leaf.index != index && self.strange.len() < 64 {
            self.strange.push((index, leaf.index));
        }
        let hash = tree::leaf(bytes);
        self.tree.push(hash);
        if self.seen.waits_for(self.tree.size()) {
            self.seen.see(self.tree.size(), &self.tree.root(), &hash);
        }
        if let Some(published) = &mut self.published {
            published.see(index, bytes, hash)?;
        }
        self.account(&leaf);
        if Deeds::is_one(&leaf) {
            self.deeds.push(leaf.clone());
        }
        self.awaited = leaf.commitment.is_some().then_some((leaf, hash));
        Ok(None)
    }

    fn account(&mut self, leaf: &Leaf) {
        let it = &mut self.it;
        it.last = Some(leaf.time);
        it.stopped = leaf.event == "stop";
        match leaf.event {
            "recovered" => (it.recovered, it.recoveries) = (Some(leaf.index), it.recoveries + 1),
            "intent" => drop(it.open.insert(leaf.index)),
            _ => {}
        }
        if ["stop", "recovered"].contains(&leaf.event) {
            it.approvals.process_ended();
        }
        if let Some(step) = &leaf.step
            && let Some(found) = it.approvals.step((leaf.index, leaf.time), step)
        {
            it.findings.add(|| found);
        }
        if let Some(intent) = leaf.intent
            && !it.open.remove(&intent)
        {
            it.findings
                .add(|| format!("record {} is the outcome of {intent}, which is no open intent", leaf.index));
        }
        let Some(policy) = leaf.policy else { return };
        if it.policies.len() >= POLICIES_MAX && !it.policies.contains_key(&policy) {
            it.findings.add(|| format!("record {} names one policy more than can be counted", leaf.index));
            return;
        }
        let count = it.policies.entry(policy).or_default();
        *count += 1;
        if *count == 1 && !self.given.policies.is_empty() && !self.given.policies.contains(&policy) {
            let policy = hex::encode(policy);
            it.findings.add(|| {
                format!("from record {} on policy {policy} decided, which is none of those given", leaf.index)
            });
        }
    }

    /// A record that commits to a payload has one beside it.
    fn no_payload(&mut self) -> Option<Wrong> {
        let (leaf, _) = self.awaited.take()?;
        let problem = format!("record {} has a commitment and no payload beside it", leaf.index);
        Some(Wrong { index: leaf.index, problem, likely: "a payload was taken away" })
    }

    /// Nobody has payloads who has only what is published.
    pub(crate) fn payload_elsewhere(&mut self) {
        if self.awaited.take().is_some() {
            self.it.payloads.without_keys += 1;
        }
    }

    pub(crate) fn payload(&mut self, sealed: &[u8]) -> Result<Option<Wrong>, AuditError> {
        let index = self.tree.size().saturating_sub(1);
        let wrong = |problem, likely| Ok(Some(Wrong { index, problem, likely }));
        let Some((leaf, hash)) = self.awaited.take() else {
            return wrong("a payload that no record commits to".to_owned(), "a payload was added");
        };
        let (Some(subject), Some(commitment)) = (&leaf.subject, &leaf.commitment) else { return Ok(None) };
        let beside = Beside { index: leaf.index, subject, leaf: &hash, commitment };
        let deeds = self.given.deeds;
        match self.opener.look(sealed, &beside)? {
            Found::Same => {
                self.it.payloads.checked += 1;
                self.it.restored += u64::from(deeds.must_be_erased(subject, leaf.time));
            }
            Found::Erased => {
                self.it.payloads.erased += 1;
                self.it.unexplained += u64::from(!deeds.may_be_erased(subject, leaf.time));
            }
            Found::NotLooked => self.it.payloads.without_keys += 1,
            Found::Other => {
                let problem = format!("the payload of record {index} is not what the record commits to");
                return wrong(problem, "the payload or its record was changed");
            }
        }
        Ok(None)
    }

    /// A checkpoint ends a commit; one that begins a segment repeats the last one.
    pub(crate) fn checkpoint(&mut self, note: &[u8], begins: bool) -> Option<Wrong> {
        if let Some(wrong) = self.no_payload() {
            return Some(wrong);
        }
        let (index, size) = (self.it.size, self.tree.size());
        let wrong = |problem: String, likely| Some(Wrong { index, problem, likely });
        let checkpoint = match signed::open(note, self.given.keys) {
            Ok(checkpoint) => checkpoint,
            Err(Unsigned::Unknown) => {
                let problem = "a checkpoint that none of the keys signed".to_owned();
                return wrong(problem, "the log was rebuilt with another key, or the wrong key was given");
            }
            Err(_) => {
                let problem = "a checkpoint whose signature does not verify".to_owned();
                return wrong(problem, "the log was rebuilt without its key");
            }
        };
        if Some(&checkpoint.origin) != self.it.origin.as_ref() {
            let problem = format!("a checkpoint of another log, {}", checkpoint.origin);
            return wrong(problem, "parts of another log were put here");
        }
        let key = signed::signer(note, self.given.keys);
        if self.it.key.is_some() && self.it.key != key {
            let problem = "a checkpoint signed with another key than those before it".to_owned();
            return wrong(problem, "the log was continued with a retired or a stolen key");
        }
        if checkpoint.size != size || checkpoint.root != self.tree.root() {
            return Some(self.mismatch(checkpoint.size));
        }
        if self.it.checkpoints > 0 && checkpoint.size == self.it.size {
            if !begins || self.note != note {
                let problem = format!("a second checkpoint over the same {size} records");
                return wrong(problem, "bytes were added");
            }
            return None;
        }
        if let Some((at, says)) = self.strange.first() {
            let problem = format!("record {at} calls itself {says}");
            return wrong(problem, "the log was rebuilt with its own key");
        }
        self.it.size = checkpoint.size;
        self.it.root = checkpoint.root;
        self.it.checkpoints += 1;
        self.it.key = key;
        self.it.deeds.append(&mut self.deeds);
        self.note.clear();
        self.note.extend(note);
        None
    }

    /// What the records of a commit look like that its checkpoint does not sign.
    fn mismatch(&self, signed: u64) -> Wrong {
        let (from, size) = (self.it.size, self.tree.size());
        let problem =
            format!("the records from {from} on are not those that the checkpoint over {signed} signs");
        let (index, likely) = match self.strange.as_slice() {
            [] if size < signed => (size, "records at the end of a commit were deleted"),
            [] => (from, "a record was changed"),
            [(at, is), ..] if is < at => (*at, "a record was put in a second time"),
            [(at, _), rest @ ..] => match rest.iter().any(|(_, is)| is == at) {
                true => (*at, "records were swapped"),
                false => (*at, "a record was deleted or moved"),
            },
        };
        Wrong { index, problem, likely }
    }

    /// What a later segment begins with: where its tree goes on.
    pub(crate) fn goes_on(&self, first: u64, subtrees: &[Digest]) -> Option<Wrong> {
        let size = self.tree.size();
        if first != size {
            let problem = format!("a segment goes on at record {first}, and those before it end at {size}");
            let likely = "a segment was removed, or records at the end of one";
            return Some(Wrong { index: size.min(first), problem, likely });
        }
        if subtrees != self.tree.parts() {
            // Of what was published, tiles and entries may tell which record it is; else nothing since the last commit counts.
            let differs = self.published.as_ref().and_then(Comparison::differs_from);
            return Some(Wrong {
                index: differs.unwrap_or(self.it.size),
                problem: format!("segment {first} goes on from other records"),
                likely: "what is published was changed, or a segment was replaced",
            });
        }
        None
    }
}
