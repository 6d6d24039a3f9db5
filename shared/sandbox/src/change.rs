//! What was changed, by whom, and when?

mod guilty;
mod innocent;
mod repository;
mod timeline;

use jiff::Timestamp;

pub(crate) use repository::repository;
pub(crate) use timeline::timeline;

/// Something that somebody did to a service on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `chg-1042`: unique in a world, in order of time.
    pub id: String,
    /// Of which service.
    pub service: String,
    /// What sort of change.
    pub kind: ChangeKind,
    /// When it reached production; pods take it one after the other.
    pub at: Timestamp,
    /// Version that runs since: `v2.31.0`, for a configuration `v2.31.0+c4`.
    pub version: String,
    /// Who made it.
    pub author: Person,
    /// Subject line of its commit.
    pub title: String,
    /// Body of its commit; may be empty.
    pub body: String,
    /// What it does to the repository, in order.
    pub edits: Vec<Edit>,
}

/// What sort of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Another version of the code.
    Deploy,
    /// Another setting of the same code.
    Config,
    /// Another shape of what is stored.
    Migration,
    /// A certificate was renewed.
    Certificate,
    /// An earlier change was taken back.
    RollBack,
}

impl ChangeKind {
    /// `deploy`, `config`, `migration`, `certificate`, `roll_back`.
    pub fn word(self) -> &'static str {
        match self {
            ChangeKind::Deploy => "deploy",
            ChangeKind::Config => "config",
            ChangeKind::Migration => "migration",
            ChangeKind::Certificate => "certificate",
            ChangeKind::RollBack => "roll_back",
        }
    }
}

/// What a change does to one file of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// From the root of the repository: `services/checkout/config.yaml`.
    pub path: String,
    /// What stands in the file once before the change; empty when the change makes the file.
    pub before: String,
    /// What stands there after it.
    pub after: String,
}

/// Somebody who works here. Nobody of that name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// `Ines Okafor`.
    pub name: &'static str,
    /// `ines.okafor@example.com`.
    pub email: &'static str,
}
