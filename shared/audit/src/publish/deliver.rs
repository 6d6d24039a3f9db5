//! How does a log get to a collector? Commit by commit from its journal, by a thread of its own. Reads do not wait for it; an effect
//! begins only once the collector has said that it holds the intent.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::RecvTimeoutError,
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Board, Failure, Published, Remote, Subject, TargetError,
    news::{Ending, News},
};
use crate::{
    Acknowledged, AuditError, Digest, VerifyingKey,
    collector::Delivery,
    frame::{Kind, put},
    keys::NAME,
    ledger::Reach,
    merkle::Tree,
    note::Checkpoint,
    segment::{Header, Position, Segment, Walk, end_of_commit},
};

/// A way to reach a collector. Calls block, for seconds at most.
pub trait Collect: fmt::Debug + Send + Sync {
    /// Where it is, as a person knows it.
    fn name(&self) -> String;

    /// Sends a delivery: status and body of the answer.
    fn deliver(&self, delivery: Vec<u8>) -> Result<(u16, String), TargetError>;
}

/// From how many bytes on a delivery ends with the next commit.
const DELIVERY_BYTES: usize = 1 << 20;
/// How long an effect waits for the collector to hold its intent.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a failure the next attempt is made.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a close waits for the collector.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often in a row the collector may ask for another place.
const TURNS_MAX: u32 = 4;

/// What the collector holds, as far as it has told.
#[derive(Clone, Debug, Default)]
struct Told {
    size: u64,
    /// Why the last attempt failed; none when it did not.
    problem: Option<String>,
    /// A delivery up to this size was declined for good: waiting longer helps nobody.
    declined: u64,
}

/// The thread that delivers a log, and what it has heard.
pub(crate) struct Delivering {
    name: String,
    log: String,
    news: Arc<News<Reach>>,
    told: watch::Sender<Told>,
    /// Records that it was asked to deliver.
    wanted: AtomicU64,
    collected: Arc<AtomicU64>,
    /// Records that a process before this one answers for.
    found: u64,
    board: Board,
    thread: Mutex<Option<Remote>>,
}

/// Delivers one log.
struct Courier {
    log: String,
    folder: PathBuf,
    origin: String,
    key: VerifyingKey,
    collector: Arc<dyn Collect>,
    /// Where the log ended before it was opened: as far as a process before this one may have come.
    found: Position,
    /// Where the collector goes on, as far as it has told; none before it was heard.
    there: Option<Position>,
    told: watch::Sender<Told>,
    collected: Arc<AtomicU64>,
}

/// Why something was not delivered.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    /// Try again.
    #[error("{0}")]
    Later(String),
    /// Whoever waits need not: somebody has to change something first. Tried again with the next commit.
    #[error("{0}")]
    Declined(String),
    /// Never try again: what stands there is another history.
    #[error("{0}")]
    Diverged(String),
}

impl From<AuditError> for Undelivered {
    fn from(error: AuditError) -> Undelivered {
        Undelivered::Later(error.to_string())
    }
}

impl From<TargetError> for Undelivered {
    fn from(error: TargetError) -> Undelivered {
        Undelivered::Later(error.to_string())
    }
}

impl Delivering {
    pub(super) fn start(subject: &Subject<'_>, collector: Arc<dyn Collect>) -> std::io::Result<Delivering> {
        let (name, told) = (collector.name(), watch::Sender::new(Told::default()));
        let collected = Arc::<AtomicU64>::default();
        let (news, board) = (Arc::<News<Reach>>::default(), Board::at(name.clone()));
        let courier = Courier {
            log: subject.log.clone(),
            folder: subject.folder.to_owned(),
            origin: subject.origin.to_owned(),
            key: VerifyingKey::new(NAME, subject.key),
            collector,
            found: subject.found,
            there: None,
            told: told.clone(),
            collected: collected.clone(),
        };
        let (heard, shown) = (news.clone(), board.clone());
        let thread = Remote::start("audit-deliver", move || courier.run(&heard, &shown))?;
        Ok(Delivering {
            name,
            log: subject.log.clone(),
            news,
            told,
            wanted: AtomicU64::default(),
            collected,
            found: subject.found.index,
            board,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn tell(&self, reach: Reach) {
        self.wanted.fetch_max(reach.position.index, Relaxed);
        self.news.tell(reach);
    }

    /// Records that the collector holds, for whoever wants to drop them here.
    pub(super) fn collected(&self) -> Arc<AtomicU64> {
        self.collected.clone()
    }

    pub(super) fn standing(&self) -> Published {
        self.board.read()
    }

    /// Refuses at once what the collector will never take.
    pub(crate) fn may_begin(&self) -> Result<(), String> {
        let told = self.told.borrow();
        match &told.problem {
            Some(problem) if told.declined == u64::MAX => Err(self.sentence(problem)),
            _ => Ok(()),
        }
    }

    /// Waits, for some seconds at most, until the collector holds so many records; else says why it does not.
    pub(crate) async fn holds(&self, size: u64) -> Result<(), String> {
        let mut heard = self.told.subscribe();
        let known = |it: &Told| it.size >= size || it.declined >= size;
        let _ = tokio::time::timeout(PATIENCE, heard.wait_for(known)).await;
        let told = heard.borrow();
        if told.size >= size {
            return Ok(());
        }
        let late = format!("it has not acknowledged the intent within {} s", PATIENCE.as_secs());
        Err(self.sentence(told.problem.as_deref().unwrap_or(&late)))
    }

    /// What whoever reads should hear of it.
    pub(crate) fn warning(&self) -> Option<String> {
        let problem = self.told.borrow().problem.clone()?;
        Some(format!("{}; no effect will run until it does", self.sentence(&problem)))
    }

    fn sentence(&self, problem: &str) -> String {
        format!("the collector {} does not hold this log: {problem}", self.name)
    }

    /// Ends the thread, once everything is acknowledged or nobody waits any longer.
    pub(super) fn end(&self, ending: Ending) {
        self.news.end(ending);
        let Some(Remote { thread, ended }) =
            self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return;
        };
        // An attempt under way may take as long as one may; who leaves waits for none.
        let longest = if ending == Ending::Finish { 2 * FAREWELL } else { AGAIN };
        if ended.recv_timeout(longest) == Err(RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
        let (wanted, held) = (self.wanted.load(Relaxed), self.collected.load(Relaxed).max(self.found));
        if held < wanted {
            let problem =
                self.told.borrow().problem.clone().unwrap_or_else(|| "it was not waited for".to_owned());
            let (log, collector, missing) = (&self.log, &self.name, wanted - held);
            tracing::warn!(
                log,
                collector,
                missing,
                problem,
                "the last records are not acknowledged by the collector; they are here and nowhere else"
            );
        }
    }
}

impl Courier {
    /// Delivers whenever there is news, until it is asked to end or may not go on.
    fn run(mut self, news: &News<Reach>, board: &Board) {
        let (mut pause, mut until) = (Duration::ZERO, None);
        loop {
            let (latest, ending) = news.wait(pause);
            pause = Duration::ZERO;
            let Some(reach) = latest.filter(|_| ending != Some(Ending::Leave)) else {
                if ending.is_some() {
                    return;
                }
                continue;
            };
            let Err(failure) = self.follow(&reach) else {
                board.write(&Ok(reach.position.index));
                if ending.is_some() {
                    return;
                }
                continue;
            };
            if self.give_up(&failure, &reach, board) {
                return;
            }
            if ending.is_some() {
                let until = *until.get_or_insert_with(|| Instant::now() + FAREWELL);
                if matches!(failure, Undelivered::Declined(_)) || Instant::now() + AGAIN > until {
                    return;
                }
                std::thread::sleep(AGAIN);
            }
            news.keep(reach);
            pause = if matches!(failure, Undelivered::Declined(_)) { 4 * AGAIN } else { AGAIN };
        }
    }

    /// Tells whoever waits what failed. True where there is no next attempt.
    fn give_up(&self, failure: &Undelivered, reach: &Reach, board: &Board) -> bool {
        let is_new = board.write(&Err(Failure::Target(TargetError(failure.to_string()))));
        let (log, collector) = (&self.log, self.collector.name());
        let declined = match failure {
            Undelivered::Later(_) => 0,
            Undelivered::Declined(_) => reach.position.index,
            Undelivered::Diverged(_) => u64::MAX,
        };
        if declined == u64::MAX {
            tracing::error!(log, collector, %failure, "no longer delivered");
        } else if is_new {
            tracing::warn!(log, collector, %failure, "not delivered; tried again");
        }
        self.told.send_modify(|it| {
            it.problem = Some(failure.to_string());
            it.declined = it.declined.max(declined);
        });
        declined == u64::MAX
    }

    /// Delivers up to there.
    fn follow(&mut self, reach: &Reach) -> Result<(), Undelivered> {
        let (mut at, mut turns) = (self.there.unwrap_or(self.found), 0);
        while at.index < reach.position.index {
            let (delivery, next, root) = self.load(at, reach)?;
            let (status, answer) = self.collector.deliver(delivery)?;
            match status {
                200 if Acknowledged::parse(&answer) == Some((next.index, root)) => {
                    at = next;
                    self.there = Some(at);
                    self.hears(at.index);
                }
                409 => {
                    turns += 1;
                    at = self.place_of(&answer, at, reach)?;
                    if turns > TURNS_MAX {
                        return Err(Undelivered::Later("it asks for one place after the other".to_owned()));
                    }
                }
                422 => return Err(diverged()),
                status => return Err(strange(status, &answer)),
            }
        }
        Ok(())
    }

    fn hears(&self, size: u64) {
        self.collected.fetch_max(size, Relaxed);
        self.told.send_modify(|it| {
            it.size = it.size.max(size);
            it.problem = None;
            it.declined = 0;
        });
    }

    /// Whole commits behind a place, where they end, and the root that the last of them is signed over.
    fn load(&self, at: Position, reach: &Reach) -> Result<(Vec<u8>, Position, Digest), Undelivered> {
        let mut delivery = Delivery::head(&self.origin, &self.key, at.index).into_bytes();
        if at.index == 0 {
            Header { origin: self.origin.clone(), tree: Tree::default() }.put(&mut delivery);
        }
        // Opened anew: what was read ahead the last time may have been written since.
        let mut walk = Walk::new(&self.folder, at);
        let mut note = Vec::new();
        while walk.position() != reach.position && (note.is_empty() || delivery.len() < DELIVERY_BYTES) {
            note.clear();
            let kind =
                walk.step()?.ok_or_else(|| self.damaged("its journal ends before what was durable"))?;
            put(&mut delivery, kind, walk.content());
            if kind == Kind::Checkpoint {
                note.extend(walk.content());
            }
        }
        let root = Checkpoint::parse(&note).map(|it| it.root);
        let root = root.ok_or_else(|| self.damaged("its journal holds records without a checkpoint"))?;
        Ok((delivery, walk.position(), root))
    }

    /// Where the journal goes on behind what the collector says it holds.
    fn place_of(&self, answer: &str, asked: Position, reach: &Reach) -> Result<Position, Undelivered> {
        let size: u64 = answer.trim_end().parse().map_err(|_| strange(409, answer))?;
        let here = reach.position.index;
        if size == asked.index {
            return Err(strange(409, answer));
        }
        if size > here {
            let problem = format!(
                "it holds {size} records and there are {here}: this log was cut, or an older copy was put in its place; {FORWARD}"
            );
            return Err(Undelivered::Diverged(problem));
        }
        if size == self.found.index {
            return Ok(self.found);
        }
        let first = Segment::list(&self.folder)?.first().map_or(0, |it| it.first);
        if size < first {
            let problem = format!(
                "it holds {size} records, and those before {first} were dropped here: it can never hold this log whole. Begin \
                 another one with [audit] state"
            );
            return Err(Undelivered::Diverged(problem));
        }
        end_of_commit(&self.folder, size)?.ok_or_else(diverged)
    }

    fn damaged(&self, problem: &str) -> AuditError {
        AuditError::Damaged { log: self.log.clone(), problem: problem.to_owned() }
    }
}

/// What a collector that keeps evidence means.
const OTHERS: &str =
    "it holds other records of this log: this one was rewritten, or went on from an older copy";
/// What to do where a log contradicts what the collector holds of it.
const FORWARD: &str = "find out why; then `bailiwick audit accept-loss`, with what `audit checkpoint --collected` prints there as its \
                       --anchor, puts this log aside, and the next one begins anew";

fn diverged() -> Undelivered {
    Undelivered::Diverged(format!("{OTHERS}; {FORWARD}"))
}

fn strange(status: u16, answer: &str) -> Undelivered {
    let answer: String = answer.chars().filter(|it| !it.is_control()).take(160).collect();
    match status {
        200 => Undelivered::Later("its answer does not acknowledge what was sent".to_owned()),
        401 => Undelivered::Declined(
            "it does not know our token: [audit] collector token here, [collector.senders] there".to_owned(),
        ),
        403 => Undelivered::Declined(format!("it takes nothing of this log from us: {answer}")),
        400 | 413 => Undelivered::Declined(format!("answer {status}: {answer}")),
        404 | 405 => Undelivered::Declined(format!("answer {status}: there is no collector at this address")),
        _ => Undelivered::Later(format!("answer {status}: {answer}")),
    }
}
