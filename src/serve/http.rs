//! `bailiwick serve --http`: the same servers for a team, each at a path of its own.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use config::{Config, Serving};
use gate::InForce;
use identity::Verifier;
use mcp::{Callers, Certificate, Exposure, Http, Reach, Reachable, Reached, Site};
use policy::{Assurance, Caller, Channel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tool::Profile;

use super::{
    Wanted, instructions,
    reload::{self, Reload},
};
use crate::{
    doctor,
    family::{self, Server},
    open, say,
};

/// Longest wait for one connection, so that whoever asks `/readyz` hears within the second or two they give it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What the command line says about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    pub(super) address: SocketAddr,
    pub(super) unproven: bool,
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
    let callers = callers(&config, listen.unproven)?;
    let certificate = certificate(&config.serving)?;
    let secure = certificate.is_some();
    let proven = !matches!(callers, Callers::Unproven(_));
    Exposure::check(listen.address, secure, config.serving.plain, proven)?;
    let public = config.serving.public_url.as_ref().and_then(|it| it.host_str());
    let reachable = Reachable::new(listen.address, public, &config.serving.origins)?;
    let in_force = open::in_force(&config)?;
    let (servers, profile) = (wanted.servers.clone(), wanted.profile);
    let (known, policy) = (config.clone(), in_force.clone());
    let sites = tokio::task::spawn_blocking(move || sites(&known, &policy, &servers, profile)).await??;
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
    let listener = TcpListener::bind(listen.address)
        .await
        .with_context(|| format!("{} cannot be listened on", listen.address))?;
    let bound = listener.local_addr()?;
    for site in &sites {
        let address = mcp::address(secure, bound, &site.word);
        say::note(&format!("bailiwick: {} is served at {address}", site.word));
        tokio::spawn(super::beat(site.gate.clone()));
    }
    let http = Http {
        sites,
        base: base(&config.serving, secure, bound),
        callers,
        reachable,
        certificate,
        reach: reach(config),
    };
    Ok(mcp::serve_http(listener, http, stop).await?)
}

/// A gate for each server, with a log of its own: nothing of one is reached by the path of another.
fn sites(
    config: &Config,
    policy: &InForce,
    servers: &[Server],
    profile: Profile,
) -> anyhow::Result<Vec<Site>> {
    let site = |server: &Server| {
        let only = [*server];
        Ok(Site {
            word: server.word().to_owned(),
            name: format!("bailiwick-{}", server.word()),
            instructions: instructions(&only),
            tools: family::definitions(&only, profile).iter().map(mcp::describe).collect(),
            gate: open::gate(config, policy, &only, profile, Channel::Http)?,
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

/// The address that clients use: configured, or where we listen; never what a request says.
fn base(serving: &Serving, secure: bool, bound: SocketAddr) -> String {
    match &serving.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("{}://{bound}", if secure { "https" } else { "http" }),
    }
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
