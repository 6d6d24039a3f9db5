//! Can it be refused before any backend is asked? Only if no narrowing of the targets could change that.

use crate::{
    Caller, Denial, Policy, Target, UNKNOWN, asked,
    decide::{Finding, nobody},
    rule::{Pinned, Reach, Rule},
};

/// How a scope relates to what a target may still become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Never,
    Perhaps,
    Always,
}

impl Policy {
    /// Refuses a call that [`Policy::decide`] would refuse whatever the arguments hold and however its targets are
    /// narrowed: a backend may still name the team, the tier and the object, or map what is `unknown`; the connection and
    /// a known environment and region stay.
    pub fn screen(&self, caller: &Caller, tool: &str, targets: &[Target]) -> Result<(), Denial> {
        if self.tool(tool).is_none() {
            return Err(unknown(tool));
        }
        let about = self.index.screen(&self.rules, caller, tool);
        // A rule that forbids says more than that none permits: it is named first.
        let scope = |at: &usize| &self.rules[*at].resource;
        for target in targets {
            if let Some(at) = about.forbids.iter().find(|it| covered(scope(it), target) == Cover::Always) {
                return Err(self.denial(Finding::Forbidden(*at)));
            }
        }
        let reached =
            |target: &Target| about.permits.iter().any(|it| covered(scope(it), target) != Cover::Never);
        if about.permits.is_empty() || !targets.iter().all(reached) {
            return Err(nobody());
        }
        Ok(())
    }
}

impl Policy {
    /// Whether some rule is lifted by people who agree.
    pub fn asks_people(&self) -> bool {
        self.rules.iter().any(|it| it.uses.agreement)
    }

    /// Whether a caller is worth being shown a tool: some permit about it covers them, and no forbid without a condition
    /// covers them wherever the tool reaches. It may show what every call is then denied, and never hides what one call
    /// would be permitted.
    pub fn offers(&self, caller: &Caller, tool: &str) -> bool {
        self.offer(caller, tool).is_ok()
    }

    /// The same, with why not.
    pub fn offer(&self, caller: &Caller, tool: &str) -> Result<(), Denial> {
        if self.tool(tool).is_none() {
            return Err(unknown(tool));
        }
        let about = self.index.screen(&self.rules, caller, tool);
        let everywhere = |at: &&usize| {
            let scope = &self.rules[**at].resource;
            scope.entity == Pinned::No && scope.kind.as_ref().is_none_or(|it| it == "Target")
        };
        match about.forbids.iter().find(everywhere) {
            Some(at) => Err(self.denial(Finding::Forbidden(*at))),
            None if about.permits.is_empty() => Err(nobody()),
            None => Ok(()),
        }
    }
}

fn unknown(tool: &str) -> Denial {
    Denial { policy: None, reason: format!("no tool is called `{tool}`"), instead: None }
}

/// The rules about one tool that cover a caller, as positions in the set, in order.
#[derive(Debug)]
pub(crate) struct Screen {
    /// Forbids without a condition.
    forbids: Vec<usize>,
    permits: Vec<usize>,
}

impl Screen {
    pub(crate) fn new(rules: &[Rule], about: Vec<usize>, caller: &Caller) -> Screen {
        let (principal, parents) = (asked::principal(caller), asked::principal_parents(caller));
        let covering = about.into_iter().filter(|it| rules[*it].principal.covers(&principal, &parents));
        let (mut forbids, permits): (Vec<_>, Vec<_>) = covering.partition(|it| rules[*it].forbids());
        forbids.retain(|it| rules[*it].condition.is_none());
        Screen { forbids, permits }
    }
}

fn covered(scope: &Reach, target: &Target) -> Cover {
    if scope.kind.as_ref().is_some_and(|it| it != "Target") {
        return Cover::Never;
    }
    let entity = match &scope.entity {
        Pinned::No => return Cover::Always,
        Pinned::Is(entity) | Pinned::In(entity) => entity,
    };
    let known = match (entity.kind.as_str(), &scope.entity) {
        ("Environment", Pinned::In(_)) => &target.environment,
        ("Region", Pinned::In(_)) => &target.region,
        ("Team" | "Tier" | "Target", _) => return Cover::Perhaps,
        _ => return Cover::Never,
    };
    match known.as_str() {
        UNKNOWN => Cover::Perhaps,
        known if known == entity.id => Cover::Always,
        _ => Cover::Never,
    }
}
