//! The official TypeScript clients, and the inspector: what they list, get, are denied and are asked.

use std::{fs, process::Command};

use serde_json::Value;
use testkit::{
    backends::{Alertmanager, GitRepository},
    cli::{self, Ended, Home},
    node,
};

/// A home whose policy denies one read and wants approval for mitigations, with both kinds of systems.
struct World {
    home: Home,
    alerts: Alertmanager,
    _shop: GitRepository,
}

impl World {
    fn new() -> World {
        World::under(
            "allow = [\"list_*\", \"silence_alert\"]\ndeny = [\"read_file\"]\napprove = [\"effect:mitigate\"]",
        )
    }

    fn under(policy: &str) -> World {
        let shop = GitRepository::shop();
        let alerts = Alertmanager::start(Alertmanager::CONFIG);
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "[policy]\n{policy}\n\
             [connections.shop]\nkind = \"git\"\npath = {:?}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            shop.path(),
            alerts.url(),
        ));
        World { home, alerts, _shop: shop }
    }

    /// Tells a program of Node how to start the servers, in the servers' own environment.
    fn start(&self, mut command: Command, behind: &[&str]) -> Command {
        let serve = self.home.command(["serve", "code", "observability"]);
        command.arg(serve.get_program()).args(serve.get_args()).args(behind);
        command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// A script of tests/typescript, beside the modules it imports.
    fn run(&self, script: &str, pin: Option<&str>) -> Value {
        let mut command = self.start(node::script(self.home.path(), script), &[]);
        command.envs(pin.map(|it| ("PIN", it)));
        cli::run(&mut command, b"").expect(0).json()
    }

    fn inspect(&self, arguments: &[&str]) -> Ended {
        let mut inspector =
            node::installed("@modelcontextprotocol/inspector/clients/launcher/build/index.js");
        // The inspector hands a server nothing of its own environment but a few variables.
        let serve = self.home.command(["serve", "code", "observability"]);
        let mut script = String::from("#!/bin/sh\n");
        for (name, value) in
            serve.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        {
            script.push_str(&format!("export {name}='{value}'\n"));
        }
        script.push_str("exec \"$@\"\n");
        let program = self.home.path().join("serve.sh");
        fs::write(&program, script).expect("a temporary folder is writable");
        let program = program.to_str().expect("a temporary folder has a plain name");
        inspector.args(["--cli", "/bin/sh", program]);
        cli::run(&mut self.start(inspector, arguments), b"")
    }
}

fn holds(world: &World, said: &Value) {
    let tools = said["tools"].as_array().expect("tools");
    assert!(tools.len() >= 5, "{said}");
    let hint = |it: &Value| it["_meta"]["anthropic/searchHint"].as_str().is_some_and(|it| !it.is_empty());
    assert!(tools.iter().all(hint), "words to search by reach a client: {said}");
    let instructions = said["instructions"].as_str().expect("instructions");
    assert!(instructions.contains("show_authority"), "{instructions}");
    let done = &said["done"];
    // Both SDKs compare structured content with the output schema, and throw where it does not fit.
    assert!(done["structuredContent"]["rows"].as_array().is_some_and(|it| !it.is_empty()), "{done}");
    assert!(done["_meta"]["io.bailiwick/receipt"].is_object(), "{done}");
    assert_ne!(done["isError"], true, "{done}");
    assert_eq!(said["denied"]["structuredContent"]["policy"], "deny:read_file", "{}", said["denied"]);
    let asked = &said["asked"];
    assert_eq!(asked["isError"], true, "{asked}");
    assert_eq!(asked["structuredContent"]["error"], "approval_required", "{asked}");
    assert!(
        asked["content"][0]["text"].as_str().is_some_and(|it| it.contains("approval_required")),
        "{asked}"
    );
    assert_eq!(said["wrong"]["structuredContent"]["argument"], "windw", "{}", said["wrong"]);
    assert!(world.alerts.silences().is_empty(), "what needs approval reached nothing");
}

#[test]
fn the_first_typescript_client_lists_calls_and_understands_refusals() {
    let world = World::new();
    let said = world.run("v1.ts", None);
    assert_eq!(said["version"], "2025-11-25", "{said}");
    holds(&world, &said);
}

#[test]
fn the_second_typescript_client_does_so_with_a_handshake() {
    let world = World::new();
    let said = world.run("v2.ts", None);
    assert_eq!(said["version"], "2025-11-25", "{said}");
    holds(&world, &said);
}

#[test]
fn the_second_typescript_client_does_so_without_one() {
    let world = World::new();
    let said = world.run("v2.ts", Some("2026-07-28"));
    assert_eq!(said["version"], "2026-07-28", "{said}");
    holds(&world, &said);
}

#[test]
fn the_inspector_finds_no_schema_that_some_client_cannot_read() {
    let world = World::under("allow = [\"effect:read\", \"effect:mitigate\", \"effect:propose\"]");
    let ended = world.inspect(&["--method", "tools/list", "--strict"]).expect(0);
    let tools = ended.json()["tools"].as_array().map_or(0, Vec::len);
    assert!(tools >= 16, "{ended:#?}");
    // What answers hold is left open where that says enough: a warning, and never about arguments.
    let paths = ended.stderr.lines().filter_map(|it| it.trim().strip_prefix("Path: "));
    let about_arguments: Vec<&str> = paths.filter(|it| !it.starts_with("outputSchema.")).collect();
    assert!(about_arguments.is_empty(), "{}", ended.stderr);
    let issues = ended.stderr.lines().filter_map(|it| it.trim().strip_prefix("Issue: "));
    let others: Vec<&str> = issues.filter(|it| !it.contains("no validation keyword at all")).collect();
    assert!(others.is_empty(), "{}", ended.stderr);
}

#[test]
fn the_inspector_calls_a_tool_and_is_denied_another() {
    // Where a tool is denied depends on the call: so it is listed, and the inspector calls nothing else.
    let world = World::under(
        "allow = [\"effect:read\"]\ndeny = [\"read_file environment:production\"]\n\
         [vocabulary]\nenvironments = [\"production\"]",
    );
    let call = |tool: &str, argument: &str| {
        world.inspect(&["--method", "tools/call", "--tool-name", tool, "--tool-arg", argument])
    };
    let done = call("list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z").expect(0);
    assert!(done.json()["structuredContent"]["rows"].is_array(), "{done:#?}");
    let denied = call("read_file", "path=checkout/pay.rs");
    assert!(denied.stdout.contains("deny:read_file"), "{denied:#?}");
    assert_ne!(denied.code, Some(0), "the inspector tells a tool error by its exit code: {denied:#?}");
}
