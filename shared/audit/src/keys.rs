//! Whose signature, whose pseudonym, whose payload? The keys of one state folder.

mod change;

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
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
    error::{At, AuditError},
    note::{ED25519, key_id},
};

/// Name under which the state folder's key is shown; in a log it signs under the log's origin.
pub(crate) const NAME: &str = "bailiwick";
/// Subjects whose keys stay in memory.
const SUBJECTS_MAX: usize = 1024;

/// Secret of one subject, from which its payloads' keys derive; destroying the file erases them.
pub(crate) type SubjectKey = Zeroizing<[u8; 32]>;

/// Which file it is, and in which state: device, number, time of the last change.
type Stamp = (u64, u64, i64, i64);

/// The keys of a state folder.
pub(crate) struct Keys {
    folder: PathBuf,
    signing: SigningKey,
    pseudonyms: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    subjects: HashMap<String, (Stamp, SubjectKey)>,
}

impl Keys {
    /// Reads the keys, and makes those that do not exist. Processes that start at the same moment agree on one of each.
    pub(crate) fn load_or_make(state: &Path) -> Result<Keys, AuditError> {
        private_folder(state)?;
        let folder = state.join("keys");
        private_folder(&folder)?;
        private_folder(&folder.join("subjects"))?;
        let signing = find_or_make(&folder.join("log.key"), || encode(&random()))?;
        let pseudonyms = find_or_make(&folder.join("subject.secret"), || random::<32>().to_vec())?;
        // Whoever made the keys, nothing is signed with them before their names are durable.
        sync_folder(&folder)?;
        Keys::new(folder, &signing, &pseudonyms)
    }

    /// Reads the keys of a state folder that has them.
    pub(crate) fn load(state: &Path) -> Result<Option<Keys>, AuditError> {
        let folder = state.join("keys");
        let signing = find(&folder.join("log.key"))?;
        let pseudonyms = find(&folder.join("subject.secret"))?;
        match (signing, pseudonyms) {
            (Some(signing), Some(pseudonyms)) => Keys::new(folder, &signing, &pseudonyms).map(Some),
            _ => Ok(None),
        }
    }

    fn new(folder: PathBuf, signing: &[u8], pseudonyms: &[u8]) -> Result<Keys, AuditError> {
        let bad = |name: &str, problem: &str| AuditError::Keys {
            path: folder.join(name),
            problem: format!("{problem}; restore it from a copy"),
        };
        let seed = decode(signing).ok_or_else(|| bad("log.key", "not an Ed25519 signing key"))?;
        let pseudonyms =
            <[u8; 32]>::try_from(pseudonyms).map_err(|_| bad("subject.secret", "not 32 bytes"))?;
        let mut seal = Zeroizing::new([0; 32]);
        expand(seed.as_slice(), b"", b"bailiwick head v1", &mut seal);
        Ok(Keys {
            signing: SigningKey::from_bytes(&seed),
            pseudonyms: Zeroizing::new(pseudonyms),
            seal,
            subjects: HashMap::new(),
            folder,
        })
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public key under the name of the state folder.
    pub(crate) fn verifying(&self) -> VerifyingKey {
        VerifyingKey::new(NAME, self.signing.verifying_key())
    }

    /// A word for a subject that says nothing about it to whoever lacks the secret.
    pub(crate) fn pseudonym(&self, subject: &str) -> String {
        let code = mac(&self.pseudonyms, subject.as_bytes()).finalize().into_bytes();
        hex::encode(&code[..16])
    }

    /// Code over files that only we write and only we read.
    pub(crate) fn code(&self, bytes: &[u8]) -> Digest {
        mac(&self.seal, bytes).finalize().into_bytes().into()
    }

    /// Whether a code is ours, compared in constant time.
    pub(crate) fn is_code(&self, bytes: &[u8], code: &[u8]) -> bool {
        mac(&self.seal, bytes).verify_slice(code).is_ok()
    }

    /// The subject's key, made durable if there is none.
    pub(crate) fn subject(&mut self, pseudonym: &str) -> Result<SubjectKey, AuditError> {
        let path = self.subject_path(pseudonym);
        if let Some(key) = self.cached(pseudonym, stamp(&path)?) {
            return Ok(key);
        }
        find_or_make(&path, || random::<32>().to_vec())?;
        sync_folder(&self.folder.join("subjects"))?;
        self.find_subject(pseudonym)?.ok_or_else(|| AuditError::Keys {
            path,
            problem: "it was destroyed while it was made; try again".to_owned(),
        })
    }

    /// The subject's key, if it was not destroyed.
    pub(crate) fn find_subject(&mut self, pseudonym: &str) -> Result<Option<SubjectKey>, AuditError> {
        let path = self.subject_path(pseudonym);
        // Before the content: a file that is replaced between the two is read again the next time.
        let is_now = stamp(&path)?;
        if let Some(key) = self.cached(pseudonym, is_now) {
            return Ok(Some(key));
        }
        let (Some(is_now), Some(bytes)) = (is_now, find(&path)?) else { return Ok(None) };
        if !bytes.is_empty() && bytes.iter().all(|it| *it == 0) {
            // Opened before it was destroyed, and read after.
            return Ok(None);
        }
        let key = subject_key(&path, &bytes)?;
        if self.subjects.len() >= SUBJECTS_MAX {
            self.subjects.clear();
        }
        self.subjects.insert(pseudonym.to_owned(), (is_now, key.clone()));
        Ok(Some(key))
    }

    /// The key in memory, if its file is still the one that it was read from: a key that another process destroyed must not
    /// live on in new records, whether or not there is a new one in its place.
    fn cached(&self, pseudonym: &str, is_now: Option<Stamp>) -> Option<SubjectKey> {
        let (read_from, key) = self.subjects.get(pseudonym)?;
        (Some(*read_from) == is_now).then(|| key.clone())
    }

    /// Whether there is a key of this subject.
    pub(crate) fn has_subject(&self, pseudonym: &str) -> Result<bool, AuditError> {
        Ok(stamp(&self.subject_path(pseudonym))?.is_some())
    }

    /// Destroys the subject's key: durably, and before that for everybody who looks it up. What it sealed cannot be opened again,
    /// unless somebody has a copy of the file.
    pub(crate) fn destroy_subject(&mut self, pseudonym: &str) -> Result<(), AuditError> {
        let path = self.subject_path(pseudonym);
        self.subjects.remove(pseudonym);
        let file = OpenOptions::new().write(true).open(&path).at("open", &path)?;
        fs::remove_file(&path).at("remove", &path)?;
        sync_folder(&self.folder.join("subjects"))?;
        // The name is gone, so nobody can take this for a key. Where the file system writes elsewhere it changes nothing.
        file.write_all_at(&[0; 32], 0).and_then(|()| file.sync_all()).at("overwrite", &path)
    }

    fn subject_path(&self, pseudonym: &str) -> PathBuf {
        self.folder.join("subjects").join(pseudonym)
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

/// Makes a folder, and those above it, that only their owner can enter; takes others' rights away from one that exists and
/// is ours alone (`keys`, `logs`), and leaves a state folder that was made by hand as it is.
pub(crate) fn private_folder(path: &Path) -> Result<(), AuditError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).at("create", path)?;
    let mode = fs::metadata(path).at("read", path)?.mode();
    let ours = path.file_name().is_some_and(|it| ["keys", "logs", "subjects"].iter().any(|name| it == *name));
    if ours && mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).at("make private", path)?;
    }
    Ok(())
}

#[cfg(test)]
thread_local! {
    /// Folders that were synced, so that a test sees it.
    pub(crate) static SYNCED: std::cell::RefCell<Vec<PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), AuditError> {
    #[cfg(test)]
    SYNCED.with_borrow_mut(|it| it.push(path.to_owned()));
    File::open(path).and_then(|it| it.sync_all()).at("sync", path)
}

/// Reads a file of keys; none when it does not exist. Refuses one that others can read.
fn find(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AuditError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("open", path)?,
    };
    let mode = file.metadata().at("read", path)?.mode();
    if mode & 0o077 != 0 {
        let problem = format!("others can read it (mode {:o}); make it 0600 once nobody has", mode & 0o777);
        return Err(AuditError::Keys { path: path.to_owned(), problem });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    file.read_to_end(&mut bytes).at("read", path)?;
    Ok(Some(bytes))
}

/// Reads a file, or makes it whole: content and mode are durable before the name exists, and of several makers one wins.
pub(crate) fn find_or_make(
    path: &Path,
    make: impl FnOnce() -> Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, AuditError> {
    if let Some(bytes) = find(path)? {
        return Ok(bytes);
    }
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or("key");
    let draft = path.with_file_name(format!(".{name}.{}", hex::encode(random::<8>())));
    let bytes = Zeroizing::new(make());
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).at("create", &draft)?;
    let written = file.write_all(&bytes).and_then(|()| file.sync_all());
    let named = written.and_then(|()| name_once(&draft, path));
    let _ = fs::remove_file(&draft);
    named.at("create", path)?;
    find(path)?.ok_or_else(|| AuditError::Keys {
        path: path.to_owned(),
        problem: "it vanished while it was made; start again".to_owned(),
    })
}

/// Gives the draft its name unless somebody else's has it already.
fn name_once(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
        {
            // No hard links here: a rename that replaces nothing does as well.
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(rustix::fs::CWD, draft, rustix::fs::CWD, path, flags) {
                Err(rustix::io::Errno::EXIST) => Ok(()),
                other => Ok(other?),
            }
        }
        other => other,
    }
}

/// None where there is no file.
fn stamp(path: &Path) -> Result<Option<Stamp>, AuditError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => {
            let it = other.at("read", path)?;
            Ok(Some((it.dev(), it.ino(), it.ctime(), it.ctime_nsec())))
        }
    }
}

fn subject_key(path: &Path, bytes: &[u8]) -> Result<SubjectKey, AuditError> {
    let key = <[u8; 32]>::try_from(bytes).map_err(|_| AuditError::Keys {
        path: path.to_owned(),
        problem: "not 32 bytes; restore it from a copy".to_owned(),
    })?;
    Ok(Zeroizing::new(key))
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
mod tests {
    use super::*;

    #[test]
    fn sixteen_first_starts_at_once_make_one_key() {
        let state = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(16);
        let start = || {
            barrier.wait();
            let mut keys = Keys::load_or_make(state.path()).unwrap();
            (keys.verifying().to_string(), keys.pseudonym("agent:a"), *keys.subject("00").unwrap())
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(made.iter().all(|it| *it == made[0]));
        let left: Vec<_> = fs::read_dir(state.path().join("keys")).unwrap().collect();
        assert_eq!(left.len(), 3, "no drafts are left behind: {left:?}");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let state = tempfile::tempdir().unwrap();
        Keys::load_or_make(state.path()).unwrap();
        let path = state.path().join("keys/log.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keys::load_or_make(state.path()), Err(AuditError::Keys { .. })));
    }

    #[test]
    fn folders_of_keys_are_made_private_again() {
        let state = tempfile::tempdir().unwrap();
        Keys::load_or_make(state.path()).unwrap();
        let folder = state.path().join("keys");
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        Keys::load_or_make(state.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_spoilt_key_says_so_and_is_not_replaced() {
        let state = tempfile::tempdir().unwrap();
        Keys::load_or_make(state.path()).unwrap();
        let path = state.path().join("keys/log.key");
        fs::write(&path, "PRIVATE+KEY+x").unwrap();
        assert!(matches!(Keys::load_or_make(state.path()), Err(AuditError::Keys { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "PRIVATE+KEY+x");
    }

    #[test]
    fn a_destroyed_subject_key_is_not_used_again() {
        let state = tempfile::tempdir().unwrap();
        let mut keys = Keys::load_or_make(state.path()).unwrap();
        let before = keys.subject("00").unwrap();
        fs::remove_file(state.path().join("keys/subjects/00")).unwrap();
        assert_ne!(*keys.subject("00").unwrap(), *before);
    }

    #[test]
    fn a_key_that_another_process_destroyed_and_made_anew_is_not_used_from_memory() {
        let state = tempfile::tempdir().unwrap();
        let mut ours = Keys::load_or_make(state.path()).unwrap();
        let before = ours.subject("00").unwrap();
        let mut others = Keys::load(state.path()).unwrap().unwrap();
        others.destroy_subject("00").unwrap();
        assert!(!ours.has_subject("00").unwrap() && ours.find_subject("00").unwrap().is_none());
        let after = others.subject("00").unwrap();
        assert_ne!(*after, *before);
        assert_eq!(*ours.subject("00").unwrap(), *after);
    }
}
