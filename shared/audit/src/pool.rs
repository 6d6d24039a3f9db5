//! Which log is ours? The lowest one of its server that no process holds.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{
    AuditError,
    error::At,
    frame::Kind,
    head::{Head, read_siblings},
    keys::{Keys, private_folder},
    note::Checkpoint,
    read::dropped,
    record::{Leaf, Seen, is_word},
    recover::replay,
    segment::{Position, Segment, Walk},
};

/// Most logs of one server.
const LOGS_MAX: u32 = 4096;
/// File name of the lock in a log's folder.
const LOCK: &str = "lock";
/// Name of a file in the folder of a log that was closed for good, because its key was changed.
pub(crate) const RETIRED: &str = "retired";

/// A log's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) server: String,
    pub(crate) number: u32,
    pub(crate) folder: PathBuf,
}

/// What the logs beside ours know.
pub(crate) struct Siblings {
    /// Their heads.
    pub(crate) heads: Vec<Seen>,
    /// Heads that they have seen, those of vanished logs among them.
    pub(crate) claims: Vec<Seen>,
}

impl Place {
    /// `<server>/<n>`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.server, self.number)
    }

    /// What the origins of all logs that ever stood here begin with.
    pub(crate) fn origin_prefix(&self) -> String {
        format!("bailiwick/{}/{}/", self.server, self.number)
    }

    /// Whether the log was closed for good.
    pub(crate) fn is_retired(&self) -> bool {
        self.folder.join(RETIRED).exists()
    }

    /// Whether a process holds the log now.
    pub(crate) fn is_held(&self) -> bool {
        let Ok(lock) = File::open(self.folder.join(LOCK)) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Takes the lowest free log of a server. The lock lasts as long as the file.
pub(crate) fn take(state: &Path, server: &str) -> Result<(Place, File), AuditError> {
    if !is_word(server) {
        return Err(AuditError::Name { name: server.to_owned() });
    }
    let logs = state.join("logs");
    private_folder(&logs)?;
    let folder = logs.join(server);
    private_folder(&folder)?;
    for number in 0..LOGS_MAX {
        let place = Place { server: server.to_owned(), number, folder: folder.join(number.to_string()) };
        if place.is_retired() {
            continue;
        }
        private_folder(&place.folder)?;
        if let Some(lock) = try_lock(&place.folder.join(LOCK))? {
            return Ok((place, lock));
        }
    }
    Err(AuditError::Taken { count: LOGS_MAX, path: folder })
}

/// The place that `<server>/<n>` names, whether there is a log or not.
pub(crate) fn named(state: &Path, log: &str) -> Option<Place> {
    let (server, number) = log.split_once('/').filter(|(server, _)| is_word(server))?;
    let number: u32 = number.parse().ok().filter(|it: &u32| it.to_string() == number)?;
    let folder = state.join("logs").join(server).join(number.to_string());
    Some(Place { server: server.to_owned(), number, folder })
}

/// Every log of a state folder, in order.
pub(crate) fn places(state: &Path) -> Result<Vec<Place>, AuditError> {
    let mut found = Vec::new();
    for server in names(&state.join("logs"))?.into_iter().filter(|it| is_word(it)) {
        let folder = state.join("logs").join(&server);
        for name in names(&folder)? {
            let Some(number) = name.parse().ok().filter(|it: &u32| it.to_string() == name) else { continue };
            found.push(Place { server: server.clone(), number, folder: folder.join(name) });
        }
    }
    found.sort();
    Ok(found)
}

/// Reads what the other logs of the state folder know. Only what is durable counts: what a crash may still take away would
/// contradict us for ever.
pub(crate) fn siblings(state: &Path, ours: &Place, keys: &Keys) -> Result<Siblings, AuditError> {
    let mut it = Siblings { heads: Vec::new(), claims: Vec::new() };
    // Logs that were closed with their key are known by the record that closed them.
    for place in places(state)?.into_iter().filter(|it| it != ours && !it.is_retired()) {
        // Read while its writer overwrites it, a head is spoilt for a moment.
        let head = (0..3).find_map(|_| Head::read(&place.folder, keys).transpose()).transpose()?;
        let head = match head {
            Some((_, checkpoint)) => Some(checkpoint),
            None => last_checkpoint(&place, keys)?,
        };
        it.heads.extend(head.iter().map(Seen::from));
        it.claims.extend(match read_siblings(&place.folder, keys)? {
            Some(seen) => seen,
            None => claims(&place)?,
        });
    }
    Ok(it)
}

/// The heads of other logs that stand in a log's records.
pub(crate) fn claims(place: &Place) -> Result<Vec<Seen>, AuditError> {
    let mut found = Vec::new();
    let mut claims = |leaf: &[u8]| {
        if let Some(leaf) = Leaf::parse_own(leaf) {
            found.extend(leaf.facts.siblings.into_iter().flatten());
        }
    };
    let first = Segment::list(&place.folder)?.first().map_or(0, |it| it.first);
    dropped(&place.folder, 0, first, |_, leaf, _| {
        claims(leaf);
        Ok(())
    })?;
    let mut walk = Walk::new(&place.folder, Position { segment: first, offset: 0, index: first });
    while let Some(kind) = walk.step()? {
        if kind == Kind::Leaf {
            claims(walk.content());
        }
    }
    Ok(found)
}

pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, AuditError> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.at("open", path).map(Some),
    }
}

/// The last checkpoint in a journal that has no head beside it.
fn last_checkpoint(place: &Place, keys: &Keys) -> Result<Option<Checkpoint>, AuditError> {
    let segments = Segment::list(&place.folder)?;
    let Some(Segment { path, .. }) = segments.last() else { return Ok(None) };
    let read = replay(&segments, None, &[keys.signing().verifying_key()])?;
    // Its writer may not have synced it yet.
    File::open(path).and_then(|it| it.sync_data()).at("sync", path)?;
    Ok(read.state.checkpoint.map(|(checkpoint, _)| checkpoint))
}

/// The lock, unless another process has it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, AuditError> {
    let mut options = OpenOptions::new();
    let lock = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .at("open", path)?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        Ok(()) => {}
    }
    // Somebody may have moved the folder aside between opening and locking: then the lock guards nothing.
    let (held, named) = (lock.metadata().at("read", path)?, fs::metadata(path).at("read", path)?);
    Ok(((held.dev(), held.ino()) == (named.dev(), named.ino())).then_some(lock))
}

/// Names in a folder; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, AuditError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other.at("list", folder)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.at("list", folder)?.file_name().into_string().ok());
    }
    Ok(names)
}
