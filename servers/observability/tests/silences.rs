//! What a silence does through the whole gate, and what is heard when its answer is lost.

use std::{net::SocketAddr, sync::Arc};

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::{Value, json};
use testkit::{
    backends::{Alert, Alertmanager, Behaviour, Recorder},
    call_through,
};

fn backends(alertmanager: SocketAddr) -> Arc<Backends> {
    let http = Http::plain(format!("http://{alertmanager}").parse().expect("an address makes a URL"));
    let unknown = || "unknown".to_owned();
    let connection = Connection {
        name: "alerts".to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Alertmanager(http),
    };
    Arc::new(Backends::new(&[connection]).expect("the connection is usable"))
}

fn arguments(dry_run: bool) -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": 60,
        "reason": "known, rolling back",
        "dry_run": dry_run,
    })
}

fn firing() -> Alertmanager {
    let alertmanager = Alertmanager::start(Alertmanager::CONFIG);
    alertmanager
        .push(&[Alert::new("HighErrorRate").label("service", "checkout-api").label("severity", "critical")]);
    alertmanager
}

#[tokio::test]
async fn the_same_silence_twice_is_made_once_and_names_its_record() {
    let alertmanager = firing();
    let reply =
        call_through(tools::all(), backends(alertmanager.address()), "silence_alert", arguments(false)).await;
    let first = &reply.shaped.structured;
    assert!(first["outcome"].as_str().is_some_and(|it| it.starts_with("silenced")), "{}", reply.shaped.text);
    assert_eq!(first["hides"], 1);
    let silences = alertmanager.silences();
    assert_eq!((silences.len(), &silences[0]["id"]), (1, &first["silence"]));
    let comment = silences[0]["comment"].as_str().expect("a comment");
    assert!(comment.starts_with("known, rolling back (bailiwick "), "{comment}");
    assert_eq!(silences[0]["createdBy"], "testkit");

    let reply =
        call_through(tools::all(), backends(alertmanager.address()), "silence_alert", arguments(false)).await;
    let second = &reply.shaped.structured;
    assert!(
        second["outcome"].as_str().is_some_and(|it| it.starts_with("nothing done")),
        "{}",
        reply.shaped.text
    );
    assert_eq!(second["silence"], first["silence"]);
    assert_eq!(alertmanager.silences().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome_and_a_refused_one_is_not() {
    let alertmanager = firing();
    let recorder = Recorder::before(alertmanager.address());
    for (behaviour, heard) in [
        (Behaviour::json(400, "\"bad silence\""), "rejected the request: bad silence"),
        (Behaviour::json(502, "{}"), "may or may not have done it"),
        (Behaviour::Drop, "may or may not have done it"),
        (Behaviour::DropAnswer, "may or may not have done it"),
    ] {
        recorder.on("POST", "/api/v2/silences", behaviour);
        let reply =
            call_through(tools::all(), backends(recorder.address()), "silence_alert", arguments(false)).await;
        assert!(reply.refusal.is_some());
        assert!(reply.shaped.text.contains(heard), "{heard}: {}", reply.shaped.text);
    }
    assert_eq!(alertmanager.silences().len(), 1, "the last one was made, and nobody heard");
}

#[tokio::test]
async fn a_dry_run_sends_no_write_whatever_the_backend_does() {
    let alertmanager = firing();
    let recorder = Recorder::before(alertmanager.address());
    let reply =
        call_through(tools::all(), backends(recorder.address()), "silence_alert", arguments(true)).await;
    assert!(reply.refusal.is_none() && !reply.effect, "{}", reply.shaped.text);
    assert!(reply.shaped.text.contains("dry run: would hide"), "{}", reply.shaped.text);
    assert!(recorder.requests().iter().all(|it| it.method == "GET"));
    recorder.on("*", "/", Behaviour::Drop);
    let reply =
        call_through(tools::all(), backends(recorder.address()), "silence_alert", arguments(true)).await;
    assert!(reply.refusal.is_some_and(|it| it.code() == "unavailable"));
}

async fn expire(backends: Arc<Backends>, silence: &str, dry_run: bool) -> testkit::Reply {
    let arguments = json!({ "silence": silence, "reason": "rolled back, healthy again", "dry_run": dry_run });
    call_through(tools::all(), backends, "expire_silence", arguments).await
}

#[tokio::test]
async fn a_silence_ends_once_and_saying_so_again_changes_nothing() {
    let alertmanager = firing();
    let made =
        call_through(tools::all(), backends(alertmanager.address()), "silence_alert", arguments(false)).await;
    let id = made.shaped.structured["silence"].as_str().expect("an id").to_owned();
    let state = || alertmanager.silences()[0]["status"]["state"].clone();

    let reply = expire(backends(alertmanager.address()), &id, true).await;
    assert!(reply.shaped.text.contains("dry run: would tell people again"), "{}", reply.shaped.text);
    assert_eq!(state(), "active");

    let reply = expire(backends(alertmanager.address()), &id, false).await;
    assert!(reply.refusal.is_none() && reply.effect, "{}", reply.shaped.text);
    assert!(reply.shaped.text.contains("expired: people are told again"), "{}", reply.shaped.text);
    assert_eq!(reply.shaped.structured["undo"]["tool"], "silence_alert");
    assert_eq!(state(), "expired");

    let again = expire(backends(alertmanager.address()), &id, false).await;
    assert!(again.refusal.is_none(), "{}", again.shaped.text);
    assert!(again.shaped.text.contains("nothing to do: it ended at 20"), "{}", again.shaped.text);
    assert!(!again.shaped.structured.contains_key("undo"));
}

#[tokio::test]
async fn a_silence_whose_end_nobody_heard_is_an_unknown_outcome() {
    let alertmanager = firing();
    let made =
        call_through(tools::all(), backends(alertmanager.address()), "silence_alert", arguments(false)).await;
    let id = made.shaped.structured["silence"].as_str().expect("an id").to_owned();
    let recorder = Recorder::before(alertmanager.address());
    recorder.on("DELETE", "/api/v2/silence/", Behaviour::DropAnswer);
    let reply = expire(backends(recorder.address()), &id, false).await;
    assert!(reply.shaped.text.contains("may or may not have done it"), "{}", reply.shaped.text);
    assert_eq!(alertmanager.silences()[0]["status"]["state"], "expired");
    let before = recorder.requests_to("DELETE", "/").len();
    let unknown = expire(backends(recorder.address()), "0b1c2d3e", false).await;
    assert!(unknown.refusal.is_some_and(|it| it.code() == "not_found"));
    assert_eq!(recorder.requests_to("DELETE", "/").len(), before, "nothing was sent for it");
}
