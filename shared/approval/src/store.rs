//! Where is it kept? One type over an embedded database and a shared one: the same tables, the same statements.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Once},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    Any, AnyPool, Executor, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
};

use crate::{StoreError, Subscriber};

/// Where the rows are.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file, made if there is none. For one machine.
    File(PathBuf),
    /// A PostgreSQL address, password and all. For replicas on several machines.
    Postgres(String),
}

/// Approvals, orders to stop, leases and counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: AnyPool,
    /// Who hears of what happens here.
    pub(crate) told: Arc<[Subscriber]>,
}

pub(crate) type Change = Transaction<'static, Any>;

/// Longest wait for a free connection, and for another process to let go of the file.
const WAIT: Duration = Duration::from_secs(5);
/// Connections to a shared database: calls wait for one another on rows, not here.
const CONNECTIONS_MAX: u32 = 8;

impl Store {
    /// Opens it, and makes or renews its tables.
    pub async fn open(place: &Place) -> Result<Store, StoreError> {
        let store = Store::look(place).await?;
        sqlx::migrate!().run(&store.pool).await?;
        Ok(store)
    }

    /// Opens it with the tables that it has.
    pub async fn look(place: &Place) -> Result<Store, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let options = AnyPoolOptions::new().acquire_timeout(WAIT).max_connections(CONNECTIONS_MAX);
        let pool = match place {
            Place::File(path) => {
                private(path)?;
                let url = format!("sqlite://{}?mode=rwc", encoded(path)?);
                let prepared = options.after_connect(|connection, _| {
                    Box::pin(async move {
                        // A change that was told is on the disk. Whoever writes waits for whoever is writing.
                        connection.execute("PRAGMA busy_timeout = 5000").await?;
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA synchronous = FULL").await.map(drop)
                    })
                });
                prepared.connect_with(AnyConnectOptions::from_str(&url)?).await?
            }
            Place::Postgres(url) => options.connect_with(AnyConnectOptions::from_str(url)?).await?,
        };
        Ok(Store { pool, told: Arc::default() })
    }

    /// Whether it answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// A secret that every replica shares: the first that asks makes it.
    pub async fn shared_secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|it| StoreError::Unavailable(it.to_string()))?;
        sqlx::query("INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(name.to_owned())
            .bind(hex::encode(fresh))
            .execute(&self.pool)
            .await?;
        let (kept,): (String,) = sqlx::query_as("SELECT value FROM secret WHERE name = $1")
            .bind(name.to_owned())
            .fetch_one(&self.pool)
            .await?;
        hex::FromHex::from_hex(&kept).map_err(|_| StoreError::Odd(format!("secret `{name}`")))
    }

    pub(crate) async fn change(&self) -> Result<Change, StoreError> {
        Ok(self.pool.begin().await?)
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) => out.debug_tuple("File").field(path).finish(),
            Place::Postgres(_) => out.write_str("Postgres(…)"),
        }
    }
}

/// A word that nobody guesses, in letters that a person can read out.
pub(crate) fn fresh(prefix: &str) -> Result<String, StoreError> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|it| StoreError::Unavailable(it.to_string()))?;
    let letters = random.map(|it| char::from(LETTERS[usize::from(it % 32)]));
    Ok(prefix.chars().chain(letters).collect())
}

pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

pub(crate) fn moment(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|_| StoreError::Odd(format!("time {millis}")))
}

/// Nobody else on the machine reads what waits, nor writes that they agreed.
fn private(path: &std::path::Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let make = || -> std::io::Result<()> {
        if let Some(folder) = path.parent().filter(|it| !it.exists()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        // The files beside it take its mode.
        match file.metadata()?.permissions().mode() & 0o077 {
            0 => Ok(()),
            _ => Err(std::io::Error::other("others may read or write it; expected mode 600")),
        }
    };
    make().map_err(|it| StoreError::Unavailable(format!("{}: {it}", path.display())))
}

/// A path as it stands in an address.
fn encoded(path: &std::path::Path) -> Result<String, StoreError> {
    let text = path.to_str();
    let text = text.ok_or_else(|| StoreError::Unavailable(format!("{}: no text", path.display())))?;
    let letter = |it: u8| match it {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => char::from(it).to_string(),
        other => format!("%{other:02X}"),
    };
    Ok(text.bytes().map(letter).collect())
}
