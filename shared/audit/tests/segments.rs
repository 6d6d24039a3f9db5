//! A journal that goes on from file to file, and loses the first of them on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use audit::{AuditError, Event, Filter, Follow, Log, Opened, Options, Payload, Publishing, records, show};
use common::{entry, intent, scratch};

fn options(keep_segments: Option<u32>) -> Options {
    let every = Some(Duration::from_millis(1));
    let publishing = Publishing { every, keep_segments, ..Publishing::default() };
    Options { publishing, chunk_bytes: 1024, reserve_bytes: 0, segment_bytes: 24 << 10, ..Options::default() }
}

fn open(state: &Path) -> (Log, Opened) {
    Log::open(state, "code", options(None)).unwrap()
}

fn folder(state: &Path) -> PathBuf {
    state.join("logs/code/0")
}

/// Names of the segments, in order.
fn segments(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder(state)).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|it| it.starts_with("journal")).collect();
    names.sort();
    names
}

/// Whether all went that may go: the last bundle of 256 is not full, so the segments that reach into it stay.
fn dropped(state: &Path) -> bool {
    !folder(state).join("journal").exists() && segments(state).len() < 16
}

async fn write(log: &Log, count: usize) -> u64 {
    let mut last = 0;
    for _ in 0..count {
        last = log.record(entry(Event::Read)).await.unwrap().index();
    }
    last
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn damaged(state: &Path) -> String {
    match Log::open(state, "code", options(None)) {
        Err(error @ AuditError::Damaged { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_log_goes_on_from_segment_to_segment_and_is_read_as_one() {
    let state = scratch();
    let (log, _) = open(state.path());
    let mut follow = Follow::from_start(state.path(), Filter::default());
    let mut followed = follow.poll().unwrap();
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    for _ in 0..10 {
        write(&log, 20).await;
        followed.extend(follow.poll().unwrap());
    }
    drop(log);
    assert!(segments(state.path()).len() > 3, "{:?}", segments(state.path()));
    let (log, opened) = open(state.path());
    assert!(opened.taken_over && opened.cut.is_empty(), "{opened}");
    assert_eq!(opened.unknown, [index], "its intent stands in the first segment");
    write(&log, 100).await;
    log.close("end of test").await.unwrap();
    followed.extend(follow.poll().unwrap());
    let all = records(state.path(), &Filter::default()).unwrap();
    assert_eq!(all.len(), 1 + 1 + 200 + 3 + 100 + 1);
    assert!(all.iter().enumerate().all(|(at, it)| it.index == at as u64));
    assert!(followed == all, "whoever follows sees each record once");
    for record in all.iter().step_by(37) {
        assert_eq!(show(state.path(), &format!("code/0:{}", record.index)).unwrap(), *record);
    }
    let outcome = all.iter().find(|it| it.leaf["outcome"] == "unknown").unwrap();
    assert_eq!((&outcome.leaf["tool"], &outcome.leaf["intent"]), (&"list_commits".into(), &index.into()));
    let (_log, opened) = open(state.path());
    assert!(!opened.taken_over, "{opened}");
}

#[tokio::test]
async fn a_journal_of_one_file_goes_on_in_segments() {
    let state = scratch();
    let whole = Options { segment_bytes: u64::MAX, ..options(None) };
    let (log, _) = Log::open(state.path(), "code", whole).unwrap();
    write(&log, 100).await;
    log.close("end of test").await.unwrap();
    assert_eq!(segments(state.path()), ["journal"]);
    // What earlier programs wrote says nothing of segments and was never published.
    fs::remove_dir_all(folder(state.path()).join("tlog")).unwrap();
    let head = fs::read_to_string(folder(state.path()).join("head")).unwrap();
    assert!(head.contains("\"segment\":0"), "{head}");
    let (log, opened) = open(state.path());
    assert!(!opened.taken_over && opened.size == 103, "{opened}");
    write(&log, 100).await;
    log.close("end of test").await.unwrap();
    assert!(segments(state.path()).len() > 1);
    assert_eq!(records(state.path(), &Filter::default()).unwrap().len(), 204);
    let checkpoint = fs::read_to_string(folder(state.path()).join("tlog/checkpoint")).unwrap();
    assert_eq!(checkpoint.lines().nth(1), Some("204"));
}

#[tokio::test]
async fn a_segment_that_is_gone_cut_or_changed_is_not_taken_for_a_crash() {
    let state = scratch();
    let (log, _) = open(state.path());
    write(&log, 200).await;
    log.close("end of test").await.unwrap();
    let names = segments(state.path());
    let path = |at: usize| folder(state.path()).join(&names[at]);
    let moved = state.path().join("moved");
    fs::rename(path(1), &moved).unwrap();
    assert!(damaged(state.path()).contains("a segment that begins with record"));
    fs::rename(&moved, path(1)).unwrap();
    // The last one: what is left is less than the head shows.
    fs::rename(path(names.len() - 1), &moved).unwrap();
    assert!(damaged(state.path()).contains("the head beside it shows"));
    fs::rename(&moved, path(names.len() - 1)).unwrap();
    for at in 0..names.len() {
        let bytes = fs::read(path(at)).unwrap();
        let file = fs::File::options().write(true).open(path(at)).unwrap();
        let end = bytes.iter().rposition(|it| *it != 0).unwrap();
        for byte in [0, 12, 60, end / 2, end].into_iter().filter(|it| *it <= end) {
            file.write_all_at(&[bytes[byte] ^ 0x40], byte as u64).unwrap();
            damaged(state.path());
            file.write_all_at(&[bytes[byte]], byte as u64).unwrap();
        }
        let shorter = end as u64 - 20;
        file.set_len(shorter).unwrap();
        damaged(state.path());
        file.write_all_at(&bytes[shorter as usize..], shorter).unwrap();
    }
    let (_log, opened) = open(state.path());
    assert!(!opened.taken_over, "{opened}");
}

#[tokio::test]
async fn fewer_records_than_were_published_are_not_taken_for_a_crash() {
    let state = scratch();
    let (log, _) = open(state.path());
    write(&log, 10).await;
    drop(log);
    let journal = folder(state.path()).join("journal");
    let before = fs::read(&journal).unwrap();
    let (log, _) = open(state.path());
    write(&log, 10).await;
    log.close("end of test").await.unwrap();
    fs::write(&journal, before).unwrap();
    fs::remove_file(folder(state.path()).join("head")).unwrap();
    assert!(damaged(state.path()).contains("its published checkpoint shows 24"), "{}", damaged(state.path()));
}

#[tokio::test]
async fn what_was_dropped_is_still_read_and_followed() {
    let state = scratch();
    let (log, _) = Log::open(state.path(), "code", options(Some(1))).unwrap();
    let mut follow = Follow::from_start(state.path(), Filter::default());
    let mut late = Follow::from_start(state.path(), Filter::default());
    let mut followed = Vec::new();
    let mut lated = late.poll().unwrap();
    for _ in 0..12 {
        write(&log, 60).await;
        followed.extend(follow.poll().unwrap());
    }
    wait_until("segments to be dropped", || dropped(state.path()));
    log.close("end of test").await.unwrap();
    followed.extend(follow.poll().unwrap());
    lated.extend(late.poll().unwrap());
    let all = records(state.path(), &Filter::default()).unwrap();
    assert_eq!(all.len(), 722);
    assert!(all.iter().enumerate().all(|(at, it)| it.index == at as u64));
    assert!(all.iter().all(|it| matches!(it.payload, Payload::Opened(_)) == (it.leaf["event"] == "read")));
    assert!(followed == all && lated == all, "{} {}", followed.len(), lated.len());
    for index in [0, 1, 255, 256, 500, 721] {
        assert_eq!(show(state.path(), &format!("code/0:{index}")).unwrap(), all[index]);
    }
    assert!(matches!(show(state.path(), "code/0:722"), Err(AuditError::NoRecord { .. })));
    let bundle = folder(state.path()).join("tlog/tile/entries/001");
    let bytes = fs::read(&bundle).unwrap();
    fs::remove_file(&bundle).unwrap();
    let error = records(state.path(), &Filter::default()).unwrap_err().to_string();
    assert!(error.contains("tlog/tile/entries/001"), "nothing is left out silently: {error}");
    fs::write(&bundle, bytes).unwrap();
    // And the log goes on, also where its head is gone.
    for spoil in [false, true] {
        if spoil {
            fs::remove_file(folder(state.path()).join("head")).unwrap();
        }
        let (log, opened) = Log::open(state.path(), "code", options(Some(1))).unwrap();
        assert!(!opened.taken_over && !opened.created, "{opened}");
        write(&log, 300).await;
        log.close("end of test").await.unwrap();
    }
    assert_eq!(records(state.path(), &Filter::default()).unwrap().len(), 722 + 2 * 302);
}

#[tokio::test]
async fn a_segment_with_an_open_intent_is_kept() {
    let state = scratch();
    let (log, _) = Log::open(state.path(), "code", options(Some(0))).unwrap();
    let intent = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    write(&log, 700).await;
    let size = || log.published().first().map_or(0, |it| it.size);
    wait_until("all of it to be published", || size() == 702);
    assert!(segments(state.path()).len() > 5, "{:?}", segments(state.path()));
    log.record(entry(Event::Outcome { intent })).await.unwrap();
    wait_until("segments to be dropped", || dropped(state.path()));
    drop(log);
    let (_log, opened) = open(state.path());
    assert!(opened.unknown.is_empty(), "{opened}");
}

#[tokio::test]
async fn a_segment_that_a_crash_left_unnamed_is_nothing() {
    let state = scratch();
    let (log, _) = open(state.path());
    write(&log, 20).await;
    drop(log);
    fs::write(folder(state.path()).join(".journal-next"), b"half of a seg").unwrap();
    let (log, opened) = open(state.path());
    assert!(opened.cut.is_empty(), "{opened}");
    write(&log, 100).await;
    assert!(segments(state.path()).len() > 1);
}
