//! Who approves alone, for how long, and who looked at it afterwards? A glass is broken by one person, for a while, and
//! reviewed by another.

mod over;
mod rows;

use std::time::Duration;

use jiff::Timestamp;
use policy::Assurance;
use serde_json::{Value, json};

pub(crate) use self::rows::{first_end, used};
use crate::{
    ActionScope, Request, Sealed, StoreError, VoteRefused, Voter, ask::later, person::is_same_person,
    store::fresh,
};

/// Leave of one person to approve alone what is in its scope, until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakGlass {
    /// What people call it.
    pub id: String,
    /// What it is about.
    pub scope: ActionScope,
    /// Why, in the words of whoever opened it.
    pub reason: String,
    /// Who opened it.
    pub by: String,
    /// What proved them.
    pub issuer: String,
    /// Whom that means.
    pub subject: String,
    /// When.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it ended, and who ended it: nobody where time did.
    pub closed: Option<(Timestamp, String)>,
    /// Until when another person has to look at it.
    pub review_by: Timestamp,
    /// Who has.
    pub review: Option<Review>,
}

/// What another person said of it afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub by: String,
    /// What.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// Why a glass is not opened, closed or reviewed.
#[derive(Debug, thiserror::Error)]
pub enum GlassRefused {
    /// Only a token proves a person.
    #[error("a person breaks the glass by a token of an identity provider, at a server; here nothing but `{}` says who it is", .0.word())]
    Unproven(Assurance),
    /// It has no end, or too late a one.
    #[error("for {asked}: expected 1m to {most} ([approvals] break_glass_max)")]
    Long {
        /// For how long it was to be.
        asked: String,
        /// At most.
        most: String,
    },
    /// Nobody says what for.
    #[error("{0}: expected why, for everybody who hears of it")]
    Silent(&'static str),
    /// Nobody would hear of it.
    #[error(
        "nobody would hear of it, so the glass stays whole: add an [[approvals.notify]] that is told of `opened` in this scope"
    )]
    Unheard,
    /// One at a time.
    #[error(
        "`{id}` of the same person holds until {until:.0}; approve by it, or close it (bailiwick break-glass close {id})"
    )]
    Open {
        /// Which.
        id: String,
        /// Until when.
        until: Timestamp,
    },
    /// What they opened before waits for another person.
    #[error(
        "`{id}` of the same person should have been reviewed by {since:.0}; another person does first (bailiwick break-glass review {id})"
    )]
    Overdue {
        /// Which.
        id: String,
        /// Since when.
        since: Timestamp,
    },
    /// There is none.
    #[error("no break-glass `{0}`; bailiwick break-glass list shows those there are")]
    Missing(String),
    /// It has ended already.
    #[error("`{id}` has ended at {at:.0}")]
    Ended {
        /// Which.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// What still holds is not reviewed.
    #[error("`{id}` holds until {until:.0}; close it first (bailiwick break-glass close {id})")]
    Holds {
        /// Which.
        id: String,
        /// Until when.
        until: Timestamp,
    },
    /// Another person reviews.
    #[error(
        "`{0}` opened it, asked for what was approved by it or answers for the agent; another person reviews it"
    )]
    Own(String),
    /// Once is enough.
    #[error("`{id}` was reviewed by {by} already")]
    Reviewed {
        /// Which.
        id: String,
        /// By whom.
        by: String,
    },
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for GlassRefused {
    fn from(error: sqlx::Error) -> GlassRefused {
        GlassRefused::Store(error.into())
    }
}

impl BreakGlass {
    /// One that holds from now on, once it is opened.
    pub fn draft(
        scope: ActionScope,
        reason: &str,
        voter: &Voter,
        longest: Duration,
        review_within: Duration,
        now: Timestamp,
    ) -> Result<BreakGlass, StoreError> {
        let until = later(now, longest);
        Ok(BreakGlass {
            id: fresh("bg-")?,
            scope,
            reason: reason.to_owned(),
            by: voter.name.clone(),
            issuer: voter.issuer.clone(),
            subject: voter.subject.clone(),
            opened_at: now,
            until,
            closed: None,
            review_by: later(until, review_within),
            review: None,
        })
    }

    /// Whether it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.closed.is_none() && now < self.until
    }

    /// For how many minutes it was opened; what is less than one is one.
    pub fn minutes(&self) -> u64 {
        let seconds = self.until.as_second().saturating_sub(self.opened_at.as_second());
        u64::try_from(seconds).unwrap_or(0).div_ceil(60)
    }

    /// How far it has come, in a word.
    pub fn state(&self, now: Timestamp) -> &'static str {
        match (&self.review, self.holds(now)) {
            (Some(_), _) => "reviewed",
            (None, true) => "open",
            (None, false) if now >= self.review_by => "overdue",
            (None, false) => "unreviewed",
        }
    }

    /// All of it, for a program, with what was approved by it.
    pub fn facts(&self, approved: &[Request], now: Timestamp) -> Value {
        let action = |it: &Request| {
            json!({
                "approval": it.id, "state": it.state.word(), "what": it.sealed.heading(),
                "agent": it.sealed.caller.agent, "for": it.sealed.caller.on_behalf_of,
            })
        };
        let review = self.review.as_ref();
        let closed_at = self.closed.as_ref().map(|it| it.0);
        json!({
            "break_glass": self.id, "state": self.state(now), "scope": self.scope, "reason": self.reason,
            "by": self.by, "opened_at": self.opened_at, "until": self.until, "ended_at": closed_at,
            "closed_by": self.closed.as_ref().map(|it| &it.1).filter(|it| !it.is_empty()),
            "review_by": self.review_by,
            "review": review.map(|it| json!({ "by": it.by, "comment": it.comment, "at": it.at })),
            "approved": approved.iter().map(action).collect::<Vec<_>>(),
        })
    }

    /// Refuses what is not all within its scope.
    pub(crate) fn takes(&self, request: &Request) -> Result<(), VoteRefused> {
        let Sealed { caller, tool, targets, .. } = &request.sealed;
        match self.scope.holds_all(&caller.agent, tool, targets) {
            true => Ok(()),
            false => Err(VoteRefused::OutOfGlass {
                id: request.id.clone(),
                glass: self.id.clone(),
                scope: self.scope.described(),
            }),
        }
    }

    /// Whether somebody is the one who opened it, to the letter.
    fn is_of(&self, voter: &Voter) -> bool {
        (&self.by, &self.issuer, &self.subject) == (&voter.name, &voter.issuer, &voter.subject)
    }

    /// Whether somebody may be the one who opened it, whatever names they go by.
    pub fn may_be_of(&self, voter: &Voter) -> bool {
        is_same_person(&self.by, &voter.name)
            || (&self.issuer, &self.subject) == (&voter.issuer, &voter.subject)
    }
}

impl BreakGlass {
    fn ended(&self) -> GlassRefused {
        let at = self.closed.as_ref().map_or(self.until, |it| it.0);
        GlassRefused::Ended { id: self.id.clone(), at }
    }

    fn reviewable(&self, voter: &Voter, now: Timestamp) -> Result<(), GlassRefused> {
        if let Some(Review { by, .. }) = &self.review {
            return Err(GlassRefused::Reviewed { id: self.id.clone(), by: by.clone() });
        }
        if voter.assurance != Assurance::Token {
            return Err(GlassRefused::Unproven(voter.assurance));
        }
        if self.may_be_of(voter) {
            return Err(GlassRefused::Own(voter.name.clone()));
        }
        match self.holds(now) {
            true => Err(GlassRefused::Holds { id: self.id.clone(), until: self.until }),
            false => Ok(()),
        }
    }
}
