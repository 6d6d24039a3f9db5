//! People hear of what waits for them: real webhooks that answer, fail, hang and vanish, told by the real binary.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, Recorded, Recorder},
    cli::{self, Ended, Home},
    free_address,
    mcp::{Session, Version},
    wait_until,
};

const ASK: &str =
    "[policy]\nallow = [\"list_*\", \"await_approval\", \"silence_alert\"]\nask = [\"silence_alert\"]\n";
const JSON: &str = "[[approvals.notify]]\nurl = { env = \"HOOK_URL\" }\nformat = \"json\"\nsecret = { env = \"HOOK_KEY\" }\n";
const SLACK: &str = "[[approvals.notify]]\nurl = { env = \"HOOK_URL\" }\nformat = \"slack\"\n";
const KEY: &str = "whsec_c2l4dGVlbiBieXRlcyBhcmUgdG9vIGZldyBoZXJl";
/// Part of the address, which is a secret.
const PATH: &str = "/services/hunter2";

struct Stage {
    home: Home,
    _alerts: Recorder,
}

impl Stage {
    /// What is told by `notify` goes to `url`.
    fn new(notify: &str, url: &str) -> Stage {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
            .config(&format!(
                "{ASK}{notify}[http]\npublic_url = \"https://bailiwick.example.com\"\n\
                 [vocabulary]\nenvironments = [\"staging\"]\nteams = [\"sre\"]\n\
                 [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\nenvironment = \"production\"\nteam = \"shop\"\n",
                alerts.url()
            ))
            .variable("HOOK_URL", format!("{url}{PATH}"))
            .variable("HOOK_KEY", KEY);
        Stage { home, _alerts: alerts }
    }

    fn serve(&self) -> Session {
        self.home.serve(&["observability"], Version::V2026_07_28)
    }

    /// Asks for a silence by a command of its own.
    fn asked(&self, minutes: u64) -> String {
        let asked = self
            .home
            .call("observability", "silence_alert", &silence(minutes, "noise during the move"))
            .expect(4);
        asked.json()["error"]["approval"].as_str().expect("an id").to_owned()
    }

    fn doctor(&self) -> Ended {
        let ended = self.home.run(["doctor"]);
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        ended
    }

    /// Waits until the doctor says this of what there is to tell.
    fn told(&self, word: &str) {
        wait_until(&format!("the doctor to say `{word}`"), DEADLINE, || {
            self.doctor().stdout.contains(word).then_some(())
        });
    }
}

fn silence(minutes: u64, reason: &str) -> Value {
    json!({ "matchers": ["alertname=\"HighErrorRate\""], "duration_minutes": minutes, "reason": reason })
}

/// Asks for a silence in a session, which must answer whatever happens to whoever is told.
fn ask(session: &mut Session, minutes: u64) {
    let asked = session.call("silence_alert", silence(minutes, "noise during the move"));
    assert_eq!(asked.structured()["error"], "approval_required", "{}", asked.0);
}

/// Waits until so many requests have come, and gives them.
fn heard(hook: &Recorder, count: usize) -> Vec<Recorded> {
    wait_until(&format!("{count} requests"), DEADLINE, || {
        Some(hook.requests()).filter(|it| it.len() >= count)
    })
}

fn id(request: &Recorded) -> &str {
    request.header("webhook-id").expect("its id")
}

/// Whether an implementation that is not ours takes the signature.
fn signed(request: &Recorded, key: &str) -> bool {
    const CHECK: &str = "import base64, hashlib, hmac, sys\n\
        id, at, key, told = sys.argv[1:]\n\
        body = sys.stdin.buffer.read()\n\
        mac = hmac.new(base64.b64decode(key.removeprefix('whsec_')), f'{id}.{at}.'.encode() + body, hashlib.sha256)\n\
        right = 'v1,' + base64.b64encode(mac.digest()).decode()\n\
        sys.exit(0 if hmac.compare_digest(right, told) else 9)";
    let python = std::env::var("BAILIWICK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let header = |name| request.header(name).expect("a header of the signature");
    let arguments = ["-c", CHECK, id(request), header("webhook-timestamp"), key, header("webhook-signature")];
    match cli::run(Command::new(python).args(arguments), request.body.as_bytes()) {
        Ended { code: Some(0), .. } => true,
        Ended { code: Some(9), .. } => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_is_told_once_with_a_signature_that_anybody_can_check() {
    let hook = Recorder::alone();
    let stage = Stage::new(JSON, &hook.url());
    let approval = stage.asked(30);
    let told = heard(&hook, 1).remove(0);
    assert_eq!((told.method.as_str(), told.path.as_str()), ("POST", PATH));
    assert_eq!(told.header("content-type"), Some("application/json"));
    assert!(signed(&told, KEY) && !signed(&told, "whsec_YW5vdGhlciBrZXkgdGhhdCBub2JvZHkgaGVyZSBoYXM="));
    assert!(!signed(&Recorded { body: told.body.replace("30", "31"), ..told.clone() }, KEY));
    let body: Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!(
        (&body["v"], &body["id"], &body["type"]),
        (&json!(1), &json!(id(&told)), &json!("approval.asked"))
    );
    let data = &body["data"];
    assert_eq!((&data["approval"], &data["state"]), (&json!(approval), &json!("pending")));
    assert_eq!(data["link"], format!("https://bailiwick.example.com/approvals/{approval}"));
    assert_eq!(data["confirmation"], json!({ "needed": true, "given": false }));
    assert!(data["until"].is_string() && data["asked_by"]["agent"].is_string(), "{data}");
    let what = data["what"].as_str().expect("a text");
    assert!(
        what.contains("duration_minutes: 30")
            && what.ends_with("the agent says why: \"noise during the move\""),
        "{what}"
    );
    // Who joins, confirms or looks tells nobody anything new: that is what was configured.
    stage.asked(30);
    stage.home.run(["approvals", "confirm", &approval]).expect(0);
    stage.told("0 to be told, 0 never delivered");
    assert_eq!(hook.requests().len(), 1);
}

#[test]
fn links_lead_to_the_page_where_people_decide_in_a_browser() {
    let hook = Recorder::alone();
    let page = "[approvals.page]\nissuer = \"company\"\nclient_id = \"page\"\n[issuers.company]\nurl = \"https://login.example.com\"\n";
    let stage = Stage::new(&format!("{JSON}{page}"), &hook.url());
    let approval = stage.asked(30);
    let told: Value = serde_json::from_str(&heard(&hook, 1)[0].body).expect("JSON");
    assert_eq!(told["data"]["link"], format!("https://bailiwick.example.com/decide/{approval}"));
}

#[test]
fn what_people_do_at_the_command_line_is_told_when_the_command_ends() {
    let hook = Recorder::alone();
    let stage = Stage::new(JSON, &hook.url());
    let approval = stage.asked(30);
    stage.home.run(["approvals", "deny", &approval, "--comment", "not during the sale"]).expect(0);
    stage.home.run(["stop", "--reason", "the agent silences everything"]).expect(0);
    let told: Vec<Value> =
        heard(&hook, 3).iter().map(|it| serde_json::from_str(&it.body).expect("JSON")).collect();
    let types: Vec<&str> = told.iter().filter_map(|it| it["type"].as_str()).collect();
    assert_eq!(types, ["approval.asked", "approval.denied", "stop.stopped"]);
    assert!(
        told[1]["data"]["note"].as_str().is_some_and(|it| it.ends_with(": not during the sale")),
        "{}",
        told[1]
    );
    assert!(
        told[2]["data"]["note"].as_str().is_some_and(|it| it.contains("silences everything")),
        "{}",
        told[2]
    );
}

#[test]
fn what_was_refused_for_now_is_told_again_under_the_same_id() {
    let hook = Recorder::alone();
    hook.on("POST", "/", Behaviour::json(500, "{\"error\": \"hunter2\"}"));
    let stage = Stage::new(JSON, &hook.url());
    let mut session = stage.serve();
    ask(&mut session, 30);
    heard(&hook, 1);
    stage.told("1 to be told, 0 never delivered; the last problem: it answered HTTP 500");
    hook.behave();
    let told = heard(&hook, 2);
    assert!(told.iter().all(|it| id(it) == id(&told[0]) && it.body == told[0].body && signed(it, KEY)));
    stage.told("0 to be told, 0 never delivered");
    assert!(
        session.errors().contains("not told yet") && !session.errors().contains("hunter2"),
        "{}",
        session.errors()
    );
}

#[test]
fn what_is_refused_for_good_is_given_up_loudly() {
    let elsewhere = Recorder::alone();
    for (behaviour, said) in [
        (Behaviour::json(410, "{}"), "nobody listens at the address any more (HTTP 410)"),
        (Behaviour::json(404, "{}"), "nobody listens at the address any more (HTTP 404)"),
        (Behaviour::Redirect(format!("{}/hunter2", elsewhere.url())), "which is not followed"),
    ] {
        let hook = Recorder::alone();
        hook.on("POST", "/", behaviour);
        let stage = Stage::new(SLACK, &hook.url());
        let mut session = stage.serve();
        ask(&mut session, 30);
        stage.told("0 to be told, 1 never delivered");
        let doctor = stage.doctor().expect(1);
        assert!(doctor.stdout.contains(said) && doctor.stdout.contains("HOOK_URL"), "{}", doctor.stdout);
        let errors = session.errors();
        assert!(errors.contains("not tried again") && errors.contains(said), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
        assert_eq!(hook.requests().len(), 1, "{said}");
    }
    assert!(elsewhere.requests().is_empty(), "a redirect is not followed");
}

#[test]
fn whoever_is_slow_to_listen_holds_up_no_call() {
    let hook = Recorder::alone();
    let hold = hook.hold("POST", "/");
    let stage = Stage::new(JSON, &hook.url());
    let mut session = stage.serve();
    ask(&mut session, 30);
    hold.wait_arrived(DEADLINE);
    // Nobody has been answered yet.
    ask(&mut session, 31);
    assert!(!session.call("list_alerts", json!({})).is_error());
    hold.release();
    stage.told("0 to be told, 0 never delivered");
    let ids: BTreeSet<String> = hook.requests().iter().map(|it| id(it).to_owned()).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn whoever_was_away_hears_when_they_are_back() {
    let address = free_address();
    let stage = Stage::new(JSON, &format!("http://{address}"));
    let mut session = stage.serve();
    ask(&mut session, 30);
    wait_until("an attempt to fail", DEADLINE, || session.errors().contains("not told yet").then_some(()));
    assert!(session.errors().contains("it cannot be reached") && !session.errors().contains("hunter2"));
    let behind = Recorder::alone();
    let _hook = Recorder::at(address, behind.address());
    assert!(signed(&heard(&behind, 1)[0], KEY));
}

#[test]
fn what_a_killed_process_sent_without_saying_so_is_told_again_under_the_same_id() {
    let hook = Recorder::alone();
    let hold = hook.hold("POST", "/");
    let stage = Stage::new(JSON, &hook.url());
    let mut first = stage.serve();
    ask(&mut first, 30);
    hold.wait_arrived(DEADLINE);
    first.kill();
    hook.behave();
    let _second = stage.serve();
    let told = heard(&hook, 2);
    assert_eq!((id(&told[0]), &told[0].body), (id(&told[1]), &told[1].body));
    assert!(signed(&told[1], KEY));
    stage.told("0 to be told, 0 never delivered");
}

#[test]
fn of_two_processes_one_tells() {
    const ASKED: usize = 10;
    let hook = Recorder::alone();
    let stage = Stage::new(JSON, &hook.url());
    let (mut one, mut two) = (stage.serve(), stage.serve());
    for minutes in 0..ASKED as u64 / 2 {
        ask(&mut one, 30 + minutes);
        ask(&mut two, 60 + minutes);
    }
    let told = heard(&hook, ASKED);
    stage.told("0 to be told, 0 never delivered");
    let ids: BTreeSet<&str> = told.iter().map(id).collect();
    assert_eq!((ids.len(), hook.requests().len()), (ASKED, ASKED));
}

#[test]
fn everybody_hears_of_their_own_only() {
    let hook = Recorder::alone();
    let entry = |name: &str, more: &str| {
        format!("[[approvals.notify]]\nurl = {{ env = \"{name}\" }}\nformat = \"slack\"\n{more}\n")
    };
    let notify = [
        entry("STAGING", "environments = [\"staging\"]"),
        entry("SRE", "teams = [\"sre\"]"),
        entry("ORDERS", "events = [\"stopped\"]"),
        entry("SHOP", "teams = [\"shop\", \"sre\"]\nenvironments = [\"production\"]"),
    ];
    let Stage { mut home, _alerts } = Stage::new(&notify.concat(), "");
    for name in ["STAGING", "SRE", "ORDERS", "SHOP"] {
        home = home.variable(name, format!("{}/{name}", hook.url()));
    }
    let stage = Stage { home, _alerts };
    stage.asked(30);
    assert_eq!(heard(&hook, 1)[0].path, "/SHOP");
    // An order to stop everything concerns everybody.
    stage.home.run(["stop", "--reason", "rehearsal"]).expect(0);
    let told: BTreeSet<String> = heard(&hook, 5).into_iter().map(|it| it.path).collect();
    assert_eq!(told.len(), 4);
    assert_eq!(hook.requests().len(), 5);
}

#[test]
fn a_channel_shows_what_an_agent_writes_as_text_and_nothing_else() {
    let hook = Recorder::alone();
    let stage = Stage::new(SLACK, &hook.url());
    let hostile =
        "<!channel> *approved* <https://evil.example|Look at it and decide> & @here\n\"asked by: bob";
    stage.home.call("observability", "silence_alert", &silence(30, hostile)).expect(4);
    let told = heard(&hook, 1).remove(0);
    assert!(told.header("webhook-signature").is_none(), "its address is the secret");
    let body: Value = serde_json::from_str(&told.body).expect("JSON");
    let blocks = body["blocks"].as_array().expect("blocks");
    let formatted: Vec<&Value> = blocks.iter().filter(|it| it["text"]["type"] == "mrkdwn").collect();
    assert_eq!(formatted.len(), 1);
    let link = formatted[0]["text"]["text"].as_str().expect("a text");
    assert!(link.starts_with("<https://bailiwick.example.com/approvals/apr-"), "{link}");
    let rest: String = blocks
        .iter()
        .filter(|it| it["text"]["type"] == "plain_text")
        .filter_map(|it| it["text"]["text"].as_str())
        .chain(body["text"].as_str())
        .collect();
    assert!(!rest.contains(['<', '>']) && rest.contains("&lt;!channel&gt; *approved*"), "{rest}");
    assert_eq!(rest.matches("says why: \"").count(), 1, "{rest}");
}

#[test]
fn a_webhook_that_cannot_be_used_is_said_to_be_and_stops_no_call() {
    let stage = Stage::new(JSON, "ftp://hunter2.example");
    let mut session = stage.serve();
    ask(&mut session, 30);
    let said = "secret { env = \"HOOK_URL\" }: expected an address that begins with https://";
    wait_until("the server to say so", DEADLINE, || session.errors().contains(said).then_some(()));
    assert!(!session.errors().contains("hunter2"), "{}", session.errors());
    let doctor = stage.doctor().expect(1);
    assert!(doctor.stdout.contains(said), "{}", doctor.stdout);
    let Stage { home, _alerts } = Stage::new(JSON, "https://hook.example");
    let stage = Stage { home: home.variable("HOOK_KEY", "hunter2"), _alerts };
    let doctor = stage.doctor().expect(1);
    assert!(doctor.stdout.contains("24 to 64 random bytes"), "{}", doctor.stdout);
}

#[test]
fn the_schema_that_editors_get_knows_who_is_told() {
    let schema = Home::new(env!("CARGO_BIN_EXE_bailiwick")).run(["config", "schema"]).expect(0).json();
    let notify = &schema["$defs"]["Notify"];
    assert_eq!(notify["properties"]["format"]["enum"], json!(["slack", "json"]), "{notify}");
    assert_eq!(notify["required"], json!(["url", "format"]));
}
