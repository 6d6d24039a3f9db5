//! The official clients show the form, and their person answers it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use testkit::{cli, node};

use crate::stage::{ASK, Stage};

fn script(stage: &Stage, name: &str) -> Command {
    if name.ends_with(".py") {
        let python = std::env::var("BAILIWICK_TEST_PYTHON")
            .expect("BAILIWICK_TEST_PYTHON names a Python with mcp==2.3.0; tests/run installs it");
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name));
        return command;
    }
    node::script(stage.home.path(), name)
}

/// What a client says that it was told, whose person answers every form like this.
fn converse(stage: &Stage, name: &str, pin: Option<&str>, url: Option<&str>, answer: &Value) -> Value {
    let mut command = script(stage, name);
    let serve = stage.home.command(["serve", "observability"]);
    command.arg(serve.get_program()).args(serve.get_args());
    command.env_clear().envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(url.map(|it| ("URL", it))).envs(pin.map(|it| ("PIN", it)));
    command.env("CALLS", "asked").env("ANSWER", answer.to_string());
    cli::run(&mut command, b"").expect(0).json()
}

fn confirm(name: &str, pins: &[Option<&str>]) {
    for over_http in [false, true] {
        for pin in pins {
            let what = format!("{name} {pin:?} http: {over_http}");
            let stage = Stage::new(ASK);
            let served = over_http.then(|| stage.served());
            let url = served.as_ref().map(|it| it.url("observability"));
            let no = json!({ "action": "decline" });
            let said = converse(&stage, name, *pin, url.as_deref(), &no);
            assert_eq!(said["asked"]["isError"], true, "{what}: {said}");
            let told = said["asked"]["content"][0]["text"].as_str().unwrap_or_default();
            assert!(told.contains("was denied (by alice: in band)"), "{what}: {said}");
            assert_eq!(stage.effects(), 0, "{what}");
            let yes = json!({ "action": "accept", "content": { "confirm": true } });
            let said = converse(&stage, name, *pin, url.as_deref(), &yes);
            assert_ne!(said["asked"]["isError"], true, "{what}: {said}");
            let outcome = said["asked"]["structuredContent"]["outcome"].as_str().unwrap_or_default();
            assert!(outcome.starts_with("silenced"), "{what}: {said}");
            let forms = said["forms"].as_array().expect("forms");
            assert_eq!(forms.len(), 1, "{what}: {said}");
            let text = forms[0].as_str().unwrap_or_default();
            assert!(text.starts_with("silence_alert on alerts"), "{what}: {said}");
            assert_eq!(stage.effects(), 1, "{what}");
        }
    }
}

#[test]
fn the_first_typescript_client_confirms() {
    confirm("v1.ts", &[None]);
}

#[test]
fn the_second_typescript_client_confirms_with_a_handshake_and_without() {
    confirm("v2.ts", &[None, Some("2026-07-28")]);
}

#[test]
fn the_python_client_confirms_with_a_handshake_and_without() {
    confirm("python_client.py", &[None, Some("2026-07-28")]);
}
