//! What people are told about a policy: its rules, where a caller stands, why an answer is what it is.

use serde::Serialize;

use crate::{Denial, NeedsApproval};

/// Where a caller stands with a tool and a target before the arguments are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Whatever the arguments.
    Allowed {
        /// Rules that permit it.
        policies: Vec<String>,
    },
    /// Some arguments may, others may not.
    Depends {
        /// Rules whose conditions on the arguments, on what was used so far or on a change ticket decide.
        policies: Vec<String>,
        /// Whether teams that are only declared matter: what they alone permit is denied, but for dry runs.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        declared: bool,
    },
    /// Once people agree, as far as can be told without the arguments.
    NeedsApproval(NeedsApproval),
    /// Whatever the arguments.
    Denied(Denial),
}

/// One rule, as `policy check` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleLine {
    /// Its `@id`.
    pub id: String,
    /// What it does when it matches.
    pub effect: RuleEffect,
    /// File and line, e.g. `policies/on-call.cedar:12`.
    pub place: String,
    /// Its `@reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleEffect {
    /// Permits, unless another forbids.
    Permit,
    /// Forbids.
    Forbid,
}

/// Why an answer is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer.
    pub answer: Verdict,
    /// Rules that match, forbids first.
    pub determining: Vec<RuleLine>,
    /// How many rules could apply to this caller, tool and these targets.
    pub considered: usize,
    /// How many rules there are.
    pub of: usize,
}

/// An answer in words, without the proof that [`crate::Permit`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Verdict {
    /// It may run.
    Permitted,
    /// It may run once people agree.
    NeedsApproval(NeedsApproval),
    /// It may not run.
    Denied(Denial),
}
