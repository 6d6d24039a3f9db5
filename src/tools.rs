//! `bailiwick tools`: what the family offers, and what it costs.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use tool::{Definition, Profile};

use crate::{family, say};

/// List every tool, with its effect, whether the default profile has it, and what its definition costs in tokens
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bailiwick tools\n  bailiwick tools --tokens\n  bailiwick tools --json | jq '.[].name'"
)]
pub(crate) struct Tools {
    /// Definitions as clients get them
    #[arg(long)]
    json: bool,
    /// An upper bound of the tokens that each definition costs
    #[arg(long)]
    tokens: bool,
}

pub(crate) fn run(arguments: &Tools) -> anyhow::Result<ExitCode> {
    let tools = family::all();
    let wire = |tool: &Definition| serde_json::to_value(mcp::describe(tool));
    if arguments.json {
        let listed = tools.iter().map(|(server, tool)| {
            let mut value = wire(tool)?;
            value["server"] = json!(server);
            value["effect"] = json!(tool.effect);
            value["profile"] = json!(tool.profile.word());
            value["examples"] = json!(tool.examples);
            anyhow::Ok(value)
        });
        say::json(&listed.collect::<anyhow::Result<Vec<Value>>>()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut costs = Vec::new();
    for (server, tool) in &tools {
        let first = first_sentence(&tool.description);
        let cost = gate::upper_bound(&paid(wire(tool)?).to_string());
        costs.push((tool.profile, cost));
        let tokens = if arguments.tokens { format!("{cost:>5}  ") } else { String::new() };
        let outside = if tool.profile == Profile::Default { "" } else { "(only with --profile all) " };
        say::line(&format!(
            "{tokens}{server:<14} {:<17} {:<9} {outside}{first}",
            tool.name,
            tool.effect.word()
        ))?;
    }
    if arguments.tokens {
        for profile in [Profile::Default, Profile::All] {
            let offered: Vec<u64> = costs.iter().filter(|it| profile.offers(it.0)).map(|it| it.1).collect();
            let (total, count) = (offered.iter().sum::<u64>(), offered.len());
            say::line(&format!(
                "{total:>5}  at most, for the {count} definitions of profile {}",
                profile.word()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a model is shown of a definition. `_meta` is for the client: words to search by are looked through there.
pub(crate) fn paid(mut definition: Value) -> Value {
    if let Some(fields) = definition.as_object_mut() {
        fields.remove("_meta");
    }
    definition
}

/// A description's first sentence, whatever its lines.
fn first_sentence(description: &str) -> String {
    let whole = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = [". ", "? "].iter().filter_map(|it| whole.find(it)).min();
    end.map_or(whole.clone(), |it| whole[..=it].to_owned())
}
