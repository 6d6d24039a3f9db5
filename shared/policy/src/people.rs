//! Who may approve, and who may see?

use std::collections::BTreeSet;

use cedar_policy::{Context, Entities, EntityUid, Request, RestrictedExpression};

use crate::{
    Approver, Assurance, Caller, Circumstances, Denial, Policy, Question, Target,
    asked::{self, Moment},
    decide::{Finding, nobody},
    rule::{Entity, Pinned, Reach, Rule},
    slice,
    vocabulary::REVEALABLE,
};

/// What somebody breaks the glass for.
#[derive(Clone, Copy, Debug)]
pub enum Breaking<'a> {
    /// They open it, for all that these stand for.
    Open {
        /// What it would be about.
        targets: &'a [Target],
        /// When, and by which way.
        circumstances: &'a Circumstances,
    },
    /// They approve this call by it.
    Use(&'a Question<'a>),
}

/// Attributes of a context.
type Pairs = Vec<(String, RestrictedExpression)>;

impl Policy {
    /// Whether a caller may see a class of data unmasked. What no rule can reveal, e.g. `secret`, is never shown.
    pub fn reveals(&self, caller: &Caller, circumstances: &Circumstances, class: &str) -> bool {
        // Most callers may see nothing of the kind, and every answer asks.
        let closed = || self.revealing(caller, class).iter().all(|it| self.rules[*it].forbids());
        !closed() && self.may_reveal(caller, circumstances, class).is_ok()
    }

    /// The rules by which a caller may see a class of data unmasked, or why not.
    pub fn may_reveal(
        &self,
        caller: &Caller,
        circumstances: &Circumstances,
        class: &str,
    ) -> Result<Vec<String>, Denial> {
        let Some(action) = self.family.action("reveal").filter(|_| REVEALABLE.contains(&class)) else {
            return Err(unasked(format!("`{class}` is always masked")));
        };
        let asked = || -> Result<(Request, Entities), String> {
            let pairs = asked::circumstance_pairs(&self.moment("reveal", circumstances, caller.assurance));
            let context = Context::from_pairs(pairs).map_err(|it| it.to_string())?;
            let uids =
                [asked::principal(caller), Entity::new("Action", "reveal"), Entity::new("DataClass", class)];
            let entities = asked::caller_entities(caller, "reveal", action)?;
            Ok((request(&uids, context)?, entities))
        };
        let (request, entities) = asked().map_err(unasked)?;
        self.judged(&self.revealing(caller, class), &request, &entities)
    }

    /// The rules by which a person may approve a call, on every one of its targets, or why not. That nobody approves what
    /// is done on their own behalf is a rule too, and only those that are written hold here.
    pub fn may_approve(&self, approver: &Approver, question: &Question<'_>) -> Result<Vec<String>, Denial> {
        let effect = self.effect(question.tool)?;
        let mut pairs = self.person_pairs("approve", approver, &question.circumstances);
        pairs.extend(call_pairs(question, effect).map_err(unasked)?);
        self.lets("approve", approver, Some(question.caller), question.targets, &pairs)
    }

    /// The rules by which a person may break the glass: approve alone, for so many minutes, what would take others. Asked when
    /// they open it, and again of each call that they approve by it.
    pub fn may_break_glass(
        &self,
        opener: &Approver,
        minutes: u64,
        breaking: &Breaking<'_>,
    ) -> Result<Vec<String>, Denial> {
        let (circumstances, targets, call) = match breaking {
            Breaking::Open { targets, circumstances } => (*circumstances, *targets, None),
            Breaking::Use(question) => (&question.circumstances, question.targets, Some(*question)),
        };
        let mut pairs = self.person_pairs("break_glass", opener, circumstances);
        pairs.push(("minutes".to_owned(), RestrictedExpression::new_long(asked::long(minutes))));
        if let Some(question) = call {
            pairs.extend(call_pairs(question, self.effect(question.tool)?).map_err(unasked)?);
        }
        self.lets("break_glass", opener, call.map(|it| it.caller), targets, &pairs)
    }

    /// The rules by which a person may do this about a call, or about no call yet, on every one of its targets.
    fn lets(
        &self,
        action: &str,
        approver: &Approver,
        caller: Option<&Caller>,
        targets: &[Target],
        pairs: &Pairs,
    ) -> Result<Vec<String>, Denial> {
        let owner = caller.and_then(|it| self.owner(&it.agent));
        let entities = approving(action, approver, caller, owner).map_err(unasked)?;
        let person = Entity::new("User", &approver.person);
        let teams: Vec<Entity> = approver.teams.iter().map(|it| Entity::new("Team", it)).collect();
        let mut permitting = BTreeSet::new();
        for target in targets {
            let asked = || -> Result<(Request, Entities), String> {
                let uids = [person.clone(), Entity::new("Action", action), asked::resource(target)];
                let context = Context::from_pairs(pairs.clone()).map_err(|it| it.to_string())?;
                Ok((request(&uids, context)?, asked::with_target(&entities, target)?))
            };
            let (request, entities) = asked().map_err(unasked)?;
            let (resource, within) = (asked::resource(target), asked::resource_parents(target));
            let covers = |it: &usize| {
                let rule = &self.rules[*it];
                rule.principal.covers(&person, &teams) && rule.resource.covers(&resource, &within)
            };
            let covering: Vec<usize> = self.index.about(action).into_iter().filter(covers).collect();
            permitting.extend(self.judged(&covering, &request, &entities)?);
        }
        match targets {
            [] => Err(unasked("a call has at least one target")),
            _ => Ok(permitting.into_iter().collect()),
        }
    }

    /// What is known of a person at a moment.
    fn person_pairs(&self, action: &str, approver: &Approver, circumstances: &Circumstances) -> Pairs {
        let mut pairs = asked::circumstance_pairs(&self.moment(action, circumstances, approver.assurance));
        // Absent where the provider does not say: a rule must ask for it first, and whatever needs it is refused.
        if let Some(seconds) = approver.authenticated_seconds {
            let seconds = RestrictedExpression::new_long(asked::long(seconds));
            pairs.push(("authenticated_seconds".to_owned(), seconds));
        }
        pairs
    }

    fn effect(&self, tool: &str) -> Result<&str, Denial> {
        let tool = self.tool(tool).ok_or_else(|| unasked("no such tool"))?;
        Ok(tool.groups.iter().find_map(|it| it.strip_prefix("effect:")).unwrap_or_default())
    }

    fn moment(&self, action: &str, circumstances: &Circumstances, assurance: Assurance) -> Moment {
        Moment::of(circumstances, self.clock(action), assurance.word())
    }

    /// Rules on revealing whose scope covers a caller and a class.
    fn revealing(&self, caller: &Caller, class: &str) -> Vec<usize> {
        let resource = Entity::new("DataClass", class);
        let (principal, parents) = (asked::principal(caller), asked::principal_parents(caller));
        let covers = |it: &usize| {
            let rule = &self.rules[*it];
            rule.principal.covers(&principal, &parents) && rule.resource.covers(&resource, &[])
        };
        self.index.about("reveal").into_iter().filter(covers).collect()
    }

    /// What rules say whose scopes match: a forbid that holds or fails wins, a permit that fails permits nothing.
    fn judged(
        &self,
        covering: &[usize],
        request: &Request,
        entities: &Entities,
    ) -> Result<Vec<String>, Denial> {
        let mut permitting = Vec::new();
        for at in covering {
            let rule = &self.rules[*at];
            match (rule.forbids(), slice::holds(rule, request, entities)) {
                (_, Ok(false)) | (false, Err(())) => {}
                (true, Ok(true)) => return Err(self.denial(Finding::Forbidden(*at))),
                (true, Err(())) => return Err(self.denial(Finding::Failed(*at))),
                (false, Ok(true)) => permitting.push(*at),
            }
        }
        match permitting.is_empty() {
            true => Err(nobody()),
            false => Ok(self.ids(permitting)),
        }
    }

    /// Whom rules name for a target: who may approve, and who could alone, once they break the glass.
    pub(crate) fn approvers(&self, target: &Target) -> Vec<String> {
        let breakers = self.named("break_glass", target);
        let alone = breakers.into_iter().map(|it| format!("{it}, by break-glass"));
        self.named("approve", target).into_iter().chain(alone).collect()
    }

    /// Whom rules on an action name for a target; their further conditions are checked when somebody does it.
    fn named(&self, action: &str, target: &Target) -> Vec<String> {
        let (resource, within) = (asked::resource(target), asked::resource_parents(target));
        let about = self.index.about(action).into_iter().map(|it| &self.rules[it]);
        let covering: Vec<&Rule> = about.filter(|it| it.resource.covers(&resource, &within)).collect();
        let closed = |it: &&Rule| {
            let Reach { kind, entity } = &it.principal;
            let anybody = *entity == Pinned::No && kind.as_ref().is_none_or(|it| it == "User");
            it.forbids() && it.condition.is_none() && anybody
        };
        if covering.iter().any(closed) {
            return Vec::new();
        }
        let permits = covering.iter().filter(|it| !it.forbids());
        let named: BTreeSet<String> = permits.map(|it| name(it, target)).collect();
        named.into_iter().collect()
    }
}

/// Whom a rule on `approve` names for a target, in words.
fn name(rule: &Rule, target: &Target) -> String {
    match &rule.principal.entity {
        Pinned::Is(entity) | Pinned::In(entity) => match entity.kind.as_str() {
            "User" => entity.id.clone(),
            kind => format!("{} {}", kind.to_lowercase(), entity.id),
        },
        Pinned::No if rule.uses.own_team => format!("team {}", target.team),
        Pinned::No => "anybody else".to_owned(),
    }
}

/// What is known of a call that a person agrees to.
fn call_pairs(question: &Question<'_>, effect: &str) -> Result<Pairs, String> {
    let text = |it: &str| RestrictedExpression::new_string(it.to_owned());
    let entity = |it: &Entity| asked::uid(it).map(RestrictedExpression::new_entity_uid);
    let mut pairs = vec![
        ("tool".to_owned(), text(question.tool)),
        ("effect".to_owned(), text(effect)),
        ("agent".to_owned(), entity(&asked::principal(question.caller))?),
    ];
    if let Some(person) = &question.caller.on_behalf_of {
        pairs.push(("on_behalf_of".to_owned(), entity(&Entity::new("User", person))?));
    }
    Ok(pairs)
}

/// Everybody whom an approval is about: the person who approves, and where there is a call, the agent that asked, the person it
/// acts for and the one who answers for it.
fn approving(
    action: &str,
    approver: &Approver,
    caller: Option<&Caller>,
    owner: Option<&str>,
) -> Result<Entities, String> {
    let uids = |of: &[Entity]| of.iter().map(asked::uid).collect::<Result<_, _>>();
    let teams = |of: &[String]| -> Vec<Entity> { of.iter().map(|it| Entity::new("Team", it)).collect() };
    let bare = |of: Entity, parents: &[Entity]| {
        Ok::<_, String>(cedar_policy::Entity::new_no_attrs(asked::uid(&of)?, uids(parents)?))
    };
    let owner: Vec<Entity> = owner.map(|it| Entity::new("User", it)).into_iter().collect();
    let mut all = vec![
        bare(Entity::new("User", &approver.person), &teams(&approver.teams))?,
        bare(Entity::new("Action", action), &[])?,
    ];
    if let Some(caller) = caller {
        all.push(bare(asked::principal(caller), &[asked::principal_parents(caller), owner].concat())?);
        // Who approves what is done on their own behalf is one person, in the teams of whoever approves.
        if let Some(person) = caller.on_behalf_of.as_ref().filter(|it| **it != approver.person) {
            all.push(bare(Entity::new("User", person), &teams(&caller.teams))?);
        }
    }
    Entities::from_entities(all, None).map_err(|it| it.to_string())
}

fn request(uids: &[Entity; 3], context: Context) -> Result<Request, String> {
    let [principal, action, resource]: [Result<EntityUid, String>; 3] = uids.each_ref().map(asked::uid);
    Request::new(principal?, action?, resource?, context, None).map_err(|it| it.to_string())
}

fn unasked(reason: impl Into<String>) -> Denial {
    Denial { policy: None, reason: reason.into(), instead: None }
}
