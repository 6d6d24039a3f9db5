//! A signing key outside of the state folder: who signs needs it, who reads does not, and there is never a second one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use audit::{
    AuditError, Event, Filter, Format, Log, Operator, Options, Payload, SigningKeySource, export, key_beside,
    records, rotate, show, verify,
};
use common::{entry, scratch};
use zeroize::Zeroizing;

fn options(signing_key: SigningKeySource) -> Options {
    Options { signing_key, chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() }
}

fn file(path: &Path) -> SigningKeySource {
    SigningKeySource::File(path.to_owned())
}

fn text(path: &Path) -> SigningKeySource {
    SigningKeySource::Text(Arc::new(Zeroizing::new(fs::read_to_string(path).unwrap())))
}

async fn work(state: &Path, source: &SigningKeySource) -> Result<(), AuditError> {
    let (log, _) = Log::open(state, "code", options(source.clone()))?;
    log.record(entry(Event::Read)).await?;
    log.close("end of test").await
}

#[track_caller]
fn refused(worked: Result<(), AuditError>, why: &str) {
    let Err(AuditError::Keys { problem, .. }) = worked else { panic!("{worked:?}") };
    assert!(problem.contains(why), "{problem}");
    assert!(!problem.contains("PRIVATE"), "{problem}");
}

#[tokio::test]
async fn a_key_in_a_file_elsewhere_signs_and_nobody_needs_it_to_read() {
    let (state, elsewhere) = (scratch(), scratch());
    let path = elsewhere.path().join("log.key");
    work(state.path(), &file(&path)).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!state.path().join("keys/log.key").exists());
    fs::rename(&path, elsewhere.path().join("away")).unwrap();
    let report = verify(state.path(), &[key_beside(state.path()).unwrap()]).unwrap();
    assert_eq!((report.exit_code(), report.logs[0].payloads.checked), (0, 1), "{report}");
    assert!(matches!(show(state.path(), "code/0:1").unwrap().payload, Payload::Opened(_)));
    assert_eq!(records(state.path(), &Filter::default()).unwrap().len(), 3);
    let mut told = String::new();
    export(state.path(), &Filter::default(), Format::Jsonl, |line| {
        told.push_str(line);
        Ok(())
    })
    .unwrap();
    assert!(told.contains("\"payload_state\":\"opened\""), "{told}");
    // A new one is not made in its place.
    refused(work(state.path(), &file(&path)).await, "restore it from a copy");
    assert!(!path.exists());
    fs::rename(elsewhere.path().join("away"), &path).unwrap();
    work(state.path(), &file(&path)).await.unwrap();
    work(state.path(), &text(&path)).await.unwrap();
    assert_eq!(records(state.path(), &Filter::default()).unwrap().len(), 9, "one log goes on");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_none_or_is_another_is_refused() {
    let (state, elsewhere) = (scratch(), scratch());
    let (path, other) = (elsewhere.path().join("log.key"), elsewhere.path().join("other.key"));
    work(state.path(), &file(&path)).await.unwrap();
    work(scratch().path(), &file(&other)).await.unwrap();
    refused(work(state.path(), &file(&other)).await, "signed with another key");
    refused(work(state.path(), &text(&other)).await, "signed with another key");
    refused(work(state.path(), &SigningKeySource::StateFolder).await, "kept elsewhere");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    refused(work(state.path(), &file(&path)).await, "make it 0600");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "PRIVATE+KEY+x").unwrap();
    refused(work(state.path(), &file(&path)).await, "not an Ed25519 signing key");
    refused(work(state.path(), &text(&path)).await, "not an Ed25519 signing key");
    assert!(!format!("{:?}", text(&path)).contains("KEY"), "no key is shown");
}

#[tokio::test]
async fn a_key_is_moved_out_of_the_state_folder_and_never_lies_in_both() {
    let (state, elsewhere) = (scratch(), scratch());
    let (inner, path) = (state.path().join("keys/log.key"), elsewhere.path().join("log.key"));
    work(state.path(), &SigningKeySource::StateFolder).await.unwrap();
    let key = key_beside(state.path()).unwrap();
    refused(work(state.path(), &file(&path)).await, "move it there");
    assert!(!path.exists(), "no other was made");
    fs::copy(&inner, &path).unwrap();
    refused(work(state.path(), &file(&path)).await, "move it there");
    fs::remove_file(&inner).unwrap();
    work(state.path(), &file(&path)).await.unwrap();
    assert_eq!(key_beside(state.path()).unwrap(), key);
    assert_eq!(verify(state.path(), &[key]).unwrap().exit_code(), 0);
}

#[tokio::test]
async fn a_key_in_a_file_is_changed_there_and_one_that_is_a_text_is_not() {
    let (state, elsewhere) = (scratch(), scratch());
    let path = elsewhere.path().join("log.key");
    work(state.path(), &file(&path)).await.unwrap();
    let old = text(&path);
    let operator = |source: &SigningKeySource| Operator {
        subject: "agent:local person:olga".to_owned(),
        assurance: "os_user",
        options: options(source.clone()),
    };
    refused(rotate(state.path(), &operator(&old)).map(drop), "cannot be changed from here");
    work(state.path(), &old).await.unwrap();
    let rotated = rotate(state.path(), &operator(&file(&path))).unwrap();
    assert_eq!(key_beside(state.path()).unwrap().to_string(), rotated.new);
    refused(work(state.path(), &old).await, "signed with another key");
    work(state.path(), &text(&path)).await.unwrap();
    for key in [&rotated.old, &rotated.new] {
        assert_eq!(verify(state.path(), &[key.parse().unwrap()]).unwrap().exit_code(), 0);
    }
}
