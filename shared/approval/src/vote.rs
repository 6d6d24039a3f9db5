//! Who agreed, and when is that enough?

use jiff::Timestamp;
use policy::{Assurance, Channel};
use sqlx::{Row, any::AnyRow};

use crate::{
    BreakGlass, Event, Request, State, Store, StoreError, glass,
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
    /// A person who broke the glass wants it done, whoever asked for it: that is as many approvals as are needed.
    BreakGlass,
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
    /// The break-glass that it is by.
    pub glass: Option<String>,
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
    #[error("`{0}` asked for it, has it done in their name or answers for the agent; ask somebody else")]
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
    /// They may not approve alone.
    #[error("`{0}` has broken no glass that holds now (bailiwick break-glass open)")]
    NoGlass(String),
    /// They may, and not this.
    #[error("request `{id}` is not all within `{glass}` ({scope})")]
    OutOfGlass {
        /// Which request.
        id: String,
        /// Which break-glass.
        glass: String,
        /// What that is about.
        scope: String,
    },
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
            VoteKind::BreakGlass => "break_glass",
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
        // First of all, as whoever closes it does, so that neither waits for the other.
        let glass = match kind {
            VoteKind::BreakGlass => {
                let used = glass::used(&mut change, voter, now).await?;
                Some(used.ok_or_else(|| VoteRefused::NoGlass(voter.name.clone()))?)
            }
            VoteKind::Approve | VoteKind::Confirm => None,
        };
        let before = ours(&mut change, id, now).await?;
        may_vote(&before, voter, kind)?;
        if let Some(glass) = &glass {
            glass.takes(&before)?;
        }
        if kind != VoteKind::Confirm {
            rested(&mut change, voter, most, now).await?;
        }
        sqlx::query(
            "INSERT INTO vote (approval, person, name, issuer, subject, kind, channel, assurance, comment, voted_at, glass) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
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
        .bind(glass.as_ref().map(|it| it.id.clone()).unwrap_or_default())
        .execute(&mut *change)
        .await?;
        let mut request = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        let settled = request.is_agreed();
        if settled || glass.is_some() {
            move_on(&mut change, id, settled, now).await?;
            request = read(&mut change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
        }
        self.tell_of_vote(&mut change, kind, &request, glass.as_ref(), (voter, comment), now).await?;
        change.commit().await?;
        Ok(Agreed { request, settled })
    }

    async fn tell_of_vote(
        &self,
        change: &mut sqlx::AnyConnection,
        kind: VoteKind,
        request: &Request,
        glass: Option<&BreakGlass>,
        (voter, comment): (&Voter, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = if kind == VoteKind::Confirm { Event::Confirmed } else { Event::Approved };
        let note = said(&voter.name, comment);
        let Some(glass) = glass else { return self.tell(change, event, request, &note, now).await };
        let by = format!("alone, by {}: {note}", glass.id);
        self.tell(change, event, request, &by, now).await?;
        let what = format!("{note}; approved {}: {}", request.id, request.sealed.heading());
        self.tell_of_glass(change, Event::Used, glass, what, now).await
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
                "break_glass" => VoteKind::BreakGlass,
                other => return Err(StoreError::Odd(format!("vote `{other}`"))),
            },
            channel: text(4)?,
            assurance: text(5)?,
            comment: text(6)?,
            at: moment(row.try_get(7)?)?,
            glass: Some(text(8)?).filter(|it| !it.is_empty()),
        })
    }
}

/// What no policy can change: an approval is another person's, proven, and counts once. Who broke the glass may be the person
/// whom it is for, and never the agent that asks.
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
    let person = caller.on_behalf_of.iter().filter(|_| kind != VoteKind::BreakGlass);
    let own = person.chain([&caller.agent]);
    if own.into_iter().any(|it| is_same_person(it, &voter.name)) {
        return Err(VoteRefused::Own(voter.name.clone()));
    }
    let same = |it: &crate::Vote| {
        is_same_person(&it.name, &voter.name) || (&it.issuer, &it.subject) == (&voter.issuer, &voter.subject)
    };
    match request.votes.iter().filter(|it| it.kind == kind).any(same) {
        true => Err(VoteRefused::Twice(voter.name.clone())),
        false => Ok(()),
    }
}

/// The open request, whose row is ours until the end: two who agree at once count one after the other.
async fn ours(change: &mut sqlx::AnyConnection, id: &str, now: Timestamp) -> Result<Request, VoteRefused> {
    let locked = sqlx::query(
        "UPDATE approval SET changed_at = $1 WHERE id = $2 AND state = 'pending' AND approve_by > $1",
    )
    .bind(millis(now))
    .bind(id.to_owned())
    .execute(&mut *change)
    .await?;
    let request = read(change, id).await?.ok_or_else(|| VoteRefused::Missing(id.to_owned()))?;
    match locked.rows_affected() {
        1 => Ok(request),
        _ => Err(VoteRefused::Closed { id: request.id, state: request.state, note: request.note }),
    }
}

/// Lets it be carried out, or waits for what is missing still. What was approved by a glass ends with it at the latest.
async fn move_on(
    change: &mut sqlx::AnyConnection,
    id: &str,
    settled: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let end = glass::first_end(change, id).await?.unwrap_or(i64::MAX);
    let step = match settled {
        true => {
            "UPDATE approval SET state = 'approved', changed_at = $1, \
             until = CASE WHEN $1 + execute_within < $2 THEN $1 + execute_within ELSE $2 END WHERE id = $3"
        }
        false => {
            "UPDATE approval SET changed_at = $1, \
             approve_by = CASE WHEN approve_by < $2 THEN approve_by ELSE $2 END WHERE id = $3"
        }
    };
    let step = sqlx::query(step).bind(millis(now)).bind(end).bind(id.to_owned());
    step.execute(change).await?;
    Ok(())
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
        sqlx::query_as("SELECT COUNT(*) FROM vote WHERE person = $1 AND kind <> 'confirm' AND voted_at > $2")
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
