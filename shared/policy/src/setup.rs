//! What goes into a policy before it is loaded: sources, lists, vocabulary.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that [`crate::Policy::load`] needs. Nothing else has a say.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Schema of the whole family, [`crate::FAMILY_SCHEMA`] outside tests.
    pub family: &'a str,
    /// Cedar files.
    pub sources: &'a [Source],
    /// Lists of the configuration.
    pub lists: &'a Lists,
    /// Words of the configuration.
    pub vocabulary: &'a Vocabulary,
    /// Where `weekday` and `minute_of_day` are told.
    pub zone: jiff::tz::TimeZone,
}

/// Words that policies may use. For environments, regions, teams and tiers `unknown` is always one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// E.g. `production`.
    pub environments: BTreeSet<String>,
    /// E.g. `eu-west-1`.
    pub regions: BTreeSet<String>,
    /// E.g. `checkout`.
    pub teams: BTreeSet<String>,
    /// E.g. `1`.
    pub tiers: BTreeSet<String>,
    /// Environments for development: there it is enough that the configuration says which teams a caller is in. `unknown`
    /// is never one.
    pub development: BTreeSet<String>,
    /// Who answers for an agent: the person by the agent's name.
    pub owners: BTreeMap<String, String>,
    /// Every connection that a target can name, e.g. `prod-eu`. With none at all, as where nothing is configured in a
    /// test, names of connections are not checked.
    pub connections: BTreeSet<String>,
}

/// One file of Cedar policies, already read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path as people should see it.
    pub name: String,
    /// The file.
    pub text: String,
    /// How far its rules may reach.
    pub scope: Scope,
}

/// How far the rules of a file may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anywhere.
    Full,
    /// Only targets of this team: every rule says `resource in Team::"…"`.
    Team(String),
    /// Nowhere further: the file may only forbid.
    Narrow,
}

/// The lists of `bailiwick.toml`: deny beats approve beats ask beats allow; order never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// May run.
    pub allow: Vec<ListEntry>,
    /// May run once the person at the keyboard confirms.
    pub ask: Vec<ListEntry>,
    /// May run once authenticated other people approve.
    pub approve: Vec<ListEntry>,
    /// May not run.
    pub deny: Vec<ListEntry>,
    /// How often something may run, e.g. `silence_alert 3 per hour`, counted for each caller.
    pub limits: Vec<ListEntry>,
    /// Whether a tool that a caller is not shown is told to be none.
    pub hide: bool,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// A tool's name, a glob or `effect:X`, and perhaps `environment:X`; of a limit a tool's name, `effect:mitigate` or `*`, a number
    /// and `per hour` or `per day`.
    pub text: String,
    /// How many people must approve, 1 to 3; meant by `approve` only.
    pub approvals: u8,
    /// Where it stands, e.g. `bailiwick.toml:12`.
    pub place: Option<String>,
    /// Whether it may only take away, as in a file of a repository: its forbid holds, and it permits nothing.
    pub narrow: bool,
}

impl ListEntry {
    /// An entry that needs one approval where it stands under `approve`.
    pub fn new(text: impl Into<String>) -> ListEntry {
        ListEntry { text: text.into(), approvals: 1, place: None, narrow: false }
    }
}

impl Lists {
    /// Whether no list has an entry.
    pub fn is_empty(&self) -> bool {
        [&self.allow, &self.ask, &self.approve, &self.deny, &self.limits].iter().all(|it| it.is_empty())
    }
}
