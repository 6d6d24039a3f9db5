//! `bailiwick serve audit`: who keeps the log of a process whose disk goes with it? A process of another administrator that takes
//! records, makes them durable and says so; and the way in which a log gets there.

mod sent;

use std::{
    collections::BTreeMap, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use audit::{Declined, VerifyingKey};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use clap::Args;
use config::Config;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{USAGE, open, say};

pub(crate) use sent::Sent;

/// Collect the logs of other processes, such as CI jobs: their effects begin once their intents are durable here
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick serve audit --state /var/lib/bailiwick-collector --config collector.toml\n  \
                        bailiwick audit verify --collected /var/lib/bailiwick-collector\n\n\
                        Who may send stands in the configuration: [collector.senders.ci] token = { file = \"/run/secrets/ci\" }.\n\
                        Run it under another administrator than the senders, and behind TLS. It holds payloads as they were\n\
                        sealed and no key to them: it can show that nothing was changed, and not what was said.")]
pub(crate) struct ServeAudit {
    /// Where to listen; others than this machine reach it only through what you put in front
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8766")]
    listen: SocketAddr,
    /// Folder of what it holds
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// Listen beyond this machine
    #[arg(long)]
    public: bool,
}

/// Path that deliveries are sent to.
const DELIVER: &str = "/deliver";
/// Deliveries under way at once: each may hold its longest body in memory.
const DELIVERIES_MAX: usize = 8;
/// Longest that a delivery may take to arrive, and that it may wait for its turn.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest token: what can be guessed proves nobody.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// What requests share.
#[derive(Clone)]
struct Shared {
    collector: Arc<audit::Collector>,
    /// Senders by the digest of their token: comparing digests tells nothing of a token by the time that it takes.
    senders: Arc<Vec<(audit::Digest, String)>>,
    slots: Arc<Semaphore>,
}

pub(crate) fn run(arguments: &ServeAudit, config: Option<&std::path::Path>) -> anyhow::Result<ExitCode> {
    if !arguments.listen.ip().is_loopback() && !arguments.public {
        say::note(&format!(
            "bailiwick: {} is not of this machine; say --public if that is meant",
            arguments.listen
        ));
        return Ok(ExitCode::from(USAGE));
    }
    let config = open::configuration(config)?;
    if config.senders.is_empty() {
        say::note(
            "bailiwick: nobody may send; name who may, e.g. [collector.senders.ci] token = { file = \"/run/secrets/ci\" }",
        );
        return Ok(ExitCode::from(USAGE));
    }
    let (tokens, keys) = senders(&config)?;
    let collector = audit::Collector::open(&arguments.state, keys)
        .with_context(|| format!("the collector under {} cannot be opened", arguments.state.display()))?;
    let shared = Shared {
        collector: Arc::new(collector),
        senders: Arc::new(tokens),
        slots: Arc::new(Semaphore::new(DELIVERIES_MAX)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(shared, arguments.listen))?;
    Ok(ExitCode::SUCCESS)
}

/// Digests of tokens with their senders' names, and keys by these names.
type Senders = (Vec<(audit::Digest, String)>, BTreeMap<String, Vec<VerifyingKey>>);

fn senders(config: &Config) -> anyhow::Result<Senders> {
    let (mut tokens, mut known) = (Vec::new(), BTreeMap::new());
    for sender in &config.senders {
        let name = &sender.name;
        let token = sender.token.read()?;
        anyhow::ensure!(
            token.len() >= TOKEN_CHARACTERS_MIN,
            "[collector.senders.{name}] token has {} characters; expected {TOKEN_CHARACTERS_MIN} or more that nobody can guess",
            token.len()
        );
        let digest = audit::digest(token.as_bytes());
        if let Some((_, other)) = tokens.iter().find(|(it, _)| *it == digest) {
            anyhow::bail!(
                "[collector.senders] {name} and {other} have one token; whose log it is could not be told"
            );
        }
        let keys = sender.keys.iter().map(|it| it.parse());
        let keys: Result<Vec<VerifyingKey>, _> = keys.collect();
        known.insert(name.clone(), keys.with_context(|| format!("[collector.senders.{name}] keys"))?);
        tokens.push((digest, name.clone()));
    }
    Ok((tokens, known))
}

async fn serve(shared: Shared, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let (logs, address) = (shared.collector.logs(), listener.local_addr()?);
    say::line(&format!("{logs} logs of {} senders\nlistening on http://{address}", shared.senders.len()))?;
    std::io::stdout().flush()?;
    let routes = Router::new().route(DELIVER, post(deliver)).with_state(shared);
    axum::serve(listener, routes).with_graceful_shutdown(crate::serve::asked_to_stop()).await?;
    Ok(())
}

/// The one call of the protocol.
async fn deliver(State(shared): State<Shared>, request: Request) -> Response {
    // Before anything of the body is read: strangers take no memory.
    let Some(sender) = sender(&shared, request.headers()) else {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "unknown token\n")
            .into_response();
    };
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "busy\n").into_response();
    let Ok(Ok(slot)) = tokio::time::timeout(TIMEOUT, shared.slots.clone().acquire_owned()).await else {
        return busy();
    };
    let delivery = match arrived(request.into_body()).await {
        Ok(delivery) => delivery,
        Err(refused) => return refused,
    };
    let name = sender.clone();
    let taken = tokio::task::spawn_blocking(move || {
        // Held until the disk has answered, whether or not somebody still waits.
        let _slot = slot;
        shared.collector.take(&sender, &delivery)
    });
    match taken.await {
        Ok(Ok(acknowledged)) => acknowledged.body().into_response(),
        Ok(Err(declined)) => refusal(&declined, &name),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the collector failed\n").into_response(),
    }
}

/// Whose token it is.
fn sender(shared: &Shared, headers: &HeaderMap) -> Option<String> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let digest = audit::digest(token.as_bytes());
    shared.senders.iter().find(|(it, _)| *it == digest).map(|(_, name)| name.clone())
}

/// The whole body, if it comes in time and is not too long.
async fn arrived(body: Body) -> Result<axum::body::Bytes, Response> {
    match tokio::time::timeout(TIMEOUT, to_bytes(body, audit::Collector::DELIVERY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, "longer than any delivery, or cut off\n").into_response())
        }
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "it took too long to arrive\n").into_response()),
    }
}

fn refusal(declined: &Declined, sender: &str) -> Response {
    let status = StatusCode::from_u16(declined.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match declined {
        Declined::Elsewhere { size } => return (status, format!("{size}\n")).into_response(),
        Declined::Failed(error) => {
            // Paths stay with the operator.
            tracing::error!(%error, sender, "a delivery was not taken");
            return (status, "nothing could be stored, so nothing is acknowledged\n").into_response();
        }
        Declined::Forked { .. } => {}
        other => tracing::warn!(sender, declined = %other, "a delivery was declined"),
    }
    (status, format!("{declined}\n")).into_response()
}
