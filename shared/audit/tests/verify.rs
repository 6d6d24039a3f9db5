//! What the verifier says of a log that somebody laid hands on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, os::unix::fs::FileExt, path::Path};

use audit::{Event, Filter, Payload, Verdict, VerifyingKey, records, show, verify};
use common::{
    entry,
    frames::{Frame, frames, rebuild},
    intent, open, open_small, scratch,
};

/// A closed log of three commits and a few records: start, read, intent, outcome, stop.
async fn small(state: &Path) {
    let (log, _) = open_small(state);
    log.record(entry(Event::Read)).await.unwrap();
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    log.close("end of test").await.unwrap();
}

fn journal(state: &Path) -> std::path::PathBuf {
    state.join("logs/code/0/journal")
}

#[tokio::test]
async fn an_untouched_log_is_intact_and_says_that_its_key_is_not_independent() {
    let state = scratch();
    small(state.path()).await;
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!((report.verdict, report.exit_code()), (Verdict::Intact, 0), "{report}");
    assert!(!report.independent && report.to_string().contains("not independent"), "{report}");
    assert_eq!((report.logs[0].records, report.logs[0].payloads.checked), (5, 3), "{report}");
    let key: VerifyingKey = report.keys[0].parse().unwrap();
    let report = verify(state.path(), &[key]).unwrap();
    assert!(report.independent && report.exit_code() == 0, "{report}");
}

#[tokio::test]
async fn flipping_any_byte_is_noticed() {
    let state = scratch();
    small(state.path()).await;
    let bytes = fs::read(journal(state.path())).unwrap();
    let end = bytes.iter().rposition(|it| *it != 0).unwrap() + 1;
    let file = fs::File::options().write(true).open(journal(state.path())).unwrap();
    for (at, byte) in bytes.iter().enumerate().take(end + 3) {
        file.write_all_at(&[byte ^ 1], at as u64).unwrap();
        let report = verify(state.path(), &[]).unwrap();
        let expected = if at < end { 1 } else { 3 };
        assert_eq!(report.exit_code(), expected, "byte {at}: {report}");
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 0);
}

/// Edits the frames of the closed log, with right checksums, and returns what the verifier says.
async fn edited(edit: impl Fn(&mut Vec<Frame>)) -> audit::Report {
    let state = scratch();
    small(state.path()).await;
    let mut all = frames(&fs::read(journal(state.path())).unwrap());
    edit(&mut all);
    fs::write(journal(state.path()), rebuild(&all)).unwrap();
    verify(state.path(), &[]).unwrap()
}

/// Positions of the leaf frames.
fn leaves(all: &[Frame]) -> Vec<usize> {
    (0..all.len()).filter(|it| all[*it].kind == 2).collect()
}

fn altered(report: &audit::Report) -> (u64, &str) {
    let it = report.logs[0].altered.as_ref().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report.exit_code(), 1, "{report}");
    (it.index, &it.likely)
}

#[tokio::test]
async fn a_deleted_record_is_named() {
    let report = edited(|all| {
        let at = leaves(all)[1];
        all.drain(at..at + 2);
    })
    .await;
    assert_eq!(altered(&report).0, 1);
}

#[tokio::test]
async fn a_deleted_commit_is_named() {
    let report = edited(|all| {
        let at = leaves(all)[1];
        all.drain(at..at + 3);
    })
    .await;
    assert_eq!(altered(&report), (1, "a record was deleted or moved"));
}

#[tokio::test]
async fn swapped_records_are_named() {
    let report = edited(|all| {
        let (left, right) = (leaves(all)[1], leaves(all)[2]);
        all.swap(left, right);
        all.swap(left + 1, right + 1);
    })
    .await;
    assert_eq!(altered(&report).0, 1);
}

#[tokio::test]
async fn a_rewritten_record_is_named() {
    let report = edited(|all| {
        let at = leaves(all)[1];
        let text = String::from_utf8(all[at].content.clone()).unwrap();
        all[at].content = text.replace("list_commits", "list_commitz").into_bytes();
    })
    .await;
    assert_eq!(altered(&report).0, 1);
}

#[tokio::test]
async fn a_payload_that_was_taken_away_is_named() {
    let report = edited(|all| drop(all.remove(leaves(all)[2] + 1))).await;
    assert_eq!(altered(&report), (2, "a payload was taken away"));
}

#[tokio::test]
async fn a_payload_of_another_record_is_named() {
    let report = edited(|all| {
        let (one, other) = (leaves(all)[1] + 1, leaves(all)[2] + 1);
        all.swap(one, other);
    })
    .await;
    assert_eq!(altered(&report).0, 1);
}

#[tokio::test]
async fn a_forged_checkpoint_is_named() {
    let report = edited(|all| {
        let last = all.last_mut().unwrap();
        let text = String::from_utf8(last.content.clone()).unwrap();
        last.content = text.replace("\n5\n", "\n6\n").into_bytes();
    })
    .await;
    assert_eq!(altered(&report), (4, "the log was rebuilt without its key"));
}

#[tokio::test]
async fn a_cut_tail_contradicts_the_head_beside_it() {
    let report = edited(|all| {
        let at = leaves(all)[3];
        all.truncate(at);
    })
    .await;
    assert_eq!(altered(&report), (3, "the tail was cut"));
}

#[tokio::test]
async fn a_log_that_was_cut_with_its_head_contradicts_its_siblings() {
    let state = scratch();
    small(state.path()).await;
    let (zero, _) = open(state.path());
    let (one, _) = open(state.path());
    zero.close("end of test").await.unwrap();
    one.close("end of test").await.unwrap();
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 0);
    let mut all = frames(&fs::read(journal(state.path())).unwrap());
    all.truncate(leaves(&all)[2]);
    fs::write(journal(state.path()), rebuild(&all)).unwrap();
    fs::remove_file(state.path().join("logs/code/0/head")).unwrap();
    assert_eq!(altered(&verify(state.path(), &[]).unwrap()), (2, "the tail was cut"));
    let error = audit::Log::open(state.path(), "code", audit::Options::default()).unwrap_err();
    assert!(matches!(error, audit::AuditError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("audit verify"), "{error}");
}

#[tokio::test]
async fn a_vanished_log_is_an_alteration_and_a_warning() {
    let state = scratch();
    small(state.path()).await;
    let (zero, _) = open(state.path());
    let (one, _) = open(state.path());
    zero.close("end of test").await.unwrap();
    one.close("end of test").await.unwrap();
    fs::remove_dir_all(state.path().join("logs/code/0")).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!((report.exit_code(), report.logs.len()), (1, 2), "{report}");
    assert!(report.to_string().contains("is gone"), "{report}");
    let (_zero, opened) = open(state.path());
    assert!(opened.created, "{opened}");
    assert_eq!(opened.warnings.len(), 1, "{opened}");
}

#[tokio::test]
async fn a_log_rebuilt_with_another_key_is_altered_for_whoever_kept_the_key() {
    let (real, forged) = (scratch(), scratch());
    small(real.path()).await;
    small(forged.path()).await;
    let key: VerifyingKey = verify(real.path(), &[]).unwrap().keys[0].parse().unwrap();
    let report = verify(forged.path(), &[key]).unwrap();
    assert_eq!(altered(&report).0, 0);
    // The folder's own key cannot tell, and the report says so.
    let report = verify(forged.path(), &[]).unwrap();
    assert!(report.exit_code() == 0 && !report.independent, "{report}");
}

#[tokio::test]
async fn a_destroyed_subject_key_erases_payloads_and_nothing_else() {
    let state = scratch();
    small(state.path()).await;
    let subjects = state.path().join("keys/subjects");
    for key in fs::read_dir(&subjects).unwrap() {
        fs::remove_file(key.unwrap().path()).unwrap();
    }
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!((report.exit_code(), report.logs[0].payloads.erased), (3, 3), "{report}");
    assert_eq!(show(state.path(), "code/0:1").unwrap().payload, Payload::Erased);
}

#[tokio::test]
async fn a_running_log_verifies_while_it_is_written() {
    let state = scratch();
    let (log, _) = open(state.path());
    let writer = async {
        for _ in 0..200 {
            log.record(entry(Event::Read)).await.unwrap();
        }
    };
    let path = state.path().to_owned();
    let reader =
        tokio::task::spawn_blocking(move || (0..20).map(|_| verify(&path, &[]).unwrap()).collect::<Vec<_>>());
    let (_, reports) = tokio::join!(writer, reader);
    for report in reports.unwrap() {
        assert!(report.exit_code() == 0 && report.logs[0].running, "{report}");
    }
}

#[tokio::test]
async fn records_are_shown_with_their_payload_and_filtered() {
    let state = scratch();
    small(state.path()).await;
    let all = records(state.path(), &Filter::default()).unwrap();
    let events: Vec<_> = all.iter().map(|it| it.leaf["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "read", "intent", "outcome", "stop"]);
    let filter = Filter { tool: Some("list_commits".to_owned()), limit: Some(2), ..Filter::default() };
    let some = records(state.path(), &filter).unwrap();
    assert_eq!(some.iter().map(|it| it.index).collect::<Vec<_>>(), [2, 3]);
    let record = show(state.path(), "code/0:1").unwrap();
    assert_eq!(record.payload, Payload::Opened(entry(Event::Read).payload));
    assert!(!record.leaf.to_string().contains("alice"), "{}", record.leaf);
    for selector in ["code/0:5", "code/1:0", "code/0", "code/0:x"] {
        let error = show(state.path(), selector).unwrap_err();
        assert!(matches!(error, audit::AuditError::NoRecord { .. }), "{selector}: {error}");
    }
}

#[tokio::test]
async fn following_a_log_gives_every_record_once() {
    let state = scratch();
    let (log, _) = open(state.path());
    let mut follow = audit::Follow::from_start(state.path(), Filter::default());
    let mut seen = Vec::new();
    for _ in 0..5 {
        log.record(entry(Event::Read)).await.unwrap();
        seen.extend(follow.poll().unwrap().into_iter().map(|it| it.index));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    assert!(follow.poll().unwrap().is_empty());
}

#[tokio::test]
async fn a_payload_over_the_bound_is_kept_as_its_digest_and_says_so() {
    let state = scratch();
    let (log, _) = open(state.path());
    let mut large = entry(Event::Read);
    large.payload = serde_json::json!({ "text": "x".repeat(300_000) });
    let digest = hex::encode(audit::digest(&audit::canonical(&large.payload).unwrap()));
    log.record(large).await.unwrap();
    let record = show(state.path(), "code/0:1").unwrap();
    assert_eq!(record.leaf["omitted_bytes"], 300_011);
    let Payload::Opened(payload) = record.payload else { panic!("{record:?}") };
    assert_eq!(payload["omitted"]["sha256"], digest);
}
