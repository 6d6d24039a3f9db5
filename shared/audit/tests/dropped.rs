//! A log whose first segments were dropped is verified from what was published of it, and every file of it counts.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use audit::{
    Anchor, Event, Log, Options, Publishing, Report, Verification, VerifyingKey, check_proof, heads, prove,
    verify,
};
use common::{entry, forge::copy, scratch};

/// A closed log in many segments, the first of them gone, and what was kept of it.
struct Long {
    state: tempfile::TempDir,
    key: VerifyingKey,
    anchor: Anchor,
}

static LONG: LazyLock<Long> = LazyLock::new(|| {
    let state = scratch();
    let publishing =
        Publishing { every: Some(Duration::from_millis(1)), keep_segments: Some(2), ..Publishing::default() };
    let options = Options {
        publishing,
        chunk_bytes: 1024,
        reserve_bytes: 0,
        segment_bytes: 32 << 10,
        ..Options::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (log, _) = Log::open(state.path(), "code", options).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while state.path().join("logs/code/0/journal").exists() {
            assert!(Instant::now() < deadline, "the first segment is dropped");
            for _ in 0..600 {
                log.record(entry(Event::Read)).await.unwrap();
            }
        }
        log.close("end of test").await.unwrap();
    });
    let key = verify(state.path(), &[]).unwrap().keys[0].parse().unwrap();
    let anchor = Anchor::parse("kept", &heads(state.path()).unwrap().to_string()).unwrap();
    Long { state, key, anchor }
});

impl Long {
    fn verify(&self, state: &Path) -> Report {
        let (keys, anchors) = (vec![self.key.clone()], vec![self.anchor.clone()]);
        Verification { keys, anchors, ..Verification::default() }.run(state).unwrap()
    }

    /// The report on a copy that something was done to.
    fn after(&self, harm: impl FnOnce(&Path)) -> Report {
        let other = scratch();
        copy(self.state.path(), other.path());
        harm(&other.path().join("logs/code/0"));
        self.verify(other.path())
    }
}

fn segments(log: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(log).unwrap().map(|it| it.unwrap().path()).collect();
    found.retain(|it| it.file_name().unwrap().to_str().unwrap().starts_with("journal"));
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn altered(report: &Report) -> (u64, &str) {
    let it = report.logs[0].altered.as_ref().unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report.exit_code(), 1, "{report}");
    (it.index, &it.problem)
}

#[test]
fn records_of_dropped_segments_are_verified_with_their_payloads() {
    let report = LONG.verify(LONG.state.path());
    assert_eq!(report.exit_code(), 0, "{report}");
    let log = &report.logs[0];
    assert!(log.dropped > 0 && log.anchored == log.records, "{report}");
    assert_eq!(log.payloads.checked, log.records - 2, "all but start and stop: {report}");
}

#[test]
fn a_record_of_a_dropped_segment_is_proven() {
    let proof =
        prove(LONG.state.path(), "code/0:1", Some(&LONG.anchor), std::slice::from_ref(&LONG.key)).unwrap();
    let proven =
        check_proof(&proof.to_string(), std::slice::from_ref(&LONG.key), Some(&LONG.anchor)).unwrap();
    assert_eq!((proven.index, &proven.record["event"]), (1, &"read".into()));
}

#[test]
fn every_file_of_a_dropped_segment_counts() {
    let bundle = LONG.after(|log| flip(&log.join("tlog/tile/entries/000"), 40));
    assert_eq!(altered(&bundle).0, 0, "{bundle}");
    let tile = LONG.after(|log| flip(&log.join("tlog/tile/0/000"), 40));
    assert_eq!(altered(&tile).0, 1, "{tile}");
    let payload = LONG.after(|log| flip(&log.join("payloads/000"), 40));
    assert_eq!(altered(&payload).0, 1, "{payload}");
    let more = LONG.after(|log| {
        let path = log.join("payloads/000");
        fs::write(&path, [fs::read(&path).unwrap(), vec![0]].concat()).unwrap();
    });
    assert_eq!(altered(&more).0, 255, "what readers refuse is not intact: {more}");
    let missing = LONG.after(|log| fs::remove_file(log.join("tlog/tile/entries/000")).unwrap());
    assert_eq!(altered(&missing).0, 0, "{missing}");
    let missing = LONG.after(|log| fs::remove_file(log.join("payloads/000")).unwrap());
    assert_eq!(altered(&missing).0, 0, "{missing}");
    let missing = LONG.after(|log| fs::remove_dir_all(log.join("tlog")).unwrap());
    assert_eq!(altered(&missing).0, 0, "{missing}");
}

#[test]
fn segments_that_were_not_dropped_are_missed_and_their_seams_checked() {
    let middle = LONG.after(|log| fs::remove_file(&segments(log)[1]).unwrap());
    assert!(altered(&middle).1.contains("a segment goes on"), "{middle}");
    let last = LONG.after(|log| fs::remove_file(segments(log).last().unwrap()).unwrap());
    assert_eq!(last.exit_code(), 1, "{last}");
    let all = LONG.after(|log| segments(log).iter().for_each(|it| fs::remove_file(it).unwrap()));
    assert_eq!(all.exit_code(), 1, "{all}");
    let seam = LONG.after(|log| flip(&segments(log)[1], 60));
    assert_eq!(seam.exit_code(), 1, "{seam}");
    let other = LONG.after(|log| {
        let paths = segments(log);
        fs::copy(&paths[0], &paths[1]).unwrap();
    });
    assert_eq!(other.exit_code(), 1, "{other}");
}

#[test]
fn what_is_published_is_verified_without_the_rest() {
    let with = Verification { keys: vec![LONG.key.clone()], ..Verification::default() };
    let log = LONG.state.path().join("logs/code/0/tlog");
    let report = with.run_published(&log).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(report.logs[0].records, LONG.verify(LONG.state.path()).logs[0].records);
    assert!(report.to_string().contains("payloads, whose keys are not here"), "{report}");
}
