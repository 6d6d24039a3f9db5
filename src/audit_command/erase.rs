//! `bailiwick audit erase`: how is what was recorded about somebody made unreadable?

use std::process::ExitCode;

use audit::AuditError;
use clap::Args;
use config::Config;

use super::{operator, usage, wait};
use crate::say;

#[derive(Args)]
pub(super) struct Erase {
    /// Whose payloads: 'agent:NAME person:NAME', or 'agent:NAME' where it acted for nobody; as records were made for it
    #[arg(long)]
    subject: String,
}

/// Exit 3 when the subject is held.
pub(super) fn run(config: &Config, erase: &Erase) -> anyhow::Result<ExitCode> {
    let operator = operator(config)?;
    let erased = wait(audit::erase(&config.state, &erase.subject, &config.recording.hold, &operator))?;
    match erased {
        Ok(receipt) => {
            say::json(&serde_json::json!({ "erased": erase.subject, "receipt": receipt }))?;
            say::note(&format!(
                "What was recorded for it here can be read no more, and `audit verify` says that it was erased.\n\
                 Not erased: copies and backups of {}, exports made before, and what other systems recorded.\n\
                 What is published never held it: pseudonyms and commitments only.",
                config.state.join("keys").display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ AuditError::Held { .. }) => {
            say::note(&format!("bailiwick: {}", say::clean(&error.to_string())));
            Ok(ExitCode::from(3))
        }
        Err(error @ (AuditError::NoRecord { .. } | AuditError::Malformed { .. })) => {
            Ok(usage(&error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
