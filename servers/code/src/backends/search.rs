//! Which lines match? Blobs searched side by side on a few threads, each with its own handle on the objects.
//!
//! Most of the time goes into unpacking them. A work tree has the same files unpacked, and is not read in their place: what
//! git keeps of a file's times and size does not show a change through a mapping of its pages, so whoever can write the
//! file could put words into a revision; and to hold each file to its object's id takes as long as unpacking the object.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gix::{ObjectId, bstr::ByteSlice, odb::pack::cache::lru::MemoryCappedHashmap};

use super::{Opened, Stop, TreeFile, is_binary};
use crate::{
    closed,
    filters::{Said, Says},
    pattern::{Line, Pattern, Scanned},
    purpose::Purpose,
};

/// A file with matches.
#[derive(Debug)]
pub(crate) struct Matched {
    pub(crate) path: String,
    pub(crate) purpose: Purpose,
    /// Lines that match.
    pub(crate) count: u64,
    /// Some of them, those that define something first.
    pub(crate) lines: Vec<Line>,
}

/// What a search found and passed over.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) matched: Vec<Matched>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) binary: u64,
    pub(crate) large: u64,
    pub(crate) closed: u64,
    pub(crate) unreadable: u64,
    /// Lines too long to search.
    pub(crate) long_lines: u64,
    /// Lines of private keys, whether they match or not.
    pub(crate) key_lines: u64,
    /// Files of which only a part was searched before it was time to stop.
    pub(crate) cut: u64,
    /// Blobs of which filters were asked and said nothing, and how many bytes they are.
    pub(crate) unfiltered: (Vec<ObjectId>, u64),
}

/// Larger files are not searched.
pub(crate) const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Files that a thread takes at once.
const TAKEN: usize = 16;
const THREADS_MAX: usize = 8;
/// Unpacked bases of deltas that a thread keeps.
const DELTA_CACHE_BYTES: usize = 24 * 1024 * 1024;
/// Lines kept of one file, and how many fewer once so many are kept in all: memory stays bounded whatever matches.
const LINES_KEPT: usize = 40;
const KEPT_FEW: (u64, usize) = (30_000, 3);
const KEPT_NONE: (u64, usize) = (200_000, 0);

/// What the threads share.
struct Shared<'a> {
    files: &'a [TreeFile],
    pattern: &'a Pattern,
    said: Option<&'a Said>,
    next: AtomicUsize,
    kept: AtomicU64,
}

impl Opened<'_> {
    /// Searches files in their order, as many as there is time for. What filters say that cannot match is not unpacked.
    pub(crate) fn search(
        &self,
        files: &[TreeFile],
        pattern: &Pattern,
        said: Option<&Said>,
        stop: &Stop,
    ) -> Searched {
        let (next, kept) = (AtomicUsize::new(0), AtomicU64::new(0));
        let shared = Shared { files, pattern, said, next, kept };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.min(THREADS_MAX).min(files.len().div_ceil(TAKEN)).max(1);
        let git = self.git.clone().into_sync();
        let mut searched = Searched::default();
        std::thread::scope(|scope| {
            let start = |_| {
                let (git, shared, stop) = (&git, &shared, stop.twin());
                scope.spawn(move || {
                    let mut git = git.to_thread_local();
                    git.object_cache_size(None);
                    git.objects.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(DELTA_CACHE_BYTES)));
                    shared.work(&git, &stop)
                })
            };
            let started: Vec<_> = (0..threads).map(start).collect();
            for thread in started {
                match thread.join() {
                    Ok(part) => searched.add(part),
                    // The gate catches panics of tools in one place.
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        searched
    }
}

impl Shared<'_> {
    fn work(&self, git: &gix::Repository, stop: &Stop) -> Searched {
        let mut searched = Searched::default();
        loop {
            let first = self.next.fetch_add(TAKEN, Ordering::Relaxed);
            let Some(files) = self.files.get(first..).filter(|it| !it.is_empty()) else { return searched };
            for file in files.iter().take(TAKEN) {
                if stop.is_reached_now() {
                    return searched;
                }
                self.file(git, file, &mut searched, stop);
            }
        }
    }

    fn file(&self, git: &gix::Repository, file: &TreeFile, searched: &mut Searched, stop: &Stop) {
        let path = file.path.to_str_lossy();
        searched.files += 1;
        if closed::by_name(&path).is_some() {
            searched.closed += 1;
            return;
        }
        let says = self.said.and_then(|it| it.get(&file.id));
        match says {
            Some(Says::Binary) => {
                searched.binary += 1;
                return;
            }
            // Whether such a file is closed depends on what else it holds, and is counted.
            Some(Says::Without) if !closed::is_of_registry(&path) => return,
            _ => {}
        }
        match git.find_header(file.id).map(|it| it.size()) {
            Err(_) => searched.unreadable += 1,
            Ok(size) if size > FILE_BYTES_MAX => searched.large += 1,
            Ok(size) => match git.find_blob(file.id) {
                Err(_) => searched.unreadable += 1,
                Ok(blob) => {
                    if says == Some(&Says::Nothing) && !closed::is_of_registry(&path) {
                        searched.unfiltered.0.push(file.id);
                        searched.unfiltered.1 += size;
                    }
                    self.content(&path, &blob.data, searched, stop);
                }
            },
        }
    }

    fn content(&self, path: &str, content: &[u8], searched: &mut Searched, stop: &Stop) {
        if is_binary(content) {
            searched.binary += 1;
            return;
        }
        searched.bytes += content.len() as u64;
        let keeps = match self.kept.load(Ordering::Relaxed) {
            kept if kept > KEPT_NONE.0 => KEPT_NONE.1,
            kept if kept > KEPT_FEW.0 => KEPT_FEW.1,
            _ => LINES_KEPT,
        };
        // Decided and counted before the pattern is looked for: what a closed file or line holds must not show in what is
        // said of it, or a caller could find it out by asking often.
        if closed::by_content(path, content).is_some() {
            searched.closed += 1;
            return;
        }
        let keys = closed::key_lines(content);
        searched.key_lines += keys.iter().map(|it| it.len() as u64).sum::<u64>();
        let Scanned { count, lines, long_lines, is_cut } = self.pattern.scan(content, &keys, keeps, stop);
        searched.long_lines += long_lines;
        searched.cut += u64::from(is_cut);
        if count > 0 {
            self.kept.fetch_add(lines.len() as u64, Ordering::Relaxed);
            let purpose = Purpose::of(path).with_content(content);
            searched.matched.push(Matched { path: path.to_owned(), purpose, count, lines });
        }
    }
}

impl Searched {
    fn add(&mut self, other: Searched) {
        self.matched.extend(other.matched);
        self.files += other.files;
        self.bytes += other.bytes;
        self.binary += other.binary;
        self.large += other.large;
        self.closed += other.closed;
        self.unreadable += other.unreadable;
        self.long_lines += other.long_lines;
        self.key_lines += other.key_lines;
        self.cut += other.cut;
        self.unfiltered.0.extend(other.unfiltered.0);
        self.unfiltered.1 += other.unfiltered.1;
    }
}
