//! How does a file get into a folder whole? Written and synced under another name, then renamed, then the folder synced: so
//! that whoever looks, whenever it was cut off, finds all of it or nothing.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::{Stored, Target, TargetError};
use crate::{AuditError, error::At};

/// Most files that are synced at once.
const SYNCS_AT_ONCE: usize = 8;

/// A folder that files are put into whole: a log's own, or one elsewhere as a [`Target`].
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Whether only the owner may look.
    private: bool,
    /// Folders whose names this process knows to be durable.
    known: Mutex<BTreeSet<PathBuf>>,
    /// How many more steps on the disk succeed.
    #[cfg(test)]
    pub(super) steps: Option<std::sync::Arc<std::sync::atomic::AtomicI64>>,
}

impl Folder {
    /// A folder that everybody may read; it and those above it are made when something is put into it.
    pub fn new(root: &Path) -> Folder {
        Folder {
            root: root.to_owned(),
            private: false,
            known: Mutex::default(),
            #[cfg(test)]
            steps: None,
        }
    }

    /// One that only its owner may read.
    pub(crate) fn private(root: &Path) -> Folder {
        Folder { private: true, ..Folder::new(root) }
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &str) -> Result<bool, AuditError> {
        let path = self.root.join(path);
        path.try_exists().at("look for", &path)
    }

    /// Bytes of a file; none when there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Vec<u8>>, AuditError> {
        let path = self.root.join(path);
        match fs::read(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            other => other.at("read", &path).map(Some),
        }
    }

    /// Writes a file that [`Folder::settle`] will sync and name. False when it stands there already with these bytes.
    pub(crate) fn stage(&self, path: &str, bytes: &[u8]) -> Result<bool, AuditError> {
        if self.get(path)?.is_some_and(|it| it == bytes) {
            self.settle_found(path)?;
            return Ok(false);
        }
        let draft = self.draft(path);
        let parent = draft.parent().expect("a file in the folder");
        self.step().and_then(|()| self.make(parent)).at("create", parent)?;
        let mode = if self.private { 0o600 } else { 0o644 };
        let write = || {
            self.step()?;
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&draft)?;
            file.write_all(bytes)
        };
        write().at("write", &draft)?;
        Ok(true)
    }

    /// Syncs staged files and gives them their names, durably.
    pub(crate) fn settle(&self, staged: &[String]) -> Result<(), AuditError> {
        // At once, because a file system makes one transaction of syncs that wait together: the log's own commits are
        // held up by each.
        let share = staged.len().div_ceil(SYNCS_AT_ONCE).max(1);
        std::thread::scope(|scope| {
            let shares = staged.chunks(share).map(|it| scope.spawn(move || self.sync(it)));
            let shares: Vec<_> = shares.collect();
            shares.into_iter().try_for_each(|it| it.join().expect("syncing does not panic"))
        })?;
        let mut folders = BTreeSet::new();
        for path in staged {
            let (draft, path) = (self.draft(path), self.root.join(path));
            self.step().and_then(|()| fs::rename(&draft, &path)).at("name", &path)?;
            folders.extend(path.parent().map(Path::to_owned));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A folder's own name is durable with the folder above it, where an earlier process may have left that open.
        let new: Vec<PathBuf> = folders.difference(&known).cloned().collect();
        new.iter().for_each(|it| folders.extend(self.up_from(it)));
        self.sync_folders(&folders)?;
        known.extend(new);
        Ok(())
    }

    /// Makes a name durable that stands there already: a process before this one may have ended between naming and syncing.
    fn settle_found(&self, path: &str) -> Result<(), AuditError> {
        let path = self.root.join(path);
        let folder = path.parent().expect("a file in the folder");
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(folder) {
            self.sync_folders(&self.up_from(folder).collect())?;
            known.insert(folder.to_owned());
        }
        Ok(())
    }

    /// A folder, those above it, and the one that holds the root.
    fn up_from<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = PathBuf> {
        let up = folder.ancestors().take_while(|it| it.starts_with(&self.root));
        up.chain(self.root.parent()).map(Path::to_owned)
    }

    fn sync_folders(&self, folders: &BTreeSet<PathBuf>) -> Result<(), AuditError> {
        let sync =
            |folder: &PathBuf| self.step().and_then(|()| File::open(folder)?.sync_all()).at("sync", folder);
        folders.iter().rev().try_for_each(sync)
    }

    /// Puts one file there, durably.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Result<(), AuditError> {
        match self.stage(path, bytes)? {
            true => self.settle(&[path.to_owned()]),
            false => Ok(()),
        }
    }

    /// Removes the partial tiles or bundles of one that is full now.
    pub(crate) fn clear(&self, full: &str) -> Result<(), AuditError> {
        let folder = self.root.join(format!("{full}.p"));
        match self.step().and_then(|()| fs::remove_dir_all(&folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &folder),
        }
    }

    fn sync(&self, staged: &[String]) -> Result<(), AuditError> {
        staged.iter().map(|it| self.draft(it)).try_for_each(|draft| {
            let open = || File::options().write(true).open(&draft);
            self.step().and_then(|()| open()?.sync_data()).at("sync", &draft)
        })
    }

    fn draft(&self, path: &str) -> PathBuf {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.root.join(folder).join(format!(".{name}"))
    }

    fn make(&self, folder: &Path) -> io::Result<()> {
        let mode = if self.private { 0o700 } else { 0o755 };
        DirBuilder::new().recursive(true).mode(mode).create(folder)
    }

    /// One step on the disk, which only a test lets fail.
    #[cfg(not(test))]
    pub(super) fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Fails once the steps are used up, as if the process had ended there.
    #[cfg(test)]
    pub(super) fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        match &self.steps {
            Some(left) if left.fetch_sub(1, SeqCst) <= 0 => Err(io::Error::other("the test ends here")),
            _ => Ok(()),
        }
    }
}

/// Several processes may publish into one folder: a lock makes looking and replacing one step.
impl Target for Folder {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn read(&self, path: &str) -> Result<Option<Stored>, TargetError> {
        let bytes = self.get(path)?;
        Ok(bytes.map(|bytes| Stored { tag: tag(&bytes), bytes }))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, TargetError> {
        let _lock = self.lock()?;
        if self.get(path)?.is_some() {
            self.settle_found(path)?;
            return Ok(false);
        }
        self.put(path, bytes)?;
        Ok(true)
    }

    fn replace(&self, path: &str, bytes: &[u8], over: Option<&str>) -> Result<Option<String>, TargetError> {
        let _lock = self.lock()?;
        if self.get(path)?.map(|it| tag(&it)).as_deref() != over {
            return Ok(None);
        }
        self.put(path, bytes)?;
        Ok(Some(tag(bytes)))
    }

    fn remove(&self, path: &str) -> Result<(), TargetError> {
        let path = self.root.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other.at("remove", &path)?),
        }
    }
}

impl Folder {
    fn lock(&self) -> Result<File, TargetError> {
        self.make(&self.root).at("create", &self.root)?;
        let path = self.root.join(".lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path).at("open", &path)?;
        file.lock().at("lock", &path)?;
        Ok(file)
    }
}

impl From<AuditError> for TargetError {
    fn from(error: AuditError) -> TargetError {
        TargetError(error.to_string())
    }
}

fn tag(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
