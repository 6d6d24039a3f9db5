//! Whose signature? The signing key of one state folder, in it or elsewhere, and beside it the secrets of its subjects.

mod change;
mod files;
mod subjects;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use hkdf::{
    Hkdf,
    hmac::{Hmac, Mac},
};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Digest, VerifyingKey,
    error::AuditError,
    note::{ED25519, key_id},
};
#[cfg(test)]
pub(crate) use files::SYNCED;
use files::find;
pub(crate) use files::{find_or_make, private_folder, sync_folder};
pub(crate) use subjects::{SubjectKey, Subjects};

/// Name under which the state folder's key is shown; in a log it signs under the log's origin.
pub(crate) const NAME: &str = "bailiwick";
/// File of the signing key, in the folder of keys.
const KEY: &str = "log.key";
/// File of the verifier key, in the folder of keys, where the signing key is kept elsewhere.
const VERIFIER: &str = "log.vkey";

/// Where the signing key is.
#[derive(Clone, Default)]
pub enum SigningKeySource {
    /// `keys/log.key` in the state folder; the first start makes it.
    #[default]
    StateFolder,
    /// A file elsewhere, of mode 0600; the first start makes it.
    File(PathBuf),
    /// The text of such a file, which somebody else keeps.
    Text(Arc<Zeroizing<String>>),
}

/// The keys of a state folder.
pub(crate) struct Keys {
    folder: PathBuf,
    source: SigningKeySource,
    signing: SigningKey,
    seal: Zeroizing<[u8; 32]>,
    subjects: Subjects,
}

impl Keys {
    /// Reads the keys, and makes those that do not exist. Processes that start at the same moment agree on one of each.
    pub(crate) fn load_or_make(state: &Path, source: &SigningKeySource) -> Result<Keys, AuditError> {
        private_folder(state)?;
        let folder = state.join("keys");
        private_folder(&folder)?;
        private_folder(&folder.join("subjects"))?;
        source.check(&folder)?;
        let seed = match source.find(&folder)? {
            Some(seed) => seed,
            None => source.make(&folder)?,
        };
        let subjects = Subjects::load_or_make(&folder)?;
        let keys = Keys::new(folder, source.clone(), &seed, subjects);
        keys.tell_verifier()?;
        // Whoever made the keys, nothing is signed with them before their names are durable.
        sync_folder(&keys.folder)?;
        Ok(keys)
    }

    /// Reads the keys of a state folder that has them.
    pub(crate) fn load(state: &Path, source: &SigningKeySource) -> Result<Option<Keys>, AuditError> {
        let folder = state.join("keys");
        source.check(&folder)?;
        let (Some(seed), Some(subjects)) = (source.find(&folder)?, Subjects::load(state)?) else {
            return Ok(None);
        };
        let keys = Keys::new(folder, source.clone(), &seed, subjects);
        keys.tell_verifier()?;
        Ok(Some(keys))
    }

    fn new(folder: PathBuf, source: SigningKeySource, seed: &[u8; 32], subjects: Subjects) -> Keys {
        let mut seal = Zeroizing::new([0; 32]);
        expand(seed.as_slice(), b"", b"bailiwick head v1", &mut seal);
        Keys { folder, source, signing: SigningKey::from_bytes(seed), seal, subjects }
    }

    /// Of a key that is kept elsewhere the state folder holds the public half: who reads goes by it, and who signs must have it.
    fn tell_verifier(&self) -> Result<(), AuditError> {
        if matches!(self.source, SigningKeySource::StateFolder) {
            return Ok(());
        }
        let path = self.folder.join(VERIFIER);
        let ours = self.verifying().to_string();
        let told = find_or_make(&path, || format!("{ours}\n").into_bytes())?;
        match verifier(&path, &told)?.public() == &self.signing.verifying_key() {
            true => Ok(()),
            false => Err(AuditError::Keys {
                path,
                problem: format!(
                    "the logs here are signed with another key than the one that is configured, {ours}; give that of the file"
                ),
            }),
        }
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public key under the name of the state folder.
    pub(crate) fn verifying(&self) -> VerifyingKey {
        VerifyingKey::new(NAME, self.signing.verifying_key())
    }

    /// The secrets of subjects.
    pub(crate) fn subjects(&mut self) -> &mut Subjects {
        &mut self.subjects
    }

    /// Code over files that only we write and only we read.
    pub(crate) fn code(&self, bytes: &[u8]) -> Digest {
        mac(&self.seal, bytes).finalize().into_bytes().into()
    }

    /// Whether a code is ours, compared in constant time.
    pub(crate) fn is_code(&self, bytes: &[u8], code: &[u8]) -> bool {
        mac(&self.seal, bytes).verify_slice(code).is_ok()
    }
}

/// The verifier key that lies in a state folder: of its signing key, or told by whoever has that.
pub(crate) fn key_beside(state: &Path) -> Result<Option<VerifyingKey>, AuditError> {
    key_beside_of(&state.join("keys"))
}

fn key_beside_of(folder: &Path) -> Result<Option<VerifyingKey>, AuditError> {
    if let Some(seed) = SigningKeySource::StateFolder.find(folder)? {
        return Ok(Some(VerifyingKey::new(NAME, SigningKey::from_bytes(&seed).verifying_key())));
    }
    let path = folder.join(VERIFIER);
    find(&path)?.map(|it| verifier(&path, &it)).transpose()
}

fn verifier(path: &Path, bytes: &[u8]) -> Result<VerifyingKey, AuditError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|it| it.trim_end().parse().ok()).ok_or_else(|| AuditError::Keys {
        path: path.to_owned(),
        problem: "not a verifier key; restore it from a copy".to_owned(),
    })
}

impl SigningKeySource {
    /// There is one signing key: one that lies in the state folder beside one that is configured would be mistaken for it.
    fn check(&self, folder: &Path) -> Result<(), AuditError> {
        let (inner, told) = (find(&folder.join(KEY))?.is_some(), find(&folder.join(VERIFIER))?.is_some());
        let wrong = |name: &str, problem: &str| {
            Err(AuditError::Keys { path: folder.join(name), problem: problem.to_owned() })
        };
        match self {
            SigningKeySource::StateFolder if told && !inner => {
                wrong(VERIFIER, "the signing key is kept elsewhere; name it with `signing_key` under [audit]")
            }
            SigningKeySource::File(_) | SigningKeySource::Text(_) if inner => wrong(
                KEY,
                "a signing key lies here beside the one that `signing_key` names under [audit]; move it there, or remove one of them",
            ),
            _ => Ok(()),
        }
    }

    /// The file that holds it, if one does.
    fn path(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            SigningKeySource::StateFolder => Some(folder.join(KEY)),
            SigningKeySource::File(path) => Some(path.clone()),
            SigningKeySource::Text(_) => None,
        }
    }

    fn find(&self, folder: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, AuditError> {
        let bad = |path: PathBuf, problem: &str| AuditError::Keys { path, problem: problem.to_owned() };
        let what = "not an Ed25519 signing key";
        match (self, self.path(folder)) {
            (SigningKeySource::Text(text), _) => decode(text.as_bytes()).map(Some).ok_or_else(|| {
                bad(folder.join(KEY), &format!("what `signing_key` names under [audit] is {what}"))
            }),
            (_, Some(path)) => {
                self.finish(folder, &path)?;
                let seed = find(&path)?.map(|it| {
                    decode(&it).ok_or_else(|| bad(path, &format!("{what}; restore it from a copy")))
                });
                seed.transpose()
            }
            (_, None) => Ok(None),
        }
    }

    /// Makes it, unless logs here are signed with one that is gone.
    fn make(&self, folder: &Path) -> Result<Zeroizing<[u8; 32]>, AuditError> {
        let path = self.path(folder).unwrap_or_else(|| folder.join(KEY));
        if !matches!(self, SigningKeySource::StateFolder) && find(&folder.join(VERIFIER))?.is_some() {
            let problem = "the signing key of the logs is not there; restore it from a copy".to_owned();
            return Err(AuditError::Keys { path, problem });
        }
        let text = find_or_make(&path, || encode(&random()))?;
        change::sync_parent(&path)?;
        decode(&text).ok_or_else(|| AuditError::Keys {
            path,
            problem: "not an Ed25519 signing key; restore it from a copy".to_owned(),
        })
    }
}

impl fmt::Debug for SigningKeySource {
    /// Never the key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SigningKeySource::StateFolder => out.write_str("StateFolder"),
            SigningKeySource::File(path) => out.debug_tuple("File").field(path).finish(),
            SigningKeySource::Text(_) => out.write_str("Text"),
        }
    }
}

/// HKDF-SHA256 to 32 bytes.
pub(crate) fn expand(secret: &[u8], salt: &[u8], info: &[u8], out: &mut [u8; 32]) {
    Hkdf::<Sha256>::new(Some(salt), secret).expand(info, out).expect("32 bytes are within HKDF's bound");
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]>
where
    [u8; N]: Zeroize,
{
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).expect("the system has a source of randomness");
    bytes
}

/// The signing key as the signed-note tools write it: `PRIVATE+KEY+name+id+base64(algorithm || seed)`.
fn encode(seed: &[u8; 32]) -> Vec<u8> {
    let id = hex::encode(key_id(NAME, &SigningKey::from_bytes(seed).verifying_key()));
    let mut bytes = Zeroizing::new(vec![ED25519]);
    bytes.extend(seed);
    let text = Zeroizing::new(STANDARD.encode(&*bytes));
    format!("PRIVATE+KEY+{NAME}+{id}+{}\n", *text).into_bytes()
}

fn decode(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = std::str::from_utf8(text).ok()?.trim_end();
    let key = text.strip_prefix("PRIVATE+KEY+")?.splitn(3, '+').nth(2)?;
    let bytes = Zeroizing::new(STANDARD.decode(key).ok()?);
    let (&ED25519, seed) = bytes.split_first()? else { return None };
    Some(Zeroizing::new(seed.try_into().ok()?))
}

fn mac(key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac
}

#[cfg(test)]
mod tests;
