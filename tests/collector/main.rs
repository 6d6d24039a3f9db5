//! The log of a process whose disk goes with it: a real collector over HTTP on loopback, effects that wait for it, and what happens
//! when either of the two is killed.

mod strangers;

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alertmanager, Recorder},
    cli::{Ended, Home},
    copy_folder, free_address,
    mcp::Version,
    wait_until,
};

const TOKEN: &str = "a-token-of-the-ci-that-nobody-can-guess";

/// A collector in a process of its own; killed when dropped.
struct Collector {
    child: Child,
    address: SocketAddr,
    home: Home,
}

impl Collector {
    fn start(listen: &str) -> Collector {
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
            .config("[collector.senders.ci]\ntoken = { env = \"CI_TOKEN\" }\n")
            .variable("CI_TOKEN", TOKEN);
        Collector::over(home, listen)
    }

    fn over(home: Home, listen: &str) -> Collector {
        let mut command = home.command(["serve", "audit", "--listen", listen, "--state"]);
        command.arg(home.path().join("collected")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("our own binary starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let listening = lines.nth(1).expect("it says where it listens").expect("text");
        let address = listening.rsplit("http://").next().and_then(|it| it.parse().ok());
        Collector { child, address: address.expect("an address"), home }
    }

    /// Killed, and started again over the same folder and at the same address.
    fn restarted(mut self) -> Collector {
        self.kill();
        let home = std::mem::replace(&mut self.home, Home::new(""));
        Collector::over(home, &self.address.to_string())
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("collected")
    }

    fn verify(&self) -> Ended {
        let folder = self.folder();
        self.home.run(["audit", "verify", "--json", "--collected", folder.to_str().expect("text")])
    }

    /// The only log that is held, as the verification reports it; none before there is one.
    fn log(&self) -> Option<Value> {
        self.verify().json()["logs"].as_array()?.first().cloned()
    }

    /// What a sender writes into its configuration.
    fn table(&self) -> String {
        format!(
            "[audit]\ncollector = {{ url = \"http://{}\", token = {{ env = \"TOKEN\" }} }}\n",
            self.address
        )
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home that may silence alerts, recorded as `audit` says.
fn sender(audit: &str, recorder: &Recorder) -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick")).variable("TOKEN", TOKEN).config(&format!(
        "[policy]\nallow = [\"list_alerts\", \"silence_alert\"]\n{audit}\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        recorder.url()
    ))
}

fn backends() -> (Alertmanager, Recorder) {
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let recorder = Recorder::before(alerts.address());
    (alerts, recorder)
}

fn arguments(alert: &str) -> Value {
    json!({
        "matchers": [format!("alertname=\"{alert}\"")], "duration_minutes": 30,
        "reason": "rolling back checkout, its errors are known", "dry_run": false,
    })
}

fn silence(home: &Home) -> Ended {
    home.call("observability", "silence_alert", &arguments("HighErrorRate"))
}

fn read(home: &Home) -> Ended {
    home.call("observability", "list_alerts", &json!({})).expect(0)
}

fn message(refused: &Ended) -> String {
    refused.json()["error"]["message"].as_str().expect("a message").to_owned()
}

fn leaves(home: &Home) -> Vec<Value> {
    let tail = home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
    tail.lines().map(|it| serde_json::from_str::<Value>(it).expect("a record")["leaf"].clone()).collect()
}

fn records(log: &Value) -> u64 {
    log["records"].as_u64().expect("a number")
}

#[test]
fn an_effect_begins_once_its_intent_is_at_the_collector_and_all_else_follows() {
    let (_alerts, recorder) = backends();
    let collector = Collector::start("127.0.0.1:0");
    let home = sender(&collector.table(), &recorder);
    let hold = recorder.hold("POST", "/api/v2/silences");
    let done = thread::scope(|scope| {
        let calling = scope.spawn(|| silence(&home));
        hold.wait_arrived(DEADLINE);
        let found = collector.verify().expect(3).json();
        let findings = found["logs"][0]["findings"].to_string();
        assert!(findings.contains("intent 1 has no outcome"), "{found:#}");
        hold.release();
        calling.join().expect("it ends")
    });
    done.expect(0);
    let whole = collector.verify().expect(0).json();
    let log = &whole["logs"][0];
    assert_eq!(records(log), 4, "start, intent, outcome, stop: {whole:#}");
    assert!(log["log"].as_str().is_some_and(|it| it.starts_with("ci/") && it.ends_with("/observability/0")));
    assert_eq!(log["payloads"]["without_keys"], 2, "it holds payloads, and no key to them");
    // Another run goes on where the collector is.
    read(&home);
    assert_eq!(records(&collector.log().expect("a log")), 7);
    assert_eq!(
        home.run(["audit", "verify", "--json"]).expect(0).json()["logs"][0]["root"],
        collector.log().expect("a log")["root"]
    );
    let journals = testkit::files(&collector.folder());
    let secrets =
        journals.iter().filter(|it| it.ends_with("log.key") || it.to_string_lossy().contains("subject"));
    assert_eq!(secrets.count(), 0, "{journals:?}");
}

#[test]
fn without_an_answer_effects_are_refused_on_record_and_reads_go_on_with_a_word() {
    let (_alerts, recorder) = backends();
    // Started again at the same address, which nobody else may be given meanwhile.
    let mut collector = Collector::start(&free_address().to_string());
    let home = sender(&collector.table(), &recorder);
    collector.kill();
    let refused = silence(&home).expect(5);
    let said = message(&refused);
    assert!(said.contains("effects need a collector") && said.contains("cannot be reached"), "{said}");
    assert!(said.contains(&collector.address.to_string()), "{said}");
    assert!(!refused.stderr.contains(TOKEN) && refused.stderr.contains("nowhere else"), "{}", refused.stderr);
    assert!(recorder.requests_to("POST", "/").is_empty(), "nothing was done");
    let mut session = home.serve(&["observability"], Version::V2025_11_25);
    wait_until("a warning", DEADLINE, || {
        let answer = session.call("list_alerts", json!({}));
        assert!(!answer.is_error(), "reads go on: {}", answer.text());
        answer.0.to_string().contains("no effect will run").then_some(())
    });
    drop(session);
    let leaves = leaves(&home);
    let outcome = leaves.iter().find(|it| it["event"] == "outcome").expect("it is recorded");
    assert_eq!((&outcome["outcome"], &outcome["intent"]), (&json!("not_run"), &json!(1)));
    // Once it is back, everything that happened meanwhile gets there, and effects run.
    let collector = collector.restarted();
    silence(&home).expect(0);
    assert_eq!(recorder.requests_to("POST", "/").len(), 1);
    let here = home.run(["audit", "verify", "--json"]).json();
    assert_eq!(here["logs"][0]["root"], collector.log().expect("a log")["root"]);
    assert!(matches!(collector.verify().code, Some(0 | 3)));
}

#[test]
fn on_a_disk_that_goes_with_the_process_effects_need_a_collector() {
    let (_alerts, recorder) = backends();
    let home = sender("[audit]\nephemeral = true\n", &recorder);
    let said = message(&silence(&home).expect(5));
    assert!(said.contains("goes with the process") && said.contains("[audit] collector"), "{said}");
    assert!(leaves(&home).iter().all(|it| it["event"] != "intent"), "what may not begin has no intent");
    assert!(leaves(&home).iter().any(|it| it["outcome"] == "not_run"), "it is recorded");
    read(&home);
    assert!(recorder.requests_to("POST", "/").is_empty());
    let collector = Collector::start("127.0.0.1:0");
    let table = collector.table();
    silence(&sender(&format!("{table}ephemeral = true\n"), &recorder)).expect(0);
    collector.verify().expect(0);
}

#[test]
fn a_disk_that_goes_with_the_process_is_noticed_where_that_is_certain() {
    let (_alerts, recorder) = backends();
    let memory = tempfile::tempdir_in("/dev/shm").expect("there is memory");
    let in_memory = format!("[audit]\nstate = {:?} # ephemeral = unsaid\n", memory.path());
    let said = message(&silence(&sender(&in_memory, &recorder)).expect(5));
    assert!(said.contains("tmpfs, which is memory"), "{said}");
    let unsaid = "[audit] # ephemeral = unsaid\n";
    for (name, value) in [("RUNNER_ENVIRONMENT", "github-hosted"), ("CI_DISPOSABLE_ENVIRONMENT", "true")] {
        let said = message(&silence(&sender(unsaid, &recorder).variable(name, value)).expect(5));
        assert!(said.contains("goes with the process"), "{said}");
        let kept = sender("[audit]\nephemeral = false\n", &recorder).variable(name, value);
        silence(&kept).expect(0);
    }
    assert!(!recorder.requests_to("POST", "/").is_empty());
}

#[test]
fn a_log_that_was_put_back_is_not_taken_and_its_effects_are_refused() {
    let (_alerts, recorder) = backends();
    let collector = Collector::start("127.0.0.1:0");
    let home = sender(&collector.table(), &recorder);
    read(&home);
    let older = home.path().join("older");
    copy_folder(&home.state(), &older).expect("a temporary folder is writable");
    silence(&home).expect(0);
    let held = collector.log().expect("a log");
    fs::remove_dir_all(home.state()).and_then(|()| fs::rename(&older, home.state())).expect("ours");
    let said = message(&silence(&home).expect(5));
    assert!(said.contains("records") && said.contains("accept-loss"), "{said}");
    assert_eq!(recorder.requests_to("POST", "/").len(), 1, "nothing more was done");
    let report = collector.verify().expect(1).json();
    let log = &report["logs"][0];
    assert_eq!((&log["records"], &log["root"]), (&held["records"], &held["root"]), "what came first stays");
    assert!(log["altered"]["likely"].to_string().contains("went on from an older copy"), "{report:#}");
    // The collector's heads are anchors: what they contradict can be given up, on record, and another log begins.
    let folder = collector.folder();
    let heads =
        home.run(["audit", "checkpoint", "--collected", folder.to_str().expect("text")]).expect(0).stdout;
    let anchor = home.file("collected.checkpoint", &heads);
    let anchor = anchor.to_str().expect("text");
    home.run(["audit", "verify", "--anchor", anchor]).expect(1);
    let give_up =
        ["audit", "accept-loss", "--log", "observability/0", "--reason", "put back", "--anchor", anchor];
    home.run(give_up).expect(0);
    silence(&home).expect(0);
}

/// How often something stands in the leaves of the journals that a folder holds.
fn count(folder: &Path, text: &str) -> usize {
    let journals = testkit::files(folder).into_iter().filter(|it| it.ends_with("journal"));
    let found = |it: PathBuf| {
        let bytes = fs::read(it).expect("readable");
        bytes.windows(text.len()).filter(|it| *it == text.as_bytes()).count()
    };
    journals.map(found).sum()
}

/// Lets some time go by that differs from round to round, so that a kill hits another moment each time.
fn a_while(round: u64) {
    let micros = RandomState::new().hash_one(round) % 150_000;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(micros) {
        thread::yield_now();
    }
}

#[test]
fn killed_at_any_moment_neither_loses_what_was_acknowledged_nor_acts_without_it() {
    let (_alerts, recorder) = backends();
    // Started again at the same address, which nobody else may be given meanwhile.
    let mut collector = Collector::start(&free_address().to_string());
    let home = sender(&collector.table(), &recorder);
    let mut held = 0;
    for round in 0..16 {
        let mut session = home.serve(&["observability"], Version::V2025_11_25);
        // Each of its own: what a killed process changed stays its own for a while.
        for call in 0..4 {
            session.start_call("silence_alert", arguments(&format!("Noise{round}x{call}")));
        }
        a_while(round);
        if round % 2 == 0 {
            collector.kill();
            a_while(round);
        }
        session.kill();
        let done = recorder.requests_to("POST", "/").len();
        let intents = count(&collector.folder(), "\"event\":\"intent\"");
        assert!(done <= intents, "round {round}: {done} effects, and {intents} intents are held");
        if round % 2 == 0 {
            collector = collector.restarted();
        }
        let now = collector.log().map_or(0, |it| records(&it));
        assert!(now >= held, "round {round}: {held} records were held, and there are {now}");
        held = now;
    }
    silence(&home).expect(0);
    let (here, there) = (home.run(["audit", "verify", "--json"]).json(), collector.verify().json());
    assert_eq!(here["logs"][0]["root"], there["logs"][0]["root"], "{here:#} {there:#}");
    assert_ne!(there["verdict"], "altered", "{there:#}");
    assert!(recorder.requests_to("POST", "/").len() > 1, "some effects ran");
}

#[test]
fn the_example_of_a_ci_job_and_of_its_collector_load_and_agree() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let job = fs::read_to_string(examples.join("ci-job.yaml")).expect("it ships");
    let (_, config) = job.split_once("<<'EOF'\n").expect("a configuration");
    let config = config.split("          EOF").next().expect("its end").replace("\n          ", "\n");
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
        .variable("COLLECTOR_TOKEN", TOKEN)
        .config(config.trim_start());
    home.run(["policy", "check"]).expect(0);
    let text = fs::read_to_string(examples.join("collector.toml")).expect("it ships");
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&text);
    // Whose tokens are not on this machine.
    let said = home.run(["serve", "audit", "--state", "c", "--listen", "127.0.0.1:0"]).expect(5).stderr;
    assert!(said.contains("/run/secrets/deploy-jobs"), "{said}");
}

#[test]
fn a_collector_asks_for_senders_and_tokens_and_stays_on_its_own_machine() {
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let start = |home: &Home, listen: &str| home.run(["serve", "audit", "--state", "c", "--listen", listen]);
    assert!(start(&home, "0.0.0.0:0").expect(2).stderr.contains("--public"));
    assert!(start(&home, "127.0.0.1:0").expect(2).stderr.contains("nobody may send"));
    let home = home.config("[collector.senders.ci]\ntoken = { env = \"T\" }\n").variable("T", "short");
    let said = start(&home, "127.0.0.1:0").expect(5).stderr;
    assert!(said.contains("5 characters") && !said.contains("short\n"), "{said}");
    let said = home.run(["serve", "code", "audit"]).expect(2).stderr;
    assert!(!said.is_empty(), "one thing is served at a time");
}

#[test]
fn a_collector_that_knows_another_token_is_said_at_once() {
    let (_alerts, recorder) = backends();
    let collector = Collector::start("127.0.0.1:0");
    let home = sender(&collector.table(), &recorder).variable("TOKEN", "not-the-token-that-it-knows-us-by");
    let said = message(&silence(&home).expect(5));
    assert!(said.contains("does not know our token"), "{said}");
    let nobody = format!(
        "[audit]\ncollector = {{ url = \"http://{}\", token = {{ env = \"TOKEN\" }} }}\n",
        free_address()
    );
    let said = message(&silence(&sender(&nobody, &recorder)).expect(5));
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(recorder.requests_to("POST", "/").is_empty());
}
