//! A small family of five tools, so that these tests hold whatever the real family becomes.
#![allow(dead_code, reason = "each test file uses its own part")]

use policy::{
    Assurance, Caller, Channel, Circumstances, Effect, ListEntry, Lists, LoadErrors, Policy, Question, Scope,
    Setup, Source, Target, ToolShape, Usage, Vocabulary, emit_schema,
};
use serde_json::{Map, Value, json};

/// Sunday, 22 November 2026, 01:30 in UTC.
pub(crate) const NOW: i64 = 1_795_311_000;

pub(crate) fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn shape(name: &str, server: &str, effect: Effect, properties: Value, required: &[&str]) -> ToolShape {
    let input = object(json!({ "type": "object", "properties": properties, "required": required }));
    ToolShape { name: name.to_owned(), server: server.to_owned(), effect, input }
}

pub(crate) fn shapes() -> Vec<ToolShape> {
    let text = json!({ "type": "string" });
    let dry_run = json!({ "type": "boolean", "default": false });
    vec![
        shape(
            "query_metrics",
            "observability",
            Effect::Read,
            json!({
                "query": text,
                "mode": { "enum": ["instant", "range"], "type": "string", "default": "instant" },
                "limit": { "type": "integer" },
                "window": { "type": "object", "properties": { "minutes": { "type": "integer" } }, "required": ["minutes"] },
            }),
            &["query"],
        ),
        shape(
            "list_alerts",
            "observability",
            Effect::Read,
            json!({ "states": { "type": "array", "items": { "enum": ["firing", "pending"] }, "default": [] } }),
            &[],
        ),
        shape(
            "silence_alert",
            "observability",
            Effect::Mitigate,
            json!({ "alert": text, "minutes": { "type": "integer" }, "dry_run": dry_run }),
            &["alert", "minutes"],
        ),
        shape(
            "open_change",
            "code",
            Effect::Propose,
            json!({ "title": text, "dry_run": dry_run }),
            &["title"],
        ),
        shape("delete_branch", "code", Effect::Destroy, json!({ "branch": text }), &["branch"]),
    ]
}

pub(crate) fn family() -> String {
    emit_schema(&shapes()).expect("the small family has a schema")
}

/// Arguments that fit a tool.
pub(crate) fn input(tool: &str) -> Map<String, Value> {
    object(match tool {
        "query_metrics" => json!({ "query": "up", "mode": "instant" }),
        "list_alerts" => json!({ "states": [] }),
        "silence_alert" => json!({ "alert": "Down", "minutes": 30, "dry_run": false }),
        "open_change" => json!({ "title": "Fix", "dry_run": false }),
        "delete_branch" => json!({ "branch": "old" }),
        _ => json!({}),
    })
}

pub(crate) fn vocabulary() -> Vocabulary {
    let words = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
    Vocabulary {
        environments: words(&["production", "staging"]),
        regions: words(&["eu-west-1"]),
        teams: words(&["checkout", "platform"]),
        tiers: words(&["1", "2"]),
        development: words(&["staging"]),
        owners: [("nightly".to_owned(), "dana".to_owned())].into(),
        connections: words(&["bailiwick", "prod-eu", "staging-eu"]),
    }
}

pub(crate) fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned(), scope: Scope::Full }
}

pub(crate) fn load_all(sources: &[Source], lists: &Lists) -> Result<Policy, LoadErrors> {
    let (family, vocabulary) = (family(), vocabulary());
    let zone = jiff::tz::TimeZone::UTC;
    Policy::load(Setup { family: &family, sources, lists, vocabulary: &vocabulary, zone })
}

/// A policy of one file.
pub(crate) fn cedar(text: &str) -> Policy {
    load_all(&[source("test.cedar", text)], &Lists::default()).unwrap_or_else(|it| panic!("{it}"))
}

/// A policy of lists: `allow`, `ask`, `approve`, `deny`.
pub(crate) fn listed(allow: &[&str], ask: &[&str], approve: &[&str], deny: &[&str]) -> Policy {
    let lists = lists(allow, ask, approve, deny);
    load_all(&[], &lists).unwrap_or_else(|it| panic!("{it}"))
}

pub(crate) fn lists(allow: &[&str], ask: &[&str], approve: &[&str], deny: &[&str]) -> Lists {
    let entries = |of: &[&str]| of.iter().map(|it| ListEntry::new(*it)).collect();
    let [allow, ask, approve, deny] = [allow, ask, approve, deny].map(entries);
    Lists { allow, ask, approve, deny, ..Lists::default() }
}

pub(crate) fn caller() -> Caller {
    Caller {
        agent: "claude-code".to_owned(),
        on_behalf_of: Some("alice".to_owned()),
        teams: vec!["checkout".to_owned()],
        assurance: Assurance::Declared,
    }
}

pub(crate) fn target(environment: &str) -> Target {
    Target {
        kind: "metrics".into(),
        id: "main".to_owned(),
        connection: "prod-eu".to_owned(),
        environment: environment.to_owned(),
        region: "eu-west-1".to_owned(),
        team: "checkout".to_owned(),
        tier: "1".to_owned(),
    }
}

pub(crate) fn circumstances() -> Circumstances {
    let now = jiff::Timestamp::from_second(NOW).expect("in range");
    Circumstances { usage: Some(Usage::FIRST), ..Circumstances::of(Channel::Stdio, now) }
}

/// What a policy says to a tool called with fitting arguments in an environment.
pub(crate) fn ask(policy: &Policy, tool: &str, environment: &str) -> String {
    ask_with(policy, tool, environment, &input(tool), circumstances())
}

pub(crate) fn ask_with(
    policy: &Policy,
    tool: &str,
    environment: &str,
    input: &Map<String, Value>,
    circumstances: Circumstances,
) -> String {
    let (caller, targets) = (caller(), [target(environment)]);
    let question =
        Question { caller: &caller, tool, input, targets: &targets, digest: [7; 32], circumstances };
    say(&policy.decide(&question))
}

/// An answer on one line.
pub(crate) fn say(answer: &Result<policy::Permit, policy::Refusal>) -> String {
    match answer {
        Ok(permit) => format!("permitted by {}", permit.policies().join(", ")),
        Err(policy::Refusal::NeedsApproval(needs)) => format!(
            "needs {} approvals{} by {} from [{}]",
            needs.approvals,
            if needs.confirmed { " and a confirmation" } else { "" },
            needs.policies.join(", "),
            needs.who.join(", "),
        ),
        Err(policy::Refusal::Denied(denial)) => {
            format!("denied by {}: {}", denial.policy.as_deref().unwrap_or("nothing"), denial.reason)
        }
    }
}
