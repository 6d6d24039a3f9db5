//! What stands in a log's folder, and is it all that anybody has seen there? Looked at without a change; and what was never acknowledged
//! is put aside before the log goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey as PublicKey;
use sha2::{Digest as _, Sha256};

use crate::{
    AuditError, Cut,
    error::At,
    frame::{Frames, HEAD_BYTES, Kind, Next, last_written},
    head::Head,
    keys::{Keys, sync_folder},
    note::Checkpoint,
    pool::{self, Place, Siblings},
    publish::{CHECKPOINT, TLOG},
    record::Seen,
    recover::{Replay, State, checkpoints_behind, replay},
    segment::Segment,
    witness,
};

/// A journal up to this size is read and checked as a whole at every start; of a longer one what stands behind the head.
const READ_WHOLE_BYTES: u64 = 4 * 1024 * 1024;

/// A log that a start can go on with.
pub(super) struct Found {
    /// The last segment, whether it exists or not.
    path: PathBuf,
    state: State,
    /// Where the bytes end that stand behind the last commit.
    written: Option<u64>,
}

/// Refuses a log that no start would go on with. Changes nothing.
pub(crate) fn check(state: &Path, place: &Place, keys: &Keys) -> Result<(), AuditError> {
    let siblings = pool::siblings(state, place, keys)?;
    look(place, keys, &siblings).map(drop)
}

/// Reads what is durable, and refuses what a crash does not explain.
pub(super) fn look(place: &Place, keys: &Keys, siblings: &Siblings) -> Result<Found, AuditError> {
    let damaged = |problem: String| AuditError::Damaged { log: place.name(), problem };
    let segments = Segment::list(&place.folder)?;
    let head = Head::read(&place.folder, keys)?;
    let signers = [keys.signing().verifying_key()];
    let from = trusted(&segments, head.as_ref())?;
    let Replay { state, damage } = replay(&segments, from, &signers)?;
    if let Some(damage) = damage {
        return Err(damaged(damage.to_string()));
    }
    let last = state.checkpoint.as_ref().map(|(it, _)| it);
    if let Some(it) = last.filter(|it| !it.origin.starts_with(&place.origin_prefix())) {
        return Err(damaged(format!("{} does not belong there", it.origin)));
    }
    let head = head.map(|(_, checkpoint)| checkpoint);
    let size = state.tree.size();
    let path = segments.last().map_or_else(|| Segment::at(&place.folder, 0).path, |it| it.path.clone());
    let written = written(&path, &state, head.as_ref(), &signers)?.map_err(damaged)?;
    let beside = beside(&place.folder, last, &signers)?;
    let floor = floor(place, &state, written.is_some(), (head.as_ref(), &beside), siblings);
    if let Some((seen, by)) = floor.filter(|(seen, _)| *seen > size) {
        return Err(damaged(format!("its journal ends after {size} intact records, but {by} shows {seen}")));
    }
    if head.iter().chain(beside.iter().map(|(it, _)| it)).any(|it| it.size == size && Some(it) != last) {
        return Err(damaged(format!("its {size} records are not those of the head beside its journal")));
    }
    Ok(Found { path, state, written })
}

impl Found {
    /// Takes the log up where its last commit ends: what stands behind it is put aside. Gives the last segment.
    pub(super) fn take_up(self, place: &Place) -> Result<(File, PathBuf, State, Vec<Cut>), AuditError> {
        let Found { path, state, written } = self;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).at("open", &path)?;
        if let Some(end) = written {
            put_aside(place, (&file, &path), &state, end)?;
            file.set_len(state.end).at("cut", &path)?;
        }
        let cut = cuts(place, state.tree.size())?;
        Ok((file, path, state, cut))
    }
}

/// Where the bytes end that stand behind the last commit; or why no crash has left them.
fn written(
    path: &Path,
    state: &State,
    head: Option<&Checkpoint>,
    signers: &[PublicKey],
) -> Result<Result<Option<u64>, String>, AuditError> {
    let Some(file) = pool::open_existing(path)? else { return Ok(Ok(None)) };
    let written = last_written(&file, state.end).at("read", path)?;
    if written.is_some() {
        let behind = checkpoints_behind(&file, state.end, signers).at("read", path)?;
        let durable = head.is_some_and(|it| behind.first().is_some_and(|size| it.size >= *size));
        // One commit can be torn in its middle: a loss of power may have let its checkpoint through and not what stands
        // before it. Nothing is begun behind a commit that is not durable, so two cannot; nor one that the head knows of.
        if behind.len() > 1 || durable {
            let (size, end) = (state.tree.size(), state.end);
            return Ok(Err(format!("bytes changed at record {size} (behind byte {end})")));
        }
    }
    Ok(Ok(written))
}

/// The checkpoints beside the journal that our key signed: the one that was published last, and those that witnesses cosigned.
fn beside(
    folder: &Path,
    last: Option<&Checkpoint>,
    signers: &[PublicKey],
) -> Result<Vec<(Checkpoint, &'static str)>, AuditError> {
    let mut found = Vec::new();
    for note in witness::cosigned(folder)? {
        let ours = |it: &Checkpoint| last.is_none_or(|last| last.origin == it.origin);
        let head = Checkpoint::open(&note, signers).ok().filter(ours);
        found.extend(head.map(|it| (it, "a head that a witness cosigned")));
    }
    found.extend(published(folder, signers)?.map(|it| (it, "its published checkpoint")));
    Ok(found)
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
    (head, beside): (Option<&Checkpoint>, &[(Checkpoint, &'static str)]),
    siblings: &Siblings,
) -> Option<(u64, &'static str)> {
    let prefix = place.origin_prefix();
    let ours = |seen: &&Seen| match &state.checkpoint {
        Some((checkpoint, _)) => seen.origin == checkpoint.origin,
        // Nothing here says which log this was. Where nothing is at all a new one begins, and the old one is gone.
        None => written && seen.origin.starts_with(&prefix),
    };
    // Whoever copies a log to another place shows there how long it was.
    let siblings = siblings.claims.iter().chain(&siblings.heads);
    let claimed = siblings.filter(ours).map(|it| (it.size, "a log beside it"));
    let head = head.map(|it| (it.size, "the head beside it"));
    claimed.chain(head).chain(beside.iter().map(|(it, by)| (it.size, *by))).max()
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
