//! How does a log get witnesses? By asking each for a cosignature of what was published, with the proof that the log only grew
//! since the last one; no commit waits for it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey as PublicKey;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    Board, CHECKPOINT, Failure, PATIENCE, Subject, TLOG, TargetError,
    folder::Folder,
    news::{Ending, News},
};
use crate::{
    AuditError, WitnessKey,
    note::Checkpoint,
    witness::{AHEAD_MAX, COSIGNED, growth, ours, with_line},
};

/// A way to ask a witness. Calls block, for seconds at most.
pub trait Ask: fmt::Debug + Send + Sync {
    /// Where it is asked, as a person knows it.
    fn name(&self) -> String;

    /// The key that its cosignatures are believed under.
    fn key(&self) -> &WitnessKey;

    /// Sends `add-checkpoint`: status and body of the answer.
    fn add_checkpoint(&self, request: &str) -> Result<(u16, String), TargetError>;
}

/// When a witness has cosigned last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attested {
    name: String,
    /// Size that it has cosigned, and when that was the whole log, in seconds: by its clock, and by ours if that is earlier.
    last: Option<(u64, i64)>,
}

/// How far the log has got, so that a cosignature of less does not pass for one of all.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Records that are durable; none before that was told.
    durable: Option<u64>,
    /// Records that were published last, and when that was all that was durable, by our clock in seconds.
    published: Option<(u64, i64)>,
}

/// The progress as those who commit, publish and ask share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Course(Arc<Mutex<Progress>>);

impl Course {
    pub(super) fn durable(&self, size: u64) {
        self.of().durable = Some(size);
    }

    /// What was published, and when its publishing began.
    pub(super) fn published(&self, size: u64, began: i64) {
        self.of().published = Some((size, began));
    }

    /// When so many records were last known to be the whole log, for whoever asks now: a head that was all there is then stays
    /// young, one that others have outgrown ages, however often it is cosigned.
    fn whole_at(&self, size: u64) -> Option<i64> {
        let Progress { durable, published } = *self.of();
        let (_, began) = published.filter(|(published, _)| *published == size)?;
        Some(if durable == Some(size) { now() } else { began })
    }

    fn of(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our clock, in seconds.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// What may stand in the log's published checkpoint is written by one at a time.
pub(super) type Desk = Arc<Mutex<()>>;
/// What all witnesses say.
pub(super) type Attestations = Arc<watch::Sender<Vec<Attested>>>;

/// How often a head is cosigned again, relative to the age that effects need.
const AGAIN: u32 = 3;
/// A head is cosigned again at most so often.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// Asks one witness about one log.
pub(super) struct Asker {
    log: String,
    origin: String,
    key: PublicKey,
    tlog: Folder,
    folder: Folder,
    witness: Arc<dyn Ask>,
    desk: Desk,
    course: Course,
    all: Attestations,
    /// Which of all it is.
    number: usize,
    /// How many records the witness has seen; none before it was heard.
    seen: Option<u64>,
    mirrors: Arc<Vec<Arc<News<u64>>>>,
}

impl Asker {
    pub(super) fn new(
        subject: &Subject<'_>,
        witness: Arc<dyn Ask>,
        (all, number): (Attestations, usize),
        (desk, course): (Desk, Course),
        mirrors: Arc<Vec<Arc<News<u64>>>>,
    ) -> Asker {
        let it = Asker {
            log: subject.log.clone(),
            origin: subject.origin.to_owned(),
            key: subject.key,
            tlog: Folder::new(&subject.folder.join(TLOG)),
            folder: Folder::new(subject.folder),
            witness,
            desk,
            course,
            all,
            number,
            seen: None,
            mirrors,
        };
        it.remember(subject.found.index)
    }

    /// What the witness said to a process before this one. Where that was not of all that process left, it says nothing of how
    /// young it is.
    fn remember(mut self, found: u64) -> Asker {
        let key = self.witness.key();
        let note = self.folder.get(&self.place()).ok().flatten().unwrap_or_default();
        let kept = key.witnessed(&note).filter(|(it, _)| it.origin == self.origin);
        let last = kept.map(|(it, time)| (it.size, time.as_second())).filter(|(_, time)| !is_ahead(*time));
        self.seen = last.map(|(size, _)| size);
        let (name, last) = (key.name().to_owned(), last.filter(|(size, _)| *size == found));
        self.all.send_modify(|all| all[self.number] = Attested { name, last });
        self
    }

    /// Asks whenever there is news, and again before the last answer is too old.
    pub(super) fn run(mut self, news: &News<u64>, every: Duration, within: Option<Duration>, board: &Board) {
        let again = within.map(|it| (it / AGAIN).max(AGAIN_MIN));
        let mut pause = every;
        loop {
            let (latest, ending) = news.wait_at_most(pause, again);
            if ending == Some(Ending::Leave) || (ending.is_some() && latest.is_none()) {
                return;
            }
            let result = self.follow();
            let is_new = board.write(&result);
            pause = every;
            if let Err(failure) = result {
                let (log, witness) = (&self.log, self.witness.name());
                match failure {
                    Failure::Diverged(_) => {
                        tracing::error!(log, witness, %failure, "no longer witnessed");
                        // What it said before was of another log, or of this one before it was cut.
                        self.all.send_modify(|all| all[self.number].last = None);
                        return;
                    }
                    _ if is_new => tracing::warn!(log, witness, %failure, "not witnessed; tried again"),
                    _ => {}
                }
                news.keep(latest.unwrap_or_default());
                pause = every.max(PATIENCE);
            }
            if ending.is_some() {
                return;
            }
        }
    }

    /// Has what is published cosigned.
    pub(super) fn follow(&mut self) -> Result<u64, Failure> {
        let (note, here) = self.here()?;
        // Before the witness is asked: what becomes durable meanwhile is not what it cosigns.
        let whole = self.course.whole_at(here.size);
        // The second time from the size that the witness told.
        for _ in 0..2 {
            let old = self.seen.unwrap_or(0);
            if old > here.size {
                return Err(Failure::Diverged(format!(
                    "the witness has seen {old} records of {}, and there are {}",
                    self.origin, here.size
                )));
            }
            let request = self.request(old, here.size, &note)?;
            match self.witness.add_checkpoint(&request)? {
                (200, answer) => return self.cosigned(&note, (&here, whole), &answer),
                (409, answer) => {
                    let size = answer.trim_end().parse().map_err(|_| self.strange(409, &answer))?;
                    if size == old {
                        let problem = format!("the witness has seen other records up to {size}");
                        return Err(Failure::Diverged(problem));
                    }
                    self.seen = Some(size);
                }
                (422, _) => {
                    let problem = format!("the witness has seen other records up to {old}");
                    return Err(Failure::Diverged(problem));
                }
                (status, answer) => return Err(self.strange(status, &answer).into()),
            }
        }
        Err(TargetError("the witness heard of this log from another process meanwhile".to_owned()).into())
    }

    fn request(&self, old: u64, size: u64, note: &str) -> Result<String, AuditError> {
        let proof = growth(old, size, |path| self.tlog.get(path))?;
        let proof = proof.ok_or_else(|| self.damaged("its published tiles are not whole"))?;
        let proof: String = proof.iter().map(|it| format!("{}\n", STANDARD.encode(it))).collect();
        Ok(format!("old {old}\n{proof}\n{note}"))
    }

    /// Keeps a cosignature: with the published checkpoint, if that is still this one, and by itself.
    fn cosigned(
        &mut self,
        note: &str,
        (here, whole): (&Checkpoint, Option<i64>),
        answer: &str,
    ) -> Result<u64, Failure> {
        let key = self.witness.key();
        let line = ours(note, answer, key).ok_or_else(|| self.strange(200, answer))?;
        let cosigned = with_line(note, &line).ok_or_else(|| self.strange(200, answer))?;
        let time = key.cosigned_at(cosigned.as_bytes()).map_or(0, Timestamp::as_second);
        if is_ahead(time) {
            return Err(TargetError("the witness's clock is ahead of ours".to_owned()).into());
        }
        self.seen = Some(here.size);
        {
            let _writes = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            self.folder.put(&self.place(), cosigned.as_bytes())?;
            let now = self.tlog.get(CHECKPOINT)?.and_then(|it| String::from_utf8(it).ok());
            let body = |it: &str| it.rsplit_once("\n\n").map(|(body, _)| body.to_owned());
            if let Some(now) = now.filter(|it| body(it) == body(note))
                && let Some(with) = with_line(&now, &line)
            {
                self.tlog.put(CHECKPOINT, with.as_bytes())?;
            }
        }
        if let Some(whole) = whole {
            self.all.send_modify(|all| all[self.number].last = Some((here.size, time.min(whole))));
        }
        self.mirrors.iter().for_each(|it| it.tell(here.size));
        Ok(here.size)
    }

    /// The checkpoint in the log's own folder.
    fn here(&self) -> Result<(String, Checkpoint), AuditError> {
        let note = self.tlog.get(CHECKPOINT)?.unwrap_or_default();
        match (Checkpoint::open(&note, &[self.key]), String::from_utf8(note)) {
            (Ok(checkpoint), Ok(note)) if checkpoint.origin == self.origin => Ok((note, checkpoint)),
            _ => Err(self.damaged("its published checkpoint is gone or not its own")),
        }
    }

    /// Where the last note is kept that the witness cosigned.
    fn place(&self) -> String {
        PathBuf::from(COSIGNED).join(self.witness.key().id()).display().to_string()
    }

    fn strange(&self, status: u16, answer: &str) -> TargetError {
        let answer: String = answer.chars().filter(|it| !it.is_control()).take(120).collect();
        TargetError(match status {
            200 => "the answer holds no cosignature of the configured key".to_owned(),
            403 => "the witness knows another key of this log: give it the one that `bailiwick audit verify` shows"
                .to_owned(),
            404 => "the witness does not know this log: start it with --log and the log's key".to_owned(),
            _ => format!("answer {status}: {answer}"),
        })
    }

    fn damaged(&self, problem: &str) -> AuditError {
        AuditError::Damaged { log: self.log.clone(), problem: problem.to_owned() }
    }
}

impl Attested {
    fn is_within(&self, within: Duration, now: i64) -> bool {
        self.last.is_some_and(|(_, time)| now.saturating_sub(time) < within.as_secs() as i64)
    }
}

/// Waits until some witness's last cosignature is young enough, no longer than `patience`; else says what each last did.
pub(super) async fn witnessed(
    all: &Attestations,
    within: Duration,
    patience: Duration,
) -> Result<(), String> {
    let mut heard = all.subscribe();
    let young = |all: &Vec<Attested>| all.iter().any(|it| it.is_within(within, now()));
    if let Ok(Ok(_)) = tokio::time::timeout(patience, heard.wait_for(young)).await {
        return Ok(());
    }
    let each = heard.borrow().iter().map(|it| it.told(now())).collect::<Vec<_>>().join("; ");
    Err(format!("no witness has cosigned it within {} s: {each}", within.as_secs()))
}

/// Seconds since the youngest cosignature; a clock that is a little ahead of ours counts as now.
pub(super) fn age(all: &Attestations) -> Option<u64> {
    let now = Timestamp::now().as_second();
    let times = all.borrow();
    let latest = times.iter().filter_map(|it| it.last).map(|(_, time)| time).max()?;
    Some(u64::try_from(now.saturating_sub(latest)).unwrap_or(0))
}

impl Attested {
    fn told(&self, now: i64) -> String {
        let last = match self.last {
            Some((size, time)) => {
                format!("{size} records, all that there were {} s ago", now.saturating_sub(time))
            }
            None => "nothing yet, or less than there is".to_owned(),
        };
        format!("{} cosigned {last}", self.name)
    }
}

fn is_ahead(time: i64) -> bool {
    time > now().saturating_add(AHEAD_MAX)
}
