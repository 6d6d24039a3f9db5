//! Why the store does not answer.

/// Why the store does not answer. Nothing that needs it may run then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or is not ours to use.
    #[error("the store of approvals cannot be used: {0}")]
    Unavailable(String),
    /// A row that nobody here writes.
    #[error("the store of approvals holds something odd: {0}")]
    Odd(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        // Addresses and passwords stand in configuration errors only, which are told when the store opens.
        StoreError::Unavailable(match error {
            sqlx::Error::Configuration(_) => "its address is none".to_owned(),
            other => other.to_string(),
        })
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> StoreError {
        use sqlx::migrate::MigrateError;
        StoreError::Unavailable(match error {
            MigrateError::VersionMissing(version) => {
                format!(
                    "its tables are of version {version}, which this bailiwick does not know; use the newer one"
                )
            }
            MigrateError::VersionMismatch(version) => {
                format!("its tables of version {version} were made by another bailiwick than this")
            }
            other => other.to_string(),
        })
    }
}
