//! `bailiwick demo`: what does it look like when an agent works an incident within its authority?
//!
//! A small production runs in this process; the servers run in processes of their own and are spoken to as any client
//! would. Every line that is printed comes from what a call answered, so a seed tells another story.

mod agent;
mod authority;
mod cause;
mod commits;
mod log;
mod moved;
mod serve;
mod stage;
mod table;
mod tell;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};
use sandbox::{Fault, Plan};

use crate::{USAGE, say};
use agent::Agent;
use stage::Stage;
use tell::{Style, Teller};

/// Watch an agent work an incident, within its authority, in a small production of its own
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick demo                       # about a minute to read\n  \
                        bailiwick demo --seed 11             # another fault, other services, other numbers\n  \
                        bailiwick demo --fault memory_leak   # this one; --list names them\n  \
                        bailiwick demo --json | jq .step     # one object a step\n  \
                        bailiwick demo --serve               # leave it up, for an agent of yours\n\n\
                        Exit codes: 0 as told, 1 something was not as told, 2 bad usage.")]
pub(crate) struct Demo {
    /// Chooses the fault, the services it hits and every number
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// What goes wrong, instead of what the seed chooses
    #[arg(long, value_name = "WORD")]
    fault: Option<String>,
    /// Name what can go wrong
    #[arg(long, conflicts_with_all = ["json", "serve"])]
    list: bool,
    /// One JSON object a step
    #[arg(long)]
    json: bool,
    /// Seconds to rest after each step; else 2 on a terminal and none elsewhere
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=30))]
    pace: Option<u64>,
    /// Leave the production up until ctrl-c, with configurations for Claude Code and Cursor
    #[arg(long, conflicts_with = "json")]
    serve: bool,
    /// Where to write them; else a new folder that goes with the production
    #[arg(long, value_name = "FOLDER", requires = "serve")]
    folder: Option<PathBuf>,
    /// For tests: break this, so that a step is seen to notice
    #[arg(long, value_enum, hide = true)]
    lie: Option<Lie>,
}

/// Something that is not as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lie {
    /// Nothing listens where the alerts should be.
    DeafAlerts,
    /// The rule that should forbid is not there.
    NoRule,
    /// The copy of the log stays as it is.
    UntouchedCopy,
}

/// Exit code where something was not as told.
const NOT_AS_TOLD: u8 = 1;

pub(crate) fn run(demo: &Demo) -> anyhow::Result<ExitCode> {
    if demo.list {
        for fault in Fault::ALL {
            say::line(&format!("{:<20}  {}", fault.word(), fault.seen()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let plan = match demo.fault.as_deref().map(str::parse).transpose() {
        Ok(None) => Plan::drawn(demo.seed),
        Ok(Some(fault)) => Plan::with(demo.seed, fault),
        Err(error) => {
            say::note(&format!("bailiwick: --fault: {error}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        match demo.serve {
            true => serve::until_interrupted(plan, demo.folder.as_deref()).await,
            false => rehearse(plan, demo.lie, demo.teller()).await,
        }
    });
    runtime.shutdown_background();
    if let Err(problem) = ended {
        say::note(&format!("bailiwick demo: not as told: {}", say::clean(&format!("{problem:#}"))));
        return Ok(ExitCode::from(NOT_AS_TOLD));
    }
    Ok(ExitCode::SUCCESS)
}

impl Demo {
    fn teller(&self) -> Teller {
        let terminal = io::stdout().is_terminal();
        let style = match (self.json, terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty()))
        {
            (true, _) => Style::Json,
            (false, true) => Style::Coloured,
            (false, false) => Style::Plain,
        };
        let usual = if terminal && !self.json { 2 } else { 0 };
        Teller::new(style, Duration::from_secs(self.pace.unwrap_or(usual)))
    }
}

/// The whole of it: the incident, then the record of it.
async fn rehearse(plan: Plan, lie: Option<Lie>, mut teller: Teller) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stage = Stage::set(folder.path(), plan, lie).await?;
    let mut agent = Agent::start(&stage, &mut teller).await?;
    let alerts = agent.what_fires().await?;
    let moved = agent.what_moved().await?;
    let suspect = agent.which_change(&moved).await?;
    agent.what_may_i_do().await?;
    agent.silence_for_now(&alerts).await?;
    agent.silence_till_tomorrow(&alerts).await?;
    let finding = agent.conclude(&moved, suspect).await?;
    agent.leave().await?;
    let key = log::verify(&stage, &mut teller).await?;
    log::alter_a_copy(&stage, &key, &mut teller).await?;
    stage.compare(&finding, &mut teller).await?;
    teller.close(plan).await
}
