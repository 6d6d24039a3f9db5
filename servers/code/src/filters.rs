//! Which files need not be unpacked, because what a pattern needs is not in them? Known from filters that are made after a
//! search, beside it, and kept in the user's cache folder.
//!
//! * **Invariant:** a filter leaves out what cannot match, and nothing else: with filters and without them an answer is the
//!   same. What an answer counts of a content (lines of keys, lines too long) is not in a filter, so contents that
//!   have any of it are always searched.
//! * **Invariant:** a filter is of a content, not of a place: a blob's id is computed again before a filter is kept under it.
//! * **Invariant:** deleting the folder costs time and nothing else.

mod bits;
mod kept;
mod make;
mod wanted;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use config::Connection;
use gix::{
    ObjectId,
    hashtable::HashMap,
    objs::{Kind, compute_hash},
};

use self::kept::Known;
pub(crate) use self::wanted::Wanted;
use crate::backends::TreeFile;

/// What a filter says of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Binary,
    /// What is wanted is not in it.
    Without,
    /// It may match.
    Perhaps,
    /// There is none.
    Nothing,
}

/// What filters say of the blobs that a search is asked for.
pub(crate) type Said = HashMap<ObjectId, Says>;

/// From where on filters are worth it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    /// Files that a search is asked for, before filters are read.
    pub(crate) files: usize,
    /// Bytes that a search unpacked without a filter, before filters are made.
    pub(crate) bytes: u64,
    /// Between the starts of two makings.
    pub(crate) pause: Duration,
}

/// Filters of one repository.
pub(crate) struct Filters {
    connection: Connection,
    repository: PathBuf,
    file: PathBuf,
    least: Least,
    /// Whether some repository of this process is at it: one thread is enough to be beside all else.
    busy: Arc<AtomicBool>,
    /// Whether it was said that they cannot be used.
    is_said: AtomicBool,
    making: Mutex<Option<Making>>,
}

/// The thread that makes filters. Whoever drops it ends it and waits for its end.
struct Making {
    started: Instant,
    given_up: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Below the user's cache folder.
const FOLDER: &str = "search";

impl Least {
    pub(crate) const USUAL: Least =
        Least { files: 512, bytes: 32 * 1024 * 1024, pause: Duration::from_secs(10 * 60) };
}

impl Filters {
    /// Those of a repository, below a cache folder; nothing is read or written yet.
    pub(crate) fn new(
        connection: Connection,
        repository: PathBuf,
        cache: &Path,
        busy: Arc<AtomicBool>,
        least: Least,
    ) -> Filters {
        let path = repository.as_os_str().as_encoded_bytes();
        let name = compute_hash(gix::hash::Kind::Sha1, Kind::Blob, path);
        let name = name.map_or_else(|_| connection.name.clone(), |it| it.to_string());
        let file = cache.join(FOLDER).join(name).with_extension(kept::EXTENSION);
        Filters {
            connection,
            repository,
            file,
            least,
            busy,
            is_said: AtomicBool::new(false),
            making: Mutex::new(None),
        }
    }

    /// What they say, where so many files are asked for that it is worth reading them.
    pub(crate) fn say(&self, wanted: &Wanted, files: &[TreeFile]) -> Option<Said> {
        if files.len() < self.least.files || *wanted == Wanted::Anything {
            return None;
        }
        let mut said: Said = files.iter().map(|it| (it.id, Says::Nothing)).collect();
        let read = kept::each(&self.file, |id, known| {
            // Blobs of other revisions are kept beside these.
            let Some(says) = said.get_mut(&id) else { return };
            *says = match known {
                Known::Binary => Says::Binary,
                Known::Text(bits) if wanted.may_be_in(bits) => Says::Perhaps,
                Known::Text(_) => Says::Without,
            };
        });
        match read {
            Ok(()) => Some(said),
            Err(error) => {
                if !self.is_said.swap(true, Ordering::Relaxed) {
                    let file = self.file.display();
                    tracing::warn!(%error, %file, "filters of searches are not used, and made again");
                }
                said.values_mut().for_each(|it| *it = Says::Nothing);
                Some(said)
            }
        }
    }

    /// Makes filters of blobs that have none, where a search had to unpack much for want of them. Returns at once.
    pub(crate) fn make(&self, blobs: Vec<ObjectId>, bytes: u64) {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early =
            making.as_ref().is_some_and(|it| it.started.elapsed() < self.least.pause || !it.has_ended());
        if bytes < self.least.bytes || is_early || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let given_up = Arc::new(AtomicBool::new(false));
        let asked = make::Asked {
            connection: self.connection.clone(),
            repository: self.repository.clone(),
            file: self.file.clone(),
            blobs,
            given_up: given_up.clone(),
        };
        let free = Free(self.busy.clone());
        let thread = std::thread::Builder::new().name("filters".to_owned()).spawn(move || {
            let _free = free;
            if let Err(problem) = asked.make() {
                tracing::warn!(%problem, file = %asked.file.display(), "no filters of searches are kept");
            }
        });
        let thread =
            thread.inspect_err(|error| tracing::warn!(%error, "no thread to make filters of searches"));
        *making = Some(Making { started: Instant::now(), given_up, thread: thread.ok() });
    }

    /// Waits until no filters are being made.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        let mut making = self.making.lock().expect("nothing panicked");
        making.as_mut().and_then(|it| it.thread.take()).map(JoinHandle::join).transpose().expect("no panic");
    }

    #[cfg(test)]
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Making {
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
        if self.thread.take().is_some_and(|it| it.join().is_err()) {
            tracing::error!("what makes filters of searches panicked");
        }
    }
}

/// Lets the next repository make its filters, however this one ended.
struct Free(Arc<AtomicBool>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
