//! Any bytes in place of one file of a published folder: no panic, no memory that they ask for, always altered.

#![no_main]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use audit::{Log, Options, Verification, VerifyingKey};
use libfuzzer_sys::fuzz_target;

struct Real {
    state: tempfile::TempDir,
    key: VerifyingKey,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (log, opened) = Log::open(state.path(), "code", Options::default()).expect("a new log");
    runtime.block_on(log.close("end of test")).expect("it is open");
    let mut files = Vec::new();
    collect(&state.path().join("logs/code/0/tlog"), &mut files);
    Real { key: opened.key.parse().expect("a key"), files, state }
});

fn collect(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("it was published").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push((path.clone(), fs::read(&path).expect("it was published"))),
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (which, bytes) = input;
    let (path, before) = &REAL.files[usize::from(which) % REAL.files.len()];
    let with = Verification { keys: vec![REAL.key.clone()], ..Verification::default() };
    fs::write(path, bytes).expect("it can be written");
    let report = with.run_published(&REAL.state.path().join("logs/code/0/tlog"));
    fs::write(path, before).expect("it can be written");
    let report = report.expect("it can be read");
    assert!(bytes == before || report.exit_code() == 1, "{}: {report}", path.display());
});
