//! What is known of a request for agreement?

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Event, Sealed, Store, StoreError, Vote, VoteKind,
    store::{millis, moment},
};

/// What time has ended by $1, each state by an index of its own.
macro_rules! due {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " WHERE ((state = 'pending' AND approve_by <= $1) OR (state = 'approved' AND until <= $1) \
             OR (state = 'reserved' AND held_until <= $1))",
            $tail
        )
    };
}

/// Writes it down.
macro_rules! settle {
    ($tail:literal) => {
        due!(
            "UPDATE approval SET changed_at = $1, note = CASE state WHEN 'pending' THEN 'nobody agreed in time' \
             WHEN 'approved' THEN CASE WHEN EXISTS (SELECT 1 FROM vote JOIN break_glass ON break_glass.id = vote.glass \
             WHERE vote.approval = approval.id AND break_glass.until <= $1) \
             THEN 'the break-glass that it was approved by has ended' ELSE 'nobody carried it out in time' END \
             ELSE 'it was begun, and nobody reported its end' END, \
             state = CASE state WHEN 'reserved' THEN 'unknown' ELSE 'expired' END",
            $tail
        )
    };
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// People are asked.
    Pending,
    /// Enough people agreed; it may be carried out.
    Approved,
    /// It is being carried out.
    Reserved,
    /// It was carried out.
    Consumed,
    /// Somebody said no.
    Denied,
    /// Nobody agreed in time, or nobody carried it out in time.
    Expired,
    /// Whoever asked or agreed took it back.
    Revoked,
    /// What was agreed to is not what would be done any more, or everything was stopped.
    Void,
    /// It was begun, and nobody knows how it ended.
    Unknown,
}

/// One request for agreement to one exact action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What people and agents call it.
    pub id: String,
    /// What would be done.
    pub sealed: Sealed,
    /// SHA-256 of the call it is, in hex.
    pub call: String,
    /// Digest of the policy that wanted agreement, in hex.
    pub policy: String,
    /// How many people have to approve.
    pub approvals: u8,
    /// Whether the person at the keyboard has to confirm.
    pub confirm: bool,
    /// How far it has come.
    pub state: State,
    /// Why it ended.
    pub note: String,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Until when people can agree.
    pub approve_by: Timestamp,
    /// Until when it can be carried out; of one that is being carried out, until when its end is waited for.
    pub until: Timestamp,
    /// Who agreed.
    pub votes: Vec<Vote>,
}

impl State {
    /// Every state.
    pub const ALL: [State; 9] = [
        State::Pending,
        State::Approved,
        State::Reserved,
        State::Consumed,
        State::Denied,
        State::Expired,
        State::Revoked,
        State::Void,
        State::Unknown,
    ];

    /// The word in the store, in answers and in the log.
    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Reserved => "reserved",
            State::Consumed => "consumed",
            State::Denied => "denied",
            State::Expired => "expired",
            State::Revoked => "revoked",
            State::Void => "void",
            State::Unknown => "unknown",
        }
    }

    /// The state of that word.
    pub fn of(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|it| it.word() == word)
    }

    /// Whether it can still be carried out.
    pub fn is_open(self) -> bool {
        matches!(self, State::Pending | State::Approved)
    }
}

impl Request {
    /// How many people have approved.
    pub fn approved(&self) -> u8 {
        let count = self.votes.iter().filter(|it| it.kind != VoteKind::Confirm).count();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// How many approvals those count as: one by a break-glass is as many as are needed.
    pub fn counted(&self) -> u8 {
        if self.by_glass().is_some() { self.approved().max(self.approvals) } else { self.approved() }
    }

    /// The break-glass that it was approved by, if it was by one.
    pub fn by_glass(&self) -> Option<&str> {
        self.votes.iter().find_map(|it| it.glass.as_deref())
    }

    /// Whether the person at the keyboard has confirmed.
    pub fn confirmed(&self) -> bool {
        self.votes.iter().any(|it| it.kind == VoteKind::Confirm)
    }

    /// All of it, for a program.
    pub fn facts(&self) -> Value {
        let vote = |it: &Vote| {
            json!({
                "who": it.name, "kind": it.kind.word(), "assurance": it.assurance, "channel": it.channel,
                "comment": it.comment, "at": it.at, "break_glass": it.glass,
            })
        };
        json!({
            "approval": self.id, "state": self.state.word(), "note": self.note, "what": self.sealed.described(),
            "where": self.sealed.places(),
            "action": self.sealed, "approvals": self.approvals, "confirm": self.confirm,
            "votes": self.votes.iter().map(vote).collect::<Vec<_>>(),
            "asked_at": self.asked_at, "approve_by": self.approve_by, "until": self.until,
        })
    }

    pub(crate) fn is_agreed(&self) -> bool {
        self.counted() >= self.approvals && (self.confirmed() || !self.confirm)
    }
}

impl Store {
    /// One request, as it stands at this moment.
    pub async fn request(&self, id: &str, now: Timestamp) -> Result<Option<Request>, StoreError> {
        self.settle(Some(id), now).await?;
        let mut connection = self.pool.acquire().await?;
        read(&mut connection, id).await
    }

    /// The newest requests in these states, at most `most`, newest first.
    pub async fn requests(
        &self,
        states: &[State],
        most: u32,
        now: Timestamp,
    ) -> Result<Vec<Request>, StoreError> {
        self.settle(None, now).await?;
        let mut found = Vec::new();
        for state in states {
            let rows = sqlx::query(
                "SELECT id, asked_at FROM approval WHERE state = $1 ORDER BY asked_at DESC, id LIMIT $2",
            )
            .bind(state.word())
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
            for row in rows {
                found.push((row.try_get::<i64, _>(1)?, row.try_get::<String, _>(0)?));
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        found.truncate(most as usize);
        let mut connection = self.pool.acquire().await?;
        let mut requests = Vec::new();
        for (_, id) in found {
            requests.extend(read(&mut connection, &id).await?);
        }
        Ok(requests)
    }

    /// How many requests are in a state.
    pub async fn count(&self, state: State, now: Timestamp) -> Result<u64, StoreError> {
        self.settle(None, now).await?;
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM approval WHERE state = $1")
            .bind(state.word())
            .fetch_one(&self.pool)
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Requests that time has ended and nobody has told the log of, each handed to one who asks.
    pub async fn untold(&self, now: Timestamp) -> Result<Vec<Request>, StoreError> {
        self.settle(None, now).await?;
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM approval WHERE told = 0 AND state IN ('expired', 'unknown') ORDER BY changed_at LIMIT 100",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut untold = Vec::new();
        for (id,) in ids {
            let taken = sqlx::query("UPDATE approval SET told = 1 WHERE id = $1 AND told = 0")
                .bind(id.clone())
                .execute(&self.pool)
                .await?;
            if taken.rows_affected() == 1 {
                let mut connection = self.pool.acquire().await?;
                untold.extend(read(&mut connection, &id).await?);
            }
        }
        Ok(untold)
    }

    /// Takes back that the log knows of an end.
    pub async fn tell_again(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE approval SET told = 0 WHERE id = $1")
            .bind(id.to_owned())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Writes down what time has done: open requests that ran out, and begun ones whose end nobody reported.
    pub(crate) async fn settle(&self, id: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        // Mostly there is nothing, and who only looks shall not wait for those who write.
        let due: Option<(String,)> = match id {
            Some(id) => {
                let look = sqlx::query_as(due!("SELECT id FROM approval", " AND id = $2 LIMIT 1"));
                look.bind(millis(now)).bind(id.to_owned()).fetch_optional(&self.pool).await?
            }
            None => {
                let look = sqlx::query_as(due!("SELECT id FROM approval", " LIMIT 1"));
                look.bind(millis(now)).fetch_optional(&self.pool).await?
            }
        };
        if due.is_none() {
            return Ok(());
        }
        let mut change = self.change().await?;
        let ended: Vec<(String,)> = match id {
            Some(id) => {
                let end = sqlx::query_as(settle!(" AND id = $2 RETURNING id"));
                end.bind(millis(now)).bind(id.to_owned()).fetch_all(&mut *change).await?
            }
            None => {
                let end = sqlx::query_as(settle!(" RETURNING id"));
                end.bind(millis(now)).fetch_all(&mut *change).await?
            }
        };
        self.tell_ended(&mut change, &ended, now).await?;
        Ok(change.commit().await?)
    }

    /// Puts down for whoever wants to hear of it that these have ended.
    pub(crate) async fn tell_ended(
        &self,
        change: &mut AnyConnection,
        ended: &[(String,)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (id,) in ended.iter().filter(|_| !self.told.is_empty()) {
            let Some(request) = read(change, id).await? else { continue };
            if let Some(event) = Event::ended(request.state) {
                self.tell(change, event, &request, &request.note, now).await?;
            }
        }
        Ok(())
    }
}

/// A request with its votes.
pub(crate) async fn read(connection: &mut AnyConnection, id: &str) -> Result<Option<Request>, StoreError> {
    let row = sqlx::query(
        "SELECT id, call, sealed, policy, approvals, confirm, state, note, asked_at, approve_by, \
         CASE state WHEN 'reserved' THEN held_until ELSE until END FROM approval WHERE id = $1",
    )
    .bind(id.to_owned())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let votes = sqlx::query(
        "SELECT name, issuer, subject, kind, channel, assurance, comment, voted_at, glass FROM vote \
         WHERE approval = $1 ORDER BY voted_at, person",
    )
    .bind(id.to_owned())
    .fetch_all(&mut *connection)
    .await?;
    let votes = votes.iter().map(Vote::read).collect::<Result<_, _>>()?;
    request(&row, votes).map(Some)
}

fn request(row: &AnyRow, votes: Vec<Vote>) -> Result<Request, StoreError> {
    let text = |at: usize| row.try_get::<String, _>(at);
    let number = |at: usize| row.try_get::<i64, _>(at);
    let id = text(0)?;
    let odd = |what: &str| StoreError::Odd(format!("{what} of {id}"));
    Ok(Request {
        call: text(1)?,
        sealed: serde_json::from_str(&text(2)?).map_err(|_| odd("action"))?,
        policy: text(3)?,
        approvals: u8::try_from(number(4)?).map_err(|_| odd("number of approvals"))?,
        confirm: number(5)? != 0,
        state: State::of(&text(6)?).ok_or_else(|| odd("state"))?,
        note: text(7)?,
        asked_at: moment(number(8)?)?,
        approve_by: moment(number(9)?)?,
        until: moment(number(10)?)?,
        votes,
        id,
    })
}
