//! Can it be refused before any backend is asked? Only if no narrowing of the targets could change that.

use crate::{
    Caller, Denial, Policy, Target, UNKNOWN,
    decide::{Finding, covers, nobody},
    rule::{Pinned, Reach},
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
            return Err(Denial {
                policy: None,
                reason: format!("no tool is called `{tool}`"),
                instead: None,
            });
        }
        let about: Vec<usize> =
            self.index.about(tool).into_iter().filter(|it| covers(&self.rules[*it], caller)).collect();
        // A rule that forbids says more than that none permits: it is named first.
        for target in targets {
            let certain = |it: &&usize| {
                let rule = &self.rules[**it];
                let always = covered(&rule.resource, target) == Cover::Always;
                rule.forbids() && rule.condition.is_none() && always
            };
            if let Some(at) = about.iter().find(certain) {
                return Err(self.denial(Finding::Forbidden(*at)));
            }
        }
        let permits = || about.iter().map(|it| &self.rules[*it]).filter(|it| !it.forbids());
        let reached = |target: &Target| permits().any(|it| covered(&it.resource, target) != Cover::Never);
        if permits().next().is_none() || !targets.iter().all(reached) {
            return Err(nobody());
        }
        Ok(())
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
