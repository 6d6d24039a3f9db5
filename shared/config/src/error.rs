//! Why is there no configuration?

use crate::Secret;

/// Why there is no configuration, one variant per next step.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Make the file readable, or name another.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// Which file or folder.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// Take from others the power to change what is allowed.
    #[error("{path} {problem}")]
    Unsafe {
        /// Which file or folder.
        path: String,
        /// What is unsafe and what would be right.
        problem: String,
    },
    /// Correct the file.
    #[error(transparent)]
    Invalid(Box<Invalid>),
    /// Correct an environment variable.
    #[error("{name}: {problem}")]
    Variable {
        /// E.g. `PROMETHEUS_URL`.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Provide the secret.
    #[error("secret {from}: {problem}")]
    Secret {
        /// Where it should come from.
        from: Secret,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Say where state is kept.
    #[error("no folder for the log: set HOME or XDG_STATE_HOME, or `state = \"PATH\"` under [audit]")]
    NoState,
    /// Say where the user's configuration is kept.
    #[error("no folder to remember trust in: set HOME or XDG_CONFIG_HOME")]
    NoUserFolder,
    /// Trust something that can only narrow.
    #[error("{path} cannot be trusted: {problem}")]
    Untrustable {
        /// Which file.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Save it somewhere else, or make room.
    #[error("cannot write {path}: {reason}")]
    Unwritable {
        /// Which file.
        path: String,
        /// What the system says.
        reason: String,
    },
}

/// One wrong place in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{problem}{}", prefix(.path), suffix(.excerpt.as_deref()))]
pub struct Invalid {
    /// As given or found.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Keys that lead there, e.g. `connections.prod-eu.url`; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what would be right; never a value that may be a secret.
    pub problem: String,
    /// The line and a caret, with values left out.
    pub excerpt: Option<String>,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

fn suffix(excerpt: Option<&str>) -> String {
    excerpt.map(|it| format!("\n{it}")).unwrap_or_default()
}
