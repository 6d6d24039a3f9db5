//! Any bytes as a journal, and as what stands behind a real one: no panic, no memory that they ask for, never intact.

#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use audit::{Log, Options, Transition, Verification, VerifyingKey};
use libfuzzer_sys::fuzz_target;

struct Real {
    state: tempfile::TempDir,
    key: VerifyingKey,
    journal: Vec<u8>,
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let options = Options { chunk_bytes: 1024, ..Options::default() };
    let (log, opened) = Log::open(state.path(), "code", options).expect("a new log");
    for (what, step) in STEPS {
        runtime.block_on(log.transition(transition(what, step))).expect("it is open");
    }
    runtime.block_on(log.close("end of test")).expect("it is open");
    let journal = fs::read(state.path().join("logs/code/0/journal")).expect("it was written");
    let end = journal.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    Real { key: opened.key.parse().expect("a key"), journal: journal[..end].to_vec(), state }
});

/// Steps that fit together: what is written here verifies.
const STEPS: [(&str, &str); 7] = [
    ("approval", "asked"),
    ("approval", "approved"),
    ("approval", "reserved"),
    ("approval", "consumed"),
    ("stop", "stopped"),
    ("break_glass", "opened"),
    ("policy", "taken"),
];

fn transition(what: &'static str, step: &'static str) -> Transition {
    Transition {
        what,
        step,
        reference: Some("a1".to_owned()),
        subject: "person:bob".to_owned(),
        channel: "http",
        assurance: "token",
        policy: [2; 32],
        call: [1; 32],
        payload: Default::default(),
    }
}

fn journal() -> PathBuf {
    REAL.state.path().join("logs/code/0/journal")
}

fuzz_target!(|bytes: &[u8]| {
    let with = Verification { keys: vec![REAL.key.clone()], ..Verification::default() };
    // With a real beginning every second time: without one few inputs come past the header.
    let (behind, bytes) = bytes.split_first().map_or((false, bytes), |(first, rest)| (first % 2 == 1, rest));
    let all = if behind { [&REAL.journal, bytes].concat() } else { bytes.to_vec() };
    fs::write(journal(), &all).expect("it can be written");
    let same = all.starts_with(&REAL.journal) && all[REAL.journal.len()..].iter().all(|it| *it == 0);
    let report = with.run(REAL.state.path()).expect("it can be read");
    assert!(same || report.exit_code() != 0, "{report}");
});
