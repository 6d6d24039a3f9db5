//! Logs that are sent to a collector without a network, and deliveries put together by hand.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use audit::{
    Collect, Collector, Declined, Event, Log, Options, Publishing, Report, TargetError, Verification,
    VerifyingKey,
};
use ed25519_dalek::SigningKey;

use super::{
    entry,
    forge::{CHECKPOINT, LEAF, replace_key},
    frames::{Frame, frames as split, rebuild},
    intent, open, scratch,
};

/// A collector that is reached without a network.
pub(crate) struct Near {
    pub(crate) collector: Mutex<Option<Collector>>,
    folder: PathBuf,
}

impl Near {
    pub(crate) fn open(folder: &Path) -> Arc<Near> {
        let collector = Mutex::new(Some(collector(folder)));
        Arc::new(Near { collector, folder: folder.to_owned() })
    }

    pub(crate) fn take(&self, delivery: &[u8]) -> Result<u64, Declined> {
        let collector = self.collector.lock().unwrap();
        collector.as_ref().expect("it is up").take("ci", delivery).map(|it| it.size)
    }

    pub(crate) fn go_down(&self) {
        self.collector.lock().unwrap().take();
    }

    pub(crate) fn come_back(&self) {
        *self.collector.lock().unwrap() = Some(collector(&self.folder));
    }
}

impl std::fmt::Debug for Near {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Near")
    }
}

impl Collect for Near {
    fn name(&self) -> String {
        "near".to_owned()
    }

    fn deliver(&self, delivery: Vec<u8>) -> Result<(u16, String), TargetError> {
        let collector = self.collector.lock().unwrap();
        let collector = collector.as_ref().ok_or(TargetError("it is down".to_owned()))?;
        Ok(match collector.take("ci", &delivery) {
            Ok(held) => (200, held.body()),
            Err(Declined::Elsewhere { size }) => (409, size.to_string()),
            Err(declined) => (declined.status(), declined.to_string()),
        })
    }
}

pub(crate) fn collector(folder: &Path) -> Collector {
    let senders = ["ci", "lab"].map(|it| (it.to_owned(), Vec::new()));
    Collector::open(folder, BTreeMap::from(senders)).unwrap()
}

pub(crate) fn options(near: &Arc<Near>) -> Options {
    let publishing = Publishing { collector: Some(near.clone()), ..Publishing::default() };
    Options { publishing, chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() }
}

/// Runs a log of one effect and some reads, from its start to its stop.
pub(crate) async fn run(state: &Path, options: Options, reads: usize) {
    let (log, _) = Log::open(state, "code", options).unwrap();
    let admission = log.admit_effect([1; 32], intent()).await.unwrap();
    let index = admission.intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    for _ in 0..reads {
        log.record(entry(Event::Read)).await.unwrap();
    }
    log.close("end of test").await.unwrap();
}

pub(crate) fn report(collected: &Path) -> Report {
    Verification::default().run_collected(collected).unwrap()
}

/// Frames of a journal, as they stand there.
pub(crate) fn journal(state: &Path) -> Vec<u8> {
    let mut bytes = fs::read(state.join("logs/code/0/journal")).unwrap();
    bytes.truncate(bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    bytes
}

pub(crate) fn head(state: &Path, key: Option<&VerifyingKey>, from: u64) -> Vec<u8> {
    let text = String::from_utf8(split(&journal(state))[0].content.clone()).unwrap();
    let key = key.cloned().unwrap_or_else(|| audit::key_beside(state).unwrap());
    format!("bailiwick delivery v1\norigin {}\nkey {key}\nfrom {from}\n\n", text.lines().nth(1).unwrap())
        .into_bytes()
}

pub(crate) fn whole(state: &Path) -> Vec<u8> {
    [head(state, None, 0), journal(state)].concat()
}

pub(crate) fn leaves(frames: &[Frame]) -> u64 {
    frames.iter().filter(|it| it.kind == LEAF).count() as u64
}

/// These frames and nothing behind them.
pub(crate) fn join(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = rebuild(frames);
    bytes.truncate(bytes.len() - 4096);
    bytes
}

/// Where commits end, in frames.
pub(crate) fn commits(frames: &[Frame]) -> Vec<usize> {
    frames.iter().enumerate().filter(|(_, it)| it.kind == CHECKPOINT).map(|(at, _)| at + 1).collect()
}

/// How others know a signing key.
pub(crate) fn vkey(key: &SigningKey) -> VerifyingKey {
    let state = scratch();
    drop(open(state.path()));
    replace_key(state.path(), key);
    audit::key_beside(state.path()).unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir_all(&to).unwrap();
                copy(&entry.path(), &to);
            }
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

pub(crate) fn find(folder: &Path, name: &str) -> PathBuf {
    let mut below = vec![folder.to_owned()];
    while let Some(folder) = below.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => below.push(path),
                path if path.ends_with(name) => return path,
                _ => {}
            }
        }
    }
    panic!("no {name}")
}
