//! How is the signing key changed? Every log that the old key signed is closed, and a new one begins under the new key, so that no
//! log has two.
//!
//! Each old log ends with a record that names the new key, under the old one. The operators' new log begins with records that
//! name the old key and every head that it closed, under the new one. A verification that knows either key accepts the other only through
//! both, and whatever the old key signs beyond those heads is an alteration.

use std::{fs::File, path::Path};

use serde::Serialize;

use crate::{
    AuditError, Operator, Receipt,
    anchor::last_note,
    error::At,
    journal::{Ahead, Use},
    keys::{Keys, sync_folder},
    note::Checkpoint,
    open::{Start, check, open_at},
    operator::OPERATOR,
    pool::{Place, RETIRED, places, take, try_lock},
    record::{Draft, Facts, Seen, Word},
};

/// What the records call it.
const TOOL: &str = "rotate_key";
/// Heads in one record, so that it stays below the bound of a leaf.
const CLOSED_MAX: usize = 100;
/// Least room for when the disk is full.
const RESERVE_BYTES_MIN: u64 = 64 * 1024;

/// A change of the signing key.
#[derive(Clone, Debug, Serialize)]
pub struct Rotated {
    /// Verifier key of before.
    pub old: String,
    /// Verifier key from now on: keep it where the old one is kept.
    pub new: String,
    /// Logs that were closed.
    pub closed: u64,
    /// The record under the new key that names the old one.
    pub receipt: Receipt,
}

/// Changes the signing key of a state folder. No process may hold a log meanwhile. Blocks on the disk.
///
/// The next key is durable before a record names it, every old log is closed before the new key signs anything, and the old key is
/// destroyed last. After a crash nothing opens a log until this ran to its end.
pub fn rotate(state: &Path, operator: &Operator) -> Result<Rotated, AuditError> {
    let load = || {
        Keys::load(state)?.ok_or_else(|| AuditError::Keys {
            path: state.join("keys/log.key"),
            problem: "there is no key to change".to_owned(),
        })
    };
    let old = load()?;
    // Before anything is made: a change that cannot begin should not keep others from starting, nor from accepting a loss.
    let held = hold(state)?;
    if !old.has_next()? {
        held.iter().try_for_each(|(place, _)| check(state, place, &old))?;
    }
    drop(held);
    let next = old.next()?;
    let held = hold(state)?;
    let signed = |place: &Place, by: &Keys| -> Result<Option<Checkpoint>, AuditError> {
        let key = [by.signing().verifying_key()];
        Ok(last_note(place)?.and_then(|it| Checkpoint::open(it.as_bytes(), &key).ok()))
    };
    let (mut open, mut told) = (Vec::new(), false);
    for (place, lock) in held {
        // What an attempt before this one began under the next key stays.
        if signed(&place, &next)?.is_none() {
            open.push((place, lock));
        }
    }
    for place in places(state)?.iter().filter(|it| it.server == OPERATOR) {
        told = told || (place.is_retired() && signed(place, &old)?.is_some());
    }
    if !told && !open.iter().any(|(it, _)| it.server == OPERATOR) {
        open.push(take(state, OPERATOR)?);
    }
    for (place, lock) in open {
        let named = Facts { next: Some(next.verifying().to_string()), ..Facts::default() };
        let named = operator.draft(Word::Rotated, TOOL, named, &serde_json::json!({}))?;
        let folder = place.folder.clone();
        end(opened(state, (place, lock), load()?, operator)?, vec![named], operator)?;
        File::create(folder.join(RETIRED)).and_then(|it| it.sync_all()).at("create", folder.join(RETIRED))?;
        sync_folder(&folder)?;
    }
    let mut closed = Vec::new();
    for place in places(state)?.iter().filter(|it| it.is_retired()) {
        closed.extend(signed(place, &old)?.as_ref().map(Seen::from));
    }
    let new = next.verifying().to_string();
    let mut drafts = Vec::new();
    for heads in closed.chunks(CLOSED_MAX) {
        let facts = Facts {
            previous: Some(old.verifying().to_string()),
            closed: Some(heads.to_vec()),
            ..Facts::default()
        };
        drafts.push(operator.draft(Word::Rotated, TOOL, facts, &serde_json::json!({}))?);
    }
    let receipt = end(opened(state, take(state, OPERATOR)?, next, operator)?, drafts, operator)?;
    old.turn()?;
    Ok(Rotated { old: old.verifying().to_string(), new, closed: closed.len() as u64, receipt })
}

/// The locks of all logs that are not closed for good.
fn hold(state: &Path) -> Result<Vec<(Place, File)>, AuditError> {
    let mut held = Vec::new();
    for place in places(state)?.into_iter().filter(|it| !it.is_retired()) {
        let lock = try_lock(&place.folder.join("lock"))?.ok_or_else(|| AuditError::Closed {
            why: format!("a process holds log {}; stop it, then change the key", place.name()),
        })?;
        held.push((place, lock));
    }
    Ok(held)
}

fn opened(state: &Path, at: (Place, File), keys: Keys, operator: &Operator) -> Result<Start, AuditError> {
    let options = &operator.options;
    let ahead = Ahead { chunk: options.chunk_bytes, reserve: options.reserve_bytes.max(RESERVE_BYTES_MIN) };
    open_at(state, at, keys, &options.version, ahead, options.segment_bytes)
}

/// Writes the last records of a log, publishes it and lets it go. Gives the receipt of the first of them.
fn end(mut start: Start, drafts: Vec<Draft>, operator: &Operator) -> Result<Receipt, AuditError> {
    let ledger = &mut start.ledger;
    let bound: usize = drafts.iter().map(Draft::size_bound).sum();
    let path = ledger.path().clone();
    let stop = Draft::own(Word::Stop, Facts { reason: Some("key changed".to_owned()), ..Facts::default() });
    if !ledger.fits_bytes((bound + stop.size_bound()) as u64, Use::Outcome).at("reserve room in", &path)? {
        return Err(AuditError::Closed {
            why: format!("the disk of {} is full; free some space there", path.display()),
        });
    }
    let mut group = ledger.begin();
    let mut first = None;
    for draft in drafts {
        let receipt = ledger.stage(&mut group, draft)?;
        first.get_or_insert(receipt);
    }
    let last = ledger.stage(&mut group, stop)?;
    ledger.commit(group)?;
    if let Some(publication) = start.publish(&operator.options.publishing)? {
        publication.end(true);
    }
    Ok(first.unwrap_or(last))
}
