//! A log from the outside: what was acknowledged is there, whatever happened in between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use audit::{AuditError, Event, Log, Options, Standing};
use common::{entry, intent, open};

#[tokio::test]
async fn records_follow_each_other_and_a_stop_ends_them() {
    let state = tempfile::tempdir().unwrap();
    let (log, opened) = open(state.path());
    assert!(opened.created && !opened.taken_over, "{opened}");
    assert_eq!(opened.log, "code/0");
    let admission = log.admit_read([1; 32]).unwrap();
    assert_eq!((admission.call(), admission.intent()), (&[1; 32], None));
    let read = log.record(entry(Event::Read)).await.unwrap();
    assert_eq!((read.index(), read.log()), (1, log.origin()));
    let admission = log.admit_effect([1; 32], intent()).await.unwrap();
    let index = admission.intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    log.close("end of test").await.unwrap();
    assert!(matches!(log.standing(), Standing::Closed { .. }));
    assert!(matches!(log.admit_read([1; 32]), Err(AuditError::Closed { .. })));
    assert!(matches!(log.record(entry(Event::Read)).await, Err(AuditError::Closed { .. })));
    let (_log, opened) = open(state.path());
    assert!(!opened.created && !opened.taken_over, "{opened}");
    assert_eq!((opened.size, opened.log.as_str()), (6, "code/0"));
}

#[tokio::test]
async fn an_intent_has_exactly_one_outcome() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let malformed = |it| matches!(it, Err(AuditError::Malformed { .. }));
    assert!(malformed(log.record(entry(Event::Outcome { intent: 7 })).await), "no such intent");
    assert!(malformed(log.record(entry(Event::Intent)).await), "intents are admitted, not recorded");
    assert!(log.admit_effect([2; 32], intent()).await.is_err(), "an intent of another call");
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    assert!(malformed(log.record(entry(Event::Outcome { intent: index })).await), "a second outcome");
}

#[tokio::test]
async fn a_log_that_was_dropped_claims_no_stop_and_is_taken_over() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    drop(log);
    let (log, opened) = open(state.path());
    assert!(opened.taken_over && opened.cut.is_empty(), "{opened}");
    assert_eq!(opened.unknown, [index]);
    log.close("end of test").await.unwrap();
    let (_log, opened) = open(state.path());
    assert!(!opened.taken_over && opened.unknown.is_empty(), "{opened}");
}

#[tokio::test]
async fn closing_gives_an_open_intent_the_outcome_unknown() {
    let state = tempfile::tempdir().unwrap();
    let (log, _) = open(state.path());
    log.admit_effect([1; 32], intent()).await.unwrap();
    log.close("end of test").await.unwrap();
    let (_log, opened) = open(state.path());
    assert!(opened.unknown.is_empty(), "{opened}");
    // Start, intent, unknown, stop, start.
    assert_eq!(opened.size, 5);
}

#[test]
fn two_openers_get_two_logs_and_see_each_other() {
    let state = tempfile::tempdir().unwrap();
    let (first, one) = open(state.path());
    let (_second, two) = open(state.path());
    assert_eq!((one.log.as_str(), two.log.as_str()), ("code/0", "code/1"));
    assert_ne!(one.origin, two.origin);
    drop(first);
    let (_third, three) = open(state.path());
    assert_eq!(three.log, "code/0", "the lowest free one");
    assert!(three.warnings.is_empty(), "{three}");
}

#[tokio::test]
async fn what_may_not_be_written_is_refused_before_anything_is() {
    let state = tempfile::tempdir().unwrap();
    let (log, opened) = open(state.path());
    let mut float = entry(Event::Read);
    float.payload = serde_json::json!({ "arguments": { "step": 0.5 } });
    let error = log.record(float).await.unwrap_err();
    assert!(error.to_string().contains("/arguments/step"), "{error}");
    let mut prose = entry(Event::Read);
    prose.tool = Some("drop table; --".to_owned());
    assert!(matches!(log.record(prose).await, Err(AuditError::Malformed { .. })));
    let mut verdict = entry(Event::Read);
    verdict.verdict = "maybe";
    assert!(matches!(log.record(verdict).await, Err(AuditError::Malformed { .. })));
    assert_eq!(log.record(entry(Event::Read)).await.unwrap().index(), opened.size);
}

#[test]
fn a_server_that_could_leave_its_folder_is_refused() {
    let state = tempfile::tempdir().unwrap();
    for server in ["", "..", "a/b", "A"] {
        let opened = Log::open(state.path(), server, Options::default());
        assert!(matches!(opened, Err(AuditError::Name { .. })), "{server}");
    }
}
