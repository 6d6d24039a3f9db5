//! Why was nothing recorded?

use std::{io, path::PathBuf};

use crate::{NotCanonical, Receipt};

/// Why the log did not do what was asked. A variant is a next step.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Change what is recorded; nothing was written.
    #[error("the record has no canonical form: {0}")]
    NotCanonical(#[from] NotCanonical),
    /// Change what is recorded; nothing was written.
    #[error("malformed record: {problem}")]
    Malformed {
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Free some space, then try again; reads still go on.
    #[error("the log takes no effects: {why}")]
    ReadsOnly {
        /// What filled up.
        why: String,
    },
    /// This log takes nothing more: find out why, then start again.
    #[error("the log is closed: {why}")]
    Closed {
        /// What happened.
        why: String,
    },
    /// The log is not what was written: look before anything else writes to it.
    #[error(
        "log {log} is not as it was written: {problem}; `bailiwick audit verify` says more. Move its folder aside to keep it as evidence"
    )]
    Damaged {
        /// `<server>/<n>`.
        log: String,
        /// Where, and what it looks like.
        problem: String,
    },
    /// Repair the keys' folder; nothing can be signed without.
    #[error("{}: {problem}", path.display())]
    Keys {
        /// The file at fault.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Name the log otherwise.
    #[error("`{name}` cannot name a log; expected 1 to 63 of a-z, 0-9, `-` and `_`")]
    Name {
        /// As given.
        name: String,
    },
    /// Stop some processes.
    #[error("all {count} logs in {} are taken", path.display())]
    Taken {
        /// How many there are.
        count: u32,
        /// The server's folder.
        path: PathBuf,
    },
    /// Name a record that exists.
    #[error("no record `{selector}`: {problem}")]
    NoRecord {
        /// As given.
        selector: String,
        /// What would be right.
        problem: String,
    },
    /// See to the witnesses; reads still go on.
    #[error("the log takes no effects: {why}")]
    Unwitnessed {
        /// Who has not cosigned it, and for how long.
        why: String,
    },
    /// See to the collector; reads still go on.
    #[error("the log takes no effects: {why}")]
    Uncollected {
        /// Who does not hold it, and why.
        why: String,
        /// The intent that is durable here and began nothing; none when there is none.
        intent: Option<Receipt>,
    },
    /// Name a collector, or keep the log where it lasts; reads still go on.
    #[error("the log takes no effects: {why}")]
    Ephemeral {
        /// What goes with the process, and what would be right.
        why: String,
    },
    /// Have the hold lifted first; nothing was erased.
    #[error("`{subject}` is held by `{by}` under [audit] hold; nothing was erased")]
    Held {
        /// Whom it is about.
        subject: String,
        /// Entry of the hold list.
        by: String,
    },
    /// The disk or its permissions failed.
    #[error("cannot {doing} {}: {error}", path.display())]
    Io {
        /// `open`, `write`, …
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Puts the place and the deed beside an error of the system.
pub(crate) trait At<T> {
    /// `doing` reads after "cannot".
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, AuditError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, AuditError> {
        self.map_err(|error| AuditError::Io { doing, path: path.into(), error })
    }
}
