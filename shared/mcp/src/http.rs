//! How is a gate served over HTTP, to many callers at once?
//!
//! One listener, and each server at a path of its own (`/code/mcp`). What arrives passes [`door`] before the SDK sees it:
//! who calls, whose session it is, how long and how slow it may be. The gate comes after, as on every other way in.

mod answer;
mod body;
mod challenge;
mod desk;
mod door;
mod glass;
mod health;
mod lines;
mod listen;
mod origin;
mod page;
mod refusals;
mod sessions;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{Router, routing};
use gate::Gate;
use identity::{SignIn, Verifier};
use policy::Caller;
use rmcp::{
    ServerHandler,
    model::Tool,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService},
};
use telemetry::{Telemetry, Transport};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Metrics, Server};

use self::{challenge::Resource, door::Door, health::Health, refusals::Refusals, sessions::Sessions};
pub(crate) use self::{door::Who, refusals::nobody};
pub use self::{
    health::{Reach, Reached},
    lines::UPGRADE,
    listen::{Certificate, CertificateError, Listener},
    origin::{Exposure, Reachable},
};

/// One server of the family, at its path.
pub struct Site {
    /// E.g. `code`, which is then served at `/code/mcp`.
    pub word: String,
    /// What clients are told that it is called.
    pub name: String,
    /// What clients are told that it is for.
    pub instructions: String,
    /// Every tool it has.
    pub tools: Vec<Tool>,
    /// What runs its calls.
    pub gate: Arc<Gate>,
    /// Who hears of what is served.
    pub telemetry: Telemetry,
}

/// How the callers of a listener are known.
#[derive(Clone)]
pub enum Callers {
    /// Not at all: whoever reaches the address is taken for this caller, which only a loopback address may do.
    Unproven(Caller),
    /// By tokens, one in each request.
    Proven(Arc<Verifier>),
    /// By the user id of the process at the other end of a socket.
    Users(fn(u32) -> Caller),
}

impl Callers {
    /// How their requests come in.
    fn transport(&self) -> Transport {
        match self {
            Callers::Users(_) => Transport::Socket,
            Callers::Unproven(_) | Callers::Proven(_) => Transport::Http,
        }
    }
}

/// Everything about a listener but its address.
pub struct Http {
    /// What is served.
    pub sites: Vec<Site>,
    /// How callers are known.
    pub callers: Callers,
    /// Address that clients use, without a path, e.g. `https://bailiwick.example.com`.
    pub base: String,
    /// By which names it is reached, and from which pages.
    pub reachable: Reachable,
    /// Asks the systems behind, for `/readyz`.
    pub reach: Reach,
    /// How people log in to the page on which they decide; without it there is none.
    pub sign_in: Option<SignIn>,
}

impl Http {
    /// What tokens of people who decide are for, and where browsers come back to that log in, below an address.
    pub fn deciding(base: &str) -> (String, String) {
        (format!("{base}{}", desk::PATH), format!("{base}{}", page::CALLBACK))
    }
}

/// Longest wait for calls in flight, and again for effects that outlived their callers.
const DRAIN: Duration = Duration::from_secs(30);
/// Longest wait for connections to close once nothing is in flight.
const CLOSE: Duration = Duration::from_secs(5);

/// Serves until `stop` fires; then refuses what is new, lets what is in flight end, and closes the logs.
pub async fn serve_http(listener: Listener, mut http: Http, stop: CancellationToken) -> std::io::Result<()> {
    let sign_in = http.sign_in.take();
    let closing = CancellationToken::new();
    let metrics = Arc::new(Metrics::default());
    let in_flight = TaskTracker::new();
    let gates: Vec<Arc<Gate>> = http.sites.iter().map(|it| it.gate.clone()).collect();
    let words: Vec<String> = http.sites.iter().map(|it| it.word.clone()).collect();
    let logs = words.into_iter().zip(gates.iter().cloned()).collect();
    let health = Arc::new(Health::new(logs, http.reach.clone(), stop.clone(), metrics.clone()));
    let mut router = Router::new()
        .route("/healthz", routing::get(health::alive))
        .route("/readyz", routing::get(health::ready))
        .route("/metrics", routing::get(health::metrics))
        .with_state(health);
    let entrance = Entrance {
        http: &http,
        in_flight: &in_flight,
        stop: &stop,
        closing: &closing,
        metrics: &metrics,
        whole: true,
    };
    for site in &http.sites {
        let server = Server::over_http(site, metrics.clone(), http.callers.transport());
        router = entrance.open(router, site, server);
    }
    #[cfg(feature = "conformance")]
    if let Some(first) = http.sites.first() {
        router = entrance.fixtures(router, first);
    }
    if let (Some(first), Callers::Proven(verifier)) = (http.sites.first(), &http.callers) {
        let tasks = (&in_flight, &stop);
        let hosts = &http.reachable.hosts;
        router = desk::open(router, &http.base, &first.gate, verifier, hosts, tasks);
        if let Some(sign_in) = sign_in {
            router = page::open(router, &http.base, &first.gate, sign_in, hosts, tasks);
        }
    }
    if let Callers::Users(callers) = http.callers {
        router = lines::open(router, &http.sites, callers, &in_flight, &stop);
    }
    let accepting = tokio::spawn(listen::accept(listener, router, closing.clone()));
    stop.cancelled().await;
    in_flight.close();
    if tokio::time::timeout(DRAIN, in_flight.wait()).await.is_err() {
        tracing::warn!(requests = in_flight.len(), "left before these requests were answered");
    }
    for gate in gates {
        gate.drain(DRAIN).await;
    }
    closing.cancel();
    match tokio::time::timeout(CLOSE, accepting).await {
        Ok(ended) => ended?,
        Err(_) => tracing::warn!("left before every connection was closed"),
    }
    Ok(())
}

/// Names of tools that do more than read.
fn effects(tools: &[Tool]) -> BTreeSet<String> {
    tools.iter().filter(|it| !crate::describe::reads(it)).map(|it| it.name.to_string()).collect()
}

/// What the ways into all sites have in common.
struct Entrance<'a> {
    http: &'a Http,
    in_flight: &'a TaskTracker,
    stop: &'a CancellationToken,
    closing: &'a CancellationToken,
    metrics: &'a Arc<Metrics>,
    /// Whether an answer that nothing precedes comes as one JSON body; as a stream else.
    whole: bool,
}

impl Entrance<'_> {
    /// Adds what the conformance suite calls, behind the same door: once with answers as here, once with streams.
    #[cfg(feature = "conformance")]
    fn fixtures(&self, mut router: Router, first: &Site) -> Router {
        let streaming = Entrance { whole: false, ..*self };
        for (word, entrance) in [(crate::CONFORMANCE, self), (crate::STREAMED, &streaming)] {
            let (word, name) = (word.to_owned(), word.to_owned());
            let (gate, telemetry) = (first.gate.clone(), first.telemetry.clone());
            let (instructions, tools) = (String::new(), Vec::new());
            let site = Site { word, name, instructions, tools, gate, telemetry };
            router = entrance.open(router, &site, crate::conformance::Conformance::new());
        }
        router
    }

    /// Adds a site, and where tokens for it come from.
    fn open<S: ServerHandler + Clone + Sync>(&self, mut router: Router, site: &Site, server: S) -> Router {
        let path = format!("/{}/mcp", site.word);
        let sessions = Arc::new(Sessions::told_to(&site.telemetry, self.http.callers.transport()));
        let resource = Resource::at(&self.http.base, &path, &site.name);
        if let Callers::Proven(verifier) = &self.http.callers {
            let about = Arc::new((resource.clone(), verifier.clone()));
            let about = routing::get(challenge::metadata).with_state(about);
            router = router.route(&challenge::metadata_path(&path), about);
        }
        let door = Door {
            word: site.word.clone(),
            callers: self.http.callers.clone(),
            resource,
            effects: effects(&site.tools),
            gate: site.gate.clone(),
            refusals: Refusals::new(site.gate.clone()),
            service: self.service(server, sessions.clone()),
            sessions,
            in_flight: self.in_flight.clone(),
            stop: self.stop.clone(),
            metrics: self.metrics.clone(),
        };
        router.route(&path, routing::any(door::enter::<S>).with_state(Arc::new(door)))
    }

    /// The SDK's part of a site: both generations of the protocol on one path.
    fn service<S: ServerHandler + Clone + Sync>(
        &self,
        server: S,
        sessions: Arc<Sessions>,
    ) -> StreamableHttpService<S, Sessions> {
        let config = StreamableHttpServerConfig::default()
            .with_json_response(self.whole)
            .with_allowed_hosts(self.http.reachable.hosts.clone())
            .with_allowed_origins(self.http.reachable.origins.clone())
            .enforce_origin_validation()
            .with_max_request_body_bytes(door::BODY_BYTES_MAX)
            // Cancelling it ends streams and what they carry, so it is cancelled when nothing is in flight any more.
            .with_cancellation_token(self.closing.clone());
        StreamableHttpService::new(move || Ok(server.clone()), sessions, config)
    }
}
