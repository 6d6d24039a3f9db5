//! How much has this caller done lately? Counted before it is decided, so that of calls at once each knows its place.

use jiff::Timestamp;
use policy::Usage;

use crate::{Store, StoreError, store::millis};

const MINUTE_MS: i64 = 60_000;
const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Tool, effect, minute, calls.
type Row = (String, String, i64, i64);

impl Store {
    /// Reserves a place for a call and says how many there are with it. `effect` is its word; a dry run counts as a read.
    pub async fn count_call(
        &self,
        caller: &str,
        tool: &str,
        effect: &str,
        now: Timestamp,
    ) -> Result<Usage, StoreError> {
        let minute = millis(now) / MINUTE_MS;
        let mut change = self.change().await?;
        // The row is ours until the end: calls of one caller count one after the other.
        sqlx::query(
            "INSERT INTO counted (caller, turn) VALUES ($1, 1) ON CONFLICT (caller) DO UPDATE SET turn = counted.turn + 1",
        )
        .bind(caller.to_owned())
        .execute(&mut *change)
        .await?;
        sqlx::query(
            "INSERT INTO usage (caller, tool, effect, minute, calls) VALUES ($1, $2, $3, $4, 1) \
             ON CONFLICT (caller, tool, effect, minute) DO UPDATE SET calls = usage.calls + 1",
        )
        .bind(caller.to_owned())
        .bind(tool.to_owned())
        .bind(effect.to_owned())
        .bind(minute)
        .execute(&mut *change)
        .await?;
        sqlx::query("DELETE FROM usage WHERE caller = $1 AND minute <= $2")
            .bind(caller.to_owned())
            .bind(minute - DAY)
            .execute(&mut *change)
            .await?;
        let rows: Vec<Row> =
            sqlx::query_as("SELECT tool, effect, minute, calls FROM usage WHERE caller = $1")
                .bind(caller.to_owned())
                .fetch_all(&mut *change)
                .await?;
        change.commit().await?;
        let sum = |counts: &dyn Fn(&Row) -> bool| -> u64 {
            rows.iter().filter(|it| counts(it)).map(|it| u64::try_from(it.3).unwrap_or(0)).sum()
        };
        let lately = |it: &Row| it.2 > minute - HOUR;
        Ok(Usage {
            calls_hour: sum(&lately),
            calls_day: sum(&|_| true),
            mitigations_hour: sum(&|it| lately(it) && it.1 == "mitigate"),
            tool_hour: sum(&|it| lately(it) && it.0 == tool),
            tool_day: sum(&|it| it.0 == tool),
        })
    }

    /// Gives the place of a call back that was not let through: what did not happen does not count.
    pub async fn uncount_call(
        &self,
        caller: &str,
        tool: &str,
        effect: &str,
        counted_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE usage SET calls = calls - 1 WHERE caller = $1 AND tool = $2 AND effect = $3 AND minute = $4 \
             AND calls > 0",
        )
        .bind(caller.to_owned())
        .bind(tool.to_owned())
        .bind(effect.to_owned())
        .bind(millis(counted_at) / MINUTE_MS)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
