//! What is lost of a log can be accepted, once and for ever: by whom it is seen, of what, and what nobody can give up with it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use audit::{Accepted, Anchor, AuditError, Event, Log, Operator, Options, accept_loss, erase, heads, verify};
use common::{
    entry,
    forge::sign_again,
    frames::{self, frames, rebuild},
    intent, open_small, scratch,
};
use serde_json::json;

const ALICE: &str = "agent:claude-code person:alice";

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// A closed log: start, read, intent, outcome, stop.
async fn small(state: &Path) {
    let (log, _) = open_small(state);
    log.record(entry(Event::Read)).await.unwrap();
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    log.close("end of test").await.unwrap();
}

/// A log that was cut by its last commit, beside one that has seen it whole.
async fn cut(state: &Path) -> Anchor {
    small(state).await;
    let (other, _) = Log::open(state, "observability", operator().options).unwrap();
    other.close("end of test").await.unwrap();
    let anchor = Anchor::parse("kept", &heads(state).unwrap().to_string()).unwrap();
    let journal = state.join("logs/code/0/journal");
    let all = frames(&fs::read(&journal).unwrap());
    fs::write(&journal, rebuild(&all[..all.len() - 2])).unwrap();
    anchor
}

async fn accept(state: &Path, log: &str) -> Result<Accepted, AuditError> {
    accept_loss(state, log, "the disk of the runner failed", &[], &operator()).await
}

fn begin(state: &Path) -> Result<(Log, audit::Opened), AuditError> {
    Log::open(state, "code", operator().options)
}

#[tokio::test]
async fn an_accepted_loss_is_told_for_ever_and_lets_a_new_log_begin() {
    let state = scratch();
    let anchor = cut(state.path()).await;
    assert!(matches!(begin(state.path()), Err(AuditError::Damaged { .. })));
    let accepted = accept(state.path(), "code/0").await.unwrap();
    assert_eq!((accepted.lost.len(), accepted.lost[0].1), (1, 5));
    assert!(accepted.kept.as_ref().unwrap().join("journal").exists());
    begin(state.path()).unwrap().0.close("end of test").await.unwrap();
    let verification = audit::Verification { anchors: vec![anchor], ..Default::default() };
    let report = verification.run(state.path()).unwrap();
    assert_eq!(report.exit_code(), 3, "{report}");
    let told = report.to_string();
    assert!(told.contains("the disk of the runner failed") && told.contains("unchanged"), "{told}");
    fs::write(accepted.kept.as_ref().unwrap().join("journal"), "something else").unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 1 && report.to_string().contains("WAS CHANGED"), "{report}");
    fs::remove_dir_all(accepted.kept.unwrap()).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 1 && report.to_string().contains("cannot be read any more"), "{report}");
}

#[tokio::test]
async fn a_loss_that_nobody_shows_any_more_is_still_told() {
    let state = scratch();
    small(state.path()).await;
    // Nothing that our key signed says how long it was.
    fs::remove_dir_all(state.path().join("logs/code/0/tlog")).unwrap();
    fs::remove_file(state.path().join("logs/code/0/head")).unwrap();
    let journal = state.path().join("logs/code/0/journal");
    let mut all = frames(&fs::read(&journal).unwrap());
    sign_again(&mut all, &ed25519_dalek::SigningKey::from_bytes(&[9; 32]));
    fs::write(&journal, rebuild(&all)).unwrap();
    let accepted = accept(state.path(), "code/0").await.unwrap();
    assert!(accepted.lost.is_empty(), "{accepted:?}");
    let report = verify(state.path(), &[]).unwrap();
    assert!(
        report.exit_code() == 3 && report.to_string().contains("the disk of the runner failed"),
        "{report}"
    );
    fs::remove_dir_all(accepted.kept.unwrap()).unwrap();
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 1);
}

#[tokio::test]
async fn a_loss_whose_moving_a_crash_prevented_is_accepted_once_more() {
    let state = scratch();
    cut(state.path()).await;
    let first = accept(state.path(), "code/0").await.unwrap();
    fs::rename(first.kept.unwrap(), state.path().join("logs/code/0")).unwrap();
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 1, "not moved");
    accept(state.path(), "code/0").await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 3, "{report}");
}

#[tokio::test]
async fn what_nobody_signed_gives_no_log_up() {
    let state = scratch();
    small(state.path()).await;
    let (other, _) = Log::open(state.path(), "observability", operator().options).unwrap();
    other.close("end of test").await.unwrap();
    let origin = verify(state.path(), &[]).unwrap().logs[0].origin.clone();
    // An anchor of somebody else's, over more records than there are.
    let text = heads(state.path()).unwrap().to_string().replace("\n5\n", "\n9\n");
    let forged = Anchor::parse("forged", &text).unwrap();
    let refused = accept_loss(state.path(), "code/0", "as it says", &[forged], &operator()).await;
    assert!(matches!(refused, Err(AuditError::Malformed { .. })), "{refused:?}");
    // A record that stands in no commit, behind those of another log.
    let journal = state.path().join("logs/observability/0/journal");
    let mut all = frames(&fs::read(&journal).unwrap());
    let siblings = json!([{ "origin": origin, "root": "ab".repeat(32), "size": 9 }]);
    let leaf =
        json!({ "event": "start", "index": 3, "siblings": siblings, "time": "2026-01-01T00:00:00Z", "v": 1 });
    all.push(frames::Frame { kind: 2, content: audit::canonical(&leaf).unwrap() });
    fs::write(&journal, rebuild(&all)).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 3, "bytes behind a commit, and no more: {report}");
    let refused = accept(state.path(), "code/0").await;
    assert!(matches!(refused, Err(AuditError::NoRecord { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_loss_is_accepted_only_of_the_log_that_is_lost() {
    let state = scratch();
    cut(state.path()).await;
    for other in ["observability/0", "code/1", "code", "../code/0", "code/00"] {
        let refused = accept(state.path(), other).await;
        assert!(matches!(refused, Err(AuditError::NoRecord { .. })), "{other}: {refused:?}");
    }
    assert!(matches!(begin(state.path()), Err(AuditError::Damaged { .. })));
    let mute = accept_loss(state.path(), "code/0", " ", &[], &operator()).await;
    assert!(matches!(mute, Err(AuditError::Malformed { .. })), "{mute:?}");
    // Accepting one loss says nothing of another.
    accept(state.path(), "code/0").await.unwrap();
    fs::remove_dir_all(state.path().join("logs/observability")).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 1 && report.to_string().contains("observability/0"), "{report}");
}

#[tokio::test]
async fn whoever_saw_more_than_was_accepted_still_contradicts() {
    let state = scratch();
    small(state.path()).await;
    let (log, _) = open_small(state.path());
    log.close("end of test").await.unwrap();
    let anchor = Anchor::parse("kept", &heads(state.path()).unwrap().to_string()).unwrap();
    // Everything that shows the last two commits, and half of what came before.
    let folder = state.path().join("logs/code/0");
    let all = frames(&fs::read(folder.join("journal")).unwrap());
    let ends: Vec<usize> = (0..all.len()).filter(|it| all[*it].kind == 4).collect();
    fs::write(folder.join("journal"), rebuild(&all[..ends[1]])).unwrap();
    fs::remove_file(folder.join("head")).unwrap();
    fs::remove_dir_all(folder.join("tlog")).unwrap();
    let (other, _) = Log::open(state.path(), "observability", operator().options).unwrap();
    other.close("end of test").await.unwrap();
    fs::write(folder.join("journal"), "spoilt").unwrap();
    accept(state.path(), "code/0").await.unwrap();
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 3);
    let verification = audit::Verification { anchors: vec![anchor.clone()], ..Default::default() };
    let report = verification.run(state.path()).unwrap();
    assert!(report.exit_code() == 1 && report.to_string().contains("more was lost than"), "{report}");
    // With the anchor at hand the whole loss can be accepted.
    accept_loss(state.path(), "code/0", "as above", &[anchor], &operator()).await.unwrap();
    assert_eq!(verification.run(state.path()).unwrap().exit_code(), 3);
}

#[tokio::test]
async fn a_healthy_or_held_log_cannot_be_given_up_and_an_operators_own_log_can() {
    let state = scratch();
    small(state.path()).await;
    assert!(matches!(accept(state.path(), "code/0").await, Err(AuditError::NoRecord { .. })));
    let (log, _) = open_small(state.path());
    let held = accept(state.path(), "code/0").await.unwrap_err().to_string();
    assert!(held.contains("a process holds it"), "{held}");
    log.close("end of test").await.unwrap();
    erase(state.path(), ALICE, &[], &operator()).await.unwrap();
    fs::write(state.path().join("logs/operator/0/journal"), "spoilt").unwrap();
    let accepted = accept(state.path(), "operator/0").await.unwrap();
    assert!(accepted.receipt.log().starts_with("bailiwick/operator/1/"), "{accepted:?}");
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 3 && report.to_string().contains("no record erases them"), "{report}");
}
