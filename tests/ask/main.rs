//! The person at the keyboard is asked in the client that they sit at: through the real binary, over standard input and
//! output and over HTTP, by clients that answer right, wrong, twice, for others, or by themselves.

mod clients;
mod older;
mod stage;
mod state;

use serde_json::{Value, json};
use testkit::{
    cli::Home,
    mcp::{Response, Version},
};

use stage::{APPROVE, ASK, Stage, form, forms, silence, yes};

/// Every way in which a client of the newest revision can be served.
const OVER_HTTP: [bool; 2] = [false, true];

#[test]
fn what_the_person_confirms_in_their_client_runs_once_as_it_was_asked_for() {
    for over_http in OVER_HTTP {
        let stage = Stage::new(ASK);
        let mut client = stage.client(over_http, Version::V2026_07_28);
        let asked = client.call("silence_alert", silence(30)).result();
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        assert!(asked["_meta"]["io.bailiwick/receipt"].is_object(), "{asked}");
        let form = form(&asked);
        let lines: Vec<&str> = form["message"].as_str().expect("a text").lines().collect();
        assert_eq!(lines[0], "silence_alert on alerts/HighErrorRate (unknown, team unknown)", "{lines:?}");
        assert_eq!(lines[1], "effect: mitigate; undo: compensating", "{lines:?}");
        assert!(lines[2].starts_with("asked by: claude-code for alice ("), "{lines:?}");
        assert!(lines.contains(&"duration_minutes: 30"), "{lines:?}");
        let why = "the agent says why: \"rolling back checkout, its errors are known\"";
        assert_eq!(lines.last(), Some(&why), "{lines:?}");
        assert_eq!(form["requestedSchema"]["required"], json!(["confirm"]), "{form}");
        assert_eq!(stage.effects(), 0, "a question does nothing");

        let done = client.come_back("silence_alert", silence(30), &asked, yes());
        assert!(!done.is_error(), "{}", done.text());
        assert!(done.structured()["outcome"].as_str().is_some_and(|it| it.starts_with("silenced")));
        assert!(done.receipt()["index"].is_u64() && done.text().contains("receipt: "), "{}", done.text());
        assert_eq!(stage.effects(), 1);
        // The same answer again, from the same client and from another.
        let mut other = stage.client(over_http, Version::V2026_07_28);
        for client in [&mut client, &mut other] {
            let again = client.come_back("silence_alert", silence(30), &asked, yes());
            assert_eq!(again.structured()["error"], "not_approved", "{}", again.text());
            assert!(again.text().contains("was carried out already"), "{}", again.text());
        }
        assert_eq!(stage.effects(), 1);
        client.leave();
        other.leave();
        let steps = stage.steps();
        for step in ["asked", "confirmed", "reserved", "consumed"] {
            assert_eq!(steps.iter().filter(|it| *it == step).count(), 1, "{step}: {steps:?}");
        }
        let votes = stage.only_request()["votes"].clone();
        let channel = if over_http { "http" } else { "stdio" };
        assert_eq!(votes[0]["who"], "alice", "{votes}");
        assert_eq!((&votes[0]["kind"], &votes[0]["assurance"]), (&json!("confirm"), &json!("declared")));
        assert_eq!(votes[0]["channel"], channel, "{votes}");
        stage.home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn of_many_who_bring_the_same_answer_back_at_once_one_carries_it_out() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2026_07_28, forms());
    let asked = session.call("silence_alert", silence(30)).result();
    let again = json!({
        "name": "silence_alert", "arguments": silence(30),
        "requestState": asked["requestState"], "inputResponses": { "confirm": yes() },
    });
    let calls: Vec<u64> = (0..24).map(|_| session.ask("tools/call", again.clone())).collect();
    let ran = calls.into_iter().filter(|it| !session.answer(*it).is_error()).count();
    assert_eq!((ran, stage.effects()), (1, 1));
}

#[test]
fn an_answer_may_come_to_another_replica() {
    let stage = Stage::new(ASK);
    let mut first = stage.session(Version::V2026_07_28, forms());
    let asked = first.call("silence_alert", silence(30)).result();
    assert!(first.leave().success());
    let done =
        stage.client(false, Version::V2026_07_28).come_back("silence_alert", silence(30), &asked, yes());
    assert!(!done.is_error(), "{}", done.text());
    assert_eq!(stage.effects(), 1);
}

#[test]
fn a_no_is_final_and_what_is_no_answer_leaves_the_question_open() {
    let answers = [
        (json!({ "action": "cancel" }), false),
        (json!({ "action": "accept" }), false),
        (json!({ "action": "accept", "content": {} }), false),
        (json!({ "action": "accept", "content": { "confirm": "true" } }), false),
        (json!({ "action": "accept", "content": { "confirm": 1 } }), false),
        (json!({ "action": "accept", "content": { "confirmed": true } }), false),
        (json!({ "action": "accept", "content": true }), false),
        (json!({ "action": "accepted", "content": { "confirm": true } }), false),
        (json!({ "content": { "confirm": true } }), false),
        (json!(true), false),
        (json!([yes()]), false),
        (Value::Null, false),
        (json!({ "action": "decline" }), true),
        (json!({ "action": "decline", "content": { "confirm": true } }), true),
        (json!({ "action": "accept", "content": { "confirm": false } }), true),
    ];
    let stage = Stage::new(ASK);
    for (minutes, (answer, is_no)) in (1_u64..).zip(answers) {
        let mut client = stage.client(false, Version::V2026_07_28);
        let asked = client.call("silence_alert", silence(minutes)).result();
        let told = client.come_back("silence_alert", silence(minutes), &asked, answer.clone());
        let code = if is_no { "not_approved" } else { "approval_required" };
        assert!(told.is_error(), "{answer}: {}", told.0);
        assert_eq!(told.structured()["error"], code, "{answer}: {}", told.0);
        if is_no {
            assert!(told.text().contains("was denied (by alice: in band)"), "{answer}: {}", told.text());
            // Nobody takes it back.
            let late = client.come_back("silence_alert", silence(minutes), &asked, yes());
            assert!(late.text().contains("was denied"), "{answer}: {}", late.text());
        } else {
            // It can be confirmed still, here or elsewhere.
            let id = told.structured()["approval"].as_str().expect("it waits").to_owned();
            stage.home.run(["approvals", "confirm", &id]).expect(0);
        }
    }
    // An answer to no question, and a question without an answer.
    let mut client = stage.client(false, Version::V2026_07_28);
    let unasked =
        json!({ "name": "silence_alert", "arguments": silence(50), "inputResponses": { "confirm": yes() } });
    let asked = client.request("tools/call", unasked).result();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let silent =
        json!({ "name": "silence_alert", "arguments": silence(50), "requestState": asked["requestState"] });
    assert_eq!(client.request("tools/call", silent).structured()["error"], "approval_required");
    assert_eq!(stage.effects(), 0);
}

#[test]
fn a_client_that_says_yes_to_everything_confirms_and_never_approves() {
    let both = format!("{APPROVE}\nask = [\"silence_alert\"]");
    for policy in [APPROVE, &both] {
        for version in Version::ALL {
            for over_http in OVER_HTTP {
                let stage = Stage::new(policy);
                // It would answer; nobody asks it.
                let told = stage.client(over_http, version).call("silence_alert", silence(30));
                assert_eq!(told.structured()["error"], "approval_required", "{version:?}: {}", told.0);
                assert_eq!(stage.effects(), 0);
            }
        }
    }
    // What it confirmed of one call is no approval of another.
    let stage = Stage::new(
        "[policy]\nallow = [\"list_*\", \"silence_alert\", \"expire_silence\"]\nask = [\"silence_alert\"]\n\
         approve = [\"expire_silence\"]\nfiles = [\"who.cedar\"]",
    );
    let mut client = stage.client(false, Version::V2026_07_28);
    let asked = client.call("silence_alert", silence(30)).result();
    let expire = json!({ "silence": "00000000-0000-4000-8000-000000000000", "reason": "enough" });
    let told = client.come_back("expire_silence", expire, &asked, yes());
    assert_eq!(told.error_code(), Some(-32602), "{}", told.0);
    assert_eq!(stage.effects(), 0);
}

#[test]
fn nothing_that_an_agent_writes_changes_a_fact_that_the_form_shows() {
    let stage = Stage::new(ASK);
    let mut client = stage.client(false, Version::V2026_07_28);
    let mut shown = |reason: &str| {
        let mut arguments = silence(30);
        arguments["reason"] = json!(reason);
        let asked = client.call("silence_alert", arguments).result();
        form(&asked)["message"].as_str().expect("a text").to_owned()
    };
    let right = shown("the rollback is under way");
    let (facts, _) = right.rsplit_once('\n').expect("facts, then the reason");
    for hostile in [
        "x\"\nsilence_alert on nothing\nduration_minutes: 1\nconfirmed by: bob",
        "x\"\u{2028}effect: read; undo: exact\u{2029}asked by: bob",
        "</p><script>alert(1)</script>\n# Approved\n\n**duration_minutes: 1**",
        "\u{202e}\u{2066}evil\u{2069}\u{200b}\u{feff}silence_alert on nothing",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    ] {
        let text = shown(hostile);
        let (before, reason) = text.rsplit_once('\n').expect("facts, then the reason");
        assert_eq!(before, facts, "{hostile:?}");
        // What is masked may be all of it, and its end.
        let whole = reason.ends_with('"') || reason.ends_with("[secret: private key]");
        assert!(reason.starts_with("the agent says why: \"") && whole, "{reason:?}");
        let bad = |it: char| it.is_control() || ('\u{200b}'..='\u{206f}').contains(&it) || it == '\u{feff}';
        assert!(!reason.contains(bad), "{reason:?}");
    }
    // What is masked in one argument takes no other with it.
    let mut arguments = silence(30);
    arguments["matchers"] = json!(["alertname=\"-----BEGIN RSA PRIVATE KEY-----\""]);
    let asked = client.call("silence_alert", arguments).result();
    let text = form(&asked)["message"].as_str().expect("a text").to_owned();
    assert!(text.lines().any(|it| it == "duration_minutes: 30"), "{text}");
}

#[test]
fn where_there_is_nobody_to_ask_or_nothing_to_show_it_with_nobody_is_asked() {
    let plain = |told: &Response| told.is_error() && told.structured()["error"] == "approval_required";
    let stage = Stage::new(ASK);
    for version in Version::ALL {
        for capabilities in [json!({}), json!({ "sampling": {} }), json!({ "elicitation": { "url": {} } })] {
            let told = stage.session(version, capabilities.clone()).call("silence_alert", silence(30));
            assert!(plain(&told), "{version:?} {capabilities}: {}", told.0);
        }
    }
    // What another request of the same client declared is not of this one.
    let mut session = stage.session(Version::V2026_07_28, forms());
    let call =
        json!({ "name": "silence_alert", "arguments": silence(30), "_meta": Version::V2026_07_28.meta() });
    assert!(plain(&session.request("tools/call", call)));
    // A workload acts for nobody.
    let stage = Stage::as_agent("agent = \"nightly\"", ASK);
    for version in Version::ALL {
        assert!(plain(&stage.session(version, forms()).call("silence_alert", silence(30))), "{version:?}");
    }
    assert_eq!(stage.effects(), 0);
}

#[test]
fn what_was_confirmed_before_is_not_asked_again() {
    let stage = Stage::new(ASK);
    let mut client = stage.client(false, Version::V2026_07_28);
    client.call("silence_alert", silence(30));
    let id = stage.only_request()["approval"].as_str().expect("an id").to_owned();
    stage.home.run(["approvals", "confirm", &id]).expect(0);
    let told = client.call("silence_alert", silence(30));
    assert_eq!(told.structured()["next"]["tool"], "run_approved", "{}", told.0);
    assert!(!client.call("run_approved", json!({ "approval": id })).is_error());
    assert_eq!(stage.effects(), 1);
}

#[test]
fn what_policy_wants_meanwhile_holds_although_the_person_said_yes() {
    let stage = Stage::new(ASK);
    let asked = stage.client(false, Version::V2026_07_28).call("silence_alert", silence(30)).result();
    let stage = stage.under(&ASK.replace("allow = [\"list_*\", ", "deny = [\"expire_silence\"]\nallow = ["));
    let told =
        stage.client(false, Version::V2026_07_28).come_back("silence_alert", silence(30), &asked, yes());
    assert!(told.is_error() && told.text().contains("is void (the policy changed)"), "{}", told.0);
    let stage = stage.under("[policy]\nallow = [\"list_*\"]\ndeny = [\"silence_alert\"]");
    let told =
        stage.client(false, Version::V2026_07_28).come_back("silence_alert", silence(30), &asked, yes());
    assert!(told.is_error(), "{}", told.0);
    assert_eq!(stage.effects(), 0);
}

/// A home that finds nothing of the machine it runs on.
pub(crate) fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick"))
}
