//! What a proof, an anchor and a receipt are worth, and what they are not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::LazyLock;

use audit::{
    Anchor, AuditError, BadProof, Event, KeptReceipt, Verification, VerifyingKey, check_proof, heads, prove,
    prove_growth, verify,
};
use common::{entry, open_small, scratch};
use proptest::{prelude::*, sample::Index};
use tlog_tiles::{Hash, check_tree};

const STRANGER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// A closed log of eleven records, and an anchor from when it had six.
struct Log {
    state: tempfile::TempDir,
    key: VerifyingKey,
    /// As it was printed.
    kept: String,
    anchor: Anchor,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let state = scratch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let written = async {
        let (log, _) = open_small(state.path());
        write(&log, 5).await;
        let kept = heads(state.path()).unwrap().to_string();
        write(&log, 4).await;
        log.close("end of test").await.unwrap();
        kept
    };
    // A thread of its own: the first test to ask may have a runtime already.
    let kept = std::thread::scope(|it| it.spawn(|| runtime.block_on(written)).join().unwrap());
    let key = verify(state.path(), &[]).unwrap().keys[0].parse().unwrap();
    let anchor = Anchor::parse("kept", &kept).unwrap();
    Log { state, key, kept, anchor }
});

async fn write(log: &audit::Log, count: usize) {
    for _ in 0..count {
        log.record(entry(Event::Read)).await.unwrap();
    }
}

fn proof(index: u64, from: Option<&Anchor>) -> String {
    prove(LOG.state.path(), &format!("code/0:{index}"), from, std::slice::from_ref(&LOG.key))
        .unwrap()
        .to_string()
}

#[test]
fn every_record_is_proven_to_whoever_has_the_key() {
    for index in 0..11 {
        let proven = check_proof(&proof(index, None), std::slice::from_ref(&LOG.key), None).unwrap();
        assert_eq!((proven.index, proven.size, proven.grown_from), (index, 11, None));
        let proven =
            check_proof(&proof(index, Some(&LOG.anchor)), std::slice::from_ref(&LOG.key), Some(&LOG.anchor))
                .unwrap();
        assert_eq!(proven.grown_from, Some(6));
    }
}

#[test]
fn a_proof_is_worth_nothing_under_another_key_or_for_another_history() {
    let stranger: VerifyingKey = STRANGER.parse().unwrap();
    assert_eq!(check_proof(&proof(3, None), &[stranger], None), Err(BadProof::Unsigned));
    let silent = check_proof(&proof(3, None), std::slice::from_ref(&LOG.key), Some(&LOG.anchor));
    assert!(
        matches!(silent, Err(BadProof::NotGrown { .. })),
        "who gives an anchor wants to know: {silent:?}"
    );
}

#[test]
fn nothing_is_proven_of_what_does_not_exist() {
    for selector in ["code/0:11", "code/1:0", "code/0:x"] {
        let refused = prove(LOG.state.path(), selector, None, &[]);
        assert!(matches!(refused, Err(AuditError::NoRecord { .. })), "{selector}: {refused:?}");
    }
}

#[test]
fn another_implementation_accepts_what_a_witness_is_sent() {
    // Size and root in the text of a note.
    let head = |note: &str| {
        let text = note.split("\n\n").next().unwrap().to_owned() + "\n";
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
        (checkpoint.size(), *checkpoint.hash())
    };
    let note: Vec<&str> = LOG.kept.lines().skip_while(|it| it.starts_with('#') || it.is_empty()).collect();
    let (from, before) = head(&note.join("\n"));
    let (hashes, checkpoint) = prove_growth(LOG.state.path(), "code/0", from).unwrap();
    let (size, after) = head(&checkpoint);
    assert_eq!((from, size), (6, 11));
    check_tree(&hashes.into_iter().map(Hash).collect(), size, after, from, before).unwrap();
}

#[tokio::test]
async fn a_log_that_is_shorter_than_what_was_kept_proves_nothing() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    write(&log, 3).await;
    let refused = prove(state.path(), "code/0:1", Some(&LOG.anchor), &[]);
    assert!(matches!(refused, Err(AuditError::Damaged { .. })), "the anchor is of another log: {refused:?}");
}

#[test]
fn an_anchor_that_no_key_signed_is_never_passed_over() {
    let text = heads(LOG.state.path()).unwrap().to_string();
    let forged = Anchor::parse("forged", &text.replace("\n11\n", "\n10\n")).unwrap();
    let with = |anchors| Verification { keys: vec![LOG.key.clone()], anchors, ..Verification::default() };
    assert_eq!(with(vec![LOG.anchor.clone()]).run(LOG.state.path()).unwrap().exit_code(), 0);
    let report = with(vec![forged]).run(LOG.state.path()).unwrap();
    assert_eq!(report.exit_code(), 1, "its root is none of this log's: {report}");
    assert!(report.to_string().contains("none of the keys signed"), "{report}");
}

#[test]
fn an_anchor_of_a_log_that_is_not_here_is_a_log_that_is_gone() {
    let empty = scratch();
    let with = Verification {
        keys: vec![LOG.key.clone()],
        anchors: vec![LOG.anchor.clone()],
        ..Verification::default()
    };
    let report = with.run(empty.path()).unwrap();
    assert_eq!(report.exit_code(), 1, "{report}");
    let receipt = format!(r#"{{"log":"bailiwick/code/0/00ff","index":3,"leaf":"{}"}}"#, "ab".repeat(32));
    let receipts = KeptReceipt::parse_all("kept", &receipt).unwrap();
    let with = Verification { keys: vec![LOG.key.clone()], receipts, ..Verification::default() };
    assert_eq!(with.run(LOG.state.path()).unwrap().exit_code(), 1);
}

#[test]
fn one_published_folder_answers_for_one_log() {
    let other = LOG.kept.split("\n\n").nth(1).unwrap().replace("code/0", "code/7");
    let text = format!("{}\n{other}\n\n\u{2014} nobody AAAAAAAA\n", LOG.kept);
    let anchors = vec![Anchor::parse("kept", &text).unwrap()];
    let with = Verification { keys: vec![LOG.key.clone()], anchors, ..Verification::default() };
    let folder = LOG.state.path().join("logs/code/0/tlog");
    let report = with.run_published(&folder).unwrap();
    assert_eq!(report.exit_code(), 3, "only the unsigned note is worth a look: {report}");
    let report = with.run_published(&LOG.state.path().join("logs")).unwrap();
    assert_eq!(report.exit_code(), 1, "a folder of all logs lacks one: {report}");
}

#[test]
fn no_log_at_all_is_not_called_intact() {
    let with = Verification { keys: vec![LOG.key.clone()], ..Verification::default() };
    assert_eq!(with.run(scratch().path()).unwrap().exit_code(), 3);
    assert_eq!(with.run_published(scratch().path()).unwrap().exit_code(), 3);
}

proptest! {
    #[test]
    fn a_changed_byte_of_a_proof_is_noticed(index in 0u64..11, at: Index, flip in 1u8..) {
        let mut bytes = proof(index, Some(&LOG.anchor)).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(check_proof(&text, std::slice::from_ref(&LOG.key), Some(&LOG.anchor)).is_err());
        }
    }
}
