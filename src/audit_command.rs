//! `bailiwick audit`: what was done, and whether the log of it is whole.

mod records;
mod verify;

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{USAGE, open};

/// What was done, by whom, allowed by which rule; and whether the log of it is whole
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick audit tail --follow\n  \
                        bailiwick audit tail --verdict denied --since 7d\n  \
                        bailiwick audit show observability/0:17\n  \
                        bailiwick audit verify --key \"$(cat kept-elsewhere.vkey)\"")]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute every log: exit 0 intact, 1 altered (and where), 3 intact with findings
    Verify(verify::Verify),
    /// Print one record whole, its payload opened
    Show {
        /// <server>/<n>:<index>, e.g. code/0:17
        record: String,
    },
    /// Print the latest records, a line each
    Tail(records::Tail),
}

pub(crate) fn run(audit: Audit, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let state = open::configuration(config)?.state;
    match audit.command {
        AuditCommand::Verify(it) => verify::run(&state, &it),
        AuditCommand::Show { record } => records::show(&state, &record),
        AuditCommand::Tail(it) => records::follow(&state, &it),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("bailiwick: {problem}");
    ExitCode::from(USAGE)
}
