//! What if a key was stolen? It is changed, and then a record under the key that came next says how far the stolen one is still trusted:
//! verification takes nothing that it signed beyond.
//!
//! A change of keys alone ends the old key's logs where they were closed. A revocation can end its trust earlier, at the records that
//! somebody else may have signed, and says that the key is in other hands.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::{
    AuditError, Digest, Operator, Receipt, VerifyingKey,
    accept::check_reason,
    anchor::last_note,
    pool::{Place, places},
    record::{Facts, Seen, Word},
    rotate::HEADS_MAX,
    verify::{
        claims::leaves,
        deeds, key_beside,
        operator::Deeds,
        signed,
        tree::{self, Growing},
    },
};

/// What the record of a revocation calls it.
const TOOL: &str = "revoke_key";

/// From where on a revoked key is not trusted. Logs that are named nowhere count as far as they were closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Index of the first record in every log of the key.
    pub index: Option<u64>,
    /// The same in single logs: `<server>/<n>` and the index.
    pub logs: Vec<(String, u64)>,
}

/// A key that was revoked.
#[derive(Clone, Debug, Serialize)]
pub struct Revocation {
    /// Its verifier key.
    pub revoked: String,
    /// Its logs, with how many records of each are still trusted.
    pub trusted: Vec<(String, u64)>,
    /// The record.
    pub receipt: Receipt,
}

/// Revokes a key that signed logs here and does not any more. Blocks on the disk, and records it under the key of now.
pub async fn revoke(
    state: &Path,
    key: &VerifyingKey,
    from: &Doubt,
    reason: &str,
    operator: &Operator,
) -> Result<Revocation, AuditError> {
    check_reason(reason)?;
    let current = key_beside(state)?;
    if current.public() == key.public() {
        let problem = "it signs now: change it with `bailiwick audit rotate`, then revoke it".to_owned();
        return Err(AuditError::NoRecord { selector: key.to_string(), problem });
    }
    let deeds = deeds(state, &[*current.public()])?;
    let logs = trusted(state, key, from, &deeds)?;
    let heads: Vec<Seen> = logs.iter().map(|(_, it)| it.clone()).collect();
    let book = operator.open(state)?;
    let mut receipt = None;
    for heads in heads.chunks(HEADS_MAX) {
        let facts = Facts {
            revoked: Some(key.to_string()),
            trusted: Some(heads.to_vec()),
            reason: Some(reason.to_owned()),
            ..Facts::default()
        };
        let draft = operator.draft(Word::Revoked, TOOL, facts, &json!({ "operator": operator.subject }))?;
        let last = book.append(draft).await?;
        receipt.get_or_insert(last);
    }
    book.close("revoke").await?;
    let trusted = logs.into_iter().map(|(log, it)| (log, it.size)).collect();
    let receipt = receipt.expect("a key without logs is refused before");
    Ok(Revocation { revoked: key.to_string(), trusted, receipt })
}

/// Every log of a key, with the head up to which it is still trusted.
fn trusted(
    state: &Path,
    key: &VerifyingKey,
    from: &Doubt,
    deeds: &Deeds,
) -> Result<Vec<(String, Seen)>, AuditError> {
    let missing =
        |selector: &str, problem: String| AuditError::NoRecord { selector: selector.to_owned(), problem };
    let mut found = Vec::new();
    for place in places(state)? {
        let note = last_note(&place)?;
        let signed = note.and_then(|it| signed::open(it.as_bytes(), &[*key.public()]).ok());
        let Some(last) = signed else { continue };
        // What was signed behind its end is the thief's.
        let closed = deeds.trust.closed(&last.origin).filter(|it| it.size <= last.size);
        let end = closed.map_or((last.size, last.root), |it| (it.size, it.root));
        let named = from.logs.iter().find(|(log, _)| *log == place.name()).map(|(_, index)| *index);
        if let Some(index) = named.filter(|it| *it > end.0) {
            return Err(missing(
                &format!("{}:{index}", place.name()),
                format!("the log has {} records", end.0),
            ));
        }
        let size = named.or(from.index).unwrap_or(end.0).min(end.0);
        let root = root_at(&place, size, end)?;
        found.push((place.name(), Seen { origin: last.origin, size, root: hex::encode(root) }));
    }
    if let Some((log, _)) = from.logs.iter().find(|(log, _)| !found.iter().any(|(it, _)| it == log)) {
        return Err(missing(log, "the key signed no such log".to_owned()));
    }
    match found.is_empty() {
        true => Err(missing(&key.to_string(), "the key signed no log here".to_owned())),
        false => Ok(found),
    }
}

/// The root over the first records of a log, if all of them are those that it was closed with.
fn root_at(place: &Place, size: u64, end: (u64, Digest)) -> Result<Digest, AuditError> {
    let mut tree = Growing::default();
    let mut root = (size == 0).then(|| tree.root());
    leaves(&place.folder, |bytes| {
        if tree.size() < end.0 {
            tree.push(tree::leaf(bytes));
        }
        if tree.size() == size && root.is_none() {
            root = Some(tree.root());
        }
    })?;
    let whole = (tree.size(), tree.root()) == end;
    root.filter(|_| whole).ok_or_else(|| AuditError::Damaged {
        log: place.name(),
        problem: "its records are not those that its key signed; accept its loss first".to_owned(),
    })
}
