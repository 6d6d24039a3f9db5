//! A person decides at a server that is elsewhere: they log in for that alone, and nothing of it stays.

use serde_json::json;
use testkit::{
    DEADLINE,
    backends::{Behaviour, OpenIdProvider, Recorder},
    cli::Home,
    mcp::{Session, Version},
    remote::Served,
    wait_until,
};

const WHO: &str = r#"
@id("who")
permit (principal is User in Team::"platform", action == Action::"approve", resource)
when { context.assurance == "token" };
"#;

struct World {
    provider: OpenIdProvider,
    served: Served,
    /// A machine of somebody's own, with the issuer and nothing else.
    home: Home,
    alerts: Recorder,
    _server: Home,
}

impl World {
    fn start() -> World {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let provider = OpenIdProvider::start();
        let issuer = format!(
            "[issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
             teams = {{ sre = \"platform\" }}\n",
            provider.url()
        );
        let server = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "[policy]\nallow = [\"silence_alert\"]\napprove = [\"silence_alert\"]\nfiles = [\"who.cedar\"]\n{issuer}\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            alerts.url()
        ));
        server.file("who.cedar", WHO);
        let served = Served::start(&server, &["observability"], &[]);
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "{issuer}login = {{ client_id = \"laptop\", resource = \"https://elsewhere.example.com\" }}\n"
        ));
        World { provider, served, home, alerts, _server: server }
    }

    /// Runs a command against the server as a person who enters the code that it tells.
    fn as_person(&self, person: &str, arguments: &[&str]) -> (bool, String) {
        self.answering(arguments, |code| self.provider.browser().approve(code, person))
    }

    /// The same, whatever the person does with the code.
    fn answering(&self, arguments: &[&str], answer: impl FnOnce(&str)) -> (bool, String) {
        let server = format!("http://{}", self.served.address());
        let mut command = self.home.command(arguments);
        let mut running = Session::start(command.args(["--server", &server]));
        let code = wait_until("the code", DEADLINE, || {
            let told = running.errors();
            assert!(!running.ended(), "it ended by itself: {told}");
            let (_, rest) = told.split_once(" enter the code ")?;
            Some(rest.split_once(' ')?.0.to_owned())
        });
        answer(&code);
        let ended = running.wait();
        (ended.success(), running.errors())
    }
}

#[test]
fn a_person_without_a_token_decides_by_a_browser_and_nothing_of_it_is_kept() {
    let world = World::start();
    let url = world.served.url("observability");
    let token = world.provider.token("deployer", &url, "bailiwick:read bailiwick:act");
    let mut agent = world.served.client("observability", Version::V2026_07_28).bearing(&token);
    let silence = json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 30, "reason": "the test needs quiet" });
    let asked = agent.call("silence_alert", silence).structured();
    let id = asked["approval"].as_str().unwrap_or_else(|| panic!("{asked}"));
    let (approved, told) = world.as_person("bob", &["approvals", "approve", id]);
    assert!(!approved && told.contains("denied by default"), "{told}");
    let (approved, told) = world.as_person("alice", &["approvals", "approve", id]);
    assert!(approved, "{told}");
    assert!(!agent.call("run_approved", json!({ "approval": id })).is_error());
    assert_eq!(world.alerts.requests().iter().filter(|it| it.method == "POST").count(), 1);
    // Nobody is logged in here: whoever comes next proves themselves anew.
    assert_eq!(world.home.run(["logout"]).expect(0).stdout, "nobody was logged in\n");
}

#[test]
fn whoever_says_no_in_the_browser_hears_that_nothing_was_decided_and_not_that_a_variable_is_missing() {
    let world = World::start();
    let (done, told) = world.answering(&["approvals", "list"], |code| world.provider.browser().deny(code));
    assert!(!done && told.contains("nothing was decided: the request was denied in the browser"), "{told}");
    assert!(!told.contains("is not set"), "{told}");
}

#[test]
fn a_token_is_asked_for_at_issuers_that_both_sides_name_and_for_that_server_alone() {
    let world = World::start();
    let list =
        |home: &Home, server: &str| home.run(["approvals", "list", "--server", server]).expect(5).stderr;
    let server = format!("http://{}", world.served.address());
    let none = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config("");
    assert!(list(&none, &server).contains("BAILIWICK_TOKEN is not set"));
    let other = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(
        "[issuers.other]\nurl = \"http://127.0.0.1:9\"\nperson_claim = \"sub\"\nlogin = { client_id = \"laptop\", resource = \"https://elsewhere.example.com\" }\n",
    );
    assert!(list(&other, &server).contains("have the configuration name one of the server's issuers"));
    // A server that calls itself another one wants a token for that one.
    let said = list(&world.home, &server.replace("127.0.0.1", "localhost"));
    assert!(said.contains("the server calls itself http://127.0.0.1"), "{said}");
}
