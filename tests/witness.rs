//! Somebody else has seen the log: real witnesses over HTTP on loopback, logs that were rolled back and rebuilt, and effects that
//! wait for a cosignature.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use audit::{Log, Options};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alertmanager, GitRepository, Recorder},
    cli::{Ended, Home},
    copy_folder, http,
    mcp::Version,
    wait_until,
};

/// A witness in a process of its own; killed when dropped.
struct Witness {
    child: Child,
    key: String,
    address: SocketAddr,
    state: PathBuf,
}

impl Witness {
    fn start(home: &Home, log: &str, listen: &str) -> Witness {
        let state = home.path().join("witness");
        let mut command = home.command(["witness", "--listen", listen, "--log", log, "--state"]);
        command.arg(&state).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("our own binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut line = || lines.next().expect("it says where it listens").expect("text");
        let (key, listening) = (line(), line());
        let address = listening.rsplit("http://").next().and_then(|it| it.parse().ok());
        Witness { child, key, address: address.expect("an address"), state }
    }

    fn kill(mut self) -> SocketAddr {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
        self.address
    }

    /// Status and body of the answer.
    fn ask(&self, request: &str) -> Option<(u16, String)> {
        let answer = http::post(self.address, "/add-checkpoint", request).ok()?;
        Some((answer.status, answer.body))
    }

    /// The only head that it has cosigned.
    fn head(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.state.join("logs")).ok()?.flatten().map(|it| it.path());
        files.into_iter().find(|it| !it.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b".")))
    }

    fn table(&self) -> String {
        format!("[audit]\nwitnesses = [{{ url = \"http://{}\", key = \"{}\" }}]\n", self.address, self.key)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home with a repository whose log has begun, and the key of the log.
fn estate(more: &str) -> (Home, GitRepository, String) {
    let shop = GitRepository::shop();
    let connection = format!("{more}\n[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&connection);
    read(&home);
    let report = home.run(["audit", "verify", "--json"]).expect(0).json();
    let key = report["keys"][0].as_str().expect("a key").to_owned();
    (home, shop, key)
}

fn read(home: &Home) -> Ended {
    home.run(["call", "code", "list_commits", "window=30d"]).expect(0)
}

/// The same home with more in its configuration.
fn with(home: Home, more: &str) -> Home {
    let before = fs::read_to_string(home.config_path()).expect("it was written");
    home.config(&format!("{more}\n{before}"))
}

fn verify(home: &Home, more: &[&str]) -> Ended {
    home.run(["audit", "verify"].iter().chain(more))
}

#[test]
fn a_witnessed_log_says_up_to_where_and_by_whom() {
    let (home, _shop, key) = estate("");
    let said = verify(&home, &[]).expect(0).stdout;
    assert!(said.contains("not seen: unwitnessed"), "{said}");
    let witness = Witness::start(&home, &key, "127.0.0.1:0");
    let home = with(home, &witness.table());
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    assert!(!session.call("list_commits", json!({})).is_error());
    let logs = home.state().join("logs/code/0");
    let published = wait_until("a cosigned checkpoint", DEADLINE, || {
        let note = fs::read_to_string(logs.join("tlog/checkpoint")).ok()?;
        (note.matches("\u{2014} ").count() == 2).then_some(note)
    });
    let name = witness.key.split('+').next().expect("a name");
    assert!(
        published.lines().last().expect("lines").starts_with(&format!("\u{2014} {name} ")),
        "{published}"
    );
    drop(session);
    read(&home);
    let report = verify(&home, &["--key", &key, "--json"]).expect(0).json();
    let records = report["logs"][0]["records"].as_u64().expect("a number");
    let seen = &report["witnessed"][0];
    assert_eq!((seen["by"].as_str(), seen["size"].as_u64()), (Some(name), Some(records)), "{report:#}");
    let said = verify(&home, &["--key", &key]).expect(0).stdout;
    assert!(said.contains(&format!("code/0: witnessed up to {records} records")), "{said}");
    assert!(!said.contains("unwitnessed"), "{said}");
    // What was published elsewhere says it as well, to whoever knows the witness.
    let published = ["--key", &key, "--published"].map(str::to_owned);
    let folder = logs.join("tlog").display().to_string();
    let said = home.run(["audit", "verify"].map(str::to_owned).iter().chain(&published).chain([&folder]));
    assert!(said.expect(0).stdout.contains("witnessed up to"));
}

#[test]
fn a_log_that_was_rebuilt_with_its_own_key_is_contradicted_by_its_cosigned_head() {
    let (home, _shop, key) = estate("");
    let witness = Witness::start(&home, &key, "127.0.0.1:0");
    let home = with(home, &witness.table());
    let (logs, older) = (home.state().join("logs"), home.path().join("older"));
    copy_folder(&logs, &older).expect("a temporary folder is writable");
    read(&home);
    let head = witness.head().expect("a close has it cosigned");
    verify(&home, &["--key", &key]).expect(0);
    // Whoever holds the key puts an older copy back, and goes on from there: another history, as long.
    fs::remove_dir_all(&logs).expect("it is ours");
    copy_folder(&older, &logs).expect("a temporary folder is writable");
    verify(&home, &["--key", &key]).expect(0);
    let refused = home.run(["call", "code", "list_commits", "window=7d"]).expect(0).stderr;
    assert!(refused.contains("no longer witnessed"), "{refused}");
    let said = verify(&home, &["--key", &key]).expect(0).stdout;
    assert!(said.contains("code/0 is unwitnessed"), "{said}");
    let text = head.to_str().expect("a temporary path is text");
    let said = verify(&home, &["--key", &key, "--anchor", text]).expect(1).stdout;
    assert!(said.contains("rebuilt with its own key"), "{said}");
    // The cosigned head is as good beside the log, where somebody forgot to take it away.
    let beside = logs.join("code/0/cosigned");
    fs::create_dir_all(&beside).expect("it is ours");
    fs::copy(&head, beside.join("kept")).expect("it is ours");
    let said = verify(&home, &["--key", &key]).expect(1).stdout;
    assert!(said.contains("witness ") && said.contains("shows other records"), "{said}");
}

fn silence(home: &Home) -> Ended {
    let arguments = json!({
        "matchers": ["alertname=\"HighErrorRate\""], "duration_minutes": 30,
        "reason": "rolling back checkout, its errors are known", "dry_run": false,
    });
    home.call("observability", "silence_alert", &arguments)
}

#[test]
fn effects_that_need_a_witness_are_refused_without_and_reads_go_on() {
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let recorder = Recorder::before(alerts.address());
    let (home, _shop, key) = estate("[policy]\nallow = [\"list_*\", \"silence_alert\"]\n");
    let witness = Witness::start(&home, &key, "127.0.0.1:0");
    let name = witness.key.split('+').next().expect("a name").to_owned();
    let more = format!(
        "{}effects_need_witness_within = \"1h\"\n[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        witness.table(),
        recorder.url()
    );
    let address = witness.kill();
    let home = with(home, &more);
    let refused = silence(&home).expect(5);
    let message = refused.json()["error"]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("effects need a witness") && message.contains(&name), "{message}");
    assert!(message.contains("cosigned nothing yet"), "{message}");
    assert!(recorder.requests_to("POST", "/").is_empty(), "nothing was done");
    home.call("observability", "list_alerts", &json!({})).expect(0);
    let tail = home.run(["audit", "tail", "--json", "-n", "50"]).expect(0).stdout;
    let leaf = |line: &str| serde_json::from_str::<Value>(line).expect("a record")["leaf"].clone();
    let leaves: Vec<Value> = tail.lines().map(leaf).collect();
    let refused = leaves.iter().find(|it| it["outcome"] == "not_run");
    let refused = refused.unwrap_or_else(|| panic!("it is recorded: {tail}"));
    assert_eq!((&refused["event"], &refused["effect"]), (&"refused".into(), &"mitigate".into()), "{refused}");
    assert!(leaves.iter().all(|it| it["event"] != "intent"), "what may not begin has no intent: {tail}");
    let _witness = Witness::start(&home, &key, &address.to_string());
    silence(&home).expect(0);
    assert_eq!(recorder.requests_to("POST", "/").len(), 1);
}

/// A request for the last head of a log that grew from there.
fn request(state: &Path, from: u64) -> (u64, String) {
    let (proof, note) = audit::prove_growth(state, "code/0", from).expect("a log that grew");
    let size = note.lines().nth(1).and_then(|it| it.parse().ok()).expect("a size");
    let proof: String = proof.iter().map(|it| format!("{}\n", STANDARD.encode(it))).collect();
    (size, format!("old {from}\n{proof}\n{note}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_killed_at_any_moment_never_forgets_what_it_cosigned() {
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let state = home.state();
    let (log, opened) = Log::open(&state, "code", Options::default()).expect("a new log");
    let key = opened.key.clone();
    let mut witness = Witness::start(&home, &key, "127.0.0.1:0");
    let (mut told, mut surprised) = (0, 0);
    for round in 0..12 {
        log.heartbeat().await.expect("it is open");
        let (size, asked) = request(&state, told);
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| witness.ask(&asked));
            let pause = std::time::Instant::now();
            while pause.elapsed().as_micros() < round * 400 {
                std::hint::spin_loop();
            }
            witness.child.kill_it();
            asking.join().expect("it ends")
        });
        witness.child.wait().expect("it is ours");
        if let Some((200, _)) = answer {
            told = size;
        }
        witness = Witness::start(&home, &key, "127.0.0.1:0");
        // Asked again for what it may or may not have stored: never less than it told.
        match witness.ask(&asked).expect("it answers") {
            (200, _) => told = size,
            (409, body) => {
                let stored: u64 = body.trim_end().parse().expect("a size");
                assert!(stored >= told && stored == size, "told {told}, stored {stored}");
                surprised += u32::from(told < size);
                let (_, again) = request(&state, stored);
                assert_eq!(witness.ask(&again).expect("it answers").0, 200);
                told = stored;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(surprised <= 12);
    let replayed = witness.ask(&request(&state, 0).1).expect("it answers");
    assert_eq!(replayed, (409, format!("{told}\n")), "a replay is told where the log stands");
    log.close("end of test").await.expect("it closes");
}

#[test]
fn a_witness_listens_to_its_own_machine_unless_it_is_told_otherwise() {
    let (home, _shop, key) = estate("");
    let ended = home.run(["witness", "--listen", "0.0.0.0:0", "--state", "w", "--log", &key]).expect(2);
    assert!(ended.stderr.contains("--public"), "{}", ended.stderr);
    let witness = Witness::start(&home, &key, "127.0.0.1:0");
    let answer = http::get(witness.address, "/").expect("it answers");
    assert_eq!(answer.status, 404);
    let flood = "x".repeat(100_000);
    assert_eq!(witness.ask(&flood).map(|it| it.0), Some(413));
}

#[test]
fn whoever_speaks_slowly_to_a_witness_is_left_in_the_end() {
    let (home, _shop, key) = estate("");
    let witness = Witness::start(&home, &key, "127.0.0.1:0");
    let head = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n";
    let said = ["", head, &format!("{head}\r\nold 0\n")];
    let mut slow = said.map(|it| {
        let mut stream = TcpStream::connect(witness.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.write_all(it.as_bytes()).expect("it takes what is said");
        stream
    });
    assert_eq!(
        witness.ask("nothing that is asked").map(|it| it.0),
        Some(400),
        "others are answered meanwhile"
    );
    for (stream, said) in slow.iter_mut().zip(said) {
        // The end, or a reset: not that nothing came for long.
        let ended = stream.read_to_end(&mut Vec::new());
        let waited = ended.is_err_and(|it| matches!(it.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!waited, "left waiting after {said:?}");
    }
}

/// Kills a process by itself, which can be done while others use what stands beside it.
trait Kill {
    fn kill_it(&self);
}

impl Kill for Child {
    fn kill_it(&self) {
        let killed = std::process::Command::new("kill").args(["-9", &self.id().to_string()]).status();
        assert!(killed.expect("procps is there").success());
    }
}
