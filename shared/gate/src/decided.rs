//! How was a call decided? For whoever counts calls: closed words, and names that policy files hold.

use crate::{Hindrance, Refusal, trail::Trail};

/// How a call was decided. Nothing in it comes from a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Server of the tool; empty where no tool was found.
    pub server: String,
    /// The worst that the tool can do, e.g. `read`.
    pub effect: Option<&'static str>,
    /// `allow`, `ask`, `approve`, `deny`; `none` where it did not come to that.
    pub decision: &'static str,
    /// Ids of what decided it.
    pub policies: Vec<String>,
}

impl Decided {
    /// As the line knows it, once its record is made: names are taken, not copied.
    pub(crate) fn of(trail: &mut Trail, refusal: Option<&Refusal>) -> Decided {
        let (named, permitted_by) = (trail.tool_name(), std::mem::take(&mut trail.permitted_by));
        Decided {
            effect: (!named.is_empty()).then(|| trail.effect().word()),
            decision: word(refusal, !permitted_by.is_empty()),
            policies: policies(refusal).unwrap_or(permitted_by),
            server: std::mem::take(&mut trail.server),
        }
    }

    /// As the refusal alone tells it.
    pub(crate) fn by(refusal: &Refusal) -> Decided {
        let policies = policies(Some(refusal)).unwrap_or_default();
        Decided { decision: word(Some(refusal), false), policies, ..Decided::default() }
    }
}

fn word(refusal: Option<&Refusal>, permitted: bool) -> &'static str {
    match refusal {
        None => "allow",
        Some(Refusal::Denied(_) | Refusal::Hindered(Hindrance::Stopped(_))) => "deny",
        Some(Refusal::NeedsApproval { needed, .. }) if needed.approvals == 0 => "ask",
        Some(
            Refusal::NeedsApproval { .. }
            | Refusal::Hindered(Hindrance::NotApproved(_) | Hindrance::Void { .. }),
        ) => "approve",
        // Only what was permitted begins.
        Some(
            Refusal::Failed(_)
            | Refusal::EffectCrashed { .. }
            | Refusal::OutcomeUnknown { .. }
            | Refusal::OutcomeUnrecorded { .. },
        ) => "allow",
        Some(_) if permitted => "allow",
        Some(_) => "none",
    }
}

fn policies(refusal: Option<&Refusal>) -> Option<Vec<String>> {
    match refusal? {
        Refusal::Denied(denial) => Some(denial.policy.iter().cloned().collect()),
        Refusal::NeedsApproval { needed, .. } => Some(needed.policies.clone()),
        _ => None,
    }
}
