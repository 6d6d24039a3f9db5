//! Real repositories, made on the spot by the real git, for the tests of the tools.

mod compare_revisions;
mod filters;
mod find_owners;
mod history;
mod hostile;
mod list_commits;
mod objects;
mod read_file;
mod search_code;
mod trace_lines;

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use config::{Connection, Git, System};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tool::{Answer, Body, Next, ToolError};

use crate::{
    Backends,
    backends::{Opened, Repository, Stop},
    tools::{CompareRevisions, FindOwners, ListCommits, ReadFile, SearchCode, TraceLines},
};

/// What `now` is in every test.
const NOW: &str = "2026-01-31T12:00:00Z";

/// A repository in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

/// An answer as a test reads it.
pub(crate) struct Told {
    pub(crate) facts: Value,
    /// Column name to cell.
    pub(crate) rows: Vec<Map<String, Value>>,
    pub(crate) lines: Vec<String>,
    pub(crate) seen: u64,
    pub(crate) next: Option<Next>,
    pub(crate) not_looked_at: Vec<String>,
}

impl Fixture {
    /// An empty repository whose branch is `main`.
    pub(crate) fn new() -> Fixture {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("shop");
        let fixture = Fixture { path, folder };
        git(fixture.folder.path(), &["init", "--quiet", "--initial-branch=main", "shop"], "");
        fixture
    }

    /// Three commits by two people: the 10th, 20th and 30th of January at noon.
    pub(crate) fn with_commits() -> Fixture {
        let fixture = Fixture::new();
        fixture.write("README.md", "shop\n");
        fixture.write("src/pay.rs", "one\ntwo\nthree\n");
        fixture.commit("2026-01-10T12:00:00Z", "Ann", "Start the shop");
        fixture.write("src/pay.rs", "one\n2\nthree\nfour\n");
        fixture.commit("2026-01-20T12:00:00Z", "Bob", "Take payments");
        fixture.write("docs/guide.md", "how\n");
        fixture.commit("2026-01-30T12:00:00Z", "Ann", "Explain");
        fixture
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().expect("below a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    /// Commits all there is and gives the commit's id.
    pub(crate) fn commit(&self, at: &str, who: &str, message: &str) -> String {
        self.git(&["add", "--all", "--force"]);
        let (name, mail) =
            (format!("user.name={who}"), format!("user.email={}@example.com", who.to_lowercase()));
        let commit = ["-c", &name, "-c", &mail, "commit", "--quiet", "--allow-empty", "-m", message];
        git_at(&self.path, &commit, "", at);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments, "")
    }

    pub(crate) fn backends(&self) -> Backends {
        Backends::new(&[connection("shop", &self.path)]).expect("an absolute path")
    }

    pub(crate) fn list(&self, arguments: Value) -> Result<Told, ToolError> {
        list_in(&self.path, arguments, &patient())
    }

    pub(crate) fn read(&self, arguments: Value) -> Result<Told, ToolError> {
        read_in(&self.path, arguments)
    }
}

impl Fixture {
    pub(crate) fn compare(&self, arguments: Value) -> Result<Told, ToolError> {
        let asked: CompareRevisions = serde_json::from_value(arguments).expect("arguments that parse");
        self.look(|opened, stop| asked.look(opened, stop))
    }

    pub(crate) fn search(&self, arguments: Value) -> Result<Told, ToolError> {
        let asked: SearchCode = serde_json::from_value(arguments).expect("arguments that parse");
        self.look(|opened, stop| asked.look(opened, stop))
    }

    pub(crate) fn find_owners(&self, arguments: Value) -> Result<Told, ToolError> {
        let asked: FindOwners = serde_json::from_value(arguments).expect("arguments that parse");
        self.look(|opened, stop| asked.look(opened, NOW.parse().expect("a time"), stop))
    }

    pub(crate) fn trace(&self, arguments: Value) -> Result<Told, ToolError> {
        let asked: TraceLines = serde_json::from_value(arguments).expect("arguments that parse");
        self.look(|opened, stop| asked.look(opened, NOW.parse().expect("a time"), stop))
    }

    /// Opens the repository and looks, as a call would.
    pub(crate) fn look<F: serde::Serialize>(
        &self,
        look: impl FnOnce(&Opened<'_>, &Stop) -> Result<Answer<F>, ToolError>,
    ) -> Result<Told, ToolError> {
        let repository = Repository::new(connection("shop", &self.path), self.path.clone());
        look(&repository.open()?, &patient()).map(Told::of)
    }
}

impl Told {
    pub(crate) fn column(&self, name: &str) -> Vec<Value> {
        self.rows.iter().map(|it| it.get(name).cloned().unwrap_or_default()).collect()
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        self.column("subject").iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The call that continues after so many rows or lines.
    pub(crate) fn next(&self, shown: usize) -> Option<Value> {
        self.next.as_ref().and_then(|it| it(shown))
    }

    fn of<F: serde::Serialize>(answer: Answer<F>) -> Told {
        let facts = serde_json::to_value(answer.facts).expect("plain data");
        let empty = Told {
            facts,
            rows: vec![],
            lines: vec![],
            seen: 0,
            next: None,
            not_looked_at: answer.not_looked_at,
        };
        match answer.body {
            Body::None => empty,
            Body::Lines(it) => Told { lines: it.lines, seen: it.seen, next: it.next, ..empty },
            Body::Table(it) => {
                let names: Vec<&str> = it.columns.iter().map(|it| it.name).collect();
                let row = |cells: Vec<Value>| {
                    assert_eq!(cells.len(), names.len(), "as many cells as columns");
                    names.iter().map(|it| (*it).to_owned()).zip(cells).collect()
                };
                let rows = it.rows.into_iter().map(|it| row(it.cells)).collect();
                Told { rows, seen: it.seen, next: it.next, ..empty }
            }
        }
    }
}

pub(crate) fn connection(name: &str, path: &Path) -> Connection {
    let unknown = || policy::UNKNOWN.to_owned();
    Connection {
        name: name.to_owned(),
        environment: "staging".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Git(Git { path: path.to_owned() }),
    }
}

pub(crate) fn list_in(path: &Path, arguments: Value, stop: &Stop) -> Result<Told, ToolError> {
    let asked: ListCommits = serde_json::from_value(arguments).expect("arguments that parse");
    let repository = Repository::new(connection("shop", path), path.to_owned());
    let now = NOW.parse().expect("a time");
    asked.look(&repository.open()?, now, stop).map(Told::of)
}

pub(crate) fn read_in(path: &Path, arguments: Value) -> Result<Told, ToolError> {
    let asked: ReadFile = serde_json::from_value(arguments).expect("arguments that parse");
    let repository = Repository::new(connection("shop", path), path.to_owned());
    asked.look(&repository.open()?, &patient()).map(Told::of)
}

/// A minute to answer in, and nobody who cancels.
pub(crate) fn patient() -> Stop {
    Stop::new(CancellationToken::new(), Instant::now() + Duration::from_secs(60))
}

pub(crate) fn git(folder: &Path, arguments: &[&str], input: &str) -> String {
    git_at(folder, arguments, input, NOW)
}

/// Runs a small program of the system.
#[expect(
    clippy::disallowed_methods,
    reason = "tests need a pipe and a mode, for which the standard library has no call"
)]
fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let done = std::process::Command::new(program).args(arguments).current_dir(folder).status();
    assert!(done.is_ok_and(|it| it.success()), "{program} {arguments:?}");
}

fn git_at(folder: &Path, arguments: &[&str], input: &str, at: &str) -> String {
    let done = try_git(folder, arguments, input, at);
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Runs git apart from whatever is configured on this machine.
#[expect(clippy::disallowed_methods, reason = "tests make their repositories with the real git")]
fn try_git(folder: &Path, arguments: &[&str], input: &str, at: &str) -> Output {
    use std::{io::Write, process::Stdio};
    let mut git = std::process::Command::new("git");
    git.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "gc.auto=0"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", at)
        .env("GIT_COMMITTER_DATE", at)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = git.spawn().expect("git is installed");
    let mut stdin = running.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("git reads");
    drop(stdin);
    running.wait_with_output().expect("git ends")
}
