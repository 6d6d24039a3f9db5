//! Who else has seen this log? Witnesses: they cosign a checkpoint once they are shown that the log only grew, as
//! C2SP tlog-cosignature and tlog-witness say.

mod growth;
mod served;

use std::{fmt, fs::File, io::Read, path::Path, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey as PublicKey};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub(crate) use growth::growth;
pub use served::{Refused, Witness};

use crate::{
    AuditError, BadVerifyingKey,
    error::At,
    verify::signed::{NOTE_BYTES_MAX, Signed, claim, parts, signature},
};

/// Signature type of a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;
/// Folder of the heads that witnesses cosigned, in a log's folder: a file per witness.
pub(crate) const COSIGNED: &str = "cosigned";
/// How far a witness's clock may be ahead of ours, in seconds. A stamp of tomorrow would look fresh all day.
pub(crate) const AHEAD_MAX: i64 = 300;
/// Files that are read in the folder of cosigned heads.
const WITNESSES_MAX: usize = 64;

/// A witness as others know it: `name+id+key`, a C2SP verifier key of signature type 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: PublicKey,
}

/// A head that a witness has cosigned: at that time the largest that it had seen of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// Name of the log in checkpoints.
    pub origin: String,
    /// Records up to here are those that the witness saw.
    pub size: u64,
    /// The witness's clock when it cosigned.
    pub time: Timestamp,
    /// Name of the witness.
    pub by: String,
}

impl WitnessKey {
    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id under its name: 8 hex digits.
    pub fn id(&self) -> String {
        hex::encode(cosigner_id(&self.name, &self.key))
    }

    /// The time of this witness's cosignature of a note; none where it has not cosigned it.
    pub(crate) fn cosigned_at(&self, note: &[u8]) -> Option<Timestamp> {
        let (text, lines) = parts(note)?;
        let id = cosigner_id(&self.name, &self.key);
        lines.split_terminator('\n').find_map(|line| {
            let (name, its, bytes) = signature(line)?;
            let (stamp, signed) = bytes.split_first_chunk::<8>()?;
            let (time, signed) = (u64::from_be_bytes(*stamp), Signature::from_slice(signed).ok()?);
            let ours = name == self.name && its == id;
            let holds = || self.key.verify_strict(message(time, text).as_bytes(), &signed).is_ok();
            let time = i64::try_from(time).ok().and_then(|it| Timestamp::from_second(it).ok())?;
            (ours && holds()).then_some(time)
        })
    }

    /// What this witness says of a log in a note.
    pub(crate) fn witnessed(&self, note: &[u8]) -> Option<(Signed, Timestamp)> {
        Some((claim(note)?, self.cosigned_at(note)?))
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![COSIGNATURE];
        bytes.extend(self.key.as_bytes());
        write!(out, "{}+{}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl FromStr for WitnessKey {
    type Err = BadVerifyingKey;

    fn from_str(text: &str) -> Result<WitnessKey, BadVerifyingKey> {
        let bad = |problem| BadVerifyingKey::new(text, problem);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it does not have three parts"));
        };
        if !is_name(name) {
            return Err(bad("its name is empty or holds a space"));
        }
        let bytes = STANDARD.decode(key).map_err(|_| bad("its key is not base64"))?;
        let Some((&COSIGNATURE, key)) = bytes.split_first() else {
            return Err(bad("it is not the key of a witness, whose type is 4; a log's own is 1"));
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_| bad("its key is not 32 bytes"))?;
        let key = PublicKey::from_bytes(&key).map_err(|_| bad("its key is not a point of the curve"))?;
        let it = WitnessKey { name: name.to_owned(), key };
        if it.id() != id { Err(bad("its id does not belong to its name and key")) } else { Ok(it) }
    }
}

/// Whether a name can stand in a signature line and in a verifier key.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|it: char| it.is_whitespace() || it.is_control() || it == '+')
}

/// First four bytes of SHA-256 over name, line feed, type and key.
fn cosigner_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let text = [name.as_bytes(), b"\n", &[COSIGNATURE], key.as_bytes()].concat();
    let hash = Sha256::digest(text);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// What a witness signs: a header, the time, and the text of the note.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The signature line of a witness under the text of a note.
fn cosign(name: &str, key: &SigningKey, time: u64, text: &str) -> String {
    let mut bytes = cosigner_id(name, &key.verifying_key()).to_vec();
    bytes.extend(time.to_be_bytes());
    bytes.extend(key.sign(message(time, text).as_bytes()).to_bytes());
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}

/// The lines of a witness's answer that are this witness's: what its key signed under this note.
pub(crate) fn ours(note: &str, answer: &str, key: &WitnessKey) -> Option<String> {
    let (body, _) = parts(note.as_bytes())?;
    let mut lines = answer.split_inclusive('\n').take(WITNESSES_MAX);
    lines.find(|line| key.cosigned_at(format!("{body}\n{line}").as_bytes()).is_some()).map(str::to_owned)
}

/// A note with this line in place of an earlier one of the same witness, behind all others.
pub(crate) fn with_line(note: &str, line: &str) -> Option<String> {
    let (body, lines) = parts(note.as_bytes())?;
    let (name, id, _) = signature(line.trim_end_matches('\n'))?;
    let others = lines.split_inclusive('\n').filter(|it| {
        signature(it.trim_end_matches('\n')).is_none_or(|(its, its_id, _)| (its, its_id) != (name, id))
    });
    Some(format!("{body}\n{}{line}", others.collect::<String>()))
}

/// The notes with cosignatures that stand beside a log, and what is published of it.
pub(crate) fn beside(folder: &Path) -> Result<Vec<Vec<u8>>, AuditError> {
    let mut notes = cosigned(folder)?;
    for path in [folder.join("tlog/checkpoint"), folder.join("checkpoint")] {
        notes.extend(note(&path)?);
    }
    Ok(notes)
}

/// The heads that witnesses cosigned, as they were kept beside a log.
pub(crate) fn cosigned(folder: &Path) -> Result<Vec<Vec<u8>>, AuditError> {
    let files = std::fs::read_dir(folder.join(COSIGNED));
    let files = files.map(|it| it.flatten().map(|it| it.path()).collect::<Vec<_>>()).unwrap_or_default();
    let notes = files.iter().take(WITNESSES_MAX).map(|it| note(it));
    notes.filter_map(Result::transpose).collect()
}

fn note(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    let Ok(file) = File::open(path) else { return Ok(None) };
    let mut note = Vec::new();
    file.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut note).at("read", path)?;
    Ok(Some(note))
}

#[cfg(test)]
mod tests;
