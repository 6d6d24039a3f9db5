//! Each step of the gate made to fail in turn: what the system of record was asked meanwhile, and what the log says of it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alert, Alertmanager, Behaviour, Recorded, Recorder},
    cli::{Ended, Home},
    copy_folder,
    mcp::{Session, Version},
};

const ALLOWED: &str = "[policy]\nallow = [\"list_alerts\", \"silence_alert\"]\n";
const SILENCES: &str = "/api/v2/silences";

/// A real Alertmanager, what stands in front of it and remembers, and a home that reaches it through that.
struct Stage {
    home: Home,
    alerts: Alertmanager,
    recorder: Recorder,
}

impl Stage {
    /// `policy` is the configuration before the connection, `settings` what the connection says beyond its address.
    fn new(policy: &str, settings: &str) -> Stage {
        let alerts = Alertmanager::start(Alertmanager::CONFIG);
        let recorder = Recorder::before(alerts.address());
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "{policy}\n[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n{settings}\n",
            recorder.url()
        ));
        Stage { home, alerts, recorder }
    }

    fn silence(&self) -> Ended {
        self.home.call("observability", "silence_alert", &silence(false))
    }

    fn posts(&self) -> Vec<Recorded> {
        self.recorder.requests_to("POST", "/")
    }

    /// What the log says of calls, oldest first.
    fn records(&self) -> Vec<Value> {
        calls(&self.home, &self.home.config_path())
    }

    /// The one record of the one call that was refused, and that nothing happened.
    fn refused(&self) -> Value {
        assert!(self.posts().is_empty(), "a refused call wrote: {:?}", self.posts());
        assert!(self.alerts.silences().is_empty());
        let records: [Value; 1] = self.records().try_into().expect("one call, one record");
        let [record] = records;
        record
    }
}

fn silence(dry_run: bool) -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": 30,
        "reason": "rolling back checkout, its errors are known",
        "dry_run": dry_run,
    })
}

fn calls(home: &Home, config: &Path) -> Vec<Value> {
    let config = config.to_str().expect("our own path is text");
    let tail = home.run(["--config", config, "audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
    let records = tail.lines().map(|it| serde_json::from_str::<Value>(it).expect("a record a line"));
    records.filter(|it| it["leaf"].get("verdict").is_some()).collect()
}

/// How a record says that its call was decided and ended.
fn words(record: &Value) -> [&str; 3] {
    ["event", "verdict", "outcome"].map(|it| record["leaf"][it].as_str().unwrap_or_default())
}

/// A served process with an open log, to which a file that may not grow is an error and no deadly signal.
fn serve(stage: &Stage) -> Session {
    let serve = stage.home.command(["serve", "observability"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ && exec \"$0\" \"$@\""]).arg(serve.get_program());
    command.args(serve.get_args()).env_clear().current_dir(stage.home.path());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut session = Session::start(&mut command);
    session.greet(Version::V2025_11_25);
    let answer = session.call("list_alerts", json!({}));
    assert!(!answer.is_error(), "{}", answer.text());
    session
}

/// From now on every write of the process to a file fails.
fn fail_its_writes(session: &Session) {
    let pid = session.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=1:"]).status();
    assert!(limited.expect("util-linux is there").success());
}

#[test]
fn a_call_that_does_not_parse_asks_nobody() {
    let stage = Stage::new(ALLOWED, "");
    let mut wrong = silence(false);
    wrong["duration"] = json!(30);
    let ended = stage.home.call("observability", "silence_alert", &wrong).expect(2);
    assert_eq!(ended.json()["error"]["argument"], "duration");
    assert_eq!(words(&stage.refused()), ["rejected", "invalid", ""]);
    assert!(stage.recorder.requests().is_empty());
}

#[test]
fn a_call_that_policy_denies_on_sight_asks_nobody() {
    let stage = Stage::new(
        "[policy]\nallow = [\"silence_alert\"]\ndeny = [\"silence_alert environment:production\"]",
        "environment = \"production\"\ntrust_labels = true",
    );
    let ended = stage.silence().expect(3);
    assert_eq!(ended.json()["error"]["policy"], "deny:silence_alert environment:production");
    assert_eq!(words(&stage.refused()), ["refused", "denied", ""]);
    assert!(stage.recorder.requests().is_empty(), "who is denied on sight learns nothing by it");
}

#[test]
fn what_a_call_touches_must_be_known_before_it_runs() {
    let troubles = [
        ("down", Behaviour::Drop),
        ("a login page", Behaviour::html()),
        ("broken", Behaviour::json(500, "{}")),
        ("flooding", Behaviour::Huge(100 << 20)),
        ("slow", Behaviour::Trickle),
        ("elsewhere", Behaviour::Redirect("http://127.0.0.1:9/".to_owned())),
        ("another thing", Behaviour::json(200, "{\"status\": \"success\"}")),
    ];
    // Teams stand on the alerts, so they are asked for before the decision.
    let stage = Stage::new(ALLOWED, "trust_labels = true\ntimeout_ms = 500");
    for (at, (trouble, behaviour)) in troubles.into_iter().enumerate() {
        stage.recorder.on("GET", "/api/v2/alerts", behaviour);
        let ended = stage.silence().expect(1);
        assert_eq!(ended.json()["error"]["error"], "unavailable", "{trouble}: {}", ended.stdout);
        let records = stage.records();
        assert_eq!(records.len(), at + 1, "{trouble}");
        assert_eq!(words(&records[at]), ["refused", "unresolved", ""], "{trouble}");
        assert_eq!(stage.recorder.requests().len(), at + 1, "{trouble}: asked once, and nothing after it");
    }
    assert!(stage.posts().is_empty() && stage.alerts.silences().is_empty());
}

#[test]
fn what_resolving_finds_is_decided_on() {
    let stage = Stage::new(
        "[policy]\nallow = [\"silence_alert\"]\nfiles = [\"payments.cedar\"]\n[vocabulary]\nteams = [\"payments\"]",
        "trust_labels = true",
    );
    stage.home.file(
        "payments.cedar",
        "@id(\"payments.own\") @reason(\"payments answers for its alerts\") @instead(\"ask payments\")\n\
         forbid (principal, action == Action::\"silence_alert\", resource in Team::\"payments\");",
    );
    stage.alerts.push(&[Alert::new("HighErrorRate").label("team", "payments")]);
    let ended = stage.silence().expect(3);
    assert_eq!(ended.json()["error"]["policy"], "payments.own");
    assert_eq!(ended.json()["error"]["instead"], "ask payments");
    assert_eq!(words(&stage.refused()), ["refused", "denied", ""]);
    assert_eq!(
        stage.recorder.requests_to("GET", "/api/v2/alerts").len(),
        1,
        "only the alerts say whose they are"
    );
}

#[test]
fn a_call_that_needs_approval_writes_nothing() {
    let stage = Stage::new("[policy]\nallow = [\"silence_alert\"]\napprove = [\"effect:mitigate\"]", "");
    let ended = stage.silence().expect(4);
    assert_eq!(ended.json()["error"]["error"], "approval_required");
    assert_eq!(words(&stage.refused()), ["refused", "approval_required", ""]);
}

#[test]
fn without_a_durable_intent_nothing_is_written() {
    let stage = Stage::new(ALLOWED, "");
    let mut session = serve(&stage);
    fail_its_writes(&session);
    let answer = session.call("silence_alert", silence(false));
    assert_eq!(answer.error_code(), Some(-32603), "{}", answer.0);
    assert!(answer.0.to_string().contains("not recorded, so refused"), "{}", answer.0);
    assert!(stage.posts().is_empty() && stage.alerts.silences().is_empty());
    let before = stage.recorder.requests().len();
    let answer = session.call("list_alerts", json!({}));
    assert_eq!(answer.error_code(), Some(-32603), "what cannot be recorded is not read either: {}", answer.0);
    assert_eq!(stage.recorder.requests().len(), before, "nobody was asked");
    drop(session);
    // A process that can write goes on with the same log, and with the same call.
    stage.silence().expect(0);
    let records = stage.records();
    let events: Vec<_> = records.iter().map(words).collect();
    assert_eq!(
        events,
        [["read", "permitted", "ok"], ["intent", "permitted", ""], ["outcome", "permitted", "ok"]]
    );
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn the_intent_is_in_the_log_before_the_write_leaves() {
    let stage = Stage::new(ALLOWED, "");
    let (state, copy) = (stage.home.state(), stage.home.path().join("copy"));
    let config = stage.home.file("copy.toml", &format!("[audit]\nstate = {copy:?}\n"));
    let look = Behaviour::observe(move |_| copy_folder(&state, &copy).expect("the state can be copied"));
    stage.recorder.on("POST", SILENCES, look);
    stage.silence().expect(0);
    let post: [Recorded; 1] = stage.posts().try_into().expect("one write");
    let records: [Value; 1] = calls(&stage.home, &config).try_into().expect("the intent and nothing else");
    assert_eq!(words(&records[0]), ["intent", "permitted", ""]);
    let index = &records[0]["index"];
    let config = config.to_str().expect("our own path is text");
    let found = stage.home.run(["--config", config, "audit", "verify", "--json"]).expect(3).json();
    let finding = format!("intent {index} has no outcome");
    assert!(found["logs"][0]["findings"].to_string().contains(&finding), "{found}");
    // The write itself names this intent.
    let sent: Value = serde_json::from_str(&post[0].body).expect("JSON");
    let name = format!("(bailiwick {}:{index})", found["logs"][0]["origin"].as_str().expect("an origin"));
    assert!(sent["comment"].as_str().is_some_and(|it| it.ends_with(&name)), "{name}: {sent}");
}

#[test]
fn a_write_that_is_refused_there_has_an_outcome() {
    let cases = [
        (Behaviour::json(400, "\"bad matcher\""), "rejected", "tool_failed"),
        (Behaviour::json(401, "{}"), "unavailable", "tool_failed"),
        // Who stands in front may answer so after the system behind has acted.
        (Behaviour::json(502, "{}"), "outcome_unknown", "unknown"),
        (Behaviour::html(), "outcome_unknown", "unknown"),
    ];
    for (behaviour, code, outcome) in cases {
        let stage = Stage::new(ALLOWED, "");
        stage.recorder.on("POST", SILENCES, behaviour);
        let ended = stage.silence().expect(1);
        assert_eq!(ended.json()["error"]["error"], code, "{}", ended.stdout);
        assert_eq!(stage.posts().len(), 1, "{code}: a write is never sent again by itself");
        let records = stage.records();
        let events: Vec<_> = records.iter().map(words).collect();
        assert_eq!(events, [["intent", "permitted", ""], ["outcome", "permitted", outcome]]);
        assert_eq!(records[1]["leaf"]["intent"], records[0]["index"]);
        stage.home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn a_write_whose_answer_is_lost_has_an_unknown_outcome() {
    let stage = Stage::new(ALLOWED, "");
    stage.recorder.on("POST", SILENCES, Behaviour::DropAnswer);
    let ended = stage.silence().expect(1);
    assert_eq!(ended.json()["error"]["error"], "outcome_unknown", "{}", ended.stdout);
    assert_eq!(stage.alerts.silences().len(), 1, "it did happen");
    assert_eq!(stage.posts().len(), 1, "and was not sent again");
    let records = stage.records();
    assert_eq!(words(&records[1]), ["outcome", "permitted", "unknown"]);
    assert_eq!(ended.json()["receipt"]["index"], records[1]["index"]);
}

#[test]
fn an_outcome_that_cannot_be_recorded_is_told_and_ends_all_effects() {
    let stage = Stage::new(ALLOWED, "");
    let mut session = serve(&stage);
    let hold = stage.recorder.hold("POST", SILENCES);
    let id = session.start_call("silence_alert", silence(false));
    hold.wait_arrived(DEADLINE);
    fail_its_writes(&session);
    hold.release();
    let answer = session.answer(id);
    assert_eq!(answer.error_code(), Some(-32603), "{}", answer.0);
    let said = answer.0.to_string();
    assert!(said.contains("may have happened") && said.contains("(intent 2)"), "{said}");
    let mut other = silence(false);
    other["duration_minutes"] = json!(600);
    assert_eq!(session.call("silence_alert", other).error_code(), Some(-32603));
    assert_eq!(stage.posts().len(), 1, "no effect after one that nobody could record");
    assert_eq!(stage.alerts.silences().len(), 1);
    session.kill();
    stage.home.call("observability", "list_alerts", &json!({})).expect(0);
    let records = stage.records();
    let outcome = records.iter().find(|it| it["leaf"]["intent"] == 2).expect("every intent gets an outcome");
    assert_eq!(words(outcome), ["outcome", "permitted", "unknown"]);
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn the_outcome_is_recorded_before_the_reply_leaves() {
    let stage = Stage::new(ALLOWED, "");
    let mut session = stage.home.serve(&["observability"], Version::V2026_07_28);
    let answer = session.call("silence_alert", silence(false));
    session.kill();
    let receipt = answer.receipt();
    let records = stage.records();
    let outcome = records.last().expect("recorded");
    assert_eq!(words(outcome), ["outcome", "permitted", "ok"]);
    assert_eq!((&receipt["index"], &receipt["leaf"]), (&outcome["index"], &outcome["leaf_hash"]));
    let last = format!("receipt: {} #{}", receipt["log"].as_str().expect("a log"), receipt["index"]);
    assert!(answer.text().ends_with(&last), "a write's receipt stands in its text: {}", answer.text());
}

#[test]
fn a_dry_run_writes_nothing() {
    let stage = Stage::new(ALLOWED, "");
    stage.alerts.push(&[Alert::new("HighErrorRate").label("service", "checkout")]);
    let ended = stage.home.call("observability", "silence_alert", &silence(true)).expect(0);
    assert_eq!(ended.json()["result"]["hides"], 1, "{}", ended.stdout);
    assert!(stage.posts().is_empty() && stage.alerts.silences().is_empty());
    let records: [Value; 1] = stage.records().try_into().expect("one record, as of a read");
    assert_eq!(words(&records[0]), ["read", "permitted", "ok"]);
    assert_eq!(records[0]["payload"]["content"]["dry_run"], true);
}

#[test]
fn what_was_done_stands_there_with_the_name_of_its_intent() {
    let stage = Stage::new(ALLOWED, "");
    let ended = stage.silence().expect(0).json();
    let silences: [Value; 1] = stage.alerts.silences().try_into().expect("one silence");
    let [silence] = silences;
    assert_eq!(silence["id"], ended["result"]["silence"]);
    assert_eq!(silence["matchers"][0]["value"], "HighErrorRate");
    let intent = &stage.records()[0];
    assert_eq!(words(intent), ["intent", "permitted", ""]);
    let log = ended["receipt"]["log"].as_str().expect("a log");
    assert!(log.starts_with(&format!("bailiwick/{}/", intent["log"].as_str().expect("a log"))), "{log}");
    let comment =
        format!("rolling back checkout, its errors are known (bailiwick {log}:{})", intent["index"]);
    assert_eq!(silence["comment"], comment);
    assert_eq!(intent["payload"]["content"]["policies"], json!(["allow:silence_alert"]));
}

#[test]
fn a_row_that_policy_hides_leaves_no_trace() {
    let stage = Stage::new(
        "[policy]\nallow = [\"list_alerts\"]\nfiles = [\"payments.cedar\"]\n\
         [vocabulary]\nteams = [\"payments\", \"shop\"]",
        "trust_labels = true",
    );
    stage.home.file(
        "payments.cedar",
        "@id(\"payments.own\") @reason(\"payments keeps its alerts to itself\")\n\
         forbid (principal, action in Action::\"call\", resource in Team::\"payments\");",
    );
    let hidden = Alert::new("LedgerDrift").label("team", "payments").label("severity", "critical");
    stage.alerts.push(&[
        Alert::new("HighErrorRate").label("team", "shop").annotation("summary", "5xx"),
        hidden.label("account", "4711").annotation("summary", "books do not balance"),
    ]);
    let mut session = stage.home.serve(&["observability"], Version::V2025_11_25);
    let answer = session.call("list_alerts", json!({}));
    let said = answer.0.to_string();
    assert!(said.contains("HighErrorRate"), "{said}");
    for trace in ["LedgerDrift", "payments", "critical", "4711", "books"] {
        assert!(!said.contains(trace), "{trace}: {said}");
    }
    assert_eq!(answer.structured()["hidden_by_policy"], 1, "{said}");
    assert_eq!(answer.structured()["seen"], 1, "counts are of what may be seen: {said}");
}
