//! Until when may one call ask, and what was it warned of?

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use config::Connection;
use outbound::Deadline;
use tool::ToolError;

use crate::labels::short;

/// All questions of one call to one system. Whoever asks hands it over, so that no answer comes without its warnings.
#[derive(Debug, Default)]
pub(crate) struct Inquiry {
    deadline: Deadline,
    warnings: Mutex<BTreeSet<String>>,
}

/// Most warnings told, and most kept.
const TOLD_MAX: usize = 3;
const KEPT_MAX: usize = 50;
const WARNING_MAX: usize = 200;

impl Inquiry {
    /// Answers must be there by then.
    pub(crate) fn until(deadline: Deadline) -> Inquiry {
        Inquiry { deadline, ..Inquiry::default() }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Keeps what an answer warns of: mostly that it is not whole, because a store behind it did not answer.
    pub(super) fn warned(&self, warnings: Vec<String>) {
        let mut kept = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in warnings {
            if kept.len() < KEPT_MAX {
                kept.insert(short(&warning, WARNING_MAX));
            }
        }
    }

    /// What the answers may lack, in the system's own words; untrusted.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let kept = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kept.iter().take(TOLD_MAX).map(|it| format!("its answers may lack something: {it}"));
        let more = kept.len().saturating_sub(TOLD_MAX);
        told.chain((more > 0).then(|| format!("and {more} more warnings"))).collect()
    }

    /// The error instead of "there is no such thing", where not everything was looked at.
    pub(crate) fn incomplete(&self, of: &Connection) -> Option<ToolError> {
        let warnings = self.warnings();
        (!warnings.is_empty()).then(|| ToolError::Unavailable {
            backend: of.name.clone(),
            problem: format!("not found, but {}", warnings.join("; ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_warning_is_told_once_and_many_are_counted() {
        let inquiry = Inquiry::default();
        assert!(inquiry.warnings().is_empty());
        let words = |of: usize| (0..of).map(|it| format!("store {it}")).collect::<Vec<_>>();
        inquiry.warned(words(1));
        inquiry.warned(words(2));
        let told = ["its answers may lack something: store 0", "its answers may lack something: store 1"];
        assert_eq!(inquiry.warnings(), told);
        inquiry.warned(words(2_000));
        assert_eq!(inquiry.warnings().last().map(String::as_str), Some("and 47 more warnings"));
    }
}
