//! `bailiwick.toml`: who we are, which systems of record there are, what the policy is. Read once.

mod connection;
mod secret;

pub use connection::{Auth, Connection, Git, Http, System};
pub use secret::Secret;
