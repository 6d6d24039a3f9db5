//! Several connections of which some are another team's: what does a call hear that names none?

use serde_json::json;
use testkit::{
    backends::{Alert, Alertmanager},
    cli::Home,
    mcp::{Session, Version},
};

/// Two Alertmanagers, one of them of an environment that policy closes.
struct World {
    home: Home,
    _ours: Alertmanager,
    _theirs: Alertmanager,
}

fn world(policy: &str) -> World {
    let (ours, theirs) =
        (Alertmanager::start(Alertmanager::CONFIG), Alertmanager::start(Alertmanager::CONFIG));
    ours.push(&[Alert::new("HighErrorRate").label("severity", "critical")]);
    theirs.push(&[Alert::new("VaultSealed").label("severity", "critical")]);
    let connection = |name: &str, environment: &str, it: &Alertmanager| {
        let url = it.url();
        format!(
            "[connections.{name}]\nkind = \"alertmanager\"\nurl = \"{url}\"\nenvironment = \"{environment}\"\n"
        )
    };
    let config = [policy, &connection("ours", "production", &ours), &connection("vault", "staging", &theirs)];
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config.concat());
    World { home, _ours: ours, _theirs: theirs }
}

fn serve(world: &World) -> Session {
    world.home.serve(&["observability"], Version::V2025_11_25)
}

#[test]
fn a_call_that_is_denied_for_one_connection_hears_which_it_may_name_and_nothing_of_the_other() {
    let world = world("[policy]\nallow = [\"list_*\"]\ndeny = [\"list_alerts environment:staging\"]\n");
    let mut session = serve(&world);
    let denied = session.call("list_alerts", json!({ "state": "active" }));
    assert!(denied.is_error(), "{}", denied.text());
    let told = denied.structured();
    assert_eq!(told["error"], "denied", "{told}");
    assert_eq!(told["instead"], "name one that you may ask: `connection=ours`", "{told}");
    assert!(!denied.text().to_lowercase().contains("vault"), "{}", denied.text());
    let answer = session.call("list_alerts", json!({ "state": "active", "connection": "ours" }));
    assert_eq!(answer.structured()["rows"][0][0], "HighErrorRate", "{}", answer.text());
    let named = session.call("list_alerts", json!({ "connection": "vault" }));
    assert!(named.is_error() && named.structured().get("instead").is_none(), "{}", named.text());
}

#[test]
fn where_none_may_be_named_none_is_offered() {
    let world = world("[policy]\nallow = [\"list_targets\"]\n");
    let mut session = serve(&world);
    let denied = session.call("list_alerts", json!({}));
    assert!(denied.is_error() && denied.structured().get("instead").is_none(), "{}", denied.text());
}

#[test]
fn all_are_asked_where_all_may_be() {
    let world = world("[policy]\nallow = [\"list_*\"]\n");
    let mut session = serve(&world);
    let answer = session.call("list_alerts", json!({}));
    assert_eq!(answer.structured()["connections"], json!(["ours", "vault"]), "{}", answer.text());
    assert_eq!(answer.structured()["seen"], 2, "{}", answer.text());
}
