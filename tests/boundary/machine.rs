//! A machine where a server and an agent are two users.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    io::Write,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, Recorder},
    cli::{self, Ended},
    files,
    mcp::{Session, Version},
    wait_until,
};

/// What a Prometheus answers to an instant query.
const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"__name__":"up","job":"shop"},"value":[1767225600,"1"]}]}}"#;

/// What the server shows its backend, and nobody else may read.
pub(crate) const TOKEN: &str = "correct-horse-battery-staple-9f2c";

/// Whoever the server runs as; nobody of this machine.
pub(crate) const SERVER: u32 = 61_234;
/// Whoever the agent runs as.
const AGENT: u32 = 65_534;

/// A machine with a server and an agent: as two users where the tests may become others, else as one.
pub(crate) struct Machine {
    folder: tempfile::TempDir,
    pub(crate) metrics: Recorder,
    /// Who the server and the agent are; none where both are us.
    pub(crate) users: Option<(u32, u32)>,
}

/// A server that listens; killed by its own id when dropped.
pub(crate) struct Served(pub(crate) Session);

impl Machine {
    /// A machine where users are apart, if that is possible here.
    pub(crate) fn new() -> Machine {
        let users = (rustix::process::geteuid().is_root()).then_some((SERVER, AGENT));
        if users.is_none() {
            // Past what holds back the output of tests that pass.
            let told =
                "NOT ROOT: one user plays both parts, so nothing is shown of what keeps two users apart";
            let _ = writeln!(std::io::stderr(), "{told}");
        }
        Machine::of(users)
    }

    pub(crate) fn of(users: Option<(u32, u32)>) -> Machine {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Recorder::alone();
        let body = VECTOR.to_owned();
        metrics.on("*", "/", Behaviour::Answer { status: 200, content_type: "application/json", body });
        let machine = Machine { folder, metrics, users };
        // Whatever stands around the tests may be closed to other users.
        fs::create_dir(machine.at("bin")).expect("ours");
        let (built, here) = (env!("CARGO_BIN_EXE_bailiwick"), machine.at("bin/bailiwick"));
        if fs::hard_link(built, &here).is_err() {
            fs::copy(built, &here).expect("it was built");
        }
        for (folder, mode) in [("", 0o755), ("bin", 0o755), ("server", 0o700), ("run", 0o755)] {
            let path = machine.at(folder);
            fs::create_dir_all(&path).expect("ours");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
        }
        let url = machine.metrics.url();
        machine.write("server/token", TOKEN);
        machine.write(
            "server/rules.cedar",
            "@id(\"reads\") permit (principal, action in Action::\"effect:read\", resource);",
        );
        machine.write(
            "server/bailiwick.toml",
            &format!(
                "[audit]\nstate = \"state\"\nephemeral = false\n[policy]\nfiles = [\"rules.cedar\"]\n\
                 [connections.shop]\nkind = \"prometheus\"\nurl = \"{url}\"\nbearer = {{ file = \"token\" }}\n"
            ),
        );
        for folder in ["server", "run"] {
            machine.give(&machine.at(folder));
        }
        machine
    }

    pub(crate) fn at(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.at("run/mcp.sock")
    }

    /// Writes a file of the server's, for it alone.
    fn write(&self, place: &str, text: &str) {
        fs::write(self.at(place), text).expect("ours");
        fs::set_permissions(self.at(place), Permissions::from_mode(0o600)).expect("ours");
        self.give(&self.at(place));
    }

    pub(crate) fn give(&self, path: &Path) {
        if let Some((server, _)) = self.users {
            chown(path, Some(server), Some(server)).expect("root may");
        }
    }

    /// A program as another user, with nothing of ours but `PATH`.
    fn run_as(&self, user: Option<u32>, program: &Path) -> Command {
        let mut command = match user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let id = user.to_string();
                command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
                command
            }
        };
        command.env_clear().envs(std::env::var_os("PATH").map(|it| ("PATH", it))).current_dir("/");
        command
    }

    pub(crate) fn binary(&self, user: Option<u32>, arguments: &[&str]) -> Command {
        let mut command = self.run_as(user, &self.at("bin/bailiwick"));
        command.args(arguments);
        command
    }

    pub(crate) fn serve(&self, options: &[&str]) -> Served {
        let (socket, config) = (self.socket(), self.at("server/bailiwick.toml"));
        let mut arguments = vec!["serve", "observability", "--config", config.to_str().expect("UTF-8")];
        arguments.extend(["--socket", socket.to_str().expect("UTF-8"), "--socket-mode", "666"]);
        arguments.extend(options);
        let mut process = Session::start(&mut self.binary(self.users.map(|it| it.0), &arguments));
        wait_until("the server to listen", DEADLINE, || {
            let told = process.errors();
            assert!(!process.ended(), "it ended by itself: {told}");
            told.contains(" is served at ").then_some(())
        });
        Served(process)
    }

    /// A client of the agent's that speaks lines.
    pub(crate) fn connect(&self, server: &[&str]) -> Session {
        let socket = self.socket();
        let arguments = [&["connect", socket.to_str().expect("UTF-8")], server].concat();
        Session::start(&mut self.binary(self.users.map(|it| it.1), &arguments))
    }

    /// A line of shell as the agent.
    pub(crate) fn agent(&self, line: &str) -> Ended {
        cli::run(self.run_as(self.users.map(|it| it.1), Path::new("sh")).args(["-c", line]), b"")
    }

    /// Every record, as whoever looks after the server sees it.
    fn records(&self) -> Vec<Value> {
        let config = self.at("server/bailiwick.toml");
        let arguments =
            ["audit", "tail", "--json", "-n", "1000", "--config", config.to_str().expect("UTF-8")];
        let tail = cli::run(&mut self.binary(self.users.map(|it| it.0), &arguments), b"").expect(0).stdout;
        tail.lines().map(|it| serde_json::from_str(it).expect("a record a line")).collect()
    }

    /// Who stands in the records of calls.
    pub(crate) fn callers(&self) -> Vec<(String, String)> {
        let calls = self.records().into_iter().filter(|it| it["leaf"]["tool"] == "query_metrics");
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        calls
            .map(|it| {
                let caller = &it["payload"]["content"]["caller"];
                (text(&caller["on_behalf_of"]), text(&it["leaf"]["assurance"]))
            })
            .collect()
    }

    /// The name that records have for a user.
    pub(crate) fn name(&self, user: Option<u32>) -> String {
        config::user_name(user.unwrap_or(rustix::process::geteuid().as_raw()))
    }

    /// Digests of what the server relies on, but for the log, which grows.
    pub(crate) fn relied_on(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let kept = files(&self.at("server")).into_iter();
        let kept = kept.filter(|it| !it.to_string_lossy().contains("/logs/"));
        kept.map(|it| (it.clone(), fs::read(&it).expect("ours"))).collect()
    }
}

impl Served {
    pub(crate) fn stop(mut self) {
        self.0.signal("TERM");
        assert!(self.0.wait().success(), "{}", self.0.errors());
    }
}

/// Waits until a program has said something to standard error.
pub(crate) fn told(session: &Session, words: &str) {
    wait_until(&format!("“{words}”"), DEADLINE, || session.errors().contains(words).then_some(()));
}

pub(crate) fn up(session: &mut Session) -> bool {
    !session.call("query_metrics", json!({ "query": "up" })).is_error()
}

/// One request over a socket, as a client that speaks HTTP sends it.
pub(crate) fn post(socket: &Path, path: &str, host: &str, method: &str) -> testkit::http::Response {
    let meta = Version::V2026_07_28.meta().expect("it has one");
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "_meta": meta } }).to_string();
    let mut stream = UnixStream::connect(socket).expect("it listens");
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nContent-Length: {}\r\n\r\n",
        message.len()
    );
    // A server that has heard enough answers and closes before all of a body has left.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(message.as_bytes()));
    testkit::http::read(stream).expect("an answer")
}
