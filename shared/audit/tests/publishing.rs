//! What is published convinces programs that are not ours, and follows the journal by itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use audit::{Event, Filter, Folder, Log, Options, Publishing, Target, Verification, key_beside, records};
use common::{entry, forge::copy, open_small, scratch};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Hash, Tile, TileHashReader, TileReader, tlog};

fn options(targets: Vec<Arc<dyn Target>>) -> Options {
    let every = Some(Duration::from_millis(1));
    Options { publishing: Publishing { every, targets, ..Publishing::default() }, ..Options::default() }
}

fn tlog_folder(state: &Path) -> PathBuf {
    state.join("logs/code/0/tlog")
}

/// Reads tiles from a folder as a client of any static file server would.
struct Served(PathBuf);

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        // The oracle's paths hold the height of its tiles as well.
        let path = |tile: &Tile| self.0.join(tile.path().replacen("tile/8/", "tile/", 1));
        Ok(tiles.iter().map(|it| fs::read(path(it)).unwrap()).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The checkpoint in a folder, its signature checked by the oracle.
fn checkpoint(folder: &Path, key: &str) -> Checkpoint {
    let note = Note::from_bytes(&fs::read(folder.join("checkpoint")).unwrap()).unwrap();
    let key = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    let (valid, others) = note.verify(&key).unwrap();
    assert_eq!((valid.len(), others.len()), (1, 0));
    Checkpoint::from_bytes(note.text()).unwrap()
}

/// Entries of a bundle, read a second time from the specification.
fn entries(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let [high, low, rest @ ..] = bundle {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        found.push(rest[..length].to_vec());
        bundle = &rest[length..];
    }
    found
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_is_published_is_accepted_by_programs_that_are_not_ours() {
    let state = scratch();
    let (log, opened) = Log::open(state.path(), "code", options(Vec::new())).unwrap();
    let mut before: Option<Checkpoint> = None;
    for more in [1, 3, 251, 1, 1, 300] {
        for _ in 0..more {
            log.record(entry(Event::Read)).await.unwrap();
        }
        let size = before.as_ref().map_or(1, Checkpoint::size) + more;
        wait_until("it to be published", || log.published()[0].size == size);
        let folder = tlog_folder(state.path());
        let now = checkpoint(&folder, &opened.key);
        assert_eq!((now.origin(), now.size(), now.extension()), (opened.origin.as_str(), size, ""));
        let served = Served(folder.clone());
        let reader = TileHashReader::new(now.size(), *now.hash(), &served);
        if let Some(before) = &before {
            let proof = tlog::prove_tree(now.size(), before.size(), &reader).unwrap();
            tlog::check_tree(&proof, now.size(), *now.hash(), before.size(), *before.hash()).unwrap();
        }
        let all = records(state.path(), &Filter::default()).unwrap();
        for record in all.iter().rev().step_by(50) {
            let proof = tlog::prove_record(now.size(), record.index, &reader).unwrap();
            let leaf: [u8; 32] = hex::decode(&record.leaf_hash).unwrap().try_into().unwrap();
            tlog::check_record(&proof, now.size(), *now.hash(), record.index, Hash(leaf)).unwrap();
        }
        before = Some(now);
    }
    let bundle = entries(&fs::read(tlog_folder(state.path()).join("tile/entries/001")).unwrap());
    let all = records(state.path(), &Filter::default()).unwrap();
    for (entry, record) in bundle.iter().zip(&all[256..]) {
        assert_eq!(hex::encode(tlog::record_hash(entry).0), record.leaf_hash);
    }
    assert_eq!(bundle.len(), 256);
    assert!(!tlog_folder(state.path()).join("tile/entries/001.p").exists(), "it is full");
    log.close("end of test").await.unwrap();
    assert_eq!(checkpoint(&tlog_folder(state.path()), &opened.key).size(), 559);
}

#[tokio::test]
async fn a_log_that_was_killed_is_published_by_the_next_process() {
    let state = scratch();
    let silent =
        Options { publishing: Publishing { every: None, ..Publishing::default() }, ..Options::default() };
    let (log, _) = Log::open(state.path(), "code", silent).unwrap();
    assert!(log.published().is_empty());
    for _ in 0..300 {
        log.record(entry(Event::Read)).await.unwrap();
    }
    drop(log);
    assert!(!tlog_folder(state.path()).exists());
    let (log, opened) = Log::open(state.path(), "code", options(Vec::new())).unwrap();
    log.close("end of test").await.unwrap();
    assert_eq!(checkpoint(&tlog_folder(state.path()), &opened.key).size(), opened.size + 1);
}

#[tokio::test]
async fn another_place_follows_and_nothing_there_is_private() {
    let (state, elsewhere) = (scratch(), scratch());
    let target: Arc<dyn Target> = Arc::new(Folder::new(elsewhere.path()));
    let (log, opened) = Log::open(state.path(), "code", options(vec![target])).unwrap();
    for _ in 0..300 {
        log.record(entry(Event::Read)).await.unwrap();
    }
    wait_until("both to be published", || log.published().iter().all(|it| it.size == 301));
    log.close("end of test").await.unwrap();
    let there = elsewhere.path().join(&opened.origin);
    let now = checkpoint(&there, &opened.key);
    assert_eq!(now.size(), 302);
    let served = Served(there.clone());
    let reader = TileHashReader::new(302, *now.hash(), &served);
    tlog::prove_record(302, 17, &reader).unwrap();
    for bundle in ["tile/entries/000", "tile/entries/001.p/46"] {
        let text = String::from_utf8_lossy(&fs::read(there.join(bundle)).unwrap()).into_owned();
        // Arguments and names lie in payloads, which stay where they are.
        assert!(text.contains("commitment") && !text.contains("alice") && !text.contains("limit"), "{text}");
    }
    assert!(!there.join("payloads").exists() && !there.join("head").exists());
}

#[tokio::test]
async fn a_place_that_cannot_be_reached_holds_nothing_up() {
    let (state, elsewhere) = (scratch(), scratch());
    let blocked = elsewhere.path().join("file");
    fs::write(&blocked, b"in the way").unwrap();
    let target: Arc<dyn Target> = Arc::new(Folder::new(&blocked));
    let (log, _) = Log::open(state.path(), "code", options(vec![target])).unwrap();
    log.record(entry(Event::Read)).await.unwrap();
    wait_until("the failure to be known", || log.published()[1].problem.is_some());
    log.record(entry(Event::Read)).await.unwrap();
    wait_until("the log to be published", || log.published()[0].size == 3);
    log.close("end of test").await.unwrap();
}

/// A log is gone on with by so many reads, and closed.
async fn go_on(state: &Path, reads: usize) {
    let (log, opened) = open_small(state);
    assert_eq!(opened.log, "code/0");
    for _ in 0..reads {
        log.record(entry(Event::Read)).await.unwrap();
    }
    log.close("end of test").await.unwrap();
}

#[tokio::test]
async fn published_logs_are_held_against_what_they_say_of_each_other() {
    let (state, other) = (scratch(), scratch());
    go_on(state.path(), 1).await;
    copy(state.path(), other.path());
    let earlier = scratch();
    copy(&tlog_folder(state.path()), earlier.path());
    let (zero, _) = open_small(state.path());
    zero.record(entry(Event::Read)).await.unwrap();
    let (one, _) = open_small(state.path());
    zero.close("end of test").await.unwrap();
    one.close("end of test").await.unwrap();
    // The same key, and another history of the same name that is as long.
    go_on(other.path(), 4).await;
    let with = Verification { keys: vec![key_beside(state.path()).unwrap()], ..Verification::default() };
    let exit = |zero: Option<&Path>| {
        let published = scratch();
        let one = state.path().join("logs/code/1/tlog");
        for (name, from) in [("zero", zero), ("one", Some(one.as_path()))] {
            let Some(from) = from else { continue };
            fs::create_dir(published.path().join(name)).unwrap();
            copy(from, &published.path().join(name));
        }
        let report = with.run_published(published.path()).unwrap();
        (report.exit_code(), report.to_string())
    };
    assert_eq!(exit(Some(&tlog_folder(state.path()))).0, 0);
    let (code, told) = exit(Some(&tlog_folder(other.path())));
    assert!(code == 1 && told.contains("shows other records"), "{told}");
    let (code, told) = exit(Some(earlier.path()));
    assert!(code == 3 && told.contains("was not published yet, or was cut off"), "{told}");
    let (code, told) = exit(None);
    assert!(code == 3 && told.contains("is gone"), "{told}");
}
