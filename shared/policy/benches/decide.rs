//! What does a decision cost? From typed arguments to the answer, over 200 and 2,000 rules of the same mix: 60 % about one
//! of 40 teams, 20 % about one tool, 10 % about an effect, and 20 rules about everything.
//!
//! Three mixes of conditions: as rules are mostly written, every rule with a condition, and every rule a forbid with one.
//! Then what is paid only once, by loading or by a newcomer, and what each row of an answer costs.

use std::{collections::BTreeSet, hint::black_box, time::Duration};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use policy::{
    Assurance, Caller, Channel, Circumstances, Effect, Lists, Policy, Question, Scope, Setup, Source, Target,
    ToolShape, Vocabulary, emit_schema,
};
use serde_json::{Map, Value, json};

/// Rules about everything, however many there are of the rest.
const UNSCOPED: usize = 20;
const TOOLS: [&str; 6] =
    ["query_metrics", "list_alerts", "silence_alert", "list_commits", "read_file", "show_authority"];

/// How rules are conditioned.
#[derive(Clone, Copy)]
enum Mix {
    /// Half of them with a condition; a quarter of them forbids, each with one.
    Usual,
    /// All with a condition, half of them forbids; only one permit holds.
    Conditional,
    /// All forbids with a condition, and one permit.
    Forbidding,
}

fn rule(nth: usize, action: &str, resource: &str, mix: Mix) -> String {
    let (forbids, conditional) = match mix {
        Mix::Usual => (nth.is_multiple_of(4), nth % 4 < 2),
        Mix::Conditional => (nth.is_multiple_of(2), true),
        Mix::Forbidding => (true, true),
    };
    let effect = if forbids { "forbid" } else { "permit" };
    // None holds for the question asked, so that every one is looked at.
    let conditions = [
        "context.minute_of_day > 1500".to_owned(),
        format!("context.weekday == \"monday\" && context.minute_of_day < {nth}"),
        format!("resource.connection == \"other-{nth}\""),
        format!("principal == Agent::\"agent-{nth}\" || context.assurance == \"token\""),
    ];
    let when = match conditional {
        true => format!(" when {{ {} }}", conditions[nth % conditions.len()]),
        false => String::new(),
    };
    format!(
        "@id(\"rule-{nth:05}\") @reason(\"why {nth}\") {effect} (principal, {action}, {resource}){when};\n"
    )
}

fn rules(count: usize, mix: Mix) -> String {
    let mut text = "@id(\"zz-base\") permit (principal, action == Action::\"query_metrics\", resource)
        when { context.input.query != \"\" };\n"
        .to_owned();
    let (teams, tools, effects) = (count * 6 / 10, count * 2 / 10, count / 10);
    for nth in 0..teams {
        let team = format!("resource in Team::\"team-{}\"", nth % 40);
        text += &rule(nth, "action in Action::\"call\"", &team, mix);
    }
    for nth in 0..tools {
        let action = format!("action == Action::\"{}\"", TOOLS[nth % TOOLS.len()]);
        text += &rule(teams + nth, &action, "resource", mix);
    }
    for nth in 0..effects {
        let effect = ["read", "mitigate"][nth % 2];
        text +=
            &rule(teams + tools + nth, &format!("action in Action::\"effect:{effect}\""), "resource", mix);
    }
    for nth in 0..UNSCOPED {
        text += &rule(teams + tools + effects + nth, "action in Action::\"call\"", "resource", mix);
    }
    text
}

/// Six tools with arguments of the usual kind, so that the figures do not move with the real family.
fn family() -> String {
    let input = json!({
        "type": "object",
        "properties": {
            "query": { "type": "string" },
            "window": { "type": "string" },
            "max_tokens": { "type": "integer", "default": 2000 },
            "points": { "type": "boolean", "default": false },
        },
        "required": ["query"],
    });
    let input = input.as_object().cloned().expect("an object");
    let tools = TOOLS.map(|name| ToolShape {
        name: name.to_owned(),
        server: "bench".to_owned(),
        effect: if name == "silence_alert" { Effect::Mitigate } else { Effect::Read },
        input: input.clone(),
    });
    emit_schema(&tools).expect("it has a schema")
}

/// What a policy is loaded from.
struct Given {
    family: String,
    sources: [Source; 1],
    vocabulary: Vocabulary,
}

impl Given {
    fn new(count: usize, mix: Mix) -> Given {
        let text = rules(count, mix);
        let vocabulary = Vocabulary {
            teams: (0..40).map(|it| format!("team-{it}")).collect::<BTreeSet<_>>(),
            environments: ["production".to_owned()].into(),
            connections: (0..count).map(|it| format!("other-{it}")).chain(["prod-eu".to_owned()]).collect(),
            ..Vocabulary::default()
        };
        let sources = [Source { name: "bench.cedar".to_owned(), text, scope: Scope::Full }];
        Given { family: family(), sources, vocabulary }
    }

    fn load(&self) -> Policy {
        let setup = Setup {
            family: &self.family,
            sources: &self.sources,
            lists: &Lists::default(),
            vocabulary: &self.vocabulary,
            zone: jiff::tz::TimeZone::UTC,
        };
        Policy::load(setup).unwrap_or_else(|it| panic!("{it}"))
    }
}

fn caller(agent: &str) -> Caller {
    Caller {
        agent: agent.to_owned(),
        on_behalf_of: Some("alice".to_owned()),
        teams: vec!["team-7".to_owned()],
        assurance: Assurance::OsUser,
    }
}

fn arguments() -> Map<String, Value> {
    let input = json!({ "query": "up", "window": "1h", "max_tokens": 2000, "points": false });
    input.as_object().cloned().expect("an object")
}

fn target() -> Target {
    Target {
        kind: "metrics".into(),
        id: "prod-eu".to_owned(),
        connection: "prod-eu".to_owned(),
        environment: "production".to_owned(),
        region: "unknown".to_owned(),
        team: "team-7".to_owned(),
        tier: "unknown".to_owned(),
    }
}

fn question<'a>(caller: &'a Caller, input: &'a Map<String, Value>, targets: &'a [Target]) -> Question<'a> {
    let now = jiff::Timestamp::from_second(1_795_311_000).expect("in range");
    let circumstances = Circumstances::of(Channel::Stdio, now);
    Question { caller, tool: "query_metrics", input, targets, digest: [7; 32], circumstances }
}

fn decide(criterion: &mut Criterion) {
    let (caller, input, targets) = (caller("claude-code"), arguments(), [target()]);
    let question = question(&caller, &input, &targets);
    for (name, mix) in
        [("usual", Mix::Usual), ("conditional", Mix::Conditional), ("forbidding", Mix::Forbidding)]
    {
        let mut group = criterion.benchmark_group(name);
        group
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500))
            .sample_size(30);
        for count in [200, 2000] {
            let policy = Given::new(count, mix).load();
            let explained = policy.explain(&question);
            assert!(policy.decide(&question).is_ok(), "{:?}", explained.answer);
            group.bench_function(format!("{count} rules, {} considered", explained.considered), |bench| {
                bench.iter(|| black_box(policy.decide(black_box(&question))));
            });
        }
        group.finish();
    }
}

/// What is paid once: for a policy when it loads, and for a caller, a tool and a place when they first meet.
fn first(criterion: &mut Criterion) {
    let (input, targets) = (arguments(), [target()]);
    let mut group = criterion.benchmark_group("first");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(200))
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat);
    for count in [200, 2000] {
        let given = Given::new(count, Mix::Usual);
        group.bench_function(format!("load {count} rules"), |bench| bench.iter(|| black_box(given.load())));
        let policy = given.load();
        let mut nth = 0_u64;
        group.bench_function(format!("decide for a newcomer, {count} rules"), |bench| {
            bench.iter(|| {
                // Nobody whom any rule names, and nobody who asked before.
                nth += 1;
                let caller = caller(&format!("newcomer-{nth}"));
                assert!(black_box(policy.decide(black_box(&question(&caller, &input, &targets)))).is_ok());
            });
        });
    }
    group.finish();
}

/// What a row of an answer costs: once a row of its place was asked about.
fn rows(criterion: &mut Criterion) {
    let (caller, input, targets) = (caller("claude-code"), arguments(), [target()]);
    let question = question(&caller, &input, &targets);
    let policy = Given::new(200, Mix::Usual).load();
    let rows: Vec<Target> = (0..500).map(|it| Target { id: format!("row-{it}"), ..target() }).collect();
    criterion.bench_function("rows/500 rows of one place, 200 rules", |bench| {
        bench.iter(|| {
            let viewer = policy.viewer(&question);
            assert!(rows.iter().all(|it| viewer.shows(black_box(it))));
        });
    });
}

criterion_group!(benches, decide, first, rows);
criterion_main!(benches);
