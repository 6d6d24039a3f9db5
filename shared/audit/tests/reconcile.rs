//! Log and trail, both ways: what went around the gate, and what the system did not see.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use audit::{Entry, Event, Log, Operator, Reconciliation, Scope, System, erase, reconcile};
use common::{entry, intent, open_small, scratch};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const KUBERNETES: &str = include_str!("trails/kubernetes.jsonl");
const CLOUDTRAIL: &str = include_str!("trails/cloudtrail.json");
const GITHUB: &str = include_str!("trails/github.json");
const ACCOUNT: &str = "system:serviceaccount:agents:bailiwick";

fn scope(system: System, identity: &str) -> Scope {
    let span = |from, to| Some((now(from), now(to)));
    Scope {
        system,
        identities: vec![identity.to_owned()],
        connections: vec!["cluster".to_owned()],
        span: span(-600, 600),
        skew: SignedDuration::from_secs(5),
        reads: false,
    }
}

fn now(seconds: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// A trail whose `@1` is this moment.
fn at(trail: &str, time: Timestamp) -> String {
    trail.replace("@1", &time.to_string())
}

fn on(target: &str, connection: &str, entry: Entry) -> Entry {
    let targets = json!([{ "kind": "workload", "id": target, "connection": connection }]);
    Entry { payload: json!({ "caller": { "agent": "a" }, "targets": targets }), ..entry }
}

/// One effect on a target, that ended so.
async fn act(log: &Log, target: &str, connection: &str, outcome: &'static str) {
    let admission = log.admit_effect([1; 32], on(target, connection, intent())).await.unwrap();
    let intent = admission.intent().unwrap().index();
    let outcome = Entry { outcome: Some(outcome), ..entry(Event::Outcome { intent }) };
    log.record(on(target, connection, Entry { effect: Some("mitigate"), ..outcome })).await.unwrap();
}

/// The report on a log with one effect.
async fn one(target: &str, connection: &str, trail: &str, scope: &Scope) -> Reconciliation {
    let state = scratch();
    let (log, _) = open_small(state.path());
    act(&log, target, connection, "ok").await;
    log.close("end of test").await.unwrap();
    told(state.path(), trail, scope)
}

fn told(state: &Path, trail: &str, scope: &Scope) -> Reconciliation {
    let report = reconcile(state, trail, scope).unwrap();
    let differs = !report.around.is_empty() || !report.unseen.is_empty() || report.unreadable > 0;
    assert_eq!(report.exit_code() == 3, differs, "{report}");
    report
}

#[tokio::test]
async fn what_both_sides_tell_agrees() {
    let time = now(0);
    for (system, identity, trail, target) in [
        (System::Kubernetes, ACCOUNT, KUBERNETES, "shop/checkout"),
        (
            System::CloudTrail,
            "arn:aws:sts::123456789012:assumed-role/bailiwick/*",
            CLOUDTRAIL,
            "shop/checkout",
        ),
        (System::CloudTrail, "arn:aws:iam::123456789012:role/bailiwick", CLOUDTRAIL, "checkout"),
        (System::Github, "shop-bot", GITHUB, "acme/checkout"),
    ] {
        let report = one(target, "cluster", &at(trail, time), &scope(system, identity)).await;
        assert_eq!((report.exit_code(), report.effects, report.events.min(1)), (0, 1, 1), "{report}");
        assert_eq!(report.by_time_only, 0, "{report}");
    }
}

#[tokio::test]
async fn an_event_that_no_effect_explains_went_around_the_gate() {
    // Another object, another time, nothing at all.
    let report =
        one("shop/ledger", "cluster", &at(KUBERNETES, now(0)), &scope(System::Kubernetes, ACCOUNT)).await;
    assert_eq!((report.around.len(), report.unseen.len()), (1, 1), "{report}");
    assert_eq!(report.around[0].resource, "shop/deployments/checkout");
    let report =
        one("shop/checkout", "cluster", &at(KUBERNETES, now(-60)), &scope(System::Kubernetes, ACCOUNT)).await;
    assert_eq!((report.around.len(), report.unseen.len()), (1, 1), "{report}");
    let empty = scratch();
    let report = told(empty.path(), &at(KUBERNETES, now(0)), &scope(System::Kubernetes, ACCOUNT));
    assert_eq!((report.around.len(), report.around[0].id.as_str()), (1, "aa-1"), "{report}");
    assert!(report.to_string().contains("around the gate"), "{report}");
}

#[tokio::test]
async fn reads_questions_dry_runs_and_others_are_nothing_that_went_around() {
    let empty = scratch();
    let role = "arn:aws:sts::123456789012:assumed-role/bailiwick/checkout";
    let report = told(empty.path(), &at(CLOUDTRAIL, now(0)), &scope(System::CloudTrail, role));
    assert_eq!(report.around.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["bb-1"], "{report}");
    let report = told(empty.path(), &at(KUBERNETES, now(0)), &scope(System::Kubernetes, "nobody"));
    assert_eq!((report.exit_code(), report.events), (0, 0), "{report}");
    let all = Scope { identities: Vec::new(), ..scope(System::Kubernetes, "") };
    let report = told(empty.path(), &at(KUBERNETES, now(0)), &all);
    assert_eq!(report.around.len(), 2, "{report}");
    assert!(report.to_string().contains("every event of the trail was taken for ours"), "{report}");
}

#[tokio::test]
async fn reads_are_compared_where_that_is_asked_for() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    log.record(on("shop/checkout", "cluster", entry(Event::Read))).await.unwrap();
    log.close("end of test").await.unwrap();
    let reads = Scope { reads: true, ..scope(System::Kubernetes, ACCOUNT) };
    let list = at(KUBERNETES.lines().nth(2).unwrap(), now(0));
    let report = told(state.path(), &list, &reads);
    assert_eq!((report.exit_code(), report.effects, report.by_time_only), (0, 1, 1), "{report}");
    let report = told(state.path(), &at(KUBERNETES.lines().nth(3).unwrap(), now(0)), &reads);
    assert_eq!(report.unseen.len(), 1, "{report}");
}

#[tokio::test]
async fn only_an_effect_that_ended_well_must_have_been_seen() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    for outcome in ["tool_failed", "unknown", "not_run"] {
        act(&log, "shop/checkout", "cluster", outcome).await;
    }
    act(&log, "noise", "alerts", "ok").await;
    log.close("end of test").await.unwrap();
    let others = at(KUBERNETES.lines().nth(3).unwrap(), now(0));
    let report = told(state.path(), &others, &scope(System::Kubernetes, ACCOUNT));
    assert_eq!(
        (report.exit_code(), report.effects),
        (0, 3),
        "of another connection nothing is expected: {report}"
    );
    // What the system refused was not done, whatever our log says.
    let state = scratch();
    let (log, _) = open_small(state.path());
    act(&log, "shop/checkout", "cluster", "ok").await;
    log.close("end of test").await.unwrap();
    let refused = at(KUBERNETES.lines().nth(1).unwrap(), now(0)).replace("\"code\":200", "\"code\":403");
    let report = told(state.path(), &refused, &scope(System::Kubernetes, ACCOUNT));
    assert_eq!((report.around.len(), report.unseen.len()), (0, 1), "{report}");
}

#[tokio::test]
async fn what_cannot_be_read_in_a_trail_is_a_finding() {
    let empty = scratch();
    let scope = scope(System::Kubernetes, "nobody");
    for spoilt in ["{\"verb\":\"delete\"", "{\"verb\":\"delete\"}", "null", "5"] {
        let trail = format!("{}\n{spoilt}\n", at(KUBERNETES, now(0)));
        let report = told(empty.path(), &trail, &scope);
        assert_eq!((report.exit_code(), report.unreadable), (3, 1), "{spoilt}: {report}");
    }
    let nothing = Scope { span: None, ..scope };
    assert_eq!(reconcile(empty.path(), "", &nothing).unwrap().exit_code(), 3, "nothing was compared");
}

#[tokio::test]
async fn an_erased_effect_explains_by_time_and_is_expected_nowhere() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    act(&log, "shop/checkout", "cluster", "ok").await;
    log.close("end of test").await.unwrap();
    let operator =
        Operator { subject: "agent:local".to_owned(), assurance: "os_user", options: Default::default() };
    erase(state.path(), "agent:claude-code person:alice", &[], &operator).await.unwrap();
    let report = told(state.path(), &at(KUBERNETES, now(0)), &scope(System::Kubernetes, ACCOUNT));
    assert_eq!((report.exit_code(), report.closed, report.by_time_only), (0, 1, 1), "{report}");
    let others = at(KUBERNETES.lines().nth(3).unwrap(), now(0));
    assert_eq!(told(state.path(), &others, &scope(System::Kubernetes, ACCOUNT)).exit_code(), 0);
}

#[test]
fn fixtures_are_what_the_systems_write() {
    let values = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().count();
    assert_eq!((values(KUBERNETES), values(CLOUDTRAIL), values(GITHUB)), (5, 1, 1));
}
