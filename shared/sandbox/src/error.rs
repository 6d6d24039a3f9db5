//! What can be wrong with a question to the sandbox?

/// Why the sandbox did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Name one of the services.
    #[error("no service `{service}` in this world; it has {known}")]
    UnknownService {
        /// What was asked for.
        service: String,
        /// What there is.
        known: String,
    },
    /// Name a change that still stands.
    #[error("no change `{change}` that still stands in this world")]
    UnknownChange {
        /// What was asked for.
        change: String,
    },
    /// Nothing to do.
    #[error("`{service}` runs as it did at the start of its history: no change is left to roll back")]
    NothingToRollBack {
        /// Of which service.
        service: String,
    },
    /// The git repository cannot be written: look at the folder.
    #[error("the git repository: {problem}")]
    Git {
        /// What went wrong.
        problem: String,
    },
    /// A loopback port and a temporary folder are all that it takes.
    #[error("the sandbox cannot start: {0}")]
    Start(#[source] std::io::Error),
    /// Name one of the faults.
    #[error("no fault `{word}`; there are {known}")]
    UnknownFault {
        /// What was asked for.
        word: String,
        /// What there is.
        known: String,
    },
}
