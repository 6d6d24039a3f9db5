//! How do people hear of what waits for them? What the store has put down is sent to webhooks, beside everything else.
//!
//! Sending never holds up a call: a notice is put down with the step that it tells of, and whoever serves sends it. One
//! process at a time has it, for as long as its lease; what it did not say to have arrived is sent again, under the same id.

mod message;
mod signature;
mod slack;

use std::{hash::BuildHasher as _, sync::Arc, time::Duration};

use approval::{Due, Event, Store, StoreError, Subscriber};
use config::{Config, Notify, NotifyFormat};
use gate::{Approvals, Gate};
use jiff::{SignedDuration, Timestamp};
use outbound::{Hook, Undelivered};
use reqwest::Url;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::signature::Key;

/// Tells people for as long as a server runs. One task for each of those who are told, so that one that is slow holds up none.
pub(crate) struct Sender {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// Somebody who is told.
pub(crate) struct Told {
    /// What rows of the store call them.
    name: String,
    settings: Notify,
    hook: Hook,
    /// What links to requests begin with.
    base: Option<Url>,
}

/// How often the store is asked what is due.
const ASK: Duration = Duration::from_secs(1);
/// How long a notice is ours: longer than an attempt takes.
const LEASE: Duration = Duration::from_secs(15);
const _: () = assert!(LEASE.as_secs() > Hook::TIMEOUT.as_secs());
/// Waits between attempts grow up to this.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Longest rest from somebody who does not answer.
const REST_MAX: Duration = Duration::from_secs(60);
/// How long it is tried.
const TRIED: SignedDuration = SignedDuration::from_hours(24);
/// Longest that whoever ends still sends.
const LAST: Duration = Duration::from_secs(3);

/// Who hears of what, as the store knows them.
pub(crate) fn subscribers(config: &Config) -> Vec<Subscriber> {
    let subscriber = |it: &Notify| Subscriber {
        name: name(it),
        events: it.events.iter().filter_map(|it| Event::of(it)).collect(),
        teams: it.teams.iter().cloned().collect(),
        environments: it.environments.iter().cloned().collect(),
    };
    config.approving.notify.iter().map(subscriber).collect()
}

/// The same in every process whose configuration has this entry, wherever it stands there. No text of a secret is in it.
fn name(settings: &Notify) -> String {
    let form = if settings.format == NotifyFormat::Slack { "slack" } else { "json" };
    let digest = audit::digest(format!("{form} {}", settings.url).as_bytes());
    crate::history::hex(&digest)[..16].to_owned()
}

impl Sender {
    /// Begins, where anybody is to be told.
    pub(crate) fn start(config: &Config, gate: &Arc<Gate>) -> Option<Sender> {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for told in Told::all(config) {
            if let Err(problem) = told.check() {
                tracing::error!(to = %told.settings.url, "nobody is told there: {problem}");
            }
            tasks.spawn(told.keep_telling(gate.clone(), stop.clone()));
        }
        (!tasks.is_empty()).then_some(Sender { tasks, stop })
    }

    /// Sends what is due by now, and ends. What is under way for longer is sent again by whoever serves next.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(LAST, all).await.is_err() {
            tracing::warn!("not everybody was told yet; whoever serves next tells them");
        }
    }
}

/// Sends what is due, for a moment: for commands that put something down and end.
pub(crate) async fn briefly(config: &Config, gate: &Gate) {
    let Some(store) = gate.approvals().and_then(Approvals::opened) else { return };
    let mut tasks = JoinSet::new();
    for told in Told::all(config) {
        let store = store.clone();
        tasks.spawn(async move { drop(told.tell_all(&store).await) });
    }
    // What is left is sent by whoever serves.
    let _in_time = timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await;
}

/// What links begin with: the page, where there is one, else what the desk answers programs with.
fn links(config: &Config) -> Option<Url> {
    let place = if config.approving.page.is_some() { "decide/" } else { "approvals/" };
    config.serving.public_url.as_ref()?.join(place).ok()
}

impl Told {
    /// Everybody whom the configuration names.
    pub(crate) fn all(config: &Config) -> Vec<Told> {
        let told = |it: &Notify| Told {
            name: name(it),
            settings: it.clone(),
            hook: Hook::new(it.ca_file.clone()),
            base: links(config),
        };
        config.approving.notify.iter().map(told).collect()
    }

    /// What rows of the store call them.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What people call them: where the address stands, and nothing of it.
    pub(crate) fn label(&self) -> String {
        self.settings.url.to_string()
    }

    /// Whether address and key can be read and used. Nothing is sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.settings.address().map_err(|it| it.to_string())?;
        match &self.settings.format {
            NotifyFormat::Slack => Ok(()),
            NotifyFormat::Json(secret) => Key::read(secret).map(drop),
        }
    }

    async fn keep_telling(self, gate: Arc<Gate>, stop: CancellationToken) {
        let Some(approvals) = gate.approvals() else { return };
        let mut failures = 0;
        loop {
            let last = stop.is_cancelled();
            let went = async { self.tell_all(approvals.store().await?).await }.await;
            failures = match went {
                Ok(true) => 0,
                Ok(false) => failures + 1,
                Err(error) => {
                    if failures == 0 {
                        tracing::error!(%error, to = %self.settings.url, "nobody can be told");
                    }
                    failures + 1
                }
            };
            if last {
                return;
            }
            let rest = if failures == 0 { ASK } else { doubled(failures, REST_MAX) };
            tokio::select! {
                () = sleep(rest) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Sends what is due, one after the other, until nothing is or they do not answer: `false`.
    async fn tell_all(&self, store: &Store) -> Result<bool, StoreError> {
        while let Some(due) = store.take_due(&self.name, LEASE, Timestamp::now()).await? {
            match self.send(&due).await {
                // Killed before the next line, it is sent again.
                Ok(()) => store.delivered(&due).await?,
                Err(Undelivered::Later { problem, after }) => {
                    self.later(store, &due, &problem, after).await?;
                    return Ok(false);
                }
                Err(Undelivered::Never { problem }) => self.give_up(store, &due, &problem).await?,
            }
        }
        Ok(true)
    }

    /// Reads address and key for each attempt: another one holds at once.
    async fn send(&self, due: &Due) -> Result<(), Undelivered> {
        let later = |problem: String| Undelivered::Later { problem, after: None };
        let url = self.settings.address().map_err(|it| later(it.to_string()))?;
        let base = self.base.as_ref();
        let (body, headers) = match &self.settings.format {
            NotifyFormat::Slack => (slack::message(&due.notice, base), Vec::new()),
            NotifyFormat::Json(secret) => {
                let key = Key::read(secret).map_err(later)?;
                let body = message::json(&due.id, &due.notice, base);
                let headers = key.headers(&due.id, Timestamp::now(), &body);
                (body, headers)
            }
        };
        self.hook.post(&url, &headers, body).await
    }

    async fn later(
        &self,
        store: &Store,
        due: &Due,
        problem: &str,
        after: Option<Duration>,
    ) -> Result<(), StoreError> {
        let wait = jittered(doubled(due.attempt, WAIT_MAX)).max(after.unwrap_or_default());
        let at = Timestamp::now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        if at > due.put_at + TRIED {
            let problem = format!("{problem}, for a day ({} attempts)", due.attempt);
            return self.give_up(store, due, &problem).await;
        }
        let Due { attempt, notice, .. } = due;
        tracing::warn!(to = %self.settings.url, event = %notice.event, about = %notice.about, attempt, %problem, again_at = %at, "not told yet");
        store.try_again(due, problem, at).await
    }

    async fn give_up(&self, store: &Store, due: &Due, problem: &str) -> Result<(), StoreError> {
        let notice = &due.notice;
        tracing::error!(to = %self.settings.url, event = %notice.event, about = %notice.about, %problem, "not told, and not tried again");
        store.give_up(due, problem, Timestamp::now()).await
    }
}

/// 2 s, 4 s, 8 s and so on.
fn doubled(times: u32, most: Duration) -> Duration {
    Duration::from_secs(1 << times.min(16)).min(most)
}

/// Between four and six fifths of it, so that what failed together is not tried again together.
fn jittered(wait: Duration) -> Duration {
    let random = std::hash::RandomState::new().hash_one(()) % 1000;
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis / 5 * 4 + millis / 5 * 2 * random / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_that_can_be_configured_is_one_and_every_one_can_be() {
        assert_eq!(Notify::EVENTS, Event::ALL.map(Event::word));
    }

    #[test]
    fn waits_grow_up_to_an_hour_and_differ() {
        let seconds: Vec<u64> = [1, 2, 3, 11, 12, 40].map(|it| doubled(it, WAIT_MAX).as_secs()).to_vec();
        assert_eq!(seconds, [2, 4, 8, 2048, 3600, 3600]);
        let waits: Vec<Duration> = (0..100).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(waits.iter().all(|it| (8_000..=12_000).contains(&it.as_millis())), "{waits:?}");
        assert!(waits.iter().any(|it| *it != waits[0]));
    }

    #[test]
    fn a_name_is_of_the_entry_and_not_of_its_place() {
        let entry = |url: &str, format| Notify {
            url: config::Secret::Env(url.to_owned()),
            format,
            ca_file: None,
            events: Vec::new(),
            teams: Vec::new(),
            environments: Vec::new(),
        };
        let slack = name(&entry("A", NotifyFormat::Slack));
        assert_eq!(slack, name(&Notify { teams: vec!["sre".to_owned()], ..entry("A", NotifyFormat::Slack) }));
        assert_ne!(slack, name(&entry("B", NotifyFormat::Slack)));
        assert_ne!(slack, name(&entry("A", NotifyFormat::Json(config::Secret::Env("K".to_owned())))));
    }
}
