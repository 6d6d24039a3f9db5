//! Why a call has no result, in the order in which a call can fail.

use std::{borrow::Cow, time::Duration};

use approval::State;
use audit::{AuditError, Receipt};
use policy::{Denial, NeedsApproval};
use redact::abridged;
use serde_json::{Map, Value, json};
use tool::{ArgumentError, Profile, ToolError};

use crate::{approvals::Hindrance, shape::RefusalText, waiting};

/// Why a call has no result. The message says what to change; the log says what broke.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No tool has that name.
    #[error("unknown tool `{name}`{}; known: {}", elsewhere.map(offered).unwrap_or_default(), known.join(", "))]
    UnknownTool {
        /// As the caller gave it.
        name: String,
        /// Every tool that is offered here.
        known: Vec<&'static str>,
        /// The profile that offers it, when it is another than the one served.
        elsewhere: Option<Profile>,
        /// Why policy hides it, where it is one: the log says so, the caller does not hear it.
        hidden: Option<Denial>,
    },
    /// An argument is wrong.
    #[error("invalid arguments: {0}")]
    Arguments(ArgumentError),
    /// What the call touches could not be established.
    #[error("{0}")]
    Unresolved(ToolError),
    /// Policy forbids it, or nothing permits it.
    #[error("denied by {}: {}", .0.policy.as_deref().unwrap_or("default"), .0.reason)]
    Denied(Denial),
    /// Policy wants people to agree first.
    #[error("approval required{}", needed.reason.as_deref().map(|it| format!(": {it}")).unwrap_or_default())]
    NeedsApproval {
        /// How many, and who may.
        needed: NeedsApproval,
        /// The stored request; none where nobody could agree to it.
        waiting: Option<Box<approval::Request>>,
    },
    /// It is not approved, stopped, or in somebody's way.
    #[error("{0}")]
    Hindered(Hindrance),
    /// The log cannot take it: nothing ran, or nothing leaves.
    #[error("not recorded, so refused: {}", told(.0))]
    Unrecorded(AuditError),
    /// The tool ran and failed.
    #[error("{0}")]
    Failed(ToolError),
    /// Something broke before an effect began.
    #[error("the tool crashed; this is a fault in bailiwick, not in the arguments")]
    Crashed,
    /// Something broke after an effect had begun.
    #[error(
        "outcome unknown: bailiwick crashed after the effect was started, so it may have happened (intent {intent}). Look at the system before you repeat it"
    )]
    EffectCrashed {
        /// Index of the intent in the log.
        intent: u64,
    },
    /// It took too long.
    #[error("no result within {} s; ask for less", .0.as_secs())]
    TimedOut(Duration),
    /// The client gave up.
    #[error("cancelled by the client")]
    Cancelled,
    /// The wait ended before the effect did.
    #[error(
        "outcome unknown: the effect was started and runs to its end; `bailiwick audit show` tells how it ended (intent {intent}). Do not repeat it before you know"
    )]
    OutcomeUnknown {
        /// Index of the intent in the log.
        intent: u64,
    },
    /// The effect ended and the log could not take its outcome.
    #[error(
        "the effect may have happened, but its outcome could not be recorded (intent {intent}): {}. No further effect will run",
        told(error)
    )]
    OutcomeUnrecorded {
        /// Index of the intent in the log.
        intent: u64,
        /// What failed.
        error: AuditError,
    },
}

impl From<policy::Refusal> for Refusal {
    fn from(refusal: policy::Refusal) -> Refusal {
        match refusal {
            policy::Refusal::NeedsApproval(needed) => Refusal::NeedsApproval { needed, waiting: None },
            policy::Refusal::Denied(denial) => Refusal::Denied(denial),
        }
    }
}

impl Refusal {
    /// What is told of an argument that is wrong: no more than a person reads, however much of it the problem quotes.
    pub(crate) fn arguments(error: ArgumentError) -> Refusal {
        let ArgumentError { argument, problem } = error;
        Refusal::Arguments(ArgumentError {
            argument: abridged(argument, PROBLEM_BYTES_MAX),
            problem: abridged(problem, PROBLEM_BYTES_MAX),
        })
    }

    /// What is told of a call that broke.
    pub(crate) fn crashed(intent: Option<&Receipt>) -> Refusal {
        intent.map_or(Refusal::Crashed, |it| Refusal::EffectCrashed { intent: it.index() })
    }

    /// Stable word for clients, logs and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownTool { .. } => "unknown_tool",
            Refusal::Arguments(_) => "invalid_arguments",
            Refusal::Unresolved(error) | Refusal::Failed(error) => error.code(),
            Refusal::Denied(_) => "denied",
            Refusal::NeedsApproval { .. } => "approval_required",
            Refusal::Hindered(hindrance) => hindrance.code(),
            Refusal::Unrecorded(_) => "not_recorded",
            Refusal::Crashed => "crashed",
            Refusal::TimedOut(_) => "timed_out",
            Refusal::Cancelled => "cancelled",
            Refusal::OutcomeUnknown { .. } | Refusal::EffectCrashed { .. } => "outcome_unknown",
            Refusal::OutcomeUnrecorded { .. } => "outcome_unrecorded",
        }
    }

    /// What the gate tells the caller, with the facts a program needs beside the message.
    pub(crate) fn text(&self) -> RefusalText {
        let mut fields = Map::new();
        let mut suggestions = Vec::new();
        match self {
            Refusal::Arguments(error) => {
                fields.insert("argument".to_owned(), error.argument.clone().into());
            }
            Refusal::Denied(denial) => fields = object(json!(denial)),
            Refusal::NeedsApproval { needed, waiting } => fields = approval(needed, waiting.as_deref()),
            Refusal::Unresolved(error) | Refusal::Failed(error) => match error {
                ToolError::NotFound { suggestions: near, .. }
                | ToolError::Unnamed { suggestions: near, .. } => {
                    suggestions = near.clone();
                }
                ToolError::TooCostly { next: Some(next), .. } => {
                    fields.insert("next".to_owned(), next.clone());
                }
                _ => {}
            },
            Refusal::OutcomeUnknown { intent }
            | Refusal::OutcomeUnrecorded { intent, .. }
            | Refusal::EffectCrashed { intent } => {
                fields.insert("intent".to_owned(), (*intent).into());
            }
            _ => {}
        }
        // All three may end in a system's own words.
        let quotes = |it: &ToolError| {
            matches!(
                it,
                ToolError::Rejected { .. } | ToolError::Unavailable { .. } | ToolError::Unknown { .. }
            )
        };
        let untrusted = matches!(self, Refusal::Unresolved(error) | Refusal::Failed(error) if quotes(error));
        RefusalText { code: self.code(), message: self.to_string(), fields, suggestions, untrusted }
    }
}

/// The wire shape of an approval that is needed: what would be done, who may agree, and how to go on.
fn approval(needed: &NeedsApproval, waiting: Option<&approval::Request>) -> Map<String, Value> {
    let how = match (needed.approvals, needed.confirmed) {
        (0, _) => "the person at the keyboard confirms".to_owned(),
        (1, _) => "one other person approves".to_owned(),
        (n, _) => format!("{n} other people approve"),
    };
    let mut fields =
        object(json!({ "approvals": needed.approvals, "policies": needed.policies, "how": how }));
    let who = match (needed.approvals, needed.who.as_slice()) {
        (0, _) => json!(["the person at the keyboard"]),
        (_, []) => json!("nobody: no policy permits Action::\"approve\" here"),
        (_, who) => json!(who),
    };
    fields.insert("who_may".to_owned(), who);
    if let Some(waiting) = waiting {
        let tool = if waiting.state == State::Approved { waiting::RUN } else { waiting::AWAIT };
        fields.insert("approval".to_owned(), waiting.id.clone().into());
        fields.insert("what".to_owned(), waiting.sealed.described().into());
        fields.insert("until".to_owned(), format!("{:.0}", waiting.approve_by).into());
        fields.insert("next".to_owned(), json!({ "tool": tool, "arguments": { "approval": waiting.id } }));
    }
    let words = [("reason", &needed.reason), ("instead", &needed.instead)];
    for (name, text) in words {
        if let Some(text) = text {
            fields.insert(name.to_owned(), text.clone().into());
        }
    }
    fields
}

/// Most bytes of a problem with an argument, and of its name.
const PROBLEM_BYTES_MAX: usize = 400;

/// Where a tool is found that the served profile does not offer.
fn offered(profile: Profile) -> String {
    format!(" in the served profile; `bailiwick serve --profile {}` offers it", profile.word())
}

/// What a caller may know of a log that failed; paths and system errors stay with the operator.
fn told(error: &AuditError) -> Cow<'_, str> {
    Cow::Borrowed(match error {
        // Names of witnesses and ages: what whoever waits can act on.
        AuditError::Unwitnessed { why } => return Cow::Owned(format!("effects need a witness; {why}")),
        AuditError::Uncollected { why, .. } => return Cow::Owned(format!("effects need a collector; {why}")),
        AuditError::Ephemeral { why } => return Cow::Owned(format!("effects need a collector; {why}")),
        AuditError::ReadsOnly { .. } => {
            "the log takes no effects, its disk is full; `bailiwick doctor` says more"
        }
        AuditError::NotCanonical(_) | AuditError::Malformed { .. } => "the record would be malformed",
        _ => "the log takes nothing (is its disk full?); `bailiwick doctor` says more",
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
