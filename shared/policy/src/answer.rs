//! The three answers of a policy.

use serde::Serialize;

use crate::Digest;

/// Proof that a policy allowed one call. Only [`crate::Policy::decide`] makes one:
///
/// ```compile_fail
/// policy::Permit { call: [0; 32], policies: Vec::new() };
/// ```
///
/// and it cannot be used twice:
///
/// ```compile_fail
/// fn twice(permit: policy::Permit) -> [policy::Permit; 2] { [permit.clone(), permit] }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    call: Digest,
    policies: Vec<String>,
}

/// Why a call may not run as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may run once people agree.
    NeedsApproval(NeedsApproval),
    /// It may not run.
    Denied(Denial),
}

/// What would lift the refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NeedsApproval {
    /// How many authenticated other people; 0 when a confirmation is enough.
    pub approvals: u8,
    /// Whether the person at the keyboard must confirm.
    pub confirmed: bool,
    /// Rules that ask for it.
    pub policies: Vec<String>,
    /// The first rule's `@reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first rule's `@instead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Who may approve, as `Action::"approve"` policies name them; empty when nobody may.
    pub who: Vec<String>,
}

/// Why not, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// Rule that forbids it; none when no rule permits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rule's `@reason`, or that no rule permits it.
    pub reason: String,
    /// The rule's `@instead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl Permit {
    pub(crate) fn new(call: Digest, policies: Vec<String>) -> Permit {
        Permit { call, policies }
    }

    /// The call it is for.
    pub fn call(&self) -> &Digest {
        &self.call
    }

    /// Rules that permit it, by id.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }
}
