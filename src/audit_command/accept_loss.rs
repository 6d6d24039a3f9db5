//! `bailiwick audit accept-loss`: how does work go on where a log is damaged for good?

use std::{path::PathBuf, process::ExitCode};

use audit::AuditError;
use clap::Args;
use config::Config;

use super::{operator, usage, verify, wait};
use crate::say;

#[derive(Args)]
pub(super) struct AcceptLoss {
    /// The damaged or vanished log: <server>/<n>, e.g. code/0
    #[arg(long)]
    log: String,
    /// Why; it stands in the log for ever, so name nobody in it
    #[arg(long)]
    reason: String,
    /// Checkpoints kept elsewhere that show more of the log: what they show is given up as well
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
}

pub(super) fn run(config: &Config, it: &AcceptLoss) -> anyhow::Result<ExitCode> {
    let mut anchors = Vec::new();
    for path in &it.anchors {
        match verify::anchor(path)? {
            Ok(anchor) => anchors.push(anchor),
            Err(problem) => return Ok(usage(&format!("--anchor {problem}"))),
        }
    }
    let operator = operator(config)?;
    match wait(audit::accept_loss(&config.state, &it.log, &it.reason, &anchors, &operator))? {
        Ok(accepted) => {
            say::json(&accepted)?;
            say::note("From now on `audit verify` reports this loss and its reason, and exits with 3.");
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ (AuditError::NoRecord { .. } | AuditError::Malformed { .. })) => {
            Ok(usage(&error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
