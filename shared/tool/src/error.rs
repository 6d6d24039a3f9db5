//! How a tool fails, as told to a model that may try again.

use policy::Target;
use serde_json::Value;

/// Why a call did not produce a result. Each variant is a different next step for the caller.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Name something that exists.
    #[error("unknown {kind} `{name}`")]
    NotFound {
        /// E.g. `connection`, `revision`, `path`.
        kind: &'static str,
        /// As the caller gave it.
        name: String,
        /// What does exist and is near; the gate leaves out what policy hides.
        suggestions: Vec<Suggestion>,
    },
    /// Say which: there are several.
    #[error("{kind}: not given, and several are configured; name one")]
    Unnamed {
        /// E.g. `connection`.
        kind: &'static str,
        /// Which there are; the gate leaves out what policy hides.
        suggestions: Vec<Suggestion>,
    },
    /// Change this argument.
    #[error("{argument}: {problem}")]
    Invalid {
        /// Argument name.
        argument: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Ask for less; `next` is a call that would do.
    #[error("{problem}")]
    TooCostly {
        /// What it would cost, and why that is refused.
        problem: String,
        /// Tool name and arguments, ready to send.
        next: Option<Value>,
    },
    /// It is closed to every caller, whatever the policy says.
    #[error("{problem}")]
    Closed {
        /// What is closed, why, and what to do instead.
        problem: String,
    },
    /// Change the arguments; the text comes from the system of record.
    #[error("{backend} rejected the request: {reason}")]
    Rejected {
        /// Connection name.
        backend: String,
        /// The system's own words, untrusted.
        reason: String,
    },
    /// Try again later, or tell a person.
    #[error("{backend} is unavailable: {problem}")]
    Unavailable {
        /// Connection name.
        backend: String,
        /// What was seen: refused, timed out, HTTP status, not JSON. No internal detail.
        problem: String,
    },
    /// A write was sent and its answer did not arrive: it may or may not have happened.
    #[error("{backend} may or may not have done it: {problem}")]
    Unknown {
        /// Connection name.
        backend: String,
        /// What was seen.
        problem: String,
    },
}

/// Something that exists, offered in place of what does not.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// What to write.
    pub text: String,
    /// What it would touch, so that policy can hide it; none when it reveals nothing.
    pub target: Option<Target>,
}

impl ToolError {
    /// Stable word for logs, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            ToolError::NotFound { .. } => "not_found",
            ToolError::Unnamed { .. } | ToolError::Invalid { .. } => "invalid_argument",
            ToolError::TooCostly { .. } => "too_costly",
            ToolError::Closed { .. } => "closed",
            ToolError::Rejected { .. } => "rejected",
            ToolError::Unavailable { .. } => "unavailable",
            ToolError::Unknown { .. } => "outcome_unknown",
        }
    }
}
