//! `bailiwick config`: what may stand in bailiwick.toml.

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// What may stand in bailiwick.toml
#[derive(Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema, for editors: put `#:schema PATH` on the first line of bailiwick.toml
    Schema,
}

#[expect(clippy::print_stdout, reason = "the schema is what stdout is for")]
pub(crate) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    match config.command {
        ConfigCommand::Schema => println!("{}", serde_json::to_string_pretty(&config::json_schema())?),
    }
    Ok(ExitCode::SUCCESS)
}
