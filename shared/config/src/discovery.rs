//! What is there when nothing is configured? Two variables and the repository that one stands in.

use std::path::Path;

use policy::{Lists, UNKNOWN, Vocabulary};

use crate::{
    Approving, Config, ConfigError, Connection, Git, Http, Identity, Origin, PolicySettings, Recording,
    Serving, Surroundings, System, address, interpret, words,
};

/// What one finds without a configuration file.
pub(crate) fn discover(surroundings: &Surroundings, notes: &mut Vec<String>) -> Result<Config, ConfigError> {
    let mut connections = Vec::new();
    for (variable, name, system) in [
        ("PROMETHEUS_URL", "prometheus", System::Prometheus as fn(Http) -> System),
        ("ALERTMANAGER_URL", "alertmanager", System::Alertmanager),
    ] {
        if let Some(text) = surroundings.variable(variable) {
            let url = address::base(text)
                .map_err(|problem| ConfigError::Variable { name: variable.to_owned(), problem })?;
            connections.push(found(name.to_owned(), system(Http::plain(url))));
        }
    }
    if let Some(root) = surroundings.repository() {
        let folder = root.file_name().unwrap_or_default().to_string_lossy();
        let mut name = words::slug(&folder).unwrap_or_else(|| "repository".to_owned());
        if connections.iter().any(|it: &Connection| it.name == name) {
            name = format!("{}-git", name.chars().take(59).collect::<String>());
        }
        connections.push(found(name, System::Git(Git { path: root.to_owned() })));
    }
    if connections.is_empty() {
        notes.push(
            "no configuration file, and nothing was found: set PROMETHEUS_URL or ALERTMANAGER_URL, start in a git \
             repository, or write a bailiwick.toml"
                .to_owned(),
        );
    }
    connections.sort_by(|a, b| a.name.cmp(&b.name));
    let mut vocabulary = Vocabulary::default();
    interpret::add_words(&mut vocabulary, &connections);
    Ok(Config {
        origin: Origin::Discovered,
        identity: Identity::of_os_user(surroundings),
        policy: PolicySettings {
            zone: jiff::tz::TimeZone::UTC,
            sources: Vec::new(),
            lists: Lists::default(),
        },
        vocabulary,
        state: surroundings.state_folder().ok_or(ConfigError::NoState)?,
        approving: Approving::default(),
        recording: Recording::default(),
        audit_keys: Vec::new(),
        senders: Vec::new(),
        disposable: surroundings.disposable(),
        serving: Serving::default(),
        issuers: Vec::new(),
        change: None,
        telemetry: None,
        cache: surroundings.cache_folder(),
        connections,
        notes: Vec::new(),
    })
}

/// Says what would have been found, had there been no configuration file.
pub(crate) fn note_unused(
    file: &Path,
    connections: &[Connection],
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) {
    let variables = ["PROMETHEUS_URL", "ALERTMANAGER_URL"].into_iter();
    let mut unused: Vec<_> =
        variables.filter(|it| surroundings.variable(it).is_some()).map(str::to_owned).collect();
    if let Some(root) = surroundings.repository() {
        let is_it = |it: &Connection| matches!(&it.system, System::Git(git) if same(&git.path, root));
        if !connections.iter().any(is_it) {
            unused.push(format!("the repository {}", words::path(root)));
        }
    }
    if !unused.is_empty() {
        let file = words::path(file);
        notes.push(format!("not used, since {file} says which connections there are: {}", unused.join(", ")));
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().ok().is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn found(name: String, system: System) -> Connection {
    let unknown = || UNKNOWN.to_owned();
    Connection { name, environment: unknown(), region: unknown(), team: unknown(), tier: unknown(), system }
}
