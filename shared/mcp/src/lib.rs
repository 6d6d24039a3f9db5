//! How is a gate served over MCP? The only crate that knows the protocol.
//!
//! * **Invariant:** a server offers tools and nothing else, so [`gate::Gate::call`] sees everything that can have an effect.
//! * **Invariant:** a caller comes from the configuration, the operating system or a verified token, never from an argument, a plain header or what
//!   a client says of itself.
//! * **Invariant:** a line or a request that is no message is answered, bounded and recorded; it never reaches a tool.
//! * **Invariant:** over HTTP a session serves the caller who began it and nobody else.
//! * **Invariant:** what a client says that its person said confirms what policy asks that person about, and never approves;
//!   whatever else comes back, or nothing, leaves the call unconfirmed.
//! * **Invariant:** a link authorises nothing, and a browser's request is no word of its person: the page counts its own forms only, made for
//!   one login, request and action.
//! * **Invariant:** plain HTTP and unproven callers stay on this machine unless the configuration says otherwise.

mod ask;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "conformance")]
#[expect(deprecated, reason = "clients of older revisions sample and hear logs, and the suite looks at both")]
mod conformance;
mod describe;
mod http;
mod metrics;
mod observed;
mod request_state;
mod seal;
mod server;
mod starter;
mod wire;

#[cfg(feature = "client")]
pub use client::{Client, ClientError, Said, Start};
#[cfg(feature = "conformance")]
pub use conformance::{CONFORMANCE, STREAMED};
pub use describe::describe;
pub use http::{
    Callers, Certificate, CertificateError, Exposure, Http, Listener, Reach, Reachable, Reached, Site,
    UPGRADE, serve_http,
};
pub use metrics::Metrics;
pub use server::{Opened, Opening, Server, serve_stdio};
pub use starter::Starter;
