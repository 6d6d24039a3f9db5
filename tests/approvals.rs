//! What people must agree to waits for them, and then runs once, as they agreed to it: through the real binary, against a
//! system of record that remembers who asked.

use serde_json::{Value, json};
use testkit::{
    backends::{Alertmanager, Behaviour, Recorder},
    cli::{Ended, Home},
    http,
    mcp::Version,
};

const ASK: &str = "[policy]\nallow = [\"list_*\", \"silence_alert\"]\nask = [\"silence_alert\"]";
const APPROVE: &str = "[policy]\nallow = [\"list_*\", \"silence_alert\"]\napprove = [\"silence_alert\"]\nfiles = [\"who.cedar\"]";

struct Stage {
    home: Home,
    backend: Recorder,
}

impl Stage {
    fn new(policy: &str) -> Stage {
        let backend = Recorder::alone();
        backend.on("GET", "/", Behaviour::json(200, "[]"));
        backend.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&Stage::toml(policy, &backend));
        home.file(
            "who.cedar",
            "@id(\"who.sre\") @reason(\"the SREs approve\")\n\
             permit (principal is User in Team::\"sre\", action == Action::\"approve\", resource);",
        );
        Stage { home, backend }
    }

    fn toml(policy: &str, backend: &Recorder) -> String {
        format!(
            "{policy}\n[vocabulary]\nteams = [\"sre\"]\n[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            backend.url()
        )
    }

    fn silence(&self) -> Ended {
        self.home.call("observability", "silence_alert", &silence(30))
    }

    /// Asks for the silence and says under which id it waits.
    fn asked(&self) -> String {
        let asked = self.silence().expect(4).json();
        asked["error"]["approval"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
    }

    fn run(&self, id: &str) -> Ended {
        self.home.call("observability", "run_approved", &json!({ "approval": id }))
    }

    /// How often the system was told to change something.
    fn effects(&self) -> usize {
        self.backend.requests().iter().filter(|it| it.method == "POST").count()
    }

    fn steps(&self) -> Vec<String> {
        let lines = self.home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
        let read = |it: &str| serde_json::from_str::<Value>(it).expect("a record a line");
        let steps = lines.lines().map(read).filter_map(|it| it["leaf"]["step"].as_str().map(str::to_owned));
        steps.collect()
    }
}

fn silence(minutes: u64) -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": minutes,
        "reason": "rolling back checkout, its errors are known",
    })
}

#[test]
fn what_was_confirmed_runs_once_as_it_was_asked_for() {
    let stage = Stage::new(ASK);
    let asked = stage.silence().expect(4).json();
    let error = &asked["error"];
    let id = error["approval"].as_str().expect("an id");
    assert_eq!(error["next"], json!({ "tool": "await_approval", "arguments": { "approval": id } }));
    let what = error["what"].as_str().expect("what would be done");
    assert!(
        what.contains("duration_minutes: 30") && what.contains("the agent says why: \"rolling back"),
        "{what}"
    );
    let early = stage.run(id).expect(4).json();
    assert_eq!(early["error"]["error"], "not_approved", "{early}");
    assert_eq!(stage.effects(), 0);

    stage.home.run(["approvals", "confirm", id, "--comment", "go"]).expect(0);
    let waited =
        stage.home.call("observability", "await_approval", &json!({ "approval": id })).expect(0).json();
    assert_eq!(waited["result"]["state"], "approved", "{waited}");
    assert_eq!(waited["result"]["then"]["tool"], "run_approved");
    let ran = stage.run(id).expect(0).json();
    assert!(ran["result"]["outcome"].as_str().is_some_and(|it| it.starts_with("silenced")), "{ran}");
    assert_eq!(stage.effects(), 1);
    let again = stage.run(id).expect(4).json();
    assert!(
        again["error"]["message"].as_str().is_some_and(|it| it.contains("carried out already")),
        "{again}"
    );
    assert_eq!(stage.effects(), 1);
    let steps = stage.steps();
    for step in ["asked", "confirmed", "reserved", "consumed"] {
        assert_eq!(steps.iter().filter(|it| *it == step).count(), 1, "{step}: {steps:?}");
    }
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn whoever_asks_for_the_same_again_joins_and_another_call_does_not() {
    let stage = Stage::new(ASK);
    let first = stage.asked();
    assert_eq!(stage.asked(), first);
    let other = stage.home.call("observability", "silence_alert", &silence(31)).expect(4).json();
    assert_ne!(other["error"]["approval"], json!(first));
    let listed = stage.home.run(["approvals", "list"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains(&first) && listed.contains("to be confirmed"), "{listed}");
}

#[test]
fn a_store_on_this_machine_confirms_and_never_approves() {
    let stage = Stage::new(APPROVE);
    let id = stage.asked();
    let refused = stage.home.run(["approvals", "approve", &id]).expect(3);
    assert!(
        refused.stderr.contains("denied by default") || refused.stderr.contains("token"),
        "{}",
        refused.stderr
    );
    let confirmed = stage.home.run(["approvals", "confirm", &id]).expect(3);
    assert!(confirmed.stderr.contains("another person's approval"), "{}", confirmed.stderr);
    stage.run(&id).expect(4);
    assert_eq!(stage.effects(), 0);
}

#[test]
fn what_was_denied_or_revoked_does_not_run() {
    for (word, code) in [("deny", "denied"), ("revoke", "revoked")] {
        let stage = Stage::new(ASK);
        let id = stage.asked();
        if word == "revoke" {
            stage.home.run(["approvals", "confirm", &id]).expect(0);
        }
        stage.home.run(["approvals", word, &id, "--comment", "not during the sale"]).expect(0);
        let ended = stage.run(&id).expect(4).json();
        let message = ended["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(code) && message.contains("not during the sale"), "{message}");
        stage.home.run(["approvals", "confirm", &id]).expect(3);
        assert_eq!(stage.effects(), 0);
    }
}

#[test]
fn an_approval_is_void_once_the_policy_is_another() {
    let stage = Stage::new(ASK);
    let id = stage.asked();
    stage.home.run(["approvals", "confirm", &id]).expect(0);
    let other = format!("{ASK}\ndeny = [\"expire_silence\"]");
    let Stage { home, backend } = stage;
    let stage = Stage { home: home.config(&Stage::toml(&other, &backend)), backend };
    let ended = stage.run(&id).expect(4).json();
    assert_eq!(ended["error"]["error"], "approval_void", "{ended}");
    assert!(
        ended["error"]["message"].as_str().is_some_and(|it| it.contains("the policy changed")),
        "{ended}"
    );
    assert_eq!(stage.effects(), 0);
    assert_ne!(stage.asked(), id, "it is asked for again");
}

#[test]
fn an_approval_is_of_whoever_asked_and_nobody_elses() {
    let stage = Stage::new(ASK);
    let id = stage.asked();
    stage.home.run(["approvals", "confirm", &id]).expect(0);
    let other = format!("[identity]\nagent = \"other\"\nperson = \"mallory\"\n{ASK}");
    let Stage { home, backend } = stage;
    let stage = Stage { home: home.config(&Stage::toml(&other, &backend)), backend };
    let ended = stage.run(&id).expect(4).json();
    assert!(ended["error"]["message"].as_str().is_some_and(|it| it.starts_with("no request")), "{ended}");
    let waited = stage.home.call("observability", "await_approval", &json!({ "approval": id }));
    waited.expect(1);
    assert_eq!(stage.effects(), 0);
}

#[test]
fn of_many_calls_at_once_exactly_one_runs() {
    let stage = Stage::new(ASK);
    let id = stage.asked();
    stage.home.run(["approvals", "confirm", &id]).expect(0);
    let mut session = stage.home.serve(&["observability"], Version::V2026_07_28);
    let calls: Vec<u64> =
        (0..32).map(|_| session.start_call("run_approved", json!({ "approval": id }))).collect();
    let ran = calls.into_iter().filter(|it| !session.answer(*it).is_error()).count();
    assert_eq!((ran, stage.effects()), (1, 1));
}

#[test]
fn while_an_order_to_stop_holds_no_effect_runs_and_what_waited_is_void() {
    let stage = Stage::new(ASK);
    let id = stage.asked();
    stage.home.run(["approvals", "confirm", &id]).expect(0);
    let elsewhere = stage.home.run(["stop", "--reason", "rehearsal", "--connection", "other"]).expect(0);
    let stop = stage.home.run(["stop", "--reason", "the agent silences everything"]).expect(0);
    let ended = stage.run(&id).expect(4).json();
    assert!(
        ended["error"]["message"].as_str().is_some_and(|it| it.contains("everything was stopped")),
        "{ended}"
    );
    let Stage { home, backend } = stage;
    let allowed = ASK.replace("ask = [\"silence_alert\"]", "");
    let stage = Stage { home: home.config(&Stage::toml(&allowed, &backend)), backend };
    let ended = stage.silence().expect(3).json();
    assert_eq!(ended["error"]["error"], "stopped", "{ended}");
    assert!(
        ended["error"]["message"].as_str().is_some_and(|it| it.contains("the agent silences everything")),
        "{ended}"
    );
    stage.home.call("observability", "list_alerts", &json!({})).expect(0);
    let dry = json!({ "dry_run": true });
    let mut arguments = silence(30);
    arguments.as_object_mut().expect("an object").extend(dry.as_object().expect("an object").clone());
    stage.home.call("observability", "silence_alert", &arguments).expect(0);
    assert_eq!(stage.effects(), 0, "reads and dry runs go on");
    let own = stage.home.run(["resume", stop.stdout.trim()]).expect(3);
    assert!(own.stderr.contains("another person"), "{}", own.stderr);
    let listed = stage.home.run(["stop", "--list"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains(elsewhere.stdout.trim()) && listed.contains(stop.stdout.trim()), "{listed}");
    assert!(stage.steps().iter().any(|it| it == "stopped"));
}

#[test]
fn where_the_store_cannot_be_used_no_effect_runs_and_reads_go_on() {
    let stage = Stage::new("[policy]\nallow = [\"list_*\", \"silence_alert\"]");
    let path = stage.home.state().join("approvals.sqlite");
    std::fs::create_dir_all(&path).expect("a folder in its place");
    let ended = stage.silence().json();
    assert_eq!(ended["error"]["error"], "approvals_unavailable", "{ended}");
    assert_eq!(stage.effects(), 0);
    stage.home.call("observability", "list_alerts", &json!({})).expect(0);
}

#[test]
fn what_waits_for_people_is_offered_where_a_rule_asks_them() {
    for (policy, offered) in [("[policy]\nallow = [\"list_*\"]", false), (ASK, true)] {
        let stage = Stage::new(policy);
        let mut session = stage.home.serve(&["observability"], Version::V2026_07_28);
        let listed = session.request("tools/list", json!({})).0.to_string();
        for tool in ["await_approval", "run_approved"] {
            assert_eq!(listed.contains(&format!("\"name\":\"{tool}\"")), offered, "{tool}: {policy}");
        }
    }
}

#[test]
fn of_calls_at_once_exactly_as_many_run_as_a_limit_leaves() {
    let stage = Stage::new(
        "[policy]\nallow = [\"list_*\", \"silence_alert\"]\nlimits = [\"silence_alert 10 per hour\"]",
    );
    let mut session = stage.home.serve(&["observability"], Version::V2026_07_28);
    let calls: Vec<u64> =
        (1..=32).map(|minutes| session.start_call("silence_alert", silence(minutes))).collect();
    let answers: Vec<_> = calls.into_iter().map(|it| session.answer(it)).collect();
    let ran = answers.iter().filter(|it| !it.is_error()).count();
    let refused = answers.iter().find(|it| it.is_error()).expect("some are refused");
    assert_eq!((ran, stage.effects()), (10, 10), "{}", refused.0);
    assert_eq!(refused.structured()["error"], "denied", "{}", refused.0);
    // What was refused does not count, nor does what only looks.
    assert!(!session.call("list_alerts", json!({})).is_error());
    assert!(session.call("silence_alert", silence(40)).is_error());
}

#[test]
fn nobody_agrees_to_what_another_policy_asked() {
    let stage = Stage::new(ASK);
    let id = stage.asked();
    let other = format!("{ASK}\ndeny = [\"expire_silence\"]");
    let Stage { home, backend } = stage;
    let stage = Stage { home: home.config(&Stage::toml(&other, &backend)), backend };
    let refused = stage.home.run(["approvals", "confirm", &id]).expect(3);
    assert!(refused.stderr.contains("the policy changed"), "{}", refused.stderr);
    let shown = stage.home.run(["approvals", "show", &id, "--json"]).expect(0).json();
    assert_eq!(shown["state"], "void", "{shown}");
    assert!(stage.steps().contains(&"void".to_owned()));
}

#[test]
fn an_approval_is_void_once_what_it_would_change_has_changed() {
    let alerts = Alertmanager::start("route:\n  receiver: none\nreceivers:\n  - name: none\n");
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[policy]\nallow = [\"silence_alert\", \"expire_silence\"]\nask = [\"expire_silence\"]\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        alerts.url()
    ));
    home.call("observability", "silence_alert", &silence(30)).expect(0);
    let before = alerts.silences()[0].clone();
    let arguments = json!({ "silence": before["id"], "reason": "checkout is healthy again" });
    let asked = home.call("observability", "expire_silence", &arguments).expect(4).json();
    let id = asked["error"]["approval"].as_str().expect("an id").to_owned();
    home.run(["approvals", "confirm", &id]).expect(0);
    // Somebody who still needs it prolongs it.
    let mut longer = before;
    longer["endsAt"] = json!("2099-01-01T00:00:00Z");
    let answer = http::post(alerts.address(), "/api/v2/silences", &longer.to_string()).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let ended = home.call("observability", "run_approved", &json!({ "approval": id })).expect(4).json();
    let message = ended["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("what it would change has changed"), "{ended}");
    assert!(alerts.silences().iter().any(|it| it["status"]["state"] == "active"));
}
