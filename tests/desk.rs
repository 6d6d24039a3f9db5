//! People decide over HTTP, each proven by a token of a real OpenID provider: who may agree to what, and what comes of it.

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, OpenIdProvider, Recorder},
    cli::Home,
    http,
    mcp::{Response, Version},
    remote::{Remote, Served},
};

const ACT: &str = "bailiwick:read bailiwick:act";
const APPROVE: &str = "bailiwick:approve";

/// The platform's team silences once as many of its people agree as the lists say.
const WHO: &str = r#"
@id("who.sre")
@reason("the SREs approve")
permit (principal is User in Team::"platform", action == Action::"approve", resource)
when { context.assurance == "token" };
"#;

struct World {
    home: Home,
    provider: OpenIdProvider,
    alerts: Recorder,
    served: Served,
}

impl World {
    fn start(people: u8) -> World {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let provider = OpenIdProvider::start();
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "[policy]\nallow = [\"list_*\", \"silence_alert\"]\n\
             approve = [{{ rule = \"silence_alert\", approvals = {people} }}]\nfiles = [\"who.cedar\"]\n\
             [approvals]\napprovals_per_hour = 3\n\
             [issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
             teams = {{ sre = \"platform\" }}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            provider.url(),
            alerts.url(),
        ));
        home.file("who.cedar", WHO);
        let served = Served::start(&home, &["observability"], &[]);
        World { home, provider, alerts, served }
    }

    /// A token of the provider for a client of it.
    fn token(&self, client: &str, resource: &str, scope: &str) -> String {
        self.provider.token(client, resource, scope)
    }

    fn desk(&self) -> String {
        format!("http://{}/approvals", self.served.address())
    }

    fn agent(&self, client: &str) -> Remote {
        let token = self.token(client, &self.served.url("observability"), ACT);
        self.served.client("observability", Version::V2026_07_28).bearing(&token)
    }

    /// Sends somebody's token and a body to the desk: status and answer.
    fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::send_with(self.served.address(), method, path, &headers, body.as_bytes());
        let answer = answer.expect("the desk answers");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}")))
    }

    /// What comes of a person's word on a request.
    fn says(&self, client: &str, word: &str, id: &str) -> (u16, Value) {
        let token = self.token(client, &self.desk(), APPROVE);
        self.send(&token, "POST", &format!("/approvals/{id}/{word}"), &json!({ "comment": "seen" }))
    }

    fn effects(&self) -> usize {
        self.alerts.requests().iter().filter(|it| it.method == "POST").count()
    }
}

fn silence(minutes: u64) -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": minutes, "reason": "the test needs quiet" })
}

fn asked(agent: &mut Remote, minutes: u64) -> String {
    let asked = agent.call("silence_alert", silence(minutes));
    asked.structured()["approval"].as_str().unwrap_or_else(|| panic!("{}", asked.0)).to_owned()
}

fn run(agent: &mut Remote, id: &str) -> Response {
    agent.call("run_approved", json!({ "approval": id }))
}

#[test]
fn another_person_approves_and_exactly_that_runs_once() {
    let world = World::start(1);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    let token = world.token("carols-phone", &world.desk(), APPROVE);
    let (status, listed) = world.send(&token, "GET", "/approvals", &Value::Null);
    assert_eq!((status, &listed["approvals"][0]["approval"]), (200, &json!(id)), "{listed}");
    let (status, shown) = world.send(&token, "GET", &format!("/approvals/{id}"), &Value::Null);
    assert!(status == 200 && shown["what"].as_str().is_some_and(|it| it.contains("for alice")), "{shown}");
    assert!(run(&mut agent, &id).is_error());
    let (status, said) = world.says("carols-phone", "approve", &id);
    assert_eq!(
        (status, &said["state"], &said["votes"][0]["who"]),
        (200, &json!("approved"), &json!("carol"))
    );
    // What another of alice's agents asked for is not theirs to run.
    assert!(run(&mut world.agent("bobs-agent"), &id).is_error());
    let ran = run(&mut agent, &id);
    assert!(!ran.is_error(), "{}", ran.0);
    assert!(run(&mut agent, &id).text().contains("carried out already"));
    assert_eq!(world.effects(), 1);
    assert!(world.served.stop().success());
    let tail = world.home.run(["audit", "tail", "--reference", &id]).expect(0).stdout;
    let steps: Vec<bool> = ["asked", "approved", "reserved", "consumed"].map(|it| tail.contains(it)).into();
    assert!(steps.iter().all(|it| *it) && tail.contains("by carol"), "{tail}");
    world.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn nobody_approves_their_own_and_nobody_whom_policy_does_not_let() {
    let world = World::start(1);
    let id = asked(&mut world.agent("alices-agent"), 60);
    for (client, why) in [
        ("alices-phone", "in their name"),
        ("alices-agent", "in their name"),
        ("eves-phone", "denied by default"),
        // Bob's own token, in the hands of the very program that asked.
        ("bobs-agent", "claude-code"),
    ] {
        let (status, said) = world.says(client, "approve", &id);
        assert_eq!(status, 403, "{client}: {said}");
        assert!(said["message"].as_str().is_some_and(|it| it.contains(why)), "{client}: {said}");
    }
    let (status, said) = world.says("deployer", "approve", &id);
    assert!(status == 403 && said["error"] == "no_person", "{said}");
    assert!(run(&mut world.agent("alices-agent"), &id).is_error());
    assert_eq!(world.effects(), 0);
    let tail = world.home.run(["audit", "tail", "--json", "-n", "100"]).expect(0).stdout;
    assert!(tail.matches("approve apr-").count() >= 4, "every attempt is on record: {tail}");
}

#[test]
fn two_approvals_are_of_two_people_whatever_names_and_devices_they_use() {
    let world = World::start(2);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    assert_eq!(world.says("carols-phone", "approve", &id).1["state"], "pending");
    for client in ["carols-phone", "carols-laptop"] {
        let (status, said) = world.says(client, "approve", &id);
        assert!(status == 403 && said["message"].as_str().is_some_and(|it| it.contains("already")), "{said}");
    }
    assert!(run(&mut agent, &id).text().contains("one more person"));
    assert_eq!(world.says("daves-phone", "approve", &id).1["state"], "approved");
    assert!(!run(&mut agent, &id).is_error());
    assert_eq!(world.effects(), 1);
}

#[test]
fn a_token_decides_only_with_the_scope_and_the_audience_for_it() {
    let world = World::start(1);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    let path = format!("/approvals/{id}/approve");
    let reads = world.token("carols-phone", &world.desk(), ACT);
    let (status, said) = world.send(&reads, "POST", &path, &Value::Null);
    assert_eq!(status, 403, "{said}");
    let elsewhere = world.token("carols-phone", &world.served.url("observability"), APPROVE);
    assert_eq!(world.send(&elsewhere, "POST", &path, &Value::Null).0, 401);
    assert_eq!(world.send("nonsense", "POST", &path, &Value::Null).0, 401);
    let token = world.token("carols-phone", &world.desk(), APPROVE);
    let bearer = format!("Bearer {token}");
    // A page that has its name point here speaks to nobody.
    let lured = [("Host", "evil.example"), ("Authorization", bearer.as_str())];
    let answer = http::send_with(world.served.address(), "POST", &path, &lured, b"").expect("an answer");
    assert_eq!(answer.status, 403, "{answer:?}");
    let long = json!({ "comment": "x".repeat(20_000) });
    assert_eq!(world.send(&token, "POST", &path, &long).0, 413);
    assert_eq!(world.send(&token, "POST", &path, &json!({ "commnt": "x" })).0, 400);
    assert_eq!(world.send(&token, "POST", &format!("/approvals/{id}/confirm"), &Value::Null).0, 404);
    assert_eq!(world.send(&token, "POST", "/approvals/apr-none/approve", &Value::Null).0, 404);
    assert!(run(&mut agent, &id).is_error());
    assert_eq!(world.effects(), 0);
}

#[test]
fn what_was_denied_stays_denied_and_whoever_approves_everything_is_stopped() {
    let world = World::start(1);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    assert_eq!(world.says("carols-phone", "deny", &id).1["state"], "denied");
    assert_eq!(world.says("daves-phone", "approve", &id).0, 409);
    assert!(run(&mut agent, &id).text().contains("by carol: seen"));
    for minutes in 1..=3 {
        let id = asked(&mut agent, minutes);
        assert_eq!(world.says("carols-phone", "approve", &id).0, 200);
    }
    let id = asked(&mut agent, 4);
    let (status, said) = world.says("carols-phone", "approve", &id);
    assert!(
        status == 429 && said["message"].as_str().is_some_and(|it| it.contains("another person")),
        "{said}"
    );
    assert_eq!(world.says("daves-phone", "approve", &id).0, 200);
    assert_eq!(world.says("daves-phone", "revoke", &id).1["state"], "revoked");
    assert!(run(&mut agent, &id).is_error());
}

#[test]
fn an_order_to_stop_holds_at_once_and_takes_another_person_to_lift() {
    let world = World::start(1);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    assert_eq!(world.says("carols-phone", "approve", &id).0, 200);
    let carol = world.token("carols-phone", &world.desk(), APPROVE);
    assert_eq!(world.send(&carol, "POST", "/stops", &json!({ "reason": " " })).0, 400);
    let order = json!({ "reason": "the agent silences everything", "scope": { "connection": "alerts" } });
    let (status, stop) = world.send(&carol, "POST", "/stops", &order);
    assert_eq!((status, &stop["voided"]), (201, &json!([id])), "{stop}");
    assert!(run(&mut agent, &id).text().contains("everything was stopped"));
    let again = asked(&mut agent, 60);
    assert_eq!(world.says("daves-phone", "approve", &again).0, 200);
    assert_eq!(run(&mut agent, &again).structured()["error"], "stopped");
    assert_eq!(world.effects(), 0);
    let resume = format!("/stops/{}/resume", stop["stop"].as_str().expect("an id"));
    assert_eq!(world.send(&carol, "POST", &resume, &Value::Null).0, 403);
    let dave = world.token("daves-phone", &world.desk(), APPROVE);
    assert_eq!(world.send(&dave, "POST", &resume, &Value::Null).0, 200);
    assert_eq!(world.send(&dave, "GET", "/stops", &Value::Null).1["stops"], json!([]));
    let ran = run(&mut agent, &again);
    assert!(!ran.is_error(), "what was not carried out is still approved: {}", ran.0);
    assert_eq!(world.effects(), 1);
}

#[test]
fn the_command_line_decides_at_a_server_as_whoever_the_token_names() {
    let world = World::start(1);
    let mut agent = world.agent("alices-agent");
    let id = asked(&mut agent, 60);
    let server = format!("http://{}", world.served.address());
    let run_as = |client: &str, arguments: &[&str]| {
        let mut command = world.home.command(arguments);
        command.args(["--server", &server]);
        if !client.is_empty() {
            command.env("BAILIWICK_TOKEN", world.token(client, &world.desk(), APPROVE));
        }
        testkit::cli::run(&mut command, b"")
    };
    let nobody = run_as("", &["approvals", "list"]).expect(5);
    assert!(nobody.stderr.contains("BAILIWICK_TOKEN is not set"), "{}", nobody.stderr);
    let listed = run_as("carols-phone", &["approvals", "list"]).expect(0).stdout;
    assert!(listed.contains(&id) && listed.contains("0 of 1 approved"), "{listed}");
    let own = run_as("alices-phone", &["approvals", "approve", &id]).expect(3);
    assert!(own.stderr.contains("in their name"), "{}", own.stderr);
    run_as("carols-phone", &["approvals", "approve", "../stops"]).expect(2);
    run_as("carols-phone", &["approvals", "approve", &id, "--comment", "seen"]).expect(0);
    let shown = run_as("carols-phone", &["approvals", "show", &id]).expect(0).stdout;
    assert!(shown.contains("approve by carol (token, http)") && shown.contains(": seen"), "{shown}");
    let stop = run_as("carols-phone", &["stop", "--reason", "drill"]).expect(0).stdout;
    run_as("carols-phone", &["resume", stop.trim()]).expect(3);
    run_as("daves-phone", &["resume", stop.trim()]).expect(0);
    assert!(run(&mut agent, &id).text().contains("everything was stopped"));
    let mut command = world.home.command(["approvals", "list", "--server", "http://bailiwick.example.com"]);
    let overheard = testkit::cli::run(command.env("BAILIWICK_TOKEN", "x"), b"").expect(5);
    assert!(overheard.stderr.contains("use https"), "{}", overheard.stderr);
}
