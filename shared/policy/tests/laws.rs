//! Laws of policies, on random rules and questions.

mod common;

use std::collections::HashSet;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
    Schema,
};
use common::{caller, circumstances, input, object, target};
use policy::{Caller, Circumstances, ListEntry, Lists, Permit, Question, Refusal, Standing, Target};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const TOOLS: [&str; 5] = ["query_metrics", "list_alerts", "silence_alert", "open_change", "delete_branch"];

/// One rule's text, without its id.
fn rule() -> impl Strategy<Value = String> {
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
    let scoped = prop_oneof![
        Just(("action in Action::\"call\"", "")),
        Just(("action in Action::\"effect:read\"", "")),
        Just(("action == Action::\"query_metrics\"", "context.input.mode == \"range\"")),
        Just(("action == Action::\"query_metrics\"", "context.input has limit && context.input.limit > 10")),
        Just(("action == Action::\"silence_alert\"", "context.input.dry_run")),
        Just(("action == Action::\"silence_alert\"", "context.input.minutes + 9223372036854775807 > 0")),
        Just(("action in [Action::\"silence_alert\", Action::\"open_change\"]", "context.input.dry_run")),
        Just(("action in Action::\"call\"", "context.weekday == \"sunday\"")),
        Just(("action in Action::\"call\"", "resource.connection == \"prod-eu\"")),
        Just((
            "action in Action::\"call\"",
            "resource in Team::\"checkout\" || principal in Team::\"platform\""
        )),
        Just(("action in Action::\"server:code\"", "context.minute_of_day < 100")),
    ];
    let agreement = prop_oneof![
        5 => Just(""),
        1 => Just("context.confirmed"),
        1 => Just("context.approvals >= 1"),
        1 => Just("context.approvals >= 2"),
        1 => Just("context.confirmed || context.approvals >= 3"),
    ];
    (prop::bool::weighted(0.6), principal, scoped, resource, any::<bool>(), agreement).prop_map(
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

fn file(rules: &[String]) -> String {
    let named = rules.iter().enumerate().map(|(nth, it)| format!("@id(\"r{nth:03}\") {it}\n"));
    named.collect()
}

/// One call, as a strategy draws it.
#[derive(Clone, Debug)]
struct Drawn {
    caller: Caller,
    tool: &'static str,
    input: Map<String, Value>,
    targets: Vec<Target>,
    circumstances: Circumstances,
}

impl Drawn {
    fn question(&self) -> Question<'_> {
        let Drawn { caller, tool, input, targets, circumstances } = self;
        Question { caller, tool, input, targets, digest: [7; 32], circumstances: *circumstances }
    }
}

fn place() -> impl Strategy<Value = Target> {
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

fn arguments(tool: &str, some: bool) -> Map<String, Value> {
    match (tool, some) {
        ("query_metrics", true) => object(json!({ "query": "up", "mode": "range", "limit": 20 })),
        ("silence_alert", true) => object(json!({ "alert": "Down", "minutes": 0, "dry_run": true })),
        ("open_change", true) => object(json!({ "title": "Fix", "dry_run": true })),
        _ => input(tool),
    }
}

fn call() -> impl Strategy<Value = Drawn> {
    let who = (any::<bool>(), any::<bool>(), prop::sample::select(&["claude-code", "other"][..]));
    let agreed = (0..=3_u8, any::<bool>());
    (who, prop::sample::select(&TOOLS[..]), any::<bool>(), prop::collection::vec(place(), 1..4), agreed)
        .prop_map(|((person, team, agent), tool, some, targets, (approvals, confirmed))| Drawn {
            caller: Caller {
                agent: agent.to_owned(),
                on_behalf_of: person.then(|| "alice".to_owned()),
                teams: if team { vec!["checkout".to_owned()] } else { vec!["platform".to_owned()] },
                ..caller()
            },
            tool,
            input: arguments(tool, some),
            targets,
            circumstances: Circumstances { approvals, confirmed, ..circumstances() },
        })
}

/// How far an answer is from a permit: fewer is more permissive.
fn distance(answer: &Result<Permit, Refusal>) -> u8 {
    match answer {
        Ok(_) => 0,
        Err(Refusal::NeedsApproval(needs)) => 1 + needs.approvals * 2 + u8::from(needs.confirmed),
        Err(Refusal::Denied(_)) => 99,
    }
}

/// What Cedar itself says of one target with all rules at hand; a forbid that fails counts as forbidding.
fn oracle(text: &str, drawn: &Drawn, target: &Target) -> bool {
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
    let attributes = [("kind", target.kind), ("id", &target.id), ("connection", &target.connection)];
    let attributes = attributes.map(|(key, it)| (key.to_owned(), value(it))).into();
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
    let context = json!({
        "input": drawn.input, "approvals": drawn.circumstances.approvals, "confirmed": drawn.circumstances.confirmed,
        "assurance": "declared", "channel": "stdio", "weekday": "sunday", "minute_of_day": 90,
        "now": { "__extn": { "fn": "datetime", "arg": "2026-11-22T01:30:00Z" } },
    });
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

fn policy_schema() -> String {
    let words = "entity Environment enum [\"production\", \"staging\", \"unknown\"];
        entity Region enum [\"eu-west-1\", \"unknown\"]; entity Team enum [\"checkout\", \"platform\", \"unknown\"];
        entity Tier enum [\"1\", \"2\", \"unknown\"]; entity DataClass enum [\"pii\"];";
    common::family() + words
}

fn entry() -> impl Strategy<Value = ListEntry> {
    let tools = prop::sample::select(
        &["*", "query_*", "silence_alert", "effect:read", "effect:mitigate", "list_alerts"][..],
    );
    let place = prop::sample::select(&["", " environment:staging", " environment:production"][..]);
    (tools, place, 1..=3_u8).prop_map(|(tools, place, approvals)| ListEntry {
        approvals,
        ..ListEntry::new(format!("{tools}{place}"))
    })
}

fn entries() -> impl Strategy<Value = Vec<ListEntry>> {
    prop::collection::vec(entry(), 0..4).prop_map(|mut all| {
        all.sort_by(|a, b| a.text.cmp(&b.text));
        all.dedup_by(|a, b| a.text == b.text);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_sliced_decision_is_that_of_cedar_over_all_rules(
        rules in prop::collection::vec(rule(), 1..40),
        calls in prop::collection::vec(call(), 6),
    ) {
        let text = file(&rules);
        let policy = common::cedar(&text);
        for drawn in &calls {
            let each: Vec<bool> = drawn.targets.iter().map(|it| oracle(&text, drawn, it)).collect();
            prop_assert_eq!(policy.decide(&drawn.question()).is_ok(), each.iter().all(|it| *it), "{:?}", drawn);
            for (target, expected) in drawn.targets.iter().zip(each) {
                prop_assert_eq!(policy.shows(&drawn.question(), target), expected);
            }
        }
    }

    #[test]
    fn adding_a_forbid_never_allows_more(
        rules in prop::collection::vec(rule(), 1..12), more in rule(), calls in prop::collection::vec(call(), 6),
    ) {
        let before = common::cedar(&file(&rules));
        let forbid = more.replacen("permit", "forbid", 1);
        // A permit's agreement opens in `when`, a forbid's in `unless`; others do not load.
        prop_assume!(!(more.starts_with("permit") && (more.contains("confirmed") || more.contains("approvals"))));
        let after = common::cedar(&file(&[rules, vec![forbid]].concat()));
        for drawn in &calls {
            let (before, after) = (before.decide(&drawn.question()), after.decide(&drawn.question()));
            prop_assert!(distance(&after) >= distance(&before), "{:?} then {:?}", before, after);
        }
    }

    #[test]
    fn more_agreement_never_denies_more(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in calls {
            let with = |approvals, confirmed| {
                let circumstances = Circumstances { approvals, confirmed, ..drawn.circumstances };
                let drawn = Drawn { circumstances, ..drawn.clone() };
                distance(&policy.decide(&drawn.question()))
            };
            for approvals in 0..=3 {
                prop_assert!(with(approvals, true) <= with(approvals, false));
                prop_assert!(with(approvals + 1, false) <= with(approvals, false));
                prop_assert!(with(approvals + 1, true) <= with(approvals, true));
            }
        }
    }

    #[test]
    fn what_an_answer_asks_for_is_enough(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in calls {
            if let Err(Refusal::NeedsApproval(needs)) = policy.decide(&drawn.question()) {
                let approvals = drawn.circumstances.approvals.max(needs.approvals);
                let confirmed = drawn.circumstances.confirmed || needs.confirmed;
                let circumstances = Circumstances { approvals, confirmed, ..drawn.circumstances };
                let agreed = Drawn { circumstances, ..drawn };
                prop_assert!(policy.decide(&agreed.question()).is_ok());
            }
        }
    }

    #[test]
    fn the_order_of_lists_never_matters(
        allow in entries(), ask in entries(), approve in entries(), deny in entries(),
        calls in prop::collection::vec(call(), 6),
    ) {
        let lists = Lists { allow, ask, approve, deny };
        let mut turned = lists.clone();
        for list in [&mut turned.allow, &mut turned.ask, &mut turned.approve, &mut turned.deny] {
            list.reverse();
        }
        let (Ok(one), Ok(other)) = (common::load_all(&[], &lists), common::load_all(&[], &turned)) else {
            return Ok(());
        };
        prop_assert_eq!(one.digest(), other.digest());
        for drawn in &calls {
            prop_assert_eq!(one.decide(&drawn.question()), other.decide(&drawn.question()));
        }
    }

    #[test]
    fn screening_never_refuses_what_is_permitted_once_narrowed(
        rules in prop::collection::vec(rule(), 1..12), drawn in call(), narrowed in prop::collection::vec(place(), 1..4),
    ) {
        let policy = common::cedar(&file(&rules));
        let known = &drawn.targets[0];
        let keep = |known: &str, found: String| if known == "unknown" { found } else { known.to_owned() };
        let targets = narrowed
            .into_iter()
            .map(|it| Target {
                environment: keep(&known.environment, it.environment.clone()),
                region: keep(&known.region, it.region.clone()),
                ..it
            })
            .collect();
        let screened = policy.screen(&drawn.caller, drawn.tool, &drawn.targets[..1]);
        let later = Drawn { targets, ..drawn.clone() };
        if let Err(denial) = screened {
            prop_assert!(!matches!(policy.decide(&later.question()), Ok(_) | Err(Refusal::NeedsApproval(_))), "{:?}", denial);
        }
    }

    #[test]
    fn standing_is_true_of_every_call(
        rules in prop::collection::vec(rule(), 1..12), drawn in call(), some in any::<bool>(),
    ) {
        let policy = common::cedar(&file(&rules));
        let target = &drawn.targets[0];
        let standing = policy.standing(&drawn.caller, drawn.tool, target, &drawn.circumstances);
        let input = arguments(drawn.tool, some);
        let call = Drawn { input, targets: vec![target.clone()], ..drawn };
        let answer = policy.decide(&call.question());
        match standing {
            Standing::Allowed { .. } => prop_assert!(answer.is_ok(), "{:?}", answer),
            Standing::Denied(_) => prop_assert!(matches!(answer, Err(Refusal::Denied(_))), "{:?}", answer),
            Standing::NeedsApproval(_) => prop_assert!(answer.is_err(), "{:?}", answer),
            Standing::Depends { .. } => {}
        }
    }
}
