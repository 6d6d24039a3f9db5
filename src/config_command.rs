//! `bailiwick config`: what may stand in bailiwick.toml.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::say;

/// What may stand in bailiwick.toml
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick config schema > bailiwick.schema.json\n\n\
                        Then, on the first line of bailiwick.toml: #:schema bailiwick.schema.json")]
pub(crate) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema, for editors: put `#:schema PATH` on the first line of bailiwick.toml
    Schema,
}

pub(crate) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    match config.command {
        ConfigCommand::Schema => say::json(&config::json_schema())?,
    }
    Ok(ExitCode::SUCCESS)
}
