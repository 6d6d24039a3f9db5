//! What if people must agree first? The call is sealed and waits; once they agreed, exactly that is carried out, once.

use std::{
    sync::{Mutex, OnceLock},
    time::Duration,
};

use approval::{
    Ending, Held, NotRunnable, Place, Request as Waiting, Sealed, State, Stop, Store, StoreError, Subscriber,
    Wanted,
};
use audit::{AuditError, Log};
use jiff::Timestamp;
use policy::NeedsApproval;
use tokio::sync::{OnceCell, Semaphore};
use tool::Call;

use crate::{Gate, Refusal, agree::step_of, trail::Trail, waiting};

/// Where agreement is asked for, and on what terms. The store is opened when something first needs it.
pub struct Approvals {
    pub(crate) place: Place,
    terms: Terms,
    pub(crate) store: OnceCell<Store>,
    /// Who hears of what happens there.
    pub(crate) told: Vec<Subscriber>,
    pub(crate) log: OnceLock<Log>,
    /// What ended while the store was away.
    pub(crate) unreported: Mutex<Vec<(String, Ending)>>,
    /// Calls that wait for people at once; further ones hear how it stands without waiting.
    pub(crate) waiting: Semaphore,
}

/// How long, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long people have to agree.
    pub approve_within: Duration,
    /// How long after that the action can be carried out.
    pub execute_within: Duration,
    /// Most approvals of one person within an hour.
    pub approvals_per_hour: u64,
    /// Longest that one person may approve alone.
    pub break_glass_max: Duration,
    /// How long after that another has to look at it.
    pub review_within: Duration,
}

/// An approved action that is being carried out.
pub(crate) struct Grant {
    pub(crate) waiting: Waiting,
}

/// Why an approved action is not carried out, or a call not while others act.
#[derive(Debug, thiserror::Error)]
pub enum Hindrance {
    /// It is not approved, or not any more.
    #[error(transparent)]
    NotApproved(NotRunnable),
    /// It is not what was agreed to any more.
    #[error("approval `{approval}` is void: {why}; ask again")]
    Void {
        /// Which.
        approval: String,
        /// What changed.
        why: &'static str,
    },
    /// A person has stopped everything of the kind.
    #[error(
        "stopped by {} at {:.0} ({}): \"{}\". Nothing runs in this scope until another person resumes it (bailiwick resume {})",
        .0.by, .0.at, .0.scope.described(), .0.reason, .0.id
    )]
    Stopped(Box<Stop>),
    /// Another call changes it.
    #[error("{} is being changed by {}; try again when that has ended", .0.target, .0.holder)]
    Busy(Held),
    /// The store does not answer.
    #[error("nothing that needs the store of approvals can run: {0}")]
    Store(#[from] StoreError),
    /// The log does not take a step of it.
    #[error("not recorded, so refused: the log takes nothing; `bailiwick doctor` says more")]
    Unrecorded(#[source] AuditError),
}

impl Default for Terms {
    fn default() -> Terms {
        let minutes = |it: u64| Duration::from_secs(60 * it);
        Terms {
            approve_within: minutes(60),
            execute_within: minutes(15),
            approvals_per_hour: 30,
            break_glass_max: minutes(60),
            review_within: minutes(72 * 60),
        }
    }
}

/// Calls that wait for people at once.
const WAITING_MAX: usize = 32;

impl Approvals {
    /// Kept at `place`, on these terms.
    pub fn new(place: Place, terms: Terms) -> Approvals {
        let (store, waiting) = (OnceCell::new(), Semaphore::new(WAITING_MAX));
        let (log, unreported) = (OnceLock::new(), Mutex::default());
        Approvals { place, terms, store, told: Vec::new(), log, unreported, waiting }
    }

    /// The same, and these hear of it.
    pub fn telling(self, told: Vec<Subscriber>) -> Approvals {
        Approvals { told, ..self }
    }

    /// On what terms.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// A request of this very caller. Of others' there is none.
    pub(crate) async fn own(
        &self,
        id: &str,
        caller: &policy::Caller,
        now: Timestamp,
    ) -> Result<Waiting, Hindrance> {
        let store = self.store().await?;
        self.report_again(store).await?;
        let found = store.request(id, now).await?;
        let own = |it: &Waiting| {
            let asked = &it.sealed.caller;
            (&asked.agent, &asked.on_behalf_of) == (&caller.agent, &caller.on_behalf_of)
        };
        let missing = || Hindrance::NotApproved(NotRunnable::Missing(id.chars().take(64).collect()));
        found.filter(own).ok_or_else(missing)
    }
}

impl Gate {
    /// Puts the stored action in the place of a call that names its approval. From here on it is that call: parsed,
    /// resolved, decided and recorded like any other.
    pub(crate) async fn redeem(&self, trail: &mut Trail) -> Result<(), Refusal> {
        let Some(approvals) = self.approvals.as_ref().filter(|_| trail.request.tool == waiting::RUN) else {
            return Ok(());
        };
        let (_, tool) =
            self.find(waiting::RUN).ok_or_else(|| self.unknown_tool(&trail.request.caller, waiting::RUN))?;
        let call = tool.parse(trail.request.arguments.clone()).map_err(Refusal::arguments)?;
        let input = call.input();
        let id = input.get("approval").and_then(serde_json::Value::as_str).unwrap_or_default();
        let waiting = Box::pin(approvals.own(id, &trail.request.caller, trail.now)).await?;
        if waiting.state != State::Approved {
            return Err(Hindrance::NotApproved(NotRunnable::State(Box::new(waiting))).into());
        }
        trail.request.tool = waiting.sealed.tool.clone();
        trail.request.arguments = waiting.sealed.arguments.clone();
        trail.grant = Some(Grant { waiting });
        Ok(())
    }

    /// Refuses what is not to the letter what people agreed to: the action, what it touches, what it would overwrite, who
    /// asks, and the policy that asked for them.
    pub(crate) async fn same_as_approved(&self, call: &dyn Call, trail: &Trail) -> Result<(), Refusal> {
        match &trail.grant {
            Some(Grant { waiting }) => Box::pin(self.still_same(waiting, call, trail)).await,
            None => Ok(()),
        }
    }

    async fn still_same(&self, waiting: &Waiting, call: &dyn Call, trail: &Trail) -> Result<(), Refusal> {
        let before = call.before().await.map_err(Refusal::Unresolved)?;
        let schema = self.find(trail.tool_name()).map(|(_, it)| schema(&it.definition));
        let ended = self.glass_ended(waiting, trail.now).await?;
        let why = if let Some(why) = ended {
            why
        } else if waiting.policy != hex::encode(trail.policy.digest()) {
            "the policy changed"
        } else if schema.as_deref() != Some(waiting.sealed.schema.as_str()) {
            "the tool changed"
        } else if trail.targets != waiting.sealed.targets || before != waiting.sealed.before {
            "what it would change has changed"
        } else if waiting.call != hex::encode(trail.digest) {
            "the call or its caller changed"
        } else {
            return Ok(());
        };
        let approval = waiting.id.clone();
        if let Some(approvals) = &self.approvals {
            let store = approvals.store().await.map_err(Hindrance::from)?;
            // Whoever ended it meanwhile ended it too.
            if let Ok(ended) = store.end(&approval, State::Void, why, trail.now).await {
                self.step(&ended, "void").await?;
            }
        }
        Err(Hindrance::Void { approval, why }.into())
    }

    /// Why the glass that it was approved by permits it no longer, where it was by one.
    async fn glass_ended(
        &self,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<Option<&'static str>, Hindrance> {
        let (Some(id), Some(approvals)) = (waiting.by_glass(), &self.approvals) else { return Ok(None) };
        let glass = approvals.store().await?.glass(id).await?;
        let holds = glass.is_some_and(|it| it.holds(now));
        Ok((!holds).then_some("the break-glass that it was approved by has ended"))
    }

    /// Asks people, or joins what they are asked already. Whatever goes wrong, the call does not run.
    pub(crate) async fn ask(&self, call: &dyn Call, needed: NeedsApproval, trail: &mut Trail) -> Refusal {
        let nobody_may = needed.approvals > 0 && needed.who.is_empty();
        let Some(approvals) = self.approvals.as_ref().filter(|_| !nobody_may) else {
            return Refusal::NeedsApproval { needed, waiting: None };
        };
        match Box::pin(self.sealed(call, trail)).await {
            Err(refusal) => refusal,
            Ok(sealed) => {
                let Terms { approve_within, execute_within, .. } = approvals.terms;
                let wanted = Wanted {
                    sealed,
                    call: hex::encode(trail.digest),
                    policy: hex::encode(trail.policy.digest()),
                    approvals: needed.approvals,
                    confirm: needed.confirmed,
                    approve_within,
                    execute_within,
                };
                match Box::pin(self.asked(approvals, wanted, trail.now)).await {
                    Ok(waiting) => Refusal::NeedsApproval { needed, waiting: Some(Box::new(waiting)) },
                    Err(hindrance) => hindrance.into(),
                }
            }
        }
    }

    /// A request that the log knows.
    async fn asked(
        &self,
        approvals: &Approvals,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Waiting, Hindrance> {
        let (waiting, is_new) = approvals.store().await?.ask(wanted, now).await?;
        self.step(&waiting, if is_new { "asked" } else { "joined" }).await?;
        Ok(waiting)
    }

    pub(crate) async fn step(&self, waiting: &Waiting, step: &'static str) -> Result<(), Hindrance> {
        let recorded = self.log().transition(step_of(waiting, step)).await;
        recorded.map(drop).map_err(Hindrance::Unrecorded)
    }

    /// The call as people see it and as it will be carried out.
    async fn sealed(&self, call: &dyn Call, trail: &Trail) -> Result<Sealed, Refusal> {
        let before = call.before().await.map_err(Refusal::Unresolved)?;
        let (server, tool) = self
            .find(trail.tool_name())
            .ok_or_else(|| self.unknown_tool(&trail.request.caller, trail.tool_name()))?;
        let definition = &tool.definition;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)
            .map_err(|it| Hindrance::Store(StoreError::Unavailable(it.to_string())))?;
        Ok(Sealed {
            server: server.clone(),
            tool: definition.name.to_owned(),
            effect: definition.effect.word().to_owned(),
            undo: definition.undo.map_or("none", tool::Undo::word).to_owned(),
            schema: schema(definition),
            arguments: trail.input.clone(),
            targets: trail.targets.clone(),
            before,
            caller: trail.request.caller.clone(),
            nonce: hex::encode(nonce),
        })
    }
}

/// Digest of what a tool takes: under the same name another version may take something else.
fn schema(definition: &tool::Definition) -> String {
    let text = serde_json::to_string(&*definition.input).expect("a schema is plain data");
    hex::encode(audit::digest(text.as_bytes()))
}

impl From<Hindrance> for Refusal {
    fn from(hindrance: Hindrance) -> Refusal {
        Refusal::Hindered(hindrance)
    }
}

impl Hindrance {
    /// Stable word for clients, logs and tests.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Hindrance::NotApproved(_) => "not_approved",
            Hindrance::Void { .. } => "approval_void",
            Hindrance::Stopped(_) => "stopped",
            Hindrance::Busy(_) => "busy",
            Hindrance::Store(_) => "approvals_unavailable",
            Hindrance::Unrecorded(_) => "not_recorded",
        }
    }
}
