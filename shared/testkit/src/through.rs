//! What does one call of a tool answer, behind the real gate?

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use audit::{Log, Options};
use gate::{Gate, Reply, Request};
use policy::{
    Assurance, Caller, Channel, ListEntry, Lists, Policy, Setup, Target, ToolShape, Vocabulary, emit_schema,
};
use serde_json::{Map, Value};
use tool::{Bound, Listing};

use crate::assert_valid;

/// Calls one tool through a gate whose policy permits everything and whose log is gone afterwards, and gives what a
/// caller would hear. A result is held against the tool's output schema.
///
/// What a policy refuses is tested through the binary; this is for what the tools of one server answer.
pub async fn call_through<B>(
    listings: Vec<Listing<B>>,
    backends: Arc<B>,
    tool: &str,
    arguments: Value,
) -> Reply {
    const SERVER: &str = "tested";
    let Value::Object(arguments) = arguments else { panic!("arguments are an object, got {arguments}") };
    let tools: Vec<Bound> = listings.into_iter().map(|it| it.bind(backends.clone())).collect();
    let policy = permissive(SERVER, &tools, &vocabulary(&tools, tool, &arguments));
    let output = tools.iter().find(|it| it.definition.name == tool).map(|it| it.definition.output.clone());
    let state = tempfile::tempdir().expect("a temporary folder can be made");
    let (log, _) = Log::open(state.path(), SERVER, Options::default()).expect("an empty folder takes a log");
    let tools = tools.into_iter().map(|it| (SERVER.to_owned(), it)).collect();
    let gate = Arc::new(Gate::new(tools, Arc::new(policy), log));
    let caller = Caller {
        agent: "testkit".to_owned(),
        on_behalf_of: None,
        teams: Vec::new(),
        assurance: Assurance::Declared,
    };
    let request = Request {
        caller,
        channel: Channel::Cli,
        client: None,
        tool: tool.to_owned(),
        arguments,
        cancelled: tokio_util::sync::CancellationToken::new(),
    };
    let reply = gate.call(request).await;
    gate.drain(Duration::from_secs(30)).await;
    if let Some(output) = output {
        let mut output = Map::clone(&output);
        if reply.refusal.is_none() {
            // Clients get an open schema, since refusals have to fit it too; an answer has no fact beyond it.
            output.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        assert_valid(tool, &output, &Value::Object(reply.shaped.structured.clone()));
    }
    reply
}

/// Names every tool, because a glob in a list covers reads only.
fn permissive(server: &str, tools: &[Bound], vocabulary: &Vocabulary) -> Policy {
    let shape = |tool: &Bound| ToolShape {
        name: tool.definition.name.to_owned(),
        server: server.to_owned(),
        effect: tool.definition.effect,
        input: Map::clone(&tool.definition.input),
    };
    let shapes: Vec<ToolShape> = tools.iter().map(shape).collect();
    let family = emit_schema(&shapes).expect("definitions have a policy schema");
    let allow = tools.iter().map(|it| ListEntry::new(it.definition.name)).collect();
    let lists = Lists { allow, ..Lists::default() };
    let zone = jiff::tz::TimeZone::UTC;
    let setup = Setup { family: &family, sources: &[], lists: &lists, vocabulary, zone };
    Policy::load(setup).unwrap_or_else(|it| panic!("a policy that permits everything loads: {it}"))
}

/// Words of what the call touches, as a configuration would bring them.
fn vocabulary(tools: &[Bound], tool: &str, arguments: &Map<String, Value>) -> Vocabulary {
    let tool = tools.iter().find(|it| it.definition.name == tool);
    let targets: Vec<Target> = tool
        .and_then(|it| it.parse(arguments.clone()).ok())
        .and_then(|it| it.targets().ok())
        .unwrap_or_default();
    let words =
        |word: fn(&Target) -> &String| -> BTreeSet<String> { targets.iter().map(word).cloned().collect() };
    Vocabulary {
        environments: words(|it| &it.environment),
        regions: words(|it| &it.region),
        teams: words(|it| &it.team),
        tiers: words(|it| &it.tier),
        connections: words(|it| &it.connection),
        ..Vocabulary::default()
    }
}
