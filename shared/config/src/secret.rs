//! A secret and where it comes from; never its text in a configuration file.

use std::path::PathBuf;

/// Where a secret is read from. Its text is read when a connection is first opened, and never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ file = "PATH" }`; a trailing line end is dropped.
    File(PathBuf),
}
