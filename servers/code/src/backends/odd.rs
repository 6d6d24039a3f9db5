//! Which of a repository's files are no files? Opening a pipe, a socket or a device where git keeps a plain file could wait
//! for ever, and no deadline ends a thread that waits so.
//!
//! What is looked at here and opened a moment later can be replaced in between: whoever can write the folder while it is
//! read, and not only before, is not held off by this.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use gix::refs::FullName;

/// Files of a repository that are opened before anything can be asked of it.
const FIRST_READ: [&str; 7] =
    ["HEAD", "config", "config.worktree", "commondir", "gitdir", "packed-refs", "shallow"];
/// Folders of objects that borrow from one another.
const BORROWED_MAX: usize = 64;
/// Of clocks that date files.
const TICK: Duration = Duration::from_secs(2);
const LIST_BYTES_MAX: u64 = 64 * 1024;
/// Symbolic references that lead to one another.
const REFERENCES_MAX: usize = 5;
const REFERENCE_BYTES_MAX: u64 = 8 * 1024;

/// Folders of objects that held nothing but plain files, and when they were last changed: unpacked objects may be many
/// thousands, and looking through them once is enough.
#[derive(Default)]
pub(super) struct Plain(Mutex<HashMap<PathBuf, SystemTime>>);

impl Plain {
    /// Refuses what is no plain file where git keeps plain files, before git's reader opens any of it.
    pub(super) fn refuse_odd(&self, path: &Path) -> Result<(), String> {
        let inner = path.join(".git");
        let mut folder = if inner.exists() { inner } else { path.to_owned() };
        refuse_odd_file(&folder, true)?;
        if folder.is_file() {
            folder = leads_to(&folder, "gitdir:").ok_or("its `.git` file leads nowhere")?;
        }
        let files =
            |folder: &Path| FIRST_READ.iter().try_for_each(|it| refuse_odd_file(&folder.join(it), false));
        files(&folder)?;
        let common = leads_to(&folder.join("commondir"), "").unwrap_or(folder);
        files(&common)?;
        self.refuse_odd_objects(common.join("objects"))
    }

    /// The same for the files that hold objects, here and where objects are borrowed from.
    fn refuse_odd_objects(&self, objects: PathBuf) -> Result<(), String> {
        let (mut waiting, mut seen) = (vec![objects.clone()], Vec::new());
        while let Some(folder) = waiting.pop() {
            if seen.contains(&folder) {
                continue;
            }
            if seen.len() >= BORROWED_MAX {
                return Err(format!("it borrows objects from more than {BORROWED_MAX} folders"));
            }
            for below in folders_of_objects(&folder) {
                self.refuse_odd_below(&below)?;
            }
            waiting.extend(borrowed(&folder, &objects)?);
            seen.push(folder);
        }
        Ok(())
    }

    fn refuse_odd_below(&self, folder: &Path) -> Result<(), String> {
        let changed = fs::metadata(folder).and_then(|it| it.modified()).ok();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_some() && known().get(folder) == changed.as_ref() {
            return Ok(());
        }
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        // What changes within the tick of a clock, or is behind a link, changes without a trace in its folder.
        let mut shows_changes = changed.is_some_and(|it| it.elapsed().is_ok_and(|it| it > TICK));
        for entry in entries.filter_map(Result::ok) {
            if entry.file_type().is_ok_and(|it| it.is_file() || it.is_dir()) {
                continue;
            }
            shows_changes = false;
            // What is not there, or must not be opened, does not make anybody wait.
            if fs::metadata(entry.path()).is_ok_and(|it| !it.is_file() && !it.is_dir()) {
                let below = folder.file_name().unwrap_or_default().to_string_lossy();
                return Err(format!("a file below its `objects/{below}` is no plain file"));
            }
        }
        known().extend(changed.filter(|_| shows_changes).map(|it| (folder.to_owned(), it)));
        Ok(())
    }
}

/// Refuses a reference that is no plain file, and one that leads to such by way of others; `folders` are where git looks.
pub(super) fn refuse_odd_reference(name: &str, folders: [&Path; 2]) -> Result<(), ()> {
    let mut name = name.to_owned();
    for _ in 0..=REFERENCES_MAX {
        // Its name is not looked for before git would take it for one: it could lead out of the repository.
        if FullName::try_from(name.as_str()).is_err() {
            return Err(());
        }
        let mut next = None;
        for path in folders.map(|it| it.join(&name)) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                continue;
            }
            if !metadata.is_file() || metadata.len() > REFERENCE_BYTES_MAX {
                return Err(());
            }
            let text = fs::read_to_string(&path).map_err(|_| ())?;
            next = next.or_else(|| text.strip_prefix("ref:").map(|it| it.trim().to_owned()));
        }
        match next {
            None => return Ok(()),
            // Elsewhere git keeps what is no reference.
            Some(next) if !next.starts_with("refs/") => return Err(()),
            Some(next) => name = next,
        }
    }
    Err(())
}

/// Where a folder of objects keeps files.
fn folders_of_objects(objects: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(objects) else { return Vec::new() };
    let is_meant = |name: &str| {
        name == "pack" || name == "info" || (name.len() == 2 && name.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    let names = entries.filter_map(Result::ok).map(|it| it.file_name().to_string_lossy().into_owned());
    names.filter(|it| is_meant(it)).map(|it| objects.join(it)).collect()
}

/// Folders that objects are borrowed from; a path that is not absolute starts at the repository's own.
fn borrowed(folder: &Path, own: &Path) -> Result<Vec<PathBuf>, String> {
    let list = folder.join("info/alternates");
    refuse_odd_file(&list, false)?;
    let Ok(metadata) = fs::metadata(&list) else { return Ok(Vec::new()) };
    if metadata.len() > LIST_BYTES_MAX {
        return Err(format!("its `alternates` has more than {LIST_BYTES_MAX} bytes"));
    }
    let text = fs::read_to_string(&list).map_err(|_| "its `alternates` cannot be read")?;
    if text.lines().any(|it| it.starts_with('"')) {
        return Err("its `alternates` has a path in quotes, which is not followed".to_owned());
    }
    let paths = text.lines().filter(|it| !it.is_empty() && !it.starts_with('#'));
    Ok(paths.map(|it| own.join(it)).collect())
}

fn refuse_odd_file(path: &Path, folder_will_do: bool) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(it) if !(it.is_file() || (folder_will_do && it.is_dir())) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Err(format!("its `{name}` is no plain file"))
        }
        _ => Ok(()),
    }
}

/// The folder that a small file names, after its first word.
fn leads_to(file: &Path, first: &str) -> Option<PathBuf> {
    const BYTES_MAX: u64 = 8 * 1024;
    fs::metadata(file).ok().filter(|it| it.is_file() && it.len() <= BYTES_MAX)?;
    let text = fs::read_to_string(file).ok()?;
    Some(file.parent()?.join(text.strip_prefix(first)?.trim()))
}
