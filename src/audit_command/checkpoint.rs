//! `bailiwick audit checkpoint`: what should be kept elsewhere?

use std::{path::Path, process::ExitCode};

use super::usage;
use crate::say;

pub(super) fn run(state: &Path) -> anyhow::Result<ExitCode> {
    let heads = audit::heads(state)?;
    if heads.is_empty() {
        return Ok(usage(&format!("no log under {} holds a record yet", state.display())));
    }
    say::line(heads.to_string().trim_end_matches('\n'))?;
    Ok(ExitCode::SUCCESS)
}
