//! How does a changed policy come into force while a server runs? On SIGHUP, whole or not at all, and on the record.
//!
//! Only the policy part is read again: `[policy]`, its files, and what trusted files of a repository take away. The words
//! that rules may use are those of the connections that the process was started with, and so is everything else.

use std::{path::PathBuf, sync::Arc, time::Duration};

use audit::Transition;
use config::{Config, Surroundings};
use gate::{Gate, InForce};
use policy::{Assurance, Channel, Policy};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    history::{Age, History, hex},
    open, say,
};

/// The policy of a running server, and what it takes to put another in its place.
pub(super) struct Reload {
    /// As `--config` says.
    pub(super) named: Option<PathBuf>,
    /// What the process was started with.
    pub(super) config: Arc<Config>,
    pub(super) in_force: InForce,
    /// Each has a log that says what was in force when.
    pub(super) gates: Vec<Arc<Gate>>,
    pub(super) channel: Channel,
    pub(super) allow_rollback: bool,
}

/// A policy that loads, and how it stands to those before it.
struct Found {
    policy: Arc<Policy>,
    history: Option<History>,
    age: Age,
}

/// The step of a policy that is not taken.
const REFUSED: &str = "refused";
/// Whoever may send us a signal, or starts us.
const OPERATOR: &str = "operator";
/// Longest wait for the logs of a server that does not start.
const CLOSE: Duration = Duration::from_secs(5);

/// SIGHUP from now on; until somebody listens, it ends the process.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

impl Reload {
    /// Refuses to start under a policy that a later one has replaced here; else notes the one that is in force.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        let policy = self.in_force.policy();
        let begun = match self.judge(&self.config, policy.clone()) {
            // Nothing changes by it.
            Ok(Found { history, age: Age::Same | Age::First, .. }) => note(history, &policy),
            Ok(Found { history, age, .. }) => {
                self.record(
                    step(age),
                    &policy,
                    &format!("{} is in force from the start{}", named(&policy), of(age)),
                )
                .await;
                note(history, &policy)
            }
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &begun {
            let told = format!("{} is not taken at the start: {problem:#}", named(&policy));
            self.record(REFUSED, &policy, &told).await;
            for gate in &self.gates {
                gate.drain(CLOSE).await;
            }
        }
        begun
    }

    /// Reads the policy again each time that somebody asks for it, for as long as the process runs.
    pub(super) async fn on_each(self, mut hangups: Signal) {
        let reload = Arc::new(self);
        while hangups.recv().await.is_some() {
            let reading = reload.clone();
            let read = tokio::task::spawn_blocking(move || reading.read()).await;
            let taken = match read {
                Ok(Ok(found)) => reload.take(found).await,
                Ok(Err(problem)) => Err(problem),
                Err(_) => Err(anyhow::anyhow!("it could not be read; this is a fault in bailiwick")),
            };
            if let Err(problem) = taken {
                reload.keep(&problem).await;
            }
        }
    }

    /// What the configuration says by now.
    fn read(&self) -> anyhow::Result<Found> {
        let now = Config::load(self.named.as_deref(), &Surroundings::from_process()?)?;
        anyhow::ensure!(
            now.origin == self.config.origin,
            "another configuration holds by now than the one that this process was started with; restart it if that is meant"
        );
        // Connections stay as they are, and rules are held to their words.
        let config = Config { policy: now.policy, ..Config::clone(&self.config) };
        let policy = open::policy(&config).map_err(|problem| {
            problem.context("words that are new in the configuration hold after a restart")
        })?;
        if policy.digest() == self.in_force.policy().digest() {
            return Ok(Found { policy: Arc::new(policy), history: None, age: Age::Same });
        }
        self.judge(&config, Arc::new(policy))
    }

    /// How a policy stands to those before it. An older one is refused unless that is allowed.
    fn judge(&self, config: &Config, policy: Arc<Policy>) -> anyhow::Result<Found> {
        let history = History::of(config)?;
        let age = history.as_ref().map_or(Ok(Age::New), |it| it.age(&policy.digest()))?;
        anyhow::ensure!(
            age != Age::Older || self.allow_rollback,
            "it was in force here before, and a later one replaced it; if that is to be undone, start with --allow-rollback"
        );
        Ok(Found { policy, history, age })
    }

    /// First the record, then the history, then the policy: after a crash in between, what did not come into force is not
    /// taken for one that did.
    async fn take(&self, found: Found) -> anyhow::Result<()> {
        let Found { policy, history, age } = found;
        let before = self.in_force.policy();
        let told = match policy.digest() == before.digest() {
            true => format!("{} was read again and is as it was", named(&policy)),
            false => format!(
                "{} is in force from here on, in place of {}{}",
                named(&policy),
                hex(&before.digest()),
                of(age)
            ),
        };
        self.record(step(age), &policy, &told).await;
        note(history, &policy)?;
        self.in_force.replace(policy);
        say::note(&format!("bailiwick: {told}"));
        Ok(())
    }

    /// What was refused changes nothing, and nobody has to guess that it was.
    async fn keep(&self, problem: &anyhow::Error) {
        self.in_force.keep();
        let stays = self.in_force.policy();
        let told = format!("{} stays in force; what was to replace it: {problem:#}", named(&stays));
        self.record(REFUSED, &stays, &told).await;
        tracing::error!("{told}");
    }

    /// One step of a policy in every log: of the one that is in force then, or at the start of the one that is refused.
    async fn record(&self, step: &'static str, policy: &Policy, told: &str) {
        for gate in &self.gates {
            let transition = Transition {
                what: "policy",
                step,
                reference: None,
                subject: OPERATOR.to_owned(),
                channel: self.channel.word(),
                assurance: Assurance::OsUser.word(),
                policy: policy.digest(),
                call: [0; 32],
                payload: json!({ "by": OPERATOR, "comment": bounded(told) }),
            };
            if let Err(error) = gate.log().transition(transition).await {
                tracing::error!(%error, "what became of a policy could not be recorded");
            }
        }
    }
}

/// As much of a problem as a record keeps, and nothing secret of it.
fn bounded(told: &str) -> String {
    const BYTES_MAX: usize = 4096;
    let masked = gate::redact(told, false).0;
    masked[..masked.floor_char_boundary(BYTES_MAX)].to_owned()
}

fn note(history: Option<History>, policy: &Policy) -> anyhow::Result<()> {
    history.map_or(Ok(()), |it| it.note(&policy.digest()))
}

fn named(policy: &Policy) -> String {
    format!("policy {}", hex(&policy.digest()))
}

/// Which step it is to take a policy.
fn step(age: Age) -> &'static str {
    match age {
        Age::Older => "rolled_back",
        Age::First | Age::Same | Age::New => "taken",
    }
}

/// What a record adds of a policy's age.
fn of(age: Age) -> &'static str {
    match age {
        Age::Older => ", an older one, as --allow-rollback says",
        Age::First | Age::Same | Age::New => "",
    }
}
