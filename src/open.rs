//! From configuration to an open gate.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use approval::Place;
use audit::{Log, SigningKeySource, Target};
use config::{Config, Secret, Shelf, Surroundings};
use gate::{Approvals, Gate, InForce, Terms};
use policy::{Assurance, Caller, Channel, Policy, Setup};
use tool::Profile;

use crate::{
    aside::aside,
    change,
    family::{self, Server},
    notify,
};

/// Reads the configuration and says on stderr what it ignored.
pub(crate) fn configuration(path: Option<&Path>) -> anyhow::Result<Config> {
    let config = Config::load(path, &Surroundings::from_process()?)?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    Ok(config)
}

/// The policy that the configuration names; where it is silent, reading and nothing else.
pub(crate) fn policy(config: &Config) -> anyhow::Result<Policy> {
    let settings = &config.policy;
    let mut sources = settings.sources.clone();
    if settings.is_silent() {
        sources.push(Policy::read_only_source());
    }
    let setup = Setup {
        family: policy::FAMILY_SCHEMA,
        sources: &sources,
        lists: &settings.lists,
        vocabulary: &config.vocabulary,
        zone: settings.zone.clone(),
    };
    aside(|| Policy::load(setup)).map_err(|errors| anyhow::anyhow!("the policy does not load:\n{errors}"))
}

/// Who calls when nothing proves more: the configuration's word, or the operating system's.
pub(crate) fn caller(config: &Config) -> Caller {
    let identity = &config.identity;
    Caller {
        agent: identity.agent.clone(),
        on_behalf_of: identity.person.clone(),
        teams: identity.teams.clone(),
        assurance: if identity.declared { Assurance::Declared } else { Assurance::OsUser },
    }
}

/// The policy of the configuration, where another may replace it.
pub(crate) fn in_force(config: &Config) -> anyhow::Result<InForce> {
    Ok(Arc::new(policy(config)?).into())
}

/// Policy, tools and log in one gate. Slow enough (recovery of the log) to run beside a handshake.
pub(crate) fn gate(
    config: &Config,
    policy: &InForce,
    servers: &[Server],
    profile: Profile,
    channel: Channel,
) -> anyhow::Result<Arc<Gate>> {
    let approvals = Arc::new(approvals(config)?);
    let tickets = change::tickets(config)?;
    let tools = family::offer(servers, profile, config, policy.clone(), channel, &approvals)?;
    let name = match servers {
        // What people say where no server runs.
        [] => "approvals".to_owned(),
        _ => servers.iter().map(|it| it.word()).collect::<Vec<_>>().join("_"),
    };
    let (log, opened) = Log::open(&config.state, &name, options(config)?)
        .with_context(|| format!("the log under {} cannot be opened", config.state.display()))?;
    // Nobody should hear of a lost or cut log only when they happen to look for it.
    match opened.taken_over || !opened.cut.is_empty() || !opened.warnings.is_empty() {
        true => tracing::warn!(%opened, "log open"),
        false => tracing::info!(%opened, "log open"),
    }
    let gate = Gate::new(tools, policy.clone(), log).with_profile(profile).with_approvals(approvals);
    Ok(Arc::new(match tickets {
        Some(tickets) => gate.with_tickets(tickets),
        None => gate,
    }))
}

/// Where people are asked. Nothing is opened before something needs it.
pub(crate) fn approvals(config: &Config) -> anyhow::Result<Approvals> {
    let (asked, place) = (&config.approving, place(config)?);
    let terms = Terms {
        approve_within: asked.approve_within,
        execute_within: asked.execute_within,
        approvals_per_hour: asked.approvals_per_hour,
        break_glass_max: asked.break_glass_max,
        review_within: asked.review_within,
    };
    Ok(Approvals::new(place, terms).telling(notify::subscribers(config)))
}

/// Where approvals are kept.
pub(crate) fn place(config: &Config) -> anyhow::Result<Place> {
    Ok(match &config.approving.store {
        None => Place::File(config.state.join("approvals.sqlite")),
        Some(secret) => Place::Postgres(secret.read()?.to_string()),
    })
}

/// How the log is kept and published.
pub(crate) fn options(config: &Config) -> anyhow::Result<audit::Options> {
    let recording = &config.recording;
    let mut options =
        audit::Options { version: env!("CARGO_PKG_VERSION").to_owned(), ..audit::Options::default() };
    options.signing_key = signing_key(config)?;
    options.segment_bytes = recording.segment_bytes.unwrap_or(options.segment_bytes);
    options.publishing.keep_segments = recording.keep_segments;
    options.publishing.effects_need_witness_within = recording.effects_need_witness_within;
    for it in &recording.witnesses {
        options.publishing.witnesses.push(Arc::new(crate::witness::Asked::open(it)?));
    }
    if let Some(it) = &recording.collector {
        options.publishing.collector = Some(Arc::new(crate::collector::Sent::open(it)?));
    }
    options.ephemeral = ephemeral(config);
    options.publishing.targets = targets(config)?;
    Ok(options)
}

/// Where the signing key is. Who only reads the log does not ask.
fn signing_key(config: &Config) -> anyhow::Result<SigningKeySource> {
    Ok(match &config.recording.signing_key {
        None => SigningKeySource::StateFolder,
        Some(Secret::File(path)) => SigningKeySource::File(path.clone()),
        Some(secret @ Secret::Env(_)) => SigningKeySource::Text(Arc::new(secret.read()?)),
    })
}

/// Where the log is published beyond its own folder.
pub(crate) fn targets(config: &Config) -> anyhow::Result<Vec<Arc<dyn Target>>> {
    config.recording.publish.iter().map(target).collect()
}

/// Why the log's disk goes with the process, and what to do about it.
pub(crate) fn ephemeral(config: &Config) -> Option<String> {
    let told = |it: bool| it.then(|| "[audit] ephemeral says so".to_owned());
    let found = || {
        let kind = audit::vanishing(&config.state).map(|it| format!("its folder is on {it}"));
        kind.or_else(|| config.disposable.clone())
    };
    let why = config.recording.ephemeral.map_or_else(found, told)?;
    Some(format!(
        "the disk of the log goes with the process ({why}): name a collector under [audit] collector, or keep the log where it \
         lasts with [audit] state; [audit] ephemeral = false says that this disk is kept"
    ))
}

fn target(shelf: &Shelf) -> anyhow::Result<Arc<dyn Target>> {
    match shelf {
        Shelf::Folder(path) => Ok(Arc::new(audit::Folder::new(path))),
        #[cfg(feature = "s3")]
        Shelf::Bucket(it) => Ok(Arc::new(crate::bucket::Bucket::open(it)?)),
        #[cfg(not(feature = "s3"))]
        Shelf::Bucket(_) => {
            anyhow::bail!("this build publishes into no bucket; build it with the feature `s3`")
        }
    }
}
