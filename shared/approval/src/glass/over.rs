//! What has time done? A glass ends by itself, and people hear every day of one that nobody has reviewed.

use jiff::Timestamp;

use super::{BreakGlass, rows::one};
use crate::{Event, Store, StoreError, store::millis};

/// How often people hear that one still waits for a review.
pub(super) const DAY_MS: i64 = 24 * 3_600_000;

impl Store {
    /// How many have ended and wait for another person's look.
    pub async fn unreviewed_glasses(&self, now: Timestamp) -> Result<u64, StoreError> {
        let (count,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM break_glass WHERE reviewed_at = 0 AND (closed_at > 0 OR until <= $1)",
        )
        .bind(millis(now))
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Those that time has ended and nobody has told the log of, each handed to one who asks.
    pub async fn untold_glasses(&self, now: Timestamp) -> Result<Vec<BreakGlass>, StoreError> {
        self.settle_glasses(now).await?;
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM break_glass WHERE told = 0 AND closed_at > 0 ORDER BY closed_at LIMIT 100",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut untold = Vec::new();
        for (id,) in ids {
            let taken = sqlx::query("UPDATE break_glass SET told = 1 WHERE id = $1 AND told = 0")
                .bind(id.clone())
                .execute(&self.pool)
                .await?;
            if taken.rows_affected() == 1 {
                untold.extend(self.glass(&id).await?);
            }
        }
        Ok(untold)
    }

    /// Takes back that the log knows of an end.
    pub async fn tell_of_glass_again(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE break_glass SET told = 0 WHERE id = $1")
            .bind(id.to_owned())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Writes down what time has done: those whose time is over have ended, and of those that nobody has reviewed people hear
    /// every day.
    pub(crate) async fn settle_glasses(&self, now: Timestamp) -> Result<(), StoreError> {
        // Mostly there is nothing, and who only looks shall not wait for those who write.
        let due: Option<(String,)> =
            sqlx::query_as("SELECT id FROM break_glass WHERE reviewed_at = 0 AND remind_at <= $1 LIMIT 1")
                .bind(millis(now))
                .fetch_optional(&self.pool)
                .await?;
        if due.is_none() {
            return Ok(());
        }
        let mut change = self.change().await?;
        // The first of them is due when its time is over.
        let steps = [
            (
                "UPDATE break_glass SET closed_at = until, remind_at = $1 + $2 WHERE closed_at = 0 AND until <= $1 RETURNING id",
                Event::Closed,
            ),
            (
                "UPDATE break_glass SET remind_at = $1 + $2 WHERE closed_at > 0 AND reviewed_at = 0 AND remind_at <= $1 RETURNING id",
                Event::Unreviewed,
            ),
        ];
        for (step, event) in steps {
            let due: Vec<(String,)> =
                sqlx::query_as(step).bind(millis(now)).bind(DAY_MS).fetch_all(&mut *change).await?;
            for (id,) in due {
                let Some(glass) = one(&mut change, &id).await? else { continue };
                let note = match event {
                    Event::Closed => "its time is over".to_owned(),
                    _ => "nobody has reviewed it".to_owned(),
                };
                self.tell_of_glass(&mut change, event, &glass, note, now).await?;
            }
        }
        Ok(change.commit().await?)
    }
}
