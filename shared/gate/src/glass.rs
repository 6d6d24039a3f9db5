//! May somebody approve alone for a while? Policy says who; the log, the clock and another person's look afterwards stay.

use std::time::Duration;

use approval::{ActionScope, BreakGlass, GlassRefused, Request as Waiting, StoreError, is_same_person};
use audit::Transition;
use jiff::{SignedDuration, Timestamp};
use policy::{Approver, Assurance, Breaking, Circumstances, Denial, Target, UNKNOWN};
use serde_json::{Value, json};

use crate::{
    AgreeRefused, Gate, Person,
    agree::{COMMENT_BYTES_MAX, question, step_of},
    trail::bounded,
};

/// What somebody breaks the glass for.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What they want to approve alone.
    pub scope: ActionScope,
    /// Why, for everybody who hears of it.
    pub reason: String,
    /// For how long.
    pub longest: Duration,
}

/// Shortest that a glass is broken for.
const SHORTEST: Duration = Duration::from_secs(60);

impl Gate {
    /// Breaks the glass for a person whom policy lets: until it ends they may approve alone what is in its scope. It counts
    /// once it is in the log, and only where somebody hears of it.
    pub async fn open_glass(&self, person: &Person, opening: Opening) -> Result<BreakGlass, AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        let (terms, now) = (approvals.terms(), Timestamp::now());
        let Opening { scope, reason, longest } = opening;
        if person.voter.assurance != Assurance::Token {
            return Err(GlassRefused::Unproven(person.voter.assurance).into());
        }
        if !(SHORTEST..=terms.break_glass_max).contains(&longest) {
            let (asked, most) = (plain(longest), plain(terms.break_glass_max));
            return Err(GlassRefused::Long { asked, most }.into());
        }
        let reason = bounded(reason.trim(), COMMENT_BYTES_MAX);
        if reason.is_empty() {
            return Err(GlassRefused::Silent("reason").into());
        }
        let within = terms.review_within;
        let glass = BreakGlass::draft(scope, &reason, &person.voter, longest, within, now);
        let glass = glass.map_err(GlassRefused::Store)?;
        let (targets, circumstances) = ([place(&glass.scope)], self.around(person, now));
        let breaking = Breaking::Open { targets: &targets, circumstances: &circumstances };
        let allowed = self.policy().may_break_glass(&approver(person), glass.minutes(), &breaking);
        let permitted_by = allowed.map_err(|it| AgreeRefused::Policy(with_way(it)))?;
        let store = approvals.store().await.map_err(GlassRefused::Store)?;
        store.may_open_glass(&glass, now).await?;
        let payload = json!({
            "by": glass.by, "comment": glass.reason, "scope": glass.scope.described(), "until": glass.until,
            "review_by": glass.review_by, "policies": permitted_by,
        });
        self.order(person, ("break_glass", "opened"), &glass.id, payload).await?;
        if let Err(refused) = store.open_glass(&glass, now).await {
            let payload = json!({ "by": glass.by, "comment": format!("it was not opened: {refused}") });
            self.order(person, ("break_glass", "closed"), &glass.id, payload).await?;
            return Err(refused.into());
        }
        Ok(glass)
    }

    /// Ends one before its time, whoever opened it, and voids what was approved by it and not carried out. It holds even
    /// where the log does not take it: closing is the safe side.
    pub async fn close_glass(
        &self,
        person: &Person,
        id: &str,
        comment: &str,
    ) -> Result<(BreakGlass, Vec<String>), AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        if person.voter.assurance != Assurance::Token {
            return Err(GlassRefused::Unproven(person.voter.assurance).into());
        }
        let store = approvals.store().await.map_err(GlassRefused::Store)?;
        let comment = bounded(comment, COMMENT_BYTES_MAX);
        let (glass, voided) = store.close_glass(id, &person.voter.name, &comment, Timestamp::now()).await?;
        let payload = json!({
            "by": person.voter.name, "comment": comment, "opened_by": glass.by, "voided": voided,
        });
        self.order(person, ("break_glass", "closed"), &glass.id, payload).await?;
        for id in &voided {
            let waiting = store.request(id, Timestamp::now()).await.map_err(GlassRefused::Store)?;
            if let Some(waiting) = waiting {
                let step = step_of(&waiting, "void");
                self.log().transition(step).await.map_err(AgreeRefused::Unrecorded)?;
            }
        }
        Ok((glass, voided))
    }

    /// Takes what another person says of one that has ended, once the log has it: somebody who may approve all that was
    /// approved by it, and had nothing of it done.
    pub async fn review_glass(
        &self,
        person: &Person,
        id: &str,
        comment: &str,
    ) -> Result<BreakGlass, AgreeRefused> {
        let approvals = self.approvals.as_ref().ok_or(AgreeRefused::NoStore)?;
        let comment = bounded(comment.trim(), COMMENT_BYTES_MAX);
        if comment.is_empty() {
            return Err(GlassRefused::Silent("comment").into());
        }
        let store = approvals.store().await.map_err(GlassRefused::Store)?;
        let now = Timestamp::now();
        let glass = store.may_review_glass(id, &person.voter, now).await?;
        let approved = store.approved_by_glass(&glass.id, now).await.map_err(GlassRefused::Store)?;
        for waiting in &approved {
            let caller = &waiting.sealed.caller;
            let policy = self.policy();
            let mut whose = caller.on_behalf_of.as_deref().into_iter().chain(policy.owner(&caller.agent));
            let own = whose.any(|it| is_same_person(it, &person.voter.name));
            let agents = person.client.as_ref().is_some_and(|it| is_same_person(it, &caller.agent));
            if own || agents {
                return Err(GlassRefused::Own(person.voter.name.clone()).into());
            }
            self.may_approve(person, waiting, now).map_err(AgreeRefused::Policy)?;
        }
        let payload = json!({
            "by": person.voter.name, "comment": comment, "opened_by": glass.by,
            "approved": approved.iter().map(|it| &it.id).collect::<Vec<_>>(),
        });
        self.order(person, ("break_glass", "reviewed"), &glass.id, payload).await?;
        Ok(store.review_glass(id, &person.voter, &comment, now).await?)
    }

    /// Those that hold or wait for a review, newest first, with what was approved by them, for a program; the reviewed ones
    /// too where `all` are asked for.
    pub async fn glasses(&self, all: bool) -> Result<Vec<Value>, StoreError> {
        let Some(approvals) = &self.approvals else { return Ok(Vec::new()) };
        let now = Timestamp::now();
        let found = approvals.store().await?.glasses(all, now).await?;
        Ok(found.iter().map(|(glass, approved)| glass.facts(approved, now)).collect())
    }

    /// Whether policy lets a person approve this alone, by a glass of theirs, as both stand now.
    pub(crate) fn may_use_glass(
        &self,
        person: &Person,
        glass: &BreakGlass,
        waiting: &Waiting,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let question = question(waiting, self.around(person, now));
        let breaking = Breaking::Use(&question);
        let allowed = self.policy().may_break_glass(&approver(person), glass.minutes(), &breaking);
        allowed.map(drop).map_err(with_way)
    }

    /// Records those that time has ended.
    pub(crate) async fn tell_ended_glasses(&self, store: &approval::Store) -> Result<(), AgreeRefused> {
        for glass in store.untold_glasses(Timestamp::now()).await.map_err(GlassRefused::Store)? {
            let step = Transition {
                what: "break_glass",
                step: "closed",
                reference: Some(glass.id.clone()),
                subject: "bailiwick".to_owned(),
                channel: "bailiwick",
                assurance: Assurance::OsUser.word(),
                policy: self.policy().digest(),
                call: [0; 32],
                payload: json!({ "by": "bailiwick", "comment": "its time is over", "opened_by": glass.by }),
            };
            if let Err(error) = self.log().transition(step).await {
                store.tell_of_glass_again(&glass.id).await.map_err(GlassRefused::Store)?;
                return Err(AgreeRefused::Unrecorded(error));
            }
        }
        Ok(())
    }

    /// What surrounds what a person says.
    pub(crate) fn around(&self, person: &Person, now: Timestamp) -> Circumstances {
        let witnessed_seconds = self.log().witnessed_seconds();
        Circumstances { witnessed_seconds, ..Circumstances::of(person.voter.channel, now) }
    }
}

/// A person as policy knows them.
pub(crate) fn approver(person: &Person) -> Approver {
    Approver {
        person: person.voter.name.clone(),
        teams: person.teams.clone(),
        assurance: person.voter.assurance,
        authenticated_seconds: person.authenticated_seconds,
    }
}

/// All that a scope stands for, as policy is asked about it: what it does not name could be anything, and counts as such.
fn place(scope: &ActionScope) -> Target {
    let word = |it: &Option<String>| it.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    Target {
        kind: "scope".into(),
        id: "any".to_owned(),
        connection: scope.connection.clone().unwrap_or_else(|| "any".to_owned()),
        environment: word(&scope.environment),
        region: UNKNOWN.to_owned(),
        team: word(&scope.team),
        tier: UNKNOWN.to_owned(),
    }
}

/// A refusal that no rule explains says which would permit it, and what else there is to do.
fn with_way(denial: Denial) -> Denial {
    const WAY: &str = "a policy has to permit Action::\"break_glass\" to them here (what the scope does not name counts as unknown, \
                       so name --team or --environment where the rule does); else ask somebody who may approve";
    let instead = denial.instead.clone().or_else(|| denial.policy.is_none().then(|| WAY.to_owned()));
    Denial { instead, ..denial }
}

/// As a person writes it.
fn plain(it: Duration) -> String {
    let seconds = i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}
