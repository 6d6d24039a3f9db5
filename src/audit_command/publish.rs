//! `bailiwick audit publish`: what if a place could not be reached?

use std::process::ExitCode;

use config::Config;

use super::usage;
use crate::{open, say};

/// Exit 1 when a place still lacks something.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let targets = open::targets(config)?;
    if targets.is_empty() {
        return Ok(usage("[audit] names no place to publish to"));
    }
    let published = audit::publish(&config.state, &targets)?;
    say::json(&published)?;
    Ok(match published.iter().any(|it| it.problem.is_some()) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
