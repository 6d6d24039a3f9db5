//! How does a request begin? Once for one call, however often it is asked for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Event, Request, Sealed, Store, StoreError,
    request::read,
    store::{fresh, millis},
};

/// What is asked of people.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The action.
    pub sealed: Sealed,
    /// SHA-256 of the call, in hex.
    pub call: String,
    /// Digest of the policy that wants agreement, in hex.
    pub policy: String,
    /// How many people have to approve.
    pub approvals: u8,
    /// Whether the person at the keyboard has to confirm.
    pub confirm: bool,
    /// How long people have to agree.
    pub approve_within: Duration,
    /// How long after that it can be carried out.
    pub execute_within: Duration,
}

impl Store {
    /// The open request for a call: a new one (`true`), or the one that is open already. One that another policy wanted is
    /// void, and a new one begins.
    pub async fn ask(&self, wanted: Wanted, now: Timestamp) -> Result<(Request, bool), StoreError> {
        // The one that is open can end between two looks at it; that one begins anew right then is rare.
        for _ in 0..8 {
            if let Some(asked) = self.join_or_begin(&wanted, now).await? {
                return Ok(asked);
            }
        }
        Err(StoreError::Odd(format!("requests for call {} that end as soon as they begin", wanted.call)))
    }

    async fn join_or_begin(
        &self,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<Option<(Request, bool)>, StoreError> {
        let id = fresh("apr-")?;
        let approve_by = later(now, wanted.approve_within);
        let within = i64::try_from(wanted.execute_within.as_millis()).unwrap_or(i64::MAX);
        let mut change = self.change().await?;
        let steps = [
            "UPDATE approval SET state = 'expired', note = 'nobody agreed in time', changed_at = $1 \
             WHERE call = $2 AND state = 'pending' AND approve_by <= $1 AND $3 <> '' RETURNING id",
            "UPDATE approval SET state = 'expired', note = 'nobody carried it out in time', changed_at = $1 \
             WHERE call = $2 AND state = 'approved' AND until <= $1 AND $3 <> '' RETURNING id",
            "UPDATE approval SET state = 'void', note = 'the policy changed', changed_at = $1 \
             WHERE call = $2 AND state IN ('pending', 'approved') AND policy <> $3 RETURNING id",
        ];
        for step in steps {
            let ended: Vec<(String,)> = sqlx::query_as(step)
                .bind(millis(now))
                .bind(wanted.call.clone())
                .bind(wanted.policy.clone())
                .fetch_all(&mut *change)
                .await?;
            self.tell_ended(&mut change, &ended, now).await?;
        }
        let made = sqlx::query(
            "INSERT INTO approval (id, call, sealed, policy, approvals, confirm, state, note, asked_at, approve_by, \
             until, execute_within, changed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'pending', '', $7, $8, $8, $9, $7) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(wanted.call.clone())
        .bind(wanted.sealed.text())
        .bind(wanted.policy.clone())
        .bind(i64::from(wanted.approvals))
        .bind(i64::from(wanted.confirm))
        .bind(millis(now))
        .bind(millis(approve_by))
        .bind(within)
        .execute(&mut *change)
        .await?;
        let open: Option<(String,)> =
            sqlx::query_as("SELECT id FROM approval WHERE call = $1 AND state IN ('pending', 'approved')")
                .bind(wanted.call.clone())
                .fetch_optional(&mut *change)
                .await?;
        let request = match open {
            Some((open,)) => read(&mut change, &open).await?,
            None => None,
        };
        let is_new = made.rows_affected() == 1;
        // Each statement sees what others have committed by then, so it may have ended since it was found.
        let Some(request) = request.filter(|it| it.state.is_open()) else {
            change.commit().await?;
            return Ok(None);
        };
        if is_new {
            self.tell(&mut change, Event::Asked, &request, "", now).await?;
        }
        change.commit().await?;
        Ok(Some((request, is_new)))
    }
}

pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
