//! Which rule would have allowed what was denied? The narrowest that covers it, for a person to judge.
//!
//! Nothing here loosens a policy: a suggestion is text, checked by loading it beside the rules that hold and asking the
//! recorded questions again. What an explicit forbid denied gets none: whoever wrote the forbid meant it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Caller, Circumstances, Denial, ListEntry, Lists, LoadErrors, Policy, Question, Refusal, Scope, Setup,
    Source, Target,
    decide::nobody,
    declared::{RULE, is_only_declared},
    family::{Action, Field},
    schema::quote,
};

/// A call that was denied, as its record has it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where its record stands, e.g. `code/0:17`.
    pub place: String,
    /// Who called.
    pub caller: Caller,
    /// Tool name.
    pub tool: String,
    /// Arguments after defaults, without nulls.
    pub input: Map<String, Value>,
    /// What it would have touched.
    pub targets: Vec<Target>,
    /// What surrounded it.
    pub circumstances: Circumstances,
}

/// How a suggestion is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A Cedar rule about exactly these callers and targets.
    Rule,
    /// An entry of the list `allow`: a tool, perhaps in an environment, whoever calls it.
    Entry,
}

/// What recorded denials come to under a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Suggested {
    /// What would have allowed some of them, most denials first.
    pub suggestions: Vec<Suggestion>,
    /// Explicit forbids behind others: nothing is suggested against them.
    pub kept: Vec<Kept>,
    /// Records that the policy permits by now, or leaves to people.
    pub settled: Vec<String>,
    /// Records that cannot be asked about again, and why.
    pub unclear: Vec<(String, String)>,
    /// Groups of denials beyond the first twenty, for which nothing was worked out.
    pub left_out: usize,
}

/// A rule or an entry, and what it does to the recorded denials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// Its `@id`, or the id that the entry gets.
    pub id: String,
    /// Cedar, or the words of an entry.
    pub text: String,
    /// What the denials would have got: `allow`, or what people have to agree to first.
    pub answer: String,
    /// Records that it lifts.
    pub lifts: Vec<String>,
    /// Other recorded denials that it would have lifted as well.
    pub also: Vec<String>,
}

/// A forbid that denied calls, and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its `@id`; `declared-teams` where only declared teams would have permitted it.
    pub rule: String,
    /// Its `@reason`.
    pub reason: String,
    /// Its `@instead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Records of what it denied.
    pub denied: Vec<String>,
}

/// Most suggestions at once: a person reads each.
const MOST: usize = 20;
/// Most targets that a rule lists one by one; more are their connections.
const TARGETS_MAX: usize = 8;

/// What would have allowed these calls, under the rules of a setup. Errs only where those do not load.
pub fn suggest(setup: &Setup<'_>, recorded: &[Recorded], form: Form) -> Result<Suggested, LoadErrors> {
    let policy = Policy::load(again(setup, setup.sources, setup.lists))?;
    let mut found = Suggested::default();
    let mut groups: BTreeMap<Alike<'_>, Vec<&Recorded>> = BTreeMap::new();
    for one in recorded {
        match policy.decide(&one.question()) {
            Ok(_) | Err(Refusal::NeedsApproval(_)) => found.settled.push(one.place.clone()),
            Err(Refusal::Denied(denial)) if denial == nobody() => {
                groups.entry(one.alike(form)).or_default().push(one);
            }
            Err(Refusal::Denied(denial)) => found.refused(one, denial),
        }
    }
    let mut groups: Vec<(Alike<'_>, Vec<&Recorded>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, denied)| std::cmp::Reverse(denied.len()));
    found.left_out = groups.len().saturating_sub(MOST);
    let open: Vec<&Recorded> = groups.iter().flat_map(|(_, denied)| denied.iter().copied()).collect();
    for (alike, denied) in groups.iter().take(MOST) {
        Worked { setup, policy: &policy, form, alike, denied, open: &open }.suggest(&mut found);
    }
    Ok(found)
}

/// What denials have in common that one suggestion is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alike<'a> {
    tool: &'a str,
    /// Agent and person; nobody for an entry, which holds for every caller.
    caller: Option<(&'a str, Option<&'a str>)>,
    /// For a rule: connections.
    connections: BTreeSet<&'a str>,
    environments: BTreeSet<&'a str>,
    dry_run: bool,
}

/// One group, worked on.
struct Worked<'a> {
    setup: &'a Setup<'a>,
    policy: &'a Policy,
    form: Form,
    alike: &'a Alike<'a>,
    denied: &'a [&'a Recorded],
    /// Every denial that no forbid is behind.
    open: &'a [&'a Recorded],
}

impl Worked<'_> {
    fn suggest(&self, found: &mut Suggested) {
        let Some((id, text, loaded)) = self.written() else { return };
        let policy = match loaded {
            Ok(policy) => policy,
            Err(errors) => {
                // A connection or team that is configured no longer: the calls could not happen again either.
                let why = errors.problems.first().map(|it| it.message.clone()).unwrap_or_default();
                return found.unclear.extend(self.denied.iter().map(|it| (it.place.clone(), why.clone())));
            }
        };
        let (mut lifts, mut answer) = (Vec::new(), None);
        for one in self.denied {
            match policy.decide(&one.question()) {
                Ok(_) => {
                    lifts.push(one.place.clone());
                    answer.get_or_insert("allow".to_owned());
                }
                Err(Refusal::NeedsApproval(needs)) => {
                    lifts.push(one.place.clone());
                    answer.get_or_insert(format!("agreement, by {}", needs.policies.join(", ")));
                }
                Err(Refusal::Denied(denial)) => found.refused(one, denial),
            }
        }
        let Some(answer) = answer else { return };
        let is_other = |it: &&&Recorded| !self.denied.iter().any(|own| own.place == it.place);
        let lifted = |it: &&&Recorded| !matches!(policy.decide(&it.question()), Err(Refusal::Denied(_)));
        let also = self.open.iter().filter(is_other).filter(lifted).map(|it| it.place.clone()).collect();
        found.suggestions.push(Suggestion { id, text, answer, lifts, also });
    }

    /// Id, text, and the rules that hold with it beside them. Nothing for an entry that stands already.
    fn written(&self) -> Option<(String, String, Result<Policy, LoadErrors>)> {
        let mut lists: Lists = self.setup.lists.clone();
        match self.form {
            Form::Entry => {
                let text = self.entry();
                lists.allow.push(ListEntry::new(text.clone()));
                let id = format!("allow:{}", text.replace("environment:", ""));
                Some((id, text, Policy::load(again(self.setup, self.setup.sources, &lists))))
            }
            Form::Rule => {
                let id = self.id();
                let text = self.rule(&id)?;
                let name = "suggested".to_owned();
                let source = Source { name, text: text.clone(), scope: Scope::Full };
                let sources = [self.setup.sources, &[source]].concat();
                Some((id, text, Policy::load(again(self.setup, &sources, &lists))))
            }
        }
    }

    fn entry(&self) -> String {
        let environments: Vec<&&str> = self.alike.environments.iter().collect();
        match environments.as_slice() {
            [only] => format!("{} environment:{only}", self.alike.tool),
            _ => self.alike.tool.to_owned(),
        }
    }

    /// One that no rule has.
    fn id(&self) -> String {
        let (agent, _) = self.alike.caller.unwrap_or_default();
        let base = format!("suggested:{agent}:{}", self.alike.tool);
        let taken = |id: &str| self.policy.rules.iter().any(|it| it.id() == id);
        // Groups of one tool and agent differ by where: the place keeps their ids apart too.
        let place = self.alike.connections.iter().copied().collect::<Vec<_>>().join("+");
        let mut id = format!("{base}:{place}{}", if self.alike.dry_run { ":dry-run" } else { "" });
        while taken(&id) {
            id.push('\'');
        }
        id
    }

    fn rule(&self, id: &str) -> Option<String> {
        let action = self.policy.tool(self.alike.tool)?;
        let (agent, person) = self.alike.caller?;
        let mut conditions: Vec<String> = Vec::new();
        conditions.extend(person.map(|it| format!("principal in User::{}", quote(it))));
        let resource = match self.targets() {
            Ok(only) => format!("resource == Target::{}", quote(&only)),
            Err(among) => {
                conditions.push(among);
                "resource".to_owned()
            }
        };
        conditions.extend(self.bounds(action));
        let when = match conditions.is_empty() {
            true => String::new(),
            false => format!("\nwhen {{ {} }}", conditions.join(" && ")),
        };
        let times = self.denied.len();
        let reason =
            format!("{times} denied call{} looked at by a person", if times == 1 { "" } else { "s" });
        Some(format!(
            "@id({})\n@reason({})\npermit (principal == Agent::{}, action == Action::{}, {resource}){when};\n",
            quote(id),
            quote(&reason),
            quote(agent),
            quote(self.alike.tool),
        ))
    }

    /// The only target, or a condition that holds for all of them.
    fn targets(&self) -> Result<String, String> {
        let all = || self.denied.iter().flat_map(|it| &it.targets);
        let names: BTreeSet<String> =
            all().map(|it| format!("{}/{}/{}", it.connection, it.kind, it.id)).collect();
        let text = |of: BTreeSet<&str>| of.into_iter().map(quote).collect::<Vec<_>>().join(", ");
        if let (1, Some(only)) = (names.len(), names.first()) {
            return Ok(only.clone());
        }
        let connections = match self.alike.connections.len() {
            1 => format!("resource.connection == {}", text(self.alike.connections.clone())),
            _ => format!("[{}].contains(resource.connection)", text(self.alike.connections.clone())),
        };
        match names.len() <= TARGETS_MAX {
            true => {
                let ids = text(all().map(|it| it.id.as_str()).collect());
                Err(format!("{connections} && [{ids}].contains(resource.id)"))
            }
            false => Err(connections),
        }
    }

    /// For what changes something: no more of anything counted than was asked for, and a dry run where all were.
    fn bounds(&self, action: &Action) -> Vec<String> {
        let mut bounds = Vec::new();
        if self.alike.dry_run {
            bounds.push("context.input.dry_run".to_owned());
        }
        if action.has_effect("read") {
            return bounds;
        }
        for (name, field) in action.input().into_iter().flatten() {
            let values: Vec<i64> = self.denied.iter().filter_map(|it| it.input.get(name)?.as_i64()).collect();
            // What some left out has no bound that covers them.
            if let Some(most) = values.iter().max().filter(|_| values.len() == self.denied.len()) {
                bounds.push(bound(name, field, *most));
            }
        }
        bounds
    }
}

fn bound(name: &str, field: &Field, most: i64) -> String {
    let guard = if field.required { String::new() } else { format!("context.input has {name} && ") };
    format!("{guard}context.input.{name} <= {most}")
}

impl Recorded {
    fn question(&self) -> Question<'_> {
        Question {
            caller: &self.caller,
            tool: &self.tool,
            input: &self.input,
            targets: &self.targets,
            digest: [0; 32],
            circumstances: self.circumstances.clone(),
        }
    }

    fn alike(&self, form: Form) -> Alike<'_> {
        let environments = self.targets.iter().map(|it| it.environment.as_str()).collect();
        let (caller, connections, dry_run) = match form {
            Form::Entry => (None, BTreeSet::new(), false),
            Form::Rule => (
                Some((self.caller.agent.as_str(), self.caller.on_behalf_of.as_deref())),
                self.targets.iter().map(|it| it.connection.as_str()).collect(),
                self.input.get("dry_run") == Some(&Value::Bool(true)),
            ),
        };
        Alike { tool: &self.tool, caller, connections, environments, dry_run }
    }
}

impl Suggested {
    /// A denial that no suggestion lifts.
    fn refused(&mut self, one: &Recorded, denial: Denial) {
        let only_declared = is_only_declared(&denial).then(|| RULE.to_owned());
        let Some(rule) = only_declared.or(denial.policy) else {
            return self.unclear.push((one.place.clone(), denial.reason));
        };
        match self.kept.iter_mut().find(|it| it.rule == rule) {
            Some(kept) => kept.denied.push(one.place.clone()),
            None => {
                let (reason, instead) = (denial.reason, denial.instead);
                self.kept.push(Kept { rule, reason, instead, denied: vec![one.place.clone()] });
            }
        }
    }
}

fn again<'a>(setup: &Setup<'a>, sources: &'a [Source], lists: &'a Lists) -> Setup<'a> {
    Setup { family: setup.family, sources, lists, vocabulary: setup.vocabulary, zone: setup.zone.clone() }
}
