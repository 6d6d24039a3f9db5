//! How is something recorded? Through an open log.

use std::{
    fmt,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    Admission, AuditError, Cut, Digest, Entry, Event, Published, Publishing, Receipt, SigningKeySource,
    Transition,
    journal::Ahead,
    open,
    publish::Publication,
    record::{Draft, Facts, PAYLOAD_BYTES_MAX, Word, is_word},
    writer::{Append, Request, Shared, Writer, room},
};

/// Requests that wait before callers do.
const QUEUE_MAX: usize = 1024;
/// Bytes of records that wait before callers do.
const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Least room for when the disk is full.
const RESERVE_BYTES_MIN: u64 = 64 * 1024;
/// How often a full disk is looked at again, at most.
const PROBE: Duration = Duration::from_secs(1);

/// An open log. Clones share it; it ends with [`Log::close`], or without a stop record when the last clone is dropped.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Version of the program, for the start record.
    pub version: String,
    /// Where the signing key is.
    pub signing_key: SigningKeySource,
    /// Room reserved on the disk at a time, in bytes.
    pub chunk_bytes: u64,
    /// Room kept for when the disk is full, in bytes, at least 64 KiB: half for reads, half for outcomes.
    pub reserve_bytes: u64,
    /// From how many bytes on the journal goes on in another segment.
    pub segment_bytes: u64,
    /// How it is published.
    pub publishing: Publishing,
    /// Why the disk goes with the process, and what to do about it; none where it lasts. Then effects need a collector.
    pub ephemeral: Option<String>,
}

/// What opening a log did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// `<server>/<n>`.
    pub log: String,
    /// The log's name in checkpoints and receipts, unlike that of any other log.
    pub origin: String,
    /// C2SP verifier key of the log. Keep it where whoever can write the log cannot.
    pub key: String,
    /// Records, the start among them.
    pub size: u64,
    /// Whether it is new.
    pub created: bool,
    /// Whether a process ended without closing it.
    pub taken_over: bool,
    /// What never became part of the log and was put aside, oldest first.
    pub cut: Vec<Cut>,
    /// Intents that were given the outcome `unknown`.
    pub unknown: Vec<u64>,
    /// What a person should look at: logs that vanished or became shorter.
    pub warnings: Vec<String>,
}

/// What a log still takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Everything.
    Open,
    /// Reads, and outcomes of effects that began before.
    ReadsOnly {
        /// What filled up.
        why: String,
    },
    /// Nothing new.
    Closed {
        /// What happened.
        why: String,
    },
}

struct Inner {
    origin: String,
    queue: Option<mpsc::Sender<Request>>,
    bytes: Arc<Semaphore>,
    standing: Shared,
    probed: Mutex<Instant>,
    thread: Mutex<Option<JoinHandle<()>>>,
    publication: Option<Arc<Publication>>,
    witness_within: Option<Duration>,
    ephemeral: Option<String>,
    /// Held even by a log that failed: nobody may go on where the disk did something unknown.
    lock: Mutex<Option<File>>,
}

impl Log {
    /// Takes the lowest free log of a server, recovers it if need be, and records the start. Blocks on the disk.
    pub fn open(state: &Path, server: &str, options: Options) -> Result<(Log, Opened), AuditError> {
        let ahead =
            Ahead { chunk: options.chunk_bytes, reserve: options.reserve_bytes.max(RESERVE_BYTES_MIN) };
        let start =
            open::open(state, server, &options.signing_key, &options.version, ahead, options.segment_bytes)?;
        let publication = start.publish(&options.publishing)?.map(Arc::new);
        let open::Start { mut ledger, lock, opened, .. } = start;
        let standing = Shared::new(room(&mut ledger)?);
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(ledger, receiver, standing.clone(), publication.clone());
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(|| writer.run())
            .map_err(|error| AuditError::Closed { why: format!("no thread to write with: {error}") })?;
        let inner = Inner {
            origin: opened.origin.clone(),
            queue: Some(sender),
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            standing,
            probed: Mutex::new(Instant::now()),
            thread: Mutex::new(Some(thread)),
            publication,
            witness_within: options.publishing.effects_need_witness_within,
            ephemeral: options.ephemeral,
            lock: Mutex::new(Some(lock)),
        };
        Ok((Log { inner: Arc::new(inner) }, opened))
    }

    /// The log's name in checkpoints and receipts.
    pub fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// What the log takes now.
    pub fn standing(&self) -> Standing {
        self.inner.standing.get()
    }

    /// How far it is published, its own folder first; nothing where it is not.
    pub fn published(&self) -> Vec<Published> {
        self.inner.publication.as_ref().map(|it| it.standing()).unwrap_or_default()
    }

    /// How long ago some configured witness has cosigned the log last, by the witness's clock, in seconds; none where none
    /// has. Policies see it as `context.witnessed_seconds`.
    pub fn witnessed_seconds(&self) -> Option<u64> {
        self.inner.publication.as_ref()?.witnessed_seconds()
    }

    /// Leave to read: the log is open and has room for the record. No I/O.
    pub fn admit_read(&self, call: Digest) -> Result<Admission, AuditError> {
        match self.standing() {
            Standing::Closed { why } => {
                self.probe();
                Err(AuditError::Closed { why })
            }
            Standing::ReadsOnly { .. } => {
                self.probe();
                Ok(Admission::new(call, None))
            }
            Standing::Open => Ok(Admission::new(call, None)),
        }
    }

    /// Leave to have an effect, once its intent is durable, here and at the collector if there is one. The entry is an
    /// [`Event::Intent`] of the same call. Whoever stops waiting leaves an intent behind, whose outcome a close or the next start
    /// calls unknown; one that the collector did not take in time comes back with the error, to be given its outcome.
    pub async fn admit_effect(&self, call: Digest, entry: Entry) -> Result<Admission, AuditError> {
        if entry.event != Event::Intent || entry.call != call {
            let problem = "an effect is admitted on the intent of the same call".to_owned();
            return Err(AuditError::Malformed { problem });
        }
        let collector = self.inner.publication.as_ref().and_then(|it| it.delivering());
        match (collector, &self.inner.ephemeral) {
            (Some(it), _) => it.may_begin().map_err(|why| AuditError::Uncollected { why, intent: None })?,
            (None, Some(why)) => return Err(AuditError::Ephemeral { why: why.clone() }),
            (None, None) => {}
        }
        if let Some(within) = self.inner.witness_within {
            // Before the intent: an effect that may not begin leaves none.
            let publication = self.inner.publication.as_ref();
            let publication = publication.ok_or("nothing is published that could be cosigned".to_owned());
            let witnessed = async { publication?.witnessed(within).await };
            witnessed.await.map_err(|why| AuditError::Unwitnessed { why })?;
        }
        if self.standing() != Standing::Open {
            self.probe();
        }
        let intent = self.append(entry.draft()?).await?;
        if let Some(it) = collector
            && let Err(why) = it.holds(intent.index() + 1).await
        {
            return Err(AuditError::Uncollected { why, intent: Some(intent) });
        }
        Ok(Admission::new(call, Some(intent)))
    }

    /// Why the collector does not hold what is recorded here, in a sentence for whoever reads on; none where it does, or where
    /// there is none.
    pub fn uncollected(&self) -> Option<String> {
        self.inner.publication.as_ref()?.delivering()?.warning()
    }

    /// Makes a record durable. Everything but intents. A record that was queued is written even if nobody waits for it.
    pub async fn record(&self, entry: Entry) -> Result<Receipt, AuditError> {
        if entry.event == Event::Intent {
            let problem = "an intent is recorded by admitting its effect".to_owned();
            return Err(AuditError::Malformed { problem });
        }
        self.append(entry.draft()?).await
    }

    /// Makes a step of something that is no call durable: of an approval, a stop, a break-glass, a policy. One that was queued is
    /// written even if nobody waits for it.
    pub async fn transition(&self, transition: Transition) -> Result<Receipt, AuditError> {
        self.append(transition.draft()?).await
    }

    /// Records that the process is alive, so that a missing tail is noticed by its age.
    pub async fn heartbeat(&self) -> Result<Receipt, AuditError> {
        self.append(Box::new(Draft::own(Word::Heartbeat, Facts::default()))).await
    }

    /// Gives open intents the outcome `unknown`, records the stop and lets the log go. `reason` is a few words of the
    /// program's own. Everything recorded before is durable then, and published where that is possible; nothing is accepted
    /// after.
    pub async fn close(&self, reason: &'static str) -> Result<(), AuditError> {
        if !reason.split(' ').all(is_word) || reason.len() > 63 {
            return Err(AuditError::Malformed {
                problem: format!("reason {reason:?}: expected a few words"),
            });
        }
        let (answer, closed) = oneshot::channel();
        self.send(Request::Close(reason, answer)).await?;
        let result = closed.await.unwrap_or_else(|_| Err(self.gone()));
        self.inner.end(true);
        result
    }

    pub(crate) async fn append(&self, draft: Box<Draft>) -> Result<Receipt, AuditError> {
        let share = draft.size_bound().min(PAYLOAD_BYTES_MAX) as u32;
        let share = self.inner.bytes.clone().acquire_many_owned(share).await;
        let share = share.expect("the semaphore is never closed");
        let (answer, receipt) = oneshot::channel();
        self.send(Request::Append(Box::new(Append { draft, answer, _share: share }))).await?;
        receipt.await.unwrap_or_else(|_| Err(self.gone()))
    }

    async fn send(&self, request: Request) -> Result<(), AuditError> {
        let queue = self.inner.queue.as_ref().expect("present until dropped");
        queue.send(request).await.map_err(|_| self.gone())
    }

    /// Has the writer look whether a full disk has room again.
    fn probe(&self) {
        let mut probed = self.inner.probed.lock().unwrap_or_else(PoisonError::into_inner);
        if probed.elapsed() >= PROBE {
            *probed = Instant::now();
            // A queue that is full wakes the writer anyway.
            let _ = self.inner.queue.as_ref().map(|it| it.try_send(Request::Probe));
        }
    }

    fn gone(&self) -> AuditError {
        match self.standing() {
            Standing::Closed { why } => AuditError::Closed { why },
            _ => AuditError::Closed { why: "its writer ended; start again".to_owned() },
        }
    }
}

impl Inner {
    /// Waits for the writer, which ends by itself, then lets other processes have the log.
    fn end(&self, finish: bool) {
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        if let Some(publication) = &self.publication {
            publication.end(finish);
        }
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Ends the writer once it has written what is queued.
        self.queue = None;
        self.end(false);
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            version: "0".to_owned(),
            signing_key: SigningKeySource::default(),
            chunk_bytes: 1 << 20,
            reserve_bytes: 1 << 20,
            segment_bytes: 64 << 20,
            publishing: Publishing::default(),
            ephemeral: None,
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Log").field("origin", &self.inner.origin).finish_non_exhaustive()
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Open => write!(out, "open"),
            Standing::ReadsOnly { why } => write!(out, "reads only: {why}"),
            Standing::Closed { why } => write!(out, "closed: {why}"),
        }
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (self.created, self.taken_over) {
            (true, _) => "created",
            (_, true) => "taken over from a process that ended without closing it",
            _ => "continued",
        };
        write!(out, "log {} {how}, {} records", self.log, self.size)?;
        for cut in &self.cut {
            write!(out, "; put {} bytes aside that were never part of it", cut.bytes)?;
        }
        if !self.unknown.is_empty() {
            let unknown: Vec<_> = self.unknown.iter().map(u64::to_string).collect();
            write!(out, "; outcome unknown of intents {}", unknown.join(", "))?;
        }
        self.warnings.iter().try_for_each(|it| write!(out, "; {it}"))
    }
}
