//! Clients before 2026-07-28 are asked while their call waits.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    mcp::{Response, Session, Version},
};

use crate::stage::{ASK, Stage, forms, silence, yes};

const OLDER: [Version; 2] = [Version::V2025_06_18, Version::V2025_11_25];
/// Longer than a call may take.
const LONG: Duration = Duration::from_secs(50);

/// Starts the call that asks, and gives its id and the question.
fn asked(session: &mut Session) -> (u64, Value) {
    let call = session.start_call("silence_alert", silence(30));
    let question = session.message(DEADLINE).expect("a question");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    (call, question)
}

fn answer(question: &Value, answer: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer })
}

fn holds(told: &Response, what: &Value) {
    assert!(told.is_error(), "{what}: {}", told.0);
    let code = told.structured()["error"].clone();
    assert_eq!(code, "approval_required", "{what}: {}", told.0);
}

#[test]
fn an_older_client_is_asked_while_its_call_waits() {
    for version in OLDER {
        let stage = Stage::new(ASK);
        let mut session = stage.session(version, json!({ "elicitation": {} }));
        let (call, question) = asked(&mut session);
        let text = question["params"]["message"].as_str().expect("a text");
        assert!(
            text.starts_with(
                "silence_alert on alerts/HighErrorRate (unknown, team unknown)\neffect: mitigate"
            ),
            "{text}"
        );
        assert!(
            text.ends_with("the agent says why: \"rolling back checkout, its errors are known\""),
            "{text}"
        );
        assert_eq!(question["params"]["requestedSchema"]["required"], json!(["confirm"]), "{question}");
        assert_eq!(stage.effects(), 0, "a question does nothing");
        session.send_json(&answer(&question, &yes()));
        let done = session.answer(call);
        assert!(!done.is_error(), "{}", done.text());
        assert!(done.structured()["outcome"].as_str().is_some_and(|it| it.starts_with("silenced")));
        assert_eq!(stage.effects(), 1);
        // The answer again finds nobody who asked.
        session.send_json(&answer(&question, &yes()));
        assert!(!session.call("list_alerts", json!({})).is_error());
        assert_eq!(stage.effects(), 1);
        assert!(session.leave().success());
        let votes = stage.only_request()["votes"].clone();
        assert_eq!((&votes[0]["who"], &votes[0]["channel"]), (&json!("alice"), &json!("stdio")), "{votes}");
        stage.home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn an_older_client_is_asked_over_http_on_the_stream_of_its_call() {
    for version in OLDER {
        let stage = Stage::new(ASK);
        let served = stage.served();
        let mut client = served.client("observability", version).declaring(forms());
        client.greet();
        let call = client.message("tools/call", json!({ "name": "silence_alert", "arguments": silence(30) }));
        let mut messages = client.begin(&call);
        let question =
            messages.find(|it| it["method"] == "elicitation/create").expect("a question on this stream");
        assert_eq!(stage.effects(), 0);
        // Whoever has no part in the session cannot answer.
        let stranger = served.client("observability", version);
        assert_ne!(stranger.post(&answer(&question, &yes()), &[]).status, 202);
        assert_eq!(stage.effects(), 0);
        assert_eq!(client.post(&answer(&question, &yes()), &[]).status, 202);
        let done = Response(messages.find(|it| it["id"] == call["id"]).expect("an answer"));
        assert!(!done.is_error(), "{}", done.text());
        assert_eq!(stage.effects(), 1);
        assert!(served.stop().success());
        assert_eq!(stage.only_request()["votes"][0]["channel"], "http");
    }
}

#[test]
fn what_an_older_client_answers_but_yes_runs_nothing() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2025_11_25, forms());
    for wrong in [
        json!({ "action": "cancel" }),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "confirm": "yes" } }),
        json!({ "action": "accept", "content": null }),
        json!({ "roots": [] }),
        json!({ "confirm": true }),
        json!({}),
    ] {
        let (call, question) = asked(&mut session);
        session.send_json(&answer(&question, &wrong));
        holds(&session.answer(call), &wrong);
    }
    let (call, question) = asked(&mut session);
    let error = json!({ "code": -32601, "message": "no forms after all" });
    session.send_json(&json!({ "jsonrpc": "2.0", "id": question["id"], "error": error }));
    holds(&session.answer(call), &error);
    assert_eq!(stage.only_request()["state"], "pending", "one question, however often");
    let (call, question) = asked(&mut session);
    session.send_json(&answer(&question, &json!({ "action": "decline" })));
    let denied = session.answer(call);
    assert!(denied.text().contains("was denied (by alice: in band)"), "{}", denied.text());
    assert_eq!(stage.only_request()["state"], "denied");
    assert_eq!(stage.effects(), 0);
}

#[test]
fn a_call_that_is_cancelled_while_its_person_is_asked_leaves_nothing_running() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2025_11_25, forms());
    let (call, question) = asked(&mut session);
    session.cancel(call);
    let moot = session.message(DEADLINE).expect("the form is taken back");
    assert_eq!(moot["method"], "notifications/cancelled", "{moot}");
    assert_eq!(moot["params"]["requestId"], question["id"], "{moot}");
    session.send_json(&answer(&question, &yes()));
    assert!(!session.call("list_alerts", json!({})).is_error(), "the server goes on");
    assert!(session.leave().success());
    assert_eq!(stage.only_request()["state"], "pending");
    assert_eq!(stage.effects(), 0);
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_client_that_cancels_and_says_yes_in_one_breath_has_not_said_yes() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2025_11_25, forms());
    let (call, question) = asked(&mut session);
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": call } });
    session.send(format!("{cancel}\n{}\n", answer(&question, &yes())).as_bytes()).expect("it listens");
    assert!(!session.call("list_alerts", json!({})).is_error(), "the server goes on");
    assert!(session.leave().success());
    assert_eq!(stage.effects(), 0);
    assert_eq!(stage.only_request()["state"], "pending");
}

#[test]
fn a_client_that_leaves_while_its_person_is_asked_leaves_nothing_running() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2025_11_25, forms());
    asked(&mut session);
    assert!(session.leave().success());
    assert_eq!(stage.only_request()["state"], "pending");
    assert_eq!(stage.effects(), 0);
}

#[test]
fn where_nobody_answers_the_call_ends_unconfirmed() {
    let stage = Stage::new(ASK);
    let mut session = stage.session(Version::V2025_11_25, forms());
    let (call, question) = asked(&mut session);
    let mut told = None;
    let mut moot = None;
    while told.is_none() || moot.is_none() {
        let message = session.message(LONG).expect("the wait ends");
        match message["id"] == call {
            true => told = Some(Response(message)),
            false => moot = Some(message),
        }
    }
    holds(&told.expect("an answer"), &json!("silence"));
    assert_eq!(moot.expect("the form is taken back")["params"]["requestId"], question["id"]);
    session.send_json(&answer(&question, &yes()));
    assert!(!session.call("list_alerts", json!({})).is_error());
    assert_eq!(stage.only_request()["state"], "pending");
    assert_eq!(stage.effects(), 0);
}
