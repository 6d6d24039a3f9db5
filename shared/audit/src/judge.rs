//! Is one journal what its writer signed? Every leaf, root, signature and commitment, computed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufReader, Seek, SeekFrom},
};

use ed25519_dalek::VerifyingKey as PublicKey;

use crate::{
    Alteration, AuditError, Digest, Payloads,
    error::At,
    frame::{Frames, Kind, Next, last_written},
    keys::Keys,
    merkle::{Tree, leaf_hash},
    note::{BadNote, Checkpoint},
    pool::Place,
    record::{Leaf, Word},
    recover::{checkpoints_behind, header},
    seal::{Salted, Unreadable},
};

/// What one journal turned out to be.
#[derive(Default)]
pub(crate) struct Judgement {
    pub(crate) origin: Option<String>,
    /// Records under valid checkpoints.
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) checkpoints: u64,
    pub(crate) payloads: Payloads,
    /// Intents without outcome.
    pub(crate) open: BTreeSet<u64>,
    /// Whether the last record is a stop.
    pub(crate) stopped: bool,
    /// Roots at the sizes that were asked for.
    pub(crate) roots: BTreeMap<u64, Digest>,
    pub(crate) altered: Option<Alteration>,
    /// Bytes behind the last checkpoint.
    pub(crate) behind: u64,
    pub(crate) findings: Vec<String>,
}

/// A journal being read.
struct Walk<'a> {
    it: Judgement,
    keys: &'a [PublicKey],
    secrets: Option<&'a mut Keys>,
    wanted: &'a BTreeSet<u64>,
    tree: Tree,
    /// Of this commit, where they were not those that the places ask for.
    strange: Vec<(u64, u64)>,
    /// The last leaf, until its payload was seen.
    awaited: Option<(Leaf, Digest)>,
}

/// Why a frame does not belong where it stands.
struct Wrong {
    index: u64,
    problem: String,
    likely: &'static str,
}

/// Reads a journal and judges it. `wanted` are sizes whose roots others have seen.
pub(crate) fn judge(
    place: &Place,
    keys: &[PublicKey],
    secrets: Option<&mut Keys>,
    wanted: &BTreeSet<u64>,
) -> Result<Judgement, AuditError> {
    let path = place.journal();
    let mut file = File::open(&path).at("open", &path)?;
    let mut walk = Walk {
        it: Judgement::default(),
        keys,
        secrets,
        wanted,
        tree: Tree::default(),
        strange: Vec::new(),
        awaited: None,
    };
    file.seek(SeekFrom::Start(0)).at("read", &path)?;
    let mut frames = Frames::new(BufReader::with_capacity(256 * 1024, &file), 0);
    let mut end = 0;
    loop {
        let offset = frames.offset();
        let wrong = match frames.step().at("read", &path)? {
            Next::Frame(kind) => walk.frame(kind, frames.content(), offset)?,
            Next::End => break,
            Next::Broken(_) => break,
        };
        if let Some(Wrong { index, problem, likely }) = wrong {
            walk.it.altered = Some(Alteration { index, offset, problem, likely: likely.to_owned() });
            return Ok(walk.it);
        }
        if walk.it.size == walk.tree.size() && walk.it.checkpoints > 0 && walk.awaited.is_none() {
            end = frames.offset();
        }
    }
    let offset = frames.offset();
    if let Some(last) = last_written(&file, end).at("read", &path)? {
        walk.it.behind = last - end;
        if !checkpoints_behind(&file, end, keys).at("read", &path)?.is_empty() {
            walk.it.altered = Some(Alteration {
                index: walk.tree.size(),
                offset,
                problem: "bytes that are no frame, with commits behind them".to_owned(),
                likely: "bytes were changed, or a commit was torn by a loss of power".to_owned(),
            });
        }
    }
    Ok(walk.it)
}

impl Walk<'_> {
    fn frame(&mut self, kind: Kind, content: &[u8], offset: u64) -> Result<Option<Wrong>, AuditError> {
        if kind != Kind::Payload
            && let Some((leaf, _)) = self.awaited.take()
        {
            return Ok(Some(Wrong {
                index: leaf.index,
                problem: format!("record {} has a commitment and no payload beside it", leaf.index),
                likely: "a payload was taken away",
            }));
        }
        match kind {
            Kind::Header => Ok(self.header(content, offset)),
            Kind::Leaf => Ok(self.leaf(content)),
            Kind::Payload => self.payload(content),
            Kind::Checkpoint => Ok(self.checkpoint(content)),
        }
    }

    fn header(&mut self, content: &[u8], offset: u64) -> Option<Wrong> {
        self.it.origin = if offset == 0 { header(content) } else { None };
        let problem = "a header where none belongs, or of another format".to_owned();
        let wrong = Wrong { index: self.tree.size(), problem, likely: "bytes were changed" };
        self.it.origin.is_none().then_some(wrong)
    }

    fn leaf(&mut self, content: &[u8]) -> Option<Wrong> {
        let index = self.tree.size();
        let Some(leaf) = Leaf::parse(content) else {
            let problem = format!("record {index} is no canonical leaf of format 1");
            return Some(Wrong { index, problem, likely: "the record was changed" });
        };
        if leaf.index != index {
            self.strange.push((index, leaf.index));
        }
        let hash = leaf_hash(content);
        self.tree.push(hash);
        if self.wanted.contains(&self.tree.size()) {
            self.it.roots.insert(self.tree.size(), self.tree.root());
        }
        self.it.stopped = leaf.event == Word::Stop;
        if leaf.event == Word::Intent {
            self.it.open.insert(leaf.index);
        }
        if let Some(intent) = leaf.facts.intent
            && !self.it.open.remove(&intent)
        {
            let finding = format!("record {index} is the outcome of {intent}, which is no open intent");
            self.it.findings.push(finding);
        }
        self.awaited = leaf.facts.commitment.is_some().then_some((leaf, hash));
        None
    }

    fn payload(&mut self, content: &[u8]) -> Result<Option<Wrong>, AuditError> {
        let index = self.tree.size().saturating_sub(1);
        let wrong = |problem: String, likely| Ok(Some(Wrong { index, problem, likely }));
        let Some((leaf, hash)) = self.awaited.take() else {
            return wrong("a payload that no record commits to".to_owned(), "a payload was added");
        };
        let (Some(secrets), Some(origin)) = (self.secrets.as_deref_mut(), self.it.origin.as_deref()) else {
            self.it.payloads.without_keys += 1;
            return Ok(None);
        };
        let subject = leaf.facts.subject.as_deref().unwrap_or_default();
        let key = secrets.find_subject(subject)?;
        match Salted::open(content, key.as_ref(), origin, leaf.index, &hash) {
            Ok(salted) if leaf.facts.commitment == Some(hex::encode(salted.commitment())) => {
                self.it.payloads.checked += 1;
                Ok(None)
            }
            Ok(_) | Err(Unreadable::Forged) => {
                let problem = format!("the payload of record {index} is not what the record commits to");
                wrong(problem, "the payload or its record was changed")
            }
            Err(Unreadable::Erased) => {
                self.it.payloads.erased += 1;
                Ok(None)
            }
        }
    }

    fn checkpoint(&mut self, note: &[u8]) -> Option<Wrong> {
        let index = self.it.size;
        let wrong = |problem: String, likely| Some(Wrong { index, problem, likely });
        let checkpoint = match Checkpoint::open(note, self.keys) {
            Ok(checkpoint) => checkpoint,
            Err(BadNote::OtherKey) => {
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
        if checkpoint.size != self.tree.size() || checkpoint.root != self.tree.root() {
            return Some(self.mismatch(checkpoint.size));
        }
        self.strange.clear();
        self.it.size = checkpoint.size;
        self.it.root = checkpoint.root;
        self.it.checkpoints += 1;
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
                false => (*at, "a record was deleted"),
            },
        };
        Wrong { index, problem, likely }
    }
}
