//! `bailiwick audit`: what was done, and whether the log of it is whole.

mod accept_loss;
mod checkpoint;
mod erase;
mod export;
mod prove;
mod publish;
mod reconcile;
mod records;
mod revoke;
mod rotate;
mod verify;

use std::{future::Future, path::Path, process::ExitCode};

use audit::Operator;
use clap::{Args, Subcommand};
use config::Config;

use crate::{USAGE, open};

/// What was done, by whom, allowed by which rule; and whether the log of it is whole
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick audit tail --follow\n  \
                        bailiwick audit tail --verdict denied --since 7d\n  \
                        bailiwick audit show observability/0:17\n  \
                        bailiwick audit publish   # what a place out of reach still lacks\n  \
                        bailiwick audit checkpoint > kept-elsewhere.checkpoint\n  \
                        bailiwick audit verify --key \"$(cat kept-elsewhere.vkey)\" --anchor kept-elsewhere.checkpoint\n  \
                        bailiwick audit prove observability/0:17 > 17.tlog-proof\n  \
                        bailiwick audit verify --proof 17.tlog-proof --key \"$(cat kept-elsewhere.vkey)\"\n  \
                        bailiwick audit export --format ocsf --since 1d\n  \
                        bailiwick audit reconcile --system kubernetes --file audit.jsonl --identity bailiwick\n  \
                        bailiwick audit erase --subject 'agent:claude-code person:alice'\n  \
                        bailiwick audit rotate\n  \
                        bailiwick audit revoke --key \"$(cat stolen.vkey)\" --from code/0:17 --reason 'the laptop was stolen'\n  \
                        bailiwick audit accept-loss --log code/0 --reason 'the disk broke'")]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Recompute every log: exit 0 intact, 1 altered (and where), 3 intact with findings
    Verify(verify::Verify),
    /// Print a proof (C2SP tlog-proof) that a record stands in its log: checked with a key and nothing else
    Prove(prove::Prove),
    /// Print the signed heads of all logs, to keep elsewhere: in a commit, as an artifact of CI, on paper
    Checkpoint(checkpoint::Checkpoint),
    /// Print one record whole, its payload opened
    Show {
        /// <server>/<n>:<index>, e.g. code/0:17
        record: String,
    },
    /// Print the latest records, a line each
    Tail(records::Tail),
    /// Print records for other systems, a line each: OCSF, CloudEvents or JSON
    Export(export::Export),
    /// Destroy the key that somebody's payloads are sealed with; on record, and not if [audit] hold forbids it
    Erase(erase::Erase),
    /// Compare effects with a system's own audit trail, both ways: exit 0 they agree, 3 they do not
    Reconcile(reconcile::Reconcile),
    /// Bring elsewhere what was published of logs that no process writes: after `rotate`, or when a place was out of reach
    Publish,
    /// Change the signing key: close every log under the old one, and begin anew under the next
    Rotate,
    /// Say from where on a key is not trusted that was changed because somebody else has it
    Revoke(revoke::Revoke),
    /// Give up a damaged log: put it aside whole and record what is lost, so that a new one can begin
    AcceptLoss(accept_loss::AcceptLoss),
}

pub(crate) fn run(audit: Audit, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let state = &config.state;
    match audit.command {
        AuditCommand::Verify(it) => verify::run(&config, &it),
        AuditCommand::Prove(it) => prove::run(&config, &it),
        AuditCommand::Checkpoint(it) => checkpoint::run(state, &it),
        AuditCommand::Show { record } => records::show(state, &record),
        AuditCommand::Tail(it) => records::follow(state, &it),
        AuditCommand::Export(it) => export::run(state, &it),
        AuditCommand::Erase(it) => erase::run(&config, &it),
        AuditCommand::Reconcile(it) => reconcile::run(&config, &it),
        AuditCommand::Publish => publish::run(&config),
        AuditCommand::Rotate => rotate::run(&config),
        AuditCommand::Revoke(it) => revoke::run(&config, &it),
        AuditCommand::AcceptLoss(it) => accept_loss::run(&config, &it),
    }
}

/// Whoever sits here, as far as that is known.
fn operator(config: &Config) -> anyhow::Result<Operator> {
    let caller = open::caller(config);
    let person = caller.on_behalf_of.as_deref().map(|it| format!(" person:{it}")).unwrap_or_default();
    Ok(Operator {
        subject: format!("agent:{}{person}", caller.agent),
        assurance: caller.assurance.word(),
        options: open::options(config)?,
    })
}

/// Waits for what writes a record.
fn wait<T>(it: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(it))
}

fn usage(problem: &str) -> ExitCode {
    crate::say::note(&format!("bailiwick: {problem}"));
    ExitCode::from(USAGE)
}
