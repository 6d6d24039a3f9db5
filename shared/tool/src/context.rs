//! What a running tool may know about its call.

use audit::{Admission, Receipt};
use policy::{Caller, Permit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The circumstances of one permitted and admitted call.
#[derive(Debug)]
pub struct Context {
    caller: Caller,
    permit: Permit,
    admission: Admission,
    deadline: Instant,
    cancelled: CancellationToken,
    now: jiff::Timestamp,
    witnessed_seconds: Option<u64>,
}

/// Leave to change something: borrowed from a context whose intent is durable. Backends take it in every method that
/// writes, so that a read or a dry run cannot reach one:
///
/// ```compile_fail
/// let leave = tool::Leave { intent: todo!() };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Leave<'a> {
    intent: &'a Receipt,
}

/// The permit and the admission are for different calls.
#[derive(Debug, thiserror::Error)]
#[error("the permit and the admission are for different calls")]
pub struct Mismatch;

impl Context {
    /// Takes the two proofs without which no tool runs, for the same call.
    pub fn new(
        caller: Caller,
        permit: Permit,
        admission: Admission,
        deadline: Instant,
        cancelled: CancellationToken,
        now: jiff::Timestamp,
    ) -> Result<Context, Mismatch> {
        match permit.call() == admission.call() {
            true => {
                let witnessed_seconds = None;
                Ok(Context { caller, permit, admission, deadline, cancelled, now, witnessed_seconds })
            }
            false => Err(Mismatch),
        }
    }

    /// The same call, and how long before it a witness has cosigned the log last.
    pub fn with_witnessed(self, witnessed_seconds: Option<u64>) -> Context {
        Context { witnessed_seconds, ..self }
    }

    /// Who is calling.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Rules that permit the call.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Leave to write; none when the call is a read or a dry run.
    pub fn leave(&self) -> Option<Leave<'_>> {
        self.admission.intent().map(|intent| Leave { intent })
    }

    /// When the answer must be there. Stop early and say what was left.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Fires when the client gives up on a read. Work on blocking threads asks it now and then.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// The moment the call was decided: what `now` means in a window.
    pub fn now(&self) -> jiff::Timestamp {
        self.now
    }

    /// How long before the call a witness has cosigned the log last; none where none has.
    pub fn witnessed_seconds(&self) -> Option<u64> {
        self.witnessed_seconds
    }
}

impl Leave<'_> {
    /// The durable intent, to name in the system of record as the origin of the change.
    pub fn intent(&self) -> &Receipt {
        self.intent
    }
}
