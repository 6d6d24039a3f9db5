//! May it be carried out, and was it? Each action at most once.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Request, State, Store, StoreError, ask::later, request::read, store::millis};

/// How an action that was begun ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was carried out, with or without success.
    Consumed,
    /// Nobody knows.
    Unknown,
    /// It was not begun: it can be carried out still.
    Released,
}

/// Why an action is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NotRunnable {
    /// It is not approved, or not any more.
    #[error("{}", why(.0))]
    State(Box<Request>),
    /// There is no such request.
    #[error("no request `{0}` of this caller")]
    Missing(String),
    /// It cannot be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Ending {
    /// The word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Ending::Consumed => "consumed",
            Ending::Unknown => "unknown",
            Ending::Released => "released",
        }
    }
}

impl Store {
    /// Takes an approved action, alone of all who try, to carry it out within `longest`. After that nobody waits for its
    /// end, and it is unknown.
    pub async fn reserve(&self, id: &str, longest: Duration, now: Timestamp) -> Result<Request, NotRunnable> {
        self.settle(Some(id), now).await?;
        let mut change = self.change().await.map_err(NotRunnable::Store)?;
        let taken = sqlx::query(
            "UPDATE approval SET state = 'reserved', holder = $1, held_until = $2, changed_at = $3 \
             WHERE id = $4 AND state = 'approved' AND until > $3 AND NOT EXISTS (SELECT 1 FROM vote JOIN break_glass \
             ON break_glass.id = vote.glass WHERE vote.approval = approval.id \
             AND (break_glass.closed_at > 0 OR break_glass.until <= $3))",
        )
        .bind(self.holder().to_owned())
        .bind(millis(later(now, longest)))
        .bind(millis(now))
        .bind(id.to_owned())
        .execute(&mut *change)
        .await
        .map_err(StoreError::from)?;
        let request = read(&mut change, id).await?.ok_or_else(|| NotRunnable::Missing(id.to_owned()))?;
        change.commit().await.map_err(StoreError::from)?;
        match taken.rows_affected() {
            1 => Ok(request),
            _ => Err(NotRunnable::State(Box::new(request))),
        }
    }

    /// Says how a reserved action ended, and that the log knows. What time has called unknown meanwhile stays so.
    pub async fn finish(&self, id: &str, how: Ending, now: Timestamp) -> Result<(), StoreError> {
        let (state, note) = match how {
            Ending::Consumed => ("consumed", "it was carried out"),
            Ending::Unknown => ("unknown", "it was begun, and nobody knows how it ended"),
            Ending::Released if self.reopen(id, now).await? => return Ok(()),
            Ending::Released => ("void", "it was not begun, and the same was asked for again meanwhile"),
        };
        let mut change = self.change().await?;
        let ended = sqlx::query(
            "UPDATE approval SET state = $1, note = $2, changed_at = $3, told = 1 WHERE id = $4 AND state = 'reserved'",
        )
        .bind(state)
        .bind(note)
        .bind(millis(now))
        .bind(id.to_owned())
        .execute(&mut *change)
        .await?;
        if ended.rows_affected() == 1 {
            self.tell_ended(&mut change, &[(id.to_owned(),)], now).await?;
        } else if how == Ending::Unknown {
            sqlx::query("UPDATE approval SET told = 1 WHERE id = $1 AND state = 'unknown'")
                .bind(id.to_owned())
                .execute(&mut *change)
                .await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// What was not begun can be carried out still, as long as before; unless another request for the same is open by now.
    async fn reopen(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let reopened = sqlx::query(
            "UPDATE approval SET state = 'approved', note = '', changed_at = $1 WHERE id = $2 AND state = 'reserved' \
             AND NOT EXISTS (SELECT 1 FROM approval AS other WHERE other.call = approval.call \
             AND other.state IN ('pending', 'approved'))",
        )
        .bind(millis(now))
        .bind(id.to_owned())
        .execute(&self.pool)
        .await?;
        Ok(reopened.rows_affected() == 1)
    }

    /// What was begun under this holder's log, before it held the log, and of whose end the log does not know: whoever began it
    /// is gone, because a log has one holder at a time.
    pub async fn left_behind(&self, now: Timestamp) -> Result<Vec<Request>, StoreError> {
        if self.holder().is_empty() {
            return Ok(Vec::new());
        }
        self.settle(None, now).await?;
        let mut connection = self.pool.acquire().await?;
        let left: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM approval WHERE (state = 'reserved' OR (state = 'unknown' AND told = 0)) AND holder = $1 \
             ORDER BY changed_at, id",
        )
        .bind(self.holder().to_owned())
        .fetch_all(&mut *connection)
        .await?;
        let mut requests = Vec::new();
        for (id,) in left {
            requests.extend(read(&mut connection, &id).await?);
        }
        Ok(requests)
    }
}

/// What a caller is told who wants to carry it out.
fn why(request: &Request) -> String {
    let Request { id, state, note, .. } = request;
    let more = if note.is_empty() { String::new() } else { format!(" ({note})") };
    match state {
        State::Pending => {
            let missing = request.approvals.saturating_sub(request.counted());
            let wait = "wait with await_approval";
            match (missing, request.confirm && !request.confirmed()) {
                (0, _) => format!("`{id}` waits for the person at the keyboard to confirm; {wait}"),
                (1, _) => format!("`{id}` waits for one more person; {wait}"),
                (n, _) => format!("`{id}` waits for {n} more people; {wait}"),
            }
        }
        State::Approved if request.by_glass().is_some() => {
            format!("`{id}` was approved by a break-glass that has ended; ask again")
        }
        State::Approved => format!("`{id}` is approved"),
        State::Reserved => format!(
            "`{id}` is being carried out by another call; it runs once, and is unknown where nobody reports its end by {:.0}",
            request.until
        ),
        State::Consumed => format!("`{id}` was carried out already; ask again if it is needed again"),
        State::Denied => {
            format!("`{id}` was denied{more}; do not ask for the same again without a person's word")
        }
        State::Expired => format!("`{id}` has expired{more}; ask again"),
        State::Revoked => format!("`{id}` was revoked{more}"),
        State::Void => format!("`{id}` is void{more}; ask again"),
        State::Unknown => {
            format!(
                "`{id}` was begun and its outcome is unknown{more}; look at the system, it is never repeated"
            )
        }
    }
}
