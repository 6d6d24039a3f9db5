//! What does a call hold while it changes something? Its targets, and of an approved action its one turn.

use std::time::Duration;

use approval::{Ending, Lease, NotRunnable, Request as Waiting, Store};
use jiff::Timestamp;
use policy::Target;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Approvals, Gate, Refusal,
    approvals::{Grant, Hindrance},
    trail::Trail,
};

/// What a call that may change something holds while it does.
pub(crate) struct Hold {
    lease: Option<Lease>,
    approval: Option<Waiting>,
    /// Keeps both from running out; ends with this.
    _renewing: AbortOnDropHandle<()>,
}

/// Longest that an effect holds what it changes once its process is gone: past it, its outcome is unknown.
const HELD: Duration = Duration::from_secs(15);
/// How often a process says that it still does.
const RENEWED: Duration = Duration::from_secs(4);
/// Longest wait for a target that another call changes.
const LEASE_WAIT: Duration = Duration::from_secs(3);
/// How often it is asked meanwhile.
const LEASE_ASK: Duration = Duration::from_millis(100);

impl Gate {
    /// Takes what an effect needs for itself: its targets, that nothing is stopped, and of an approved action its one turn.
    /// All of it is durable before the intent.
    pub(crate) async fn hold(&self, trail: &mut Trail) -> Result<(), Refusal> {
        let Some(approvals) = self.approvals.as_ref().filter(|_| trail.acts() || trail.grant.is_some())
        else {
            return Ok(());
        };
        let held = Box::pin(self.held(approvals, trail)).await?;
        trail.hold = Some(held);
        Ok(())
    }

    async fn held(&self, approvals: &Approvals, trail: &Trail) -> Result<Box<Hold>, Hindrance> {
        let store = approvals.store().await?;
        let lease = match trail.acts() {
            true => Some(leased(store, trail).await?),
            false => None,
        };
        // Only now: an order to stop may come while others still change the same, and nothing that waited for them begins.
        let waiting = match turn(store, trail).await {
            Ok(waiting) => waiting,
            Err(refused) => {
                give_back(store, lease).await;
                return Err(refused);
            }
        };
        let recorded = match &waiting {
            Some(waiting) => self.step(waiting, "reserved").await,
            None => Ok(()),
        };
        let hold = Hold::new(store, lease, waiting);
        if let Err(refused) = recorded {
            self.let_go(Some(hold), Ending::Released).await;
            return Err(refused);
        }
        Ok(hold)
    }

    /// Gives back what a call held, with how it ended. What cannot be given back runs out by itself, and an approved action
    /// is unknown then: never repeated.
    pub(crate) async fn let_go(&self, hold: Option<Box<Hold>>, ending: Ending) {
        if let (Some(approvals), Some(hold)) = (&self.approvals, hold) {
            Box::pin(self.give_up(approvals, hold, ending)).await;
        }
    }

    async fn give_up(&self, approvals: &Approvals, hold: Box<Hold>, ending: Ending) {
        let Hold { lease, approval, _renewing } = *hold;
        let Ok(store) = approvals.store().await else { return };
        if let Some(waiting) = approval {
            // The log first: what it does not know to have ended has not.
            let recorded = self.step(&waiting, ending.word()).await;
            let kept = match recorded {
                Ok(()) => store.finish(&waiting.id, ending, Timestamp::now()).await.map_err(Hindrance::from),
                Err(refused) => Err(refused),
            };
            if let Err(error) = kept {
                if let Hindrance::Store(_) = error {
                    approvals.not_reported(&waiting.id, ending);
                }
                tracing::error!(%error, approval = %waiting.id, "how an approved action ended could not be kept; it becomes unknown");
            }
        }
        give_back(store, lease).await;
    }
}

impl Hold {
    fn new(store: &Store, lease: Option<Lease>, approval: Option<Waiting>) -> Box<Hold> {
        let (store, kept, id) = (store.clone(), lease.clone(), approval.as_ref().map(|it| it.id.clone()));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED).await;
                let now = Timestamp::now();
                if let Err(error) = store.renew(kept.as_ref(), id.as_deref(), HELD, now).await {
                    tracing::warn!(%error, "what a call holds may run out before it ends");
                }
            }
        });
        Box::new(Hold { lease, approval, _renewing: AbortOnDropHandle::new(renewing) })
    }
}

/// Waits a moment for others who change the same.
async fn leased(store: &Store, trail: &Trail) -> Result<Lease, Hindrance> {
    let name = |it: &Target| format!("{}/{}/{}", it.connection, it.kind, it.id);
    let targets: Vec<String> = trail.targets.iter().map(name).collect();
    let caller = &trail.request.caller;
    let person = caller.on_behalf_of.as_deref().map(|it| format!(" for {it}")).unwrap_or_default();
    let holder = format!("{}{person} ({})", caller.agent, trail.tool_name());
    let last = tokio::time::Instant::now() + LEASE_WAIT;
    loop {
        match store.lease(&targets, &holder, HELD, Timestamp::now()).await? {
            Ok(lease) => return Ok(lease),
            Err(held) if tokio::time::Instant::now() >= last => return Err(Hindrance::Busy(held)),
            Err(_) => tokio::time::sleep(LEASE_ASK).await,
        }
    }
}

/// That nothing is stopped, and of an approved action its one turn.
async fn turn(store: &Store, trail: &Trail) -> Result<Option<Waiting>, Hindrance> {
    let agent = &trail.request.caller.agent;
    let stops = store.stops().await?;
    let stop = stops.into_iter().find(|it| it.scope.covers(agent, trail.tool_name(), &trail.targets));
    if let Some(stop) = stop {
        return Err(Hindrance::Stopped(Box::new(stop)));
    }
    let Some(Grant { waiting }) = &trail.grant else { return Ok(None) };
    match store.reserve(&waiting.id, HELD, Timestamp::now()).await {
        Ok(waiting) => Ok(Some(waiting)),
        Err(NotRunnable::Store(error)) => Err(Hindrance::Store(error)),
        Err(other) => Err(Hindrance::NotApproved(other)),
    }
}

async fn give_back(store: &Store, lease: Option<Lease>) {
    let Some(lease) = lease else { return };
    if let Err(error) = store.give_back(&lease).await {
        tracing::error!(%error, "a target could not be given back; it is free again in a moment");
    }
}
