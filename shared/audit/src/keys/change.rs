//! How does a state folder get another signing key? The next one lies beside it, and nothing opens a log, until every log that the
//! old one signed is closed; then it takes the old one's name.
//!
//! Where the key is kept elsewhere, the next one lies beside it there, and the state folder says so by its public half. The public half
//! takes the name first: whoever finds it so gives the key its name, too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{KEY, Keys, SigningKeySource, VERIFIER, decode, encode, find, find_or_make, random, sync_folder};
use crate::{AuditError, VerifyingKey, error::At};

const NEXT: &str = "log.key.next";
const NEXT_VERIFIER: &str = "log.vkey.next";

impl Keys {
    /// Refuses to go on with a key that is being changed, or was. Asked behind the lock of a log: whoever changes the key holds
    /// every lock, after the next key has its name.
    pub(crate) fn check_current(&self) -> Result<(), AuditError> {
        let wrong = |name: &str, problem: &str| AuditError::Keys {
            path: self.folder.join(name),
            problem: problem.to_owned(),
        };
        let (name, next) = match self.source {
            SigningKeySource::StateFolder => (KEY, NEXT),
            _ => (VERIFIER, NEXT_VERIFIER),
        };
        if find(&self.folder.join(next))?.is_some() {
            return Err(wrong(
                next,
                "the signing key is being changed; if nobody does, run `bailiwick audit rotate` again",
            ));
        }
        match super::key_beside_of(&self.folder)?.is_some_and(|it| it == self.verifying()) {
            true => Ok(()),
            false => Err(wrong(name, "the signing key was changed meanwhile; start again")),
        }
    }

    /// Whether a change has begun.
    pub(crate) fn has_next(&self) -> Result<bool, AuditError> {
        let mark = match self.source {
            SigningKeySource::StateFolder => NEXT,
            _ => NEXT_VERIFIER,
        };
        Ok(find(&self.folder.join(mark))?.is_some())
    }

    /// Takes the next signing key back. Only where no record names it.
    pub(crate) fn forget_next(&self) -> Result<(), AuditError> {
        if let SigningKeySource::File(_) = self.source {
            let mark = self.folder.join(NEXT_VERIFIER);
            fs::remove_file(&mark).at("remove", &mark)?;
            sync_folder(&self.folder)?;
        }
        let next = self.next_path()?;
        fs::remove_file(&next).at("remove", &next)?;
        sync_parent(&next)
    }

    /// These keys with the next signing key, which is made durable if there is none.
    pub(crate) fn next(&self) -> Result<Keys, AuditError> {
        let path = self.next_path()?;
        let text = find_or_make(&path, || encode(&random()))?;
        sync_parent(&path)?;
        let bad = |path: PathBuf, problem: &str| AuditError::Keys { path, problem: problem.to_owned() };
        let seed =
            decode(&text).ok_or_else(|| bad(path, "not an Ed25519 signing key; restore it from a copy"))?;
        let next = Keys::new(self.folder.clone(), self.source.clone(), &seed, self.subjects.clone());
        if let SigningKeySource::File(_) = self.source {
            let mark = self.folder.join(NEXT_VERIFIER);
            let told = find_or_make(&mark, || format!("{}\n", next.verifying()).into_bytes())?;
            sync_folder(&self.folder)?;
            if super::verifier(&mark, &told)? != next.verifying() {
                return Err(bad(mark, "another key than the next one beside the signing key; restore that"));
            }
        }
        Ok(next)
    }

    /// Puts the next signing key in the place of the old one, which is gone then.
    pub(crate) fn turn(&self) -> Result<(), AuditError> {
        match &self.source {
            SigningKeySource::File(path) => {
                let mark = self.folder.join(NEXT_VERIFIER);
                fs::rename(&mark, self.folder.join(VERIFIER)).at("rename", &mark)?;
                sync_folder(&self.folder)?;
                self.source.finish(&self.folder, path)
            }
            _ => {
                let next = self.next_path()?;
                fs::rename(&next, self.folder.join(KEY)).at("rename", &next)?;
                sync_folder(&self.folder)
            }
        }
    }

    fn next_path(&self) -> Result<PathBuf, AuditError> {
        match &self.source {
            SigningKeySource::StateFolder => Ok(self.folder.join(NEXT)),
            SigningKeySource::File(path) => Ok(next_to(path)),
            SigningKeySource::Text(_) => Err(AuditError::Keys {
                path: self.folder.join(VERIFIER),
                problem: "a signing key that comes as a text cannot be changed from here: put it into a file of mode 0600, name \
                          that file under [audit], change the key, and take the new one from there"
                    .to_owned(),
            }),
        }
    }
}

impl SigningKeySource {
    /// Ends a change that got as far as the public half.
    pub(super) fn finish(&self, folder: &Path, path: &Path) -> Result<(), AuditError> {
        let SigningKeySource::File(_) = self else { return Ok(()) };
        let next = next_to(path);
        let (Some(text), Some(told)) = (find(&next)?, super::key_beside_of(folder)?) else { return Ok(()) };
        let is_told = |seed: &[u8; 32]| {
            let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
            VerifyingKey::new(super::NAME, public) == told
        };
        if !decode(&text).is_some_and(|it| is_told(&it)) {
            return Ok(());
        }
        fs::rename(&next, path).at("rename", &next)?;
        sync_parent(path)
    }
}

/// Where the next key lies beside one.
fn next_to(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}

pub(super) fn sync_parent(path: &Path) -> Result<(), AuditError> {
    path.parent().map_or(Ok(()), sync_folder)
}
