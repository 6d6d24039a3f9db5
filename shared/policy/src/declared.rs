//! Whose word is it that a caller is in a team? Where no token says so, only the configuration's: enough to look, and to
//! change what is there for development. Any other effect has to be permitted without the teams as well.

use serde_json::{Map, Value};

use crate::{
    Assurance, Caller, Denial, NeedsApproval, Policy, Question, Refusal, Standing, Target, UNKNOWN,
    decide::{Answer, both},
};

/// What such a caller is told.
const REASON: &str =
    "the caller's teams are only declared, and permit no effect outside development; without them";
/// What they can do about it.
const INSTEAD: &str = "have the person run `bailiwick login`, which proves who they are and their teams; a dry run says what the call would do";
/// What stands for a rule where denials are counted by rule.
pub(crate) const RULE: &str = "declared-teams";

impl Policy {
    /// An answer that rests on no team that is only declared.
    pub(crate) fn without_declared(&self, question: &Question<'_>, answer: Answer) -> Answer {
        if matches!(answer, Err(Refusal::Denied(_))) {
            return answer;
        }
        let Some((caller, targets)) = self.undeclared(question) else { return answer };
        let without = self.judge(&Question { caller: &caller, targets: &targets, ..question.clone() });
        match (answer, without) {
            (_, Err(Refusal::Denied(denial))) => Err(Refusal::Denied(only_declared(denial))),
            (Ok(one), Ok(other)) => Ok([one, other].concat()),
            (Err(Refusal::NeedsApproval(one)), Err(Refusal::NeedsApproval(other))) => {
                Err(Refusal::NeedsApproval(self.enough(question, one, other)))
            }
            (Err(refusal), Ok(_)) | (_, Err(refusal)) => Err(refusal),
        }
    }

    /// What people have to agree to for a question that needs one thing as it stands, and another without the teams: often what
    /// it takes without them is enough for both, and nobody is asked for more.
    fn enough(&self, question: &Question<'_>, one: NeedsApproval, other: NeedsApproval) -> NeedsApproval {
        let mut agreed = question.clone();
        let circumstances = &mut agreed.circumstances;
        circumstances.approvals = circumstances.approvals.max(other.approvals);
        circumstances.confirmed |= other.confirmed;
        let (approvals, confirmed) = (other.approvals, other.confirmed);
        match self.judge(&agreed) {
            Ok(_) => NeedsApproval { approvals, confirmed, ..both(one, other) },
            Err(_) => both(one, other),
        }
    }

    /// The question that has to be permitted too: the caller without teams, and the targets outside development. None
    /// where the caller's teams count.
    pub(crate) fn undeclared(&self, question: &Question<'_>) -> Option<(Caller, Vec<Target>)> {
        let caller = self.teamless(question.caller, question.tool, Some(question.input))?;
        let outside = question.targets.iter().filter(|it| !self.is_development(it));
        let outside: Vec<Target> = outside.cloned().collect();
        (!outside.is_empty()).then_some((caller, outside))
    }

    /// The caller without teams, where a call with these arguments, or with any, has an effect and no token says which
    /// teams they are in.
    pub(crate) fn teamless(
        &self,
        caller: &Caller,
        tool: &str,
        input: Option<&Map<String, Value>>,
    ) -> Option<Caller> {
        let reads = self.tool(tool).is_none_or(|it| it.has_effect("read"));
        let rehearses = input.is_some_and(|it| it.get("dry_run") == Some(&Value::Bool(true)));
        let counts = caller.assurance >= Assurance::Token || caller.teams.is_empty();
        (!reads && !rehearses && !counts).then(|| Caller { teams: Vec::new(), ..caller.clone() })
    }

    /// Whether a declared team is enough for an effect there.
    pub(crate) fn is_development(&self, target: &Target) -> bool {
        target.environment != UNKNOWN && self.development.contains(&target.environment)
    }

    /// Whether a tool can be asked what it would do.
    pub(crate) fn rehearses(&self, tool: &str) -> bool {
        self.tool(tool).and_then(|it| it.input()).is_some_and(|it| it.contains_key("dry_run"))
    }
}

/// Why a call is denied that only declared teams would permit.
fn only_declared(denial: Denial) -> Denial {
    let instead = match denial.instead {
        None => INSTEAD.to_owned(),
        Some(other) => format!("{INSTEAD}; or {other}"),
    };
    Denial { policy: denial.policy, reason: format!("{REASON}: {}", denial.reason), instead: Some(instead) }
}

/// Whether that is why.
pub(crate) fn is_only_declared(denial: &Denial) -> bool {
    denial.reason.starts_with(REASON)
}

/// Where somebody stands whose teams are only declared, by what they could do with them and without. A dry run needs no
/// proof of teams: `rehearses` says that there is one, and `differ` that the teams permit something by themselves.
pub(crate) fn standing(with: Standing, without: Standing, rehearses: bool, differ: bool) -> Standing {
    use Standing::{Allowed, Denied, Depends, NeedsApproval};
    match (with, without) {
        (Denied(denial), _) => Denied(denial),
        (with, Denied(denial)) => match rehearses {
            true => Depends { policies: rules(with), declared: true },
            false => Denied(only_declared(denial)),
        },
        (NeedsApproval(one), NeedsApproval(other)) => NeedsApproval(both(one, other)),
        (NeedsApproval(needs), _) => NeedsApproval(needs),
        (with, NeedsApproval(needs)) => match rehearses {
            true => Depends { policies: union(rules(with), needs.policies), declared: true },
            false => NeedsApproval(needs),
        },
        (Allowed { policies: one }, Allowed { policies: other }) => Allowed { policies: union(one, other) },
        (Allowed { .. }, Depends { policies, .. }) | (Depends { policies, .. }, Allowed { .. }) => {
            Depends { policies, declared: differ }
        }
        (Depends { policies: one, .. }, Depends { policies: other, .. }) => {
            Depends { policies: union(one, other), declared: differ }
        }
    }
}

/// The rules that a standing names.
fn rules(of: Standing) -> Vec<String> {
    match of {
        Standing::Allowed { policies } | Standing::Depends { policies, .. } => policies,
        Standing::NeedsApproval(needs) => needs.policies,
        Standing::Denied(denial) => denial.policy.into_iter().collect(),
    }
}

fn union(one: Vec<String>, other: Vec<String>) -> Vec<String> {
    let mut all = [one, other].concat();
    all.sort();
    all.dedup();
    all
}
