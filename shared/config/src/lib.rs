//! `bailiwick.toml`: who we are, which systems of record there are, what the policy is. Read once.
//!
//! **Invariant:** only `--config`, the user's and the system's folder are trusted. A file in a repository does nothing
//! until `bailiwick trust` pinned its digest, and may then only narrow.
//!
//! **Invariant:** no text of a secret is kept here, and none stands in an error, a note or a `Debug`. A configuration
//! holds where a secret is; excerpts of a file show keys, and a value only when it cannot be one.
//!
//! **Invariant:** nothing is ignored silently. An unknown key is refused; what is left out stands in [`Config::notes`].
//!
//! **Invariant:** the process environment is read in `surroundings.rs` and nowhere else.

mod address;
mod approving;
mod change;
mod connection;
mod discovery;
mod document;
mod error;
mod file;
mod interpret;
mod issuer;
mod load;
mod matcher;
mod narrow;
mod node;
mod notifying;
mod owner;
mod page;
mod reach;
mod recording;
mod schema;
mod secret;
mod serving;
mod sources;
mod surroundings;
mod table;
mod telemetry;
mod trust;
mod words;

pub use approving::Approving;
pub use change::Tickets;
pub use connection::{Auth, ClientCertificate, Connection, Git, Http, System};
pub use error::{ConfigError, Invalid};
pub use file::replace;
pub use issuer::{AgentName, Issuer, Keys, Login, SCOPES};
pub use load::{Config, Identity, Origin, PolicySettings};
pub use notifying::{Notify, NotifyFormat};
pub use page::Page;
pub use recording::{Bucket, Collector, Recording, Sender, Shelf, Witness};
pub use schema::json_schema;
pub use secret::Secret;
pub use serving::{ServerCertificate, Serving};
pub use surroundings::{Surroundings, user_name, variable};
pub use telemetry::Telemetry;
pub use trust::Pin;
pub use words::{clean, hides};
