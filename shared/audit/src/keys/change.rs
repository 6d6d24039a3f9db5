//! How does a state folder get another signing key? The next one lies beside it, and nothing opens a log, until every log that the
//! old one signed is closed; then it takes the old one's name.

use std::fs;

use super::{Keys, decode, encode, find, find_or_make, random, sync_folder};
use crate::{AuditError, error::At};

const KEY: &str = "log.key";
const NEXT: &str = "log.key.next";

impl Keys {
    /// Refuses to go on with a key that is being changed, or was. Asked behind the lock of a log: whoever changes the key holds
    /// every lock, after the next key has its name.
    pub(crate) fn check_current(&self) -> Result<(), AuditError> {
        let wrong = |name: &str, problem: &str| AuditError::Keys {
            path: self.folder.join(name),
            problem: problem.to_owned(),
        };
        if find(&self.folder.join(NEXT))?.is_some() {
            return Err(wrong(
                NEXT,
                "the signing key is being changed; if nobody does, run `bailiwick audit rotate` again",
            ));
        }
        let now = find(&self.folder.join(KEY))?.and_then(|it| decode(&it));
        match now.is_some_and(|it| *it == self.signing.to_bytes()) {
            true => Ok(()),
            false => Err(wrong(KEY, "the signing key was changed meanwhile; start again")),
        }
    }

    /// Whether a change has begun.
    pub(crate) fn has_next(&self) -> Result<bool, AuditError> {
        Ok(find(&self.folder.join(NEXT))?.is_some())
    }

    /// Takes the next signing key back. Only where no record names it.
    pub(crate) fn forget_next(&self) -> Result<(), AuditError> {
        let next = self.folder.join(NEXT);
        fs::remove_file(&next).at("remove", &next)?;
        sync_folder(&self.folder)
    }

    /// These keys with the next signing key, which is made durable if there is none.
    pub(crate) fn next(&self) -> Result<Keys, AuditError> {
        let signing = find_or_make(&self.folder.join(NEXT), || encode(&random()))?;
        sync_folder(&self.folder)?;
        Keys::new(self.folder.clone(), &signing, self.pseudonyms.as_slice())
    }

    /// Puts the next signing key in the place of the old one, which is gone then.
    pub(crate) fn turn(&self) -> Result<(), AuditError> {
        let next = self.folder.join(NEXT);
        fs::rename(&next, self.folder.join(KEY)).at("rename", &next)?;
        sync_folder(&self.folder)
    }
}
