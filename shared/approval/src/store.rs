//! Where is it kept? One type over an embedded database and a shared one: the same tables, the same statements.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Once},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions},
    postgres::PgConnectOptions,
};

use crate::{StoreError, Subscriber, address::understood, tables::STEPS};

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
    pub(crate) holder: Arc<str>,
}

pub(crate) type Change = Transaction<'static, Any>;

/// Longest wait for a free connection, and for another process to let go of the file.
const WAIT: Duration = Duration::from_secs(5);
/// Connections to a shared database: calls wait for one another on rows, not here.
const CONNECTIONS_MAX: u32 = 8;
/// How often a new file is tried, and how long after one another: of those who make one at once, all but one start again.
const FILE_TRIES: u32 = 5;
const FILE_PAUSE: Duration = Duration::from_millis(50);

impl Store {
    /// Opens it, and makes or renews its tables.
    pub async fn open(place: &Place) -> Result<Store, StoreError> {
        let mut tries = 1;
        loop {
            match Store::open_once(place).await {
                Err(_) if matches!(place, Place::File(_)) && tries < FILE_TRIES => {
                    tokio::time::sleep(FILE_PAUSE).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn open_once(place: &Place) -> Result<Store, StoreError> {
        let store = Store::look(place).await?;
        let made = STEPS.run(&store.pool).await;
        made.map_err(|it| place.told(it.into()))?;
        Ok(store)
    }

    /// Opens it with the tables that it has.
    pub async fn look(place: &Place) -> Result<Store, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let pool = match place {
            Place::File(path) => {
                private(path)?;
                file(path).await?
            }
            Place::Postgres(url) => {
                // Before the driver reads it, which logs what it does not know.
                understood(url)?;
                shared(url).await.map_err(|it| place.told(it))?
            }
        };
        Ok(Store { pool, told: Arc::default(), holder: "".into() })
    }

    /// The same store, in the hands of whoever holds this log: one process, at any moment.
    pub fn held_by(self, log: &str) -> Store {
        Store { holder: log.into(), ..self }
    }

    pub(crate) fn holder(&self) -> &str {
        &self.holder
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

/// Connections to a file.
async fn file(path: &Path) -> Result<AnyPool, StoreError> {
    let url = format!("sqlite://{}?mode=rw", encoded(path)?);
    let prepared = options().after_connect(|connection, _| {
        Box::pin(async move {
            // A change that was told is on the disk. Whoever writes waits for whoever is writing.
            connection.execute("PRAGMA busy_timeout = 5000").await?;
            connection.execute("PRAGMA journal_mode = WAL").await?;
            connection.execute("PRAGMA synchronous = FULL").await.map(drop)
        })
    });
    Ok(prepared.connect_with(AnyConnectOptions::from_str(&url)?).await?)
}

/// Connections to a database that replicas share.
async fn shared(url: &str) -> Result<AnyPool, StoreError> {
    if !["postgres://", "postgresql://"].iter().any(|it| url.starts_with(it)) {
        return Err(StoreError::Unavailable("its address is not of the form postgres://…".to_owned()));
    }
    // A pool tries again and again, and would only say that it waited.
    let address = AnyConnectOptions::from_str(url)?.disable_statement_logging();
    let first = tokio::time::timeout(WAIT, AnyConnection::connect_with(&address)).await;
    let silent = |_| StoreError::Unavailable(format!("no answer within {} s", WAIT.as_secs()));
    // An error means that it is closed already.
    let _closed = first.map_err(silent)??.close().await;
    Ok(options().connect_with(address).await?)
}

impl Place {
    /// Whatever is wrong with a shared database is told with where it is, and never with a password.
    pub(crate) fn told(&self, error: StoreError) -> StoreError {
        match (self, error) {
            (Place::Postgres(_), StoreError::Unavailable(why)) => {
                StoreError::Unavailable(format!("{self}: {why}"))
            }
            (_, error) => error,
        }
    }
}

/// Where it is, for people: without a user and a password.
impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = match self {
            Place::File(path) => return write!(out, "{}", path.display()),
            Place::Postgres(url) => url,
        };
        let address = understood(url).ok().and_then(|()| PgConnectOptions::from_str(url).ok());
        match &address {
            None => out.write_str("PostgreSQL"),
            Some(it) => match it.get_socket() {
                Some(socket) => write!(out, "PostgreSQL at {}", socket.display()),
                None => write!(out, "PostgreSQL at {}:{}", it.get_host(), it.get_port()),
            },
        }
    }
}

fn options() -> AnyPoolOptions {
    AnyPoolOptions::new().acquire_timeout(WAIT).max_connections(CONNECTIONS_MAX)
}

/// Nobody else on the machine reads what waits, nor writes that they agreed.
fn private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
    let make = || -> std::io::Result<()> {
        if let Some(folder) = path.parent().filter(|it| !it.exists()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // What is in use is never opened here: closing it again would end the locks that this process has on it, and whoever
        // else uses it would take away what is not in the file yet.
        if !path.exists() {
            let fresh = fresh("new-").map_err(std::io::Error::other)?;
            let draft = path.with_added_extension(fresh);
            std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
            let linked = std::fs::hard_link(&draft, path);
            std::fs::remove_file(&draft)?;
            linked.or_else(|it| match it.kind() {
                std::io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(it),
            })?;
        }
        // The files beside it take its mode.
        match std::fs::metadata(path)?.permissions().mode() & 0o077 {
            0 => Ok(()),
            _ => Err(std::io::Error::other("others may read or write it; expected mode 600")),
        }
    };
    make().map_err(|it| StoreError::Unavailable(format!("{}: {it}", path.display())))
}

/// A path as it stands in an address.
fn encoded(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str();
    let text = text.ok_or_else(|| StoreError::Unavailable(format!("{}: no text", path.display())))?;
    let letter = |it: u8| match it {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => char::from(it).to_string(),
        other => format!("%{other:02X}"),
    };
    Ok(text.bytes().map(letter).collect())
}
