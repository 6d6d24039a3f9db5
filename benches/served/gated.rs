//! The same tool behind the whole gate: policy of 200 rules, record, shaping.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;
use audit::Log;
use gate::Gate;
use mcp::{Opened, Opening, Starter};
use policy::{Assurance, Caller, Effect, Lists, Policy, Scope, Setup, Source, ToolShape, Vocabulary};
use tokio_util::sync::CancellationToken;
use tool::{Tool, define};

use crate::{echo::EchoText, rules};

/// Serves until the client leaves, with its log in a folder.
pub(crate) fn serve(state: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let definition = define::<EchoText>().definition;
    let policy = Arc::new(policy(&definition)?);
    let tools = vec![("echo".to_owned(), define::<EchoText>().bind(Arc::new(())))];
    let (log, _) = Log::open(state, "echo", audit::Options::default())?;
    let gate = Arc::new(Gate::new(tools, policy, log));
    let opening = Opening::default();
    // Nobody else has it yet, so it is not set.
    let caller = Starter::unproven(caller()).fixed();
    let _ = opening.set(Ok(Opened { gate, caller, telemetry: Default::default() }));
    let described = vec![mcp::describe(&definition)];
    let server = mcp::Server::new("echo".to_owned(), String::new(), || described, opening);
    let served = runtime.block_on(mcp::serve_stdio(server, CancellationToken::new()));
    runtime.shutdown_background();
    Ok(served?)
}

pub(crate) fn caller() -> Caller {
    Caller {
        agent: "claude-code".to_owned(),
        on_behalf_of: Some("alice".to_owned()),
        teams: vec!["team-7".to_owned()],
        assurance: Assurance::OsUser,
    }
}

/// Rules over a family of which this process serves one tool, as real ones do.
pub(crate) fn policy(definition: &tool::Definition) -> anyhow::Result<Policy> {
    let others = ["query_metrics", "list_alerts", "list_commits", "read_file", "silence_alert"];
    let names: Vec<&str> = others.into_iter().chain([EchoText::NAME]).collect();
    let shape = |name: &&str| ToolShape {
        name: (*name).to_owned(),
        server: "echo".to_owned(),
        effect: if *name == "silence_alert" { Effect::Mitigate } else { Effect::Read },
        input: serde_json::Map::clone(&definition.input),
    };
    let family = policy::emit_schema(&names.iter().map(shape).collect::<Vec<_>>())?;
    let vocabulary = Vocabulary {
        teams: rules::teams(),
        environments: ["production".to_owned()].into(),
        ..Vocabulary::default()
    };
    let sources = [Source { name: "rules.cedar".to_owned(), text: rules::text(&names), scope: Scope::Full }];
    let setup = Setup {
        family: &family,
        sources: &sources,
        lists: &Lists::default(),
        vocabulary: &vocabulary,
        zone: jiff::tz::TimeZone::UTC,
    };
    Policy::load(setup).map_err(|errors| anyhow!("{errors}"))
}
