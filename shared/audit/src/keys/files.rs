//! How do keys stand on the disk? Made whole, readable by nobody else, or refused.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use zeroize::Zeroizing;

use super::random;
use crate::error::{At, AuditError};

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
    pub(crate) static SYNCED: std::cell::RefCell<Vec<std::path::PathBuf>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), AuditError> {
    #[cfg(test)]
    SYNCED.with_borrow_mut(|it| it.push(path.to_owned()));
    File::open(path).and_then(|it| it.sync_all()).at("sync", path)
}

/// Reads a file of keys; none when it does not exist. Refuses one that others can read.
pub(super) fn find(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, AuditError> {
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
