//! Who keeps the log of a process whose disk goes with it? A collector: it takes the records of other processes' logs, checks
//! them as a verifier does, and says what it holds only once that is durable.
//!
//! What it holds of a log only ever grows. What contradicts it is declined and kept as evidence; nothing is replaced.

mod delivery;
mod line;
mod shelf;

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    AuditError, Digest, VerifyingKey,
    keys::private_folder,
    pool::try_lock,
    verify::signed::{self, Signed},
};

pub(crate) use delivery::{Delivery, checkpoints};
use line::{Line, Unfit};
use shelf::{Entry, Held, Shelf};
pub(crate) use shelf::{REFUSED, Source, sources};

/// Keeps logs that others send.
pub struct Collector {
    shelf: Shelf,
    /// By name, the keys that a sender's logs may be signed with; none: the first that it shows for a log.
    senders: BTreeMap<String, Vec<VerifyingKey>>,
    /// Two processes over one folder would each write where the other does.
    _lock: File,
}

/// What a collector holds of a log, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Records.
    pub size: u64,
    /// Root over them.
    root: Digest,
}

/// Why a collector does not take a delivery. A variant is an answer of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum Declined {
    /// 400: not a delivery, or frames that are no records.
    #[error("malformed delivery: {0}")]
    Malformed(String),
    /// 403: the checkpoints are not signed with the key that the delivery names.
    #[error("no checkpoint that the key of this log signed")]
    Unsigned,
    /// 403: the sender's logs are signed with other keys.
    #[error("this key is none of those that the collector was told of for this sender")]
    UnknownKey,
    /// 403: this log is held under another key.
    #[error("this log is held under another key")]
    OtherKey,
    /// 403: this log is somebody else's.
    #[error("this log is another sender's")]
    OtherSender,
    /// 409: the delivery goes on from another size than what is held.
    #[error("the collector holds {size} records of this log")]
    Elsewhere {
        /// Records that are held.
        size: u64,
    },
    /// 422: a signed checkpoint contradicts what is held. It was kept.
    #[error(
        "the {size} records that the collector holds of this log are others; what contradicts them was kept"
    )]
    Forked {
        /// Records that are held.
        size: u64,
    },
    /// 503: no room for another log.
    #[error("this collector holds {0} logs already; move old ones to an archive and start it again")]
    Full(usize),
    /// 500: nothing became durable, so nothing is acknowledged.
    #[error(transparent)]
    Failed(#[from] AuditError),
}

impl Declined {
    /// Status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Declined::Malformed(_) => 400,
            Declined::Unsigned | Declined::UnknownKey | Declined::OtherKey | Declined::OtherSender => 403,
            Declined::Elsewhere { .. } => 409,
            Declined::Forked { .. } => 422,
            Declined::Failed(_) => 500,
            Declined::Full(_) => 503,
        }
    }
}

impl Acknowledged {
    /// Body of the answer: a line with the size, a line with the root in base64.
    pub fn body(&self) -> String {
        format!("{}\n{}\n", self.size, STANDARD.encode(self.root))
    }

    /// Reads such a body.
    pub(crate) fn parse(body: &str) -> Option<(u64, Digest)> {
        let mut lines = body.lines();
        let (size, root) = (lines.next()?.parse().ok()?, lines.next()?);
        Some((size, STANDARD.decode(root).ok()?.try_into().ok()?))
    }
}

impl Collector {
    /// Longest delivery that is read: one commit at its bound, and what stands before it.
    pub const DELIVERY_BYTES_MAX: usize = 24 * 1024 * 1024;

    /// Opens a collector's folder, and makes it where there is none. Blocks on the disk.
    pub fn open(state: &Path, senders: BTreeMap<String, Vec<VerifyingKey>>) -> Result<Collector, AuditError> {
        private_folder(state)?;
        let lock = try_lock(&state.join("lock"))?.ok_or_else(|| AuditError::Closed {
            why: format!("another collector holds {}", state.display()),
        })?;
        if let Some(name) = senders.keys().find(|it| !crate::record::is_word(it)) {
            return Err(AuditError::Name { name: name.clone() });
        }
        Ok(Collector { shelf: Shelf::open(state)?, senders, _lock: lock })
    }

    /// How many logs are held.
    pub fn logs(&self) -> usize {
        self.shelf.logs()
    }

    /// Takes a delivery of an authenticated sender: what it returns is durable. Blocks on the disk.
    pub fn take(&self, sender: &str, delivery: &[u8]) -> Result<Acknowledged, Declined> {
        let sent = Delivery::read(delivery).map_err(|it| Declined::Malformed(it.to_owned()))?;
        let told = self.senders.get(sender).ok_or(Declined::OtherSender)?;
        let key = sent.key.public();
        if !told.is_empty() && !told.iter().any(|it| it.public() == key) {
            return Err(Declined::UnknownKey);
        }
        let entry = match self.shelf.find(&sent.origin) {
            Some(entry) => entry,
            None if sent.from > 0 => return Err(Declined::Elsewhere { size: 0 }),
            None => {
                // Nothing is begun on the word of a token alone.
                Line::new(&sent.origin, *key).read(sent.frames).map_err(declined)?;
                self.shelf.reserve(sender, &sent)?
            }
        };
        if entry.sender != sender {
            return Err(Declined::OtherSender);
        }
        let mut desk = lock(&entry.held);
        if entry.key != *key {
            self.shelf.keep_evidence(&entry, "key", delivery)?;
            return Err(Declined::OtherKey);
        }
        let mut held = match desk.take() {
            Some(held) => held,
            None => self.shelf.load(&entry)?,
        };
        let taken = self.grow(&entry, &mut held, &sent, delivery);
        // What ended in order is hardly asked for again, and after a failure the disk is looked at anew.
        let keep = !held.line.stopped() && !matches!(taken, Err(Declined::Failed(_)));
        *desk = keep.then_some(held);
        taken
    }

    /// Adds what goes on from what is held.
    fn grow(
        &self,
        entry: &Arc<Entry>,
        held: &mut Held,
        sent: &Delivery<'_>,
        whole: &[u8],
    ) -> Result<Acknowledged, Declined> {
        let size = held.line.size();
        let forked = |shelf: &Shelf| -> Result<Acknowledged, Declined> {
            shelf.keep_evidence(entry, "fork", whole)?;
            Err(Declined::Forked { size })
        };
        if sent.from != size {
            return match sent.from < size && self.contradicts(entry, size, sent)? {
                true => forked(&self.shelf),
                false => Err(Declined::Elsewhere { size }),
            };
        }
        let mut next = held.line.clone();
        match next.read(sent.frames) {
            Err(Unfit::Contradicts) => return forked(&self.shelf),
            other => other.map_err(declined)?,
        }
        if next.size() > size {
            self.shelf.append(entry, held, sent.frames)?;
            held.line = next;
        }
        Ok(Acknowledged { size: held.line.size(), root: held.line.root() })
    }

    /// Whether a checkpoint in a delivery, signed with the log's key, shows other records than those that are held.
    fn contradicts(&self, entry: &Entry, size: u64, sent: &Delivery<'_>) -> Result<bool, Declined> {
        let notes = signed_in(sent.frames, &entry.origin, entry);
        let notes: Vec<Signed> = notes.into_iter().filter(|it| it.size <= size).collect();
        if notes.is_empty() {
            return Ok(false);
        }
        let roots = entry.roots_at(notes.iter().map(|it| it.size).collect())?;
        Ok(notes.iter().any(|it| roots.get(&it.size) != Some(&it.root)))
    }
}

/// Checkpoints among frames that the key of a log signed in its name.
fn signed_in(frames: &[u8], origin: &str, entry: &Entry) -> Vec<Signed> {
    let notes = checkpoints(frames).into_iter();
    notes.filter_map(|it| signed::open(&it, &[entry.key]).ok()).filter(|it| it.origin == origin).collect()
}

fn declined(unfit: Unfit) -> Declined {
    match unfit {
        Unfit::Unsigned => Declined::Unsigned,
        Unfit::Malformed(_) | Unfit::Contradicts => Declined::Malformed(unfit.to_string()),
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
