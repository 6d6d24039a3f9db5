//! A secret and where it comes from; never its text in a configuration file.

use std::{
    ffi::OsString,
    fmt, io,
    io::Read,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{ConfigError, file, surroundings, words};

/// Where a secret is read from. Its text is read when a connection is first opened, and never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "PATH" }`; a trailing line end is dropped.
    File(PathBuf),
}

/// Where orchestrators mount secrets for one container, readable by all of its users.
const MOUNTS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

impl Secret {
    /// Longest secret.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Reads it: printable ASCII, so that it can stand in a header.
    pub fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        self.read_with(surroundings::variable)
    }

    fn read_with(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Zeroizing<String>, ConfigError> {
        let bytes = match self {
            Secret::Env(name) => match variable(name) {
                Some(value) => Zeroizing::new(value.into_vec()),
                None => return Err(self.wrong("the variable is not set")),
            },
            Secret::File(path) => self.read_file(path)?,
        };
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match text {
            [] => Err(self.wrong("it is empty")),
            _ if text.len() > Self::MAX_BYTES => Err(self.wrong("it is longer than 64 KiB")),
            _ if !text.iter().all(|it| matches!(it, b' '..=b'~')) => {
                Err(self.wrong("it holds something other than printable ASCII, such as a second line"))
            }
            _ => Ok(Zeroizing::new(String::from_utf8_lossy(text).into_owned())),
        }
    }

    /// Reads what stands in a file, whatever it is, under the same rules.
    pub(crate) fn read_bytes(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        match self {
            Secret::File(path) => self.read_file(path),
            Secret::Env(_) => Err(self.wrong("expected a file")),
        }
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let failed = |error: io::Error| self.wrong(format!("cannot read it: {}", file::reason(&error)));
        let file = file::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(self.wrong("it is not a regular file"));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 && !is_mounted(path) {
            return Err(self.wrong(format!(
                "other users may read or change it (mode {mode:04o}); run `chmod 600` on it, or mount it under {}",
                MOUNTS[0]
            )));
        }
        // Room for the longest, so that growing leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::MAX_BYTES + 3));
        file.take(Self::MAX_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    fn wrong(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::Secret { from: self.clone(), problem: problem.into() }
    }
}

fn is_mounted(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    MOUNTS.iter().any(|mount| path.starts_with(mount))
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Env(name) => write!(f, "{{ env = \"{}\" }}", words::clean(name)),
            Secret::File(path) => write!(f, "{{ file = \"{}\" }}", words::path(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use expect_test::{Expect, expect};

    use super::*;

    fn file(mode: u32, text: &[u8]) -> (tempfile::TempDir, Secret) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, Secret::File(path))
    }

    #[track_caller]
    fn refused(secret: &Secret, folder: &Path, expect: &Expect) {
        let error = secret.read().unwrap_err().to_string();
        expect.assert_eq(&error.replace(folder.to_str().unwrap(), "DIR"));
    }

    #[test]
    fn a_line_end_after_a_secret_is_dropped() {
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            assert_eq!(*file(0o600, text.as_bytes()).1.read().unwrap(), "hunter2");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (folder, secret) = file(0o640, b"hunter2");
        refused(
            &secret,
            folder.path(),
            &expect![[
                r#"secret { file = "DIR/token" }: other users may read or change it (mode 0640); run `chmod 600` on it, or mount it under /run/secrets"#
            ]],
        );
        let link = folder.path().join("link");
        symlink(folder.path().join("token"), &link).unwrap();
        assert!(Secret::File(link).read().unwrap_err().to_string().contains("mode 0640"));
    }

    #[test]
    fn a_file_that_cannot_be_a_secret_is_refused() {
        let (folder, secret) = file(0o600, b"");
        refused(&secret, folder.path(), &expect![[r#"secret { file = "DIR/token" }: it is empty"#]]);
        let (folder, secret) = file(0o600, b"hunter2\nhunter3\n");
        refused(
            &secret,
            folder.path(),
            &expect![[
                r#"secret { file = "DIR/token" }: it holds something other than printable ASCII, such as a second line"#
            ]],
        );
        let (folder, secret) = file(0o600, &[b'a'; Secret::MAX_BYTES + 1]);
        refused(
            &secret,
            folder.path(),
            &expect![[r#"secret { file = "DIR/token" }: it is longer than 64 KiB"#]],
        );
        refused(
            &Secret::File(folder.path().to_owned()),
            folder.path(),
            &expect![[r#"secret { file = "DIR" }: it is not a regular file"#]],
        );
        refused(
            &Secret::File(folder.path().join("absent")),
            folder.path(),
            &expect![[r#"secret { file = "DIR/absent" }: cannot read it: no such file"#]],
        );
    }

    #[test]
    fn a_pipe_is_refused_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let error = Secret::File(path).read().unwrap_err().to_string();
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }

    #[test]
    fn a_variable_must_be_set_and_printable() {
        let secret = Secret::Env("TOKEN".to_owned());
        let read = |value: Option<&'static str>| {
            secret.read_with(|_| value.map(OsString::from)).map_err(|it| it.to_string())
        };
        assert_eq!(*read(Some("hunter2")).unwrap(), "hunter2");
        expect![[r#"secret { env = "TOKEN" }: the variable is not set"#]].assert_eq(&read(None).unwrap_err());
        expect![[r#"secret { env = "TOKEN" }: it is empty"#]].assert_eq(&read(Some("")).unwrap_err());
        assert!(!read(Some("hunter2\x1b")).unwrap_err().contains("hunter2"));
        assert!(Secret::Env("A=B".to_owned()).read().is_err());
    }
}
