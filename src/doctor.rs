//! `bailiwick doctor`: does everything that a call needs work, and if not, what to do?

mod approvals;
mod around;
mod change;
mod issuers;
mod notify;
mod page;
mod people;
mod policy;
mod telemetry;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use audit::{Collect, Verdict};
use clap::Args;
use config::{Auth, Config, Connection, Http, Origin, Surroundings, System, clean};
use outbound::Endpoint;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tool::ToolError;

use self::around::Way;
use crate::{UNUSABLE, collector::Sent, open};

/// Check configuration, identity, connections, policy and log, and say what to do about what is broken
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick doctor\n  \
                        bailiwick doctor --json | jq '.checks[] | select(.broken)'\n  \
                        bailiwick doctor --config /etc/bailiwick/bailiwick.toml\n\n\
                        Connections are asked for their version; nothing is changed, and nothing is recorded. What leads around\n\
                        the gate for the user who runs it is listed, with rules for Claude Code that close it to its tools.\n\
                        Exit codes: 0 all is well, 1 a connection is broken, 5 no call would work.")]
pub(crate) struct Doctor {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// `configuration`, `caller`, `login`, `connection`, `issuer`, `change`, `policy`, `log`, `collector`, `approvals`, `notify` or
    /// `telemetry`.
    kind: &'static str,
    /// Connection name; else the kind again.
    name: String,
    broken: bool,
    /// What was found.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
}

/// Longest wait for one connection, however patient its configuration is.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Doctor, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let surroundings = Surroundings::from_process()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (checks, notes, ways) = match Config::load(config, &surroundings) {
        Err(error) => {
            let instead = "correct it; nothing works without a configuration that loads";
            let checks = vec![Check::broken("configuration", error.to_string(), instead)];
            (checks, Vec::new(), runtime.block_on(around::ways(None)))
        }
        Ok(found) => {
            let mut checks = vec![configuration(&found)];
            checks.extend(runtime.block_on(people::check(&found)));
            checks.extend(runtime.block_on(connections(&found)));
            checks.extend(runtime.block_on(issuers::check(&found)));
            checks.extend(runtime.block_on(change::check(&found)));
            checks.extend([policy::check(&found), log(&found.state)]);
            checks.extend(collector(&found));
            checks.push(runtime.block_on(approvals::check(&found)));
            checks.extend(runtime.block_on(notify::check(&found)));
            checks.extend(runtime.block_on(telemetry::check(&found)));
            checks.extend(runtime.block_on(page::check(&found)));
            let ways = runtime.block_on(around::ways(Some(&found)));
            (checks, found.notes, ways)
        }
    };
    match report(&mut io::stdout().lock(), &checks, &notes, &ways, arguments.json) {
        // Whoever reads may have read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    let broken = |it: &Check| it.broken;
    let minor = |it: &Check| {
        let minor = ["connection", "issuer", "change", "collector", "approvals", "notify", "telemetry"];
        minor.contains(&it.kind)
    };
    Ok(match checks.iter().filter(|it| broken(it)).any(|it| !minor(it)) {
        true => ExitCode::from(UNUSABLE),
        false => ExitCode::from(u8::from(checks.iter().any(broken))),
    })
}

fn report(
    out: &mut impl Write,
    checks: &[Check],
    notes: &[String],
    ways: &[Way],
    as_json: bool,
) -> io::Result<()> {
    if as_json {
        let well = !checks.iter().any(|it| it.broken);
        let client = around::rules(ways);
        let all = json!({ "well": well, "checks": checks, "notes": notes, "around": ways, "client": client });
        return writeln!(out, "{all:#}");
    }
    let width = checks.iter().map(|it| it.name.len()).max().unwrap_or_default();
    for check in checks {
        let mark = if check.broken { "✘" } else { "✔" };
        let mut lines = check.found.lines();
        writeln!(out, "{mark} {:width$}  {}", check.name, lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(out, "  {:width$}  {line}", "")?;
        }
        if let Some(instead) = &check.instead {
            writeln!(out, "  {:width$}  → {instead}", "")?;
        }
    }
    notes.iter().try_for_each(|note| writeln!(out, "! {note}"))?;
    around::tell(out, ways)
}

impl Check {
    fn well(kind: &'static str, found: String) -> Check {
        let name = kind.to_owned();
        Check { kind, name, broken: false, found: clean_lines(&found), instead: None, latency_ms: None }
    }

    fn broken(kind: &'static str, found: String, instead: &str) -> Check {
        Check { broken: true, ..Check::well(kind, found) }.with(instead)
    }

    fn with(self, instead: &str) -> Check {
        Check { instead: Some(instead.to_owned()), ..self }
    }

    fn named(self, name: &str) -> Check {
        Check { name: name.to_owned(), ..self }
    }
}

/// What a system answers stands in a terminal here.
fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

fn configuration(config: &Config) -> Check {
    match &config.origin {
        Origin::File(path) => Check::well("configuration", path.display().to_string()),
        Origin::Discovered => {
            Check::well("configuration", "no file; connections are what was found here".to_owned())
        }
    }
}

/// Names of the connections that do not answer within `longest`.
pub(crate) async fn unreachable(config: &Config, longest: Duration) -> Vec<String> {
    let mut asked = JoinSet::new();
    for connection in config.connections.iter().cloned() {
        asked.spawn(async move {
            let check = tokio::time::timeout(longest, connected(&connection)).await;
            check.map_or(true, |it| it.broken).then_some(connection.name)
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

/// All connections at once, in the order of the configuration.
async fn connections(config: &Config) -> Vec<Check> {
    if config.connections.is_empty() {
        let instead = "write [connections.NAME] into a bailiwick.toml, set PROMETHEUS_URL or ALERTMANAGER_URL, or \
                       start in a git repository";
        return vec![Check::broken("connection", "none".to_owned(), instead).named("connections")];
    }
    let mut asked = JoinSet::new();
    for (index, connection) in config.connections.iter().cloned().enumerate() {
        asked.spawn(async move { (index, connected(&connection).await) });
    }
    let mut checks = asked.join_all().await;
    checks.sort_by_key(|(index, _)| *index);
    checks.into_iter().map(|(_, check)| check).collect()
}

async fn connected(connection: &Connection) -> Check {
    let start = Instant::now();
    let (what, answer) = match &connection.system {
        System::Prometheus(http) => {
            (format!("Prometheus at {}", http.url), prometheus(connection, http).await)
        }
        System::Alertmanager(http) => {
            (format!("Alertmanager at {}", http.url), alertmanager(connection, http).await)
        }
        System::Git(git) => (format!("git at {}", git.path.display()), repository(connection).await),
    };
    let latency_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let standing = [&connection.environment, &connection.region, &connection.team, &connection.tier];
    let standing = standing.map(String::as_str).join("/");
    match answer {
        Ok(found) => Check {
            latency_ms: Some(latency_ms),
            ..Check::well("connection", format!("{what} ({standing}): {found}, {latency_ms} ms"))
        },
        Err((problem, instead)) => {
            Check::broken("connection", format!("{what} ({standing}): {problem}"), instead)
        }
    }
    .named(&connection.name)
}

/// What a system said of itself, or what is wrong and what to do.
type Answer = Result<String, (String, &'static str)>;

/// <https://prometheus.io/docs/prometheus/latest/querying/api/#build-information>; engines that only speak the query part
/// of the API are asked for the number one.
async fn prometheus(connection: &Connection, http: &Http) -> Answer {
    match ask(&connection.name, http, &["api", "v1", "status", "buildinfo"], &[]).await {
        Ok(answer) => Ok(version(&answer["data"]["version"])),
        Err(Asked::Here(problem)) => Err(problem),
        Err(Asked::There(_)) => {
            match ask(&connection.name, http, &["api", "v1", "query"], &[("query", "1")]).await {
                Ok(answer) if answer["status"] == "success" => Ok("answers queries".to_owned()),
                Ok(_) => Err(("it answers, but not as Prometheus does".to_owned(), "correct its url")),
                Err(asked) => Err(asked.problem()),
            }
        }
    }
}

/// <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>, `/status`.
async fn alertmanager(connection: &Connection, http: &Http) -> Answer {
    match ask(&connection.name, http, &["api", "v2", "status"], &[]).await {
        Ok(answer) => Ok(version(&answer["versionInfo"]["version"])),
        Err(asked) => Err(asked.problem()),
    }
}

fn version(answer: &Value) -> String {
    // At most so much of what a system says about itself.
    let version: String = answer.as_str().unwrap_or_default().chars().take(40).collect();
    if version.is_empty() { "answers".to_owned() } else { format!("version {version}") }
}

/// Where asking failed.
enum Asked {
    /// On this machine.
    Here((String, &'static str)),
    /// At the system, or on the way.
    There(ToolError),
}

impl Asked {
    fn problem(self) -> (String, &'static str) {
        match self {
            Asked::Here(problem) => problem,
            Asked::There(error) => {
                (error.to_string(), "see that it runs, and that url, bearer or basic, and ca_file are right")
            }
        }
    }
}

async fn ask(name: &str, http: &Http, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Asked> {
    let secret = match &http.auth {
        Auth::None => None,
        Auth::Bearer(secret) | Auth::Basic { password: secret, .. } => Some(secret),
    };
    if let Some(Err(error)) = secret.map(config::Secret::read) {
        return Err(Asked::Here((error.to_string(), "provide the secret, then ask again")));
    }
    let endpoint = Endpoint::new(name, http)
        .map_err(|error| Asked::Here((error.to_string(), "correct it in bailiwick.toml")))?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    endpoint.get_json(path, query, Some(deadline)).await.map_err(Asked::There)
}

async fn repository(connection: &Connection) -> Answer {
    let wrong = |problem: String| (problem, "correct its path, or clone it there");
    let backends =
        code::Backends::new(std::slice::from_ref(connection)).map_err(|error| wrong(error.to_string()))?;
    let name = connection.name.clone();
    let opened = tokio::task::spawn_blocking(move || backends.check(&name)).await;
    match opened {
        Ok(opened) => opened.map(|()| "opens".to_owned()).map_err(|error| wrong(error.to_string())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Whether the log can be written, and whether what stands in it is what was written. Reads only, but for a file that is
/// made and removed at once.
fn log(state: &Path) -> Check {
    let place = state.display();
    if !state.exists() {
        let above = state.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
        return match writable(above) {
            Ok(()) => Check::well("log", format!("{place} does not exist yet; the first start makes it")),
            Err(error) => Check::broken(
                "log",
                format!("{place} does not exist, and {} cannot be written: {error}", above.display()),
                "name another folder with `state` under [audit]; without a log no call runs",
            ),
        };
    }
    if let Err(error) = writable(state) {
        let instead = "make room or give this user the folder; without a log no call runs";
        return Check::broken("log", format!("{place} cannot be written: {error}"), instead);
    }
    if !state.join("logs").exists() {
        return Check::well("log", format!("{place} is writable and holds no log yet"));
    }
    match audit::verify(state, &[]) {
        Ok(report) => verified(state, &report),
        Err(error) => Check::broken("log", format!("{place}: {error}"), "see bailiwick audit verify"),
    }
}

/// Who must hold the log before effects begin.
fn collector(config: &Config) -> Option<Check> {
    let Some(settings) = &config.recording.collector else {
        return open::ephemeral(config)
            .map(|why| Check::well("collector", format!("no effect will run: {why}")));
    };
    let asked = Sent::open(settings).and_then(|it| Ok(it.deliver(Vec::new())?));
    let broken = |problem: String, instead: &str| {
        Check::broken("collector", format!("{} {problem}; reads run, effects do not", settings.url), instead)
    };
    Some(match asked {
        // Nothing is no delivery: it was let in to be told so.
        Ok((400, _)) => Check::well("collector", format!("{} knows our token", settings.url)),
        Ok((401, _)) => broken("does not know our token".to_owned(), "give both sides one token"),
        Ok((status, _)) => {
            broken(format!("answers {status}"), "is there a `bailiwick serve audit` at this address?")
        }
        Err(error) => {
            broken(format!("cannot be asked: {error:#}"), "see whether it runs, and what stands in between")
        }
    })
}

fn verified(state: &Path, report: &audit::Report) -> Check {
    let mut found = format!(
        "{} is writable, {}",
        state.display(),
        match report.verdict {
            Verdict::Intact => "and what stands in it is intact",
            Verdict::Findings => "and nothing in it was changed, but somebody should look",
            Verdict::Altered => "but what stands in it was CHANGED",
        }
    );
    for log in &report.logs {
        let held = if log.running { ", in use" } else { "" };
        let root = log.root.get(..16).unwrap_or_default();
        found += &format!("\n{}: {} records, last checkpoint {root}{held}", log.log, log.records);
        if let Some(altered) = &log.altered {
            found += &format!("\n  record {}: {} ({})", altered.index, altered.problem, altered.likely);
        }
        log.findings.iter().for_each(|it| found += &format!("\n  {it}"));
    }
    report.findings.iter().for_each(|it| found += &format!("\n{it}"));
    match report.verdict {
        Verdict::Intact => Check::well("log", found),
        Verdict::Findings => Check::well("log", found).with("bailiwick audit verify says more"),
        Verdict::Altered => {
            Check::broken("log", found, "keep a copy of the folder, and find out who can write it")
        }
    }
}

fn writable(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(&probe)
}
