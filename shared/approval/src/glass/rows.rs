//! Where is it kept? Every change is a compare-and-set, and what people are to hear of goes with it.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row, any::AnyRow};

use super::{BreakGlass, GlassRefused, Review, over::DAY_MS};
use crate::{
    Event, Request, Store, StoreError, Voter,
    notify::said,
    person::folded,
    request::read,
    store::{millis, moment},
};

/// Columns of a row, in the order in which they are read.
macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, scope, reason, name, issuer, subject, opened_at, until, closed_at, closed_by, review_by, \
             reviewed_at, reviewed_by, review FROM break_glass ",
            $tail
        )
    };
}

/// Most that are listed, and most actions of each.
const LISTED_MAX: i64 = 200;

impl Store {
    /// Says why this one could not be opened now. Opening it asks again.
    pub async fn may_open_glass(&self, glass: &BreakGlass, now: Timestamp) -> Result<(), GlassRefused> {
        self.heard(glass)?;
        let mut connection = self.pool.acquire().await.map_err(StoreError::from)?;
        free(&mut connection, glass, now).await
    }

    /// Refuses what nobody would hear of.
    fn heard(&self, glass: &BreakGlass) -> Result<(), GlassRefused> {
        match self.told.iter().any(|it| it.hears_of_scope(Event::Opened, &glass.scope)) {
            true => Ok(()),
            false => Err(GlassRefused::Unheard),
        }
    }

    /// Opens it: one at a time of one person, and none while an earlier one of theirs is overdue. That policy lets them was
    /// asked before.
    pub async fn open_glass(&self, glass: &BreakGlass, now: Timestamp) -> Result<(), GlassRefused> {
        self.heard(glass)?;
        let text = serde_json::to_string(&glass.scope).map_err(|it| StoreError::Odd(it.to_string()))?;
        let mut change = self.change().await?;
        // The rows are ours until the end: two of one person at once come one after the other, whether they have the name or the
        // subject in common. No caller has such a name.
        let keys = [folded(&glass.by), format!("{}\u{1f}{}", glass.issuer, glass.subject)];
        for (kind, key) in ["person", "subject"].iter().zip(keys) {
            sqlx::query(
                "INSERT INTO counted (caller, turn) VALUES ($1, 1) ON CONFLICT (caller) DO UPDATE SET turn = counted.turn + 1",
            )
            .bind(format!("break-glass\u{1f}{kind}\u{1f}{key}"))
            .execute(&mut *change)
            .await?;
        }
        free(&mut change, glass, now).await?;
        sqlx::query(
            "INSERT INTO break_glass (id, scope, reason, person, name, issuer, subject, opened_at, until, review_by, \
             remind_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9)",
        )
        .bind(glass.id.clone())
        .bind(text)
        .bind(glass.reason.clone())
        .bind(folded(&glass.by))
        .bind(glass.by.clone())
        .bind(glass.issuer.clone())
        .bind(glass.subject.clone())
        .bind(millis(glass.opened_at))
        .bind(millis(glass.until))
        .bind(millis(glass.review_by))
        .execute(&mut *change)
        .await?;
        let note = said(&glass.by, &glass.reason);
        self.tell_of_glass(&mut change, Event::Opened, glass, note, now).await?;
        Ok(change.commit().await?)
    }

    /// Ends it now, and voids what was approved by it and is not carried out: all of it or nothing.
    pub async fn close_glass(
        &self,
        id: &str,
        by: &str,
        comment: &str,
        now: Timestamp,
    ) -> Result<(BreakGlass, Vec<String>), GlassRefused> {
        self.settle_glasses(now).await?;
        let mut change = self.change().await?;
        // Whoever is approving by it comes before this, or not at all.
        let closed = sqlx::query(
            "UPDATE break_glass SET closed_at = $1, closed_by = $2, told = 1, review_by = $1 + review_by - until, \
             remind_at = $1 + $4 WHERE id = $3 AND closed_at = 0 AND until > $1",
        )
        .bind(millis(now))
        .bind(by.to_owned())
        .bind(id.to_owned())
        .bind(DAY_MS)
        .execute(&mut *change)
        .await?;
        let glass = one(&mut change, id).await?.ok_or_else(|| GlassRefused::Missing(short(id)))?;
        if closed.rows_affected() != 1 {
            return Err(glass.ended());
        }
        let voided = self.void_by_glass(&mut change, id, now).await?;
        self.tell_of_glass(&mut change, Event::Closed, &glass, said(by, comment), now).await?;
        change.commit().await?;
        Ok((glass, voided))
    }

    /// Voids what was approved by it and is not carried out. In one order, so that whoever stops everything meanwhile and
    /// this do not wait for each other.
    async fn void_by_glass(
        &self,
        change: &mut AnyConnection,
        id: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let approved: Vec<(String,)> =
            sqlx::query_as("SELECT approval FROM vote WHERE glass = $1 ORDER BY approval")
                .bind(id.to_owned())
                .fetch_all(&mut *change)
                .await?;
        let mut voided = Vec::new();
        for (approval,) in approved {
            let ended = sqlx::query(
                "UPDATE approval SET state = 'void', note = 'the break-glass that it was approved by was closed', \
                 changed_at = $1 WHERE id = $2 AND state IN ('pending', 'approved')",
            )
            .bind(millis(now))
            .bind(approval.clone())
            .execute(&mut *change)
            .await?;
            if ended.rows_affected() == 1 {
                self.tell_ended(change, &[(approval.clone(),)], now).await?;
                voided.push(approval);
            }
        }
        Ok(voided)
    }

    /// Says why somebody could not review it now. Reviewing asks again.
    pub async fn may_review_glass(
        &self,
        id: &str,
        voter: &Voter,
        now: Timestamp,
    ) -> Result<BreakGlass, GlassRefused> {
        self.settle_glasses(now).await?;
        let mut connection = self.pool.acquire().await.map_err(StoreError::from)?;
        let glass = one(&mut connection, id).await?.ok_or_else(|| GlassRefused::Missing(short(id)))?;
        glass.reviewable(voter, now)?;
        Ok(glass)
    }

    /// Another person has looked at it: once, and after its end.
    pub async fn review_glass(
        &self,
        id: &str,
        voter: &Voter,
        comment: &str,
        now: Timestamp,
    ) -> Result<BreakGlass, GlassRefused> {
        self.may_review_glass(id, voter, now).await?;
        let mut change = self.change().await?;
        let reviewed = sqlx::query(
            "UPDATE break_glass SET reviewed_at = $1, reviewed_by = $2, review = $3 \
             WHERE id = $4 AND reviewed_at = 0 AND closed_at > 0 AND person <> $5",
        )
        .bind(millis(now))
        .bind(voter.name.clone())
        .bind(comment.to_owned())
        .bind(id.to_owned())
        .bind(folded(&voter.name))
        .execute(&mut *change)
        .await?;
        let glass = one(&mut change, id).await?.ok_or_else(|| GlassRefused::Missing(short(id)))?;
        if reviewed.rows_affected() != 1 {
            glass.reviewable(voter, now)?;
            return Err(GlassRefused::Own(voter.name.clone()));
        }
        self.tell_of_glass(&mut change, Event::Reviewed, &glass, said(&voter.name, comment), now).await?;
        change.commit().await?;
        Ok(glass)
    }

    /// One, as it stands.
    pub async fn glass(&self, id: &str) -> Result<Option<BreakGlass>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        one(&mut connection, id).await
    }

    /// The one that a person has opened and that holds, if there is one.
    pub async fn glass_of(&self, voter: &Voter, now: Timestamp) -> Result<Option<BreakGlass>, StoreError> {
        let rows = sqlx::query(select!("WHERE person = $1 AND closed_at = 0 AND until > $2"))
            .bind(folded(&voter.name))
            .bind(millis(now))
            .fetch_all(&self.pool)
            .await?;
        let glasses = rows.iter().map(BreakGlass::read).collect::<Result<Vec<_>, _>>()?;
        Ok(glasses.into_iter().find(|it| it.is_of(voter)))
    }

    /// Those that hold or that nobody has reviewed, with what was approved by them, newest first; the reviewed ones too where
    /// `all` are asked for.
    pub async fn glasses(
        &self,
        all: bool,
        now: Timestamp,
    ) -> Result<Vec<(BreakGlass, Vec<Request>)>, StoreError> {
        self.settle_glasses(now).await?;
        let rows =
            sqlx::query(select!("WHERE reviewed_at = 0 OR $1 = 1 ORDER BY opened_at DESC, id LIMIT $2"))
                .bind(i64::from(all))
                .bind(LISTED_MAX)
                .fetch_all(&self.pool)
                .await?;
        let mut glasses = Vec::new();
        for row in rows {
            let glass = BreakGlass::read(&row)?;
            let approved = self.approved_by_glass(&glass.id, now).await?;
            glasses.push((glass, approved));
        }
        Ok(glasses)
    }

    /// What was approved by it, in the order in which it was.
    pub async fn approved_by_glass(&self, id: &str, now: Timestamp) -> Result<Vec<Request>, StoreError> {
        self.settle(None, now).await?;
        let mut connection = self.pool.acquire().await?;
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT approval FROM vote WHERE glass = $1 AND glass <> '' ORDER BY voted_at LIMIT $2",
        )
        .bind(id.to_owned())
        .bind(LISTED_MAX)
        .fetch_all(&mut *connection)
        .await?;
        let mut approved = Vec::new();
        for (id,) in ids {
            approved.extend(read(&mut connection, &id).await?);
        }
        Ok(approved)
    }
}

impl BreakGlass {
    fn read(row: &AnyRow) -> Result<BreakGlass, StoreError> {
        let text = |at: usize| row.try_get::<String, _>(at);
        let number = |at: usize| row.try_get::<i64, _>(at);
        let id = text(0)?;
        let scope = serde_json::from_str(&text(1)?);
        let closed = match number(8)? {
            0 => None,
            at => Some((moment(at)?, text(9)?)),
        };
        let review = match number(11)? {
            0 => None,
            at => Some(Review { at: moment(at)?, by: text(12)?, comment: text(13)? }),
        };
        Ok(BreakGlass {
            scope: scope.map_err(|_| StoreError::Odd(format!("scope of {id}")))?,
            reason: text(2)?,
            by: text(3)?,
            issuer: text(4)?,
            subject: text(5)?,
            opened_at: moment(number(6)?)?,
            until: moment(number(7)?)?,
            closed,
            review_by: moment(number(10)?)?,
            review,
            id,
        })
    }
}

/// The glass that a person approves by, theirs to the letter and locked: it ends after this approval, or before it.
pub(crate) async fn used(
    change: &mut AnyConnection,
    voter: &Voter,
    now: Timestamp,
) -> Result<Option<BreakGlass>, StoreError> {
    let used: Option<(String,)> = sqlx::query_as(
        "UPDATE break_glass SET uses = uses + 1 WHERE name = $1 AND issuer = $2 AND subject = $3 \
         AND closed_at = 0 AND until > $4 RETURNING id",
    )
    .bind(voter.name.clone())
    .bind(voter.issuer.clone())
    .bind(voter.subject.clone())
    .bind(millis(now))
    .fetch_optional(&mut *change)
    .await?;
    match used {
        Some((id,)) => one(change, &id).await,
        None => Ok(None),
    }
}

/// When the first of those ends by which a request was approved.
pub(crate) async fn first_end(change: &mut AnyConnection, approval: &str) -> Result<Option<i64>, StoreError> {
    let ends: Vec<(i64,)> = sqlx::query_as(
        "SELECT break_glass.until FROM break_glass JOIN vote ON vote.glass = break_glass.id WHERE vote.approval = $1",
    )
    .bind(approval.to_owned())
    .fetch_all(change)
    .await?;
    Ok(ends.into_iter().map(|it| it.0).min())
}

pub(super) async fn one(connection: &mut AnyConnection, id: &str) -> Result<Option<BreakGlass>, StoreError> {
    let row = sqlx::query(select!("WHERE id = $1")).bind(id.to_owned()).fetch_optional(connection).await?;
    row.as_ref().map(BreakGlass::read).transpose()
}

/// Refuses a second one of a person, and any while an earlier one of theirs is overdue.
async fn free(
    connection: &mut AnyConnection,
    glass: &BreakGlass,
    now: Timestamp,
) -> Result<(), GlassRefused> {
    let rows = sqlx::query(select!(
        "WHERE reviewed_at = 0 AND (person = $1 OR (issuer = $2 AND subject = $3)) ORDER BY opened_at"
    ))
    .bind(folded(&glass.by))
    .bind(glass.issuer.clone())
    .bind(glass.subject.clone())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let before = BreakGlass::read(row)?;
        if before.holds(now) {
            return Err(GlassRefused::Open { id: before.id, until: before.until });
        }
        if now >= before.review_by {
            return Err(GlassRefused::Overdue { id: before.id, since: before.review_by });
        }
    }
    Ok(())
}

fn short(id: &str) -> String {
    id.chars().take(64).collect()
}
