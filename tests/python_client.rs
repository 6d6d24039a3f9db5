//! The official Python client: what it lists, gets, is denied and is asked.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{path::Path, process::Command};

use testkit::{
    backends::{Alertmanager, GitRepository},
    cli::{self, Home},
};

#[test]
fn the_python_client_lists_calls_and_understands_refusals() {
    let python = std::env::var("BAILIWICK_TEST_PYTHON")
        .expect("BAILIWICK_TEST_PYTHON names a Python with mcp==2.3.0; tests/run installs it");
    let shop = GitRepository::shop();
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[policy]\nallow = [\"list_*\", \"silence_alert\"]\ndeny = [\"read_file\"]\napprove = [\"effect:mitigate\"]\n\
         [connections.shop]\nkind = \"git\"\npath = {:?}\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        shop.path(),
        alerts.url(),
    ));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_client.py");
    let serve = home.command(["serve", "code", "observability"]);
    let mut command = Command::new(python);
    command.arg(script).arg(serve.get_program()).args(serve.get_args());
    command.env_clear().envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = cli::run(&mut command, b"").expect(0).json();
    // What some call of this caller may be permitted, and nothing else.
    let shown = [
        "list_commits",
        "list_alerts",
        "list_targets",
        "silence_alert",
        "expire_silence",
        "await_approval",
        "run_approved",
    ];
    let tools: Vec<&str> =
        said["tools"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect();
    assert!(tools.len() == shown.len() && shown.iter().all(|it| tools.contains(it)), "{tools:?}");
    let done = &said["done"];
    assert_eq!(done["isError"], false, "{done}");
    assert!(done["structuredContent"]["rows"].as_array().is_some_and(|it| !it.is_empty()), "{done}");
    assert_eq!(said["denied"]["structuredContent"]["policy"], "deny:read_file", "{}", said["denied"]);
    let asked = &said["asked"];
    assert_eq!(asked["isError"], true);
    assert_eq!(asked["structuredContent"]["error"], "approval_required", "{asked}");
    assert!(
        asked["content"][0]["text"].as_str().is_some_and(|it| it.contains("approval_required")),
        "{asked}"
    );
    assert_eq!(said["wrong"]["structuredContent"]["argument"], "windw");
    assert!(alerts.silences().is_empty(), "what needs approval reached nothing");
}
