//! Who writes? One thread per log: it takes all that is queued, makes it durable with one sync, then answers.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::{
    AuditError, Receipt, Standing,
    journal::Use,
    ledger::{Group, Ledger},
    publish::Publication,
    record::{Draft, Facts, Word},
    transition::ends_an_effect,
};

/// Most requests in one commit.
const COMMIT_MAX: usize = 512;
/// Payloads above this are kept as digests once only outcomes are left, so that every open intent still finds room.
const SCARCE_PAYLOAD_BYTES: usize = 4096;

/// What a writer is asked for.
pub(crate) enum Request {
    /// Make a record durable.
    Append(Box<Append>),
    /// See whether a full disk has room again.
    Probe,
    /// Append a stop and end.
    Close(&'static str, Answer<()>),
}

/// A record and who waits for it.
pub(crate) struct Append {
    pub(crate) draft: Box<Draft>,
    pub(crate) answer: Answer<Receipt>,
    /// Share of the bytes that may be queued, given back once the record is written.
    pub(crate) _share: OwnedSemaphorePermit,
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, AuditError>>;

/// The standing as everybody may read it.
#[derive(Clone)]
pub(crate) struct Shared(Arc<RwLock<Standing>>);

/// Who waits for a staged record, and what they will be given.
struct Waiting {
    receipt: Receipt,
    answer: Answer<Receipt>,
    _share: OwnedSemaphorePermit,
}

/// The one who writes.
pub(crate) struct Writer {
    ledger: Ledger,
    queue: mpsc::Receiver<Request>,
    standing: Shared,
    publication: Option<Arc<Publication>>,
    /// Why nothing more may be written.
    poisoned: Option<String>,
}

impl Shared {
    pub(crate) fn new(standing: Standing) -> Shared {
        Shared(Arc::new(RwLock::new(standing)))
    }

    pub(crate) fn get(&self) -> Standing {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, standing: Standing) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

impl Drop for Writer {
    /// However the writer ends, nobody may take the log for open after it.
    fn drop(&mut self) {
        if !matches!(self.standing.get(), Standing::Closed { .. }) {
            self.standing.set(Standing::Closed { why: "its writer ended; start again".to_owned() });
        }
    }
}

impl Writer {
    pub(crate) fn new(
        ledger: Ledger,
        queue: mpsc::Receiver<Request>,
        standing: Shared,
        publication: Option<Arc<Publication>>,
    ) -> Writer {
        Writer { ledger, queue, standing, publication, poisoned: None }
    }

    /// Serves until it is asked to close, or until nobody is left who could ask: then without a stop record, because
    /// nobody said that this is the end.
    pub(crate) fn run(mut self) {
        let mut requests = Vec::with_capacity(COMMIT_MAX);
        loop {
            if self.queue.blocking_recv_many(&mut requests, COMMIT_MAX) == 0 {
                return;
            }
            if let Some((reason, answer)) = self.serve(&mut requests) {
                let closed = self.close(reason);
                // Nothing is accepted from here on, and the caller may hear of it only once nothing is written either.
                drop(self);
                let _ = answer.send(closed);
                return;
            }
        }
    }

    /// Makes one commit of the requests and of those that come in while it is staged; ends at a close.
    fn serve(&mut self, requests: &mut Vec<Request>) -> Option<(&'static str, Answer<()>)> {
        self.turn();
        let mut group = self.ledger.begin();
        let mut waiting = Vec::with_capacity(requests.len());
        let mut close = None;
        let mut batch = std::mem::take(requests).into_iter();
        while let Some(request) = batch.next().or_else(|| self.more(waiting.len())) {
            match request {
                Request::Append(append) => self.stage(&mut group, *append, &mut waiting),
                Request::Probe => {}
                Request::Close(reason, answer) => {
                    close = Some((reason, answer));
                    break;
                }
            }
        }
        self.finish(group, waiting);
        close
    }

    fn more(&mut self, staged: usize) -> Option<Request> {
        (staged < COMMIT_MAX).then(|| self.queue.try_recv().ok()).flatten()
    }

    fn stage(&mut self, group: &mut Group, append: Append, waiting: &mut Vec<Waiting>) {
        let Append { draft, answer, _share } = append;
        match self.try_stage(group, draft) {
            Ok(receipt) => waiting.push(Waiting { receipt, answer, _share }),
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    fn try_stage(&mut self, group: &mut Group, mut draft: Box<Draft>) -> Result<Receipt, AuditError> {
        self.alive()?;
        let for_what = match draft.word {
            Word::Intent => Use::Effect,
            Word::Outcome => Use::Outcome,
            // It ends what had begun before the disk was full, like the outcome beside it.
            Word::Transition if ends_an_effect(&draft.facts) => Use::Outcome,
            _ => Use::Read,
        };
        if for_what == Use::Outcome && !self.fits(group, &draft, Use::Read)? {
            draft.shrink(SCARCE_PAYLOAD_BYTES);
        }
        if !self.fits(group, &draft, for_what)? {
            let why = full(&self.ledger);
            return Err(match for_what {
                Use::Effect if self.fits(group, &draft, Use::Read)? => AuditError::ReadsOnly { why },
                _ => AuditError::Closed { why },
            });
        }
        self.ledger.stage(group, *draft)
    }

    fn fits(&mut self, group: &Group, draft: &Draft, for_what: Use) -> Result<bool, AuditError> {
        self.ledger.fits(group, draft, for_what).map_err(|error| {
            let why = format!("cannot reserve room in {}: {error}", self.ledger.path().display());
            self.poison(why.clone());
            AuditError::Closed { why }
        })
    }

    /// Commits, then answers everybody who waits: all of them or none has a record.
    fn finish(&mut self, group: Group, waiting: Vec<Waiting>) {
        if !waiting.is_empty()
            && let Err(error) = self.alive().and_then(|()| self.commit(group))
        {
            self.poison(error.to_string());
        }
        let failed = self.poisoned.clone();
        // Before the answers, so that whoever has one finds the standing that it led to.
        self.look_at_room();
        for Waiting { receipt, answer, .. } in waiting {
            let _ = answer.send(failed.clone().map_or(Ok(receipt), |why| Err(AuditError::Closed { why })));
        }
    }

    fn close(&mut self, reason: &'static str) -> Result<(), AuditError> {
        let closed = self.alive().and_then(|()| self.stop(reason));
        if self.poisoned.is_none() {
            self.standing.set(Standing::Closed { why: format!("it was closed: {reason}") });
        }
        closed
    }

    /// Gives every intent that is still open the outcome `unknown`, then appends the stop.
    fn stop(&mut self, reason: &'static str) -> Result<(), AuditError> {
        let mut group = self.ledger.begin();
        let open: Vec<u64> = self.ledger.open().collect();
        for intent in open {
            let mark = Draft::own(Word::Outcome, Facts::default());
            if self.fits(&group, &mark, Use::Outcome)? {
                self.ledger.stage_unknown(&mut group, intent)?;
            }
        }
        let facts = Facts { reason: Some(reason.to_owned()), ..Facts::default() };
        let stop = Draft::own(Word::Stop, facts);
        if !self.fits(&group, &stop, Use::Stop)? {
            return Err(AuditError::Closed { why: full(&self.ledger) });
        }
        self.ledger.stage(&mut group, stop)?;
        self.commit(group).inspect_err(|error| self.poison(error.to_string()))
    }

    /// Makes a group durable, and lets those hear of it who publish.
    fn commit(&mut self, group: Group) -> Result<(), AuditError> {
        self.ledger.commit(group)?;
        if let Some(publication) = &self.publication {
            publication.tell(self.ledger.reach());
        }
        Ok(())
    }

    /// Goes on in another segment where it is time.
    fn turn(&mut self) {
        if self.poisoned.is_none()
            && let Err(error) = self.ledger.turn()
        {
            self.poison(error.to_string());
        }
    }

    fn alive(&self) -> Result<(), AuditError> {
        self.poisoned.clone().map_or(Ok(()), |why| Err(AuditError::Closed { why }))
    }

    fn poison(&mut self, why: String) {
        tracing::error!(log = self.ledger.origin(), why, "the log is closed");
        self.standing.set(Standing::Closed { why: why.clone() });
        self.poisoned = Some(why);
    }

    fn look_at_room(&mut self) {
        if self.poisoned.is_some() {
            return;
        }
        match room(&mut self.ledger) {
            Ok(standing) => {
                if standing != self.standing.get() {
                    tracing::warn!(log = self.ledger.origin(), %standing, "the log's standing changed");
                    self.standing.set(standing);
                }
            }
            Err(error) => self.poison(error.to_string()),
        }
    }
}

/// What the room on the disk leaves to do.
pub(crate) fn room(ledger: &mut Ledger) -> Result<Standing, AuditError> {
    let mut has = |for_what| {
        ledger.has_room(for_what).map_err(|error| AuditError::Io {
            doing: "reserve room in",
            path: ledger.path().clone(),
            error,
        })
    };
    Ok(match (has(Use::Effect)?, has(Use::Read)?) {
        (true, _) => Standing::Open,
        (false, true) => Standing::ReadsOnly { why: full(ledger) },
        (false, false) => Standing::Closed { why: full(ledger) },
    })
}

fn full(ledger: &Ledger) -> String {
    format!("the disk of {} is full; free some space there", ledger.path().display())
}
