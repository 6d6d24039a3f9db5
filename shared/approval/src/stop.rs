//! Is everything stopped? An order that holds on every replica from its commit on.

use jiff::Timestamp;

use crate::{
    ActionScope, Event, Sealed, Store, StoreError,
    notify::said,
    person::is_same_person,
    store::{fresh, millis, moment},
};

/// An order to change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What people call it.
    pub id: String,
    /// What it is about.
    pub scope: ActionScope,
    /// Why, in the words of whoever gave it.
    pub reason: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Stop {
    /// All of it, for a program.
    pub fn facts(&self) -> serde_json::Value {
        serde_json::json!({
            "stop": self.id, "scope": self.scope, "reason": self.reason, "by": self.by, "at": self.at,
        })
    }
}

impl Store {
    /// Stops every effect in a scope, and voids what waits in it.
    pub async fn stop(
        &self,
        scope: ActionScope,
        reason: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(Stop, Vec<String>), StoreError> {
        let id = fresh("stop-")?;
        let text = serde_json::to_string(&scope).map_err(|it| StoreError::Odd(it.to_string()))?;
        let stop = Stop { id, scope, reason: reason.to_owned(), by: by.to_owned(), at: now };
        let mut change = self.change().await?;
        sqlx::query(
            "INSERT INTO stop (id, scope, reason, person, name, stopped_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(stop.id.clone())
        .bind(text)
        .bind(reason.to_owned())
        .bind(crate::person::folded(by))
        .bind(by.to_owned())
        .bind(millis(now))
        .execute(&mut *change)
        .await?;
        self.tell_of_stop(&mut change, Event::Stopped, &stop, said(by, reason), now).await?;
        change.commit().await?;
        // From here on nothing in scope begins. What was asked for before is asked for again.
        let voided = self.void(&stop.scope, now).await?;
        Ok((stop, voided))
    }

    /// Voids what waits in a scope, all of it or nothing.
    async fn void(&self, scope: &ActionScope, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.settle(None, now).await?;
        // In one order, so that two orders at once do not wait for each other.
        let open: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, sealed FROM approval WHERE state IN ('pending', 'approved') ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut voided = Vec::new();
        let mut change = self.change().await?;
        for (id, sealed) in open {
            // What cannot be read cannot be told to be elsewhere.
            let sealed: Option<Sealed> = serde_json::from_str(&sealed).ok();
            let elsewhere = |it: Sealed| !scope.covers(&it.caller.agent, &it.tool, &it.targets);
            if sealed.is_some_and(elsewhere) {
                continue;
            }
            let ended = sqlx::query(
                "UPDATE approval SET state = 'void', note = 'everything was stopped', changed_at = $1 \
                 WHERE id = $2 AND state IN ('pending', 'approved')",
            )
            .bind(millis(now))
            .bind(id.clone())
            .execute(&mut *change)
            .await?;
            if ended.rows_affected() == 1 {
                self.tell_ended(&mut change, &[(id.clone(),)], now).await?;
                voided.push(id);
            }
        }
        change.commit().await?;
        Ok(voided)
    }

    /// Every order that holds, oldest first.
    pub async fn stops(&self) -> Result<Vec<Stop>, StoreError> {
        let rows: Vec<(String, String, String, String, i64)> = sqlx::query_as(
            "SELECT id, scope, reason, name, stopped_at FROM stop WHERE resumed_at IS NULL ORDER BY stopped_at, id",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |(id, scope, reason, by, at): (String, String, String, String, i64)| {
            let scope =
                serde_json::from_str(&scope).map_err(|_| StoreError::Odd(format!("scope of {id}")))?;
            Ok(Stop { scope, reason, by, at: moment(at)?, id })
        };
        rows.into_iter().map(read).collect()
    }

    /// Lifts an order. Whoever gave it cannot: `Ok(false)`, as when there is none of that name.
    pub async fn resume(&self, id: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
        let given = self.stops().await?.into_iter().find(|it| it.id == id);
        let Some(stop) = given.filter(|it| !is_same_person(&it.by, by)) else { return Ok(false) };
        let mut change = self.change().await?;
        let lifted = sqlx::query(
            "UPDATE stop SET resumed_by = $1, resumed_at = $2 WHERE id = $3 AND resumed_at IS NULL AND person <> $4",
        )
        .bind(by.to_owned())
        .bind(millis(now))
        .bind(id.to_owned())
        .bind(crate::person::folded(by))
        .execute(&mut *change)
        .await?;
        let is_lifted = lifted.rows_affected() == 1;
        if is_lifted {
            self.tell_of_stop(&mut change, Event::Resumed, &stop, said(by, ""), now).await?;
        }
        change.commit().await?;
        Ok(is_lifted)
    }
}
