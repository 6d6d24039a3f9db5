//! Where is a login kept? In one file of the state folder that only its owner can read.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use config::Secret;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

use crate::{LoginError, device::Tokens};

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

/// What stands in it. Nothing of it counts before the token was verified.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    v: u8,
    /// Its address: names of issuers are the configuration's, and change.
    pub(crate) issuer: String,
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// Of what is written.
const VERSION: u8 = 1;
/// Longest wait for another process that renews the same login.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks whether it has.
const PAUSE: Duration = Duration::from_millis(50);

impl Kept {
    pub(crate) fn within(state: &Path) -> Kept {
        Kept { path: state.join("login.json") }
    }

    /// The login, if there is one. A file that others could have read or changed is none, and neither is nobody's.
    pub(crate) fn read(&self) -> Result<Option<Login>, LoginError> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.wrong(&format!("cannot be read: {error}"))),
            Ok(it) if !it.is_file() => return Err(self.wrong("is not a regular file")),
            Ok(it) if it.mode() & 0o077 != 0 => {
                let mode = it.mode() & 0o777;
                return Err(self.wrong(&format!("may be read or changed by other users (mode {mode:04o})")));
            }
            Ok(_) => {}
        }
        let text = Secret::File(self.path.clone()).read().map_err(|it| self.wrong(&it.to_string()))?;
        let login: Login =
            serde_json::from_str(&text).map_err(|_| self.wrong("holds something other than a login"))?;
        match login.v {
            VERSION => Ok(Some(login)),
            other => Err(self.wrong(&format!("is of version {other}, which this bailiwick does not know"))),
        }
    }

    /// Keeps a login in place of whichever there was.
    pub(crate) fn write(&self, login: &Login) -> Result<(), LoginError> {
        let text = Zeroizing::new(serde_json::to_string(login).expect("texts are plain data"));
        // What others may read would stay so, and a link would lead elsewhere.
        if fs::symlink_metadata(&self.path).is_ok_and(|it| !it.is_file() || it.mode() & 0o077 != 0) {
            self.remove()?;
        }
        config::replace(&self.path, &text, 0o600).map_err(|it| self.wrong(&it.to_string()))
    }

    /// Whether there was one.
    pub(crate) fn remove(&self) -> Result<bool, LoginError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.wrong(&format!("cannot be removed: {error}"))),
        }
    }

    /// Lets one process at a time renew: a refresh token that two use is a stolen one to some issuers.
    pub(crate) async fn lock(&self) -> Result<File, LoginError> {
        let path = self.path.with_extension("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.map_err(|it| self.wrong(&format!("cannot be locked: {it}")))?;
        let end = Instant::now() + PATIENCE;
        while file.try_lock().is_err() {
            if Instant::now() > end {
                return Err(self.wrong("is held by another process"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(file)
    }

    pub(crate) fn wrong(&self, problem: &str) -> LoginError {
        LoginError::Kept {
            path: config::clean(&self.path.to_string_lossy()),
            problem: config::clean(problem),
        }
    }
}

impl Login {
    pub(crate) fn new(issuer: &str, tokens: &Tokens) -> Login {
        Login {
            v: VERSION,
            issuer: issuer.to_owned(),
            access_token: tokens.access.as_str().to_owned(),
            refresh_token: tokens.refresh.as_ref().map(|it| it.as_str().to_owned()),
        }
    }

    pub(crate) fn access(&self) -> &str {
        &self.access_token
    }

    pub(crate) fn refresh(&self) -> Option<&str> {
        self.refresh_token.as_deref()
    }

    /// The same with new tokens. An issuer that gives no new refresh token means the old one to go on.
    pub(crate) fn renewed(&self, tokens: &Tokens) -> Login {
        let mut renewed = Login::new(&self.issuer, tokens);
        if renewed.refresh_token.is_none() {
            renewed.refresh_token.clone_from(&self.refresh_token);
        }
        renewed
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}
