//! `bailiwick audit checkpoint`: what should be kept elsewhere?

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::usage;
use crate::say;

#[derive(Args)]
pub(super) struct Checkpoint {
    /// Of the logs that `bailiwick serve audit` holds: its folder
    #[arg(long, value_name = "FOLDER")]
    collected: Option<PathBuf>,
}

pub(super) fn run(state: &Path, checkpoint: &Checkpoint) -> anyhow::Result<ExitCode> {
    let (folder, heads) = match &checkpoint.collected {
        Some(folder) => (folder.as_path(), audit::collected_heads(folder)?),
        None => (state, audit::heads(state)?),
    };
    if heads.is_empty() {
        return Ok(usage(&format!("no log under {} holds a record yet", folder.display())));
    }
    say::line(heads.to_string().trim_end_matches('\n'))?;
    Ok(ExitCode::SUCCESS)
}
