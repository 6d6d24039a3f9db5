//! One person's machine, as far as the binary can see: configuration, state, home, and what it is started with.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    mcp::{Session, Version},
    process::{DEADLINE, wait_until},
};

/// A home of its own, in which the binary finds nothing but what a test put there.
pub struct Home {
    binary: PathBuf,
    folder: TempDir,
    cwd: PathBuf,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Home {
    /// An empty home for a binary, e.g. `env!("CARGO_BIN_EXE_bailiwick")`.
    pub fn new(binary: impl Into<PathBuf>) -> Home {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for part in ["config/bailiwick", "state", "cache", "here"] {
            fs::create_dir_all(folder.path().join(part)).expect("a temporary folder is writable");
        }
        let cwd = folder.path().join("here");
        Home { binary: binary.into(), folder, cwd, variables: Vec::new() }
    }

    /// Writes the user's `bailiwick.toml`. Whatever the home stands on counts as a disk that lasts, unless the text speaks of that.
    pub fn config(self, toml: &str) -> Home {
        fs::write(self.config_path(), lasting(toml)).expect("a temporary folder is writable");
        self
    }

    /// Sets a variable for everything started from now on.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Home {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Starts everything in this folder from now on.
    pub fn stand_in(mut self, folder: impl Into<PathBuf>) -> Home {
        self.cwd = folder.into();
        self
    }

    /// Writes a file beside the user's `bailiwick.toml`, e.g. `policies/on-call.cedar`.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.config_folder().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("a temporary folder is writable");
        fs::write(&path, text).expect("a temporary folder is writable");
        path
    }

    /// The user's `bailiwick.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.config_folder().join("bailiwick.toml")
    }

    /// The folder of the user's `bailiwick.toml`.
    pub fn config_folder(&self) -> PathBuf {
        self.folder.path().join("config/bailiwick")
    }

    /// Where the binary keeps its logs and keys.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state/bailiwick")
    }

    /// The home folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with arguments, in this home, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env_clear().current_dir(&self.cwd);
        command.envs(std::env::var_os("PATH").map(|it| ("PATH", it)));
        let parts = [
            ("HOME", ""),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
        ];
        for (name, part) in parts {
            command.env(name, self.folder.path().join(part));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        run(&mut self.command(arguments), b"")
    }

    /// Runs `bailiwick call SERVER TOOL --json ARGUMENTS` to its end.
    pub fn call(&self, server: &str, tool: &str, arguments: &Value) -> Ended {
        self.run(["call", server, tool, "--json", &arguments.to_string()])
    }

    /// Starts `bailiwick serve SERVER…` and greets it.
    pub fn serve(&self, servers: &[&str], version: Version) -> Session {
        let mut session = self.start(servers);
        session.greet(version);
        session
    }

    /// Starts `bailiwick serve SERVER…` and says nothing yet.
    pub fn start(&self, servers: &[&str]) -> Session {
        Session::start(&mut self.command(["serve"].iter().chain(servers)))
    }
}

impl Ended {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|it| panic!("not JSON ({it}): {self:#?}"))
    }

    /// Itself, when it ended with this code; panics with all of it otherwise.
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// A configuration for a temporary folder, which may be memory, or the layer of a container.
fn lasting(toml: &str) -> String {
    const KEY: &str = "ephemeral = false # said by the home\n";
    const TABLE: &str = "\n[audit]\nephemeral = false # and this table by the home\n";
    // What an earlier one was given.
    let toml = toml.replace(TABLE, "").replace(KEY, "");
    match toml.split_once("[audit]\n") {
        _ if toml.contains("ephemeral =") => toml,
        Some((before, after)) => format!("{before}[audit]\n{KEY}{after}"),
        None => toml + TABLE,
    }
}

/// Runs a command to its end, with `input` as its standard input. Panics when it takes longer than [`DEADLINE`].
pub fn run(command: &mut Command, input: &[u8]) -> Ended {
    let name = format!("{command:?}");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|it| panic!("cannot start {name}: {it}"));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // A program may end without reading what it was given.
        scope.spawn(move || stdin.map(|mut it| it.write_all(input)));
        let stdout = scope.spawn(move || read(stdout));
        let stderr = scope.spawn(move || read(stderr));
        let started = std::time::Instant::now();
        let status = wait_until(&format!("{name} to end"), 2 * DEADLINE, || {
            let ended = child.try_wait().expect("our own child can be asked");
            if ended.is_none() && started.elapsed() > DEADLINE {
                let _ = child.kill(); // ends the pipes, so that the threads above end
                panic!("{name} took longer than {DEADLINE:?}");
            }
            ended
        });
        let text = |it: thread::ScopedJoinHandle<'_, Vec<u8>>| {
            String::from_utf8_lossy(&it.join().expect("reading does not panic")).into_owned()
        };
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    })
}

fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // A broken pipe ends what there is to read; the exit code tells the rest.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_holds_nothing_but_what_a_test_put_there() {
        let home = Home::new("/usr/bin/env").variable("PROMETHEUS_URL", "http://127.0.0.1:9");
        let ended = home.run([""; 0]).expect(0);
        let mut names: Vec<_> = ended.stdout.lines().filter_map(|it| Some(it.split_once('=')?.0)).collect();
        names.sort_unstable();
        let right = ["HOME", "PATH", "PROMETHEUS_URL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"];
        assert_eq!(names, right);
    }

    #[test]
    fn what_a_command_reads_writes_and_ends_with_is_told() {
        let ended = run(Command::new("sh").args(["-c", "cat; echo no >&2; exit 4"]), b"yes");
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(4), "yes", "no\n"));
    }
}
