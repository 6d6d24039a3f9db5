//! What a start makes of a journal that a crash left behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, os::unix::fs::FileExt, path::Path};

use proptest::prelude::*;

use audit::{AuditError, Event, Filter, Log, Options, records, verify};
use common::{
    entry,
    frames::{frames, rebuild},
    intent, open, open_small, scratch,
};

fn journal(state: &Path) -> std::path::PathBuf {
    state.join("logs/code/0/journal")
}

fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|it| *it != 0).unwrap() + 1
}

/// A log whose process was killed with one intent open: start, intent, read.
async fn killed(state: &Path) {
    let (log, _) = open_small(state);
    log.admit_effect([1; 32], intent()).await.unwrap();
    log.record(entry(Event::Read)).await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn damaged(opened: Result<(Log, audit::Opened), AuditError>) -> String {
    match opened {
        Err(error @ AuditError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn try_open(state: &Path) -> Result<(Log, audit::Opened), AuditError> {
    Log::open(state, "code", Options { reserve_bytes: 0, chunk_bytes: 1024, ..Options::default() })
}

#[tokio::test]
async fn a_commit_torn_at_any_byte_is_put_aside_and_nothing_before_it_is_lost() {
    let base = scratch();
    killed(base.path()).await;
    // The head as it was before the last commit, which nobody heard of.
    let old = fs::read(base.path().join("logs/code/0/head")).unwrap();
    let before = end_of(&fs::read(journal(base.path())).unwrap());
    let (log, _) = open_small(base.path());
    drop(log);
    let whole = fs::read(journal(base.path())).unwrap();
    let after = end_of(&whole);
    fs::write(base.path().join("logs/code/0/head"), old).unwrap();
    for end in before..after {
        let state = scratch();
        copy(base.path(), state.path());
        let mut torn = whole[..end].to_vec();
        torn.resize(whole.len(), 0);
        fs::write(journal(state.path()), &torn).unwrap();
        let (log, opened) = try_open(state.path()).unwrap();
        // A frame may end in zeros, which nobody can tell from room.
        let left = end_of(&torn).saturating_sub(before) as u64;
        assert_eq!(opened.cut.iter().map(|it| it.bytes).sum::<u64>(), left, "cut at {end}: {opened}");
        assert_eq!(opened.unknown, [1], "{opened}");
        log.close("end of test").await.unwrap();
        if end % 16 == 0 {
            let report = verify(state.path(), &[]).unwrap();
            assert_eq!(report.exit_code(), 0, "cut at {end}: {report}");
        }
        if left > 0 {
            let aside = fs::read(state.path().join("logs/code/0/torn-3-0")).unwrap();
            assert_eq!(aside, &torn[before..before + left as usize]);
            let all = records(state.path(), &Filter::default()).unwrap();
            let cut = &all[3].leaf["cut"][0];
            assert_eq!((&all[3].leaf["event"], &cut["bytes"]), (&"recovered".into(), &left.into()));
            assert_eq!(cut["sha256"], hex::encode(audit::digest(&aside)));
        }
    }
}

#[tokio::test]
async fn a_commit_whose_middle_was_lost_with_the_power_is_put_aside() {
    let state = scratch();
    killed(state.path()).await;
    let head = state.path().join("logs/code/0/head");
    let old = fs::read(&head).unwrap();
    let before = end_of(&fs::read(journal(state.path())).unwrap());
    drop(open_small(state.path()));
    fs::write(&head, old).unwrap();
    let file = fs::File::options().write(true).open(journal(state.path())).unwrap();
    file.write_all_at(&[0; 50], before as u64).unwrap();
    let (_log, opened) = try_open(state.path()).unwrap();
    assert_eq!(opened.cut.len(), 1, "{opened}");
}

#[tokio::test]
async fn what_a_start_put_aside_is_recorded_even_if_that_start_died() {
    let state = scratch();
    killed(state.path()).await;
    let folder = state.path().join("logs/code/0");
    fs::write(folder.join("torn-3-0"), b"left by a start that died before its commit").unwrap();
    let (_log, opened) = try_open(state.path()).unwrap();
    assert_eq!(opened.cut.iter().map(|it| it.bytes).collect::<Vec<_>>(), [43]);
}

#[tokio::test]
async fn a_changed_byte_in_an_acknowledged_commit_is_not_taken_for_a_crash() {
    let state = scratch();
    killed(state.path()).await;
    let bytes = fs::read(journal(state.path())).unwrap();
    let file = fs::File::options().write(true).open(journal(state.path())).unwrap();
    for at in (0..end_of(&bytes)).step_by(7) {
        file.write_all_at(&[bytes[at] ^ 0x40], at as u64).unwrap();
        let error = damaged(try_open(state.path()));
        assert!(error.contains("audit verify"), "byte {at}: {error}");
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
    }
    try_open(state.path()).unwrap();
}

#[tokio::test]
async fn a_record_that_was_changed_with_its_checksum_is_not_taken_for_a_crash() {
    let state = scratch();
    killed(state.path()).await;
    let mut all = frames(&fs::read(journal(state.path())).unwrap());
    let leaf = all.iter_mut().rfind(|it| it.kind == 2).unwrap();
    leaf.content = String::from_utf8(leaf.content.clone()).unwrap().replace("stdio", "stdin").into_bytes();
    fs::write(journal(state.path()), rebuild(&all)).unwrap();
    assert!(damaged(try_open(state.path())).contains("record 2"));
}

#[tokio::test]
async fn a_journal_shorter_than_its_head_does_not_open() {
    let state = scratch();
    killed(state.path()).await;
    let mut all = frames(&fs::read(journal(state.path())).unwrap());
    let last = all.iter().rposition(|it| it.kind == 2).unwrap();
    all.truncate(last);
    fs::write(journal(state.path()), rebuild(&all)).unwrap();
    assert!(damaged(try_open(state.path())).contains("2 intact records, but the head beside it shows 3"));
}

#[tokio::test]
async fn a_refused_log_is_not_passed_over_for_another() {
    let state = scratch();
    killed(state.path()).await;
    let file = fs::File::options().write(true).open(journal(state.path())).unwrap();
    file.write_all_at(b"x", 20).unwrap();
    damaged(try_open(state.path()));
    assert!(!state.path().join("logs/code/1").exists());
}

#[tokio::test]
async fn a_log_is_gone_on_with_only_in_its_own_place() {
    let state = scratch();
    killed(state.path()).await;
    let (zero, one) = (state.path().join("logs/code/0"), state.path().join("logs/code/1"));
    copy(&zero, &one);
    let _held = fs::File::open(zero.join("lock")).inspect(|it| it.lock().unwrap()).unwrap();
    let problem = damaged(try_open(state.path()));
    assert!(problem.contains("does not belong there"), "{problem}");
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 1);
}

#[tokio::test]
async fn a_copy_in_another_place_shows_how_long_a_log_was() {
    let (state, earlier) = (scratch(), scratch());
    killed(state.path()).await;
    let (zero, one) = (state.path().join("logs/code/0"), state.path().join("logs/code/1"));
    copy(&zero, earlier.path());
    let (log, _) = open_small(state.path());
    log.close("end of test").await.unwrap();
    fs::rename(&zero, &one).unwrap();
    copy(earlier.path(), &zero);
    let problem = damaged(try_open(state.path()));
    assert!(problem.contains("a log beside it shows"), "{problem}");
}

#[tokio::test]
async fn a_head_that_a_witness_cosigned_is_not_gone_below() {
    let (state, earlier) = (scratch(), scratch());
    killed(state.path()).await;
    let zero = state.path().join("logs/code/0");
    copy(&zero, earlier.path());
    let (log, _) = open_small(state.path());
    log.close("end of test").await.unwrap();
    let note = audit::heads(state.path()).unwrap().to_string();
    let note = &note[note.find("bailiwick/code").unwrap()..];
    fs::remove_dir_all(&zero).unwrap();
    copy(earlier.path(), &zero);
    fs::create_dir_all(zero.join("cosigned")).unwrap();
    // Whatever the witness's line is worth: the log's own key has signed it.
    fs::write(zero.join("cosigned/00ff00ff"), note).unwrap();
    let problem = damaged(try_open(state.path()));
    assert!(problem.contains("a witness cosigned shows"), "{problem}");
}

#[tokio::test]
async fn a_log_without_its_head_is_read_as_a_whole() {
    let state = scratch();
    killed(state.path()).await;
    fs::remove_file(state.path().join("logs/code/0/head")).unwrap();
    let (_log, opened) = try_open(state.path()).unwrap();
    assert_eq!(opened.unknown, [1], "{opened}");
}

#[tokio::test]
async fn a_first_start_that_died_before_its_commit_leaves_no_log_behind() {
    let state = scratch();
    killed(state.path()).await;
    let bytes = fs::read(journal(state.path())).unwrap();
    fs::write(journal(state.path()), &bytes[..100]).unwrap();
    fs::remove_file(state.path().join("logs/code/0/head")).unwrap();
    let (log, opened) = try_open(state.path()).unwrap();
    assert!(opened.created && opened.cut.len() == 1, "{opened}");
    log.close("end of test").await.unwrap();
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 0);
}

#[tokio::test]
async fn a_long_journal_is_continued_from_its_head() {
    let state = scratch();
    let (log, _) = open(state.path());
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    let mut large = entry(Event::Read);
    large.payload = serde_json::json!({ "text": "x".repeat(200_000) });
    for _ in 0..25 {
        log.record(large.clone()).await.unwrap();
    }
    drop(log);
    let (log, opened) = open(state.path());
    assert_eq!((opened.size, opened.unknown.as_slice()), (30, [index].as_slice()), "{opened}");
    log.close("end of test").await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
}

/// What somebody could do to a journal: overwrite, take out, put in, append.
fn spoil(bytes: &mut Vec<u8>, at: usize, what: u8, with: &[u8]) {
    let end = end_of(bytes);
    let at = at % end;
    let until = (at + with.len()).min(end);
    match what {
        0 => bytes[at..until].copy_from_slice(&with[..until - at]),
        1 => drop(bytes.drain(at..until)),
        2 => drop(bytes.splice(at..at, with.iter().copied())),
        _ => drop(bytes.splice(end.., with.iter().copied())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_stands_in_a_journal_is_judged_and_never_taken_for_what_was_written(
        at in any::<usize>(),
        what in 0u8..4,
        with in proptest::collection::vec(any::<u8>(), 1..400),
    ) {
        let state = scratch();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(killed(state.path()));
        let written = fs::read(journal(state.path())).unwrap();
        let mut bytes = written.clone();
        spoil(&mut bytes, at, what, &with);
        fs::write(journal(state.path()), &bytes).unwrap();
        let report = verify(state.path(), &[]).unwrap();
        prop_assert_ne!(report.exit_code(), 0, "a killed log alone is a finding");
        let same = bytes[..end_of(&bytes)] == written[..end_of(&written)];
        let _ = records(state.path(), &Filter::default());
        match try_open(state.path()) {
            // Everything that was acknowledged is still there: start, intent, read.
            Ok((_log, opened)) => prop_assert!(opened.size > 3 && !opened.created, "{}", opened),
            Err(error) => prop_assert!(!same && matches!(error, AuditError::Damaged { .. }), "{}", error),
        }
    }
}
