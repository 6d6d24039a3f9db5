//! `bailiwick serve --http` and `--socket`: the same servers for a team, each at a path of its own.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use ::telemetry::Telemetry;
use anyhow::Context as _;
use config::{Config, Identity, Serving};
use gate::InForce;
use identity::{SignIn, Verifier};
use mcp::{Callers, Certificate, Exposure, Http, Listener, Reach, Reachable, Reached, Site};
use policy::{Assurance, Caller, Channel};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tool::Profile;

use super::{
    Wanted, instructions,
    reload::{self, Reload},
    socket::{Bound, Place},
};
use crate::{
    doctor,
    family::{self, Server},
    notify::Sender,
    open, say, telemetry,
};

/// Longest wait for one connection, so that whoever asks `/readyz` hears within the second or two they give it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Where requests come in, as the command line says.
pub(super) enum Listen {
    /// At an address; `unproven` lets in whoever reaches one of this machine.
    Network { address: SocketAddr, unproven: bool },
    /// On a socket, from users of this machine.
    Socket(Place),
}

/// Who is let in, and by which names.
struct Entrance {
    callers: Callers,
    reachable: Reachable,
    certificate: Option<Certificate>,
}

/// What is listened on.
struct Open {
    listener: Listener,
    /// What clients write in front of a path.
    base: String,
    /// What people read in front of one.
    told: String,
    /// Of a socket, which goes when this is dropped.
    _bound: Option<Bound>,
}

/// Opens everything, then listens: what does not load does not serve.
pub(super) async fn serve(
    wanted: &Wanted,
    named: Option<&Path>,
    listen: Listen,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let hangups = reload::hangups()?;
    let config = Arc::new(open::configuration(named)?);
    let Entrance { callers, reachable, certificate } = entrance(&config, &listen)?;
    let in_force = open::in_force(&config)?;
    let (servers, profile) = (wanted.servers.clone(), wanted.profile);
    let (known, policy) = (config.clone(), in_force.clone());
    let (telemetry, exporting) = telemetry::start(&config)?;
    let opening = move || sites(&known, &policy, &servers, profile, &telemetry);
    let sites = tokio::task::spawn_blocking(opening).await??;
    let reload = Reload {
        named: named.map(Path::to_owned),
        config: config.clone(),
        in_force,
        gates: sites.iter().map(|it| it.gate.clone()).collect(),
        channel: Channel::Http,
        allow_rollback: wanted.allow_rollback,
    };
    reload.start().await?;
    tokio::spawn(reload.on_each(hangups));
    let Open { listener, base, told, _bound } = match listen {
        Listen::Network { address, .. } => network(address, certificate, &config.serving).await?,
        Listen::Socket(place) => socket(place)?,
    };
    for site in &sites {
        say::note(&format!("bailiwick: {} is served at {told}/{}/mcp", site.word, site.word));
        tokio::spawn(super::beat(site.gate.clone()));
    }
    // All of them have one store.
    let sender = sites.first().and_then(|it| Sender::start(&config, &it.gate));
    let sign_in = sign_in(&config, &callers, &base)?;
    if sign_in.is_some() {
        say::note(&format!("bailiwick: people decide at {base}/decide/ID"));
    }
    let http = Http { sites, base, callers, reachable, reach: reach(config), sign_in };
    let served = mcp::serve_http(listener, http, stop).await;
    if let Some(sender) = sender {
        sender.end().await;
    }
    if let Some(exporting) = exporting {
        exporting.end().await;
    }
    Ok(served?)
}

/// Refuses what would let in too much, before anything is opened.
fn entrance(config: &Config, listen: &Listen) -> anyhow::Result<Entrance> {
    let Listen::Network { address, unproven } = listen else {
        return Ok(Entrance {
            callers: Callers::Users(user),
            reachable: Reachable::socket(),
            certificate: None,
        });
    };
    let callers = callers(config, *unproven)?;
    let certificate = certificate(&config.serving)?;
    let proven = !matches!(callers, Callers::Unproven(_));
    Exposure::check(*address, certificate.is_some(), config.serving.plain, proven)?;
    let public = config.serving.public_url.as_ref().and_then(|it| it.host_str());
    let reachable = Reachable::new(*address, public, &config.serving.origins)?;
    Ok(Entrance { callers, reachable, certificate })
}

async fn network(
    address: SocketAddr,
    certificate: Option<Certificate>,
    serving: &Serving,
) -> anyhow::Result<Open> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("{address} cannot be listened on"))?;
    let bound = listener.local_addr()?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let told = format!("{scheme}://{bound}");
    // Configured, or where we listen; never what a request says.
    let base = serving.public_url.as_ref().map(|it| it.as_str().trim_end_matches('/').to_owned());
    let listener = Listener::Network(listener, certificate);
    Ok(Open { listener, base: base.unwrap_or_else(|| told.clone()), told, _bound: None })
}

fn socket(place: Place) -> anyhow::Result<Open> {
    let told = format!("{}:", place.path().display());
    let (listener, bound) = place.bind()?;
    let listener = Listener::Socket(UnixListener::from_std(listener)?);
    Ok(Open { listener, base: "http://localhost".to_owned(), told, _bound: Some(bound) })
}

/// Whom the operating system says a process runs as. Which program it is, it does not say.
fn user(uid: u32) -> Caller {
    Caller {
        agent: Identity::NAMELESS.to_owned(),
        on_behalf_of: Some(config::user_name(uid)),
        teams: Vec::new(),
        assurance: Assurance::OsUser,
    }
}

/// A gate for each server, with a log of its own: nothing of one is reached by the path of another.
fn sites(
    config: &Config,
    policy: &InForce,
    servers: &[Server],
    profile: Profile,
    telemetry: &Telemetry,
) -> anyhow::Result<Vec<Site>> {
    let site = |server: &Server| {
        let only = [*server];
        Ok(Site {
            word: server.word().to_owned(),
            name: format!("bailiwick-{}", server.word()),
            instructions: instructions(&only),
            tools: family::definitions(&only, profile).iter().map(mcp::describe).collect(),
            gate: open::gate(config, policy, &only, profile, Channel::Http)?,
            telemetry: telemetry.clone(),
        })
    };
    servers.iter().map(site).collect()
}

fn callers(config: &Config, unproven: bool) -> anyhow::Result<Callers> {
    let unproven = unproven || config.serving.unproven;
    if !config.issuers.is_empty() {
        anyhow::ensure!(!unproven, "[issuers] and unproven callers exclude each other; keep one");
        return Ok(Callers::Proven(Arc::new(Verifier::new(&config.issuers)?)));
    }
    anyhow::ensure!(
        unproven,
        "callers over HTTP are proven by tokens, and no [issuers.NAME] says whose; to let in everybody on this machine as \
         the caller of [identity], say --unproven"
    );
    // The operating system says nothing about who is at the other end of a socket.
    let caller = Caller { assurance: Assurance::Declared, ..open::caller(config) };
    Ok(Callers::Unproven(caller))
}

/// How people log in to the page on which they decide, where there is one.
fn sign_in(config: &Config, callers: &Callers, base: &str) -> anyhow::Result<Option<SignIn>> {
    let (Some(page), Callers::Proven(verifier)) = (&config.approving.page, callers) else { return Ok(None) };
    let (audience, callback) = Http::deciding(base);
    Ok(Some(SignIn::new(&config.issuers, page, verifier.clone(), callback, audience)?))
}

fn certificate(serving: &Serving) -> anyhow::Result<Option<Certificate>> {
    let Some(files) = &serving.certificate else { return Ok(None) };
    Ok(Some(Certificate::open(files.certificate.clone(), files.key.clone())?))
}

/// Asks every connection, as `bailiwick doctor` does.
fn reach(config: Arc<Config>) -> Reach {
    Arc::new(move || {
        let config = config.clone();
        Box::pin(async move {
            let broken = doctor::unreachable(&config, PATIENCE).await;
            let asked = config.connections.len();
            for name in &broken {
                tracing::warn!(connection = %name, "does not answer; bailiwick doctor says why");
            }
            Reached { asked, answered: asked - broken.len() }
        })
    })
}
