//! Which rules, lists and calls are drawn?

use policy::{Caller, Change, Circumstances, ListEntry, Question, Target, Usage};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::common::{caller, circumstances, input, object, target};

pub(crate) const TOOLS: [&str; 5] =
    ["query_metrics", "list_alerts", "silence_alert", "open_change", "delete_branch"];

/// An action, and a condition on what its calls have.
fn scoped() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        Just(("action in Action::\"call\"", "")),
        Just(("action in Action::\"effect:read\"", "")),
        Just(("action == Action::\"query_metrics\"", "context.input.mode == \"range\"")),
        Just(("action == Action::\"query_metrics\"", "context.input has limit && context.input.limit > 10")),
        Just(("action == Action::\"silence_alert\"", "context.input.dry_run")),
        Just(("action == Action::\"silence_alert\"", "context.input.minutes + 9223372036854775807 > 0")),
        Just(("action in [Action::\"silence_alert\", Action::\"open_change\"]", "context.input.dry_run")),
        Just(("action in Action::\"call\"", "context.weekday == \"sunday\"")),
        Just(("action in Action::\"call\"", "resource.connection == \"prod-eu\"")),
        Just(("action in Action::\"call\"", "resource.id == \"other\" || context.minute_of_day < 10")),
        Just(("action == Action::\"query_metrics\"", "resource == Target::\"prod-eu/metrics/other\"")),
        Just((
            "action in Action::\"call\"",
            "resource in Team::\"checkout\" || principal in Team::\"platform\""
        )),
        Just(("action in Action::\"call\"", "principal in resource.team")),
        Just(("action in Action::\"server:code\"", "context.minute_of_day < 100")),
        Just(("action in Action::\"call\"", "context.usage.tool_hour > 3")),
        Just((
            "action == Action::\"silence_alert\"",
            "10 <= context.usage.calls_day || context.input.dry_run"
        )),
        Just(("action in Action::\"effect:mitigate\"", "context has change && context.change.approved")),
    ]
}

/// One rule's text, without its id.
pub(crate) fn rule() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        3 => Just("principal"),
        1 => Just("principal == Agent::\"claude-code\""),
        1 => Just("principal == Agent::\"other\""),
        1 => Just("principal in User::\"alice\""),
        1 => Just("principal is Agent in Team::\"checkout\""),
        1 => Just("principal in Team::\"platform\""),
    ];
    let resource = prop_oneof![
        4 => Just("resource"),
        1 => Just("resource is Target"),
        1 => Just("resource in Environment::\"staging\""),
        1 => Just("resource in Environment::\"unknown\""),
        1 => Just("resource in Region::\"eu-west-1\""),
        1 => Just("resource is Target in Team::\"checkout\""),
        1 => Just("resource in Tier::\"2\""),
        1 => Just("resource == Target::\"prod-eu/metrics/main\""),
    ];
    let agreement = prop_oneof![
        5 => Just(""),
        1 => Just("context.confirmed"),
        1 => Just("context.approvals >= 1"),
        1 => Just("context.approvals >= 2"),
        1 => Just("context.confirmed || context.approvals >= 3"),
    ];
    (prop::bool::weighted(0.6), principal, scoped(), resource, any::<bool>(), agreement).prop_map(
        |(permits, principal, (action, condition), resource, when, agreement)| {
            let mut text = if permits { "permit" } else { "forbid" }.to_owned();
            text += &format!(" ({principal}, {action}, {resource})");
            if !condition.is_empty() {
                text += &format!(" {} {{ {condition} }}", if when { "when" } else { "unless" });
            }
            if !agreement.is_empty() {
                text += &format!(" {} {{ {agreement} }}", if permits { "when" } else { "unless" });
            }
            text + ";"
        },
    )
}

pub(crate) fn file(rules: &[String]) -> String {
    let named = rules.iter().enumerate().map(|(nth, it)| format!("@id(\"r{nth:03}\") {it}\n"));
    named.collect()
}

/// One call, as a strategy draws it.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) caller: Caller,
    pub(crate) tool: &'static str,
    pub(crate) input: Map<String, Value>,
    pub(crate) targets: Vec<Target>,
    pub(crate) circumstances: Circumstances,
}

impl Drawn {
    pub(crate) fn question(&self) -> Question<'_> {
        let Drawn { caller, tool, input, targets, circumstances } = self;
        Question { caller, tool, input, targets, digest: [7; 32], circumstances: circumstances.clone() }
    }
}

pub(crate) fn place() -> impl Strategy<Value = Target> {
    let word = |words: &'static [&'static str]| prop::sample::select(words);
    let environment = word(&["production", "staging", "unknown"]);
    let rest = (
        word(&["eu-west-1", "unknown"]),
        word(&["checkout", "platform", "unknown"]),
        word(&["1", "2", "unknown"]),
    );
    (environment, rest, word(&["main", "other"])).prop_map(|(environment, (region, team, tier), id)| Target {
        region: region.to_owned(),
        team: team.to_owned(),
        tier: tier.to_owned(),
        id: id.to_owned(),
        ..target(environment)
    })
}

pub(crate) fn arguments(tool: &str, some: bool) -> Map<String, Value> {
    match (tool, some) {
        ("query_metrics", true) => object(json!({ "query": "up", "mode": "range", "limit": 20 })),
        ("silence_alert", true) => object(json!({ "alert": "Down", "minutes": 0, "dry_run": true })),
        ("open_change", true) => object(json!({ "title": "Fix", "dry_run": true })),
        _ => input(tool),
    }
}

pub(crate) fn call() -> impl Strategy<Value = Drawn> {
    let who = (any::<bool>(), any::<bool>(), prop::sample::select(&["claude-code", "other"][..]));
    let agreed = (0..=3_u8, any::<bool>());
    let targets = prop::collection::vec(place(), 1..4);
    (
        who,
        prop::sample::select(&TOOLS[..]),
        any::<bool>(),
        targets,
        agreed,
        usage(),
        prop::option::of(any::<bool>()),
    )
        .prop_map(
            |((person, team, agent), tool, some, targets, (approvals, confirmed), usage, change)| Drawn {
                caller: Caller {
                    agent: agent.to_owned(),
                    on_behalf_of: person.then(|| "alice".to_owned()),
                    teams: if team { vec!["checkout".to_owned()] } else { vec!["platform".to_owned()] },
                    ..caller()
                },
                tool,
                input: arguments(tool, some),
                targets,
                circumstances: Circumstances {
                    approvals,
                    confirmed,
                    usage: Some(usage),
                    change: change.map(|approved| Change {
                        id: "CHG1".to_owned(),
                        state: "Implement".to_owned(),
                        approved,
                    }),
                    ..circumstances()
                },
            },
        )
}

/// Counts around those that rules look at.
pub(crate) fn usage() -> impl Strategy<Value = Usage> {
    (1..6_u64, 0..20_u64, 0..4_u64).prop_map(|(tool_hour, more, mitigations_hour)| Usage {
        calls_hour: tool_hour + more,
        calls_day: tool_hour + more,
        mitigations_hour,
        tool_hour,
        tool_day: tool_hour + more / 2,
    })
}

pub(crate) fn limits() -> impl Strategy<Value = Vec<ListEntry>> {
    let what = prop::sample::select(
        &[
            "* # per hour",
            "* # per day",
            "effect:mitigate # per hour",
            "silence_alert # per hour",
            "query_metrics # per day",
        ][..],
    );
    prop::collection::btree_map(what, 1..8_u64, 0..4).prop_map(|all| {
        all.into_iter().map(|(what, count)| ListEntry::new(what.replace('#', &count.to_string()))).collect()
    })
}

pub(crate) fn entry() -> impl Strategy<Value = ListEntry> {
    let tools = prop::sample::select(
        &["*", "query_*", "silence_alert", "effect:read", "effect:mitigate", "list_alerts"][..],
    );
    let place = prop::sample::select(&["", " environment:staging", " environment:production"][..]);
    (tools, place, 1..=3_u8).prop_map(|(tools, place, approvals)| ListEntry {
        approvals,
        ..ListEntry::new(format!("{tools}{place}"))
    })
}

pub(crate) fn entries() -> impl Strategy<Value = Vec<ListEntry>> {
    prop::collection::vec(entry(), 0..4).prop_map(|mut all| {
        all.sort_by(|a, b| a.text.cmp(&b.text));
        all.dedup_by(|a, b| a.text == b.text);
        all
    })
}
