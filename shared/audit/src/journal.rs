//! When is something durable? Once [`Journal::append`] returns. Room is reserved ahead, so that a full disk is noticed
//! before a commit is begun, and what is kept back lets reads and outcomes still be recorded.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Last part of the reserve, kept for the checkpoint and the stop record.
const STOP_BYTES: u64 = 16 * 1024;

/// How long a full disk is left alone before it is asked for room again.
const PATIENCE: Duration = Duration::from_millis(200);

/// File name of a segment that is being made.
const DRAFT: &str = ".journal-next";

/// The last segment of a journal, which one process appends to.
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    end: u64,
    room: u64,
    ahead: Ahead,
    /// When the disk had no room.
    refused: Option<Instant>,
    /// When the disk had no room for another segment.
    not_followed: Option<Instant>,
}

/// How much room is reserved ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// Reserved at a time.
    pub(crate) chunk: u64,
    /// Kept for when the disk is full.
    pub(crate) reserve: u64,
}

/// What a commit is for, and so how much of the reserve it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// None of it.
    Effect,
    /// The first part.
    Read,
    /// All but what a stop needs.
    Outcome,
    /// All of it.
    Stop,
}

impl Journal {
    /// Goes on after `end`; what stands behind it must be zeros.
    pub(crate) fn new(file: File, path: PathBuf, end: u64, ahead: Ahead) -> io::Result<Journal> {
        let room = file.metadata()?.len();
        Ok(Journal { file, path, end, room, ahead, refused: None, not_followed: None })
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Reserves room so that after `bytes` more the whole reserve is still there. True if it is.
    pub(crate) fn make_room(&mut self, bytes: u64) -> io::Result<bool> {
        let wanted = self.end + bytes + self.ahead.reserve;
        if self.room >= wanted {
            return Ok(true);
        }
        if self.refused.is_some_and(|it| it.elapsed() < PATIENCE) {
            return Ok(false);
        }
        for goal in [wanted + self.ahead.chunk, wanted] {
            match extend(&self.file, self.room, goal) {
                Ok(()) => {
                    (self.room, self.refused) = (goal, None);
                    return Ok(true);
                }
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.refused = Some(Instant::now());
        Ok(false)
    }

    /// Goes on in another file that begins with `start`, which is durable before anything follows it. False where the disk has
    /// no room for it with the whole reserve: then this one goes on.
    pub(crate) fn follow_with(&mut self, next: &Path, start: &[u8]) -> io::Result<bool> {
        if self.not_followed.is_some_and(|it| it.elapsed() < PATIENCE) {
            return Ok(false);
        }
        let folder = next.parent().expect("a file in a log's folder");
        let draft = folder.join(DRAFT);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let end = start.len() as u64;
        let room = end + self.ahead.reserve + self.ahead.chunk;
        let made = extend(&file, 0, room).and_then(|()| {
            file.write_all_at(start, 0)?;
            file.sync_all()
        });
        match made {
            Err(error) if is_full(&error) => {
                let _ = fs::remove_file(&draft);
                self.not_followed = Some(Instant::now());
                return Ok(false);
            }
            other => other?,
        }
        // What this one holds may have been written by a process before, which ended before it was synced, or cut after it: nothing
        // stands behind what a loss of power takes away.
        self.file.sync_all()?;
        // Whole before it has its name, and the name durable before a record stands behind it.
        fs::rename(&draft, next)?;
        File::open(folder)?.sync_all()?;
        // What is left of the old one's room; zeros there mean nothing, so it matters to nobody else if this fails.
        let _ = self.file.set_len(self.end);
        *self = Journal { room, ..Journal::new(file, next.to_owned(), end, self.ahead)? };
        Ok(true)
    }

    /// Whether `bytes` fit without using more of the reserve than their use may.
    pub(crate) fn fits(&self, bytes: u64, for_what: Use) -> bool {
        let kept = match for_what {
            Use::Effect => self.ahead.reserve,
            Use::Read => self.ahead.reserve / 2,
            Use::Outcome => STOP_BYTES,
            Use::Stop => 0,
        };
        self.end + bytes + kept <= self.room
    }

    /// Writes a commit and waits until it is on disk. After an error nobody knows what is on disk: whether to go on is no
    /// question that a second attempt could answer, so the caller must append nothing more.
    pub(crate) fn append(&mut self, commit: &[u8]) -> io::Result<()> {
        self.file.write_all_at(commit, self.end)?;
        // Its length was settled when the room was reserved, so the content is all there is to sync.
        self.file.sync_data()?;
        self.end += commit.len() as u64;
        Ok(())
    }
}

/// Whether an error means that there is no room, now.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Makes a file longer by zeros that have their place on the disk. Leaves it as it was if that fails.
fn extend(file: &File, from: u64, to: u64) -> io::Result<()> {
    let extended = match fallocate(file, FallocateFlags::empty(), from, to - from) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => fill(file, from, to),
        other => other.map_err(io::Error::from),
    };
    // The new length must be durable before anything behind the old one is: `sync_data` of a commit sees to it, because
    // a length that reaches to the data is part of what it syncs.
    extended.inspect_err(|_| {
        let _ = file.set_len(from);
    })
}

/// Writes zeros, where the file system cannot reserve.
fn fill(file: &File, mut from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    while from < to {
        let count = zeros.len().min((to - from) as usize);
        file.write_all_at(&zeros[..count], from)?;
        from += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_cannot_be_synced_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        // A file that takes everything and syncs nothing.
        let (path, next) = (PathBuf::from("/dev/null"), folder.path().join("journal-1"));
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut journal = Journal::new(file, path, 0, Ahead { chunk: 1024, reserve: 0 }).unwrap();
        assert!(journal.follow_with(&next, b"start").is_err());
        assert!(!next.exists(), "nothing stands behind it");
    }
}
