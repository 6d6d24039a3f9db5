//! How is the signing key changed? Every log that the old key signed is closed, and a new one begins under the new key, so that no
//! log has two.
//!
//! Each old log ends with a record that names the new key, under the old one. The operators' new log begins with records that
//! name the old key and every head that it closed, under the new one. A verification that knows either key accepts the other only through
//! both, and whatever the old key signs beyond those heads is an alteration.

use std::{fs::File, path::Path};

use serde::Serialize;

use crate::{
    AuditError, Operator, Published, Receipt,
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
pub(crate) const HEADS_MAX: usize = 100;
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
    /// Places that lack the end of a log: [`crate::publish`] brings it once they can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Published>,
}

/// What has just become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The next key lies beside the old one.
    Made,
    /// A log ended under the old key.
    Ended,
    /// It is marked as closed for good.
    Marked,
    /// The operators' log began under the next key, and holds what was closed.
    Begun,
    /// The next key is the key.
    Turned,
}

/// Changes the signing key of a state folder. No process may hold a log meanwhile. Blocks on the disk.
///
/// The next key is durable before a record names it, every old log is closed before the new key signs anything, and the old key is
/// destroyed last. After a crash nothing opens a log until this ran to its end.
pub fn rotate(state: &Path, operator: &Operator) -> Result<Rotated, AuditError> {
    rotate_with(state, operator, &mut |_| Ok(()))
}

/// The same, telling each step: an error ends it there, as a crash would.
fn rotate_with(
    state: &Path,
    operator: &Operator,
    told: &mut dyn FnMut(Step) -> Result<(), AuditError>,
) -> Result<Rotated, AuditError> {
    let load = || {
        Keys::load(state, &operator.options.signing_key)?.ok_or_else(|| AuditError::Keys {
            path: state.join("keys/log.key"),
            problem: "there is no key to change".to_owned(),
        })
    };
    let old = load()?;
    let (next, held) = begin(state, &old)?;
    told(Step::Made)?;
    let mut behind = Vec::new();
    for (place, lock) in to_close(state, [&old, &next], held)? {
        let named = Facts { next: Some(next.verifying().to_string()), ..Facts::default() };
        let named = operator.draft(Word::Rotated, TOOL, named, &serde_json::json!({}))?;
        let folder = place.folder.clone();
        end(opened(state, (place, lock), load()?, operator)?, vec![*named], operator, &mut behind)?;
        told(Step::Ended)?;
        File::create(folder.join(RETIRED)).and_then(|it| it.sync_all()).at("create", folder.join(RETIRED))?;
        sync_folder(&folder)?;
        told(Step::Marked)?;
    }
    let mut closed = Vec::new();
    for place in places(state)?.iter().filter(|it| it.is_retired()) {
        closed.extend(last(place, &old)?.as_ref().map(Seen::from));
    }
    let new = next.verifying().to_string();
    let mut drafts = Vec::new();
    for heads in closed.chunks(HEADS_MAX) {
        let facts = Facts {
            previous: Some(old.verifying().to_string()),
            closed: Some(heads.to_vec()),
            ..Facts::default()
        };
        drafts.push(*operator.draft(Word::Rotated, TOOL, facts, &serde_json::json!({}))?);
    }
    let begun = opened(state, take(state, OPERATOR)?, next, operator)?;
    let receipt = end(begun, drafts, operator, &mut behind)?;
    told(Step::Begun)?;
    old.turn()?;
    told(Step::Turned)?;
    let closed = closed.len() as u64;
    Ok(Rotated { old: old.verifying().to_string(), new, closed, receipt, behind })
}

/// The next key, and the locks of all logs that are not closed for good. A change that cannot begin leaves nothing behind that would
/// keep others from starting, or from accepting a loss.
fn begin(state: &Path, old: &Keys) -> Result<(Keys, Vec<(Place, File)>), AuditError> {
    let mut held = Vec::new();
    hold(state, &mut held)?;
    let is_first = !old.has_next()?;
    if is_first {
        held.iter().try_for_each(|(place, _)| check(state, place, old))?;
    }
    let next = old.next()?;
    // Logs that began meanwhile; from here on none does.
    let all = hold(state, &mut held);
    if all.is_err() && is_first {
        old.forget_next()?;
    }
    all.map(|()| (next, held))
}

/// Locks every log that is not closed for good, and not locked already.
fn hold(state: &Path, held: &mut Vec<(Place, File)>) -> Result<(), AuditError> {
    for place in places(state)?.into_iter().filter(|it| !it.is_retired()) {
        if held.iter().any(|(it, _)| *it == place) {
            continue;
        }
        let lock = try_lock(&place.folder.join("lock"))?.ok_or_else(|| AuditError::Closed {
            why: format!("a process holds log {}; stop it, then change the key", place.name()),
        })?;
        held.push((place, lock));
    }
    Ok(())
}

/// The logs that are still to be closed; at least one of the operators', unless one was closed by an attempt before this one.
fn to_close(
    state: &Path,
    [old, next]: [&Keys; 2],
    held: Vec<(Place, File)>,
) -> Result<Vec<(Place, File)>, AuditError> {
    let mut open = Vec::new();
    for (place, lock) in held {
        // What an attempt before this one began under the next key stays.
        if last(&place, next)?.is_none() {
            open.push((place, lock));
        }
    }
    let mut told = open.iter().any(|(it, _)| it.server == OPERATOR);
    for place in places(state)?.iter().filter(|it| it.server == OPERATOR && it.is_retired()) {
        told = told || last(place, old)?.is_some();
    }
    if !told {
        open.push(take(state, OPERATOR)?);
    }
    Ok(open)
}

/// The last checkpoint of a log, if this key signed it.
fn last(place: &Place, by: &Keys) -> Result<Option<Checkpoint>, AuditError> {
    let key = [by.signing().verifying_key()];
    Ok(last_note(place)?.and_then(|it| Checkpoint::open(it.as_bytes(), &key).ok()))
}

fn opened(state: &Path, at: (Place, File), keys: Keys, operator: &Operator) -> Result<Start, AuditError> {
    let options = &operator.options;
    let ahead = Ahead { chunk: options.chunk_bytes, reserve: options.reserve_bytes.max(RESERVE_BYTES_MIN) };
    open_at(state, at, keys, &options.version, ahead, options.segment_bytes)
}

/// Writes the last records of a log, publishes it and lets it go. Gives the receipt of the first of them.
fn end(
    mut start: Start,
    drafts: Vec<Draft>,
    operator: &Operator,
    behind: &mut Vec<Published>,
) -> Result<Receipt, AuditError> {
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
        // No process opens this log again to bring the rest.
        behind.extend(publication.standing().into_iter().filter(|it| it.problem.is_some()));
    }
    Ok(first.unwrap_or(last))
}

#[cfg(test)]
mod tests;
