//! Who is changing that right now? One at a time.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    Store, StoreError,
    ask::later,
    store::{fresh, millis},
};

/// Leave to be the only one who changes some targets. Given back with [`Store::give_back`]; else it runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    token: String,
}

/// Somebody else changes one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub target: String,
    /// By whom.
    pub holder: String,
    /// Until when at most, in milliseconds since 1970.
    pub until: i64,
}

impl Store {
    /// All of the targets for one holder, or none and who has the first of them.
    pub async fn lease(
        &self,
        targets: &[String],
        holder: &str,
        longest: Duration,
        now: Timestamp,
    ) -> Result<Result<Lease, Held>, StoreError> {
        let token = fresh("l-")?;
        let until = millis(later(now, longest));
        // In one order, so that two who want the same ones do not wait for each other.
        let mut targets = targets.to_vec();
        targets.sort();
        targets.dedup();
        let mut change = self.change().await?;
        for target in &targets {
            let taken = sqlx::query(
                "INSERT INTO lease (target, holder, token, until, log) VALUES ($1, $2, $3, $4, $6) ON CONFLICT (target) \
                 DO UPDATE SET holder = $2, token = $3, until = $4, log = $6 WHERE lease.until <= $5",
            )
            .bind(target.clone())
            .bind(holder.to_owned())
            .bind(token.clone())
            .bind(until)
            .bind(millis(now))
            .bind(self.holder().to_owned())
            .execute(&mut *change)
            .await?;
            if taken.rows_affected() == 1 {
                continue;
            }
            let row: Option<(String, i64)> =
                sqlx::query_as("SELECT holder, until FROM lease WHERE target = $1")
                    .bind(target.clone())
                    .fetch_optional(&mut *change)
                    .await?;
            change.rollback().await?;
            let (holder, until) = row.unwrap_or_default();
            return Ok(Err(Held { target: target.clone(), holder, until }));
        }
        change.commit().await?;
        Ok(Ok(Lease { token }))
    }

    /// Holds on to a lease, and to the turn of an approved action, for a while longer. What has run out stays so.
    pub async fn renew(
        &self,
        lease: Option<&Lease>,
        approval: Option<&str>,
        longest: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = millis(later(now, longest));
        if let Some(lease) = lease {
            sqlx::query("UPDATE lease SET until = $1 WHERE token = $2")
                .bind(until)
                .bind(lease.token.clone())
                .execute(&self.pool)
                .await?;
        }
        if let Some(id) = approval {
            sqlx::query("UPDATE approval SET held_until = $1 WHERE id = $2 AND state = 'reserved' AND held_until > $3")
                .bind(until)
                .bind(id.to_owned())
                .bind(millis(now))
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Ends a lease.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM lease WHERE token = $1")
            .bind(lease.token.clone())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Ends every lease that was taken under this holder's log before it held the log: whoever took it is gone.
    pub async fn give_back_left_behind(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM lease WHERE log = $1 AND log <> ''")
            .bind(self.holder().to_owned())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
