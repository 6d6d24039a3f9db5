//! `bailiwick audit verify`: is the log whole?

use std::{path::Path, process::ExitCode};

use audit::VerifyingKey;
use clap::Args;

use super::usage;
use crate::say;

#[derive(Args)]
pub(super) struct Verify {
    /// Verifier key kept elsewhere; without one the key beside the log is used, and the report says so
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(state: &Path, verify: &Verify) -> anyhow::Result<ExitCode> {
    let keys = verify.keys.iter().map(|it| it.trim().parse()).collect::<Result<Vec<VerifyingKey>, _>>();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return Ok(usage(&format!("--key: {error}"))),
    };
    let report = audit::verify(state, &keys)?;
    match verify.json {
        true => say::json(&report)?,
        false => say::line(&say::clean(&report.to_string()))?,
    }
    Ok(ExitCode::from(report.exit_code()))
}
