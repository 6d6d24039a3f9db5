//! Who may approve, and who may see?

use std::collections::BTreeSet;

use cedar_policy::{Context, PrincipalConstraint, Request};

use crate::{
    Caller, Circumstances, Policy, Target, asked,
    rule::{Entity, Rule},
    slice,
    vocabulary::REVEALABLE,
};

impl Policy {
    /// Whether a caller may see a class of data unmasked. What no rule can reveal, e.g. `secret`, is never shown.
    pub fn reveals(&self, caller: &Caller, circumstances: &Circumstances, class: &str) -> bool {
        REVEALABLE.contains(&class) && self.revealed(caller, circumstances, class).unwrap_or(false)
    }

    fn revealed(&self, caller: &Caller, circumstances: &Circumstances, class: &str) -> Result<bool, String> {
        let Some(action) = self.family.action("reveal") else { return Ok(false) };
        let resource = Entity::new("DataClass", class);
        let (principal, parents) = (asked::principal(caller), asked::principal_parents(caller));
        let about = self.index.about("reveal").into_iter().map(|it| &self.rules[it]);
        let covers =
            |it: &&Rule| it.principal.covers(&principal, &parents) && it.resource.covers(&resource, &[]);
        let covering: Vec<&Rule> = about.filter(covers).collect();
        // Most callers may see nothing of the kind, and every answer asks.
        if covering.iter().all(|it| it.forbids()) {
            return Ok(false);
        }
        let clock = asked::Clock { zone: &self.zone, now: self.now };
        let pairs = asked::circumstance_pairs(circumstances, clock, caller.assurance.word());
        let context = Context::from_pairs(pairs).map_err(|it| it.to_string())?;
        let action_uid = asked::uid(&Entity::new("Action", "reveal"))?;
        let request =
            Request::new(asked::uid(&principal)?, action_uid, asked::uid(&resource)?, context, None)
                .map_err(|it| it.to_string())?;
        let entities = asked::caller_entities(caller, "reveal", action)?;
        let mut permitted = false;
        for rule in covering {
            match (rule.forbids(), slice::holds(rule, &request, &entities)) {
                (true, Ok(false)) | (false, Ok(false) | Err(())) => {}
                (true, _) => return Ok(false),
                (false, Ok(true)) => permitted = true,
            }
        }
        Ok(permitted)
    }

    /// Whom rules on `approve` name for a target; their further conditions are checked when somebody approves.
    pub(crate) fn approvers(&self, target: &Target) -> Vec<String> {
        let (resource, within) = (asked::resource(target), asked::resource_parents(target));
        let about = self.index.about("approve").into_iter().map(|it| &self.rules[it]);
        let covering: Vec<&Rule> = about.filter(|it| it.resource.covers(&resource, &within)).collect();
        let closed = |it: &&Rule| {
            let anybody = it.policy.principal_constraint();
            let anybody = match anybody {
                PrincipalConstraint::Any => true,
                PrincipalConstraint::Is(kind) => kind.to_string() == "User",
                _ => false,
            };
            it.forbids() && it.condition.is_none() && anybody
        };
        if covering.iter().any(closed) {
            return Vec::new();
        }
        let named: BTreeSet<String> = covering.iter().filter(|it| !it.forbids()).map(|it| name(it)).collect();
        named.into_iter().collect()
    }
}

/// Whom a rule on `approve` names, in words.
fn name(rule: &Rule) -> String {
    match rule.policy.principal_constraint() {
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            let entity = Entity::from(&uid);
            match entity.kind.as_str() {
                "User" => entity.id,
                kind => format!("{} {}", kind.to_lowercase(), entity.id),
            }
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => "anybody else".to_owned(),
    }
}
