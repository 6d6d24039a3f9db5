//! `bailiwick login`: people prove who they are to a real OpenID provider, and what calls from their machine are worth then.

mod decide;
mod kept;
mod world;

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use testkit::{DEADLINE, mcp::Version, wait_until};

use crate::world::{AUDIENCE, World};

#[test]
fn whoever_logs_in_is_on_record_as_proven_and_their_teams_count_in_production() {
    let world = World::start();
    // Before: the configuration says which team it is, and that is not enough.
    let denied = world.silence().expect(3).json();
    let said = denied["error"].clone();
    assert!(said["reason"].as_str().is_some_and(|it| it.contains("only declared")), "{said}");
    assert!(said["instead"].as_str().is_some_and(|it| it.contains("`bailiwick login`")), "{said}");
    assert!(world.posted().is_empty());
    world.logged_in("alice");
    world.silence().expect(0);
    assert_eq!(world.posted().len(), 1);
    let tail = world.tail();
    let callers: Vec<&Value> = tail.iter().map(|it| &it["payload"]["content"]["caller"]).collect();
    let right = json!({
        "agent": "claude-code", "on_behalf_of": "alice", "teams": ["platform"], "assurance": "token",
    });
    assert!(callers.contains(&&right), "{callers:#?}");
    // The same over stdio, and to whoever asks before they act.
    let mut session = world.home.serve(&["observability"], Version::V2025_11_25);
    let who = session.call("show_authority", json!({ "tool": "silence_alert" }));
    assert_eq!(who.structured()["assurance"], "token", "{}", who.text());
    assert_eq!(who.structured()["on_behalf_of"], "alice", "{}", who.text());
    assert!(!who.text().contains("only declared"), "{}", who.text());
    assert!(session.leave().success());
    let explained = world.explain().expect(0).json();
    assert_eq!(explained["caller"], right, "{explained}");
    // And no token anywhere but in its file, which is its owner's.
    let kept = world.kept_text();
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    let mode = world.kept().metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let doctor = world.home.run(["doctor", "--json"]).stdout;
    for secret in ["access_token", "refresh_token"] {
        let secret = kept[secret].as_str().expect("the provider gives both");
        let told = format!("{doctor}{explained}{tail:?}{}", world.logs());
        assert!(!told.contains(secret), "a token is not told");
    }
}

#[test]
fn what_is_declared_is_told_the_same_by_every_way_of_asking() {
    let world = World::start();
    let explained = world.explain().expect(3).json();
    let why = explained["explanation"]["answer"]["reason"].to_string();
    assert!(why.contains("only declared"), "{explained}");
    let shown = world.home.call("observability", "show_authority", &json!({ "tool": "silence_alert" }));
    let shown = shown.expect(0).stdout;
    assert!(shown.contains("only declared") && shown.contains("bailiwick login"), "{shown}");
    let caller = world.check("caller");
    assert!(caller["instead"].as_str().is_some_and(|it| it.contains("only declared")), "{caller}");
    let login = world.check("login");
    assert_eq!(login["found"], "nobody is logged in", "{login}");
    assert!(!login["broken"].as_bool().unwrap_or(true));
    // For development the configuration's word is enough, and a dry run needs none.
    let development = world.in_environment("development");
    development.silence().expect(0);
    assert_eq!(development.posted().len(), 1);
    let mut dry = world::silence();
    dry["dry_run"] = json!(true);
    world.home.call("observability", "silence_alert", &dry).expect(0);
    assert!(world.posted().is_empty());
}

#[test]
fn a_login_that_is_denied_ends_so_and_keeps_nothing() {
    let world = World::start();
    let (mut login, code) = world.login(&[]);
    world.provider.browser().deny(&code);
    assert_eq!(login.wait().code(), Some(3), "{}", login.errors());
    assert!(login.errors().contains("denied in the browser"), "{}", login.errors());
    assert!(!world.kept().exists());
    world.silence().expect(3);
}

#[test]
fn a_code_that_nobody_enters_ends() {
    let world = World::with_codes_of(2);
    let (mut login, _) = world.login(&[]);
    assert_eq!(login.wait().code(), Some(1), "{}", login.errors());
    assert!(login.errors().contains("nobody entered the code in time"), "{}", login.errors());
    assert!(!world.kept().exists());
}

#[test]
fn a_token_that_is_for_another_server_or_for_nobody_logs_nobody_in() {
    let world = World::start();
    let elsewhere = world.with("audiences = [\"https://other.example\"]", "");
    let (mut login, code) = elsewhere.login(&[]);
    let (mut nobodys, other) = world.login(&["--issuer", "company"]);
    world.provider.browser().approve(&code, "alice");
    world.provider.browser().approve(&other, "nobody");
    assert_eq!(login.wait().code(), Some(1), "{}", login.errors());
    assert!(login.errors().contains("meant for another server"), "{}", login.errors());
    assert_eq!(nobodys.wait().code(), Some(1), "{}", nobodys.errors());
    assert!(nobodys.errors().contains("names no person"), "{}", nobodys.errors());
    assert!(!world.kept().exists() && !elsewhere.kept().exists());
}

#[test]
fn a_login_reaches_as_far_as_its_scopes() {
    let world = World::start();
    let reader =
        world.with(&format!("audiences = [\"{AUDIENCE}\"]"), "scopes = [\"openid\", \"bailiwick:read\"]");
    reader.logged_in("alice");
    let refused = reader.silence().expect(3);
    assert!(refused.stderr.contains("needed: bailiwick:read bailiwick:act"), "{}", refused.stderr);
    let mut session = reader.home.serve(&["observability"], Version::V2026_07_28);
    let refused = session.call("silence_alert", world::silence());
    assert!(refused.0.to_string().contains("lacks a scope"), "{}", refused.0);
    let read = session.call("list_alerts", json!({}));
    assert!(!read.is_error(), "{}", read.text());
    assert!(reader.posted().is_empty());
    let tail = serde_json::to_string(&reader.tail()).expect("JSON");
    assert!(tail.contains("lacks a scope"), "it is on record: {tail}");
}

#[test]
fn whom_nobody_can_log_in_by_is_bad_usage() {
    let world = World::start();
    let none = world.plain("");
    let ended = none.run(["login"]).expect(2);
    assert!(ended.stderr.contains("login = { client_id"), "{}", ended.stderr);
    let ended = world.home.run(["login", "--issuer", "compny"]).expect(2);
    assert!(ended.stderr.contains("unknown issuer \"compny\"; people log in by company"), "{}", ended.stderr);
    let gone = world.plain(
        "[issuers.company]\nurl = \"http://127.0.0.1:9\"\naudiences = [\"a\"]\nlogin = { client_id = \"laptop\" }\n",
    );
    let ended = gone.run(["login"]).expect(1);
    assert!(ended.stderr.contains("cannot be asked"), "{}", ended.stderr);
    let unknown = world.with(&format!("audiences = [\"{AUDIENCE}\"]"), "").text("\"laptop\"", "\"lap\"");
    let ended = unknown.home.run(["login"]).expect(1);
    assert!(ended.stderr.contains("refused: invalid_client"), "{}", ended.stderr);
}

/// A server that runs for days hears of it within seconds.
#[test]
fn a_server_that_runs_follows_who_is_logged_in() {
    let world = World::start();
    let mut session = world.home.serve(&["observability"], Version::V2025_11_25);
    let mut assurance = || session.call("show_authority", json!({})).structured()["assurance"].clone();
    assert_eq!(assurance(), "declared");
    world.logged_in("alice");
    wait_until("the login to be known", DEADLINE, || (assurance() == "token").then_some(()));
    world.home.run(["logout"]).expect(0);
    wait_until("the logout to be known", DEADLINE, || (assurance() == "declared").then_some(()));
}
