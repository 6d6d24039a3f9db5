//! How do records become a commit? Staged one after the other, signed once, durable together or not at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    AuditError, Receipt,
    error::At,
    frame::{Frames, HEAD_BYTES, Kind, Next, put},
    head::{HEAD, Head},
    journal::{Journal, Use},
    keys::{Keys, SubjectKey},
    merkle::{Tree, leaf_hash},
    note::Checkpoint,
    record::{Draft, Facts, Leaf, OVERHEAD_BYTES_MAX, PAYLOAD_BYTES_MAX, Word},
    recover::State,
    seal::Salted,
    segment::{Header, Position, Segment},
};

/// What an intent takes at most.
const EFFECT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX;

/// A log as its one writer holds it: the state after the last durable commit.
pub(crate) struct Ledger {
    folder: PathBuf,
    origin: String,
    keys: Keys,
    journal: Journal,
    /// First index of the journal's last segment.
    segment: u64,
    /// From how many bytes on the next commit goes into another segment.
    segment_bytes: u64,
    head: File,
    tree: Tree,
    /// The last checkpoint.
    note: String,
    /// Intents without outcome, with the places of their leaves in their segments.
    open: BTreeMap<u64, u64>,
}

/// How far a log's journal is durable, for those who read it while it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Behind the last checkpoint.
    pub(crate) position: Position,
    /// The first intent without outcome.
    pub(crate) open: Option<u64>,
}

/// Records that are to become durable together. Dropping it leaves the ledger as it was.
pub(crate) struct Group {
    bytes: Vec<u8>,
    tree: Tree,
    opened: BTreeMap<u64, u64>,
    closed: BTreeSet<u64>,
    stopped: bool,
}

impl Ledger {
    /// Goes on where a start found the log to end.
    pub(crate) fn new(
        folder: &Path,
        origin: String,
        keys: Keys,
        journal: Journal,
        state: State,
        segment_bytes: u64,
    ) -> Result<Ledger, AuditError> {
        let path = folder.join(HEAD);
        let mut options = File::options();
        let head =
            options.write(true).create(true).truncate(false).mode(0o600).open(&path).at("open", &path)?;
        let State { tree, open, checkpoint, segment, .. } = state;
        let note = checkpoint.map(|(_, note)| note).unwrap_or_default();
        let folder = folder.to_owned();
        Ok(Ledger { folder, origin, keys, journal, segment, segment_bytes, head, tree, note, open })
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn path(&self) -> &PathBuf {
        self.journal.path()
    }

    /// Intents without outcome.
    pub(crate) fn open(&self) -> impl Iterator<Item = u64> {
        self.open.keys().copied()
    }

    /// How far readers may read.
    pub(crate) fn reach(&self) -> Reach {
        let position =
            Position { segment: self.segment, offset: self.journal.end(), index: self.tree.size() };
        Reach { position, open: self.open.keys().next().copied() }
    }

    /// Goes on in another segment where this one has outgrown its bound. After an error the ledger must not be used again.
    pub(crate) fn turn(&mut self) -> Result<(), AuditError> {
        let size = self.tree.size();
        if self.journal.end() < self.segment_bytes || size == self.segment {
            return Ok(());
        }
        let mut start = Vec::new();
        Header { origin: self.origin.clone(), tree: self.tree.clone() }.put(&mut start);
        put(&mut start, Kind::Checkpoint, self.note.as_bytes());
        let next = Segment::at(&self.folder, size);
        if self.journal.follow_with(&next.path, &start).at("begin", &next.path)? {
            self.segment = size;
        }
        Ok(())
    }

    /// Begins a commit; that of an empty log begins with the header.
    pub(crate) fn begin(&self) -> Group {
        let mut bytes = Vec::with_capacity(16 * 1024);
        if self.journal.end() == 0 {
            Header { origin: self.origin.clone(), tree: Tree::default() }.put(&mut bytes);
        }
        let tree = self.tree.clone();
        Group { bytes, tree, opened: BTreeMap::new(), closed: BTreeSet::new(), stopped: false }
    }

    /// Whether a record fits behind what the group holds, asking the disk for room if need be.
    pub(crate) fn fits(&mut self, group: &Group, draft: &Draft, for_what: Use) -> io::Result<bool> {
        let bound = match for_what {
            // Whether effects may go on does not depend on how much one has to say.
            Use::Effect => EFFECT_BYTES_MAX,
            _ => draft.size_bound(),
        };
        self.fits_bytes((group.bytes.len() + bound) as u64, for_what)
    }

    /// Whether a group of this many bytes fits.
    pub(crate) fn fits_bytes(&mut self, bytes: u64, for_what: Use) -> io::Result<bool> {
        let bytes = bytes + self.checkpoint_bound();
        self.journal.make_room(bytes)?;
        Ok(self.journal.fits(bytes, for_what))
    }

    /// Whether the next record of this use would fit if it were small.
    pub(crate) fn has_room(&mut self, for_what: Use) -> io::Result<bool> {
        let bound = if for_what == Use::Effect { EFFECT_BYTES_MAX } else { OVERHEAD_BYTES_MAX };
        self.fits_bytes(bound as u64, for_what)
    }

    /// Adds a record to a group. An error leaves the group as it was.
    pub(crate) fn stage(&mut self, group: &mut Group, draft: Draft) -> Result<Receipt, AuditError> {
        let index = group.tree.size();
        if let Some(intent) = draft.facts.intent
            && !self.is_open(group, intent)
        {
            let problem = format!("no open intent {intent} in {}", self.origin);
            return Err(AuditError::Malformed { problem });
        }
        let (facts, salted, subject) = self.commit_to(draft.facts, &draft.subject, &draft.payload)?;
        let leaf = Leaf { v: 1, index, time: Timestamp::now(), event: draft.word, facts };
        let bytes = leaf.bytes()?;
        let hash = leaf_hash(&bytes);
        let place = self.journal.end() + group.bytes.len() as u64;
        put(&mut group.bytes, Kind::Leaf, &bytes);
        if let (Some(salted), Some(subject)) = (salted, subject) {
            let sealed = salted.seal(&subject, &self.origin, index, &hash);
            put(&mut group.bytes, Kind::Payload, &sealed);
        }
        group.tree.push(hash);
        if draft.word == Word::Intent {
            group.opened.insert(index, place);
        }
        group.closed.extend(leaf.facts.intent);
        group.stopped = draft.word == Word::Stop;
        Ok(Receipt { log: self.origin.clone(), index, leaf: hash })
    }

    /// Adds the outcome `unknown` of an intent that was durable before this group.
    pub(crate) fn stage_unknown(&mut self, group: &mut Group, intent: u64) -> Result<Receipt, AuditError> {
        let leaf = self.leaf_of(intent)?;
        let facts = Facts {
            outcome: Some("unknown".to_owned()),
            intent: Some(intent),
            commitment: None,
            omitted_bytes: None,
            ..leaf.facts
        };
        self.stage(group, Draft::own(Word::Outcome, facts))
    }

    /// Signs and writes a group. After an error the ledger must not be used again: what is on disk is unknown.
    pub(crate) fn commit(&mut self, mut group: Group) -> Result<(), AuditError> {
        let checkpoint =
            Checkpoint { origin: self.origin.clone(), size: group.tree.size(), root: group.tree.root() };
        let note = checkpoint.sign(self.keys.signing());
        put(&mut group.bytes, Kind::Checkpoint, note.as_bytes());
        self.journal.append(&group.bytes).at("write", self.journal.path())?;
        self.tree = group.tree;
        self.open.append(&mut group.opened);
        self.open.retain(|intent, _| !group.closed.contains(intent));
        let open = self.open.iter().map(|(index, place)| (*index, *place));
        let head = Head::new(&note, (self.segment, self.journal.end()), &self.tree, open, group.stopped);
        // The journal is what counts: without this file the next start reads all of it.
        if let Err(error) = head.write(&self.head, &self.keys) {
            tracing::warn!(%error, log = self.origin, "cannot write the head beside the journal");
        }
        if group.stopped {
            let _ = self.head.sync_data();
        }
        self.note = note;
        Ok(())
    }

    fn is_open(&self, group: &Group, intent: u64) -> bool {
        let known = self.open.contains_key(&intent) || group.opened.contains_key(&intent);
        known && !group.closed.contains(&intent)
    }

    /// Puts pseudonym and commitment into the facts.
    fn commit_to(
        &mut self,
        mut facts: Facts,
        subject: &str,
        payload: &[u8],
    ) -> Result<(Facts, Option<Salted>, Option<SubjectKey>), AuditError> {
        if subject.is_empty() {
            return Ok((facts, None, None));
        }
        let pseudonym = self.keys.subjects().pseudonym(subject);
        // Durable before the record is: a record whose key a crash took would be erased by accident.
        let key = self.keys.subjects().subject(&pseudonym)?;
        let salted = Salted::new(payload);
        facts.subject = Some(pseudonym);
        facts.commitment = Some(hex::encode(salted.commitment()));
        Ok((facts, Some(salted), Some(key)))
    }

    fn leaf_of(&self, intent: u64) -> Result<Leaf, AuditError> {
        let damaged = |problem: &str| AuditError::Damaged {
            log: self.origin.clone(),
            problem: format!("intent {intent} {problem}"),
        };
        let offset = *self.open.get(&intent).ok_or_else(|| damaged("is not open"))?;
        // No segment is dropped as long as an intent in it is open.
        let segments = Segment::list(&self.folder)?;
        let path = &Segment::of(&segments, intent).ok_or_else(|| damaged("is in no segment"))?.path;
        let mut file = File::open(path).at("open", path)?;
        file.seek(SeekFrom::Start(offset)).at("read", path)?;
        let mut frames = Frames::new(file, offset);
        match frames.step().at("read", path)? {
            Next::Frame(Kind::Leaf) => {}
            _ => return Err(damaged("is not where it was written")),
        }
        Leaf::parse(frames.content())
            .filter(|it| it.index == intent && it.event == Word::Intent)
            .ok_or_else(|| damaged("is not what was written"))
    }

    fn checkpoint_bound(&self) -> u64 {
        // Header and checkpoint: the origin three times at most, size, root and signature.
        (2 * HEAD_BYTES + 4 * self.origin.len() + 256) as u64
    }
}
