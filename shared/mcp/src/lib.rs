//! How is a gate served over MCP? The only crate that knows the protocol.
//!
//! * **Invariant:** a server offers tools and nothing else, so [`gate::Gate::call`] sees everything that can have an effect.
//! * **Invariant:** a caller comes from the configuration, never from an argument or from what a client says of itself.
//! * **Invariant:** a line that is no message is answered, bounded and recorded; it never reaches a tool.

#[cfg(feature = "client")]
mod client;
mod describe;
mod server;
mod wire;

#[cfg(feature = "client")]
pub use client::{Client, ClientError, Said, Start};
pub use describe::describe;
pub use server::{Opened, Opening, Server, serve_stdio};
