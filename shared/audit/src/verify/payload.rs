//! Is a payload what its leaf commits to? Opened with its subject's key, as `FORMAT.md` describes, where that key still is.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    Digest,
    error::{At, AuditError},
};

/// Subjects whose keys stay in memory.
const SUBJECTS_MAX: usize = 1024;
/// Shortest sealed payload: a name, a nonce, a salt and the cipher's tag around nothing.
const SEALED_MIN: usize = 8 + 12 + 32 + 16;

/// What became of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is what the leaf commits to.
    Same,
    /// It was sealed with a key that is gone.
    Erased,
    /// The keys are not here.
    NotLooked,
    /// It is not what the leaf commits to, or was changed.
    Other,
}

/// Opens payloads of one log.
pub(crate) struct Opener {
    /// `keys/subjects`; none when there is no `keys`.
    folder: Option<PathBuf>,
    origin: String,
    subjects: HashMap<String, Option<Subject>>,
}

/// What derives from a subject's key.
struct Subject {
    name: [u8; 8],
    /// Keys of single payloads in this log.
    expand: Hkdf<Sha256>,
    /// Whether it has sealed a payload of this log: then no other key seals a later one as long as it is there.
    was_used: bool,
}

/// The record that a payload lies beside.
pub(crate) struct Beside<'a> {
    pub(crate) index: u64,
    pub(crate) subject: &'a str,
    pub(crate) leaf: &'a Digest,
    pub(crate) commitment: &'a Digest,
}

impl Opener {
    pub(crate) fn new(state: Option<&Path>, origin: &str) -> Opener {
        // Where there are keys, a folder of subjects that is gone means that those keys are gone.
        let folder = state.filter(|it| it.join("keys").is_dir()).map(|it| it.join("keys/subjects"));
        Opener { folder, origin: origin.to_owned(), subjects: HashMap::new() }
    }

    pub(crate) fn look(&mut self, sealed: &[u8], beside: &Beside<'_>) -> Result<Found, AuditError> {
        let is_sealed = sealed.len() >= SEALED_MIN;
        let (Some((name, rest)), true) = (sealed.split_first_chunk::<8>(), is_sealed) else {
            return Ok(Found::Other);
        };
        let looks = self.folder.is_some();
        let Some(subject) = self.subject(beside.subject)? else {
            return Ok(if looks { Found::Erased } else { Found::NotLooked });
        };
        let opens = subject.opens(rest, beside);
        if *name == subject.name {
            subject.was_used |= opens;
            return Ok(if opens { Found::Same } else { Found::Other });
        }
        // A name is no proof: whoever writes another one there has not erased anything.
        Ok(if opens || subject.was_used { Found::Other } else { Found::Erased })
    }

    /// The subject, unless its key is gone. `pseudonym` is hex: it can name nothing but a file in the folder.
    fn subject(&mut self, pseudonym: &str) -> Result<Option<&mut Subject>, AuditError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        if !self.subjects.contains_key(pseudonym) {
            if self.subjects.len() >= SUBJECTS_MAX {
                self.subjects.clear();
            }
            let subject = read_key(&folder.join(pseudonym))?.map(|key| Subject {
                name: name(&key),
                expand: Hkdf::new(Some(self.origin.as_bytes()), key.as_slice()),
                was_used: false,
            });
            self.subjects.insert(pseudonym.to_owned(), subject);
        }
        Ok(self.subjects.get_mut(pseudonym).and_then(Option::as_mut))
    }
}

impl Subject {
    /// Whether what follows the name is sealed with this key, and is what the leaf commits to.
    fn opens(&self, sealed: &[u8], beside: &Beside<'_>) -> bool {
        let Some((nonce, sealed)) = sealed.split_first_chunk::<12>() else { return false };
        let mut key = Zeroizing::new([0; 32]);
        let info = [b"bailiwick payload v1".as_slice(), &beside.index.to_be_bytes()].concat();
        self.expand.expand(&info, key.as_mut_slice()).expect("32 bytes are within HKDF's bound");
        let cipher = ChaCha20Poly1305::new(Key::from_slice(key.as_slice()));
        let message = Payload { msg: sealed, aad: beside.leaf };
        let Ok(opened) = cipher.decrypt(Nonce::from_slice(nonce), message) else { return false };
        let opened = Zeroizing::new(opened);
        opened.len() >= 32 && Digest::from(Sha256::digest(&*opened)) == *beside.commitment
    }
}

fn read_key(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AuditError> {
    match fs::read(path) {
        Ok(bytes) if bytes.len() == 32 => Ok(Some(Zeroizing::new(bytes))),
        Ok(_) => Err(AuditError::Keys {
            path: path.to_owned(),
            problem: "not 32 bytes; restore it from a copy".to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

fn name(key: &[u8]) -> [u8; 8] {
    let mut name = [0; 32];
    let derived = Hkdf::<Sha256>::new(Some(b""), key).expand(b"bailiwick key name v1", &mut name);
    derived.expect("32 bytes are within HKDF's bound");
    let [a, b, c, d, e, f, g, h, ..] = name;
    [a, b, c, d, e, f, g, h]
}
