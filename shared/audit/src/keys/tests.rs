use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;

#[test]
fn sixteen_first_starts_at_once_make_one_key() {
    let state = tempfile::tempdir().unwrap();
    let barrier = std::sync::Barrier::new(16);
    let start = || {
        barrier.wait();
        let mut keys = Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
        (
            keys.verifying().to_string(),
            keys.subjects().pseudonym("agent:a"),
            *keys.subjects().subject("00").unwrap(),
        )
    };
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert!(made.iter().all(|it| *it == made[0]));
    let left: Vec<_> = fs::read_dir(state.path().join("keys")).unwrap().collect();
    assert_eq!(left.len(), 3, "no drafts are left behind: {left:?}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let state = tempfile::tempdir().unwrap();
    Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    let path = state.path().join("keys/log.key");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        Keys::load_or_make(state.path(), &SigningKeySource::StateFolder),
        Err(AuditError::Keys { .. })
    ));
}

#[test]
fn folders_of_keys_are_made_private_again() {
    let state = tempfile::tempdir().unwrap();
    Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    let folder = state.path().join("keys");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_spoilt_key_says_so_and_is_not_replaced() {
    let state = tempfile::tempdir().unwrap();
    Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    let path = state.path().join("keys/log.key");
    fs::write(&path, "PRIVATE+KEY+x").unwrap();
    assert!(matches!(
        Keys::load_or_make(state.path(), &SigningKeySource::StateFolder),
        Err(AuditError::Keys { .. })
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), "PRIVATE+KEY+x");
}

#[test]
fn a_destroyed_subject_key_is_not_used_again() {
    let state = tempfile::tempdir().unwrap();
    let mut keys = Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    let before = keys.subjects().subject("00").unwrap();
    fs::remove_file(state.path().join("keys/subjects/00")).unwrap();
    assert_ne!(*keys.subjects().subject("00").unwrap(), *before);
}

#[test]
fn a_key_that_another_process_destroyed_and_made_anew_is_not_used_from_memory() {
    let state = tempfile::tempdir().unwrap();
    let mut ours = Keys::load_or_make(state.path(), &SigningKeySource::StateFolder).unwrap();
    let before = ours.subjects().subject("00").unwrap();
    let mut others = Keys::load(state.path(), &SigningKeySource::StateFolder).unwrap().unwrap();
    others.subjects().destroy_subject("00").unwrap();
    assert!(
        !ours.subjects().has_subject("00").unwrap() && ours.subjects().find_subject("00").unwrap().is_none()
    );
    let after = others.subjects().subject("00").unwrap();
    assert_ne!(*after, *before);
    assert_eq!(*ours.subjects().subject("00").unwrap(), *after);
}
