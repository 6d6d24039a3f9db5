//! One signing key after the other: who knows either trusts both, and a key that was retired signs nothing more.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use audit::{
    AuditError, Event, Log, Operator, Options, Rotated, VerifyingKey, heads, key_beside, rotate, verify,
};
use common::{
    entry,
    forge::{self, replace_key, sign_again, steal},
    frames::{frames, rebuild},
    intent, open_small, scratch,
};

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// A log that ended well, and one whose process was killed with an intent open; then the key is changed.
async fn rotated(state: &Path) -> Rotated {
    let (log, _) = open_small(state);
    log.record(entry(Event::Read)).await.unwrap();
    log.close("end of test").await.unwrap();
    let (killed, _) = Log::open(state, "observability", operator().options).unwrap();
    killed.admit_effect([1; 32], intent()).await.unwrap();
    drop(killed);
    rotate(state, &operator()).unwrap()
}

fn exit(state: &Path, key: &str) -> u8 {
    let key: VerifyingKey = key.parse().unwrap();
    verify(state, &[key]).unwrap().exit_code()
}

#[tokio::test]
async fn whoever_knows_either_key_verifies_what_both_signed() {
    let state = scratch();
    let it = rotated(state.path()).await;
    assert_ne!(it.old, it.new);
    assert_eq!((it.closed, key_beside(state.path()).unwrap().to_string()), (3, it.new.clone()));
    let (log, opened) = open_small(state.path());
    assert!(opened.created && opened.log == "code/1", "{opened}");
    log.record(entry(Event::Read)).await.unwrap();
    log.close("end of test").await.unwrap();
    for key in [&it.old, &it.new] {
        assert_eq!(exit(state.path(), key), 0, "{key}");
    }
    let again = rotate(state.path(), &operator()).unwrap();
    for key in [&it.old, &again.old, &again.new] {
        assert_eq!(exit(state.path(), key), 0, "over two changes: {key}");
    }
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    replace_key(state.path(), &stranger);
    assert_eq!(exit(state.path(), &key_beside(state.path()).unwrap().to_string()), 1);
}

#[tokio::test]
async fn a_key_that_was_retired_signs_nothing_more() {
    for whole in [false, true] {
        let state = scratch();
        let (log, _) = open_small(state.path());
        log.close("end of test").await.unwrap();
        let stolen = steal(state.path());
        let it = rotated(state.path()).await;
        let folder = state.path().join("logs/code/0");
        if whole {
            // A log of its own, as if it had been there.
            let elsewhere = scratch();
            fs::create_dir_all(elsewhere.path().join("keys/subjects")).unwrap();
            for name in ["keys", "keys/subjects"] {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
                fs::set_permissions(elsewhere.path().join(name), mode).unwrap();
            }
            drop(open_small(elsewhere.path()));
            replace_key(elsewhere.path(), &stolen);
            fs::remove_dir_all(elsewhere.path().join("logs")).unwrap();
            open_small(elsewhere.path()).0.close("end of test").await.unwrap();
            let target = state.path().join("logs/code/7");
            fs::create_dir(&target).unwrap();
            fs::copy(elsewhere.path().join("logs/code/0/journal"), target.join("journal")).unwrap();
        } else {
            // The closed log goes on, or loses its end.
            let mut all = frames(&fs::read(folder.join("journal")).unwrap());
            let last = all.iter().rposition(|it| it.kind == 2).unwrap();
            all.remove(last);
            sign_again(&mut all, &stolen);
            fs::write(folder.join("journal"), rebuild(&all)).unwrap();
            fs::remove_file(folder.join("head")).unwrap();
            fs::remove_dir_all(folder.join("tlog")).unwrap();
        }
        for key in [&it.old, &it.new] {
            assert_eq!(exit(state.path(), key), 1, "{whole} {key}");
        }
    }
}

#[tokio::test]
async fn a_closed_log_that_vanished_is_missed() {
    let state = scratch();
    let it = rotated(state.path()).await;
    fs::remove_dir_all(state.path().join("logs/code/0")).unwrap();
    assert_eq!(exit(state.path(), &it.new), 1);
}

#[tokio::test]
async fn a_change_that_only_one_key_signed_leads_nowhere() {
    let state = scratch();
    let it = rotated(state.path()).await;
    // The operators' log under the new key is gone: nothing there says that it follows the old one.
    fs::remove_dir_all(state.path().join("logs/operator/1")).unwrap();
    let (log, _) = open_small(state.path());
    log.close("end of test").await.unwrap();
    for key in [&it.old, &it.new] {
        assert_eq!(exit(state.path(), key), 1, "{key}");
    }
}

#[tokio::test]
async fn no_key_is_changed_under_a_process_and_none_starts_while_one_is() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    let refused = rotate(state.path(), &operator());
    assert!(matches!(refused, Err(AuditError::Closed { .. })), "{refused:?}");
    assert!(!state.path().join("keys/log.key.next").exists(), "nothing was begun");
    log.close("end of test").await.unwrap();
    // As a crash leaves it: the next key is there, and the change did not end.
    rotated(state.path()).await;
    let old = key_beside(state.path()).unwrap().to_string();
    let next = state.path().join("keys/log.key.next");
    let other = scratch();
    open_small(other.path()).0.close("end of test").await.unwrap();
    fs::copy(other.path().join("keys/log.key"), &next).unwrap();
    let start = Log::open(state.path(), "code", operator().options);
    assert!(matches!(start, Err(AuditError::Keys { .. })), "{start:?}");
    let it = rotate(state.path(), &operator()).unwrap();
    assert_eq!(it.old, old);
    assert_eq!(it.new, key_beside(other.path()).unwrap().to_string());
    assert!(!next.exists());
    assert_eq!(exit(state.path(), &old), 0);
    assert!(heads(state.path()).unwrap().len() >= 5, "closed logs are still there");
}

#[tokio::test]
async fn a_second_successor_of_a_key_is_an_alteration_for_whoever_knows_the_key() {
    let (state, other) = (scratch(), scratch());
    open_small(state.path()).0.close("end of test").await.unwrap();
    forge::copy(state.path(), other.path());
    let it = rotate(state.path(), &operator()).unwrap();
    for taken in 0..8 {
        let folder = other.path().join(format!("logs/operator/{taken}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("retired"), "").unwrap();
    }
    let strange = rotate(other.path(), &operator()).unwrap();
    for log in ["operator/8", "operator/9"] {
        let target = state.path().join("logs").join(log);
        fs::create_dir_all(&target).unwrap();
        forge::copy(&other.path().join("logs").join(log), &target);
    }
    for key in [&it.old, &it.new] {
        let report = verify(state.path(), &[key.parse().unwrap()]).unwrap();
        assert_eq!(report.exit_code(), 1, "{report}");
        assert!(!report.keys.contains(&strange.new), "nobody trusts it: {report}");
        assert_eq!(report.to_string().contains("more than one successor"), *key == it.old, "{report}");
    }
}

#[tokio::test]
async fn a_damaged_log_is_found_before_a_change_begins_and_can_be_accepted_as_lost() {
    let state = scratch();
    open_small(state.path()).0.close("end of test").await.unwrap();
    let journal = state.path().join("logs/code/0/journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[60] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let refused = rotate(state.path(), &operator());
    assert!(matches!(refused, Err(AuditError::Damaged { .. })), "{refused:?}");
    assert!(!state.path().join("keys/log.key.next").exists(), "nothing was begun");
    audit::accept_loss(state.path(), "code/0", "a test spoilt it", &[], &operator()).await.unwrap();
    let it = rotate(state.path(), &operator()).unwrap();
    assert_eq!(exit(state.path(), &it.new), 3, "the loss is a finding");
}

#[tokio::test]
async fn the_loss_of_a_log_that_was_closed_with_its_key_can_be_accepted() {
    for gone in [false, true] {
        let state = scratch();
        let it = rotated(state.path()).await;
        let folder = state.path().join("logs/code/0");
        match gone {
            true => fs::remove_dir_all(&folder).unwrap(),
            false => fs::write(folder.join("journal"), "spoilt").unwrap(),
        }
        assert_eq!(exit(state.path(), &it.new), 1);
        let why = "the disk failed";
        let accepted = audit::accept_loss(state.path(), "code/0", why, &[], &operator()).await.unwrap();
        assert_eq!(accepted.lost.len(), 1, "{accepted:?}");
        for key in [&it.old, &it.new] {
            assert_eq!(exit(state.path(), key), 3, "{gone}");
        }
        open_small(state.path()).0.close("end of test").await.unwrap();
        assert_eq!(exit(state.path(), &it.new), 3);
    }
}
