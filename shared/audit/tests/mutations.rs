//! Whatever bytes stand where a log should: no panic, no memory that they ask for, and never a verdict of intact.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use audit::{Event, Verification, VerifyingKey, verify};
use common::{entry, intent, open_small, scratch, transition};
use proptest::{collection, prelude::*, sample::Index};

/// A closed log of 300 records, more than a tile holds: every file of its folder that is for verifiers.
struct Original {
    state: tempfile::TempDir,
    key: VerifyingKey,
    /// Names below the log's folder, and bytes without the room behind them.
    files: Vec<(PathBuf, Vec<u8>)>,
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let state = scratch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (log, _) = open_small(state.path());
        // Together, so that they share commits.
        let write = || {
            let log = log.clone();
            tokio::spawn(async move { log.record(entry(Event::Read)).await.unwrap() })
        };
        let written: Vec<_> = (0..292).map(|_| write()).collect();
        for it in written {
            it.await.unwrap();
        }
        let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
        log.record(entry(Event::Outcome { intent: index })).await.unwrap();
        for step in ["asked", "approved", "reserved", "consumed"] {
            log.transition(transition("approval", step)).await.unwrap();
        }
        log.close("end of test").await.unwrap();
    });
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    let key = report.keys[0].parse().unwrap();
    let log = state.path().join("logs/code/0");
    let mut files = vec![(PathBuf::from("journal"), written(&log.join("journal")))];
    collect(&log, &log.join("tlog"), &mut files);
    Original { state, key, files }
});

/// Bytes of a file up to the last that is not zero.
fn written(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    bytes
}

fn collect(log: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(log, &path, files),
            // Partial tiles of earlier checkpoints stand there too, and nobody needs them any more.
            false if path.parent().unwrap().ends_with("000.p") && !path.ends_with("tile/1/000.p/1") => {}
            false if path.parent().unwrap().ends_with("001.p") && !path.ends_with("44") => {}
            false => files.push((path.strip_prefix(log).unwrap().to_owned(), fs::read(&path).unwrap())),
        }
    }
}

/// Something that is done to a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize),
    Zero(Index, usize),
    Replace(Vec<u8>),
}

fn any_change() -> impl Strategy<Value = Change> {
    let bytes = collection::vec(any::<u8>(), 1..64);
    prop_oneof![
        4 => (any::<Index>(), 1u8..).prop_map(|(at, with)| Change::Flip(at, with)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), 1usize..2000).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), bytes.clone()).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (any::<Index>(), 1usize..2000).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => (any::<Index>(), 1usize..2000).prop_map(|(at, count)| Change::Zero(at, count)),
        1 => bytes.prop_map(Change::Replace),
    ]
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let end = |at: usize, count: usize, bytes: &[u8]| (at + count).min(bytes.len());
    match change {
        Change::Replace(with) => *bytes = with.clone(),
        _ if bytes.is_empty() => {}
        Change::Flip(at, with) => {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Change::Remove(at, count) => {
            let at = at.index(bytes.len());
            bytes.drain(at..end(at, *count, bytes));
        }
        Change::Insert(at, with) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, with.iter().copied());
        }
        Change::Repeat(at, count) => {
            let at = at.index(bytes.len());
            let again = bytes[at..end(at, *count, bytes)].to_vec();
            bytes.splice(at..at, again);
        }
        Change::Zero(at, count) => {
            let at = at.index(bytes.len());
            let end = end(at, *count, bytes);
            bytes[at..end].fill(0);
        }
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_never_intact(file: Index, changes in collection::vec(any_change(), 1..4)) {
        let original = &*ORIGINAL;
        let (name, before) = &original.files[file.index(original.files.len())];
        let mut after = before.clone();
        changes.iter().for_each(|it| apply(it, &mut after));
        // Zeros behind a journal are room, and say nothing.
        let same = if name == Path::new("journal") { trimmed(&after) == before } else { after == *before };
        prop_assume!(!same);
        let path = original.state.path().join("logs/code/0").join(name);
        fs::write(&path, &after).unwrap();
        let with = Verification { keys: vec![original.key.clone()], ..Verification::default() };
        let report = with.run(original.state.path());
        let alone = with.run_published(&original.state.path().join("logs/code/0"));
        fs::write(&path, before).unwrap();
        let report = report.unwrap();
        prop_assert_ne!(report.exit_code(), 0, "{}: {}", name.display(), report);
        if name.starts_with("tlog") {
            prop_assert_eq!(alone.unwrap().exit_code(), 1, "{}", name.display());
        }
    }
}
