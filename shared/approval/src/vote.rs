//! Who agreed, and when is that enough?

use jiff::Timestamp;
use policy::{Assurance, Channel};
use sqlx::{Row, any::AnyRow};

use crate::{
    Event, Request, State, Store, StoreError,
    notify::said,
    person::{folded, is_same_person},
    request::read,
    store::{millis, moment},
};

/// A person, as whatever proved them says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// What policies call them.
    pub name: String,
    /// What proved them, e.g. the issuer of a token.
    pub issuer: String,
    /// Whom that means by it, to the letter.
    pub subject: String,
    /// How well that proves them.
    pub assurance: Assurance,
    /// By which way they came.
    pub channel: Channel,
}

/// What somebody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// Another person wants it done.
    Approve,
    /// The person at the keyboard wants it done.
    Confirm,
}

/// One person's agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// What policies call them.
    pub name: String,
    /// What proved them.
    pub issuer: String,
    /// Whom that means.
    pub subject: String,
    /// What they said.
    pub kind: VoteKind,
    /// By which way they came, in a word.
    pub channel: String,
    /// How well they were proven, in a word.
    pub assurance: String,
    /// What they remarked.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// What a vote came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The request with the vote in it.
    pub request: Request,
    /// Whether it was the last that was missing.
    pub settled: bool,
}

/// Why a vote does not count.
#[derive(Debug, thiserror::Error)]
pub enum VoteRefused {
    /// There is no such request.
    #[error("no request `{0}`; bailiwick approvals list shows those that wait")]
    Missing(String),
    /// It waits for nobody any more.
    #[error("request `{id}` is {}, so nobody can agree to it{}", state.word(), told(note))]
    Closed {
        /// Which.
        id: String,
        /// How it ended.
        state: State,
        /// Why.
        note: String,
    },
    /// Nobody approves what is done on their own behalf.
    #[error("`{0}` asked for it or has it done in their name; ask somebody else")]
    Own(String),
    /// Each person counts once.
    #[error("`{0}` has agreed already; another person has to")]
    Twice(String),
    /// Nobody asked for that kind of agreement.
    #[error("request `{id}` needs {needed}")]
    Unwanted {
        /// Which.
        id: String,
        /// What it needs.
        needed: &'static str,
    },
    /// Only a token proves another person.
    #[error("a person approves by a token of an identity provider; here nothing but `{}` says who it is", .0.word())]
    Unproven(Assurance),
    /// Who agrees to everything looks at nothing.
    #[error(
        "`{name}` has approved {count} requests within the hour, and {most} is the most; let another person look"
    )]
    Tired {
        /// Who.
        name: String,
        /// How many.
        count: u64,
        /// At most.
        most: u64,
    },
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for VoteRefused {
    fn from(error: sqlx::Error) -> VoteRefused {
        VoteRefused::Store(error.into())
    }
}

impl VoteKind {
    /// The word in the store, in answers and in the log.
    pub fn word(self) -> &'static str {
        match self {
            VoteKind::Approve => "approve",
            VoteKind::Confirm => "confirm",
        }
    }
}

impl Request {
    /// Whether a person's agreement of a kind could count, whatever policy says: it is another person's, proven, and counts once.
    pub fn takes(&self, voter: &Voter, kind: VoteKind) -> Result<(), VoteRefused> {
        match self.state {
            State::Pending => may_vote(self, voter, kind),
            state => Err(VoteRefused::Closed { id: self.id.clone(), state, note: self.note.clone() }),
        }
    }
}

impl Store {
    /// Counts a person's agreement. That policy lets this person approve was asked before. At most `most` approvals of one
    /// person count within an hour.
    pub async fn agree(
        &self,
        id: &str,
        voter: &Voter,
        kind: VoteKind,
        comment: &str,
        most: u64,
        now: Timestamp,
    ) -> Result<Agreed, VoteRefused> {
        self.settle(Some(id), now).await?;
        let mut change = self.change().await?;
        // The row is ours until the end: two who agree at once count one after the other.
        let locked = sqlx::query(
            "UPDATE approval SET changed_at = $1 WHERE id = $2 AND state = 'pending' AND approve_by > $1",
        )
        .bind(millis(now))
        .bind(id.to_owned())
        .execute(&mut *change)
        .await?;
        let before = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        if locked.rows_affected() != 1 {
            let Request { id, state, note, .. } = before;
            return Err(VoteRefused::Closed { id, state, note });
        }
        may_vote(&before, voter, kind)?;
        if kind == VoteKind::Approve {
            rested(&mut change, voter, most, now).await?;
        }
        sqlx::query(
            "INSERT INTO vote (approval, person, name, issuer, subject, kind, channel, assurance, comment, voted_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id.to_owned())
        .bind(folded(&voter.name))
        .bind(voter.name.clone())
        .bind(voter.issuer.clone())
        .bind(voter.subject.clone())
        .bind(kind.word())
        .bind(voter.channel.word())
        .bind(voter.assurance.word())
        .bind(comment.to_owned())
        .bind(millis(now))
        .execute(&mut *change)
        .await?;
        let mut request = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        let settled = request.is_agreed();
        if settled {
            sqlx::query(
                "UPDATE approval SET state = 'approved', until = $1 + execute_within, changed_at = $1 WHERE id = $2",
            )
            .bind(millis(now))
            .bind(id.to_owned())
            .execute(&mut *change)
            .await?;
            request = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        }
        let event = if kind == VoteKind::Approve { Event::Approved } else { Event::Confirmed };
        self.tell(&mut change, event, &request, &said(&voter.name, comment), now).await?;
        change.commit().await?;
        Ok(Agreed { request, settled })
    }

    /// Ends an open request for good, with why: somebody said no ([`State::Denied`]), took it back ([`State::Revoked`]), or
    /// it is not what was agreed to any more ([`State::Void`]).
    pub async fn end(
        &self,
        id: &str,
        how: State,
        note: &str,
        now: Timestamp,
    ) -> Result<Request, VoteRefused> {
        self.settle(Some(id), now).await?;
        let mut change = self.change().await?;
        let ended = sqlx::query(
            "UPDATE approval SET state = $1, note = $2, changed_at = $3 \
             WHERE id = $4 AND state IN ('pending', 'approved')",
        )
        .bind(how.word())
        .bind(note.to_owned())
        .bind(millis(now))
        .bind(id.to_owned())
        .execute(&mut *change)
        .await?;
        let request = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        if let (1, Some(event)) = (ended.rows_affected(), Event::ended(how)) {
            self.tell(&mut change, event, &request, note, now).await?;
        }
        change.commit().await?;
        match ended.rows_affected() {
            1 => Ok(request),
            _ => Err(VoteRefused::Closed { id: request.id, state: request.state, note: request.note }),
        }
    }
}

impl Vote {
    pub(crate) fn read(row: &AnyRow) -> Result<Vote, StoreError> {
        let text = |at: usize| row.try_get::<String, _>(at);
        Ok(Vote {
            name: text(0)?,
            issuer: text(1)?,
            subject: text(2)?,
            kind: match text(3)?.as_str() {
                "approve" => VoteKind::Approve,
                "confirm" => VoteKind::Confirm,
                other => return Err(StoreError::Odd(format!("vote `{other}`"))),
            },
            channel: text(4)?,
            assurance: text(5)?,
            comment: text(6)?,
            at: moment(row.try_get(7)?)?,
        })
    }
}

/// What no policy can change: an approval is another person's, proven, and counts once.
fn may_vote(request: &Request, voter: &Voter, kind: VoteKind) -> Result<(), VoteRefused> {
    let caller = &request.sealed.caller;
    if kind == VoteKind::Confirm {
        return match (request.confirm, request.confirmed()) {
            (true, false) => Ok(()),
            (true, true) => Err(VoteRefused::Twice(voter.name.clone())),
            (false, _) => {
                let needed = "another person's approval; a confirmation at the keyboard does not count";
                Err(VoteRefused::Unwanted { id: request.id.clone(), needed })
            }
        };
    }
    if request.approvals == 0 {
        let needed = "a confirmation of the person at the keyboard";
        return Err(VoteRefused::Unwanted { id: request.id.clone(), needed });
    }
    if voter.assurance != Assurance::Token {
        return Err(VoteRefused::Unproven(voter.assurance));
    }
    let own = caller.on_behalf_of.iter().chain([&caller.agent]);
    if own.into_iter().any(|it| is_same_person(it, &voter.name)) {
        return Err(VoteRefused::Own(voter.name.clone()));
    }
    let same = |it: &crate::Vote| {
        is_same_person(&it.name, &voter.name) || (&it.issuer, &it.subject) == (&voter.issuer, &voter.subject)
    };
    match request.votes.iter().filter(|it| it.kind == VoteKind::Approve).any(same) {
        true => Err(VoteRefused::Twice(voter.name.clone())),
        false => Ok(()),
    }
}

/// Refuses the approval of somebody who approves too much to look at any of it.
async fn rested(
    change: &mut sqlx::AnyConnection,
    voter: &Voter,
    most: u64,
    now: Timestamp,
) -> Result<(), VoteRefused> {
    const HOUR_MS: i64 = 3_600_000;
    // The row is ours until the end: approvals of one person count one after the other. No caller has this name.
    sqlx::query(
        "INSERT INTO counted (caller, turn) VALUES ($1, 1) ON CONFLICT (caller) DO UPDATE SET turn = counted.turn + 1",
    )
    .bind(format!("approver\u{1f}\u{1f}{}", folded(&voter.name)))
    .execute(&mut *change)
    .await?;
    let (count,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM vote WHERE person = $1 AND kind = 'approve' AND voted_at > $2")
            .bind(folded(&voter.name))
            .bind(millis(now) - HOUR_MS)
            .fetch_one(change)
            .await?;
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    match count >= most {
        true => Err(VoteRefused::Tired { name: voter.name.clone(), count, most }),
        false => Ok(()),
    }
}

fn told(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}
