//! The straight line.

use std::{
    cell::OnceCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use audit::{Admission, Log, Receipt, Standing};
use futures::FutureExt;
use policy::{Caller, Channel, Permit, Target};
use serde_json::{Map, Value};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tool::{Bound, Call, Context, Profile, RawAnswer};
use tracing::Instrument;

use crate::{
    Approvals, Decided,
    ending::Refusal,
    force::InForce,
    reply::{Reply, Told},
    shape::{Frame, refuse, shape},
    ticket::Tickets,
    trail::{Trail, listable},
};

/// Everything that calls share: tools, the policy in front of them and the log behind them.
pub struct Gate {
    pub(crate) tools: Vec<(String, Bound)>,
    pub(crate) profile: Profile,
    pub(crate) policy: InForce,
    log: Log,
    pub(crate) approvals: Option<Arc<Approvals>>,
    pub(crate) tickets: Option<Tickets>,
    deadline: Duration,
    tasks: TaskTracker,
    slots: Semaphore,
}

/// One tool call, as it came from a transport.
#[derive(Debug)]
pub struct Request {
    /// Who the transport and the configuration established the caller to be.
    pub caller: Caller,
    /// How it arrived.
    pub channel: Channel,
    /// What the client calls itself: recorded, never decided on.
    pub client: Option<String>,
    /// Tool name.
    pub tool: String,
    /// Arguments, unchecked.
    pub arguments: Map<String, Value>,
    /// Fires when the client gives up. The gate fires it too, when it waits no longer or has answered.
    pub cancelled: CancellationToken,
}

/// What the steps before the decision found out.
struct Ready {
    call: Box<dyn Call>,
    permit: Permit,
    admission: Admission,
}

impl Gate {
    /// Longest wait for one call.
    pub const DEADLINE: Duration = Duration::from_secs(30);
    /// Longest wait for the record of a call that was given up.
    const GRACE: Duration = Duration::from_secs(10);

    /// Calls under way at once; more wait for their turn.
    const SLOTS: usize = 128;

    /// Puts a policy and a log around tools, each with its server's name.
    pub fn new(tools: Vec<(String, Bound)>, policy: impl Into<InForce>, log: Log) -> Gate {
        let slots = Semaphore::new(Self::SLOTS);
        Gate {
            tools,
            profile: Profile::All,
            policy: policy.into(),
            log,
            approvals: None,
            tickets: None,
            deadline: Self::DEADLINE,
            tasks: TaskTracker::new(),
            slots,
        }
    }

    /// The same gate with another deadline.
    pub fn with_deadline(self, deadline: Duration) -> Gate {
        Gate { deadline, ..self }
    }

    /// The same gate, where people can be asked: without, what needs their agreement is refused.
    pub fn with_approvals(self, approvals: Arc<Approvals>) -> Gate {
        approvals.recorded_in(&self.log);
        Gate { approvals: Some(approvals), ..self }
    }

    /// The same gate with the tools of one profile only.
    pub fn with_profile(self, profile: Profile) -> Gate {
        Gate { profile, ..self }
    }

    /// The log behind the gate.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Runs one call. The line runs in a task of the gate's own, so that a caller who leaves ends the wait and never a
    /// write: a read stops and is recorded as stopped, a write runs to its end and is recorded by itself.
    pub async fn call(self: &Arc<Self>, request: Request) -> Reply {
        let (intent, mut begun) = watch::channel(None);
        let stop = request.cancelled.clone();
        // A transport that drops this future gives up too.
        let _dropped = stop.clone().drop_guard();
        let deadline = Instant::now() + self.deadline;
        let tool = self.find(&request.tool).map_or("(unknown)", |(_, it)| it.definition.name);
        let span = tracing::info_span!("call", tool, ended = tracing::field::Empty);
        // On the heap from the start: each step of its way into a task would copy all of it.
        let line = Box::pin(self.clone().line(request, intent, deadline)).instrument(span);
        let mut line = self.tasks.spawn(telemetry::carried(line));
        tokio::select! {
            reply = &mut line => return reply.unwrap_or_else(|_| Reply::crashed(begun.borrow().clone())),
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        stop.cancel();
        let known = begun.clone();
        tokio::select! {
            // What is known is told before what is not.
            biased;
            reply = line => reply.unwrap_or_else(|_| Reply::crashed(known.borrow().clone())),
            Ok(intent) = begun.wait_for(Option::is_some) => {
                let intent = intent.clone().expect("waited for it");
                Reply::not_waited_for(intent)
            }
            // Only a disk that hangs keeps a line this long; an effect that is admitted after this does not start.
            () = tokio::time::sleep(Self::GRACE) => Reply::of(Refusal::TimedOut(self.deadline), None, false),
        }
    }

    /// Records that something arrived which is not a call at all: a malformed or oversized line.
    pub async fn reject(&self, caller: &Caller, channel: Channel, problem: &str) {
        let entry = |problem| Trail::rejected(caller, channel, problem, self.policy());
        // That it arrived is recorded, whatever it was.
        let entry = catch_unwind(AssertUnwindSafe(|| entry(problem)))
            .unwrap_or_else(|_| entry("something that could not be made fit to keep"));
        if let Err(error) = self.log.record(entry).await {
            tracing::error!(%error, "a rejected message could not be recorded");
        }
    }

    /// Waits for writes that outlived their callers, then closes the log.
    pub async fn drain(&self, longest: Duration) {
        self.tasks.close();
        if tokio::time::timeout(longest, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                calls = self.tasks.len(),
                "left before these calls ended; the log will say unknown"
            );
            return;
        }
        if let Err(error) = self.log.close("end of service").await {
            tracing::error!(%error, "the log could not be closed");
        }
    }

    /// One call, start to finish.
    async fn line(
        self: Arc<Self>,
        request: Request,
        intent: watch::Sender<Option<Receipt>>,
        deadline: Instant,
    ) -> Reply {
        let stop = request.cancelled.clone();
        let mut trail = Box::new(Trail::new(request, self.policy()));
        trail.witnessed_seconds = self.log.witnessed_seconds();
        let _slot = tokio::select! {
            slot = self.slots.acquire() => slot.ok(),
            // Its turn did not come: what follows sees that it was given up.
            () = stop.cancelled() => None,
        };
        let attempt = AssertUnwindSafe(self.attempt(&mut trail, &intent, &stop, deadline)).catch_unwind();
        let ended = attempt.await.unwrap_or_else(|_| Err(trail.crashed()));
        let (hold, ending) = (trail.hold.take(), trail.ending(ended.as_ref().err()));
        let refunded = trail.counted.take().filter(|_| !trail.begun);
        let shaped = self.shape(ended, &trail);
        let reply = self.record(shaped, trail).await;
        self.let_go(hold, ending).await;
        self.uncount(refunded).await;
        tracing::Span::current().record("ended", reply.refusal.as_ref().map_or("ok", Refusal::code));
        reply
    }

    /// Everything up to the tool's end. Whatever panics in here, of ours or of a tool's, is a refusal like any other: told
    /// and recorded.
    async fn attempt(
        &self,
        trail: &mut Trail,
        intent: &watch::Sender<Option<Receipt>>,
        stop: &CancellationToken,
        deadline: Instant,
    ) -> Result<RawAnswer, Refusal> {
        let ready = self.prepare(trail, stop, deadline).await?;
        trail.admitted(&ready.admission);
        if trail.acts() && stop.is_cancelled() {
            // Its caller left while the intent was being written: it has not begun, and does not begin.
            return Err(self.gave_up(deadline));
        }
        intent.send_replace(trail.intent.clone());
        trail.begun = true;
        self.perform(ready, trail, stop, deadline).await
    }

    /// Everything that must hold before a tool runs, in order. Each step may refuse.
    async fn prepare(
        &self,
        trail: &mut Trail,
        stop: &CancellationToken,
        deadline: Instant,
    ) -> Result<Ready, Refusal> {
        self.redeem(trail).await?;
        let call = self.parse(trail)?;
        self.screen(&*call, trail)?;
        let resolving = tokio::time::timeout_at(deadline, self.resolve(&*call, trail));
        tokio::select! {
            resolved = resolving => resolved.map_err(|_| Refusal::TimedOut(self.deadline))??,
            () = stop.cancelled() => return Err(Refusal::Cancelled),
        }
        self.count(trail).await?;
        let permit = match self.decide(trail) {
            Err(Refusal::NeedsApproval { needed, .. }) => return Err(self.ask(&*call, needed, trail).await),
            decided => decided?,
        };
        self.hold(trail).await?;
        let admission = self.admit(trail, stop).await?;
        Ok(Ready { call, permit, admission })
    }

    /// Which tool, and which arguments: typed, defaults applied, nothing unknown. Pure.
    fn parse(&self, trail: &mut Trail) -> Result<Box<dyn Call>, Refusal> {
        let (name, caller) = (&trail.request.tool, &trail.request.caller);
        let (server, tool) = self.find(name).ok_or_else(|| self.unknown_tool(caller, name))?;
        let hidden = self.hidden(caller, name);
        trail.found(server, &tool.definition);
        hidden.map_or(Ok(()), Err)?;
        let call = tool.parse(trail.request.arguments.clone()).map_err(Refusal::arguments)?;
        trail.parsed(&*call);
        Ok(call)
    }

    /// Policy on what configuration alone knows, so that a call it certainly denies asks no backend. Pure.
    fn screen(&self, call: &dyn Call, trail: &mut Trail) -> Result<(), Refusal> {
        trail.targets = listable(call.targets().map_err(Refusal::Unresolved)?);
        let tool = trail.tool_name();
        let screened = trail.policy.screen(&trail.request.caller, tool, &trail.targets);
        screened.map_err(|it| self.with_way(Refusal::Denied(it), trail))
    }

    /// Narrows the targets by asking a backend, where a tool cannot know them otherwise. Read-only.
    async fn resolve(&self, call: &dyn Call, trail: &mut Trail) -> Result<(), Refusal> {
        let resolved = call.resolve().await.map_err(Refusal::Unresolved)?;
        // A call that turns out to touch nothing touches what the screen was asked about.
        if let Some(targets) = resolved.filter(|it| !it.is_empty()) {
            trail.targets = listable(targets);
        }
        trail.resolved()?;
        // From here on the call is held to the policy in force by now: a later one does not reach it.
        trail.policy = self.policy();
        self.look_up(trail).await;
        self.same_as_approved(call, trail).await
    }

    /// Policy over caller, call and facts. Pure.
    fn decide(&self, trail: &mut Trail) -> Result<Permit, Refusal> {
        let decided = trail.policy.decide(&trail.question());
        let permit = decided.map_err(|it| self.with_way(Refusal::from(it), trail))?;
        trail.permitted(&permit);
        Ok(permit)
    }

    /// A read: a slot in an open, writable log. An effect: a durable intent.
    async fn admit(&self, trail: &mut Trail, stop: &CancellationToken) -> Result<Admission, Refusal> {
        if stop.is_cancelled() {
            return Err(Refusal::Cancelled);
        }
        let admitted = match trail.acts() {
            false => self.log.admit_read(trail.digest),
            true => Box::pin(self.log.admit_effect(trail.digest, trail.intent())).await,
        };
        admitted.map_err(|error| {
            tracing::error!(%error, "a call could not be admitted");
            trail.not_begun(&error);
            Refusal::Unrecorded(error)
        })
    }

    /// The only place where a tool runs. A read stops when its caller gives up; an effect runs to its end.
    async fn perform(
        &self,
        ready: Ready,
        trail: &Trail,
        stop: &CancellationToken,
        deadline: Instant,
    ) -> Result<RawAnswer, Refusal> {
        let Ready { call, permit, admission } = ready;
        let caller = trail.request.caller.clone();
        let context = Context::new(caller, permit, admission, deadline, stop.clone(), trail.now)
            .map_err(|_| Refusal::Crashed)?
            .with_witnessed(trail.witnessed_seconds);
        let run = call.run(&context);
        let ran = match trail.acts() {
            true => run.await,
            false => tokio::select! {
                ran = run => ran,
                () = stop.cancelled() => return Err(self.gave_up(deadline)),
            },
        };
        ran.map_err(Refusal::Failed)
    }

    /// What of it may be told. An answer that breaks this is not told at all.
    fn shape(&self, ended: Result<RawAnswer, Refusal>, trail: &Trail) -> Told {
        let shaping = AssertUnwindSafe(|| self.shaped(ended, trail));
        catch_unwind(shaping).unwrap_or_else(|_| Reply::told(trail.crashed()))
    }

    /// Rows that policy hides dropped, secrets masked, text cleaned, the rest bounded and counted. Nothing is cut silently.
    fn shaped(&self, ended: Result<RawAnswer, Refusal>, trail: &Trail) -> Told {
        let question = trail.asked.then(|| trail.question());
        // Most answers have no row with a target of its own: the first that has one pays.
        let viewer = OnceCell::new();
        let shows = |target: &Target| {
            let viewer = viewer.get_or_init(|| question.as_ref().map(|it| trail.policy.viewer(it)));
            viewer.as_ref().is_some_and(|it| it.shows(target))
        };
        let reveal_pii = trail.policy.reveals(&trail.request.caller, &trail.circumstances(), "pii");
        let frame =
            Frame { tool: &trail.request.tool, max_tokens: trail.max_tokens, shows: &shows, reveal_pii };
        match ended {
            Ok(answer) => {
                let mut shaped = shape(answer, &frame);
                let there = trail.untrusted_facts.iter().filter(|it| shaped.structured.contains_key(**it));
                shaped.untrusted.extend(there.map(|it| (*it).to_owned()));
                (shaped, None)
            }
            Err(refusal) => (refuse(refusal.text(), &frame), Some(refusal)),
        }
    }

    /// The outcome, durable before the caller hears of it.
    async fn record(&self, (shaped, refusal): Told, mut trail: Box<Trail>) -> Reply {
        let effect = trail.intent.is_some();
        let entry = catch_unwind(AssertUnwindSafe(|| trail.outcome(&shaped, refusal.as_ref())));
        let (entry, shaped, refusal) = match entry {
            Ok(entry) => (entry, shaped, refusal),
            // Nobody hears of what the log does not know.
            Err(_) => {
                let (shaped, refusal) = Reply::told(trail.crashed());
                (trail.bare(refusal.as_ref()), shaped, refusal)
            }
        };
        let decided = Decided::of(&mut trail, refusal.as_ref());
        match self.log.record(entry).await {
            Ok(receipt) => {
                let warning = self.warning();
                Reply { shaped, refusal, receipt: Some(receipt), effect, warning, decided }
            }
            Err(error) => {
                tracing::error!(%error, "the outcome of a call could not be recorded");
                Reply::unrecorded(error, trail.intent)
            }
        }
    }

    /// When the disk fills, effects stop first and reads go on; whoever reads is told.
    fn warning(&self) -> Option<String> {
        match self.log.standing() {
            Standing::Open => self.log.uncollected(),
            standing => {
                tracing::warn!(%standing, "the log takes no effects");
                Some("the log's disk is nearly full: no effect will run until there is room".to_owned())
            }
        }
    }

    fn gave_up(&self, deadline: Instant) -> Refusal {
        match Instant::now() >= deadline {
            true => Refusal::TimedOut(self.deadline),
            false => Refusal::Cancelled,
        }
    }
}
