//! May they? Every target is asked about, and every one must be permitted.

use std::{borrow::Cow, cell::OnceCell, sync::Arc};

use cedar_policy::{Context, Entities, EntityUid, Request};
use serde_json::{Map, Value};

use crate::{
    Caller, Circumstances, Denial, NeedsApproval, Permit, Policy, Question, Refusal, Target,
    asked::{self, Agreement, Moment},
    family::Action,
    rule::{Entity, Rule},
    slice::{Failed, Slice, holds},
};

/// A question with what all its targets share.
pub(crate) struct Asked<'a> {
    policy: &'a Policy,
    caller: Cow<'a, Caller>,
    name: &'a str,
    tool: &'a Action,
    /// None where the arguments are not known yet; then only rules that do not look at them may be evaluated.
    input: Option<&'a Map<String, Value>>,
    moment: Moment,
    principal: EntityUid,
    action: EntityUid,
    agreement: Agreement,
    /// Made when a condition first looks at it.
    context: OnceCell<Result<Context, String>>,
}

/// The rules that permit a call, as positions in the set, or why it may not run.
pub(crate) type Answer = Result<Vec<usize>, Refusal>;

/// What the rules of one slice say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// By this rule, and no forbid holds.
    Permitted(usize),
    /// By this rule.
    Forbidden(usize),
    /// A forbid could not be evaluated.
    Failed(usize),
    /// No permit holds.
    Nobody,
}

impl Policy {
    /// May they? A [`Permit`] only if every target is permitted; the same question always has the same answer.
    pub fn decide(&self, question: &Question<'_>) -> Result<Permit, Refusal> {
        let targets = question.targets;
        if targets.is_empty() || targets.len() > Target::MAX {
            let reason =
                format!("a call has 1 to {} targets, this one has {}: say which", Target::MAX, targets.len());
            return Err(denied(reason));
        }
        let answer = self.judge(question);
        let answer = self.without_declared(question, answer);
        answer.map(|rules| Permit::new(question.digest, self.ids(rules)))
    }

    /// What the rules say, whoever says which teams the caller is in: the rules that permit it, as positions.
    pub(crate) fn judge(&self, question: &Question<'_>) -> Answer {
        let asked = Asked::new(self, question)?;
        let mut permits = Vec::new();
        let mut needs: Option<NeedsApproval> = None;
        let mut seen: Vec<Arc<Slice>> = Vec::new();
        for target in question.targets {
            let slice = asked.slice(target)?;
            // The same rules, and none looks at the target itself: it is permitted too. Where people must agree, who may
            // can still differ.
            if !slice.resource && seen.iter().any(|it| Arc::ptr_eq(it, &slice)) {
                continue;
            }
            match asked.answer(&slice, target) {
                Ok(permit) => {
                    permits.push(permit);
                    seen.push(slice);
                }
                Err(Refusal::NeedsApproval(more)) => {
                    needs = Some(match needs {
                        Some(before) => both(before, more),
                        None => more,
                    });
                }
                Err(refusal) => return Err(refusal),
            }
        }
        match needs {
            Some(needs) => Err(Refusal::NeedsApproval(needs)),
            None => Ok(permits),
        }
    }

    pub(crate) fn denial(&self, finding: Finding) -> Denial {
        let (at, default) = match finding {
            Finding::Forbidden(at) => (at, "this rule forbids it"),
            Finding::Failed(at) => (at, "this rule could not be evaluated, so it counts as forbidding"),
            Finding::Permitted(_) | Finding::Nobody => return nobody(),
        };
        let rule = &self.rules[at];
        Denial {
            policy: Some(rule.id().to_owned()),
            reason: match finding {
                Finding::Failed(_) => default.to_owned(),
                _ => rule.line.reason.clone().unwrap_or_else(|| default.to_owned()),
            },
            instead: rule.instead.clone(),
        }
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn new(policy: &'a Policy, question: &'a Question<'a>) -> Result<Asked<'a>, Refusal> {
        let Question { caller, tool, input, circumstances, .. } = question;
        Asked::with(policy, Cow::Borrowed(caller), tool, Some(input), circumstances)
    }

    pub(crate) fn with(
        policy: &'a Policy,
        caller: Cow<'a, Caller>,
        name: &'a str,
        input: Option<&'a Map<String, Value>>,
        circumstances: &'a Circumstances,
    ) -> Result<Asked<'a>, Refusal> {
        let tool = policy.tool(name).ok_or_else(|| denied(format!("no tool is called `{name}`")))?;
        asked::fits(tool, input).map_err(denied)?;
        let agreement = Agreement::of(circumstances);
        let principal = asked::uid(&asked::principal(&caller)).map_err(denied)?;
        let action = asked::uid(&Entity::new("Action", name)).map_err(denied)?;
        let moment = Moment::of(circumstances, policy.clock(name), caller.assurance.word());
        let context = OnceCell::new();
        Ok(Asked { policy, caller, name, tool, input, moment, principal, action, agreement, context })
    }

    /// The same question, were there more agreement.
    pub(crate) fn agreed(&self, agreement: Agreement) -> Asked<'a> {
        let (moment, principal, action) = (self.moment.clone(), self.principal.clone(), self.action.clone());
        let caller = self.caller.clone();
        Asked { caller, moment, principal, action, agreement, context: OnceCell::new(), ..*self }
    }

    fn context(&self) -> Result<Context, String> {
        let make = || asked::context(self.tool, self.input, &self.moment, self.agreement);
        self.context.get_or_init(make).clone()
    }

    /// What the rules of a slice say of a target.
    fn finding(&self, slice: &Slice, target: &Target) -> Result<Finding, Refusal> {
        if let Some(finding) = slice.settled() {
            return Ok(finding);
        }
        let find = || Ok(Scene::new(self, slice, target)?.finding());
        slice.found((target, &self.moment, self.agreement), find)
    }

    pub(crate) fn slice(&self, target: &Target) -> Result<Arc<Slice>, Refusal> {
        self.policy.slice(&self.caller, self.name, self.tool, target).map_err(denied)
    }

    /// Whether a target is permitted as the call stands.
    pub(crate) fn permits(&self, slice: &Slice, target: &Target) -> bool {
        matches!(self.finding(slice, target), Ok(Finding::Permitted(_)))
    }

    /// Every rule of a slice that holds, or whose evaluation fails.
    pub(crate) fn determining(&self, slice: &Slice, target: &Target) -> Result<Vec<usize>, Refusal> {
        let scene = Scene::whole(self, slice, target)?;
        let matters = |at: &usize| scene.holds(&self.policy.rules[*at]) != Ok(false);
        Ok(slice.rules.iter().copied().filter(matters).collect())
    }

    /// The answer for one target: the permitting rule, or why not.
    pub(crate) fn answer(&self, slice: &Slice, target: &Target) -> Result<usize, Refusal> {
        let finding = self.finding(slice, target)?;
        let liftable = match finding {
            Finding::Permitted(rule) => return Ok(rule),
            Finding::Forbidden(rule) => self.policy.rules[rule].uses.agreement,
            Finding::Failed(_) => false,
            Finding::Nobody => slice.consenting,
        };
        if !liftable {
            return Err(Refusal::Denied(self.policy.denial(finding)));
        }
        for more in self.agreement.more() {
            if let Finding::Permitted(rule) = self.agreed(more).finding(slice, target)? {
                let scene = Scene::new(self, slice, target)?;
                return Err(Refusal::NeedsApproval(self.needs(&scene, target, more, rule)));
            }
        }
        // Agreement lifts what it can; what is left is the reason.
        let left = self.agreed(self.agreement.all()).finding(slice, target)?;
        Err(Refusal::Denied(self.policy.denial(left)))
    }

    fn needs(&self, scene: &Scene<'_>, target: &Target, more: Agreement, permit: usize) -> NeedsApproval {
        let rules = &self.policy.rules;
        let soft = scene.slice.soft.rules();
        let mut asking: Vec<usize> = soft.filter(|it| scene.holds(&rules[*it]) == Ok(true)).collect();
        if asking.is_empty() {
            asking.push(permit);
        }
        self.needs_for(target, more, &asking)
    }

    /// What a caller is told who needs more agreement, because of these rules.
    pub(crate) fn needs_for(&self, target: &Target, more: Agreement, asking: &[usize]) -> NeedsApproval {
        let approvals = if more.approvals > self.agreement.approvals { more.approvals } else { 0 };
        let first = asking.first().map(|it| &self.policy.rules[*it]);
        NeedsApproval {
            approvals,
            confirmed: more.confirmed && !self.agreement.confirmed,
            reason: first.and_then(|it| it.line.reason.clone()),
            instead: first.and_then(|it| it.instead.clone()),
            policies: self.policy.ids(asking.iter().copied()),
            who: if approvals == 0 { Vec::new() } else { self.policy.approvers(target) },
        }
    }

    pub(crate) fn agreement(&self) -> Agreement {
        self.agreement
    }
}

/// One target, as Cedar sees it.
pub(crate) struct Scene<'a> {
    rules: &'a [Rule],
    slice: &'a Slice,
    request: Request,
    entities: Arc<Entities>,
}

impl<'a> Scene<'a> {
    /// Enough for [`Scene::finding`].
    fn new(asked: &Asked<'a>, slice: &'a Slice, target: &Target) -> Result<Scene<'a>, Refusal> {
        Scene::with(asked, slice, target, slice.resource)
    }

    /// Enough for [`Scene::holds`] of any rule of the slice.
    pub(crate) fn whole(asked: &Asked<'a>, slice: &'a Slice, target: &Target) -> Result<Scene<'a>, Refusal> {
        Scene::with(asked, slice, target, true)
    }

    fn with(
        asked: &Asked<'a>,
        slice: &'a Slice,
        target: &Target,
        object: bool,
    ) -> Result<Scene<'a>, Refusal> {
        let rules = &asked.policy.rules;
        let resource = asked::uid(&asked::resource(target)).map_err(denied)?;
        let (principal, action) = (asked.principal.clone(), asked.action.clone());
        let context = asked.context().map_err(denied)?;
        let request = Request::new(principal, action, resource, context, None);
        let request = request.map_err(|it| denied(it.to_string()))?;
        let entities = match object {
            true => slice.about(target).map_err(denied)?,
            false => slice.entities.clone(),
        };
        Ok(Scene { rules, slice, request, entities })
    }

    fn finding(&self) -> Finding {
        let slice = self.slice;
        if let Some(rule) = slice.forbid {
            return Finding::Forbidden(rule);
        }
        let request = &self.request;
        for chain in [&slice.hard, &slice.soft] {
            match chain.forbidding(self.rules, request, &self.entities) {
                Ok(None) => {}
                Ok(Some(rule)) => return Finding::Forbidden(rule),
                Err(Failed(rule)) => return Finding::Failed(rule),
            }
        }
        let permit = slice.permit.or_else(|| slice.permits.permitting(self.rules, request, &self.entities));
        permit.map_or(Finding::Nobody, Finding::Permitted)
    }

    pub(crate) fn holds(&self, rule: &Rule) -> Result<bool, ()> {
        holds(rule, &self.request, &self.entities)
    }
}

/// What two targets need together.
pub(crate) fn both(one: NeedsApproval, other: NeedsApproval) -> NeedsApproval {
    let mut policies = [one.policies, other.policies].concat();
    policies.sort();
    policies.dedup();
    // Approval of all of it is wanted, so whoever may approve must be able to approve each part.
    let who = match (one.approvals, other.approvals) {
        (0, _) => other.who,
        (_, 0) => one.who,
        _ => one.who.into_iter().filter(|it| other.who.contains(it)).collect(),
    };
    NeedsApproval {
        approvals: one.approvals.max(other.approvals),
        confirmed: one.confirmed || other.confirmed,
        policies,
        reason: one.reason.or(other.reason),
        instead: one.instead.or(other.instead),
        who,
    }
}

pub(crate) fn nobody() -> Denial {
    Denial { policy: None, reason: "no rule permits it".to_owned(), instead: None }
}

pub(crate) fn denied(reason: impl Into<String>) -> Refusal {
    Refusal::Denied(Denial { policy: None, reason: reason.into(), instead: None })
}
