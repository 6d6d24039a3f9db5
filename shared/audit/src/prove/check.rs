//! Does a proof hold? Checked with a key and nothing else: no log, no network.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey as PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::TITLE;
use crate::{
    Anchor, Digest, VerifyingKey,
    verify::{
        leaf::Leaf,
        signed::{self, Signed, Unsigned},
        tree::{self, PROOF_MAX},
    },
};

/// Longest proof: the longest record twice in base64, its hashes, a checkpoint with many signatures.
const PROOF_BYTES_MAX: usize = 256 * 1024;

/// What a proof proves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proven {
    /// Origin of the log.
    pub log: String,
    /// Place of the record.
    pub index: u64,
    /// Records under the checkpoint.
    pub size: u64,
    /// The record.
    pub record: serde_json::Value,
    /// The log only grew since it had so many records, as a kept checkpoint shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grown_from: Option<u64>,
}

/// Why a proof proves nothing. Each is a reason not to believe it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It cannot be read.
    #[error("not a proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint counts for nothing.
    #[error("its checkpoint is not signed by any of the keys")]
    Unsigned,
    /// A signature in a key's name is another's.
    #[error("its checkpoint is forged: a signature in the name of a key is not that key's")]
    Forged,
    /// The hashes lead elsewhere.
    #[error("the record does not stand at {index} in the log that the checkpoint signs")]
    NotIncluded {
        /// Where it is said to stand.
        index: u64,
    },
    /// It is no leaf, or says of itself that it stands elsewhere.
    #[error("the record is not one of format 1 at {index}: {why}")]
    NotARecord {
        /// Where it is said to stand.
        index: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The kept checkpoint is of another history.
    #[error("the log is not the one of the kept checkpoint over {from} records: {why}")]
    NotGrown {
        /// Size of the kept checkpoint.
        from: u64,
        /// What does not fit.
        why: &'static str,
    },
}

/// What stands behind `extra`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extra<'a> {
    consistency: Option<Grown>,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grown {
    from: u64,
    hashes: Vec<String>,
}

/// A proof, taken apart.
struct Parts {
    extra: Vec<u8>,
    index: u64,
    inclusion: Vec<Digest>,
    note: String,
}

/// Checks a proof with keys that were kept. With an anchor of the log, the proof must also show that the log grew from it; an anchor that
/// the proof says nothing of is an error, since whoever gave it wants to know.
pub fn check_proof(text: &str, keys: &[VerifyingKey], kept: Option<&Anchor>) -> Result<Proven, BadProof> {
    let Parts { extra, index, inclusion, note } = parts(text)?;
    let extra: Extra<'_> =
        serde_json::from_slice(&extra).map_err(|_| BadProof::Malformed("its extra data holds no record"))?;
    let keys: Vec<PublicKey> = keys.iter().map(|it| *it.public()).collect();
    let head = signed::open(note.as_bytes(), &keys).map_err(|error| match error {
        Unsigned::Malformed => BadProof::Malformed("it ends with no checkpoint"),
        Unsigned::Unknown => BadProof::Unsigned,
        Unsigned::Forged => BadProof::Forged,
    })?;
    let bytes = extra.record.get().as_bytes();
    if !tree::includes(index, &tree::leaf(bytes), &inclusion, head.size, &head.root) {
        return Err(BadProof::NotIncluded { index });
    }
    let strange = |why| BadProof::NotARecord { index, why };
    let leaf = Leaf::read(bytes).map_err(strange)?;
    if leaf.index != index {
        return Err(strange(format!("it calls itself {}", leaf.index)));
    }
    let grown_from = kept.map(|it| grown(it, &head, extra.consistency.as_ref(), &keys)).transpose()?;
    let record = serde_json::from_slice(bytes).map_err(|_| strange("it is no JSON".to_owned()))?;
    Ok(Proven { log: head.origin, index, size: head.size, record, grown_from })
}

fn grown(kept: &Anchor, head: &Signed, shown: Option<&Grown>, keys: &[PublicKey]) -> Result<u64, BadProof> {
    let of_log: Vec<Signed> = kept
        .notes()
        .filter_map(|it| signed::open(it, keys).ok())
        .filter(|it| it.origin == head.origin)
        .collect();
    let largest = of_log.iter().map(|it| it.size).max().unwrap_or(0);
    let bad = |why| BadProof::NotGrown { from: largest, why };
    let before = match shown {
        Some(shown) => of_log.iter().find(|it| it.size == shown.from),
        None => of_log.iter().find(|it| it.size == head.size),
    };
    let before =
        before.ok_or_else(|| bad("what was kept holds no signed checkpoint that the proof begins with"))?;
    let hashes = shown.map(|it| it.hashes.iter().map(|it| digest(it)).collect::<Option<Vec<_>>>());
    let hashes = hashes.unwrap_or(Some(Vec::new())).ok_or_else(|| bad("a hash that is none"))?;
    match hashes.len() <= PROOF_MAX
        && tree::extends(before.size, &before.root, &hashes, head.size, &head.root)
    {
        true => Ok(before.size),
        false => Err(bad("its hashes lead elsewhere")),
    }
}

fn digest(text: &str) -> Option<Digest> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

fn parts(text: &str) -> Result<Parts, BadProof> {
    let bad = BadProof::Malformed;
    if text.len() > PROOF_BYTES_MAX {
        return Err(bad("it is longer than any proof"));
    }
    let (proof, note) = text.split_once("\n\n").ok_or(bad("no empty line before a checkpoint"))?;
    let mut lines = proof.split('\n');
    if lines.next() != Some(TITLE) {
        return Err(bad("its first line is not `c2sp.org/tlog-proof@v1`"));
    }
    let extra = lines.next().and_then(|it| it.strip_prefix("extra "));
    let extra = extra.ok_or(bad("no `extra` line, which holds the record"))?;
    let extra = STANDARD.decode(extra).map_err(|_| bad("its extra data is no base64"))?;
    let index = lines.next().and_then(|it| it.strip_prefix("index ")).ok_or(bad("no `index` line"))?;
    let number: u64 = index.parse().map_err(|_| bad("its index is no number"))?;
    if number.to_string() != index {
        return Err(bad("its index is no number"));
    }
    let inclusion: Option<Vec<Digest>> = lines.map(digest).collect();
    let inclusion = inclusion.filter(|it| it.len() <= PROOF_MAX).ok_or(bad("a line that is no hash"))?;
    Ok(Parts { extra, index: number, inclusion, note: note.to_owned() })
}
