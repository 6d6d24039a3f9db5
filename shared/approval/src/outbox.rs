//! How does nobody miss it? A notice is put down with the step that it tells of, and stays until somebody says that it arrived.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sqlx::AnyConnection;

use crate::{
    BreakGlass, Event, Notice, Request, Stop, Store, StoreError, Subscriber,
    ask::later,
    store::{fresh, millis, moment},
};

/// A notice that is ours to send, until its lease runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The same in every attempt: whoever hears twice can tell by it.
    pub id: String,
    /// What is told.
    pub notice: Notice,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it was put down.
    pub put_at: Timestamp,
    /// What the row holds while it is ours.
    due_at: i64,
}

/// What there is to tell somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Not delivered yet.
    pub waiting: u64,
    /// Never delivered, and not tried again. Forgotten after a week.
    pub given_up: u64,
    /// Why the latest attempt of those failed, where one did.
    pub problem: String,
}

/// How long is remembered what was never delivered, and kept what nobody here sends any more.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many of those that are due are tried for: others may take the first at the same moment.
const TRIED: i64 = 8;

/// Id, notice, attempts, when put, when due.
type Row = (String, String, i64, i64, i64);

impl Store {
    /// The same store, which tells these from now on.
    pub fn telling(self, whom: impl Into<Arc<[Subscriber]>>) -> Store {
        Store { told: whom.into(), ..self }
    }

    /// Puts down that a request has come so far, for everybody who wants to hear of it.
    pub(crate) async fn tell(
        &self,
        change: &mut AnyConnection,
        event: Event,
        request: &Request,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hears = |it: &&Subscriber| it.hears(event, &request.sealed.targets);
        self.put(change, || Notice::of_request(event, request, note, now), hears, now).await
    }

    /// The same of an order to stop.
    pub(crate) async fn tell_of_stop(
        &self,
        change: &mut AnyConnection,
        event: Event,
        stop: &Stop,
        note: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hears = |it: &&Subscriber| it.hears_of_scope(event, &stop.scope);
        self.put(change, || Notice::of_stop(event, stop, note, now), hears, now).await
    }

    /// The same of a glass that somebody broke.
    pub(crate) async fn tell_of_glass(
        &self,
        change: &mut AnyConnection,
        event: Event,
        glass: &BreakGlass,
        note: String,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hears = |it: &&Subscriber| it.hears_of_scope(event, &glass.scope);
        self.put(change, || Notice::of_glass(event, glass, note, now), hears, now).await
    }

    async fn put(
        &self,
        change: &mut AnyConnection,
        notice: impl FnOnce() -> Notice,
        hears: impl Fn(&&Subscriber) -> bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let whom: Vec<&Subscriber> = self.told.iter().filter(hears).collect();
        if whom.is_empty() {
            return Ok(());
        }
        let notice = serde_json::to_string(&notice()).expect("plain data");
        for it in whom {
            sqlx::query(
                "INSERT INTO outbox (id, destination, notice, state, put_at, due_at, attempts, problem) \
                 VALUES ($1, $2, $3, 'due', $4, $4, 0, '')",
            )
            .bind(fresh("ntf-")?)
            .bind(it.name.clone())
            .bind(notice.clone())
            .bind(millis(now))
            .execute(&mut *change)
            .await?;
        }
        // Whatever is that old was given up, or is for somebody whom nobody sends to any more.
        let old = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        sqlx::query("DELETE FROM outbox WHERE put_at <= $1").bind(millis(old)).execute(&mut *change).await?;
        Ok(())
    }

    /// Takes the notice for somebody that has been due longest, alone of all who try, to send it within `lease`. After that
    /// somebody else may. What time has ended is put down first.
    pub async fn take_due(
        &self,
        name: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Due>, StoreError> {
        self.settle(None, now).await?;
        self.settle_glasses(now).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, notice, attempts, put_at, due_at FROM outbox \
             WHERE destination = $1 AND state = 'due' AND due_at <= $2 ORDER BY due_at, put_at, id LIMIT $3",
        )
        .bind(name.to_owned())
        .bind(millis(now))
        .bind(TRIED)
        .fetch_all(&self.pool)
        .await?;
        for (id, notice, attempts, put_at, due_at) in rows {
            let until = millis(later(now, lease)).max(due_at + 1);
            let taken = sqlx::query(
                "UPDATE outbox SET due_at = $1, attempts = attempts + 1 WHERE id = $2 AND state = 'due' AND due_at = $3",
            )
            .bind(until)
            .bind(id.clone())
            .bind(due_at)
            .execute(&self.pool)
            .await?;
            if taken.rows_affected() == 1 {
                let notice = serde_json::from_str(&notice)
                    .map_err(|_| StoreError::Odd(format!("notification {id}")))?;
                let attempt = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
                return Ok(Some(Due { id, notice, attempt, put_at: moment(put_at)?, due_at: until }));
            }
        }
        Ok(None)
    }

    /// It arrived. Whoever else is sending it meanwhile finds nothing to say about it.
    pub async fn delivered(&self, due: &Due) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM outbox WHERE id = $1").bind(due.id.clone()).execute(&self.pool).await?;
        Ok(())
    }

    /// It did not arrive, and is due again then.
    pub async fn try_again(&self, due: &Due, problem: &str, at: Timestamp) -> Result<(), StoreError> {
        self.failed(due, "due", problem, at).await
    }

    /// It did not arrive, and is not tried again.
    pub async fn give_up(&self, due: &Due, problem: &str, now: Timestamp) -> Result<(), StoreError> {
        self.failed(due, "given_up", problem, now).await
    }

    /// Only for as long as it is ours: a late word does not end another's attempt.
    async fn failed(&self, due: &Due, state: &str, problem: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE outbox SET state = $1, problem = $2, due_at = $3 WHERE id = $4 AND due_at = $5")
            .bind(state.to_owned())
            .bind(problem.to_owned())
            .bind(millis(at))
            .bind(due.id.clone())
            .bind(due.due_at)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// What there is to tell somebody, and what nobody could tell them.
    pub async fn outbox(&self, name: &str) -> Result<Outbox, StoreError> {
        let count = async |state: &str| -> Result<u64, StoreError> {
            let (count,): (i64,) =
                sqlx::query_as("SELECT COUNT(*) FROM outbox WHERE destination = $1 AND state = $2")
                    .bind(name.to_owned())
                    .bind(state.to_owned())
                    .fetch_one(&self.pool)
                    .await?;
            Ok(u64::try_from(count).unwrap_or(0))
        };
        let problem: Option<(String,)> = sqlx::query_as(
            "SELECT problem FROM outbox WHERE destination = $1 AND problem <> '' ORDER BY due_at DESC, id LIMIT 1",
        )
        .bind(name.to_owned())
        .fetch_optional(&self.pool)
        .await?;
        let problem = problem.map(|it| it.0).unwrap_or_default();
        Ok(Outbox { waiting: count("due").await?, given_up: count("given_up").await?, problem })
    }
}
