//! Where does a journal go on? In segments, one file after the other, each readable without those before it.

use std::{
    fs::{self, File},
    io::{self, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::{
    AuditError, Digest,
    error::At,
    frame::{Frames, Kind, Next, put},
    merkle::Tree,
};

/// File name of the first segment.
pub(crate) const JOURNAL: &str = "journal";
/// First line of the first segment's header frame.
pub(crate) const HEADER: &str = "bailiwick journal v1";
/// First line of the header frame of every later segment.
const SEGMENT_HEADER: &str = "bailiwick segment v1";

/// One file of a journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// Index of its first record.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

/// What the first frame of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) origin: String,
    /// The tree before the segment's first record.
    pub(crate) tree: Tree,
}

/// A place between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// First index of the segment.
    pub(crate) segment: u64,
    /// Byte of the segment.
    pub(crate) offset: u64,
    /// Index of the record that comes next.
    pub(crate) index: u64,
}

/// Where a journal goes on behind so many records; none where no commit ends there.
pub(crate) fn end_of_commit(folder: &Path, size: u64) -> Result<Option<Position>, AuditError> {
    let segments = Segment::list(folder)?;
    let Some(segment) = Segment::of(&segments, size) else { return Ok(None) };
    let first = segment.first;
    let mut walk = Walk::new(folder, Position { segment: first, offset: 0, index: first });
    // Up to the checkpoint over so many, which is none where a segment begins with them.
    let mut closed = size == first;
    while walk.position().index < size || !closed {
        match walk.step()? {
            Some(Kind::Leaf) if walk.position().index > size => return Ok(None),
            Some(kind) => closed = kind == Kind::Checkpoint && walk.position().index == size,
            None => return Ok(None),
        }
    }
    Ok(Some(walk.position()))
}

/// Reads the frames of a journal one after the other, from segment to segment, and judges nothing.
pub(crate) struct Walk {
    folder: PathBuf,
    position: Position,
    frames: Option<Frames<BufReader<File>>>,
    origin: Option<String>,
}

impl Segment {
    /// The segment of a log's folder that begins with this record, whether it exists or not.
    pub(crate) fn at(folder: &Path, first: u64) -> Segment {
        let path = match first {
            0 => folder.join(JOURNAL),
            _ => folder.join(format!("{JOURNAL}-{first:020}")),
        };
        Segment { first, path }
    }

    /// Those that exist, in order.
    pub(crate) fn list(folder: &Path) -> Result<Vec<Segment>, AuditError> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("list", folder)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.at("list", folder)?.file_name();
            found.extend(name.to_str().and_then(first_of).map(|first| Segment::at(folder, first)));
        }
        found.sort();
        Ok(found)
    }

    /// What it begins with; none where that is no header.
    pub(crate) fn header(&self) -> Result<Option<Header>, AuditError> {
        let file = File::open(&self.path).at("open", &self.path)?;
        let mut frames = Frames::new(BufReader::new(file), 0);
        let found = frames.step().at("read", &self.path)? == Next::Frame(Kind::Header);
        Ok(found.then(|| Header::parse(frames.content())).flatten())
    }

    /// The last of them that begins at or before a record.
    pub(crate) fn of(segments: &[Segment], index: u64) -> Option<&Segment> {
        segments.iter().rfind(|it| it.first <= index)
    }
}

/// The first index that a file's name says; none of any other file.
fn first_of(name: &str) -> Option<u64> {
    if name == JOURNAL {
        return Some(0);
    }
    let digits = name.strip_prefix(JOURNAL)?.strip_prefix('-')?;
    let first = (digits.len() == 20).then(|| digits.parse().ok()).flatten()?;
    (first > 0 && digits.bytes().all(|it| it.is_ascii_digit())).then_some(first)
}

impl Header {
    pub(crate) fn parse(content: &[u8]) -> Option<Header> {
        let text = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
        let mut lines = text.split('\n');
        let (format, origin) = (lines.next()?, lines.next()?.to_owned());
        if format == HEADER {
            return lines.next().is_none().then(|| Header { origin, tree: Tree::default() });
        }
        let size = lines.next().filter(|it| format == SEGMENT_HEADER && !it.starts_with(['0', '+']))?;
        let subtrees: Option<Vec<Digest>> = lines.map(|it| hex::decode(it).ok()?.try_into().ok()).collect();
        Some(Header { origin, tree: Tree::from_frontier(size.parse().ok()?, subtrees?)? })
    }

    /// The frame that a segment begins with.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let Header { origin, tree } = self;
        let mut text = match tree.size() {
            0 => format!("{HEADER}\n{origin}\n"),
            size => format!("{SEGMENT_HEADER}\n{origin}\n{size}\n"),
        };
        for subtree in tree.frontier() {
            text.push_str(&hex::encode(subtree));
            text.push('\n');
        }
        put(out, Kind::Header, text.as_bytes());
    }
}

impl Walk {
    pub(crate) fn new(folder: &Path, position: Position) -> Walk {
        Walk { folder: folder.to_owned(), position, frames: None, origin: None }
    }

    /// Where the next frame begins.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The log's name, once a header was passed.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Content of the last frame.
    pub(crate) fn content(&self) -> &[u8] {
        self.frames.as_ref().map(Frames::content).unwrap_or_default()
    }

    /// Steps over the next leaf, payload or checkpoint; none where there is nothing more. Headers and the checkpoints that
    /// only join two segments are passed over.
    pub(crate) fn step(&mut self) -> Result<Option<Kind>, AuditError> {
        loop {
            let Some(kind) = self.frame()? else {
                // A segment of this name exists only once the one before it ends here.
                let next = Segment::at(&self.folder, self.position.index);
                if self.position.index == self.position.segment || !next.path.exists() {
                    return Ok(None);
                }
                self.position = Position { segment: next.first, offset: 0, index: next.first };
                self.frames = None;
                continue;
            };
            match kind {
                Kind::Header => {
                    let header = Header::parse(self.content());
                    let Some(header) = header.filter(|it| it.tree.size() == self.position.segment) else {
                        return Ok(None);
                    };
                    self.origin = Some(header.origin);
                }
                Kind::Checkpoint if self.joins() => {}
                Kind::Leaf => {
                    self.position.index += 1;
                    return Ok(Some(kind));
                }
                _ => return Ok(Some(kind)),
            }
        }
    }

    /// Whether no record of a later segment was passed yet.
    fn joins(&self) -> bool {
        self.position.segment > 0 && self.position.index == self.position.segment
    }

    /// One frame of the segment at hand.
    fn frame(&mut self) -> Result<Option<Kind>, AuditError> {
        let Segment { path, .. } = Segment::at(&self.folder, self.position.segment);
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None => {
                let mut file = match File::open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    other => other.at("open", &path)?,
                };
                file.seek(SeekFrom::Start(self.position.offset)).at("read", &path)?;
                // Most of what lies ahead may be room that nothing is in yet: reading it takes memory too.
                let input = BufReader::with_capacity(32 * 1024, file);
                self.frames.insert(Frames::new(input, self.position.offset))
            }
        };
        let Next::Frame(kind) = frames.step().at("read", &path)? else { return Ok(None) };
        self.position.offset = frames.offset();
        Ok(Some(kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::merkle::leaf_hash;

    proptest! {
        #[test]
        fn a_header_reads_back(size in 0u8..200) {
            let mut tree = Tree::default();
            (0..size).for_each(|it| tree.push(leaf_hash(&[it])));
            let header = Header { origin: "bailiwick/code/0/00ff".to_owned(), tree };
            let mut bytes = Vec::new();
            header.put(&mut bytes);
            let mut frames = Frames::new(bytes.as_slice(), 0);
            prop_assert_eq!(frames.step().unwrap(), Next::Frame(Kind::Header));
            prop_assert_eq!(Header::parse(frames.content()), Some(header));
        }

        #[test]
        fn arbitrary_bytes_are_no_header(bytes in collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Header::parse(&bytes), None);
        }
    }

    #[test]
    fn only_segments_are_listed_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["journal", "journal-00000000000000000300", "journal-00000000000000000040", "journal-5"];
        for name in names.into_iter().chain(["head", ".journal-next", "journal-0000000000000000000x"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let found: Vec<u64> = Segment::list(folder.path()).unwrap().iter().map(|it| it.first).collect();
        assert_eq!(found, [0, 40, 300]);
    }

    #[test]
    fn a_header_whose_subtrees_do_not_fit_its_index_is_none() {
        let hash = "0".repeat(64);
        for size in ["0", "2", "03", "+3", "x", ""] {
            let text = format!("{SEGMENT_HEADER}\no\n{size}\n{hash}\n{hash}\n");
            assert_eq!(Header::parse(text.as_bytes()), None, "{size}");
        }
        let text = format!("{SEGMENT_HEADER}\no\n3\n{hash}\n{hash}\n");
        assert_eq!(Header::parse(text.as_bytes()).unwrap().tree.size(), 3);
    }
}
