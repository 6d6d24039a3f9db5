//! Callers whom a policy keeps apart: what one of them must not learn of, and who answers for an agent without a person.

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, OpenIdProvider, Recorder},
    cli::Home,
    http,
    mcp::Version,
    remote::{Remote, Served},
};

const READ: &str = "bailiwick:read";
const ACT: &str = "bailiwick:read bailiwick:act";
const APPROVE: &str = "bailiwick:read bailiwick:approve";

const RULES: &str = r#"
@id("reads")
permit (principal, action in Action::"effect:read", resource);
@id("sre")
permit (principal in Team::"platform", action == Action::"silence_alert", resource);
@id("frozen")
@reason("nobody expires anything this week")
forbid (principal, action == Action::"expire_silence", resource);
@id("who")
permit (principal is User in Team::"platform", action == Action::"approve", resource)
when { context.assurance == "token" };
"#;

struct World {
    home: Home,
    provider: OpenIdProvider,
    served: Served,
    _alerts: Recorder,
}

impl World {
    fn start(policy: &str) -> World {
        let alerts = Recorder::alone();
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        alerts.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let provider = OpenIdProvider::start();
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "{policy}\n[issuers.company]\nurl = \"{}\"\nalgorithms = [\"RS256\"]\nperson_claim = \"person\"\n\
             teams = {{ sre = \"platform\" }}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            provider.url(),
            alerts.url(),
        ));
        home.file("rules.cedar", RULES);
        let served = Served::start(&home, &["observability"], &[]);
        World { home, provider, served, _alerts: alerts }
    }

    fn agent(&self, client: &str, scope: &str) -> Remote {
        let token = self.provider.token(client, &self.served.url("observability"), scope);
        self.served.client("observability", Version::V2026_07_28).bearing(&token)
    }

    /// What comes of a person's approval.
    fn approves(&self, client: &str, id: &str) -> (u16, String) {
        let desk = format!("http://{}/approvals", self.served.address());
        let bearer = format!("Bearer {}", self.provider.token(client, &desk, APPROVE));
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        let path = format!("/approvals/{id}/approve");
        let answer = http::send_with(self.served.address(), "POST", &path, &headers, b"{}");
        let answer = answer.expect("the desk answers");
        (answer.status, answer.body)
    }
}

fn silence() -> Value {
    json!({ "matchers": ["alertname=\"Noise\""], "duration_minutes": 30, "reason": "the test needs quiet" })
}

/// What an answer says, without the name that was asked for.
fn told(agent: &mut Remote, tool: &str, arguments: Value, name: &str) -> String {
    agent.call(tool, arguments).0["error"]["message"].to_string().replace(name, "NAME")
}

#[test]
fn what_a_caller_is_not_shown_is_to_them_as_if_it_were_not_there() {
    let world = World::start("[policy]\nhide = true\nfiles = [\"rules.cedar\"]");
    for scope in [READ, ACT] {
        let mut bob = world.agent("bobs-agent", scope);
        let listed = bob.request("tools/list", json!({})).result().to_string();
        assert!(listed.contains("list_alerts") && !listed.contains("silence_alert"), "{listed}");
        let nothing = told(&mut bob, "no_such_tool", json!({}), "no_such_tool");
        assert!(nothing.contains("list_alerts") && !nothing.contains("_silence"), "{nothing}");
        for hidden in ["silence_alert", "expire_silence"] {
            assert_eq!(told(&mut bob, hidden, json!({}), hidden), nothing, "{scope}");
            assert_eq!(told(&mut bob, hidden, silence(), hidden), nothing, "{scope}");
        }
    }
    let mut bob = world.agent("bobs-agent", ACT);
    let all = bob.call("show_authority", json!({})).result().to_string();
    assert!(all.contains("list_alerts") && !all.contains("silence"), "{all}");
    let of = |agent: &mut Remote, name: &str| {
        let answer = agent.call("show_authority", json!({ "tool": name }));
        (answer.is_error(), answer.text().replace(name, "NAME"))
    };
    let nothing = of(&mut bob, "no_such_tool");
    assert!(nothing.0);
    assert_eq!(of(&mut bob, "silence_alert"), nothing);

    let mut alice = world.agent("alices-agent", ACT);
    assert!(alice.request("tools/list", json!({})).result().to_string().contains("silence_alert"));
    assert!(!alice.call("silence_alert", silence()).is_error());
    assert!(!of(&mut alice, "silence_alert").0);
    // Whoever looks at the log sees what was refused, and by which rule.
    let tail = world.home.run(["audit", "tail", "--json", "-n", "100"]).expect(0).stdout;
    let records: Vec<Value> = tail.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let denied = |tool: &str, rule: Value| {
        let of = |it: &&Value| it["leaf"]["tool"] == tool && it["leaf"]["verdict"] == "denied";
        let named = |it: &Value| it["payload"]["content"]["refusal"]["policy"] == rule;
        records.iter().filter(of).filter(|it| named(it)).count()
    };
    assert_eq!((denied("silence_alert", Value::Null), denied("expire_silence", json!("frozen"))), (4, 4));
}

#[test]
fn without_it_a_denial_names_the_rule() {
    let world = World::start("[policy]\nfiles = [\"rules.cedar\"]");
    let mut bob = world.agent("bobs-agent", ACT);
    let listed = bob.request("tools/list", json!({})).result().to_string();
    assert!(!listed.contains("expire_silence"), "{listed}");
    let said = bob.call("expire_silence", json!({ "silence": "1", "reason": "to see what is said" }));
    assert!(said.is_error() && said.text().contains("frozen"), "{}", said.text());
}

#[test]
fn whoever_answers_for_an_agent_does_not_approve_what_it_asks_for() {
    let world = World::start(
        "[policy]\nallow = [\"silence_alert\"]\napprove = [\"silence_alert\"]\nfiles = [\"rules.cedar\"]\n\
         [agents.deployer]\nowner = \"carol\"",
    );
    let mut deployer = world.agent("deployer", ACT);
    let asked = deployer.call("silence_alert", silence()).structured();
    let id = asked["approval"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    // A name that merely looks like another one is the same person.
    for client in ["carols-phone", "carols-laptop"] {
        let (status, said) = world.approves(client, &id);
        assert!(status == 403 && said.contains("answers for the agent"), "{client}: {said}");
    }
    let (status, said) = world.approves("daves-phone", &id);
    assert_eq!(status, 200, "{said}");
    let ran = deployer.call("run_approved", json!({ "approval": id }));
    assert!(!ran.is_error(), "{}", ran.text());
}
