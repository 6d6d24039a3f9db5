//! `bailiwick audit reconcile`: did everything go through the gate?

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use audit::{Scope, System};
use clap::Args;
use config::Config;
use jiff::{SignedDuration, Timestamp};
use tool::Window;

use super::usage;
use crate::say;

/// Largest trail that is read at once.
const TRAIL_BYTES_MAX: u64 = 512 << 20;

#[derive(Args)]
pub(super) struct Reconcile {
    /// Whose audit trail it is: kubernetes, cloudtrail or github
    #[arg(long)]
    system: System,
    /// The trail: JSON lines, a JSON array, or an object with `Records`; at most 512 MiB, split longer ones
    #[arg(long)]
    file: PathBuf,
    /// Who we are in that system; `*` at the end for every name that begins so. Without one every event counts as ours
    #[arg(long = "identity", value_name = "NAME")]
    identities: Vec<String>,
    /// Connection whose effects must stand in the trail; without one every effect must
    #[arg(long = "connection", value_name = "NAME")]
    connections: Vec<String>,
    /// What to compare: 7d, now-3h/now, RFC 3339 pairs; what the trail spans unless told
    #[arg(long)]
    window: Option<String>,
    /// How many seconds the clocks may differ
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=600))]
    skew: u16,
    /// Compare reads too
    #[arg(long)]
    reads: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Exit 0 when both say the same, 3 when they do not.
pub(super) fn run(config: &Config, it: &Reconcile) -> anyhow::Result<ExitCode> {
    let span = |text: &String| Window::parse(text)?.at(Timestamp::now()).map(|it| (it.from, it.to));
    let span = match it.window.as_ref().map(span).transpose() {
        Ok(span) => span,
        Err(problem) => return Ok(usage(&format!("--window: {problem}"))),
    };
    for name in &it.connections {
        if config.connection(name).is_none() {
            return Ok(usage(&format!("--connection: `{name}` is not configured")));
        }
    }
    let path = it.file.display();
    let size = fs::metadata(&it.file).with_context(|| format!("cannot read {path}"))?.len();
    if size > TRAIL_BYTES_MAX {
        return Ok(usage(&format!(
            "--file: {path} is longer than 512 MiB; split it by time and give --window"
        )));
    }
    let trail = fs::read_to_string(&it.file).with_context(|| format!("cannot read {path}"))?;
    let scope = Scope {
        system: it.system,
        identities: it.identities.clone(),
        connections: it.connections.clone(),
        span,
        skew: SignedDuration::from_secs(it.skew.into()),
        reads: it.reads,
    };
    let report = audit::reconcile(&config.state, &trail, &scope)?;
    match it.json {
        true => say::json(&report)?,
        false => say::line(&say::clean(&report.to_string()))?,
    }
    Ok(ExitCode::from(report.exit_code()))
}
