//! What does the user who runs this reach without us? What an agent of that user could take to go around the gate, and the rules
//! of its client that keep the client's own tools off it.
//!
//! Rules of Claude Code: <https://code.claude.com/docs/en/permissions>.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use config::{Auth, Config, Connection, Http, Secret, System};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Asked, ask, clean_lines};

/// One way to a system of record that leads around us.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    /// E.g. `kubeconfig`, or the name of a connection.
    name: String,
    /// What was found, and where.
    found: String,
    /// What keeps Claude Code's own tools off it.
    deny: Vec<String>,
}

/// What a client of some system keeps below the home folder.
struct Kept {
    name: &'static str,
    /// What would prove something, if it can be read.
    files: &'static [&'static str],
    /// What is closed then, below the home folder.
    closed: &'static [&'static str],
    /// Programs that use it.
    programs: &'static [&'static str],
}

const KEPT: [Kept; 12] = [
    kept("kubeconfig", &[".kube/config"], &[".kube/**"], KUBERNETES),
    kept("AWS", &[".aws/credentials", ".aws/config"], &[".aws/**"], &["aws"]),
    kept(
        "gcloud",
        &[".config/gcloud/credentials.db", ".config/gcloud/application_default_credentials.json"],
        &[".config/gcloud/**"],
        GOOGLE,
    ),
    kept("Azure", &[".azure/msal_token_cache.json", ".azure/accessTokens.json"], &[".azure/**"], &["az"]),
    kept("GitHub", &[".config/gh/hosts.yml"], &[".config/gh/**"], &["gh"]),
    kept("GitLab", &[".config/glab-cli/config.yml"], &[".config/glab-cli/**"], &["glab"]),
    kept(
        "git credentials",
        &[".git-credentials", ".config/git/credentials"],
        &[".git-credentials", ".config/git/credentials"],
        &["git push", "git credential"],
    ),
    kept("netrc", &[".netrc"], &[".netrc"], &["curl"]),
    kept("Docker registries", &[".docker/config.json"], &[".docker/config.json"], &["docker"]),
    kept("Argo CD", &[".config/argocd/config"], &[".config/argocd/**"], &["argocd"]),
    kept("Vault", &[".vault-token"], &[".vault-token"], &["vault"]),
    kept("SSH keys", &[".ssh/id_ed25519", ".ssh/id_ecdsa", ".ssh/id_rsa"], &[".ssh/**"], &["ssh", "scp"]),
];

const KUBERNETES: &[&str] = &["kubectl", "helm"];
const GOOGLE: &[&str] = &["gcloud", "gsutil", "bq"];

/// Variables that hold what proves something, and who uses it.
const TOKENS: [(&str, &[&str]); 16] = [
    ("AWS_SECRET_ACCESS_KEY", &["aws"]),
    ("AWS_SESSION_TOKEN", &["aws"]),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", &["aws"]),
    ("AZURE_CLIENT_SECRET", &["az"]),
    ("ARGOCD_AUTH_TOKEN", &["argocd"]),
    ("DD_API_KEY", &[]),
    ("DD_APP_KEY", &[]),
    ("GH_TOKEN", &["gh"]),
    ("GITHUB_TOKEN", &["gh"]),
    ("GITLAB_TOKEN", &["glab"]),
    ("GOOGLE_APPLICATION_CREDENTIALS", GOOGLE),
    ("GRAFANA_API_KEY", &[]),
    ("GRAFANA_TOKEN", &[]),
    ("PAGERDUTY_TOKEN", &[]),
    ("PROMETHEUS_TOKEN", &[]),
    ("VAULT_TOKEN", &["vault"]),
];

/// Variables whose address may hold a password.
const ADDRESSES: [&str; 4] = ["PROMETHEUS_URL", "ALERTMANAGER_URL", "GRAFANA_URL", "LOKI_ADDR"];

/// What a pod is given by its cluster.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Whoever reaches it is root.
const DOCKER: &str = "/var/run/docker.sock";
/// What shows the environment.
const SHOWS_VARIABLES: [&str; 2] = ["Bash(printenv:*)", "Bash(env:*)"];

const fn kept(
    name: &'static str,
    files: &'static [&'static str],
    closed: &'static [&'static str],
    programs: &'static [&'static str],
) -> Kept {
    Kept { name, files, closed, programs }
}

/// Every way that is found for the user who runs this. Systems are asked; nothing is changed.
pub(super) async fn ways(config: Option<&Config>) -> Vec<Way> {
    let home = config::variable("HOME").map(PathBuf::from).filter(|it| it.is_absolute());
    let mut ways: Vec<Way> =
        home.iter().flat_map(|home| KEPT.iter().filter_map(|it| it.found(home))).collect();
    ways.extend(kubernetes());
    ways.extend(docker());
    ways.extend(TOKENS.iter().filter_map(|(name, programs)| token(name, programs)));
    ways.extend(ADDRESSES.into_iter().filter_map(address));
    if let Some(config) = config {
        for connection in &config.connections {
            ways.extend(beside(connection).await);
        }
        ways.extend(ourselves(config));
    }
    ways
}

/// Says what was found, and the rules.
pub(super) fn tell(out: &mut impl Write, ways: &[Way]) -> io::Result<()> {
    if ways.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nWays around us for this user:")?;
    for way in ways {
        writeln!(out, "! {}: {}", way.name, way.found)?;
    }
    writeln!(
        out,
        "→ an agent of this user can use them. `bailiwick serve --socket`, as another user, holds what it needs"
    )?;
    writeln!(
        out,
        "  itself: then take them away from this one. Rules in ~/.claude/settings.json keep Claude Code's own"
    )?;
    writeln!(out, "  tools off them, and not a program that it starts:")?;
    writeln!(out, "{:#}", rules(ways))
}

/// What to put into the settings of Claude Code, each rule once.
pub(super) fn rules(ways: &[Way]) -> Value {
    let deny: BTreeSet<&String> = ways.iter().flat_map(|it| &it.deny).collect();
    json!({ "permissions": { "deny": deny } })
}

impl Way {
    fn new(name: &str, found: String, deny: impl IntoIterator<Item = String>) -> Way {
        Way { name: name.to_owned(), found: clean_lines(&found), deny: deny.into_iter().collect() }
    }
}

impl Kept {
    fn found(&self, home: &Path) -> Option<Way> {
        let read = self.files.iter().map(|it| home.join(it)).find(|it| is_readable(it))?;
        let closed = self.closed.iter().map(|it| format!("Read(~/{it})"));
        let deny = closed.chain(self.programs.iter().map(|it| program(it)));
        Some(Way::new(self.name, format!("{} can be read", read.display()), deny))
    }
}

/// Where a cluster's access lies besides the home folder.
fn kubernetes() -> Option<Way> {
    let named = config::variable("KUBECONFIG").unwrap_or_default();
    let named = std::env::split_paths(&named).filter(|it| it.is_absolute()).collect::<Vec<_>>();
    let read = named.into_iter().chain([PathBuf::from(SERVICE_ACCOUNT)]).find(|it| is_readable(it))?;
    let deny = [file("Read", &read)].into_iter().chain(KUBERNETES.iter().map(|it| program(it)));
    Some(Way::new("Kubernetes", format!("{} can be read", read.display()), deny))
}

fn docker() -> Option<Way> {
    let named = config::variable("DOCKER_HOST").and_then(|it| it.into_string().ok());
    let named = named.and_then(|it| it.strip_prefix("unix://").map(PathBuf::from));
    let place = named.unwrap_or_else(|| PathBuf::from(DOCKER));
    UnixStream::connect(&place).ok()?;
    let found =
        format!("{} lets us in, and whoever is let in there is root on this machine", place.display());
    Some(Way::new("Docker", found, ["docker", "docker-compose", "podman"].map(program)))
}

fn token(name: &str, programs: &[&str]) -> Option<Way> {
    config::variable(name).filter(|it| !it.is_empty())?;
    let deny = SHOWS_VARIABLES.map(str::to_owned).into_iter().chain(programs.iter().map(|it| program(it)));
    Some(Way::new(name, "is set, for every program that is started here".to_owned(), deny))
}

fn address(name: &str) -> Option<Way> {
    let value = config::variable(name)?.into_string().ok()?;
    let (_, rest) = value.split_once("://")?;
    rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    Some(Way::new(
        name,
        "holds a password, for every program that is started here".to_owned(),
        SHOWS_VARIABLES.map(str::to_owned),
    ))
}

/// A connection whose credential this user can read, or that asks for none.
async fn beside(connection: &Connection) -> Option<Way> {
    let (http, path): (&Http, &[&str]) = match &connection.system {
        System::Prometheus(http) => (http, &["api", "v1", "status", "buildinfo"]),
        System::Alertmanager(http) => (http, &["api", "v2", "status"]),
        System::Git(_) => return None,
    };
    let name = &connection.name;
    let host = http.url.host_str().unwrap_or_default();
    let by_hand = [format!("WebFetch(domain:{host})"), program("curl"), program("wget")];
    if let Auth::Bearer(secret) | Auth::Basic { password: secret, .. } = &http.auth {
        match secret {
            Secret::File(path) if is_readable(path) => {
                let deny = [file("Read", path)].into_iter().chain(by_hand);
                return Some(Way::new(name, format!("its credential {} can be read", path.display()), deny));
            }
            Secret::Env(variable) if config::variable(variable).is_some() => {
                let deny = SHOWS_VARIABLES.map(str::to_owned).into_iter().chain(by_hand);
                return Some(Way::new(name, format!("its credential is in the variable {variable}"), deny));
            }
            Secret::File(_) | Secret::Env(_) => {}
        }
    }
    let bare = Http { auth: Auth::None, ..http.clone() };
    match ask(&connection.name, &bare, path, &[]).await {
        Ok(_) => {
            Some(Way::new(name, format!("{} answers whoever asks, without a credential", http.url), by_hand))
        }
        Err(Asked::Here(_) | Asked::There(_)) => None,
    }
}

/// What this user could change about us.
fn ourselves(config: &Config) -> Option<Way> {
    let file_of = config.origin.file().filter(|it| OpenOptions::new().append(true).open(it).is_ok());
    let state = Some(config.state.as_path()).filter(|it| it.exists() && super::writable(it).is_ok());
    let places: Vec<&Path> = file_of.into_iter().chain(state).collect();
    let named = places.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(" and ");
    let below = |it: &&Path| if it.is_dir() { it.join("**") } else { it.to_path_buf() };
    let deny = places.iter().map(|it| file("Edit", &below(it)));
    (!places.is_empty()).then(|| Way::new("bailiwick", format!("this user can change {named}"), deny))
}

/// A rule about an absolute path: one slash alone would mean the folder of the settings.
fn file(tool: &str, path: &Path) -> String {
    format!("{tool}(/{})", path.display())
}

/// A rule about a program, whatever its arguments.
fn program(words: &str) -> String {
    format!("Bash({words}:*)")
}

/// Whether there is something to be read by this user.
fn is_readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() > 0) && File::open(path).is_ok()
}
