//! How are filters made? From the blobs that a search unpacked, read once more by a thread that nobody waits for.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use config::Connection;
use gix::{
    ObjectId,
    hashtable::HashSet,
    objs::{Kind, compute_hash},
};
use memchr::memmem;

use super::{
    bits::Maker,
    kept::{self, Known, Writing},
};
use crate::{
    backends::{FILE_BYTES_MAX, Opened, Repository, is_binary},
    closed,
    pattern::LINE_BYTES_MAX,
};

/// What filters are made of, and for which file.
pub(super) struct Asked {
    pub(super) connection: Connection,
    pub(super) repository: PathBuf,
    pub(super) file: PathBuf,
    pub(super) blobs: Vec<ObjectId>,
    pub(super) given_up: Arc<AtomicBool>,
}

impl Asked {
    /// Puts filters of these blobs, and those that were there before, where searches look for them.
    pub(super) fn make(&self) -> Result<(), String> {
        let repository = Repository::new(self.connection.clone(), self.repository.clone());
        let mut opened = repository.open().map_err(|error| error.to_string())?;
        // Each is read once.
        opened.git.object_cache_size(None);
        match self.write(&opened) {
            // Another process is at it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            written => written.map_err(|error| error.to_string()),
        }
    }

    fn write(&self, opened: &Opened<'_>) -> io::Result<()> {
        let mut writing = Writing::start(self.file.clone())?;
        let mut asked: HashSet = self.blobs.iter().copied().collect();
        // Another process may have made some of them. What is wrong with a file was said by the search that could not use
        // it; this takes its place.
        let mut before = HashSet::default();
        let visit = |id, _: Known<'_>| before.extend(asked.contains(&id).then_some(id));
        let is_whole = kept::each(&self.file, visit).is_ok();
        if is_whole {
            asked.retain(|it| !before.contains(it));
        }
        let mut written = HashSet::default();
        let mut maker = Maker::new();
        for id in self.blobs.iter().filter(|it| asked.contains(*it)) {
            if self.given_up.load(Ordering::Acquire) {
                return Ok(());
            }
            if written.insert(*id) && !add(opened, *id, &mut maker, &mut writing)? {
                break;
            }
        }
        if is_whole {
            // What no search asked for just now is left out first where there is no room.
            let mut added = Ok(true);
            kept::each(&self.file, |id, known| {
                if matches!(added, Ok(true)) && !written.contains(&id) {
                    added = writing.add(id, known);
                }
            })?;
            added?;
        }
        writing.place()
    }
}

/// Adds what is to be known of a blob, and says whether there was room. Blobs that cannot be read, or are not what their id
/// says, are left to searches.
fn add(opened: &Opened<'_>, id: ObjectId, maker: &mut Maker, writing: &mut Writing) -> io::Result<bool> {
    let size = opened.git.find_header(id).map(|it| it.size());
    if !size.is_ok_and(|it| it <= FILE_BYTES_MAX) {
        return Ok(true);
    }
    let Ok(blob) = opened.git.find_blob(id) else { return Ok(true) };
    if !compute_hash(id.kind(), Kind::Blob, &blob.data).is_ok_and(|it| it == id) {
        return Ok(true);
    }
    let bits = match &*blob.data {
        content if is_binary(content) => return writing.add(id, Known::Binary),
        content if is_counted(content) => None,
        content => maker.bits(content),
    };
    writing.add(id, Known::Text(&bits.unwrap_or_default()))
}

/// Whether an answer counts something of this content even where nothing matches.
fn is_counted(content: &[u8]) -> bool {
    closed::is_suspect(content)
        || memmem::find(content, b"PRIVATE KEY").is_some()
        || content.split(|it| *it == b'\n').any(|it| it.len() >= LINE_BYTES_MAX)
}
