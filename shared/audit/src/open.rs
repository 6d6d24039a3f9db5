//! What must happen before a log takes its first record? Keys, a free place, what is durable there, what the logs beside it
//! know, and a start record.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey as PublicKey;
use sha2::{Digest as _, Sha256};

use crate::{
    AuditError, Cut, Opened, Publishing, VerifyingKey,
    error::At,
    frame::{Frames, HEAD_BYTES, Kind, Next, last_written},
    head::{Head, read_siblings, write_siblings},
    journal::{Ahead, Journal, Use},
    keys::{Keys, random, sync_folder},
    ledger::Ledger,
    note::Checkpoint,
    pool::{self, Place, Siblings},
    publish::{CHECKPOINT, Publication, Subject, TLOG},
    record::{Draft, Facts, Seen, Word},
    recover::{Replay, State, checkpoints_behind, replay},
    segment::{Position, Segment},
};

/// A journal up to this size is read and checked as a whole at every start; of a longer one what stands behind the head.
const READ_WHOLE_BYTES: u64 = 4 * 1024 * 1024;
/// Heads of other logs in one record, so that it stays below the bound of a leaf.
const SEEN_MAX: usize = 100;

/// A log that was opened.
pub(crate) struct Start {
    pub(crate) ledger: Ledger,
    pub(crate) place: Place,
    pub(crate) lock: File,
    /// Where the log ended before.
    pub(crate) found: Position,
    pub(crate) opened: Opened,
}

impl Start {
    /// Begins to publish the log, the start among the first.
    pub(crate) fn publish(&self, how: &Publishing) -> Result<Option<Publication>, AuditError> {
        let subject = Subject {
            log: self.place.name(),
            folder: &self.place.folder,
            origin: &self.opened.origin,
            key: self.ledger.keys().signing().verifying_key(),
            found: self.found,
        };
        let publication = Publication::start(&subject, how)
            .map_err(|error| AuditError::Closed { why: format!("no thread to publish with: {error}") })?;
        if let Some(it) = &publication {
            it.tell(self.ledger.reach());
        }
        Ok(publication)
    }
}

/// Opens a log: everything that was there is accounted for, and the start is durable.
pub(crate) fn open(
    state: &Path,
    server: &str,
    version: &str,
    ahead: Ahead,
    segment_bytes: u64,
) -> Result<Start, AuditError> {
    let keys = Keys::load_or_make(state)?;
    let taken = pool::take(state, server)?;
    keys.check_current()?;
    open_at(state, taken, keys, version, ahead, segment_bytes)
}

/// Opens the log of a place whose lock is held.
pub(crate) fn open_at(
    state: &Path,
    (place, lock): (Place, File),
    keys: Keys,
    version: &str,
    ahead: Ahead,
    segment_bytes: u64,
) -> Result<Start, AuditError> {
    let siblings = pool::siblings(state, &place, &keys)?;
    let (file, path, found, cut) = recover(&place, &keys, &siblings)?;
    let created = found.checkpoint.is_none();
    let origin = match &found.checkpoint {
        Some((checkpoint, _)) => checkpoint.origin.clone(),
        None => format!("{}{}", place.origin_prefix(), hex::encode(*random::<8>())),
    };
    let (warnings, seen) = compare(&place, &keys, &siblings, &origin)?;
    let taken_over = !created && !found.stopped;
    let unknown: Vec<u64> = found.open.keys().copied().collect();
    let position = Position { segment: found.segment, offset: found.end, index: found.tree.size() };
    let journal = Journal::new(file, path.clone(), found.end, ahead).at("read", &path)?;
    let mut ledger = Ledger::new(&place.folder, origin.clone(), keys, journal, found, segment_bytes)?;
    ledger.turn()?;
    start(&mut ledger, version, taken_over, &cut, &unknown, &siblings.heads)?;
    if created {
        // A record behind a name that a crash takes away would be lost with it.
        place.folder.ancestors().take(4).try_for_each(sync_folder)?;
        // The state folder's own name is somebody else's business where we may not even look.
        let _ = state.parent().map(sync_folder);
    }
    write_siblings(&place.folder, &seen, ledger.keys())?;
    let key = VerifyingKey::new(&origin, ledger.keys().signing().verifying_key()).to_string();
    let log = place.name();
    let opened =
        Opened { log, origin, key, size: ledger.size(), created, taken_over, cut, unknown, warnings };
    Ok(Start { ledger, place, lock, found: position, opened })
}

/// Reads what is durable, refuses what a crash does not explain, and puts aside what was never acknowledged. Gives the last
/// segment, to be gone on with.
fn recover(
    place: &Place,
    keys: &Keys,
    siblings: &Siblings,
) -> Result<(File, PathBuf, State, Vec<Cut>), AuditError> {
    let mut segments = Segment::list(&place.folder)?;
    if segments.is_empty() {
        segments.push(Segment::at(&place.folder, 0));
    }
    let path = segments.last().expect("one at least").path.clone();
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .at("open", &path)?;
    let damaged = |problem: String| AuditError::Damaged { log: place.name(), problem };
    let head = Head::read(&place.folder, keys)?;
    let signers = [keys.signing().verifying_key()];
    let from = trusted(&segments, head.as_ref())?;
    let Replay { state, damage } = replay(&segments, from, &signers)?;
    if let Some(damage) = damage {
        return Err(damaged(damage.to_string()));
    }
    let head = head.map(|(_, checkpoint)| checkpoint);
    let size = state.tree.size();
    let written = last_written(&file, state.end).at("read", &path)?;
    if written.is_some() {
        let behind = checkpoints_behind(&file, state.end, &signers).at("read", &path)?;
        let durable = head.as_ref().is_some_and(|it| behind.first().is_some_and(|size| it.size >= *size));
        // One commit can be torn in its middle: a loss of power may have let its checkpoint through and not what stands
        // before it. Nothing is begun behind a commit that is not durable, so two cannot; nor one that the head knows of.
        if behind.len() > 1 || durable {
            return Err(damaged(format!("bytes changed at record {size} (behind byte {})", state.end)));
        }
    }
    let published = published(&place.folder, &signers)?;
    let floor = floor(place, &state, written.is_some(), [head.as_ref(), published.as_ref()], siblings);
    if let Some((seen, by)) = floor.filter(|(seen, _)| *seen > size) {
        return Err(damaged(format!("its journal ends after {size} intact records, but {by} shows {seen}")));
    }
    let last = state.checkpoint.as_ref().map(|(it, _)| it);
    if [&head, &published].into_iter().flatten().any(|it| it.size == size && Some(it) != last) {
        return Err(damaged(format!("its {size} records are not those of the head beside its journal")));
    }
    if let Some(end) = written {
        put_aside(place, (&file, &path), &state, end)?;
        file.set_len(state.end).at("cut", &path)?;
    }
    let cut = cuts(place, size)?;
    Ok((file, path, state, cut))
}

/// The checkpoint that was published last, if our key signed it.
fn published(folder: &Path, signers: &[PublicKey]) -> Result<Option<Checkpoint>, AuditError> {
    let path = folder.join(TLOG).join(CHECKPOINT);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Checkpoint::open(&other.at("read", &path)?, signers).ok()),
    }
}

/// The state after the commit that the head speaks of, where the journal is too long to read as a whole. The head is ours
/// (its code) and signed, its frontier is that of the checkpoint, and the checkpoint stands in the journal.
fn trusted(segments: &[Segment], head: Option<&(Head, Checkpoint)>) -> Result<Option<State>, AuditError> {
    let Some((head, checkpoint)) = head else { return Ok(None) };
    let Some(segment) = segments.iter().find(|it| it.first == head.segment) else { return Ok(None) };
    let mut bytes = head.end;
    for before in segments.iter().filter(|it| it.first < head.segment) {
        bytes += fs::metadata(&before.path).at("read", &before.path)?.len();
    }
    match bytes <= READ_WHOLE_BYTES {
        true => Ok(None),
        false => state_of(segment, head, checkpoint).at("read", &segment.path),
    }
}

fn state_of(segment: &Segment, head: &Head, checkpoint: &Checkpoint) -> io::Result<Option<State>> {
    let file = File::open(&segment.path)?;
    let note = head.checkpoint.as_bytes();
    let mut bytes = vec![0; HEAD_BYTES + note.len()];
    let place = head.end.saturating_sub(bytes.len() as u64);
    match file.read_exact_at(&mut bytes, place) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut frames = Frames::new(bytes.as_slice(), 0);
    let stands = frames.step()? == Next::Frame(Kind::Checkpoint) && frames.content() == note;
    let (Some(tree), Some(open), true) = (head.tree(checkpoint), head.open(), stands) else {
        return Ok(None);
    };
    Ok(Some(State {
        tree,
        segment: head.segment,
        end: head.end,
        checkpoint: Some((checkpoint.clone(), head.checkpoint.clone())),
        open: open.iter().copied().collect(),
        stopped: head.stopped,
    }))
}

/// The largest size of this log that anybody has seen, and who.
fn floor(
    place: &Place,
    state: &State,
    written: bool,
    [head, published]: [Option<&Checkpoint>; 2],
    siblings: &Siblings,
) -> Option<(u64, &'static str)> {
    let prefix = place.origin_prefix();
    let ours = |seen: &&Seen| match &state.checkpoint {
        Some((checkpoint, _)) => seen.origin == checkpoint.origin,
        // Nothing here says which log this was. Where nothing is at all a new one begins, and the old one is gone.
        None => written && seen.origin.starts_with(&prefix),
    };
    let claimed = siblings.claims.iter().filter(ours).map(|it| (it.size, "a log beside it"));
    let head = head.map(|it| (it.size, "the head beside it"));
    claimed.chain(head).chain(published.map(|it| (it.size, "its published checkpoint"))).max()
}

/// Keeps the bytes behind the last commit in a file of their own. Durable before they are cut from the journal.
fn put_aside(place: &Place, (file, from): (&File, &Path), state: &State, end: u64) -> Result<(), AuditError> {
    let size = state.tree.size();
    let known = cuts(place, size)?;
    let path = place.folder.join(format!("torn-{size}-{}", known.len()));
    let mut torn =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at("create", &path)?;
    let mut block = vec![0; 64 * 1024];
    let (mut offset, mut hash) = (state.end, Sha256::new());
    while offset < end {
        let count = block.len().min((end - offset) as usize);
        file.read_exact_at(&mut block[..count], offset).at("read", from)?;
        torn.write_all(&block[..count]).at("write", &path)?;
        hash.update(&block[..count]);
        offset += count as u64;
    }
    let same = Cut { bytes: end - state.end, sha256: hex::encode(hash.finalize()) };
    if known.contains(&same) {
        // A start before this one got as far as this and no further.
        return fs::remove_file(&path).at("remove", &path);
    }
    torn.sync_all().at("sync", &path)?;
    sync_folder(&place.folder)
}

/// What was put aside since the log had this size: not yet recorded, because recording it makes the log longer.
fn cuts(place: &Place, size: u64) -> Result<Vec<Cut>, AuditError> {
    let mut found = Vec::new();
    loop {
        let path = place.folder.join(format!("torn-{size}-{}", found.len()));
        let Some(file) = pool::open_existing(&path)? else { return Ok(found) };
        let (mut input, mut hash, mut bytes) = (BufReader::new(file), Sha256::new(), 0);
        let mut block = vec![0; 64 * 1024];
        loop {
            let got = input.read(&mut block).at("read", &path)?;
            if got == 0 {
                break;
            }
            hash.update(&block[..got]);
            bytes += got as u64;
        }
        found.push(Cut { bytes, sha256: hex::encode(hash.finalize()) });
    }
}

/// One commit: what was recovered, the outcomes that nobody will ever know, the start.
fn start(
    ledger: &mut Ledger,
    version: &str,
    taken_over: bool,
    cut: &[Cut],
    unknown: &[u64],
    heads: &[Seen],
) -> Result<(), AuditError> {
    let mut drafts = Vec::new();
    if taken_over || !cut.is_empty() {
        drafts.push(Draft::own(Word::Recovered, Facts { cut: Some(cut.to_vec()), ..Facts::default() }));
    }
    let key = VerifyingKey::new(ledger.origin(), ledger.keys().signing().verifying_key()).id();
    let mut chunks = heads.chunks(SEEN_MAX);
    let mut facts = Facts { version: Some(version.to_owned()), key: Some(key), ..Facts::default() };
    facts.siblings = Some(chunks.next().unwrap_or_default().to_vec());
    let mut starts = vec![Draft::own(Word::Start, facts)];
    starts.extend(
        chunks
            .map(|it| Draft::own(Word::Siblings, Facts { siblings: Some(it.to_vec()), ..Facts::default() })),
    );
    let mut group = ledger.begin();
    let path = ledger.path().clone();
    let full = || AuditError::Closed {
        why: format!("the disk of {} is full; free some space there", path.display()),
    };
    let marks = unknown.iter().map(|_| Draft::own(Word::Outcome, Facts::default()));
    let bound: usize = drafts.iter().chain(&starts).map(Draft::size_bound).sum::<usize>()
        + marks.map(|it| it.size_bound()).sum::<usize>();
    if !ledger.fits_bytes(bound as u64, Use::Outcome).at("reserve room in", &path)? {
        return Err(full());
    }
    for draft in drafts {
        ledger.stage(&mut group, draft)?;
    }
    for intent in unknown {
        ledger.stage_unknown(&mut group, *intent)?;
    }
    for draft in starts {
        ledger.stage(&mut group, draft)?;
    }
    ledger.commit(group)
}

/// What the logs beside ours contradict, and every head that ours has seen from now on.
fn compare(
    place: &Place,
    keys: &Keys,
    siblings: &Siblings,
    origin: &str,
) -> Result<(Vec<String>, Vec<Seen>), AuditError> {
    let before = match read_siblings(&place.folder, keys)? {
        Some(seen) => seen,
        None => pool::claims(place)?,
    };
    let heads: BTreeMap<_, _> = siblings.heads.iter().map(|it| (it.origin.as_str(), it.size)).collect();
    let mut largest: BTreeMap<&str, &Seen> = BTreeMap::new();
    for seen in before.iter().chain(&siblings.claims).chain(&siblings.heads) {
        let known = largest.entry(&seen.origin).or_insert(seen);
        if seen.size > known.size {
            *known = seen;
        }
    }
    let mut warnings = Vec::new();
    for seen in largest.values().filter(|it| it.origin != origin) {
        match heads.get(seen.origin.as_str()) {
            None => warnings.push(format!("log {} with {} records is gone", seen.origin, seen.size)),
            Some(size) if *size < seen.size => {
                warnings.push(format!("log {} had {} records and has {size}", seen.origin, seen.size));
            }
            Some(_) => {}
        }
    }
    let seen = largest.into_values().filter(|it| it.origin != origin).cloned().collect();
    Ok((warnings, seen))
}
