//! Whose pseudonym, whose payload? The secrets of subjects: who reads records needs no more.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use hkdf::hmac::Mac;
use zeroize::Zeroizing;

use super::{
    files::{find, find_or_make, sync_folder},
    mac, random,
};
use crate::error::{At, AuditError};

/// Subjects whose keys stay in memory.
const SUBJECTS_MAX: usize = 1024;
/// File of the secret that pseudonyms are made with.
const SECRET: &str = "subject.secret";

/// Secret of one subject, from which its payloads' keys derive; destroying the file erases them.
pub(crate) type SubjectKey = Zeroizing<[u8; 32]>;

/// Which file it is, and in which state: device, number, time of the last change.
type Stamp = (u64, u64, i64, i64);

/// The secrets of a state folder's subjects.
#[derive(Clone)]
pub(crate) struct Subjects {
    folder: PathBuf,
    pseudonyms: Zeroizing<[u8; 32]>,
    kept: HashMap<String, (Stamp, SubjectKey)>,
}

impl Subjects {
    /// Reads them, and makes the folder's own where there is none.
    pub(super) fn load_or_make(folder: &Path) -> Result<Subjects, AuditError> {
        let secret = find_or_make(&folder.join(SECRET), || random::<32>().to_vec())?;
        Subjects::new(folder, &secret)
    }

    /// Reads those of a state folder that has them.
    pub(crate) fn load(state: &Path) -> Result<Option<Subjects>, AuditError> {
        let folder = state.join("keys");
        find(&folder.join(SECRET))?.map(|it| Subjects::new(&folder, &it)).transpose()
    }

    fn new(folder: &Path, secret: &[u8]) -> Result<Subjects, AuditError> {
        let pseudonyms = <[u8; 32]>::try_from(secret).map_err(|_| AuditError::Keys {
            path: folder.join(SECRET),
            problem: "not 32 bytes; restore it from a copy".to_owned(),
        })?;
        let pseudonyms = Zeroizing::new(pseudonyms);
        Ok(Subjects { folder: folder.to_owned(), pseudonyms, kept: HashMap::new() })
    }

    /// A word for a subject that says nothing about it to whoever lacks the secret.
    pub(crate) fn pseudonym(&self, subject: &str) -> String {
        let code = mac(&self.pseudonyms, subject.as_bytes()).finalize().into_bytes();
        hex::encode(&code[..16])
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
        if self.kept.len() >= SUBJECTS_MAX {
            self.kept.clear();
        }
        self.kept.insert(pseudonym.to_owned(), (is_now, key.clone()));
        Ok(Some(key))
    }

    /// The key in memory, if its file is still the one that it was read from: a key that another process destroyed must not
    /// live on in new records, whether or not there is a new one in its place.
    fn cached(&self, pseudonym: &str, is_now: Option<Stamp>) -> Option<SubjectKey> {
        let (read_from, key) = self.kept.get(pseudonym)?;
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
        self.kept.remove(pseudonym);
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
