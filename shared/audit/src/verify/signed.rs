//! Did a key sign this checkpoint? C2SP signed-note and tlog-checkpoint, read without the writer's help.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey as PublicKey};
use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Longest note: origin, size, root, and room for the signatures of many witnesses.
pub(crate) const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signature type of Ed25519 over the text of a note.
const ED25519: u8 = 0x01;

/// A checkpoint that one of the keys signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Name of the log.
    pub(crate) origin: String,
    /// How many records.
    pub(crate) size: u64,
    /// What commits to them.
    pub(crate) root: Digest,
}

/// Why a note proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// It is no checkpoint.
    Malformed,
    /// None of the keys has signed it.
    Unknown,
    /// A signature in the name of one of the keys is not that key's.
    Forged,
}

/// Reads a checkpoint that one of the keys signed in the name of its origin. A key counts by its bytes, whatever it is
/// called: one key signs for every log of a state folder.
pub(crate) fn open(note: &[u8], keys: &[PublicKey]) -> Result<Signed, Unsigned> {
    let (text, lines) = parts(note).ok_or(Unsigned::Malformed)?;
    let checkpoint = body(text).ok_or(Unsigned::Malformed)?;
    let mut known = false;
    for line in lines.split_terminator('\n') {
        let (name, id, signature) = signature(line).ok_or(Unsigned::Malformed)?;
        if name != checkpoint.origin {
            continue;
        }
        for key in keys.iter().filter(|it| key_id(name, it) == id) {
            let signature = Signature::from_slice(&signature).map_err(|_| Unsigned::Forged)?;
            key.verify_strict(text.as_bytes(), &signature).map_err(|_| Unsigned::Forged)?;
            known = true;
        }
    }
    if known { Ok(checkpoint) } else { Err(Unsigned::Unknown) }
}

/// Which of the keys a checkpoint that [`open`] accepted is signed with: the first line in the name of its origin tells.
pub(crate) fn signer(note: &[u8], keys: &[PublicKey]) -> Option<PublicKey> {
    let (text, lines) = parts(note)?;
    let origin = text.split('\n').next()?;
    let ours = lines.split_terminator('\n').filter_map(signature).filter(|(name, ..)| *name == origin);
    ours.into_iter().find_map(|(name, id, _)| keys.iter().find(|it| key_id(name, it) == id).copied())
}

/// What a checkpoint says, whoever signed it.
pub(crate) fn claim(note: &[u8]) -> Option<Signed> {
    body(parts(note)?.0)
}

/// The text, its last line feed included, and the lines of signatures.
pub(crate) fn parts(note: &[u8]) -> Option<(&str, &str)> {
    if note.len() > NOTE_BYTES_MAX {
        return None;
    }
    let note = std::str::from_utf8(note).ok()?;
    if note.bytes().any(|it| it < 0x20 && it != b'\n') {
        return None;
    }
    let blank = note.rfind("\n\n")?;
    let (text, lines) = (&note[..=blank], &note[blank + 2..]);
    (lines.ends_with('\n')).then_some((text, lines))
}

fn body(text: &str) -> Option<Signed> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    if origin.is_empty() || lines.any(str::is_empty) {
        return None;
    }
    let canonical = size == "0" || !size.starts_with('0');
    if !canonical || !size.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let root = STANDARD.decode(root).ok()?.try_into().ok()?;
    Some(Signed { origin: origin.to_owned(), size: size.parse().ok()?, root })
}

/// Name, key id and signature of one line.
pub(crate) fn signature(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    if name.is_empty() || name.contains(|it: char| it.is_whitespace() || it == '+') {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    Some((name, *id, signature.to_vec()))
}

fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let text = [name.as_bytes(), b"\n", &[ED25519], key.as_bytes()].concat();
    let hash = Sha256::digest(text);
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;
    use signed_note::{Note, StandardVerifier, VerifierList};

    use super::*;
    use crate::{VerifyingKey, note::Checkpoint};

    const ORIGIN: &str = "bailiwick/code/0/00ff";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn written(size: u64, root: Digest) -> String {
        Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&key(7))
    }

    proptest! {
        #[test]
        fn what_the_writer_signs_is_read_here(size: u64, root: Digest) {
            let note = written(size, root);
            let read = Signed { origin: ORIGIN.to_owned(), size, root };
            prop_assert_eq!(open(note.as_bytes(), &[key(7).verifying_key()]), Ok(read));
            prop_assert_eq!(open(note.as_bytes(), &[key(8).verifying_key()]), Err(Unsigned::Unknown));
        }

        #[test]
        fn other_implementations_accept_our_checkpoints(size: u64, root: Digest) {
            let text = written(size, root);
            let vkey = VerifyingKey::new(ORIGIN, key(7).verifying_key()).to_string();
            let verifier = StandardVerifier::new(&vkey).unwrap();
            let note = Note::from_bytes(text.as_bytes()).unwrap();
            let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
            prop_assert_eq!(verified.len(), 1);
            prop_assert_eq!(verified[0].name(), ORIGIN);
            let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
            prop_assert_eq!(checkpoint.origin(), ORIGIN);
            prop_assert_eq!((checkpoint.size(), checkpoint.hash().0), (size, root));
        }

        #[test]
        fn arbitrary_bytes_are_signed_by_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&bytes, &[key(7).verifying_key()]).is_err());
        }

        #[test]
        fn a_changed_byte_is_noticed(at in 0usize..400, flip in 1u8..) {
            let mut bytes = written(42, [9; 32]).into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(open(&bytes, &[key(7).verifying_key()]).is_err());
        }
    }

    #[test]
    fn cosignatures_of_others_may_follow() {
        let line = "\u{2014} witness.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
        let note = format!("{}{line}", written(3, [1; 32]));
        assert_eq!(open(note.as_bytes(), &[key(7).verifying_key()]).unwrap().size, 3);
    }
}
