//! What would Cedar itself say, with every rule at hand?

use std::collections::HashSet;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
    Schema,
};
use policy::Target;
use serde_json::json;

use crate::{common, draw::Drawn};

/// What Cedar itself says of one target with all rules at hand; a forbid that fails counts as forbidding.
pub(crate) fn oracle(text: &str, drawn: &Drawn, target: &Target) -> bool {
    let uid = |kind: &str, id: &str| -> EntityUid { format!("{kind}::{id:?}").parse().expect("a name") };
    let bare =
        |it: EntityUid, parents: Vec<EntityUid>| Entity::new_no_attrs(it, parents.into_iter().collect());
    let caller = &drawn.caller;
    let teams: Vec<EntityUid> = caller.teams.iter().map(|it| uid("Team", it)).collect();
    let people: Vec<EntityUid> = caller.on_behalf_of.iter().map(|it| uid("User", it)).collect();
    let agent = uid("Agent", &caller.agent);
    let name = format!("{}/{}/{}", target.connection, target.kind, target.id);
    let resource = uid("Target", &name);
    let value = |it: &str| RestrictedExpression::new_string(it.to_owned());
    let attributes = [("kind", &*target.kind), ("id", &target.id), ("connection", &target.connection)];
    let team = RestrictedExpression::new_entity_uid(uid("Team", &target.team));
    let attributes = attributes.map(|(key, it)| (key.to_owned(), value(it)));
    let attributes = attributes.into_iter().chain([("team".to_owned(), team)]).collect();
    let parents: HashSet<EntityUid> = [
        uid("Environment", &target.environment),
        uid("Region", &target.region),
        uid("Team", &target.team),
        uid("Tier", &target.tier),
    ]
    .into();
    let schema: Schema = policy_schema().parse().expect("the schema parses");
    let mut entities: Vec<Entity> = schema.action_entities().expect("actions").into_iter().collect();
    entities.push(bare(agent.clone(), [people.clone(), teams.clone()].concat()));
    entities.extend(people.into_iter().map(|it| bare(it, teams.clone())));
    entities.push(Entity::new(resource.clone(), attributes, parents).expect("a target"));
    let entities = Entities::from_entities(entities, None).expect("entities");
    let action = uid("Action", drawn.tool);
    let usage = drawn.circumstances.usage.expect("it is drawn");
    let mut context = json!({
        "input": drawn.input, "approvals": drawn.circumstances.approvals, "confirmed": drawn.circumstances.confirmed,
        "assurance": "declared", "channel": "stdio", "weekday": "sunday", "minute_of_day": 90,
        "now": { "__extn": { "fn": "datetime", "arg": "2026-11-22T01:30:00Z" } },
        "usage": {
            "calls_hour": usage.calls_hour, "calls_day": usage.calls_day, "mitigations_hour": usage.mitigations_hour,
            "tool_hour": usage.tool_hour, "tool_day": usage.tool_day,
        },
    });
    if let Some(change) = &drawn.circumstances.change {
        context["change"] = json!(change);
    }
    let context = Context::from_json_value(context, Some((&schema, &action))).expect("it fits the schema");
    let request = Request::new(agent, action, resource, context, Some(&schema)).expect("it fits the schema");
    let set: PolicySet = text.parse().expect("the rules parse");
    let response = Authorizer::new().is_authorized(&request, &set, &entities);
    let failed = response.diagnostics().errors().any(|error| {
        let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
        set.policy(error.policy_id()).expect("it is of the set").effect() == cedar_policy::Effect::Forbid
    });
    response.decision() == Decision::Allow && !failed
}

/// The same where teams that are only declared permit no effect outside development.
pub(crate) fn permitted(text: &str, drawn: &Drawn, target: &Target) -> bool {
    let anyhow = is_harmless(drawn) || is_development(target);
    oracle(text, drawn, target) && (anyhow || oracle(text, &teamless(drawn), target))
}

/// Whether a call changes nothing.
pub(crate) fn is_harmless(drawn: &Drawn) -> bool {
    ["query_metrics", "list_alerts"].contains(&drawn.tool) || drawn.input.get("dry_run") == Some(&json!(true))
}

/// Whether the vocabulary of these tests says so.
pub(crate) fn is_development(target: &Target) -> bool {
    target.environment == "staging"
}

/// The same call of the same caller, who is in no team.
pub(crate) fn teamless(drawn: &Drawn) -> Drawn {
    let mut teamless = drawn.clone();
    teamless.caller.teams.clear();
    teamless
}

fn policy_schema() -> String {
    let words = "entity Environment enum [\"production\", \"staging\", \"unknown\"];
        entity Region enum [\"eu-west-1\", \"unknown\"]; entity Team enum [\"checkout\", \"platform\", \"unknown\"];
        entity Tier enum [\"1\", \"2\", \"unknown\"]; entity DataClass enum [\"pii\"];";
    common::family() + words
}
