//! The command line: one binary, so one install.

mod approvals_command;
mod aside;
mod audit_command;
#[cfg(feature = "s3")]
mod bucket;
mod call;
mod change;
mod collector;
mod config_command;
mod connect;
mod crash;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod family;
mod history;
mod init;
mod login;
mod notify;
mod open;
mod policy_command;
mod say;
mod serve;
mod telemetry;
mod tools;
mod trust;
mod witness;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::aside::aside;

/// A call makes hundreds of small allocations, and frees them on another thread than the one that made them: the
/// system's allocator takes a quarter of its processor time for that. Version 3, since version 2 keeps twice the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Systems of record for agents, behind one gate: policy, approvals, and a log that proves what happened.
#[derive(Parser)]
#[command(
    name = "bailiwick",
    version,
    after_help = "Try, inside a git repository:\n  \
                  bailiwick call code list_commits window=30d\n  \
                  bailiwick call code show_authority\n  \
                  bailiwick audit tail\n  \
                  bailiwick init            # set up Claude Code or Cursor\n\n\
                  Exit codes: 0 done, 1 tool failed, 2 bad usage or arguments, 3 denied, 4 approval required,\n\
                  5 not recorded or server unusable."
)]
struct Arguments {
    /// Configuration to use instead of the user's or the system's bailiwick.toml.
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Connect(connect::Connect),
    Call(call::Call),
    Tools(tools::Tools),
    Policy(policy_command::Policy),
    Approvals(approvals_command::Approvals),
    Stop(approvals_command::Stop),
    Resume(approvals_command::Resume),
    BreakGlass(approvals_command::BreakGlass),
    Audit(audit_command::Audit),
    Config(config_command::Config),
    Trust(trust::Trust),
    Init(init::Init),
    Login(login::Login),
    Logout(login::Logout),
    Doctor(doctor::Doctor),
    Witness(witness::Witness),
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
}

/// Exit code for bad usage or arguments; clap uses it too.
const USAGE: u8 = 2;
/// Exit code for a server that cannot be used: configuration, policy or log.
const UNUSABLE: u8 = 5;

/// Crates that mask what they tell.
const OURS: [&str; 13] = [
    "approval",
    "audit",
    "bailiwick",
    "code",
    "config",
    "gate",
    "identity",
    "mcp",
    "observability",
    "outbound",
    "policy",
    "telemetry",
    "tool",
];

fn main() -> ExitCode {
    crash::listen();
    let arguments = aside(Arguments::parse);
    listen();
    let config = arguments.config.as_deref();
    let ended = match arguments.command {
        Command::Serve(it) => serve::run(&it, config),
        Command::Connect(it) => connect::run(&it),
        Command::Call(it) => call::run(it, config),
        Command::Tools(it) => tools::run(&it),
        Command::Policy(it) => policy_command::run(it, config),
        Command::Approvals(it) => approvals_command::run(it, config),
        Command::Stop(it) => approvals_command::stop(it, config),
        Command::Resume(it) => approvals_command::resume(it, config),
        Command::BreakGlass(it) => approvals_command::break_glass(&it, config),
        Command::Audit(it) => audit_command::run(it, config),
        Command::Config(it) => config_command::run(&it),
        Command::Trust(it) => trust::run(&it, config),
        Command::Init(it) => init::run(&it, config),
        Command::Login(it) => login::run(&it, config),
        Command::Logout(login::Logout {}) => login::run_out(config),
        Command::Doctor(it) => doctor::run(&it, config),
        Command::Witness(it) => witness::run(it),
        #[cfg(feature = "demo")]
        Command::Demo(it) => demo::run(&it),
    };
    ended.unwrap_or_else(|error| {
        say::note(&format!("bailiwick: {}", say::clean(&format!("{error:#}"))));
        ExitCode::from(UNUSABLE)
    })
}

/// Writes to stderr what `BAILIWICK_LOG` asks for. Of other people's crates only warnings, whatever it asks for: in detail
/// they tell messages whole, and a caller may have put a secret into one.
fn listen() {
    let filter = EnvFilter::try_from_env("BAILIWICK_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let is_ours = |it: &str| OURS.contains(&it.split("::").next().unwrap_or_default());
    let told = filter_fn(move |it| *it.level() <= Level::WARN || is_ours(it.target()));
    let lines = fmt::layer().with_writer(std::io::stderr).with_filter(told);
    tracing_subscriber::registry().with(filter).with(lines).init();
}
