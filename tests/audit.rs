//! What an operator does to the log through the command line, and what each exit code means there.

use std::fs;

use serde_json::Value;
use testkit::{backends::GitRepository, cli::Home};

/// A home with a log of one read.
fn home(config: &str) -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let identity = "[identity]\nagent = \"claude-code\"\nperson = \"alice\"\n";
    let connection = format!("\n[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!("{identity}{config}{connection}"));
    home.run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"]).expect(0);
    (home, shop)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|it| serde_json::from_str(it).expect("a line is JSON")).collect()
}

#[test]
fn records_are_exported_for_other_systems() {
    let (home, _shop) = home("");
    for (format, at) in
        [("ocsf", "/unmapped/leaf/tool"), ("cloudevents", "/data/leaf/tool"), ("jsonl", "/leaf/tool")]
    {
        let all = lines(&home.run(["audit", "export", "--format", format]).expect(0).stdout);
        assert_eq!(all.len(), 3, "start, read, stop");
        assert_eq!(all[1].pointer(at), Some(&"list_commits".into()), "{}", all[1]);
    }
    let event =
        &lines(&home.run(["audit", "export", "--format", "ocsf", "--since", "1h"]).expect(0).stdout)[1];
    assert_eq!(event["actor"]["user"]["name"], "alice");
    assert_eq!(event["actor"]["app_name"], "claude-code");
    home.run(["audit", "export", "--format", "xml"]).expect(2);
    home.run(["audit", "export", "--format", "jsonl", "--log", "code/9"]).expect(2);
    home.run(["audit", "export", "--format", "jsonl", "--since", "yesterday"]).expect(2);
}

#[test]
fn the_steps_of_an_approval_are_found_by_its_id_and_say_who_took_them() {
    let (home, _shop) = home("");
    let step = |step| audit::Transition {
        what: "approval",
        step,
        reference: Some("a1b2".to_owned()),
        subject: "person:bob".to_owned(),
        channel: "http",
        assurance: "token",
        policy: [2; 32],
        call: [1; 32],
        payload: serde_json::json!({ "by": "bob", "comment": "go\u{1b}[2J ahead" }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (log, _) = audit::Log::open(&home.state(), "code", audit::Options::default()).expect("it opens");
        for it in ["asked", "approved", "reserved", "consumed"] {
            log.transition(step(it)).await.expect("recorded");
        }
        log.close("end of test").await.expect("closed");
    });
    let tail = home.run(["audit", "tail", "--reference", "a1b2"]).expect(0).stdout;
    assert_eq!(tail.lines().count(), 4, "{tail}");
    assert!(tail.contains("transition  approval  approved  a1b2  by bob  comment="), "{tail}");
    assert!(!tail.contains('\u{1b}'), "{tail}");
    assert_eq!(home.run(["audit", "tail", "--reference", "none"]).expect(0).stdout, "");
    let exported = home.run(["audit", "export", "--format", "ocsf", "--reference", "a1b2"]).expect(0);
    assert_eq!(lines(&exported.stdout)[3]["api"]["operation"], "approval.consumed");
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn an_erasure_leaves_a_log_that_verifies_and_a_hold_forbids_it() {
    let subject = "agent:claude-code person:alice";
    let (home, _shop) = home("[audit]\nhold = [\"person:alice\"]\n");
    let held = home.run(["audit", "erase", "--subject", subject]).expect(3);
    assert!(held.stderr.contains("person:alice") && held.stdout.is_empty(), "{}", held.stderr);
    let config =
        fs::read_to_string(home.config_path()).expect("readable").replace("person:alice", "person:bob");
    let home = home.config(&config);
    let erased = home.run(["audit", "erase", "--subject", subject]).expect(0);
    assert!(erased.stderr.contains("copies and backups"), "{}", erased.stderr);
    let report = home.run(["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(report["logs"][0]["payloads"]["erased"], 1, "{report}");
    let shown = home.run(["audit", "show", "code/0:1"]).expect(0).json();
    assert_eq!(shown["payload"]["state"], "erased", "{shown}");
    home.run(["audit", "erase", "--subject", subject]).expect(0); // the erasure's own payloads
    home.run(["audit", "erase", "--subject", "alice"]).expect(2);
    home.run(["audit", "erase", "--subject", "agent:nobody"]).expect(2);
}

#[test]
fn a_damaged_log_is_given_up_only_when_it_is_asked_for_and_told_ever_after() {
    let (home, _shop) = home("");
    let call = ["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"];
    let give_up = ["audit", "accept-loss", "--log", "code/0", "--reason", "a disk failed"];
    home.run(give_up).expect(2);
    fs::write(home.state().join("logs/code/0/journal"), "spoilt").expect("ours");
    home.run(call).expect(5);
    home.run(["audit", "accept-loss", "--log", "code/1", "--reason", "a disk failed"]).expect(2);
    let accepted = home.run(give_up).expect(0).json();
    assert!(accepted["kept"].as_str().expect("a folder").contains("logs/code/lost-0-"), "{accepted}");
    home.run(call).expect(0);
    let told = home.run(["audit", "verify"]).expect(3).stdout;
    assert!(told.contains("a disk failed") && told.contains("unchanged"), "{told}");
}

#[test]
fn a_trail_is_compared_with_the_log_both_ways() {
    let (home, _shop) = home("");
    let event = |user: &str| {
        format!(
            "{{\"stage\":\"ResponseComplete\",\"verb\":\"delete\",\"user\":{{\"username\":\"{user}\"}},\"auditID\":\"a\",\
             \"objectRef\":{{\"resource\":\"pods\",\"name\":\"x\"}},\"requestReceivedTimestamp\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    };
    let trail = home.file("trail.jsonl", &(event("bailiwick") + &event("somebody")));
    let trail = trail.to_str().expect("UTF-8");
    let compare = ["audit", "reconcile", "--system", "kubernetes", "--file", trail, "--identity"];
    let differs = home.run([&compare[..], &["bailiwick", "--json"]].concat()).expect(3).json();
    assert_eq!(differs["around"].as_array().map(Vec::len), Some(1), "{differs}");
    home.run([&compare[..], &["nobody"]].concat()).expect(0);
    home.run([&compare[..], &["nobody", "--connection", "nowhere"]].concat()).expect(2);
    home.run(["audit", "reconcile", "--system", "gcp", "--file", trail]).expect(2);
}

#[test]
fn a_stolen_key_is_changed_and_revoked_and_what_it_signed_from_there_on_is_altered() {
    let (home, _shop) = home("");
    let key = |home: &Home| {
        home.run(["audit", "verify", "--json"]).expect(0).json()["keys"][0]
            .as_str()
            .expect("a key")
            .to_owned()
    };
    let stolen = key(&home);
    let why = ["--reason", "the laptop was stolen"];
    let revoke = |more: &[&str]| home.run([&["audit", "revoke"][..], &why, more].concat());
    revoke(&["--key", &stolen]).expect(2); // it signs now
    let changed = home.run(["audit", "rotate"]).expect(0).json();
    let next = changed["new"].as_str().expect("a key").to_owned();
    revoke(&["--key", "x"]).expect(2);
    revoke(&["--key", &stolen, "--from", "code/0"]).expect(2);
    revoke(&["--key", &stolen, "--from", "code/9:1"]).expect(2);
    let revoked = revoke(&["--key", &stolen]).expect(0);
    assert_eq!(revoked.json()["trusted"][0][0], "code/0");
    assert!(revoked.stderr.contains("Keep the receipt"), "{}", revoked.stderr);
    let told = home.run(["audit", "verify", "--key", &next]).expect(0).stdout;
    assert!(told.contains("revoked") && told.contains("the laptop was stolen"), "{told}");
    home.run(["audit", "verify", "--key", &stolen]).expect(3);
    revoke(&["--key", &stolen, "--from", "code/0:1"]).expect(0);
    let told = home.run(["audit", "verify", "--key", &next]).expect(1).stdout;
    assert!(told.contains("ALTERED from record 1") && told.contains("stolen key"), "{told}");
    home.run(["audit", "accept-loss", "--log", "code/0", "--reason", "the laptop was stolen"]).expect(0);
    home.run(["audit", "verify", "--key", &next]).expect(3);
    home.run(["audit", "publish"]).expect(2); // to nowhere
}

#[test]
fn a_signing_key_elsewhere_is_needed_to_call_and_not_to_read() {
    let (home, shop) = home("");
    let call = ["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"];
    let with = |home: Home, source: &str| {
        let connection = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
        home.config(&format!("[audit]\nsigning_key = {source}\n{connection}"))
    };
    let key = home.state().join("keys/log.key");
    let moved = home.state().with_file_name("moved.key");
    let home = with(home, &format!("{{ file = {moved:?} }}"));
    let refused = home.run(call).expect(5);
    assert!(refused.stderr.contains("move it there"), "{}", refused.stderr);
    fs::rename(&key, &moved).expect("ours");
    home.run(call).expect(0);
    home.run(["audit", "rotate"]).expect(0);
    home.run(call).expect(0);
    let text = fs::read_to_string(&moved).expect("ours");
    let home = with(home, "{ env = \"LOG_KEY\" }");
    let unset = home.run(call).expect(5);
    assert!(unset.stderr.contains("LOG_KEY"), "{}", unset.stderr);
    for read in [
        &["audit", "tail"][..],
        &["audit", "show", "code/0:1"],
        &["audit", "verify"],
        &["audit", "checkpoint"],
    ] {
        home.run(read).expect(0);
    }
    let home = home.variable("LOG_KEY", text.trim_end());
    home.run(call).expect(0);
    let kept = home.run(["audit", "rotate"]);
    assert!(kept.code != Some(0) && kept.stderr.contains("cannot be changed from here"), "{}", kept.stderr);
    assert!(!kept.stderr.contains("PRIVATE"), "{}", kept.stderr);
}
