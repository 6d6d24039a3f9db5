//! What may a person say to a request? Policy and the store decide, and every step is a record.

use approval::{
    ActionScope, GlassRefused, Request as Waiting, State, Stop, Store, StoreError, VoteKind, VoteRefused,
    Voter, is_same_person,
};
use audit::{AuditError, Transition};
use jiff::Timestamp;
use policy::{Assurance, Caller, Channel, Circumstances, Denial, NeedsApproval, Question};
use serde_json::json;

use crate::{Approvals, Gate, glass::approver, trail::bounded};

/// A person with what their agreement is judged by.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who, and what proves it.
    pub voter: Voter,
    /// Their teams.
    pub teams: Vec<String>,
    /// The program that speaks for them, where their token names one: what it asked for itself, it does not approve.
    pub client: Option<String>,
    /// How long ago they last proved to be there, in seconds; none where nobody says.
    pub authenticated_seconds: Option<u64>,
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Another person wants it done.
    Approve,
    /// A person who broke the glass wants it done, alone and whoever asked for it.
    BreakGlass,
    /// The person at the keyboard wants it done.
    Confirm,
    /// It shall not be done.
    Deny,
    /// Whoever asked or agreed takes it back.
    Revoke,
}

/// Why what a person said does not count.
#[derive(Debug, thiserror::Error)]
pub enum AgreeRefused {
    /// The store does not take it.
    #[error(transparent)]
    Vote(#[from] VoteRefused),
    /// The glass stays whole, or as it is.
    #[error(transparent)]
    Glass(#[from] GlassRefused),
    /// Policy does not let them.
    #[error("denied by {}: {}{}", .0.policy.as_deref().unwrap_or("default"), .0.reason, instead(.0))]
    Policy(Denial),
    /// It is neither theirs nor have they agreed to it.
    #[error("`{0}` neither asked for it nor agreed to it, so there is nothing to take back; deny it instead")]
    NotTheirs(String),
    /// Nothing is kept here.
    #[error("no approvals are kept here")]
    NoStore,
    /// What the log does not take does not count.
    #[error("not recorded, so it does not count: {0}")]
    Unrecorded(AuditError),
}

/// Longest remark that is kept.
pub(crate) const COMMENT_BYTES_MAX: usize = 1000;

impl Gate {
    /// Takes what a person says to a request. It counts once it is in the log.
    pub async fn say(
        &self,
        person: &Person,
        id: &str,
        say: Say,
        comment: &str,
    ) -> Result<Waiting, AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        let now = Timestamp::now();
        let missing = || VoteRefused::Missing(id.chars().take(64).collect());
        let waiting = store.request(id, now).await.map_err(VoteRefused::Store)?.ok_or_else(missing)?;
        let comment = bounded(comment, COMMENT_BYTES_MAX);
        let voter = &person.voter;
        let agrees = matches!(say, Say::Approve | Say::BreakGlass | Say::Confirm);
        if agrees && waiting.state.is_open() && waiting.policy != hex::encode(self.policy().digest()) {
            // Who agrees now would agree to what another policy asked.
            let ended = store.end(id, State::Void, "the policy changed", now).await?;
            self.log().transition(step_of(&ended, "void")).await.map_err(AgreeRefused::Unrecorded)?;
            return Err(VoteRefused::Closed { id: ended.id, state: ended.state, note: ended.note }.into());
        }
        let after = match say {
            Say::Approve | Say::BreakGlass => {
                let kind = self.may_agree(store, person, &waiting, say, now).await?;
                let most = approvals.terms().approvals_per_hour;
                store.agree(id, voter, kind, &comment, most, now).await?.request
            }
            Say::Confirm => store.agree(id, voter, VoteKind::Confirm, &comment, u64::MAX, now).await?.request,
            Say::Deny => {
                let theirs = is_asked_by(&waiting, voter) || voter.assurance != Assurance::Token;
                if !theirs {
                    self.may_approve(person, &waiting, now).map_err(AgreeRefused::Policy)?;
                }
                store.end(id, State::Denied, &remark(voter, &comment), now).await?
            }
            Say::Revoke => {
                let agreed = waiting.votes.iter().any(|it| is_same_person(&it.name, &voter.name));
                if !agreed && !is_asked_by(&waiting, voter) {
                    return Err(AgreeRefused::NotTheirs(voter.name.clone()));
                }
                store.end(id, State::Revoked, &remark(voter, &comment), now).await?
            }
        };
        let mut step = step_of(&after, say.step());
        step.subject = format!("person:{}", voter.name);
        (step.channel, step.assurance) = (voter.channel.word(), voter.assurance.word());
        step.payload = json!({
            "by": voter.name, "issuer": voter.issuer, "subject": voter.subject, "comment": comment,
            "what": after.sealed.described(), "state": after.state.word(),
        });
        if say == Say::BreakGlass {
            step.payload["break_glass"] = json!(after.by_glass());
        }
        match self.log().transition(step).await {
            Ok(_) => Ok(after),
            Err(error) => {
                // An agreement that nobody can prove is none.
                let _void = store.end(id, State::Void, "an agreement could not be recorded", now).await;
                Err(AgreeRefused::Unrecorded(error))
            }
        }
    }

    /// Refuses the approval of whom policy does not let, and of the very program that asked.
    async fn may_agree(
        &self,
        store: &Store,
        person: &Person,
        waiting: &Waiting,
        say: Say,
        now: Timestamp,
    ) -> Result<VoteKind, AgreeRefused> {
        if say != Say::BreakGlass {
            self.permits(person, waiting, now)?;
            return Ok(VoteKind::Approve);
        }
        not_by_its_asker(person, waiting)?;
        let voter = &person.voter;
        let glass = store.glass_of(voter, now).await.map_err(VoteRefused::Store)?;
        let glass = glass.ok_or_else(|| VoteRefused::NoGlass(voter.name.clone()))?;
        self.may_use_glass(person, &glass, waiting, now).map_err(AgreeRefused::Policy)?;
        Ok(VoteKind::BreakGlass)
    }

    /// Whether a person's approval would count, as everything stands now. Only what they then say decides.
    pub fn would_count(&self, person: &Person, waiting: &Waiting) -> Result<(), AgreeRefused> {
        self.permits(person, waiting, Timestamp::now())?;
        Ok(waiting.takes(&person.voter, VoteKind::Approve)?)
    }

    /// Whether a person may end a request: it is theirs, or policy lets them approve it.
    pub fn may_end(&self, person: &Person, waiting: &Waiting) -> bool {
        is_asked_by(waiting, &person.voter) || self.may_approve(person, waiting, Timestamp::now()).is_ok()
    }

    /// Which rules want people to agree, as the policy in force says; nothing where it is another than the one that asked them, or
    /// where that takes more than the request to say.
    pub fn asks(&self, waiting: &Waiting) -> Option<NeedsApproval> {
        let policy = self.policy();
        if waiting.policy != hex::encode(policy.digest()) {
            return None;
        }
        // By which way the call came is not kept: a rule that looks at it may then be missing here.
        let circumstances = Circumstances::of(Channel::Http, Timestamp::now());
        match policy.decide(&question(waiting, circumstances)) {
            Err(policy::Refusal::NeedsApproval(needed)) => Some(needed),
            Ok(_) | Err(policy::Refusal::Denied(_)) => None,
        }
    }

    /// Whether a person may approve an action as far as policy goes, and the program that speaks for them.
    fn permits(&self, person: &Person, waiting: &Waiting, now: Timestamp) -> Result<(), AgreeRefused> {
        not_by_its_asker(person, waiting)?;
        let (asker, name) = (&waiting.sealed.caller.agent, &person.voter.name);
        if self.policy().owner(asker).is_some_and(|it| is_same_person(it, name)) {
            return Err(VoteRefused::Own(name.clone()).into());
        }
        self.may_approve(person, waiting, now).map_err(AgreeRefused::Policy)
    }

    /// Whether policy lets a person approve an action, as it stands now.
    pub(crate) fn may_approve(
        &self,
        person: &Person,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let question = question(waiting, self.around(person, now));
        self.policy().may_approve(&approver(person), &question).map(drop)
    }

    /// Refuses every effect in a scope from now on, and voids what waits in it. It holds even where the log does not take it:
    /// stopping is the safe side.
    pub async fn stop(
        &self,
        person: &Person,
        scope: ActionScope,
        reason: &str,
    ) -> Result<(Stop, Vec<String>), AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        let reason = bounded(reason, COMMENT_BYTES_MAX);
        let stopped = store.stop(scope, &reason, &person.voter.name, Timestamp::now()).await;
        let (stop, voided) = stopped.map_err(VoteRefused::Store)?;
        let payload = json!({ "by": stop.by, "comment": stop.reason, "scope": stop.scope.described(), "voided": voided });
        self.order(person, ("stop", "stopped"), &stop.id, payload).await?;
        for id in &voided {
            let waiting = store.request(id, Timestamp::now()).await.map_err(VoteRefused::Store)?;
            if let Some(waiting) = waiting {
                let step = step_of(&waiting, "void");
                self.log().transition(step).await.map_err(AgreeRefused::Unrecorded)?;
            }
        }
        Ok((stop, voided))
    }

    /// Lifts an order that another person gave, once the log has it: `false` where there is none, or it is their own.
    pub async fn resume(&self, person: &Person, id: &str) -> Result<bool, AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        let stops = store.stops().await.map_err(VoteRefused::Store)?;
        let name = &person.voter.name;
        let Some(stop) = stops.into_iter().find(|it| it.id == id && !is_same_person(&it.by, name)) else {
            return Ok(false);
        };
        let payload = json!({ "by": name, "comment": "", "stopped_by": stop.by, "reason": stop.reason });
        self.order(person, ("stop", "resumed"), id, payload).await?;
        Ok(store.resume(id, name, Timestamp::now()).await.map_err(VoteRefused::Store)?)
    }

    /// Records what a person orders that is about no one action.
    pub(crate) async fn order(
        &self,
        person: &Person,
        (what, step): (&'static str, &'static str),
        id: &str,
        payload: serde_json::Value,
    ) -> Result<(), AgreeRefused> {
        let voter = &person.voter;
        let transition = Transition {
            what,
            step,
            reference: Some(id.to_owned()),
            subject: format!("person:{}", voter.name),
            channel: voter.channel.word(),
            assurance: voter.assurance.word(),
            policy: self.policy().digest(),
            call: [0; 32],
            payload,
        };
        self.log().transition(transition).await.map(drop).map_err(AgreeRefused::Unrecorded)
    }

    /// Records what time has done to requests: nobody agreed in time, nobody carried it out, nobody said how it ended.
    pub async fn tell_settled(&self) -> Result<(), AgreeRefused> {
        let Some(approvals) = &self.approvals else { return Ok(()) };
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        approvals.report_again(store).await.map_err(VoteRefused::Store)?;
        for waiting in store.untold(Timestamp::now()).await.map_err(VoteRefused::Store)? {
            let mut step = step_of(&waiting, waiting.state.word());
            step.subject = "bailiwick".to_owned();
            if let Err(error) = self.log().transition(step).await {
                store.tell_again(&waiting.id).await.map_err(VoteRefused::Store)?;
                return Err(AgreeRefused::Unrecorded(error));
            }
        }
        self.tell_ended_glasses(store).await
    }

    /// Where people are asked, if anywhere.
    pub fn approvals(&self) -> Option<&Approvals> {
        self.approvals.as_deref()
    }

    /// The newest requests in some states, newest first.
    pub async fn requests(&self, states: &[State], most: u32) -> Result<Vec<Waiting>, StoreError> {
        let Some(approvals) = &self.approvals else { return Ok(Vec::new()) };
        approvals.store().await?.requests(states, most, Timestamp::now()).await
    }
}

impl Say {
    fn step(self) -> &'static str {
        match self {
            Say::Approve | Say::BreakGlass => "approved",
            Say::Confirm => "confirmed",
            Say::Deny => "denied",
            Say::Revoke => "revoked",
        }
    }
}

/// A step of a request that the gate takes by itself.
pub(crate) fn step_of(waiting: &Waiting, step: &'static str) -> Transition {
    let Caller { agent, on_behalf_of, assurance, .. } = &waiting.sealed.caller;
    let person = on_behalf_of.as_deref().map(|it| format!(" person:{it}")).unwrap_or_default();
    let digest = |text: &str| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| bytes).unwrap_or_default()
    };
    Transition {
        what: "approval",
        step,
        reference: Some(waiting.id.clone()),
        subject: format!("agent:{agent}{person}"),
        channel: "bailiwick",
        assurance: assurance.word(),
        policy: digest(&waiting.policy),
        call: digest(&waiting.call),
        payload: json!({ "by": agent, "what": waiting.sealed.described() }),
    }
}

/// What a request asks of policy. Its digest only names the question: nothing is carried out by it.
pub(crate) fn question(waiting: &Waiting, circumstances: Circumstances) -> Question<'_> {
    let sealed = &waiting.sealed;
    let mut digest = [0; 32];
    let _no_digest = hex::decode_to_slice(&waiting.call, &mut digest);
    Question {
        caller: &sealed.caller,
        tool: &sealed.tool,
        input: &sealed.arguments,
        targets: &sealed.targets,
        digest,
        circumstances,
    }
}

/// Refuses the very program that asked, whoever it speaks for.
fn not_by_its_asker(person: &Person, waiting: &Waiting) -> Result<(), AgreeRefused> {
    let asker = &waiting.sealed.caller.agent;
    match person.client.as_ref().filter(|it| is_same_person(it, asker)) {
        Some(client) => Err(VoteRefused::Own(client.clone()).into()),
        None => Ok(()),
    }
}

fn is_asked_by(waiting: &Waiting, voter: &Voter) -> bool {
    waiting.sealed.caller.on_behalf_of.as_ref().is_some_and(|it| is_same_person(it, &voter.name))
}

/// Why it ended, in the words of whoever ended it.
fn remark(voter: &Voter, comment: &str) -> String {
    if comment.is_empty() { format!("by {}", voter.name) } else { format!("by {}: {comment}", voter.name) }
}

fn instead(denial: &Denial) -> String {
    denial.instead.as_ref().map(|it| format!("; {it}")).unwrap_or_default()
}
