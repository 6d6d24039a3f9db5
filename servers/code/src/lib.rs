//! The `code` server: what git repositories hold and how they came to be so.
//!
//! * **Invariant:** nothing is run. Repositories are read by `gix` from their object database; work trees, the index,
//!   hooks, filters, text conversions and file-system monitors are never touched.
//! * **Invariant:** a repository's own configuration decides nothing but how its objects are stored. It was written by
//!   whoever filled the repository, not by whoever configured the connection.
//! * **Invariant:** symbolic links are never followed, so the path that policy saw is the path that was read.
//! * **Invariant:** a secret file is closed whatever the policy says (`closed`), and no answer depends on what it holds.
//! * **Invariant:** no line is cut where a secret in it would no longer be known for one (`excerpt`).
//! * **Invariant:** reading happens on blocking threads, in one place (`Backends::read`), and stops when asked to.

mod arguments;
mod backends;
mod closed;
mod excerpt;
mod filters;
mod frames;
mod owners;
mod pattern;
mod purpose;
#[cfg(test)]
mod tests;
pub mod tools;

pub use backends::{Backends, ConnectionError};
pub use tools::all;
