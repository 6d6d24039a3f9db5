use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};

use serde_json::json;

mod attested;
mod left;

use super::*;
use crate::{
    Entry, Event, Filter, Log, Options, head::Head, keys::Keys, merkle::leaf_hash, note::Checkpoint, records,
    tiles,
};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn options() -> Options {
    let publishing = Publishing { every: None, ..Publishing::default() };
    Options { publishing, chunk_bytes: 1024, segment_bytes: 40 << 10, ..Options::default() }
}

fn read(text: &str) -> Entry {
    Entry {
        event: Event::Read,
        server: "code".to_owned(),
        tool: Some("list_commits".to_owned()),
        effect: Some("read"),
        subject: "agent:a".to_owned(),
        channel: "stdio",
        assurance: "os_user",
        policy: [2; 32],
        call: [1; 32],
        verdict: "permitted",
        outcome: Some("ok"),
        payload: json!({ "text": text }),
    }
}

/// A log of this many records, in small segments, none of it published.
fn write(state: &Path, count: u64) {
    let (log, opened) = Log::open(state, "code", options()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut size = opened.size;
        while size + 1 < count {
            size = log.record(read(&"x".repeat(size as usize % 7 * 30))).await.unwrap().index() + 1;
        }
        log.close("end of test").await.unwrap();
    });
}

fn folder(state: &Path) -> std::path::PathBuf {
    state.join("logs/code/0")
}

fn reach(state: &Path) -> Reach {
    let keys = Keys::load(state, &Default::default()).unwrap().unwrap();
    let (head, checkpoint) = Head::read(&folder(state), &keys).unwrap().unwrap();
    let position = Position { segment: head.segment, offset: head.end, index: checkpoint.size };
    Reach { position, open: None }
}

fn with_subject<T>(state: &Path, then: impl FnOnce(Subject<'_>) -> T) -> T {
    let keys = Keys::load(state, &Default::default()).unwrap().unwrap();
    let (_, checkpoint) = Head::read(&folder(state), &keys).unwrap().unwrap();
    then(Subject {
        log: "code/0".to_owned(),
        folder: &folder(state),
        origin: &checkpoint.origin,
        key: keys.signing().verifying_key(),
        // Nowhere, so that the journal is searched.
        found: Position { index: u64::MAX, ..Position::default() },
    })
}

/// A publisher whose disk takes so many steps.
fn publisher(state: &Path, keep: Option<u32>, steps: i64) -> Publisher {
    let mut it = with_subject(state, |it| Publisher::new(&it, keep, Desk::default()));
    let steps = Arc::new(AtomicI64::new(steps));
    it.tlog.steps = Some(steps.clone());
    it.payloads.steps = Some(steps);
    it
}

/// Every file below a folder with its bytes.
fn files(of: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![of.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let name = path.strip_prefix(of).unwrap().display().to_string();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

/// Makes a folder hold these files and no others.
fn restore(at: &Path, files: &BTreeMap<String, Vec<u8>>) {
    let _ = fs::remove_dir_all(at);
    for (name, bytes) in files {
        let path = at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Fails unless everything that the checkpoint there needs is there. Gives its size.
fn whole(published: &BTreeMap<String, Vec<u8>>) -> u64 {
    let Some(note) = published.get(CHECKPOINT) else { return 0 };
    let checkpoint = Checkpoint::parse(note).unwrap();
    let size = checkpoint.size;
    let mut tree = crate::merkle::Tree::default();
    for number in 0..size.div_ceil(tiles::WIDTH) {
        let width = (size - number * tiles::WIDTH).min(tiles::WIDTH);
        let hashes = &published[&tiles::Part::Tile(0).path(number, width)];
        let entries = tiles::entries(&published[&tiles::Part::Entries.path(number, width)]).unwrap();
        let leaves: Vec<_> = entries.into_iter().map(leaf_hash).collect();
        assert_eq!(&leaves.concat(), hashes, "bundle {number} and its tile");
        leaves.into_iter().for_each(|it| tree.push(it));
    }
    assert_eq!((tree.size(), tree.root()), (size, checkpoint.root));
    for (part, number, width) in tiles::partials(size) {
        assert!(published.contains_key(&part.path(number, width)));
    }
    size
}

#[test]
fn wherever_publishing_is_cut_off_the_next_one_makes_the_same_files() {
    let state = scratch();
    write(state.path(), 300);
    let first = reach(state.path());
    write(state.path(), 800);
    let second = reach(state.path());
    let tlog = folder(state.path()).join(TLOG);
    let mut before = BTreeMap::new();
    for to in [first, second] {
        restore(&tlog, &before);
        publisher(state.path(), None, i64::MAX).publish(&to, |_| {}).unwrap();
        let after = files(&tlog);
        assert_eq!(whole(&after), to.position.index);
        for steps in 0.. {
            restore(&tlog, &before);
            let done = publisher(state.path(), None, steps).publish(&to, |_| {}).is_ok();
            let size = whole(&files(&tlog));
            assert!(size == to.position.index || size == whole(&before), "{size} after {steps} steps");
            publisher(state.path(), None, i64::MAX).publish(&to, |_| {}).unwrap();
            assert!(files(&tlog) == after, "{steps} steps");
            if done {
                assert!(steps > 10);
                break;
            }
        }
        before = after;
    }
}

#[test]
fn wherever_dropping_is_cut_off_no_record_is_lost() {
    let state = scratch();
    write(state.path(), 700);
    let all = files(&folder(state.path()));
    let written = records(state.path(), &Filter::default()).unwrap();
    assert_eq!(written.len(), 700);
    let to = reach(state.path());
    publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    let after = files(&folder(state.path()));
    assert!(!after.contains_key("journal") && after.contains_key("payloads/000"), "{:?}", after.keys());
    for steps in 0.. {
        restore(&folder(state.path()), &all);
        let done = publisher(state.path(), Some(1), steps).publish(&to, |_| {}).is_ok();
        // Reading all of it takes long: where it matters, and now and then.
        let dropping = folder(state.path()).join(PAYLOADS).exists();
        if dropping || steps % 8 == 0 {
            assert!(records(state.path(), &Filter::default()).unwrap() == written, "{steps} steps");
        }
        publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
        assert!(files(&folder(state.path())) == after, "{steps} steps");
        if done {
            break;
        }
    }
    assert!(records(state.path(), &Filter::default()).unwrap() == written);
}

#[test]
fn what_was_spoilt_is_made_again_even_where_segments_were_dropped() {
    let state = scratch();
    write(state.path(), 700);
    let to = reach(state.path());
    publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    let tlog = folder(state.path()).join(TLOG);
    let good = files(&tlog);
    for name in good.keys().filter(|it| !it.starts_with("tile/entries/0")) {
        fs::write(tlog.join(name), b"spoilt").unwrap();
    }
    publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    assert!(files(&tlog) == good);
}

#[test]
fn a_published_checkpoint_that_the_journal_contradicts_is_left_as_it_is() {
    let state = scratch();
    write(state.path(), 20);
    let all = files(&folder(state.path()));
    let to = reach(state.path());
    write(state.path(), 30);
    publisher(state.path(), None, i64::MAX).publish(&reach(state.path()), |_| {}).unwrap();
    let published = files(&folder(state.path()).join(TLOG));
    // The same key, another history of the same origin.
    restore(&folder(state.path()), &all);
    restore(&folder(state.path()).join(TLOG), &published);
    let failure = publisher(state.path(), None, i64::MAX).publish(&to, |_| {}).unwrap_err();
    assert!(matches!(failure, Failure::Diverged(_)), "{failure}");
    assert!(files(&folder(state.path()).join(TLOG)) == published);
}

fn mirror(state: &Path, target: &Arc<Folder>) -> Mirror {
    with_subject(state, |it| Mirror::new(&it, target.clone()))
}

fn target(at: &Path, steps: i64) -> Arc<Folder> {
    let mut folder = Folder::new(at);
    folder.steps = Some(Arc::new(AtomicI64::new(steps)));
    Arc::new(folder)
}

#[test]
fn wherever_a_mirror_is_cut_off_the_next_one_goes_on() {
    let (state, elsewhere) = (scratch(), scratch());
    write(state.path(), 300);
    publisher(state.path(), None, i64::MAX).publish(&reach(state.path()), |_| {}).unwrap();
    mirror(state.path(), &target(elsewhere.path(), i64::MAX)).follow().unwrap();
    let before = files(elsewhere.path());
    write(state.path(), 600);
    publisher(state.path(), None, i64::MAX).publish(&reach(state.path()), |_| {}).unwrap();
    mirror(state.path(), &target(elsewhere.path(), i64::MAX)).follow().unwrap();
    let after = files(elsewhere.path());
    for steps in 0.. {
        restore(elsewhere.path(), &before);
        let done = mirror(state.path(), &target(elsewhere.path(), steps)).follow().is_ok();
        mirror(state.path(), &target(elsewhere.path(), i64::MAX)).follow().unwrap();
        assert!(files(elsewhere.path()) == after, "{steps} steps");
        if done {
            break;
        }
    }
    let origin = with_subject(state.path(), |it| it.origin.to_owned());
    let local = files(&folder(state.path()).join(TLOG));
    let there = |name: &String| after.get(&format!("{origin}/{name}"));
    assert!(local.iter().all(|(name, bytes)| there(name) == Some(bytes)), "all of it is there");
}

#[test]
fn of_two_writers_with_one_origin_only_one_goes_on_elsewhere() {
    let (state, copy, elsewhere) = (scratch(), scratch(), scratch());
    write(state.path(), 40);
    restore(copy.path(), &files(state.path()));
    let keys = copy.path().join("keys");
    for path in files(&keys).into_keys() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(keys.join(path), mode).unwrap();
    }
    write(state.path(), 60);
    write(copy.path(), 80);
    for it in [state.path(), copy.path()] {
        publisher(it, None, i64::MAX).publish(&reach(it), |_| {}).unwrap();
    }
    let target = target(elsewhere.path(), i64::MAX);
    let mut one = mirror(state.path(), &target);
    assert_eq!(one.follow().unwrap(), 60);
    let there = files(elsewhere.path());
    let failure = mirror(copy.path(), &target).follow().unwrap_err();
    assert!(matches!(failure, Failure::Diverged(_)), "{failure}");
    assert!(files(elsewhere.path()) == there, "nothing was replaced");
    write(state.path(), 90);
    publisher(state.path(), None, i64::MAX).publish(&reach(state.path()), |_| {}).unwrap();
    assert_eq!(one.follow().unwrap(), 90);
    assert_eq!(target.steps.as_ref().map(|it| it.load(SeqCst) > 0), Some(true));
}

#[test]
fn a_checkpoint_is_replaced_only_over_the_one_that_was_read() {
    let elsewhere = scratch();
    let target = Folder::new(elsewhere.path());
    assert_eq!(target.replace("checkpoint", b"x", Some("no such")).unwrap(), None);
    let tag = target.replace("checkpoint", b"one", None).unwrap();
    assert_eq!(target.replace("checkpoint", b"two", None).unwrap(), None, "there is one by now");
    let next = target.replace("checkpoint", b"two", tag.as_deref()).unwrap();
    assert_eq!(target.replace("checkpoint", b"three", tag.as_deref()).unwrap(), None, "it was read before");
    assert_eq!(target.read("checkpoint").unwrap().map(|it| Some(it.tag)), Some(next));
    assert!(!target.create("checkpoint", b"four").unwrap());
}
