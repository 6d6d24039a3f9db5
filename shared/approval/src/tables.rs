//! Are its tables those that this bailiwick works with? Looks, and makes nothing.

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::{Place, Store, StoreError};

/// How the tables of a store stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// There are none: whoever opens the store first makes them.
    None,
    /// Some are missing: whoever opens the store next makes them.
    Older,
    /// As this bailiwick makes them.
    Current,
}

/// What makes and renews them.
pub(crate) static STEPS: Migrator = sqlx::migrate!();
/// Where each database says which steps were made.
const MADE: &str = "_sqlx_migrations";

impl Store {
    /// How the tables stand, of a store that can be opened. Those that this bailiwick cannot work with are an error.
    pub async fn tables(place: &Place) -> Result<Tables, StoreError> {
        // To look at a file would make it.
        if matches!(place, Place::File(path) if !path.exists()) {
            return Ok(Tables::None);
        }
        let store = Store::look(place).await?;
        let any = match place {
            Place::File(_) => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
            Place::Postgres(_) => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1)",
        };
        let (any,): (i64,) = sqlx::query_as(any)
            .bind(MADE)
            .fetch_one(&store.pool)
            .await
            .map_err(|it| place.told(it.into()))?;
        match any {
            0 => Ok(Tables::None),
            _ => store.compared().await.map_err(|it| place.told(it.into())),
        }
    }

    async fn compared(&self) -> Result<Tables, MigrateError> {
        let mut connection = self.pool.acquire().await?;
        if let Some(version) = connection.dirty_version(MADE).await? {
            return Err(MigrateError::Dirty(version));
        }
        let made = connection.list_applied_migrations(MADE).await?;
        for it in &made {
            let step = STEPS.iter().find(|step| step.version == it.version);
            let step = step.ok_or(MigrateError::VersionMissing(it.version))?;
            if step.checksum != it.checksum {
                return Err(MigrateError::VersionMismatch(it.version));
            }
        }
        Ok(if made.len() < STEPS.iter().count() { Tables::Older } else { Tables::Current })
    }
}
