//! Where does what was sent stand? Per sender and key in a folder that is laid out like the state folder it came from, so that
//! whatever reads one reads the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use ed25519_dalek::VerifyingKey as PublicKey;
use sha2::{Digest as _, Sha256};

use super::{Declined, Delivery, Line, delivery::checkpoints, lock};
use crate::{
    AuditError, Digest, Folder, VerifyingKey,
    error::At,
    frame::{Kind, put},
    keys::{NAME, random, sync_folder},
    pool::{names, places},
    segment::{Header, JOURNAL},
    verify::{
        frames::{self, Frames},
        tree::{self, Growing},
    },
};

/// Folder of everything that was sent.
const SENDERS: &str = "senders";
/// File of the key that a source's logs are signed with.
const KEY: &str = "key";
/// Folder of what was declined because it contradicts, in a log's folder.
pub(crate) const REFUSED: &str = "refused";
/// File in a log's folder: how many bytes of its journal were acknowledged.
const ACKNOWLEDGED: &str = "acknowledged";
/// Beginning of the name of a log's folder that is being made.
const DRAFT: &str = ".new-";
/// Most logs of one collector.
const LOGS_MAX: usize = 100_000;
/// Most declined deliveries that are kept of one log and kind, and the longest that is kept whole.
const EVIDENCE_MAX: usize = 8;
const EVIDENCE_BYTES_MAX: usize = 1 << 20;

/// Everything that was sent by one sender under one key: a state folder without secrets.
pub(crate) struct Source {
    pub(crate) sender: String,
    pub(crate) key: VerifyingKey,
    pub(crate) folder: PathBuf,
}

/// All logs that are held.
pub(super) struct Shelf {
    root: Folder,
    path: PathBuf,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// By origin.
    logs: HashMap<String, Arc<Entry>>,
    /// Folders of logs, those among them that cannot be read.
    folders: HashSet<PathBuf>,
}

/// A log that is held.
pub(super) struct Entry {
    pub(super) origin: String,
    pub(super) sender: String,
    pub(super) key: PublicKey,
    folder: PathBuf,
    /// What is known of it, while it grows. Held over comparing and writing.
    pub(super) held: Mutex<Option<Held>>,
    /// Whether a sync failed: nobody knows what is on the disk until it is read anew.
    broken: AtomicBool,
}

/// What stands in a journal.
pub(super) struct Held {
    pub(super) line: Line,
    /// Bytes up to the last checkpoint; none where there is no journal yet.
    end: u64,
}

/// Every source below a collector's folder, in order.
pub(crate) fn sources(state: &Path) -> Result<Vec<Source>, AuditError> {
    let mut found = Vec::new();
    let senders = state.join(SENDERS);
    for sender in names(&senders)? {
        for name in names(&senders.join(&sender))?.into_iter().filter(|it| !it.starts_with('.')) {
            let folder = senders.join(&sender).join(name);
            let path = folder.join(KEY);
            let text = match fs::read_to_string(&path) {
                // Cut off before the key had its name: no log is begun before that.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.join("logs").exists() => {
                    continue;
                }
                other => other.at("read", &path)?,
            };
            let key = text.trim().parse().map_err(|error| AuditError::Keys {
                path,
                problem: format!("{error}; without it nothing here can be verified"),
            })?;
            found.push(Source { sender: sender.clone(), key, folder });
        }
    }
    Ok(found)
}

impl Shelf {
    pub(super) fn open(state: &Path) -> Result<Shelf, AuditError> {
        let mut index = Index::default();
        for source in sources(state)? {
            for place in places(&source.folder)? {
                index.folders.insert(place.folder.clone());
                let Some(origin) = origin(&place.folder)? else {
                    tracing::error!(folder = %place.folder.display(), "a log that cannot be read; it is left as it is");
                    continue;
                };
                let entry = Entry {
                    origin: origin.clone(),
                    sender: source.sender.clone(),
                    key: *source.key.public(),
                    folder: place.folder,
                    held: Mutex::default(),
                    broken: AtomicBool::default(),
                };
                index.logs.insert(origin, Arc::new(entry));
            }
            remove_drafts(&source.folder.join("logs"))?;
        }
        Ok(Shelf { root: Folder::private(state), path: state.to_owned(), index: Mutex::new(index) })
    }

    pub(super) fn logs(&self) -> usize {
        lock(&self.index).logs.len()
    }

    pub(super) fn find(&self, origin: &str) -> Option<Arc<Entry>> {
        lock(&self.index).logs.get(origin).cloned()
    }

    /// A place for a log that was not seen before: pinned to its sender and its key from here on. Nothing stands there yet.
    pub(super) fn reserve(&self, sender: &str, sent: &Delivery<'_>) -> Result<Arc<Entry>, Declined> {
        let key = *sent.key.public();
        let id = hex::encode(&Sha256::digest(key.as_bytes())[..16]);
        let source = Path::new(SENDERS).join(sender).join(id);
        // Before the first record, and the same whoever writes it.
        let name = VerifyingKey::new(NAME, key);
        self.root.put(&source.join(KEY).display().to_string(), format!("{name}\n").as_bytes())?;
        let (server, number) = sent.place();
        let logs = self.path.join(source).join("logs").join(server);
        let mut index = lock(&self.index);
        if let Some(entry) = index.logs.get(&sent.origin) {
            return Ok(entry.clone());
        }
        if index.logs.len() >= LOGS_MAX {
            return Err(Declined::Full(LOGS_MAX));
        }
        // Its own number where that is free: with a key of its own in each run it always is.
        let mut numbers = std::iter::once(number).chain(0..);
        let folder = numbers.find_map(|it| {
            let folder = logs.join(it.to_string());
            (!index.folders.contains(&folder)).then_some(folder)
        });
        let folder = folder.ok_or(Declined::Full(LOGS_MAX))?;
        index.folders.insert(folder.clone());
        let entry = Arc::new(Entry {
            origin: sent.origin.clone(),
            sender: sender.to_owned(),
            key,
            folder,
            held: Mutex::default(),
            broken: AtomicBool::default(),
        });
        index.logs.insert(sent.origin.clone(), entry.clone());
        Ok(entry)
    }

    /// Reads what an earlier process wrote, checks it, and makes it durable: what is told from here on counts as held.
    pub(super) fn load(&self, entry: &Entry) -> Result<Held, AuditError> {
        if entry.broken.load(Relaxed) {
            return Err(AuditError::Closed { why: "a sync failed; start the collector again".to_owned() });
        }
        let path = entry.journal();
        let mut line = Line::new(&entry.origin, entry.key);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held { line, end: 0 }),
            other => other.at("open", &path)?,
        };
        let damaged = |problem: &str| AuditError::Damaged {
            log: entry.origin.clone(),
            problem: format!("{problem}, in {}", path.display()),
        };
        let mut whole = Held { line: line.clone(), end: 0 };
        let (mut input, mut offset) = (BufReader::with_capacity(256 * 1024, &file), 0);
        while let Some((ends, bytes)) = line.step(&mut input).map_err(|it| damaged(&it.to_string()))? {
            offset += bytes;
            if ends {
                whole = Held { line: line.clone(), end: offset };
            }
        }
        let behind = frames::behind(&path, whole.end, &[entry.key])?;
        // Only a loss of power lets a later part of one write through and not what stands before it; that was told to nobody.
        let told = entry.told();
        let lost = told.is_some_and(|end| whole.end < end);
        if lost || whole.end == 0 || (behind.signed && told.is_none()) {
            return Err(damaged("bytes that were acknowledged are changed or gone"));
        }
        if behind.bytes > 0 {
            // A commit that was cut off: nobody was told of it, and its sender still has it.
            entry.put_aside(&file, &whole, behind.bytes)?;
        }
        file.sync_all().at("sync", &path)?;
        Ok(whole)
    }

    /// Makes commits durable behind what is held.
    pub(super) fn append(&self, entry: &Entry, held: &mut Held, commits: &[u8]) -> Result<(), AuditError> {
        let path = entry.journal();
        if held.end == 0 {
            self.begin(entry, commits)?;
            held.end = commits.len() as u64;
            entry.tell(held.end);
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(&path).at("open", &path)?;
        if let Err(error) = file.write_all_at(commits, held.end) {
            // What is there of it was never acknowledged; whatever is left is put aside when it is read again.
            let _ = file.set_len(held.end);
            return Err(error).at("write", &path);
        }
        file.sync_data().inspect_err(|_| entry.broken.store(true, Relaxed)).at("sync", &path)?;
        held.end += commits.len() as u64;
        entry.tell(held.end);
        Ok(())
    }

    /// Makes a log whole, with its first commits, before it has its name.
    fn begin(&self, entry: &Entry, commits: &[u8]) -> Result<(), AuditError> {
        let parent = entry.folder.parent().expect("a folder of its server's");
        let draft = parent.join(format!("{DRAFT}{}", hex::encode(*random::<8>())));
        DirBuilder::new().recursive(true).mode(0o700).create(&draft).at("create", &draft)?;
        let path = draft.join(JOURNAL);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).at("create", &path)?;
        file.write_all(commits).and_then(|()| file.sync_all()).at("write", &path)?;
        sync_folder(&draft)?;
        fs::rename(&draft, &entry.folder).at("name", &draft)?;
        let above = parent.ancestors().take_while(|it| it.starts_with(&self.path));
        above.into_iter().try_for_each(sync_folder)
    }

    /// Keeps what contradicts a log, or claims it under another key: the first few of each kind, and each once.
    pub(super) fn keep_evidence(&self, entry: &Entry, kind: &str, delivery: &[u8]) -> Result<(), AuditError> {
        if !entry.journal().exists() {
            return Ok(());
        }
        let folder = entry.folder.join(REFUSED);
        let of_kind = names(&folder)?.into_iter().filter(|it| it.starts_with(kind)).count();
        tracing::error!(
            log = entry.origin,
            sender = entry.sender,
            kind,
            "a delivery contradicts what is held"
        );
        if of_kind >= EVIDENCE_MAX {
            return Ok(());
        }
        let kept = match delivery.len() <= EVIDENCE_BYTES_MAX {
            true => delivery.to_vec(),
            false => notes_of(delivery),
        };
        let name = format!("{REFUSED}/{kind}-{}", hex::encode(&Sha256::digest(&kept)[..8]));
        Folder::private(&entry.folder).put(&name, &kept)
    }
}

impl Entry {
    fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    /// Notes how far the journal is acknowledged. Never synced: it may say less than is true, never more.
    fn tell(&self, end: u64) {
        let path = self.folder.join(ACKNOWLEDGED);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        if let Err(error) = file.and_then(|it| it.write_all_at(format!("{end:020}\n").as_bytes(), 0)) {
            tracing::warn!(%error, log = self.origin, "cannot note how far it is acknowledged");
        }
    }

    /// Bytes of the journal that were acknowledged, as far as that was noted.
    fn told(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join(ACKNOWLEDGED)).ok()?.strip_suffix('\n')?.parse().ok()
    }

    /// Roots over the first records that are held, at these sizes.
    pub(super) fn roots_at(&self, sizes: BTreeSet<u64>) -> Result<BTreeMap<u64, Digest>, AuditError> {
        let (mut tree, mut roots) = (Growing::default(), BTreeMap::new());
        let mut frames = Frames::open(&self.journal())?;
        while let Some(kind) = frames.next()? {
            if kind == frames::LEAF {
                tree.push(tree::leaf(frames.content()));
                if sizes.contains(&tree.size()) {
                    roots.insert(tree.size(), tree.root());
                }
            }
        }
        Ok(roots)
    }

    /// Keeps the bytes behind the last commit in a file of their own, then cuts them.
    fn put_aside(&self, file: &File, whole: &Held, bytes: u64) -> Result<(), AuditError> {
        let mut torn =
            vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(super::Collector::DELIVERY_BYTES_MAX)];
        file.read_exact_at(&mut torn, whole.end).at("read", self.journal())?;
        let name = format!("torn-{}-{}", whole.line.size(), hex::encode(&Sha256::digest(&torn)[..8]));
        Folder::private(&self.folder).put(&name, &torn)?;
        file.set_len(whole.end).at("cut", self.journal())
    }
}

/// The log that a folder holds, as its journal says.
fn origin(folder: &Path) -> Result<Option<String>, AuditError> {
    let path = folder.join(JOURNAL);
    if !path.is_file() {
        return Ok(None);
    }
    let mut frames = Frames::open(&path)?;
    let found = frames.next()? == Some(frames::HEADER);
    Ok(found.then(|| Header::parse(frames.content())).flatten().map(|it| it.origin))
}

/// Of a delivery that is too long to be kept, what proves most: its head and its checkpoints.
fn notes_of(delivery: &[u8]) -> Vec<u8> {
    let end = delivery.windows(2).position(|it| it == b"\n\n").map_or(0, |it| it + 2);
    let mut kept = delivery[..end].to_vec();
    for note in checkpoints(&delivery[end..]) {
        if kept.len() + note.len() < EVIDENCE_BYTES_MAX {
            put(&mut kept, Kind::Checkpoint, &note);
        }
    }
    kept
}

/// Removes logs that were cut off before they had a name.
fn remove_drafts(logs: &Path) -> Result<(), AuditError> {
    for server in names(logs)? {
        for name in names(&logs.join(&server))?.into_iter().filter(|it| it.starts_with(DRAFT)) {
            let draft = logs.join(&server).join(name);
            fs::remove_dir_all(&draft).at("remove", &draft)?;
        }
    }
    Ok(())
}
