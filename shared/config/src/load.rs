//! Which configuration holds? The first of `--config`, the user's folder, the system's folder; else what is found.

use std::path::{Path, PathBuf};

use policy::{ListEntry, Lists, Scope, Source, Vocabulary};

use crate::{
    Approving, ConfigError, Connection, Issuer, Recording, Sender, Serving, Surroundings, Telemetry, Tickets,
    discovery, document::Document, file, interpret::Reading, narrow::Narrowing, sources::Sources,
    table::FileTable, words,
};

/// Everything that was decided before the first call.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it comes from.
    pub origin: Origin,
    /// Who calls.
    pub identity: Identity,
    /// What may be done.
    pub policy: PolicySettings,
    /// Words that policies may use.
    pub vocabulary: Vocabulary,
    /// Folder of the log and of other state.
    pub state: PathBuf,
    /// How people are asked to agree.
    pub approving: Approving,
    /// How the log is kept and published.
    pub recording: Recording,
    /// Verifier keys of the log, as the file has them.
    pub audit_keys: Vec<String>,
    /// Whose logs `bailiwick serve audit` collects.
    pub senders: Vec<Sender>,
    /// What says that this machine is thrown away when its job is done; none when nothing does.
    pub disposable: Option<String>,
    /// How it is reached over HTTP.
    pub serving: Serving,
    /// Whose tokens prove callers.
    pub issuers: Vec<Issuer>,
    /// Where change tickets are looked up; nowhere unless told.
    pub change: Option<Tickets>,
    /// Where traces and metrics go; nowhere unless told.
    pub telemetry: Option<Telemetry>,
    /// Folder of filters that quicken searches, and of what else can be made again; none where they are off.
    pub cache: Option<PathBuf>,
    /// Systems of record, by name.
    pub connections: Vec<Connection>,
    /// What was ignored and why, and what is dangerous; for a person to read.
    pub notes: Vec<String>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This file.
    File(PathBuf),
    /// No file; environment variables and the repository that the process was started in.
    Discovered,
}

/// Who calls over standard input and the command line, where nothing better is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// E.g. `claude-code`.
    pub agent: String,
    /// The person it acts for.
    pub person: Option<String>,
    /// Teams of both.
    pub teams: Vec<String>,
    /// Whether the configuration declares it; else it is the user of the operating system.
    pub declared: bool,
}

/// What [`policy::Policy::load`] is fed with; where it [is silent](PolicySettings::is_silent), add the built-in policy.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    /// Zone of `weekday` and `minute_of_day`.
    pub zone: jiff::tz::TimeZone,
    /// Cedar files, already read; those of trusted files in a repository are [`Scope::Narrow`].
    pub sources: Vec<Source>,
    /// Lists of the configuration, and narrow entries of trusted files in a repository.
    pub lists: Lists,
}

impl Config {
    /// Name of the configuration file in each folder.
    pub const FILE: &str = "bailiwick.toml";

    /// Loads the configuration that holds. Nothing in the current repository has a say, unless it was trusted, and then
    /// it can only narrow.
    pub fn load(explicit: Option<&Path>, surroundings: &Surroundings) -> Result<Config, ConfigError> {
        let mut notes = Vec::new();
        let (mut config, sources) = match find(explicit, surroundings) {
            Some(path) => from_file(&path, surroundings, &mut notes)?,
            None => (discovery::discover(surroundings, &mut notes)?, Sources::default()),
        };
        let mut used = sources.paths;
        if let Origin::File(path) = &config.origin {
            used.extend(path.canonicalize());
            discovery::note_unused(path, &config.connections, surroundings, &mut notes);
        }
        config.policy.sources = sources.sources;
        Narrowing::find(surroundings, &used, &mut notes)?.apply(&mut config.policy);
        config.notes = notes;
        Ok(config)
    }

    /// The connection of this name.
    pub fn connection(&self, name: &str) -> Option<&Connection> {
        self.connections.iter().find(|it| it.name == name)
    }
}

impl PolicySettings {
    /// Whether the configuration says nothing about what may be done, so that the built-in policy holds. What a
    /// repository narrows does not count: it must never replace what it narrows.
    pub fn is_silent(&self) -> bool {
        // A limit only takes away from what something else permits.
        let Lists { allow, ask, approve, deny, limits: _, hide: _ } = &self.lists;
        let narrow = |it: &ListEntry| it.narrow;
        self.sources.iter().all(|it| it.scope == Scope::Narrow)
            && [allow, ask, approve, deny].into_iter().flatten().all(narrow)
    }
}

impl Origin {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Origin::File(path) => Some(path),
            Origin::Discovered => None,
        }
    }
}

impl Identity {
    /// Agent whom nobody named.
    pub const NAMELESS: &str = "local";

    /// The user that the operating system runs us as.
    pub(crate) fn of_os_user(surroundings: &Surroundings) -> Identity {
        Identity {
            agent: Self::NAMELESS.to_owned(),
            person: Some(surroundings.os_user.clone()),
            teams: Vec::new(),
            declared: false,
        }
    }
}

/// A file that was asked for is used even if it is missing, which is then the error.
fn find(explicit: Option<&Path>, surroundings: &Surroundings) -> Option<PathBuf> {
    if let Some(path) = explicit {
        return Some(surroundings.current_folder.join(path));
    }
    let folders = [surroundings.user_folder(), Some(surroundings.system_folder.clone())];
    let files = folders.into_iter().flatten().map(|it| it.join(Config::FILE));
    files.into_iter().find(|it| file::exists(it))
}

fn from_file(
    path: &Path,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Result<(Config, Sources), ConfigError> {
    let text = file::trusted_text(path, notes)?;
    let document = Document::parse(words::path(path), &text)?;
    let table: FileTable = document.read()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut reading = Reading { document: &document, folder, notes };
    let sources = reading.sources(&table.policy)?;
    let config = reading.config(table, path, surroundings)?;
    Ok((config, sources))
}
