//! What is signed? A checkpoint: origin, size and root of a log as a C2SP signed note.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey as PublicKey};
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Algorithm byte of plain Ed25519 in a signed note.
pub(crate) const ED25519: u8 = 1;

/// A public key with a name, as `name+id+key`: the C2SP verifier key. Keep it where whoever can write the log cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: PublicKey,
}

/// A text that is no verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a verifier key: {problem}; expected <name>+<8 hex digits>+<base64>, as `audit` prints it"
)]
pub struct BadVerifyingKey {
    text: String,
    problem: &'static str,
}

/// How many records a log has, and what commits to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

/// Why a note is not a checkpoint that a key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadNote {
    /// Not the text of a checkpoint.
    Malformed,
    /// No signature line of any of the keys.
    OtherKey,
    /// A signature line of one of the keys that does not verify.
    Forged,
}

impl BadVerifyingKey {
    pub(crate) fn new(text: &str, problem: &'static str) -> BadVerifyingKey {
        BadVerifyingKey { text: text.to_owned(), problem }
    }
}

impl VerifyingKey {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn new(name: &str, key: PublicKey) -> VerifyingKey {
        VerifyingKey { name: name.to_owned(), key }
    }

    /// The key's id under its name: 8 hex digits.
    pub fn id(&self) -> String {
        hex::encode(key_id(&self.name, &self.key))
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        write!(out, "{}+{}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl FromStr for VerifyingKey {
    type Err = BadVerifyingKey;

    fn from_str(text: &str) -> Result<VerifyingKey, BadVerifyingKey> {
        let bad = |problem| BadVerifyingKey::new(text, problem);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it does not have three parts"));
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(bad("its name is empty or holds a space"));
        }
        let bytes = STANDARD.decode(key).map_err(|_| bad("its key is not base64"))?;
        let Some((&ED25519, key)) = bytes.split_first() else {
            return Err(bad("it is not an Ed25519 key"));
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_| bad("its key is not 32 bytes"))?;
        let key = PublicKey::from_bytes(&key).map_err(|_| bad("its key is not a point of the curve"))?;
        let it = VerifyingKey::new(name, key);
        if it.id() != id { Err(bad("its id does not belong to its name and key")) } else { Ok(it) }
    }
}

impl Checkpoint {
    /// The signed note, in the name of the log's origin, as C2SP asks of a log.
    pub(crate) fn sign(&self, key: &SigningKey) -> String {
        let body = format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root));
        let mut signature = key_id(&self.origin, &key.verifying_key()).to_vec();
        signature.extend(key.sign(body.as_bytes()).to_bytes());
        format!("{body}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature))
    }

    /// Reads a signed note, without judging its signatures.
    pub(crate) fn parse(note: &[u8]) -> Option<Checkpoint> {
        let (body, _) = split(note)?;
        let mut lines = body.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let plain = !size.is_empty() && size.bytes().all(|it| it.is_ascii_digit());
        if origin.is_empty() || !plain || (size.len() > 1 && size.starts_with('0')) {
            return None;
        }
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        Some(Checkpoint { origin: origin.to_owned(), size: size.parse().ok()?, root })
    }

    /// Reads a signed note that one of the keys signed in the name of its origin. Keys count by their bytes, whatever their
    /// name: one key signs for every log of a state folder.
    pub(crate) fn open(note: &[u8], keys: &[PublicKey]) -> Result<Checkpoint, BadNote> {
        let checkpoint = Checkpoint::parse(note).ok_or(BadNote::Malformed)?;
        let (body, signatures) = split(note).ok_or(BadNote::Malformed)?;
        for line in signatures.lines() {
            let line = line.strip_prefix("\u{2014} ").ok_or(BadNote::Malformed)?;
            let (name, signature) = line.split_once(' ').ok_or(BadNote::Malformed)?;
            let signature = STANDARD.decode(signature).map_err(|_| BadNote::Malformed)?;
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(BadNote::Malformed);
            };
            let known = |key: &&PublicKey| name == checkpoint.origin && key_id(name, key) == *id;
            let Some(key) = keys.iter().find(known) else { continue };
            let signature = Signature::from_slice(signature).map_err(|_| BadNote::Malformed)?;
            let signed = key.verify_strict(body.as_bytes(), &signature);
            return signed.map(|()| checkpoint).map_err(|_| BadNote::Forged);
        }
        Err(BadNote::OtherKey)
    }
}

/// The signed text, its last line feed included, and the signature lines.
fn split(note: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(note).ok()?;
    let end = text.rfind("\n\n")?;
    let (body, signatures) = (&text[..=end], &text[end + 2..]);
    (signatures.ends_with('\n') && !body.contains("\n\n")).then_some((body, signatures))
}

/// First four bytes of SHA-256 over name, line feed, algorithm and key.
pub(crate) fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signing() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn signed() -> (Checkpoint, String) {
        let checkpoint = Checkpoint { origin: "bailiwick/code/0/00ff".to_owned(), size: 42, root: [9; 32] };
        let note = checkpoint.sign(&signing());
        (checkpoint, note)
    }

    #[test]
    fn a_checkpoint_reads_back_under_its_key_whatever_the_key_is_called() {
        let (checkpoint, note) = signed();
        let key = VerifyingKey::new("anything", signing().verifying_key());
        let key: VerifyingKey = key.to_string().parse().unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &[*key.public()]), Ok(checkpoint));
    }

    #[test]
    fn another_key_is_not_mistaken_for_a_forgery() {
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert_eq!(Checkpoint::open(signed().1.as_bytes(), &[other]), Err(BadNote::OtherKey));
    }

    #[test]
    fn the_verifier_key_of_the_specification_is_read() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifyingKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let wrong = "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert!(wrong.parse::<VerifyingKey>().is_err());
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed(position in 0usize..200, flip in 1u8..) {
            let (_, note) = signed();
            let mut bytes = note.into_bytes();
            let position = position % bytes.len();
            bytes[position] ^= flip;
            prop_assert!(Checkpoint::open(&bytes, &[signing().verifying_key()]).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_no_checkpoint(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Checkpoint::open(&bytes, &[signing().verifying_key()]).is_err());
        }
    }
}
