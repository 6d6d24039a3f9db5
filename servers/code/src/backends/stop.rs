//! When does reading end, whatever is left?

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Asked now and then by work on a blocking thread.
#[derive(Debug)]
pub(crate) struct Stop {
    cancelled: CancellationToken,
    at: Instant,
    asked: Cell<u32>,
    reached: Cell<bool>,
}

/// Of the time until the deadline, what is kept for the rest of the call: shaping and recording.
const KEPT: u32 = 5;
const KEPT_MAX: Duration = Duration::from_secs(1);
/// The clock is read this rarely.
const EVERY: u32 = 16;

impl Stop {
    pub(crate) fn new(cancelled: CancellationToken, deadline: Instant) -> Stop {
        let left = deadline.saturating_duration_since(Instant::now());
        let at = deadline.checked_sub((left / KEPT).min(KEPT_MAX)).unwrap_or(deadline);
        Stop { cancelled, at, asked: Cell::new(0), reached: Cell::new(false) }
    }

    /// The same moment, for a thread beside this one.
    pub(crate) fn twin(&self) -> Stop {
        Stop {
            cancelled: self.cancelled.clone(),
            at: self.at,
            asked: Cell::new(0),
            reached: Cell::new(self.reached.get()),
        }
    }

    /// Whether to stop now and say what was left. Once true, always true.
    pub(crate) fn is_reached(&self) -> bool {
        let asked = self.asked.get();
        self.asked.set(asked.wrapping_add(1));
        if asked.is_multiple_of(EVERY) { self.is_reached_now() } else { self.reached.get() }
    }

    /// The same by the clock of this moment, between steps of which each may take long.
    pub(crate) fn is_reached_now(&self) -> bool {
        if !self.reached.get() {
            self.reached.set(self.cancelled.is_cancelled() || Instant::now() >= self.at);
        }
        self.reached.get()
    }

    /// Whether nobody waits for an answer.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}
