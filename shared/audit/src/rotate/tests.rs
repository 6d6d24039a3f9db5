use std::path::Path;

use super::*;
use crate::{Log, Options, VerifyingKey, key_beside, verify};

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// Two logs of servers, of which one ended without a stop.
fn state() -> tempfile::TempDir {
    let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let log = Log::open(state.path(), "code", operator().options).unwrap().0;
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(log.close("end of test"))
        .unwrap();
    drop(Log::open(state.path(), "observability", operator().options).unwrap());
    state
}

fn start(state: &Path) -> Result<(), AuditError> {
    Log::open(state, "code", operator().options).map(drop)
}

/// Ends it after so many steps; gives those that it told.
fn cut_short(state: &Path, steps: usize) -> (Vec<Step>, Result<Rotated, AuditError>) {
    let mut told = Vec::new();
    let ended = rotate_with(state, &operator(), &mut |step| {
        told.push(step);
        match told.len() > steps {
            true => Err(AuditError::Closed { why: "the power went".to_owned() }),
            false => Ok(()),
        }
    });
    (told, ended)
}

#[test]
fn a_change_that_is_cut_short_at_any_step_ends_with_one_key_and_never_with_none() {
    use Step::{Begun, Ended, Made, Marked, Turned};
    let whole = cut_short(state().path(), usize::MAX).0;
    assert_eq!(whole, [Made, Ended, Marked, Ended, Marked, Ended, Marked, Begun, Turned]);
    for steps in 0..whole.len() {
        let state = state();
        let before = key_beside(state.path()).unwrap();
        let (told, ended) = cut_short(state.path(), steps);
        assert!(ended.is_err(), "{told:?}");
        // Nobody begins anything between two keys; whoever reads goes by one of them.
        let between = start(state.path());
        let old = told.last() != Some(&Turned);
        assert_eq!(matches!(between, Err(AuditError::Keys { .. })), old, "{told:?}: {between:?}");
        assert_eq!(key_beside(state.path()).unwrap() == before, old, "{told:?}");
        // The same change goes on where it ended, and begins another where it had come to its end.
        rotate(state.path(), &operator()).unwrap();
        assert!(!state.path().join("keys/log.key.next").exists());
        start(state.path()).unwrap();
        let after = key_beside(state.path()).unwrap();
        assert_ne!(after, before, "{told:?}");
        for key in [before, after] {
            let report = verify(state.path(), &[key]).unwrap();
            assert!(report.logs.iter().all(|it| it.altered.is_none()), "{told:?}: {report}");
        }
    }
}

#[test]
fn a_change_that_is_cut_short_again_and_again_still_ends() {
    let state = state();
    let before = key_beside(state.path()).unwrap();
    for steps in [0, 1, 1, 2, 1, 3, 0, 1] {
        let _ = cut_short(state.path(), steps);
    }
    let rotated = rotate(state.path(), &operator()).unwrap();
    let key: VerifyingKey = rotated.new.parse().unwrap();
    for key in [before, key] {
        let report = verify(state.path(), &[key]).unwrap();
        assert!(report.logs.iter().all(|it| it.altered.is_none()), "{report}");
    }
}

#[test]
fn a_change_that_cannot_begin_leaves_no_next_key() {
    let state = state();
    let log = Log::open(state.path(), "code", operator().options).unwrap().0;
    assert!(matches!(rotate(state.path(), &operator()), Err(AuditError::Closed { .. })));
    assert!(!state.path().join("keys/log.key.next").exists());
    drop(log);
    rotate(state.path(), &operator()).unwrap();
}
