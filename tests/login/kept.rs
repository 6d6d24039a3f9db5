//! What is kept of a login proves nothing by itself: attacks on it, and what becomes of it with time.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    thread,
};

use serde_json::{Value, json};
use testkit::mcp::Version;

use crate::world::{AUDIENCE, World, silence};

const SCOPES: &str = "bailiwick:read bailiwick:act";

/// Writes a login in place of the one that is kept.
fn replace(world: &World, text: &str) {
    fs::write(world.kept(), text).expect("the state folder is ours");
}

/// The kept login with some of its parts replaced, or left out where they are null.
fn with(kept: &str, parts: Value) -> String {
    let mut kept: Value = serde_json::from_str(kept).expect("JSON");
    for (name, value) in parts.as_object().expect("parts") {
        kept[name] = value.clone();
    }
    kept.as_object_mut().expect("parts").retain(|_, it| !it.is_null());
    kept.to_string()
}

fn mode(world: &World, mode: u32) {
    fs::set_permissions(world.kept(), fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Everything that calls is refused, and says why and what to do.
fn refused(world: &World, word: &str) {
    let ended = world.silence().expect(5);
    assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    assert!(ended.stderr.contains("`bailiwick login` makes a new one"), "{}", ended.stderr);
    let check = world.check("login");
    assert!(check["broken"] == true && check["found"].to_string().contains(word), "{check}");
}

#[test]
fn a_file_that_others_could_have_read_or_changed_is_refused() {
    let world = World::start();
    world.logged_in("alice");
    let kept = world.kept_text();
    for wide in [0o644, 0o640, 0o620, 0o602] {
        mode(&world, wide);
        refused(&world, &format!("other users (mode {wide:04o})"));
    }
    mode(&world, 0o600);
    world.silence().expect(0);
    let parts: Value = serde_json::from_str(&kept).expect("JSON");
    let token = parts["access_token"].as_str().expect("a token");
    let (head, signature) = token.rsplit_once('.').expect("three parts");
    let flipped =
        signature.replacen(&signature[10..11], if &signature[10..11] == "A" { "B" } else { "A" }, 1);
    let bobs = world.provider.token("bobs-agent", AUDIENCE, SCOPES);
    let (claims, _) = bobs.rsplit_once('.').expect("three parts");
    let other = world.provider.token("alices-agent", "https://other.example", SCOPES);
    for (access, word) in [
        (format!("{head}.{flipped}"), "signature"),
        (format!("{claims}.{signature}"), "signature"),
        (format!("{}.{}.", "eyJhbGciOiJub25lIn0", token.split('.').nth(1).expect("claims")), "algorithm"),
        (other, "meant for another server"),
        ("x".to_owned(), "no signed JSON Web Token"),
    ] {
        replace(&world, &with(&kept, json!({ "access_token": access })));
        refused(&world, word);
    }
    for (text, word) in [
        ("", "it is empty"),
        ("{}", "something other than a login"),
        ("null", "something other than a login"),
        (&with(&kept, json!({ "v": 2 })), "version 2"),
        (&with(&kept, json!({ "person": "alice" })), "something other than a login"),
        ("a\nb", "printable ASCII"),
    ] {
        replace(&world, text);
        refused(&world, word);
    }
    // A server answers each call with why.
    let mut session = world.home.serve(&["observability"], Version::V2025_11_25);
    let answer = session.call("list_alerts", json!({}));
    assert!(answer.0.to_string().contains("server unusable"), "{}", answer.0);
    // A link leads who knows where.
    fs::remove_file(world.kept()).expect("it is ours");
    let elsewhere = world.home.path().join("elsewhere.json");
    fs::write(&elsewhere, &kept).expect("a temporary folder is writable");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).expect("it is ours");
    symlink(&elsewhere, world.kept()).expect("the state folder is ours");
    refused(&world, "not a regular file");
    // Logging out ends all of it, and leaves alone what the link led to.
    assert_eq!(world.home.run(["logout"]).expect(0).stdout.trim(), "logged out");
    assert!(!world.kept().exists() && elsewhere.exists());
    assert_eq!(world.home.run(["logout"]).expect(0).stdout.trim(), "nobody was logged in");
    world.silence().expect(3);
    assert_eq!(world.posted().len(), 1, "once, while all was well");
}

#[test]
fn a_login_that_has_ended_is_renewed_or_counts_no_more() {
    let world = World::start();
    world.logged_in("alice");
    let kept = world.kept_text();
    let ended = world.provider.token_of_an_hour_ago("alices-agent", AUDIENCE, SCOPES);
    // Several processes at once: the provider takes a refresh token that two use for a stolen one.
    replace(&world, &with(&kept, json!({ "access_token": ended })));
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let mut command = world.home.command([
                    "call",
                    "observability",
                    "silence_alert",
                    "--json",
                    &silence().to_string(),
                ]);
                scope.spawn(move || testkit::cli::run(&mut command, b"").code)
            })
            .collect();
        calls.into_iter().map(|it| it.join().expect("it does not panic")).collect()
    });
    assert_eq!(codes, [Some(0); 4]);
    let renewed = world.kept_text();
    assert!(renewed != kept && !renewed.contains(&ended));
    assert_eq!(world.kept().metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    world.silence().expect(0);
    assert_eq!(world.posted().len(), 5);
    // Nothing to renew it with, or what the issuer does not take: less than before, said so, and never more.
    for refresh in [json!(null), json!("never-given")] {
        replace(&world, &with(&renewed, json!({ "access_token": ended, "refresh_token": refresh })));
        let login = world.check("login");
        assert!(login["found"].to_string().contains("it has ended"), "{login}");
        assert!(login["instead"].to_string().contains("bailiwick login"), "{login}");
        let call = world.silence().expect(3);
        assert!(call.json()["error"]["reason"].to_string().contains("only declared"), "{}", call.stdout);
        assert!(call.stderr.contains("the login counts no more: it has ended"), "{}", call.stderr);
        assert!(call.stderr.contains("agent claude-code for whoever (declared)"), "{}", call.stderr);
        assert!(call.stderr.contains("run `bailiwick login`"), "{}", call.stderr);
    }
    let tail = world.tail();
    let mut callers =
        tail.iter().rev().map(|it| &it["payload"]["content"]["caller"]).filter(|it| it.is_object());
    assert_eq!(callers.next().map(|it| &it["assurance"]), Some(&json!("declared")), "{tail:?}");
    assert_eq!(world.posted().len(), 5);
}

#[test]
fn a_login_that_cannot_be_verified_or_is_of_another_configuration_counts_no_more() {
    let world = World::start();
    world.logged_in("alice");
    // Under a configuration by which people log in elsewhere.
    let url = world.provider.url();
    let away = world.plain(
        "[identity]\nagent = \"claude-code\"\n[issuers.other]\nurl = \"http://127.0.0.1:9\"\naudiences = [\"a\"]\n\
         login = { client_id = \"laptop\" }\n",
    );
    fs::create_dir_all(away.state()).expect("a temporary folder is writable");
    fs::copy(world.kept(), away.state().join("login.json")).expect("with its mode");
    let call = away.call("code", "show_authority", &json!({})).expect(0);
    assert_eq!(call.json()["result"]["assurance"], "declared", "{}", call.stdout);
    assert!(call.stderr.contains(&format!("it is of {url}, by which nobody logs in")), "{}", call.stderr);
    // Where its issuer does not answer.
    let World { home, provider, .. } = world;
    drop(provider);
    let call = home.call("observability", "show_authority", &json!({})).expect(0);
    assert_eq!(call.json()["result"]["assurance"], "declared", "{}", call.stdout);
    assert!(call.stderr.contains("it cannot be verified"), "{}", call.stderr);
}
