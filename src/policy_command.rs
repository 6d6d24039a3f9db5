//! `bailiwick policy`: check it, test it, ask it why, see what it may speak of.

mod cases;
mod suggest;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use config::Config;
use policy::{Channel, Circumstances, Policy as Rules, Question, Scope, Setup, Source, Usage, Verdict};
use serde_json::json;

use crate::{
    USAGE,
    call::{self, Call},
    family, login, open, say,
};

/// Check the policy, test it, ask it why, see what it may speak of
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick policy check\n  \
                        bailiwick policy check policies/on-call.cedar --config examples/bailiwick.toml\n  \
                        bailiwick policy test team.cases.toml\n  \
                        bailiwick policy suggest --since 7d\n  \
                        bailiwick policy explain observability silence_alert --json '{…}'\n  \
                        bailiwick policy schema > family.cedarschema")]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Load the policy with every check and list its rules; exit 5 says what is wrong and where
    Check {
        /// Cedar files to check instead of the configured ones
        files: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what the policy answers to a call, and by which rules; nothing runs, no backend is asked
    Explain(Call),
    /// Put cases to the policy: exit 0 all as expected, 1 some are not; and name the rules that no case exercises
    Test(cases::Test),
    /// Say which rules would have allowed what was denied, as a diff for a person; nothing is written
    Suggest(suggest::Suggest),
    /// Print the Cedar schema that rules are checked against, with the words of this configuration
    Schema,
}

pub(crate) fn run(policy: Policy, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    match policy.command {
        PolicyCommand::Check { files, json } => check(&files, json, config),
        PolicyCommand::Explain(call) => explain(&call, config),
        PolicyCommand::Test(test) => cases::run(&test, config),
        PolicyCommand::Suggest(arguments) => suggest::run(&arguments, config),
        PolicyCommand::Schema => schema(config),
    }
}

fn check(files: &[PathBuf], as_json: bool, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let rules = load(files, &config)?;
    let lines = rules.rules();
    let digest = hex(&rules.digest());
    if as_json {
        say::json(&json!({ "digest": digest, "rules": lines }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in &lines {
        let effect = match line.effect {
            policy::RuleEffect::Permit => "permit",
            policy::RuleEffect::Forbid => "forbid",
        };
        let reason = config::clean(line.reason.as_deref().unwrap_or_default());
        say::line(&format!("{effect}  {:<32} {:<32} {reason}", config::clean(&line.id), line.place))?;
    }
    say::line(&format!("{} rules hold; policy sha256 {digest}", lines.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// The configured policy, or that of some Cedar files under the words of the configuration.
fn load(files: &[PathBuf], config: &Config) -> anyhow::Result<Rules> {
    if files.is_empty() {
        return open::policy(config);
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        anyhow::Ok(Source { name: path.display().to_string(), text, scope: Scope::Full })
    };
    let sources = files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let setup = Setup {
        family: policy::FAMILY_SCHEMA,
        sources: &sources,
        lists: &policy::Lists::default(),
        vocabulary: &config.vocabulary,
        zone: config.policy.zone.clone(),
    };
    Rules::load(setup).map_err(|errors| anyhow::anyhow!("the policy does not load:\n{errors}"))
}

fn explain(call: &Call, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let rules = Arc::new(open::policy(&config)?);
    let approvals = Arc::new(open::approvals(&config)?);
    let tools = family::bind(&[call.server], &config, rules.clone(), Channel::Cli, &approvals)?;
    let parsed = call::arguments(call).and_then(|arguments| {
        let found = tools.iter().find(|(_, it)| it.definition.name == call.tool);
        let (_, tool) = found.with_context(|| format!("unknown tool `{}`", call.tool))?;
        let parsed = tool.parse(arguments)?;
        let targets = parsed.targets()?;
        anyhow::Ok((parsed.input(), targets))
    });
    let (input, targets) = match parsed {
        Ok(parsed) => parsed,
        Err(problem) => {
            say::note(&format!("bailiwick: {problem:#}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let caller = runtime.block_on(login::starter(&config))?.caller;
    // As if it were the first call of the day.
    let usage = Some(Usage::FIRST);
    let circumstances = Circumstances { usage, ..Circumstances::of(Channel::Cli, jiff::Timestamp::now()) };
    let question = Question {
        caller: &caller,
        tool: &call.tool,
        input: &input,
        targets: &targets,
        digest: [0; 32],
        circumstances,
    };
    let explanation = rules.explain(&question);
    say::json(&json!({
        "caller": caller, "tool": call.tool, "input": input, "targets": targets, "explanation": explanation,
    }))?;
    Ok(ExitCode::from(match explanation.answer {
        Verdict::Permitted => 0,
        Verdict::Denied(_) => 3,
        Verdict::NeedsApproval(_) => 4,
    }))
}

fn schema(config: Option<&Path>) -> anyhow::Result<ExitCode> {
    say::line(open::policy(&open::configuration(config)?)?.schema_text().trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
