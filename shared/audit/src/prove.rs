//! How does one record convince somebody who has nothing else? A C2SP tlog-proof: the record, the way from it to the root, and
//! the checkpoint that signs the root; if asked for, also that the log only grew since a checkpoint that was kept.

mod check;

use std::{fmt, ops::Range, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey as PublicKey;
use serde_json::json;

pub use check::{BadProof, Proven, check_proof};

use crate::{
    Anchor, AuditError, Digest, VerifyingKey,
    anchor::last_note,
    pool::{Place, places},
    verify::{
        claims::leaves,
        deeds, key_beside,
        leaf::Leaf,
        signed::{self, Signed},
        tree::{self, Ranges},
    },
};

/// First line of a proof.
const TITLE: &str = "c2sp.org/tlog-proof@v1";

/// A record, and all that is needed to believe that it stands in its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    /// The canonical leaf.
    record: String,
    inclusion: Vec<Digest>,
    consistency: Option<Consistency>,
    checkpoint: String,
}

/// That a log only grew since it had this size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Consistency {
    from: u64,
    hashes: Vec<Digest>,
}

/// Proves the record that `<server>/<n>:<index>` names, or the last one of `<server>/<n>`; with an anchor that holds a checkpoint of the
/// log also that the log is the one of then and has only grown. `keys` as for a verification.
pub fn prove(
    state: &Path,
    selector: &str,
    from: Option<&Anchor>,
    keys: &[VerifyingKey],
) -> Result<Proof, AuditError> {
    let missing = |problem: String| AuditError::NoRecord { selector: selector.to_owned(), problem };
    let (log, index) = match selector.split_once(':') {
        Some((log, index)) => {
            let index = index
                .parse()
                .map_err(|_| missing("expected <server>/<n>[:<index>], e.g. code/0:17".to_owned()))?;
            (log, Some(index))
        }
        None => (selector, None),
    };
    let place = places(state)?.into_iter().find(|it| it.name() == log);
    let place = place.ok_or_else(|| missing("there is no such log".to_owned()))?;
    let keys = public(state, keys)?;
    let checkpoint = last_note(&place)?.ok_or_else(|| missing("the log holds no commit".to_owned()))?;
    let head = signed::open(checkpoint.as_bytes(), &keys)
        .map_err(|_| damaged(&place, "none of the keys signed its last checkpoint"))?;
    let index = index.unwrap_or(head.size.saturating_sub(1));
    if index >= head.size {
        return Err(missing(format!("the log has {} records, from 0", head.size)));
    }
    let from = from.map(|it| kept(it, &head, &place, &keys)).transpose()?;
    let found = search(&place, &head, index, from.as_ref())?;
    let hash = tree::leaf(found.record.as_bytes());
    let extends = from.as_ref().zip(found.consistency.as_ref());
    let extends =
        extends.is_none_or(|(from, it)| tree::extends(from.size, &from.root, it, head.size, &head.root));
    if !tree::includes(index, &hash, &found.inclusion, head.size, &head.root) {
        return Err(damaged(&place, "its records are not those that its last checkpoint signs"));
    }
    if !extends {
        return Err(damaged(
            &place,
            "it is not the log that the kept checkpoint is of, or not only grown since",
        ));
    }
    let consistency =
        from.zip(found.consistency).map(|(from, hashes)| Consistency { from: from.size, hashes });
    Ok(Proof { index, record: found.record, inclusion: found.inclusion, consistency, checkpoint })
}

/// Hashes that show that a log of `from` records grew into the one under its last checkpoint, and that checkpoint: what a
/// witness asks for.
pub fn prove_growth(state: &Path, log: &str, from: u64) -> Result<(Vec<Digest>, String), AuditError> {
    let missing =
        |problem: &str| AuditError::NoRecord { selector: log.to_owned(), problem: problem.to_owned() };
    let place = places(state)?.into_iter().find(|it| it.name() == log);
    let place = place.ok_or_else(|| missing("there is no such log"))?;
    let checkpoint = last_note(&place)?.ok_or_else(|| missing("the log holds no commit"))?;
    let head = signed::open(checkpoint.as_bytes(), &public(state, &[])?)
        .map_err(|_| damaged(&place, "its own key did not sign its last checkpoint"))?;
    if from > head.size {
        return Err(missing("it has fewer records than that"));
    }
    let mut ranges = Ranges::new(tree::extension(from, head.size));
    see(&place, head.size, |index, _, hash| ranges.see(index, hash))?;
    let hashes = ranges.roots().ok_or_else(|| damaged(&place, "records are missing"))?;
    Ok((hashes, checkpoint))
}

fn damaged(place: &Place, problem: &str) -> AuditError {
    AuditError::Damaged { log: place.name(), problem: problem.to_owned() }
}

fn public(state: &Path, keys: &[VerifyingKey]) -> Result<Vec<PublicKey>, AuditError> {
    let given = match keys {
        [] => vec![*key_beside(state)?.public()],
        _ => keys.iter().map(|it| *it.public()).collect(),
    };
    // Logs that were closed when the key was changed have the key before.
    Ok(deeds(state, &given)?.trust.keys)
}

/// The largest checkpoint of this log in an anchor that is not younger than the head.
fn kept(anchor: &Anchor, head: &Signed, place: &Place, keys: &[PublicKey]) -> Result<Signed, AuditError> {
    let of_log =
        anchor.notes().filter_map(|it| signed::open(it, keys).ok()).filter(|it| it.origin == head.origin);
    let latest = of_log.max_by_key(|it| it.size);
    let latest = latest
        .ok_or_else(|| damaged(place, "the kept checkpoint is none of this log that its key signed"))?;
    match latest.size <= head.size {
        true => Ok(latest),
        false => Err(damaged(
            place,
            &format!("it had {} records when the checkpoint was kept, and has {}", latest.size, head.size),
        )),
    }
}

/// What one pass over the records finds.
struct Found {
    record: String,
    inclusion: Vec<Digest>,
    consistency: Option<Vec<Digest>>,
}

fn search(place: &Place, head: &Signed, index: u64, from: Option<&Signed>) -> Result<Found, AuditError> {
    let path: Vec<Range<u64>> = tree::path(index, head.size);
    let mut inclusion = Ranges::new(path);
    let mut consistency = from.map(|it| Ranges::new(tree::extension(it.size, head.size)));
    let mut record = None;
    see(place, head.size, |at, bytes, hash| {
        inclusion.see(at, hash);
        if let Some(it) = &mut consistency {
            it.see(at, hash);
        }
        if at == index {
            record = Some(bytes.to_vec());
        }
    })?;
    let short = || damaged(place, "records are missing");
    let record = record.ok_or_else(short)?;
    // What is no leaf would be proven as if it were one.
    Leaf::read(&record).map_err(|why| damaged(place, &format!("record {index} is no leaf: {why}")))?;
    Ok(Found {
        record: String::from_utf8(record).map_err(|_| short())?,
        inclusion: inclusion.roots().ok_or_else(short)?,
        consistency: consistency.map(|it| it.roots().ok_or_else(short)).transpose()?,
    })
}

fn see(place: &Place, size: u64, mut visit: impl FnMut(u64, &[u8], Digest)) -> Result<(), AuditError> {
    let mut index = 0;
    leaves(&place.folder, |bytes| {
        if index < size {
            visit(index, bytes, tree::leaf(bytes));
        }
        index += 1;
    })
}

impl fmt::Display for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base64 = |it: &Digest| STANDARD.encode(it);
        let consistency = self
            .consistency
            .as_ref()
            .map(|it| json!({ "from": it.from, "hashes": it.hashes.iter().map(base64).collect::<Vec<_>>() }));
        // The record stands in it as its bytes are: whoever reads the proof hashes them again.
        let consistency = consistency.map(|it| format!("\"consistency\":{it},")).unwrap_or_default();
        let extra = format!("{{{consistency}\"record\":{}}}", self.record);
        writeln!(out, "{TITLE}\nextra {}\nindex {}", STANDARD.encode(extra), self.index)?;
        self.inclusion.iter().try_for_each(|it| writeln!(out, "{}", base64(it)))?;
        write!(out, "\n{}", self.checkpoint)
    }
}
