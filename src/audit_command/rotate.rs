//! `bailiwick audit rotate`: how is the signing key changed?

use std::process::ExitCode;

use config::Config;

use super::operator;
use crate::say;

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let rotated = audit::rotate(&config.state, &operator(config)?)?;
    say::json(&rotated)?;
    if !rotated.behind.is_empty() {
        say::note(
            "A place lacks the end of closed logs: run `bailiwick audit publish` once it can be reached.",
        );
    }
    say::note(
        "Keep the new verifier key where the old one is kept, and keep that too: proofs, anchors and published folders of\n\
         before are checked with it. Whoever has either key can verify all logs here.",
    );
    Ok(ExitCode::SUCCESS)
}
