//! Where did the log stand after its last commit? A small file beside the journal, so that a start need not read all of it.
//!
//! It is written after the journal is durable and never synced before a stop: it may be older than the journal, never
//! newer. So it speeds a start up, and a journal that ends before it was cut.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Digest,
    error::{At, AuditError},
    keys::{Keys, random},
    merkle::Tree,
    note::Checkpoint,
    record::Seen,
};

/// File name in a log's folder.
pub(crate) const HEAD: &str = "head";
/// File name in a log's folder: every head of other logs that this one has seen, the largest of each.
pub(crate) const SIBLINGS: &str = "siblings";
/// With more open intents than this, the next start reads the journal.
const OPEN_MAX: usize = 256;

/// The state of a log after a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Signed note, as in the journal.
    pub(crate) checkpoint: String,
    /// First index of the segment that the journal ends with.
    #[serde(default)]
    pub(crate) segment: u64,
    /// Where the next frame begins in it.
    pub(crate) end: u64,
    /// Subtrees of the tree, in hex.
    frontier: Vec<String>,
    /// Intents without outcome: index and place of the leaf's frame in its segment; none when there are too many.
    open: Option<Vec<(u64, u64)>>,
    /// Whether the last record is a stop.
    pub(crate) stopped: bool,
}

impl Head {
    pub(crate) fn new(
        note: &str,
        (segment, end): (u64, u64),
        tree: &Tree,
        open: impl ExactSizeIterator<Item = (u64, u64)>,
        stopped: bool,
    ) -> Head {
        Head {
            checkpoint: note.to_owned(),
            segment,
            end,
            frontier: tree.frontier().iter().map(hex::encode).collect(),
            open: (open.len() <= OPEN_MAX).then(|| open.collect()),
            stopped,
        }
    }

    /// Reads what our own hand wrote and our own key signed; anything else counts as absent.
    pub(crate) fn read(folder: &Path, keys: &Keys) -> Result<Option<(Head, Checkpoint)>, AuditError> {
        let Some(head) = read_coded::<Head>(&folder.join(HEAD), HEAD, keys)? else { return Ok(None) };
        let signer = keys.signing().verifying_key();
        let checkpoint = Checkpoint::open(head.checkpoint.as_bytes(), &[signer]);
        Ok(checkpoint.ok().map(|checkpoint| (head, checkpoint)))
    }

    /// Overwrites the file. A write that is torn by a loss of power spoils the code, and the next start reads the journal.
    pub(crate) fn write(&self, file: &File, keys: &Keys) -> io::Result<()> {
        file.write_all_at(&coded(self, HEAD, keys), 0)
    }

    /// The tree, if it is the one that the checkpoint signs.
    pub(crate) fn tree(&self, checkpoint: &Checkpoint) -> Option<Tree> {
        let frontier: Option<Vec<Digest>> =
            self.frontier.iter().map(|it| hex::decode(it).ok()?.try_into().ok()).collect();
        Tree::from_frontier(checkpoint.size, frontier?).filter(|it| it.root() == checkpoint.root)
    }

    pub(crate) fn open(&self) -> Option<&[(u64, u64)]> {
        self.open.as_deref()
    }
}

/// How many records a log had when its head was written, as the head says: who asks holds no key and believes nothing by it.
pub(crate) fn size(folder: &Path) -> Result<Option<u64>, AuditError> {
    let path = folder.join(HEAD);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("read", &path)?,
    };
    let line = bytes.split(|it| *it == b'\n').next().unwrap_or_default();
    let head: Option<Head> = serde_json::from_slice(line).ok();
    Ok(head.and_then(|it| Checkpoint::parse(it.checkpoint.as_bytes())).map(|it| it.size))
}

/// Reads which heads of other logs a log has seen; none when the file is absent or not ours.
pub(crate) fn read_siblings(folder: &Path, keys: &Keys) -> Result<Option<Vec<Seen>>, AuditError> {
    read_coded(&folder.join(SIBLINGS), SIBLINGS, keys)
}

/// Replaces the file as a whole.
pub(crate) fn write_siblings(folder: &Path, seen: &[Seen], keys: &Keys) -> Result<(), AuditError> {
    let draft = folder.join(format!(".{SIBLINGS}.{}", hex::encode(random::<8>())));
    fs::write(&draft, coded(&seen, SIBLINGS, keys)).at("write", &draft)?;
    fs::rename(&draft, folder.join(SIBLINGS)).at("name", &draft)
}

/// One line of JSON and one line of code over it and the file's name.
fn coded(content: &impl Serialize, name: &str, keys: &Keys) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(content).expect("plain data");
    bytes.push(b'\n');
    let code = keys.code(&[name.as_bytes(), b"\n", &bytes].concat());
    bytes.extend(hex::encode(code).bytes());
    bytes.push(b'\n');
    bytes
}

fn read_coded<T: DeserializeOwned>(path: &Path, name: &str, keys: &Keys) -> Result<Option<T>, AuditError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.at("read", path)?,
    };
    let read = || {
        // What follows the second line is left from a longer content before.
        let end = bytes.iter().position(|it| *it == b'\n')? + 1;
        let (content, rest) = bytes.split_at(end);
        let code = hex::decode(rest.get(..64)?).ok()?;
        let ours = keys.is_code(&[name.as_bytes(), b"\n", content].concat(), &code);
        ours.then(|| serde_json::from_slice(content).ok()).flatten()
    };
    Ok(read())
}
