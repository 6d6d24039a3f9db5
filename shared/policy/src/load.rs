//! What does it take to load? Every rule checked alone, then by Cedar against the schema; one problem and nothing loads.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{PolicySet, Schema, SchemaFragment, ValidationMode, Validator};
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, LoadErrors, Scope, Setup,
    family::Family,
    limits, lint, lists,
    problem::Problem,
    rule::Rule,
    source::{Draft, Origin},
};

/// What a policy is made of once all is checked.
pub(crate) struct Loaded {
    pub(crate) family: Family,
    /// By id.
    pub(crate) rules: Vec<Rule>,
    pub(crate) schema_text: String,
    pub(crate) digest: Digest,
}

pub(crate) fn load(setup: &Setup<'_>) -> Result<Loaded, LoadErrors> {
    let (family, schema, schema_text) = schema(setup).map_err(only)?;
    let mut problems = Vec::new();
    let mut compiled = lists::compile(setup.lists, &family, setup.vocabulary, &mut problems);
    compiled.extend(limits::compile(&setup.lists.limits, &family, &mut problems));
    let mut drafts = Vec::new();
    for rule in &compiled {
        let origin = Origin { name: &rule.place, text: &rule.text, scope: &Scope::Full };
        let place = rule.place.clone();
        drafts
            .extend(origin.drafts(&mut problems).into_iter().map(|it| Draft { place: place.clone(), ..it }));
    }
    for source in setup.sources {
        let origin = Origin { name: &source.name, text: &source.text, scope: &source.scope };
        drafts.extend(origin.drafts(&mut problems));
    }
    problems.extend(duplicates(&drafts));
    let mut sound = Vec::new();
    for draft in drafts {
        let found = lint::check(&draft, &family, setup.vocabulary);
        if found.is_empty() {
            sound.push(draft);
        }
        problems.extend(found);
    }
    problems.extend(validate(&sound, schema));
    if !problems.is_empty() {
        let rank = |it: &Problem| setup.sources.iter().position(|source| source.name == it.file);
        problems.sort_by_key(|it| (rank(it), it.file.clone(), it.line, it.column));
        problems.dedup();
        return Err(LoadErrors { problems });
    }
    sound.sort_by(|a, b| a.id().cmp(b.id()));
    let digest = digest(&sound, &schema_text, setup);
    let rule = |draft: Draft<'_>| Rule::new(&draft.policy, &draft.clauses, &family, draft.place);
    let rules = sound.into_iter().map(rule).collect();
    Ok(Loaded { family, rules, schema_text, digest })
}

/// Names a set of rules: changes with any of them, with any word of the schema, and with what else [`Policy::digest`] names.
fn digest(rules: &[Draft<'_>], schema: &str, setup: &Setup<'_>) -> Digest {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        // The length in front keeps one part from running into the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    part("bailiwick policy 3");
    part(schema);
    part(setup.zone.iana_name().unwrap_or_default());
    let development = &setup.vocabulary.development;
    // How many, so that none of them is taken for a rule.
    part(&development.len().to_string());
    development.iter().for_each(|it| part(it));
    let owners = &setup.vocabulary.owners;
    part(&owners.len().to_string());
    owners.iter().flat_map(|(agent, owner)| [agent, owner]).for_each(|it| part(it));
    part(if setup.lists.hide { "hides" } else { "shows" });
    for rule in rules {
        part(rule.id());
        part(&rule.policy.to_string());
    }
    hash.finalize().into()
}

fn only(problem: Problem) -> LoadErrors {
    LoadErrors { problems: vec![problem] }
}

fn schema(setup: &Setup<'_>) -> Result<(Family, Schema, String), Problem> {
    let words = setup.vocabulary.fragment();
    let text = format!("{}\n{words}", setup.family);
    let bad =
        |message: String| Problem::at("family.cedarschema", &text, 0, 1, format!("the schema: {message}"));
    let read = |part: &str| {
        let read = SchemaFragment::from_cedarschema_str(part).map(|(fragment, _)| fragment);
        read.map_err(|it| bad(it.to_string()))
    };
    let (tools, words) = (read(setup.family)?, read(&words)?);
    let family = Family::read(tools.clone()).map_err(bad)?;
    let schema = Schema::from_schema_fragments([tools, words]).map_err(|it| bad(it.to_string()))?;
    Ok((family, schema, text))
}

/// An id names one rule: denials, logs and approvals refer to it.
fn duplicates(drafts: &[Draft<'_>]) -> Vec<Problem> {
    let mut first: BTreeMap<String, &Draft<'_>> = BTreeMap::new();
    let mut found = Vec::new();
    for draft in drafts {
        let id = draft.policy.id().to_string();
        if let Some(before) = first.get(&id) {
            let problem = draft.problem(&["@", "id"], 0, format!("a second rule with the id `{id}`"));
            found.push(problem.hint(format!("the first stands at {}", before.place)));
        } else {
            first.insert(id, draft);
        }
    }
    found
}

/// Strict validation: types, misspelt attributes, unguarded optionals, rules that can never match. A warning is refused
/// like an error, for both mean a rule that does less than it says.
fn validate(drafts: &[Draft<'_>], schema: Schema) -> Vec<Problem> {
    let mut by_id = BTreeMap::new();
    let mut set = PolicySet::new();
    for draft in drafts {
        // A duplicate is a problem already.
        if set.add(draft.policy.clone()).is_ok() {
            by_id.insert(draft.policy.id().clone(), draft);
        }
    }
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors().map(|it| (it.policy_id(), it as &dyn miette::Diagnostic));
    let warnings = result.validation_warnings().map(|it| (it.policy_id(), it as &dyn miette::Diagnostic));
    // A rule with an error also warns that it can never match: the error says why.
    let wrong: BTreeSet<_> = result.validation_errors().map(|it| it.policy_id()).collect();
    let warnings = warnings.filter(|(id, _)| !wrong.contains(id));
    let mut found = Vec::new();
    for (id, error) in errors.chain(warnings) {
        match by_id.get(id) {
            Some(draft) => found.push(draft.origin.cedar(draft.piece, error)),
            None => found.push(Problem::at("policies", "", 0, 0, error.to_string())),
        }
    }
    found
}
