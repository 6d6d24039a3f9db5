//! `bailiwick witness`: who else has seen a log? A process of another administrator that cosigns checkpoints, over C2SP
//! tlog-witness; and the way in which a log asks one.

mod asked;
mod listen;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use audit::{Refused, VerifyingKey};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Args;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{USAGE, say};

pub(crate) use asked::Asked;
use listen::Door;

/// Cosign the checkpoints of logs that only grow, so that nobody can rewrite them unseen: C2SP tlog-witness
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick witness --state /var/lib/bailiwick-witness --log bailiwick+1a2b3c4d+AX…\n\n\
                        Run it under another administrator than the logs: one who can write both witnesses nothing. It prints\n\
                        its verifier key first; name it under [audit] witnesses of those who ask it, and keep it for\n\
                        `bailiwick audit verify --witness`. What it cosigned last of each log stands in STATE/logs: each file is an\n\
                        anchor. Its state is never put back from a copy: it would cosign again what it has seen replaced.")]
pub(crate) struct Witness {
    /// Where to listen; others than this machine reach it only through what you put in front
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// Folder of its key and of what it cosigned
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Verifier key of a log, as `bailiwick audit verify` shows it. Counts for origins that are its name, or begin with it and a slash
    #[arg(long = "log", value_name = "VKEY", required = true)]
    logs: Vec<String>,
    /// Name of a new witness, e.g. witness.example.com/w1
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Listen beyond this machine
    #[arg(long)]
    public: bool,
}

/// Requests under way at once; each waits for the disk.
const REQUESTS_MAX: usize = 64;
/// Longest that a request may take to arrive and be answered, its connection included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that it waits for the disk to be free.
const WAIT: Duration = Duration::from_secs(5);

/// What requests share.
#[derive(Clone)]
struct Shared {
    witness: Arc<audit::Witness>,
    slots: Arc<Semaphore>,
}

pub(crate) fn run(arguments: Witness) -> anyhow::Result<ExitCode> {
    if !arguments.listen.ip().is_loopback() && !arguments.public {
        say::note(&format!(
            "bailiwick: {} is not of this machine; say --public if that is meant",
            arguments.listen
        ));
        return Ok(ExitCode::from(USAGE));
    }
    let logs: Result<Vec<VerifyingKey>, _> = arguments.logs.iter().map(|it| it.parse()).collect();
    let logs = match logs {
        Ok(logs) => logs,
        Err(error) => {
            say::note(&format!("bailiwick: --log: {}", say::clean(&error.to_string())));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let witness = audit::Witness::open(&arguments.state, arguments.name.as_deref(), logs)
        .with_context(|| format!("the witness under {} cannot be opened", arguments.state.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(witness, arguments.listen))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(witness: audit::Witness, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\nlistening on http://{}", witness.key(), listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    let shared = Shared { witness: Arc::new(witness), slots: Arc::new(Semaphore::new(REQUESTS_MAX)) };
    let routes = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(audit::Witness::REQUEST_BYTES_MAX))
        // A connection has one request, so that its time is the request's.
        .layer(map_response(|answer: Response| async { ([(header::CONNECTION, "close")], answer) }))
        .with_state(shared);
    axum::serve(Door::new(listener, TIMEOUT), routes)
        .with_graceful_shutdown(crate::serve::asked_to_stop())
        .await?;
    Ok(())
}

/// The one call of the protocol.
async fn add_checkpoint(State(shared): State<Shared>, request: Bytes) -> Response {
    let Ok(slot) = tokio::time::timeout(WAIT, shared.slots.clone().acquire_owned()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "busy\n").into_response();
    };
    let answer = tokio::task::spawn_blocking(move || {
        // Held until the disk has answered, whether or not somebody still waits.
        let _slot = slot;
        shared.witness.add_checkpoint(&request)
    });
    match answer.await {
        Ok(Ok(lines)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response(),
        Ok(Err(refused)) => refusal(&refused),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the witness failed\n").into_response(),
    }
}

fn refusal(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match refused {
        Refused::Conflict { size } => {
            (status, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n")).into_response()
        }
        Refused::Failed(error) => {
            // Paths stay with the operator.
            tracing::error!(%error, "a checkpoint was not cosigned");
            (status, "nothing could be stored, so nothing was cosigned\n").into_response()
        }
        other => (status, format!("{other}\n")).into_response(),
    }
}
