//! `bailiwick audit prove`: what convinces somebody who has nothing but a key?

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use config::Config;

use super::{usage, verify};
use crate::say;

#[derive(Args)]
pub(super) struct Prove {
    /// <server>/<n>:<index>, e.g. code/0:17; without an index the last record
    record: String,
    /// A checkpoint kept elsewhere: the proof then also shows that the log only grew since
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Verifier key kept elsewhere, to check the log with before it is proven
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
}

pub(super) fn run(config: &Config, prove: &Prove) -> anyhow::Result<ExitCode> {
    let from = prove.from.as_deref().map(verify::anchor).transpose()?.transpose();
    let (from, keys) = match (from, verify::keys(config, &prove.keys)) {
        (Ok(from), Ok(keys)) => (from, keys),
        (Err(problem), _) => return Ok(usage(&format!("--from {problem}"))),
        (_, Err(problem)) => return Ok(usage(&problem)),
    };
    told(&config.state, &prove.record, audit::prove(&config.state, &prove.record, from.as_ref(), &keys))
}

fn told(
    state: &Path,
    record: &str,
    proof: Result<audit::Proof, audit::AuditError>,
) -> anyhow::Result<ExitCode> {
    match proof {
        // Byte for byte: whoever checks it hashes what stands in it.
        Ok(proof) => say::line(proof.to_string().trim_end_matches('\n')).map(|()| ExitCode::SUCCESS),
        Err(error @ audit::AuditError::NoRecord { .. }) => Ok(usage(&error.to_string())),
        Err(error) => Err(anyhow::Error::from(error).context(format!("{record} in {}", state.display()))),
    }
}
