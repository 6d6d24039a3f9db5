//! What is a segment left to? To files that were looked at, and made again where they were not what they should be.

use super::*;

/// So many records, all of it published and nothing dropped; and what stands there once all but the last segments are dropped.
fn long(state: &Path) -> (Reach, BTreeMap<String, Vec<u8>>) {
    write(state, 700);
    let to = reach(state);
    publisher(state, None, i64::MAX).publish(&to, |_| {}).unwrap();
    let before = files(&folder(state));
    publisher(state, Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    let after = files(&folder(state));
    restore(&folder(state), &before);
    (to, after)
}

/// Drops the first segment only.
fn drop_first(state: &Path, to: &Reach) {
    let segments = crate::segment::Segment::list(&folder(state)).unwrap();
    assert!(segments.len() > 3, "{segments:?}");
    publisher(state, Some(segments.len() as u32 - 2), i64::MAX).publish(to, |_| {}).unwrap();
    assert!(!folder(state).join("journal").exists() && segments[1].path.exists());
    assert!(!segments[1].first.is_multiple_of(tiles::WIDTH), "it shares a bundle with the first");
}

fn spoil(path: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_full_file_that_is_gone_is_made_again_by_the_next_start() {
    let state = scratch();
    let (to, _) = long(state.path());
    let tlog = folder(state.path()).join(TLOG);
    let good = files(&tlog);
    for gone in ["tile/entries/000", "tile/0/001"] {
        fs::remove_file(tlog.join(gone)).unwrap();
        publisher(state.path(), None, i64::MAX).publish(&to, |_| {}).unwrap();
        assert!(files(&tlog) == good, "{gone}");
    }
}

#[test]
fn a_file_that_was_spoilt_since_it_was_published_is_made_again_before_its_segment_is_dropped() {
    let state = scratch();
    let (to, after) = long(state.path());
    let tlog = folder(state.path()).join(TLOG);
    for name in ["tile/entries/000", "tile/0/001", "tile/entries/001"] {
        spoil(&tlog.join(name), |bytes| bytes / 2);
    }
    publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    assert!(files(&folder(state.path())) == after);
}

#[test]
fn a_bundle_that_two_segments_share_is_looked_at_before_the_second_is_dropped() {
    let state = scratch();
    let (to, after) = long(state.path());
    drop_first(state.path(), &to);
    let folder = folder(state.path());
    let between = files(&folder);
    // Its end is that of the second segment.
    spoil(&folder.join("payloads/000"), |bytes| bytes - 1);
    spoil(&folder.join("tlog/tile/entries/000"), |bytes| bytes - 1);
    publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap();
    assert!(files(&folder) == after);
    // What only stood there cannot be made again, and nothing more is dropped.
    for gone in ["payloads/000", "tlog/tile/entries/000"] {
        restore(&folder, &between);
        fs::remove_file(folder.join(gone)).unwrap();
        let failure = publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap_err();
        assert!(failure.to_string().contains("000 is gone or not whole"), "{failure}");
        let rest = files(&folder);
        assert!(
            between.keys().filter(|it| it.starts_with("journal")).all(|it| rest.contains_key(it)),
            "{gone}"
        );
    }
}

#[test]
fn a_journal_that_was_changed_does_not_overwrite_what_was_published_of_it() {
    let state = scratch();
    let (to, _) = long(state.path());
    let (journal, tlog) = (folder(state.path()).join("journal"), folder(state.path()).join(TLOG));
    let good = files(&tlog);
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(12).rposition(|it| it == b"list_commits").unwrap();
    // The frame's check is made right again: only the tree tells.
    bytes[at] = b'm';
    let begin = bytes[..at].windows(11).rposition(|it| it == b"{\"assurance").unwrap() - 9;
    let length = u32::from_le_bytes(bytes[begin..begin + 4].try_into().unwrap()) as usize;
    let checked = [&bytes[begin..begin + 4], &bytes[begin + 8..begin + 9 + length]].concat();
    let check = crc32fast::hash(&checked).to_le_bytes();
    bytes[begin + 4..begin + 8].copy_from_slice(&check);
    fs::write(&journal, bytes).unwrap();
    let failure = publisher(state.path(), Some(1), i64::MAX).publish(&to, |_| {}).unwrap_err();
    assert!(matches!(failure, Failure::Diverged(_)), "{failure}");
    let now = files(&tlog);
    assert!(journal.exists() && good.iter().all(|(name, bytes)| now.get(name) == Some(bytes)));
}

#[test]
fn a_name_that_was_found_is_made_durable_before_it_counts() {
    let at = scratch();
    Folder::new(at.path()).put("tile/0/000", b"x").unwrap();
    // One whose disk takes no step more finds it, and cannot say that it will stay.
    assert!(target(at.path(), 0).stage("tile/0/000", b"x").is_err());
    assert!(target(at.path(), 0).create("tile/0/000", b"x").is_err());
    let again = target(at.path(), 100);
    let left = || again.steps.as_ref().map(|it| it.load(SeqCst));
    assert!(!again.stage("tile/0/000", b"x").unwrap());
    let once = left();
    assert!(once < Some(100) && !again.stage("tile/0/000", b"x").unwrap());
    assert_eq!(left(), once, "once is enough");
}
