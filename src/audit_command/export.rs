//! `bailiwick audit export`: what do other systems read of it?

use std::{
    io::{self, BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use audit::{AuditError, Filter, Format};
use clap::Args;

use super::{records, usage};
use crate::say;

#[derive(Args)]
pub(super) struct Export {
    /// ocsf (API Activity of OCSF 1.6.0), cloudevents (1.0, structured JSON) or jsonl (receipt, leaf and payload)
    #[arg(long)]
    format: Format,
    /// Only this log's: <server>/<n>, e.g. code/0
    #[arg(long)]
    log: Option<String>,
    /// Only this server's
    #[arg(long)]
    server: Option<String>,
    /// Only what happened to this approval, by its id
    #[arg(long, value_name = "ID")]
    reference: Option<String>,
    /// Only since then: 1h, 7d, now-3h/now
    #[arg(long, value_name = "WINDOW")]
    since: Option<String>,
}

/// Exit 1 when a log could not be read to its end: what could be was written then.
pub(super) fn run(state: &Path, export: &Export) -> anyhow::Result<ExitCode> {
    let since = match export.since.as_deref().map(records::since).transpose() {
        Ok(since) => since,
        Err(problem) => return Ok(usage(&format!("--since: {problem}"))),
    };
    let filter = Filter {
        log: export.log.clone(),
        server: export.server.clone(),
        reference: export.reference.clone(),
        since,
        ..Filter::default()
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let ended = audit::export(state, &filter, export.format, |line| writeln!(out, "{}", say::escaped(line)));
    let ended = match (ended, out.flush()) {
        (Ok(_), Err(error)) => Err(AuditError::Io { doing: "write", path: "the export".into(), error }),
        (ended, _) => ended,
    };
    match ended {
        Ok(_) => Ok(ExitCode::SUCCESS),
        // A reader that has left has what it wanted.
        Err(AuditError::Io { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ AuditError::NoRecord { .. }) => Ok(usage(&error.to_string())),
        Err(error @ AuditError::Damaged { .. }) => {
            say::note(&format!("bailiwick: the export is not whole: {}", say::clean(&error.to_string())));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}
