//! `bailiwick audit revoke`: how far is a stolen key still trusted?

use std::process::ExitCode;

use audit::{AuditError, Doubt, VerifyingKey};
use clap::Args;
use config::Config;

use super::{operator, usage, wait};
use crate::say;

#[derive(Args)]
pub(super) struct Revoke {
    /// Verifier key that was stolen; one that `audit rotate` has changed
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// First record that is not trusted, in every log of the key; where the logs were closed unless told
    #[arg(long, value_name = "N")]
    from_index: Option<u64>,
    /// The same in one log: <server>/<n>:<index>, e.g. code/0:17
    #[arg(long = "from", value_name = "RECORD")]
    from: Vec<String>,
    /// Why; it stands in the log for ever, so name nobody in it
    #[arg(long)]
    reason: String,
}

pub(super) fn run(config: &Config, it: &Revoke) -> anyhow::Result<ExitCode> {
    let key: VerifyingKey = match it.key.trim().parse() {
        Ok(key) => key,
        Err(error) => return Ok(usage(&format!("--key: {error}"))),
    };
    let mut from = Doubt { index: it.from_index, logs: Vec::new() };
    for record in &it.from {
        let named =
            record.split_once(':').and_then(|(log, index)| Some((log.to_owned(), index.parse().ok()?)));
        match named {
            Some(named) => from.logs.push(named),
            None => return Ok(usage("--from: expected <server>/<n>:<index>, e.g. code/0:17")),
        }
    }
    match wait(audit::revoke(&config.state, &key, &from, &it.reason, &operator(config)?))? {
        Ok(revocation) => {
            say::json(&revocation)?;
            say::note(
                "From now on `audit verify` calls altered what that key signed beyond, and exits with 1; `audit accept-loss` gives up a\n\
                 log that holds such records. Keep the receipt: it misses the revocation if somebody takes that away.",
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ (AuditError::NoRecord { .. } | AuditError::Malformed { .. })) => {
            Ok(usage(&error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
