//! Every tool of this server, in the order clients see them.

mod list_commits;
mod read_file;

use tool::{Listing, define};

use crate::Backends;

/// The list. A new tool is a file, a `mod` above and a line here.
pub fn all() -> Vec<Listing<Backends>> {
    vec![define::<list_commits::ListCommits>(), define::<read_file::ReadFile>()]
}

#[cfg(test)]
pub(crate) use self::{list_commits::ListCommits, read_file::ReadFile};
