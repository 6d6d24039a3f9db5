//! What is left to decide once the scopes have matched? Conditions only, merged so that one evaluation answers for many.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use cedar_policy::{Entities, EvalResult, Expression, Request, eval_expression};

use crate::{
    Target,
    asked::{self, Agreement, Moment},
    decide::Finding,
    rule::Rule,
};

/// Conditions in one expression: enough to save most of the cost, few enough not to nest deep.
const MERGED: usize = 32;

/// The rules that can apply to one caller, tool and place, as positions in the set, in the order of their ids.
///
/// Conditions that look at nothing but these are evaluated once, when the slice is made.
#[derive(Debug)]
pub(crate) struct Slice {
    /// All of them.
    pub(crate) rules: Vec<usize>,
    /// A forbid that holds for every call.
    pub(crate) forbid: Option<usize>,
    /// A permit that holds for every call.
    pub(crate) permit: Option<usize>,
    /// Forbids that no agreement lifts.
    pub(crate) hard: Chain,
    /// Forbids that approvals or a confirmation may lift.
    pub(crate) soft: Chain,
    /// Permits with a condition.
    pub(crate) permits: Chain,
    /// Whether a condition that is left looks at the target.
    pub(crate) resource: bool,
    /// Whether a condition that is left looks at the arguments.
    input: bool,
    /// Whether a permit asks for agreement.
    pub(crate) consenting: bool,
    /// The caller and the action, with all that they are in.
    pub(crate) entities: Arc<Entities>,
    /// The same with targets that were asked about lately: a slice is of one place, so the id tells them apart.
    lately: Mutex<Vec<(String, Arc<Entities>)>>,
    /// What the conditions came to lately, where they do not look at the arguments.
    found: Mutex<VecDeque<(Situation, Finding)>>,
}

/// Targets of a slice that are kept ready, and answers: most callers ask about the same few.
const KEPT: usize = 8;

/// All that conditions can look at beside the arguments.
#[derive(Debug)]
struct Situation {
    /// None where no condition looks at the target.
    target: Option<Target>,
    moment: Moment,
    agreement: Agreement,
}

/// Conditions, of which the first that holds is found.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    rules: Vec<usize>,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    rules: Vec<usize>,
    /// `if c1 then 1 else if c2 then 2 … else 0`; none if Cedar cannot read it, which counts as an error.
    merged: Option<Expression>,
}

/// A rule whose condition could not be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) usize);

/// One target of a slice, to evaluate what is the same for all of them.
pub(crate) struct Sample {
    pub(crate) request: Request,
    /// With the target.
    pub(crate) entities: Entities,
}

impl Slice {
    pub(crate) fn new(
        rules: &[Rule],
        covering: Vec<usize>,
        sample: &Sample,
        entities: Arc<Entities>,
    ) -> Slice {
        let (mut always, mut left) = (Vec::new(), Vec::new());
        for at in covering.iter().copied() {
            let rule = &rules[at];
            let fixed = rule.condition.is_none() || !rule.uses.context && !rule.uses.object;
            match if fixed { holds(rule, &sample.request, &sample.entities) } else { Err(()) } {
                Ok(true) => always.push(at),
                Ok(false) => {}
                // What cannot be evaluated stays, to fail in its turn.
                Err(()) => left.push(at),
            }
        }
        let first = |forbids| always.iter().copied().find(|it| rules[*it].forbids() == forbids);
        let pick = |forbids: bool, lifted: Option<bool>| -> Vec<usize> {
            let wanted =
                |rule: &Rule| rule.forbids() == forbids && lifted.is_none_or(|it| it == rule.uses.agreement);
            left.iter().copied().filter(|it| wanted(&rules[*it])).collect()
        };
        let permits = pick(false, None);
        Slice {
            forbid: first(true),
            permit: first(false),
            resource: left.iter().any(|it| rules[*it].uses.resource),
            input: left.iter().any(|it| rules[*it].uses.input),
            consenting: permits.iter().any(|it| rules[*it].uses.agreement),
            hard: Chain::new(rules, pick(true, Some(false))),
            soft: Chain::new(rules, pick(true, Some(true))),
            permits: Chain::new(rules, permits),
            rules: covering,
            entities,
            lately: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// What the rules say whatever the call holds, if that is all there is to say.
    pub(crate) fn settled(&self) -> Option<Finding> {
        match (self.forbid, self.permit) {
            (Some(rule), _) => Some(Finding::Forbidden(rule)),
            _ if !self.hard.is_empty() || !self.soft.is_empty() => None,
            (None, Some(rule)) => Some(Finding::Permitted(rule)),
            (None, None) => self.permits.is_empty().then_some(Finding::Nobody),
        }
    }

    /// The caller and the action, with a target of this slice beside them.
    pub(crate) fn about(&self, target: &Target) -> Result<Arc<Entities>, String> {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = lately.iter().find(|(id, _)| *id == target.id) {
            return Ok(known.clone());
        }
        let entities = Arc::new(asked::with_target(&self.entities, target)?);
        if lately.len() >= KEPT {
            lately.remove(0);
        }
        lately.push((target.id.clone(), entities.clone()));
        Ok(entities)
    }
}

impl Slice {
    /// What the conditions come to in a situation: from memory where that was asked lately and no argument counts.
    pub(crate) fn found<E>(
        &self,
        (target, moment, agreement): (&Target, &Moment, Agreement),
        find: impl FnOnce() -> Result<Finding, E>,
    ) -> Result<Finding, E> {
        if self.input {
            return find();
        }
        let target = self.resource.then_some(target);
        let same = |it: &Situation| {
            it.target.as_ref() == target && it.moment == *moment && it.agreement == agreement
        };
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = lock().iter().find(|(it, _)| same(it)) {
            return Ok(*known);
        }
        let finding = find()?;
        let mut found = lock();
        found.truncate(KEPT - 1);
        found.push_front((Situation { target: target.cloned(), moment: moment.clone(), agreement }, finding));
        Ok(finding)
    }
}

impl Chain {
    fn new(rules: &[Rule], positions: Vec<usize>) -> Chain {
        // Many rules differ in scope and words only: here one of them speaks for all.
        let mut seen = HashSet::new();
        let text = |at: &usize| rules[*at].condition.as_ref().map(|it| it.text.as_str());
        let distinct: Vec<usize> = positions.iter().copied().filter(|it| seen.insert(text(it))).collect();
        let links = distinct.chunks(MERGED).map(|it| Link { rules: it.to_vec(), merged: merge(rules, it) });
        Chain { links: links.collect(), rules: positions }
    }

    fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Every rule, also those that another speaks for.
    pub(crate) fn rules(&self) -> impl Iterator<Item = usize> {
        self.rules.iter().copied()
    }

    /// The first forbid that holds. One that fails counts as much: nobody knows what it would have forbidden.
    pub(crate) fn forbidding(
        &self,
        rules: &[Rule],
        request: &Request,
        entities: &Entities,
    ) -> Result<Option<usize>, Failed> {
        for link in &self.links {
            if let Some(found) = link.ask(request, entities) {
                match found {
                    0 => continue,
                    nth => return Ok(link.rules.get(nth - 1).copied()),
                }
            }
            for at in &link.rules {
                if holds(&rules[*at], request, entities).map_err(|()| Failed(*at))? {
                    return Ok(Some(*at));
                }
            }
        }
        Ok(None)
    }

    /// The first permit that holds. One that fails permits nothing and takes nothing from the others.
    pub(crate) fn permitting(&self, rules: &[Rule], request: &Request, entities: &Entities) -> Option<usize> {
        self.links.iter().find_map(|link| match link.ask(request, entities) {
            Some(0) => None,
            Some(nth) => link.rules.get(nth - 1).copied(),
            None => link.rules.iter().copied().find(|it| holds(&rules[*it], request, entities) == Ok(true)),
        })
    }
}

impl Link {
    /// Which condition holds first, from 1; 0 for none. Nothing if one before it fails.
    fn ask(&self, request: &Request, entities: &Entities) -> Option<usize> {
        match eval_expression(request, entities, self.merged.as_ref()?) {
            Ok(EvalResult::Long(nth)) => usize::try_from(nth).ok().filter(|it| *it <= self.rules.len()),
            _ => None,
        }
    }
}

/// Whether a rule's condition holds; an error if it cannot be evaluated.
pub(crate) fn holds(rule: &Rule, request: &Request, entities: &Entities) -> Result<bool, ()> {
    let Some(condition) = &rule.condition else { return Ok(true) };
    match eval_expression(request, entities, condition.expression().ok_or(())?) {
        Ok(EvalResult::Bool(holds)) => Ok(holds),
        _ => Err(()),
    }
}

fn merge(rules: &[Rule], positions: &[usize]) -> Option<Expression> {
    let mut text = String::from("0");
    for (nth, at) in positions.iter().enumerate().rev() {
        let condition = &rules[*at].condition.as_ref()?.text;
        text = format!("if {condition} then {} else {text}", nth + 1);
    }
    text.parse().ok()
}
