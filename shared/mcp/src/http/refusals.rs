//! What was refused before any tool was reached, and how much of it the log takes.
//!
//! What a known caller sends is recorded each time, as on standard input. Nobody in particular could fill the disk
//! that way, and with it stop all effects: of theirs the log takes one a second, and says how many it left out.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use gate::Gate;
use policy::{Assurance, Caller, Channel};

/// Records refusals of one site.
pub(crate) struct Refusals {
    gate: Arc<Gate>,
    allowance: Mutex<Allowance>,
}

/// How many records nobody in particular may still cause.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
    left_out: u64,
}

/// At once; after that, one for each [`EVERY`].
const ALLOWED_AT_ONCE: u32 = 60;
const EVERY: Duration = Duration::from_secs(1);

impl Refusals {
    pub(crate) fn new(gate: Arc<Gate>) -> Refusals {
        Refusals { gate, allowance: Mutex::new(Allowance::new(Instant::now())) }
    }

    /// Records what somebody sent who is known.
    pub(crate) async fn of(&self, caller: &Caller, problem: &str) {
        self.gate.reject(caller, Channel::Http, problem).await;
    }

    /// Records what somebody sent who is not.
    pub(crate) async fn of_nobody(&self, problem: &str) {
        let taken = self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        match taken {
            None => {}
            Some(0) => self.of(&nobody(), problem).await,
            Some(left_out) => {
                let problem =
                    format!("{problem} (before it, {left_out} refusals were not recorded one by one)");
                self.of(&nobody(), &problem).await;
            }
        }
    }
}

/// Stands in records for whoever did not prove to be anybody. No configuration or token can give such a name.
pub(crate) fn nobody() -> Caller {
    Caller {
        agent: "(unauthenticated)".to_owned(),
        on_behalf_of: None,
        teams: Vec::new(),
        assurance: Assurance::Declared,
    }
}

impl Allowance {
    fn new(now: Instant) -> Allowance {
        Allowance { left: ALLOWED_AT_ONCE, since: now, left_out: 0 }
    }

    /// Whether one more is recorded, and how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since).as_secs() / EVERY.as_secs();
        if passed > 0 {
            self.left = ALLOWED_AT_ONCE.min(self.left.saturating_add(passed.try_into().unwrap_or(u32::MAX)));
            self.since += EVERY * u32::try_from(passed).unwrap_or(u32::MAX);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_recorded_one_by_one() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        for _ in 0..ALLOWED_AT_ONCE {
            assert_eq!(allowance.take(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(allowance.take(start), None);
        }
        assert_eq!(allowance.take(start + EVERY), Some(1000), "the next record says how many were left out");
        assert_eq!(allowance.take(start + EVERY), None);
        for _ in 0..ALLOWED_AT_ONCE {
            assert!(allowance.take(start + EVERY * 4000).is_some());
        }
        assert_eq!(
            allowance.take(start + EVERY * 4000),
            None,
            "it never grows beyond what is allowed at once"
        );
    }
}
