//! What must happen before a log takes its first record? Keys, a free place, what is durable there, what the logs beside it
//! know, and a start record.

mod found;

use std::{collections::BTreeMap, fs::File, path::Path};

use crate::{
    AuditError, Cut, Opened, Publishing, VerifyingKey,
    error::At,
    head::{read_siblings, write_siblings},
    journal::{Ahead, Journal, Use},
    keys::{Keys, SigningKeySource, random, sync_folder},
    ledger::Ledger,
    pool::{self, Place, Siblings},
    publish::{Publication, Subject},
    record::{Draft, Facts, Seen, Word},
    segment::Position,
};

pub(crate) use found::check;

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
    source: &SigningKeySource,
    version: &str,
    ahead: Ahead,
    segment_bytes: u64,
) -> Result<Start, AuditError> {
    let keys = Keys::load_or_make(state, source)?;
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
    let (file, path, found, cut) = found::look(&place, &keys, &siblings)?.take_up(&place)?;
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
    // A record behind a name that a crash takes away would be lost with it; and whoever gave the name may have ended before this.
    place.folder.ancestors().take(4).try_for_each(sync_folder)?;
    // The state folder's own name is somebody else's business where we may not even look.
    let _ = state.parent().map(sync_folder);
    write_siblings(&place.folder, &seen, ledger.keys())?;
    let key = VerifyingKey::new(&origin, ledger.keys().signing().verifying_key()).to_string();
    let log = place.name();
    let opened =
        Opened { log, origin, key, size: ledger.size(), created, taken_over, cut, unknown, warnings };
    Ok(Start { ledger, place, lock, found: position, opened })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SYNCED;

    fn open_one(state: &Path) -> Start {
        let source = crate::SigningKeySource::StateFolder;
        open(state, "code", &source, "0", Ahead { chunk: 1024, reserve: 64 << 10 }, 1 << 20).unwrap()
    }

    #[test]
    fn every_start_makes_the_names_durable_that_one_before_it_may_have_left_open() {
        let state = tempfile::tempdir().unwrap();
        drop(open_one(state.path()));
        SYNCED.take();
        let again = open_one(state.path());
        assert!(!again.opened.created);
        let synced = SYNCED.take();
        for folder in again.place.folder.ancestors().take(4) {
            assert!(synced.iter().any(|it| it == folder), "{}: {synced:?}", folder.display());
        }
    }
}
