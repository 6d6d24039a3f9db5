//! A policy that asks for an approved change ticket, the binary, and a ticket system over HTTP.

use serde_json::{Value, json};
use testkit::{
    backends::{Alertmanager, Behaviour, Recorder},
    cli::{Ended, Home},
};

const POLICY: &str = r#"
@id("all") permit (principal, action in [Action::"effect:read", Action::"effect:mitigate"], resource);
@id("ticketed") @reason("production changes under an approved ticket") @instead("name the ticket as `change`")
forbid (principal, action in Action::"effect:mitigate", resource)
unless { context has change && context.change.approved }
unless { context.input has dry_run && context.input.dry_run };
"#;

struct Estate {
    home: Home,
    alerts: Recorder,
    tickets: Recorder,
    _alertmanager: Alertmanager,
}

fn estate(ticketing: impl Fn(&str) -> String) -> Estate {
    let alertmanager = Alertmanager::start(Alertmanager::CONFIG);
    let (alerts, tickets) = (Recorder::before(alertmanager.address()), Recorder::alone());
    let config = format!(
        "[policy]\nfiles = [\"ticketed.cedar\"]\n{}\n[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        ticketing(&tickets.url()),
        alerts.url()
    );
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).variable("DESK_TOKEN", "hunter2-hunter2");
    home.file("ticketed.cedar", POLICY);
    Estate { home: home.config(&config), alerts, tickets, _alertmanager: alertmanager }
}

fn jira(url: &str) -> String {
    format!(
        "[change]\nurl = \"{url}/rest/api/2/issue/{{id}}?fields=status\"\nstate = \"/fields/status/name\"\n\
         approved = [\"Implementing\"]\nbearer = {{ env = \"DESK_TOKEN\" }}\n"
    )
}

fn in_state(state: &str) -> Behaviour {
    Behaviour::json(200, json!({ "fields": { "status": { "name": state } } }).to_string())
}

impl Estate {
    fn silence(&self, more: Value) -> Ended {
        let mut arguments = json!({
            "matchers": ["alertname=\"HighErrorRate\""], "duration_minutes": 30,
            "reason": "rolling back checkout, its errors are known",
        });
        for (name, value) in more.as_object().expect("arguments") {
            arguments[name] = value.clone();
        }
        self.home.call("observability", "silence_alert", &arguments)
    }

    fn message(&self, more: Value, code: i32) -> String {
        let said = self.silence(more).expect(code).json();
        said["error"]["message"].as_str().expect("a message").to_owned()
    }

    /// How many silences were really made.
    fn made(&self) -> usize {
        self.alerts.requests_to("POST", "/api/v2/silences").len()
    }
}

#[test]
fn a_change_runs_under_an_approved_ticket_and_the_record_says_which() {
    let it = estate(jira);
    it.tickets.on("GET", "/rest/api/2/issue/OPS-12", in_state("Implementing"));
    it.silence(json!({ "change": "OPS-12" })).expect(0);
    assert_eq!(it.made(), 1);
    let asked = it.tickets.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/rest/api/2/issue/OPS-12?fields=status");
    assert_eq!(asked[0].header("authorization"), Some("Bearer hunter2-hunter2"));
    let tail = it.home.run(["audit", "tail", "--json", "--tool", "silence_alert"]).expect(0).stdout;
    for line in tail.lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        let change = &record["payload"]["content"]["change"];
        assert_eq!(*change, json!({ "id": "OPS-12", "state": "Implementing", "approved": true }), "{record}");
    }
    assert_eq!(tail.lines().count(), 2, "an intent and its outcome: {tail}");
    assert!(!tail.contains("hunter2"), "{tail}");
}

#[test]
fn without_an_approved_ticket_nothing_changes_and_the_denial_says_why() {
    let it = estate(jira);
    let said = it.message(json!({}), 3);
    assert!(said.contains("approved ticket") && !said.contains("counts as none"), "{said}");
    it.silence(json!({ "dry_run": true })).expect(0);
    assert!(it.tickets.requests().is_empty(), "no ticket was named");
    it.tickets.on("GET", "/", in_state("Draft"));
    let said = it.message(json!({ "change": "OPS-12" }), 3);
    assert!(said.contains("approved ticket") && !said.contains("counts as none"), "{said}");
    for (behaviour, why) in [
        (Behaviour::json(404, "{\"message\":\"hunter2\"}"), "does not show such a ticket"),
        (Behaviour::json(500, "{}"), "cannot be asked now"),
        (Behaviour::json(200, "{\"fields\":{}}"), "says no state"),
    ] {
        it.tickets.on("GET", "/", behaviour);
        let said = it.message(json!({ "change": "OPS-12" }), 3);
        assert!(said.contains("change OPS-12 counts as none") && said.contains(why), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(it.made(), 0);
}

#[test]
fn an_id_that_is_more_than_an_id_asks_nobody() {
    let it = estate(jira);
    for id in ["../OPS-12", "OPS-12?x=", "OPS 12", "-", "", "OPS-12^ORstate=3"] {
        let said = it.message(json!({ "change": id }), 2);
        assert!(said.contains("change"), "{said}");
    }
    assert!(it.tickets.requests().is_empty());
}

#[test]
fn where_no_system_is_configured_a_named_ticket_counts_as_none() {
    let it = estate(|_| String::new());
    let said = it.message(json!({ "change": "OPS-12" }), 3);
    assert!(said.contains("counts as none") && said.contains("[change]"), "{said}");
    assert_eq!(it.made(), 0);
}

#[test]
fn a_redirect_is_not_followed_and_no_secret_goes_along() {
    let it = estate(jira);
    let elsewhere = Recorder::alone();
    elsewhere.on("GET", "/", in_state("Implementing"));
    it.tickets.on("GET", "/", Behaviour::Redirect(elsewhere.url()));
    it.message(json!({ "change": "OPS-12" }), 3);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn doctor_looks_for_a_ticket_that_nobody_has() {
    let it = estate(jira);
    for (behaviour, code, says) in [
        (in_state("Draft"), 0, "answers"),
        (Behaviour::json(404, "{\"message\":\"hunter2\"}"), 0, "shows no ticket BAILIWICK-0"),
        (Behaviour::json(401, "{\"message\":\"hunter2\"}"), 1, "refused our credentials (HTTP 401)"),
        (Behaviour::json(500, "{}"), 1, "HTTP 500"),
        (Behaviour::html(), 1, "a login page or proxy?"),
    ] {
        it.tickets.on("GET", "/", behaviour);
        let ended = it.home.run(["doctor", "--json"]).expect(code);
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        let checks = ended.json()["checks"].clone();
        let check = checks.as_array().expect("checks").iter().find(|it| it["kind"] == "change");
        let check = check.unwrap_or_else(|| panic!("{checks}"));
        assert_eq!(check["broken"], code == 1, "{check}");
        assert!(check["found"].as_str().is_some_and(|it| it.contains(says)), "{says}: {check}");
    }
    let asked = it.tickets.requests();
    assert!(asked.iter().all(|it| it.path == "/rest/api/2/issue/BAILIWICK-0?fields=status"), "{asked:?}");
    assert!(!it.home.state().join("logs").exists(), "looking records nothing");
}

#[test]
fn calls_that_no_rule_on_tickets_is_about_ask_nobody() {
    let it = estate(jira);
    it.home.call("observability", "list_alerts", &json!({})).expect(0);
    let home = &it.home;
    home.file("ticketed.cedar", "@id(\"all\") permit (principal, action in Action::\"call\", resource);");
    it.silence(json!({ "change": "OPS-12" })).expect(0);
    assert!(it.tickets.requests().is_empty());
    assert_eq!(it.made(), 1);
}
