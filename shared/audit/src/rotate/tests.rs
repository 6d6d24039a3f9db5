use std::{fs, path::Path};

use super::*;
use crate::{Log, Options, SigningKeySource, VerifyingKey, key_beside, verify};

fn operator() -> Operator {
    by(&SigningKeySource::StateFolder)
}

fn by(source: &SigningKeySource) -> Operator {
    let signing_key = source.clone();
    let options = Options { signing_key, chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// Two logs of servers, of which one ended without a stop.
fn state() -> tempfile::TempDir {
    state_of(&operator())
}

fn state_of(operator: &Operator) -> tempfile::TempDir {
    let state = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let log = Log::open(state.path(), "code", operator.options.clone()).unwrap().0;
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(log.close("end of test"))
        .unwrap();
    drop(Log::open(state.path(), "observability", operator.options.clone()).unwrap());
    state
}

fn start(state: &Path, operator: &Operator) -> Result<(), AuditError> {
    Log::open(state, "code", operator.options.clone()).map(drop)
}

/// Ends it after so many steps; gives those that it told.
fn cut_short(state: &Path, operator: &Operator, steps: usize) -> (Vec<Step>, Result<Rotated, AuditError>) {
    let mut told = Vec::new();
    let ended = rotate_with(state, operator, &mut |step| {
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
    let whole = cut_short(state().path(), &operator(), usize::MAX).0;
    assert_eq!(whole, [Made, Ended, Marked, Ended, Marked, Ended, Marked, Begun, Turned]);
    let elsewhere = tempfile::tempdir().unwrap();
    for steps in 0..whole.len() {
        let file = SigningKeySource::File(elsewhere.path().join(steps.to_string()));
        for operator in [operator(), by(&file)] {
            let state = state_of(&operator);
            let before = key_beside(state.path()).unwrap();
            let (told, ended) = cut_short(state.path(), &operator, steps);
            assert!(ended.is_err(), "{told:?}");
            // Nobody begins anything between two keys; whoever reads goes by one of them.
            let between = start(state.path(), &operator);
            let old = told.last() != Some(&Turned);
            assert_eq!(matches!(between, Err(AuditError::Keys { .. })), old, "{told:?}: {between:?}");
            assert_eq!(key_beside(state.path()).unwrap() == before, old, "{told:?}");
            // The same change goes on where it ended, and begins another where it had come to its end.
            rotate(state.path(), &operator).unwrap();
            start(state.path(), &operator).unwrap();
            let after = key_beside(state.path()).unwrap();
            assert_ne!(after, before, "{told:?}");
            for key in [before, after] {
                let report = verify(state.path(), &[key]).unwrap();
                assert!(report.logs.iter().all(|it| it.altered.is_none()), "{told:?}: {report}");
            }
            let left = |it: &Path| {
                fs::read_dir(it)
                    .unwrap()
                    .flatten()
                    .filter(|it| it.path().extension().is_some_and(|it| it == "next"))
                    .count()
            };
            assert_eq!((left(&state.path().join("keys")), left(elsewhere.path())), (0, 0), "{told:?}");
        }
    }
}

#[test]
fn a_change_that_ended_between_the_two_halves_of_a_key_elsewhere_is_ended_by_whoever_signs_next() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("log.key");
    let operator = by(&SigningKeySource::File(path.clone()));
    let state = state_of(&operator);
    let before = fs::read(&path).unwrap();
    rotate(state.path(), &operator).unwrap();
    // The public half has its name already, the key itself not yet.
    fs::rename(&path, elsewhere.path().join("log.key.next")).unwrap();
    fs::copy(state.path().join("keys/log.vkey"), &path).unwrap();
    fs::write(&path, before).unwrap();
    start(state.path(), &operator).unwrap();
    assert!(!elsewhere.path().join("log.key.next").exists());
    assert_eq!(verify(state.path(), &[]).unwrap().logs.iter().filter(|it| it.altered.is_some()).count(), 0);
}

#[test]
fn a_change_that_is_cut_short_again_and_again_still_ends() {
    let state = state();
    let before = key_beside(state.path()).unwrap();
    for steps in [0, 1, 1, 2, 1, 3, 0, 1] {
        let _ = cut_short(state.path(), &operator(), steps);
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
