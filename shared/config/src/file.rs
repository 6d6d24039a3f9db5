//! Whose word do we take? Reading files that decide what is allowed, and replacing them whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::{ConfigError, words};

/// Longest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Opens for reading, and never waits for somebody to write into a pipe.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// What the system says, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    ConfigError::Unreadable { path: words::path(path), reason: reason(error) }
}

/// Whether something stands at a path, even if it leads nowhere: a broken link must not look like no configuration.
pub(crate) fn exists(path: &Path) -> bool {
    let absent = |it: &io::Error| matches!(it.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    !fs::symlink_metadata(path).is_err_and(|it| absent(&it))
}

/// Bytes of a regular file of at most 1 MiB, whoever may have written it.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let file = open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(ConfigError::Unreadable {
            path: words::path(path),
            reason: "it is not a regular file".to_owned(),
        });
    }
    read(path, file)
}

/// Text of a file that decides what is allowed: nobody but its owner and group may change it, or put another in its
/// place.
pub(crate) fn trusted_text(path: &Path, notes: &mut Vec<String>) -> Result<String, ConfigError> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        let reason = "it is not a regular file".to_owned();
        return Err(ConfigError::Unreadable { path: words::path(path), reason });
    }
    let mode = metadata.mode();
    if mode & 0o002 != 0 {
        return Err(unsafe_to_trust(path, "every user may change it; run `chmod o-w` on it"));
    }
    if mode & 0o020 != 0 {
        notes.push(format!("{}: its group may change it", words::path(path)));
    }
    if let Some(folder) = path.canonicalize().ok().as_deref().and_then(Path::parent) {
        check_folder(folder)?;
    }
    text(path, read(path, file)?)
}

/// A folder that every user may write to, unless it keeps them from each other's files as `/tmp` does.
pub(crate) fn check_folder(folder: &Path) -> Result<(), ConfigError> {
    let metadata = fs::metadata(folder).map_err(|error| unreadable(folder, &error))?;
    match metadata.mode() & 0o1002 {
        0o0002 => Err(unsafe_to_trust(folder, "every user may put files into it; run `chmod o-w` on it")),
        _ => Ok(()),
    }
}

fn unsafe_to_trust(path: &Path, problem: &str) -> ConfigError {
    ConfigError::Unsafe { path: words::path(path), problem: format!("is not trusted: {problem}") }
}

fn read(path: &Path, file: File) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    match bytes.len() as u64 > MAX_BYTES {
        false => Ok(bytes),
        true => Err(ConfigError::Unreadable {
            path: words::path(path),
            reason: "it is larger than 1 MiB".to_owned(),
        }),
    }
}

pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|_| ConfigError::Unreadable {
        path: words::path(path),
        reason: "it is not UTF-8 text".to_owned(),
    })
}

/// Replaces a file whole, so that whoever reads it meanwhile sees the old one or the new one. Folders that are missing
/// are made for the owner only; an existing file keeps its permissions, a new one gets `mode`.
pub fn replace(path: &Path, text: &str, mode: u32) -> Result<(), ConfigError> {
    let unwritable =
        |error: io::Error| ConfigError::Unwritable { path: words::path(path), reason: reason(&error) };
    // Through a link, so that the file it leads to is replaced and the link stays.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = target.file_name().ok_or_else(|| unwritable(io::ErrorKind::InvalidFilename.into()))?;
    let folder = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    let draft = folder.join(format!(".{}.{}.draft", name.to_string_lossy(), std::process::id()));
    let written = write_draft(&target, &draft, text, mode).and_then(|()| {
        fs::rename(&draft, &target)?;
        File::open(folder)?.sync_all()
    });
    written.map_err(|error| {
        // The draft may not exist; what matters is the first error.
        let _ = fs::remove_file(&draft);
        unwritable(error)
    })
}

fn write_draft(target: &Path, draft: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    if let Ok(metadata) = fs::metadata(target) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Without `.` between its parts, for people to read; `..` stays, since a link may stand before it.
pub(crate) fn tidied(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}
