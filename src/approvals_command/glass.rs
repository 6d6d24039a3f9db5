//! `bailiwick break-glass`: approving alone for a while, where policy lets, and who looks at it afterwards.
//!
//! Only a token proves the person, so it is opened, closed and reviewed at a server. The store here can be looked at.

use std::{path::Path, process::ExitCode, sync::Arc};

use approval::ActionScope;
use clap::{Args, Subcommand};
use gate::Gate;
use serde_json::{Value, json};

use super::{at_server, print::print_glasses, remote::Server, with_gate};
use crate::{USAGE, say};

/// Approve alone for a while, where policy lets; another person reviews it afterwards
#[derive(Args)]
#[command(
    after_help = "Examples, each with a token that has the scope bailiwick:approve in BAILIWICK_TOKEN:\n  \
                        bailiwick break-glass open --for 30m --team checkout --reason 'INC-7: nobody else is awake' --server https://bailiwick.example.com\n  \
                        bailiwick approvals approve apr-k3v9m2q7x4c8r5tz --break-glass --server https://bailiwick.example.com\n  \
                        bailiwick break-glass list --server https://bailiwick.example.com\n  \
                        bailiwick break-glass close bg-k3v9m2q7x4c8r5tz --server https://bailiwick.example.com\n  \
                        bailiwick break-glass review bg-k3v9m2q7x4c8r5tz --comment 'looked at each' --server https://bailiwick.example.com   # as another person\n\n\
                        A policy says who may: permit (…, action == Action::\"break_glass\", …). Without one nobody may. While it holds, whoever\n\
                        opened it may approve alone what is in its scope, also what they asked for themselves. Everything else stays: what\n\
                        policy denies, orders to stop, the check at execution, the log. Whoever has one unreviewed for too long opens no other.\n\n\
                        Exit codes: 0 done, 2 bad usage, 3 refused, 5 not recorded or server unusable."
)]
pub(crate) struct BreakGlass {
    /// At this server, as whoever the token in BAILIWICK_TOKEN names, e.g. https://bailiwick.example.com
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    #[command(subcommand)]
    command: GlassCommand,
}

#[derive(Subcommand)]
enum GlassCommand {
    /// Break it: everybody who is told hears of it
    Open(Open),
    /// Print those that hold or wait for a review, with what was approved by them
    List {
        /// Reviewed ones too
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End one before its time, whoever opened it; what was approved by it and not carried out is void
    Close {
        /// E.g. bg-k3v9m2q7x4c8r5tz
        break_glass: String,
        /// Why, for the record
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Say that you looked at what was done by one that has ended: another person than whoever opened it
    Review {
        /// E.g. bg-k3v9m2q7x4c8r5tz
        break_glass: String,
        /// What you found, for the record
        #[arg(long)]
        comment: String,
    },
}

#[derive(Args)]
struct Open {
    /// Why, for everybody who hears of it
    #[arg(long)]
    reason: String,
    /// For how long, e.g. 30m: at most `[approvals] break_glass_max`
    #[arg(long = "for", value_name = "LENGTH")]
    longest: String,
    /// Only this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only what this agent asks for
    #[arg(long)]
    agent: Option<String>,
    /// Only this environment; what is mapped to none is outside
    #[arg(long)]
    environment: Option<String>,
    /// Only this team's; what is mapped to none is outside
    #[arg(long)]
    team: Option<String>,
    /// Only this connection
    #[arg(long)]
    connection: Option<String>,
}

pub(crate) fn run(arguments: &BreakGlass, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(server) = &arguments.server {
        return at_server(server, config, async |server| decide_at(server, &arguments.command).await);
    }
    let GlassCommand::List { all, json } = arguments.command else {
        say::note(
            "bailiwick: only with --server URL, as whoever the token in BAILIWICK_TOKEN names: here nothing proves a person",
        );
        return Ok(ExitCode::from(USAGE));
    };
    with_gate(config, async move |gate: Arc<Gate>, _| print_glasses(&gate.glasses(all).await?, json))
}

async fn decide_at(server: &Server, command: &GlassCommand) -> anyhow::Result<ExitCode> {
    let said = match command {
        GlassCommand::List { all, json } => {
            let path = if *all { "/break-glass?all=true" } else { "/break-glass" };
            return Ok(match server.get(path).await? {
                Ok(said) => print_glasses(said["break_glass"].as_array().map_or(&[], Vec::as_slice), *json)?,
                Err(code) => code,
            });
        }
        GlassCommand::Open(it) => server.post(&["break-glass"], it.body()).await?,
        GlassCommand::Close { break_glass, comment } => {
            server.post(&["break-glass", break_glass, "close"], json!({ "comment": comment })).await?
        }
        GlassCommand::Review { break_glass, comment } => {
            server.post(&["break-glass", break_glass, "review"], json!({ "comment": comment })).await?
        }
    };
    let said = match said {
        Ok(said) => said,
        Err(code) => return Ok(code),
    };
    let text = |it: &str| say::clean(said[it].as_str().unwrap_or_default());
    match command {
        GlassCommand::Open(_) => {
            say::line(&text("break_glass"))?;
            say::note(&format!("holds until {}; everybody who is told has heard of it", text("until")));
            say::note("approve by it: bailiwick approvals approve apr-… --break-glass --server URL");
            say::note(&format!("another person reviews it by {}", text("review_by")));
        }
        GlassCommand::Close { .. } => {
            let voided = said["voided"].as_array().map_or(0, Vec::len);
            say::note(&format!(
                "closed: {}; {voided} approved and not carried out are void",
                text("break_glass")
            ));
        }
        GlassCommand::Review { .. } => say::note(&format!("reviewed: {}", text("break_glass"))),
        GlassCommand::List { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

impl Open {
    fn body(&self) -> Value {
        let Open { reason, longest, tool, agent, environment, team, connection } = self;
        let [tool, agent, environment, team, connection] =
            [tool, agent, environment, team, connection].map(Clone::clone);
        let scope = ActionScope { tool, agent, environment, team, connection };
        json!({ "reason": reason, "for": longest, "scope": scope })
    }
}
