//! The one way out: how does a tool ask a plain HTTP system?
//!
//! An [`Endpoint`] is one configured connection. It offers reads to everybody and writes to whoever holds a
//! [`tool::Leave`]. Everything that can go wrong comes back as a [`tool::ToolError`] that a model can act on. A [`Hook`] is an
//! address that is told something, and gives nothing back but whether it took it; so is a connection by [`Endpoint::tell`].
//!
//! * **Invariant:** scheme, host and port of every request are the configured ones; arguments only ever become path
//!   segments (percent-encoded), query or body.
//! * **Invariant:** a redirect is never followed, so no secret reaches a host that the configuration does not name.
//! * **Invariant:** proxies named by the environment (`HTTP_PROXY` and its kin) are not used: whoever sets a variable
//!   would read the secrets of every plain HTTP connection.
//! * **Invariant:** of no answer more than [`ANSWER_BYTES_MAX`] is taken in, counted after decompression; what is parsed out
//!   of it comes on top. No wait outlasts the connection's `timeout_ms` or the call's deadline.
//! * **Invariant:** a secret is in no error, no `Debug` and no log line, also when a system repeats what we sent.
//! * **Invariant:** of a hook the address is a secret too, and nothing that it answers but the status is looked at.
//! * **Invariant:** a write whose answer was lost is [`tool::ToolError::Unknown`], never a failure that invites a retry.

mod body;
mod client;
mod endpoint;
mod failure;
mod hook;
mod shown;
mod tell;
#[cfg(test)]
mod tests;

pub use body::ANSWER_BYTES_MAX;
pub use endpoint::{Deadline, Endpoint};
pub use hook::{Hook, Undelivered};

/// Why a connection cannot be made from its configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Give an `http` or `https` address.
    #[error(
        "connection `{connection}`: expected an http or https address with a host, got scheme `{scheme}`"
    )]
    Address {
        /// Connection name.
        connection: String,
        /// What the address starts with.
        scheme: String,
    },
    /// Move the secret out of the address.
    #[error(
        "connection `{connection}`: the address holds {part}; give the path alone, secrets as `bearer` or `basic`"
    )]
    Decorated {
        /// Connection name.
        connection: String,
        /// What it should not hold: user name or password, query, fragment.
        part: &'static str,
    },
    /// Correct this header.
    #[error("connection `{connection}`: header `{header}` has a name or value that HTTP does not allow")]
    Header {
        /// Connection name.
        connection: String,
        /// The header's name.
        header: String,
    },
}
