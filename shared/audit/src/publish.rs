//! How does a log get to those who check it? As tiles and a checkpoint in a folder beside its journal, and from there
//! elsewhere, by threads of their own that follow the journal and that no commit waits for.

mod again;
mod attest;
mod deliver;
mod folder;
mod mirror;
mod news;
mod prune;
mod publisher;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ed25519_dalek::VerifyingKey as PublicKey;
use serde::Serialize;
use tokio::sync::watch;

use crate::{AuditError, ledger::Reach, segment::Position};

pub use again::publish;
pub use attest::Ask;
use attest::{Asker, Attestations, Course, Desk};
pub use deliver::Collect;
use deliver::Delivering;
pub use folder::Folder;
use mirror::Mirror;
use news::{Ending, News};
use publisher::Publisher;

/// Folder of what is published, in a log's folder.
pub(crate) const TLOG: &str = "tlog";
/// Name of the published checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Folder of the payloads of dropped segments, in a log's folder.
pub(crate) const PAYLOADS: &str = "payloads";
/// How long after a failure the next attempt is made.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an effect waits for a cosignature that may be under way.
const ATTESTING: Duration = Duration::from_secs(4);
/// How long a close waits for other places. What they lack is published by the next process.
const FAREWELL: Duration = Duration::from_secs(3);

/// How a log is published.
#[derive(Clone, Debug)]
pub struct Publishing {
    /// How long commits are gathered before they are published, e.g. a second; none publishes nothing.
    pub every: Option<Duration>,
    /// How many segments are kept beside the one that is written; none keeps all. Needs `every`.
    pub keep_segments: Option<u32>,
    /// Where else it is published, under `<origin>/`.
    pub targets: Vec<Arc<dyn Target>>,
    /// Who is asked to cosign what is published. Needs `every`.
    pub witnesses: Vec<Arc<dyn Ask>>,
    /// How young the cosignature of some witness must be for effects to begin; none asks for none.
    pub effects_need_witness_within: Option<Duration>,
    /// Who holds the records of a log before their effects begin; none waits for nobody.
    pub collector: Option<Arc<dyn Collect>>,
}

/// A place beyond a log's own folder where it is published. Calls block, for seconds at most.
pub trait Target: fmt::Debug + Send + Sync {
    /// Where, as a person knows it.
    fn name(&self) -> String;

    /// Reads a file; none when there is none.
    fn read(&self, path: &str) -> Result<Option<Stored>, TargetError>;

    /// Makes a file that does not exist yet, whole and durable. False when it exists, which leaves it as it is.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, TargetError>;

    /// Makes a file, or replaces the one that was read with this tag, as one step. None when another stands there by now.
    fn replace(&self, path: &str, bytes: &[u8], over: Option<&str>) -> Result<Option<String>, TargetError>;

    /// Removes a file, if it exists.
    fn remove(&self, path: &str) -> Result<(), TargetError>;
}

/// A file of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What tells it from what stood or will stand there, such as an ETag.
    pub tag: String,
}

/// Why a target did not do what was asked; it is asked again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(pub String);

/// How far a log is published in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The place.
    pub place: String,
    /// Records under the checkpoint there.
    pub size: u64,
    /// Why it does not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What those who publish need to know of a log.
pub(crate) struct Subject<'a> {
    /// `<server>/<n>`.
    pub(crate) log: String,
    pub(crate) folder: &'a Path,
    pub(crate) origin: &'a str,
    pub(crate) key: PublicKey,
    /// Where the log ended before it was opened.
    pub(crate) found: Position,
}

/// The threads that publish a log.
pub(crate) struct Publication {
    news: Arc<News<Reach>>,
    local: Mutex<Option<JoinHandle<()>>>,
    /// Of those who publish elsewhere, and of those who ask witnesses.
    others: Vec<Arc<News<u64>>>,
    remote: Mutex<Vec<Remote>>,
    boards: Vec<Board>,
    attestations: Attestations,
    course: Course,
    delivering: Option<Delivering>,
}

/// The thread of a mirror or an asker, and what tells that it has ended.
struct Remote {
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

/// How far it is published, as everybody may read it.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<Published>>);

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Try again later.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// Try again later.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Never try again: what stands there is another history, and evidence.
    #[error("{0}")]
    Diverged(String),
}

impl Default for Publishing {
    fn default() -> Publishing {
        Publishing {
            every: Some(Duration::from_millis(500)),
            keep_segments: None,
            targets: Vec::new(),
            witnesses: Vec::new(),
            effects_need_witness_within: None,
            collector: None,
        }
    }
}

impl Publication {
    /// Begins to publish; what was published before is looked at once there is news.
    pub(crate) fn start(subject: &Subject<'_>, how: &Publishing) -> std::io::Result<Option<Publication>> {
        let delivering =
            how.collector.as_ref().map(|it| Delivering::start(subject, it.clone())).transpose()?;
        let Some(every) = how.every else { return Ok(delivering.map(Publication::of_nothing_else)) };
        let mirrors: Arc<Vec<Arc<News<u64>>>> =
            Arc::new(how.targets.iter().map(|_| Arc::default()).collect());
        let local = Board::at(subject.folder.join(TLOG).display().to_string());
        let mut boards = vec![local.clone()];
        let mut remote = Vec::new();
        for (target, news) in how.targets.iter().zip(mirrors.iter()) {
            let (board, news) = (Board::at(target.name()), news.clone());
            boards.push(board.clone());
            let mut mirror = Mirror::new(subject, target.clone());
            let log = subject.log.clone();
            let follow = move || serve(&log, &news, every, &board, |_| mirror.follow());
            remote.push(Remote::start("audit-mirror", follow)?);
        }
        let (desk, course, mut others) = (Desk::default(), Course::default(), mirrors.to_vec());
        let attestations =
            Attestations::new(watch::Sender::new(vec![Default::default(); how.witnesses.len()]));
        for (number, witness) in how.witnesses.iter().enumerate() {
            let (board, news) = (Board::at(witness.name()), Arc::<News<u64>>::default());
            boards.push(board.clone());
            others.push(news.clone());
            let all = (attestations.clone(), number);
            let asker =
                Asker::new(subject, witness.clone(), all, (desk.clone(), course.clone()), mirrors.clone());
            let within = how.effects_need_witness_within;
            remote.push(Remote::start("audit-witness", move || asker.run(&news, every, within, &board))?);
        }
        let news: Arc<News<Reach>> = Arc::default();
        let mut publisher = Publisher::new(subject, how.keep_segments, desk);
        publisher.collected = delivering.as_ref().map(Delivering::collected);
        let (log, heard, onward) = (subject.log.clone(), news.clone(), others.clone());
        let progress = course.clone();
        let follow = move || {
            serve(&log, &heard, every, &local, |reach: &Reach| {
                let began = attest::now();
                publisher.publish(reach, |size| {
                    progress.published(size, began);
                    onward.iter().for_each(|it| it.tell(size));
                })
            });
        };
        let local = Mutex::new(Some(named("audit-publish", follow)?));
        Ok(Some(Publication {
            news,
            local,
            others,
            remote: Mutex::new(remote),
            boards,
            attestations,
            course,
            delivering,
        }))
    }

    /// Only a collector.
    fn of_nothing_else(delivering: Delivering) -> Publication {
        Publication {
            news: Arc::default(),
            local: Mutex::default(),
            others: Vec::new(),
            remote: Mutex::default(),
            boards: Vec::new(),
            attestations: Attestations::new(watch::Sender::default()),
            course: Course::default(),
            delivering: Some(delivering),
        }
    }

    /// Says how far the journal is durable now. Waits for nothing.
    pub(crate) fn tell(&self, reach: Reach) {
        self.course.durable(reach.position.index);
        if let Some(it) = &self.delivering {
            it.tell(reach.clone());
        }
        self.news.tell(reach);
    }

    /// The collector that holds its records before their effects begin.
    pub(crate) fn delivering(&self) -> Option<&Delivering> {
        self.delivering.as_ref()
    }

    /// Waits, for some seconds at most, until a witness has cosigned the log so lately; else says who has not.
    pub(crate) async fn witnessed(&self, within: Duration) -> Result<(), String> {
        attest::witnessed(&self.attestations, within, ATTESTING).await
    }

    /// Age of the youngest cosignature.
    pub(crate) fn witnessed_seconds(&self) -> Option<u64> {
        attest::age(&self.attestations)
    }

    /// How far it is published, the log's own folder first.
    pub(crate) fn standing(&self) -> Vec<Published> {
        let collector = self.delivering.as_ref().map(Delivering::standing);
        self.boards.iter().map(Board::read).chain(collector).collect()
    }

    /// Ends the threads, once they have published what they were told of or as they are.
    pub(crate) fn end(&self, finish: bool) {
        let ending = if finish { Ending::Finish } else { Ending::Leave };
        if let Some(it) = &self.delivering {
            it.end(ending);
        }
        self.news.end(ending);
        if let Some(thread) = self.local.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        self.others.iter().for_each(|it| it.end(ending));
        let deadline = Instant::now() + FAREWELL;
        for Remote { thread, ended } in self.remote.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A place that does not answer holds nobody up: its thread ends with the process.
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                let _ = thread.join();
            }
        }
    }
}

impl Remote {
    fn start(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<Remote> {
        let (alive, ended) = mpsc::channel::<()>();
        let run = move || {
            let _alive = alive;
            run();
        };
        Ok(Remote { thread: named(name, run)?, ended })
    }
}

impl Board {
    fn at(place: String) -> Board {
        Board(Arc::new(Mutex::new(Published { place, ..Published::default() })))
    }

    fn read(&self) -> Published {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when the problem is a new one.
    fn write(&self, result: &Result<u64, Failure>) -> bool {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = it.problem.take();
        match result {
            Ok(size) => it.size = *size,
            Err(failure) => it.problem = Some(failure.to_string()),
        }
        it.problem.is_some() && it.problem != before
    }
}

fn named(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Publishes whenever there is news, until it is asked to end or may not go on.
fn serve<T>(
    log: &str,
    news: &News<T>,
    every: Duration,
    board: &Board,
    mut publish: impl FnMut(&T) -> Result<u64, Failure>,
) {
    let mut pause = every;
    loop {
        let (latest, ending) = news.wait(pause);
        if ending == Some(Ending::Leave) {
            return;
        }
        pause = every;
        if let Some(latest) = latest {
            let result = publish(&latest);
            let is_new = board.write(&result);
            if let Err(failure) = result {
                let place = board.read().place;
                match failure {
                    Failure::Diverged(_) => {
                        tracing::error!(log, place, %failure, "no longer published");
                        return;
                    }
                    _ if is_new => tracing::warn!(log, place, %failure, "not published; tried again"),
                    _ => {}
                }
                news.keep(latest);
                pause = every.max(PATIENCE);
            }
        }
        if ending.is_some() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
