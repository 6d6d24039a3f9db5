//! A loaded set of rules, and what there is to know about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::{Context, Request};
use jiff::tz::TimeZone;

use crate::{
    Caller, Digest, LoadErrors, RuleLine, Scope, Setup, Source, Target,
    asked::{self, Clock},
    family::{Action, Family},
    index::Index,
    load,
    rule::{Entity, Rule},
    slice::{Sample, Slice},
    walk::Uses,
};

/// Rules, checked and ready to decide. Share one behind an `Arc`; it never changes.
#[derive(Debug)]
pub struct Policy {
    pub(crate) family: Family,
    /// By id.
    pub(crate) rules: Vec<Rule>,
    pub(crate) index: Index,
    pub(crate) zone: TimeZone,
    /// Whether a rule looks at `now`.
    pub(crate) now: bool,
    /// Whether a rule looks at `witnessed_seconds`.
    pub(crate) witnessed: bool,
    /// Actions with a rule that looks at `usage`, and with one that looks at `change`.
    usage: BTreeSet<String>,
    change: BTreeSet<String>,
    /// Environments where declared teams count for effects.
    pub(crate) development: BTreeSet<String>,
    owners: BTreeMap<String, String>,
    hides: bool,
    schema_text: String,
    digest: Digest,
}

impl Policy {
    /// Checks everything and loads it, or says all that is wrong. The setup says everything: nothing is implied, so the
    /// caller passes [`Policy::read_only_source`] where nothing is configured.
    pub fn load(setup: Setup<'_>) -> Result<Policy, LoadErrors> {
        let loaded = load::load(&setup)?;
        let load::Loaded { family, rules, schema_text, digest } = loaded;
        let index = Index::new(&rules);
        let development = setup.vocabulary.development.clone();
        let (owners, hides) = (setup.vocabulary.owners.clone(), setup.lists.hide);
        let now = rules.iter().any(|it| it.uses.now);
        let witnessed = rules.iter().any(|it| it.uses.witnessed);
        let about = |uses: fn(&Uses) -> bool| -> BTreeSet<String> {
            rules.iter().filter(|it| uses(&it.uses)).flat_map(|it| it.actions.iter().cloned()).collect()
        };
        let (usage, change) = (about(|it| it.usage), about(|it| it.change));
        let zone = setup.zone;
        Ok(Policy {
            family,
            rules,
            index,
            zone,
            now,
            witnessed,
            usage,
            change,
            development,
            owners,
            hides,
            schema_text,
            digest,
        })
    }

    /// What holds where nothing is configured: reads and dry runs.
    pub fn read_only_source() -> Source {
        Source {
            name: "policies/read-only.cedar".to_owned(),
            text: include_str!("../../../policies/read-only.cedar").to_owned(),
            scope: Scope::Full,
        }
    }

    /// Names the set: changes with any rule, with any word of the schema, with the zone, with what counts as development, with
    /// who answers for which agent, and with whether tools are hidden.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Every rule, by id.
    pub fn rules(&self) -> Vec<RuleLine> {
        self.rules.iter().map(|it| it.line.clone()).collect()
    }

    /// The schema that the rules were checked against: the family's, and what the configuration adds.
    pub fn schema_text(&self) -> &str {
        &self.schema_text
    }

    /// Whether a rule about a tool looks at what the caller has done lately: only then has somebody to count.
    pub fn looks_at_usage(&self, tool: &str) -> bool {
        self.usage.contains(tool)
    }

    /// Whether a rule about a tool looks at the change ticket that the call names: only then has somebody to check it.
    pub fn looks_at_change(&self, tool: &str) -> bool {
        self.change.contains(tool)
    }

    /// Whether a tool that a caller is not shown is told to be none.
    pub fn hides(&self) -> bool {
        self.hides
    }

    /// Who answers for an agent, if the configuration says so.
    pub fn owner(&self, agent: &str) -> Option<&str> {
        self.owners.get(agent).map(String::as_str)
    }

    /// What the rules about an action look at.
    pub(crate) fn clock(&self, action: &str) -> Clock<'_> {
        Clock {
            zone: &self.zone,
            now: self.now,
            witnessed: self.witnessed,
            usage: self.usage.contains(action),
            change: self.change.contains(action),
        }
    }

    /// The tool of a name, if the family has it.
    pub(crate) fn tool(&self, name: &str) -> Option<&Action> {
        self.family.action(name).filter(|it| it.groups.contains("call") && it.input().is_some())
    }

    /// Rules by their positions, as people refer to them: each once, in order.
    pub(crate) fn ids(&self, positions: impl IntoIterator<Item = usize>) -> Vec<String> {
        let positions: BTreeSet<usize> = positions.into_iter().collect();
        positions.into_iter().map(|it| self.rules[it].id().to_owned()).collect()
    }

    /// The rules that can apply to a caller, a tool and a target.
    pub(crate) fn slice(
        &self,
        caller: &Caller,
        name: &str,
        tool: &Action,
        target: &Target,
    ) -> Result<Arc<Slice>, String> {
        self.index.slice(&self.rules, caller, name, target, |covering| {
            let entities = asked::caller_entities(caller, name, tool)?;
            let principal = asked::uid(&asked::principal(caller))?;
            let action = asked::uid(&Entity::new("Action", name))?;
            let resource = asked::uid(&asked::resource(target))?;
            let request = Request::new(principal, action, resource, Context::empty(), None);
            let request = request.map_err(|it| it.to_string())?;
            let sample = Sample { request, entities: asked::with_target(&entities, target)? };
            Ok(Slice::new(&self.rules, covering, &sample, Arc::new(entities)))
        })
    }
}
