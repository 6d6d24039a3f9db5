//! How are the filters of a repository kept? In one file, which is replaced as a whole.
//!
//! Its name is of the repository's path. It holds a mark with the format's version, one record for each blob (its id, how many
//! bytes follow, those bytes), and a checksum over all of it. A file that is not of this form, or that others may write,
//! is not used.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crc32fast::Hasher;
use gix::ObjectId;

/// What is known of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Binary,
    /// Text with these bits; without any, it may hold anything.
    Text(&'a [u8]),
}

/// How such a file's name ends.
pub(super) const EXTENSION: &str = "grams";
/// The last digit is the version: of the form, of the bits and of what is folded in them.
const MARK: [u8; 16] = *b"bailiwick grams1";
const ID_BYTES: usize = 20;
const HEAD_BYTES: usize = ID_BYTES + 2;
/// In place of how many bytes follow.
const BINARY: u16 = u16::MAX;
/// In place of an id, before the checksum: no object has it.
const END: [u8; ID_BYTES] = [0; ID_BYTES];
const BUFFER_BYTES: usize = 256 * 1024;
/// Of one file, and of all in the folder.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const FOLDER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// What a process left behind that was killed while it wrote.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Calls `visit` with every record. Nothing that was visited counts unless the end is `Ok`, for only then is the checksum right.
/// A file that is not there has no records.
pub(super) fn each(path: &Path, mut visit: impl FnMut(ObjectId, Known<'_>)) -> io::Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let (mut sum, mut mark, mut head, mut body) =
        (Hasher::new(), [0; MARK.len()], [0; HEAD_BYTES], Vec::new());
    file.read_exact(&mut mark)?;
    if mark != MARK {
        return Err(io::Error::other("it is of another version, or something else"));
    }
    sum.update(&mark);
    loop {
        file.read_exact(&mut head)?;
        sum.update(&head);
        let (id, [low, high]) = (&head[..ID_BYTES], [head[ID_BYTES], head[ID_BYTES + 1]]);
        let length = u16::from_le_bytes([low, high]);
        if id == END {
            break;
        }
        let id = ObjectId::from_bytes_or_panic(id);
        if length == BINARY {
            visit(id, Known::Binary);
            continue;
        }
        body.resize(usize::from(length), 0);
        file.read_exact(&mut body)?;
        sum.update(&body);
        visit(id, Known::Text(&body));
    }
    let mut said = [0; 4];
    file.read_exact(&mut said)?;
    let is_whole = u32::from_le_bytes(said) == sum.finalize() && file.read(&mut [0])? == 0;
    is_whole.then_some(()).ok_or_else(|| io::Error::other("it is damaged"))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    // Looked at before it is opened: a pipe would wait for whoever writes it.
    match metadata.is_file() && metadata.permissions().mode() & 0o077 == 0 {
        true => File::open(path).map(Some),
        false => Err(io::Error::other("it is no plain file of mode 0600")),
    }
}

/// A file that will take another's place.
pub(super) struct Writing {
    path: PathBuf,
    beside: PathBuf,
    file: BufWriter<File>,
    sum: Hasher,
    bytes: u64,
    is_placed: bool,
}

impl Writing {
    /// Fails where another process is at it.
    pub(super) fn start(path: PathBuf) -> io::Result<Writing> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        own_folder(folder)?;
        let beside = path.with_extension("new");
        let age =
            |it: fs::Metadata| it.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok());
        if fs::symlink_metadata(&beside).ok().and_then(age).is_some_and(|it| it > ABANDONED) {
            fs::remove_file(&beside)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut writing = Writing { path, beside, file, sum: Hasher::new(), bytes: 0, is_placed: false };
        writing.write(&MARK)?;
        Ok(writing)
    }

    /// Adds a record and says whether there was room for it.
    pub(super) fn add(&mut self, id: ObjectId, known: Known<'_>) -> io::Result<bool> {
        let (length, body) = match known {
            Known::Binary => (BINARY, [].as_slice()),
            Known::Text(bits) => (u16::try_from(bits.len()).map_err(io::Error::other)?, bits),
        };
        if id.is_null() || self.bytes + (HEAD_BYTES + body.len()) as u64 > FILE_BYTES_MAX {
            return Ok(false);
        }
        self.write(id.as_slice())?;
        self.write(&length.to_le_bytes())?;
        self.write(body)?;
        Ok(true)
    }

    /// Puts it where it belongs, and removes the oldest of other repositories where they are too many.
    pub(super) fn place(mut self) -> io::Result<()> {
        self.write(&END)?;
        self.write(&[0, 0])?;
        let sum = self.sum.clone().finalize();
        self.file.write_all(&sum.to_le_bytes())?;
        self.file.flush()?;
        fs::rename(&self.beside, &self.path)?;
        self.is_placed = true;
        make_room(&self.path)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_placed {
            // Another write removes it when it is old enough.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes the folder, closed to others, or refuses one that is open to them.
fn own_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    match metadata.is_dir() && metadata.permissions().mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::other("its folder is not of mode 0700")),
    }
}

fn make_room(just_written: &Path) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(just_written.parent().unwrap_or(Path::new("/")))? {
        let (path, metadata) = entry.and_then(|it| Ok((it.path(), it.metadata()?)))?;
        if path.extension().is_some_and(|it| it == EXTENSION) {
            kept.push((metadata.modified()?, metadata.len(), path));
        }
    }
    kept.sort();
    let mut bytes: u64 = kept.iter().map(|it| it.1).sum();
    for (_, length, path) in kept.iter().filter(|it| it.2 != just_written) {
        if bytes <= FOLDER_BYTES_MAX {
            break;
        }
        fs::remove_file(path)?;
        bytes -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn id(number: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[number; ID_BYTES])
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("own/shop.grams");
        let mut writing = Writing::start(path.clone()).expect("ours");
        assert!(Writing::start(path.clone()).is_err(), "one at a time");
        let wide = vec![7; 32 * 1024];
        for (number, known) in [(1, Known::Binary), (2, Known::Text(&[])), (3, Known::Text(&wide))] {
            assert!(writing.add(id(number), known).expect("written"));
        }
        assert!(!writing.add(id(0), Known::Binary).expect("refused"), "no object has this id");
        writing.place().expect("placed");
        let mut found = Vec::new();
        let visit =
            |id: ObjectId, known: Known<'_>| found.push((id, matches!(known, Known::Text(it) if it == wide)));
        each(&path, visit).expect("whole");
        assert_eq!(found, [(id(1), false), (id(2), false), (id(3), true)]);
    }

    #[test]
    fn the_oldest_of_other_repositories_make_room_and_what_was_abandoned_is_removed() {
        let folder = TempDir::new().expect("a folder");
        let own = folder.path().join("own");
        own_folder(&own).expect("ours");
        let now = SystemTime::now();
        for (name, age) in [("old.grams", 9), ("older.grams", 99), ("shop.new", ABANDONED.as_secs() + 9)] {
            let file = File::create(own.join(name)).expect("a file");
            file.set_len(FOLDER_BYTES_MAX * 2 / 3).expect("a hole");
            file.set_modified(now - Duration::from_secs(age)).expect("a time");
        }
        Writing::start(own.join("shop.grams")).and_then(Writing::place).expect("placed");
        let mut names: Vec<_> =
            fs::read_dir(&own).expect("ours").map(|it| it.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, ["old.grams", "shop.grams"]);
    }
}
