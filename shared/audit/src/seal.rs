//! Who can read a payload? Whoever has its subject's key: one key per record derives from it.

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    Digest,
    keys::{SubjectKey, expand, random},
};

/// Bytes of salt in front of a payload.
const SALT: usize = 32;
/// Bytes that name the subject's key in front of a sealed payload.
const NAME: usize = 8;
/// Bytes of nonce. Random although every record has a key of its own: after a torn tail was cut, an index is used again.
const NONCE: usize = 12;

/// Why a sealed payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was sealed with a key that is gone.
    Erased,
    /// It does not belong to its leaf, or was changed.
    Forged,
}

/// A payload with the salt that makes its commitment say nothing about it.
pub(crate) struct Salted(Zeroizing<Vec<u8>>);

impl Salted {
    pub(crate) fn new(payload: &[u8]) -> Salted {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SALT + payload.len()));
        bytes.extend(*random::<SALT>());
        bytes.extend(payload);
        Salted(bytes)
    }

    /// What stands in the leaf: SHA-256 over salt and payload.
    pub(crate) fn commitment(&self) -> Digest {
        Sha256::digest(&*self.0).into()
    }

    /// The canonical payload.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.0[SALT..]
    }

    /// Seals for one place in one log, bound to the leaf that stands there.
    pub(crate) fn seal(&self, subject: &SubjectKey, origin: &str, index: u64, leaf: &Digest) -> Vec<u8> {
        let nonce = random::<NONCE>();
        let message = Payload { msg: &self.0, aad: leaf };
        let sealed = cipher(subject, origin, index)
            .encrypt(Nonce::from_slice(&*nonce), message)
            .expect("a payload is far below the cipher's bound");
        let mut bytes = Vec::with_capacity(NAME + NONCE + sealed.len());
        bytes.extend(name(subject));
        bytes.extend(*nonce);
        bytes.extend(sealed);
        bytes
    }

    /// Opens what [`Salted::seal`] made.
    pub(crate) fn open(
        sealed: &[u8],
        subject: Option<&SubjectKey>,
        origin: &str,
        index: u64,
        leaf: &Digest,
    ) -> Result<Salted, Unreadable> {
        let (named, rest) = sealed.split_first_chunk::<NAME>().ok_or(Unreadable::Forged)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable::Forged)?;
        let subject = subject.filter(|it| name(it) == *named).ok_or(Unreadable::Erased)?;
        let message = Payload { msg: rest, aad: leaf };
        let opened = cipher(subject, origin, index).decrypt(Nonce::from_slice(nonce), message);
        let opened = Zeroizing::new(opened.map_err(|_| Unreadable::Forged)?);
        if opened.len() < SALT { Err(Unreadable::Forged) } else { Ok(Salted(opened)) }
    }
}

fn cipher(subject: &SubjectKey, origin: &str, index: u64) -> ChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    let info = [b"bailiwick payload v1".as_slice(), &index.to_be_bytes()].concat();
    expand(subject.as_slice(), origin.as_bytes(), &info, &mut key);
    ChaCha20Poly1305::new(Key::from_slice(key.as_slice()))
}

fn name(subject: &SubjectKey) -> [u8; NAME] {
    let mut key = Zeroizing::new([0; 32]);
    expand(subject.as_slice(), b"", b"bailiwick key name v1", &mut key);
    let mut name = [0; NAME];
    name.copy_from_slice(&key[..NAME]);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SubjectKey {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn a_payload_opens_only_with_its_key_at_its_place_under_its_leaf() {
        let salted = Salted::new(b"{}");
        let sealed = salted.seal(&key(1), "o", 5, &[3; 32]);
        let open = |sealed: &[u8], byte, origin, index, leaf| {
            Salted::open(sealed, Some(&key(byte)), origin, index, leaf).map(|it| it.commitment())
        };
        assert_eq!(open(&sealed, 1, "o", 5, &[3; 32]), Ok(salted.commitment()));
        assert_eq!(open(&sealed, 2, "o", 5, &[3; 32]), Err(Unreadable::Erased));
        assert_eq!(open(&sealed, 1, "p", 5, &[3; 32]), Err(Unreadable::Forged));
        assert_eq!(open(&sealed, 1, "o", 6, &[3; 32]), Err(Unreadable::Forged));
        assert_eq!(open(&sealed, 1, "o", 5, &[4; 32]), Err(Unreadable::Forged));
        assert_eq!(open(&sealed[..30], 1, "o", 5, &[3; 32]), Err(Unreadable::Forged));
        assert_eq!(Salted::open(&sealed, None, "o", 5, &[3; 32]).err(), Some(Unreadable::Erased));
    }

    #[test]
    fn equal_payloads_have_unlike_commitments() {
        assert_ne!(Salted::new(b"{}").commitment(), Salted::new(b"{}").commitment());
    }
}
