//! What was published? C2SP tlog-tiles: checkpoint, hash tiles and entry bundles in a folder, read and compared leaf by leaf.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    Digest,
    error::{At, AuditError},
};

use super::{signed, tree};

/// Hashes in a full tile, leaves in a full bundle.
const WIDTH: u64 = 256;
/// Levels that 2^64 leaves have.
const LEVELS_MAX: u32 = 8;

/// A published folder.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) folder: PathBuf,
    /// The note, whoever signed it.
    pub(crate) note: Vec<u8>,
}

impl Published {
    /// The folder's checkpoint; none where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Published>, AuditError> {
        let path = folder.join("checkpoint");
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.at("open", &path)?,
        };
        let mut note = Vec::new();
        // One byte more than the longest, so that a longer one is seen to be one.
        file.take(signed::NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut note).at("read", &path)?;
        Ok(Some(Published { folder: folder.to_owned(), note }))
    }
}

/// Path of a tile or bundle below `tile/`: `x001/x234/067`, and `.p/<W>` behind it when it is partial.
pub(crate) fn place(level: &str, number: u64, width: u64) -> PathBuf {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    Path::new("tile").join(level).join(path + &partial)
}

/// Opens a tile or bundle, and says how wide it is: a partial one may have given way to the full one meanwhile.
fn open(folder: &Path, level: &str, number: u64, width: u64) -> Result<Option<(File, u64)>, AuditError> {
    for width in [width, WIDTH] {
        let path = folder.join(place(level, number, width));
        match File::open(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            other => return other.at("open", &path).map(|file| Some((file, width))),
        }
    }
    Ok(None)
}

/// Leaves of a published folder, in order.
pub(crate) struct Bundles {
    folder: PathBuf,
    size: u64,
    next: u64,
    bundle: Option<BufReader<File>>,
    /// Where the bundle ends.
    end: u64,
    leaf: Vec<u8>,
}

/// What came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A leaf.
    Leaf,
    /// Nothing: all of them were read.
    End,
    /// The bundle does not exist, or ends before its last leaf.
    Missing,
    /// The bundle before goes on behind its last leaf.
    Surplus,
}

impl Bundles {
    /// Leaves up to a size.
    pub(crate) fn new(folder: &Path, size: u64) -> Bundles {
        Bundles { folder: folder.to_owned(), size, next: 0, bundle: None, end: 0, leaf: Vec::new() }
    }

    pub(crate) fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    pub(crate) fn next(&mut self) -> Result<Came, AuditError> {
        let number = self.next / WIDTH;
        if self.next == self.end
            && let Some(mut bundle) = self.bundle.take()
            && bundle.read(&mut [0]).at("read", &self.folder)? > 0
        {
            return Ok(Came::Surplus);
        }
        if self.next == self.size {
            return Ok(Came::End);
        }
        if self.next.is_multiple_of(WIDTH) {
            let wanted = (self.size - self.next).min(WIDTH);
            let found = open(&self.folder, "entries", number, wanted)?;
            self.end = self.next + found.as_ref().map_or(wanted, |(_, width)| *width);
            self.bundle = found.map(|(file, _)| BufReader::new(file));
        }
        let Some(bundle) = &mut self.bundle else { return Ok(Came::Missing) };
        let mut length = [0; 2];
        let mut read = || {
            bundle.read_exact(&mut length)?;
            self.leaf.resize(usize::from(u16::from_be_bytes(length)), 0);
            bundle.read_exact(&mut self.leaf)
        };
        match read() {
            Ok(()) => self.next += 1,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Came::Missing),
            Err(error) => return Err(error).at("read", self.folder.join(place("entries", number, WIDTH))),
        }
        Ok(Came::Leaf)
    }
}

/// Compares what is published with the leaves that are seen.
pub(crate) struct Comparison {
    folder: PathBuf,
    size: u64,
    /// Per level, the hashes of the tile that is not full yet.
    levels: Vec<Vec<Digest>>,
    bundles: Bundles,
    /// Tiles and bundles that are not there.
    missing: Vec<PathBuf>,
    /// The first record that is published otherwise, and what says so.
    differs: Option<(u64, PathBuf)>,
}

/// What a comparison came to.
pub(crate) struct Compared {
    pub(crate) missing: Vec<PathBuf>,
    pub(crate) differs: Option<(u64, PathBuf)>,
}

impl Comparison {
    pub(crate) fn new(folder: &Path, size: u64) -> Comparison {
        Comparison {
            folder: folder.to_owned(),
            size,
            levels: vec![Vec::new()],
            bundles: Bundles::new(folder, size),
            missing: Vec::new(),
            differs: None,
        }
    }

    /// Leaves that are compared.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The first record so far that is published otherwise.
    pub(crate) fn differs_from(&self) -> Option<u64> {
        self.differs.as_ref().map(|(index, _)| *index)
    }

    /// Leaves come in their order, from the first.
    pub(crate) fn see(&mut self, index: u64, leaf: &[u8], hash: Digest) -> Result<(), AuditError> {
        if index >= self.size {
            return Ok(());
        }
        let mut came = self.bundles.next()?;
        if came == Came::Surplus {
            self.surplus(index);
            came = self.bundles.next()?;
        }
        match came {
            Came::Leaf if self.bundles.leaf() == leaf => {}
            Came::Leaf => self.differ(index, place("entries", index / WIDTH, WIDTH)),
            Came::Missing | Came::End | Came::Surplus => {
                self.lack(place("entries", index / WIDTH, (self.size - index / WIDTH * WIDTH).min(WIDTH)));
                // What is not there is not looked for again at every leaf of it.
                self.bundles = Bundles { next: index + 1, ..Bundles::new(&self.folder, self.size) };
            }
        }
        self.push(0, index, hash)
    }

    fn push(&mut self, level: u32, leaf: u64, hash: Digest) -> Result<(), AuditError> {
        if self.levels.len() <= level as usize {
            self.levels.push(Vec::new());
        }
        let hashes = &mut self.levels[level as usize];
        hashes.push(hash);
        if hashes.len() as u64 != WIDTH {
            return Ok(());
        }
        let hashes = std::mem::take(hashes);
        let number = leaf.checked_shr(8 * (level + 1)).unwrap_or(0);
        self.tile(level, number, &hashes)?;
        if level + 1 >= LEVELS_MAX {
            return Ok(());
        }
        let mut above = tree::Growing::default();
        hashes.into_iter().for_each(|it| above.push(it));
        self.push(level + 1, leaf, above.root())
    }

    /// Compares a tile with the hashes that it should begin with.
    fn tile(&mut self, level: u32, number: u64, hashes: &[Digest]) -> Result<(), AuditError> {
        let (name, width) = (level.to_string(), hashes.len() as u64);
        let path = place(&name, number, width);
        let Some((file, found)) = open(&self.folder, &name, number, width)? else {
            self.lack(path);
            return Ok(());
        };
        let mut bytes = Vec::new();
        // One byte more than the longest, so that a longer one is seen to be one.
        file.take(WIDTH * 32 + 1).read_to_end(&mut bytes).at("read", self.folder.join(&path))?;
        let differs =
            hashes.iter().zip(0usize..).find(|(it, at)| bytes.get(at * 32..at * 32 + 32) != Some(*it));
        if let Some((_, at)) = differs {
            let first = (number * WIDTH + at as u64).checked_shl(8 * level).unwrap_or(0);
            self.differ(first, path);
        } else if bytes.len() as u64 != found * 32 {
            self.differ((number * WIDTH + width - 1).checked_shl(8 * level).unwrap_or(0), path);
        }
        Ok(())
    }

    /// The bundle before a leaf holds more than its leaves.
    fn surplus(&mut self, index: u64) {
        let last = index.saturating_sub(1);
        self.differ(last, place("entries", last / WIDTH, WIDTH));
    }

    fn differ(&mut self, index: u64, path: PathBuf) {
        if self.differs.as_ref().is_none_or(|(before, _)| index < *before) {
            self.differs = Some((index, path));
        }
    }

    fn lack(&mut self, path: PathBuf) {
        const SHOWN: usize = 8;
        if self.missing.len() < SHOWN && self.missing.last() != Some(&path) {
            self.missing.push(path);
        }
    }

    /// Compares what is partial, once every leaf under the checkpoint was seen.
    pub(crate) fn end(mut self) -> Result<Compared, AuditError> {
        if self.bundles.next()? == Came::Surplus {
            self.surplus(self.size);
        }
        for (level, hashes) in std::mem::take(&mut self.levels).into_iter().enumerate() {
            if !hashes.is_empty() {
                let level = level as u32;
                let number = self.size.checked_shr(8 * (level + 1)).unwrap_or(0);
                self.tile(level, number, &hashes)?;
            }
        }
        Ok(Compared { missing: self.missing, differs: self.differs })
    }
}

/// Payloads of records whose segments were dropped: per record a length of four bytes, big-endian, and as many bytes.
pub(crate) struct KeptPayloads {
    folder: PathBuf,
    bundle: Option<BufReader<File>>,
    sealed: Vec<u8>,
}

/// What stands there of one record.
pub(crate) enum Kept<'a> {
    /// Its payload, empty where it has none.
    Sealed(&'a [u8]),
    /// The bundle does not exist, or ends before.
    Missing,
    /// It is the last one of its bundle, which goes on.
    Surplus,
}

impl KeptPayloads {
    /// Longest sealed payload: that of the longest frame.
    const SEALED_MAX: usize = 320 * 1024;

    pub(crate) fn new(log: &Path) -> KeptPayloads {
        KeptPayloads { folder: log.join("payloads"), bundle: None, sealed: Vec::new() }
    }

    /// The payload of the next record, in order from the first.
    pub(crate) fn next(&mut self, index: u64) -> Result<Kept<'_>, AuditError> {
        if index.is_multiple_of(WIDTH) {
            let name = place("", index / WIDTH, WIDTH);
            let path = self.folder.join(name.strip_prefix("tile").unwrap_or(&name));
            self.bundle = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                other => Some(BufReader::new(other.at("open", &path)?)),
            };
        }
        let Some(bundle) = &mut self.bundle else { return Ok(Kept::Missing) };
        let mut length = [0; 4];
        let mut read = || -> io::Result<bool> {
            bundle.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            if length > KeptPayloads::SEALED_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.sealed.resize(length, 0);
            bundle.read_exact(&mut self.sealed)?;
            let is_last = (index + 1).is_multiple_of(WIDTH);
            Ok(is_last && bundle.read(&mut [0])? > 0)
        };
        match read() {
            Ok(false) => Ok(Kept::Sealed(&self.sealed)),
            Ok(true) => Ok(Kept::Surplus),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Kept::Missing),
            Err(error) => Err(error).at("read", &self.folder),
        }
    }
}

/// Folders below a prefix that hold a checkpoint, the prefix itself among them.
pub(crate) fn folders(prefix: &Path) -> Result<Vec<PathBuf>, AuditError> {
    /// `<prefix>/bailiwick/<server>/<n>/<digits>`.
    const DEPTH: usize = 4;
    let (mut found, mut next) = (Vec::new(), vec![(prefix.to_owned(), 0)]);
    while let Some((folder, depth)) = next.pop() {
        if folder.join("checkpoint").is_file() {
            found.push(folder);
            continue;
        }
        if depth < DEPTH {
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let entry = entry.at("list", &folder)?;
                // Links are not followed: a folder that leads back to itself has no end.
                if entry.file_type().at("read", entry.path())?.is_dir() {
                    next.push((entry.path(), depth + 1));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(place("0", 1_234_067, 256), Path::new("tile/0/x001/x234/067"));
        assert_eq!(place("entries", 0, 5), Path::new("tile/entries/000.p/5"));
        assert_eq!(place("63", 1000, 255), Path::new("tile/63/x001/000.p/255"));
    }
}
