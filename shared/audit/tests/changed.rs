//! After the signing key was changed: what is published elsewhere, proofs and accepted losses go by both keys.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use audit::{
    Anchor, Event, Folder, Log, Operator, Options, Publishing, Stored, Target, TargetError, Verification,
    VerifyingKey, accept_loss, check_proof, heads, key_beside, prove, publish, rotate, verify,
};
use common::{entry, forge, scratch};

fn options(targets: &[Arc<dyn Target>]) -> Options {
    let every = Some(Duration::from_millis(1));
    let publishing = Publishing { every, targets: targets.to_vec(), ..Publishing::default() };
    Options { publishing, chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() }
}

fn operator(targets: &[Arc<dyn Target>]) -> Operator {
    let options = options(targets);
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// One record, by a process that has everything published; nowhere may it be said to have diverged.
async fn work(state: &Path, targets: &[Arc<dyn Target>]) {
    let (log, _) = Log::open(state, "code", options(targets)).unwrap();
    log.record(entry(Event::Read)).await.unwrap();
    log.close("end of test").await.unwrap();
    assert!(log.published().iter().all(|it| it.problem.is_none()), "{:?}", log.published());
}

fn exit_elsewhere(folder: &Path, key: &VerifyingKey) -> (u8, String) {
    let with = Verification { keys: vec![key.clone()], ..Verification::default() };
    let report = with.run_published(folder).unwrap();
    (report.exit_code(), report.to_string())
}

#[tokio::test]
async fn what_is_published_elsewhere_is_verified_with_either_key() {
    let (state, elsewhere) = (scratch(), scratch());
    let targets: [Arc<dyn Target>; 1] = [Arc::new(Folder::new(elsewhere.path()))];
    work(state.path(), &targets).await;
    let mut keys = vec![key_beside(state.path()).unwrap()];
    for _ in 0..2 {
        let rotated = rotate(state.path(), &operator(&targets)).unwrap();
        assert_eq!(rotated.behind, []);
        work(state.path(), &targets).await;
        keys.push(rotated.new.parse().unwrap());
    }
    for key in &keys {
        let (exit, told) = exit_elsewhere(elsewhere.path(), key);
        assert_eq!(exit, 0, "{told}");
        assert_eq!(verify(state.path(), std::slice::from_ref(key)).unwrap().exit_code(), 0);
    }
    let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    assert_eq!(exit_elsewhere(elsewhere.path(), &stranger).0, 1);
    // Without the operators' logs nothing says that one key follows the other.
    fs::remove_dir_all(elsewhere.path().join("bailiwick/operator")).unwrap();
    for key in &keys {
        assert_eq!(exit_elsewhere(elsewhere.path(), key).0, 1);
    }
}

/// A folder that can be reached only at times.
#[derive(Debug)]
struct AtTimes {
    folder: Folder,
    reached: AtomicBool,
}

impl AtTimes {
    fn at(&self) -> Result<&Folder, TargetError> {
        match self.reached.load(SeqCst) {
            true => Ok(&self.folder),
            false => Err(TargetError("it cannot be reached".to_owned())),
        }
    }
}

impl Target for AtTimes {
    fn name(&self) -> String {
        self.folder.name()
    }

    fn read(&self, path: &str) -> Result<Option<Stored>, TargetError> {
        self.at()?.read(path)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, TargetError> {
        self.at()?.create(path, bytes)
    }

    fn replace(&self, path: &str, bytes: &[u8], over: Option<&str>) -> Result<Option<String>, TargetError> {
        self.at()?.replace(path, bytes, over)
    }

    fn remove(&self, path: &str) -> Result<(), TargetError> {
        self.at()?.remove(path)
    }
}

#[tokio::test]
async fn what_a_place_missed_while_the_key_was_changed_is_brought_later() {
    let (state, elsewhere) = (scratch(), scratch());
    let place = Arc::new(AtTimes { folder: Folder::new(elsewhere.path()), reached: AtomicBool::new(true) });
    let targets: [Arc<dyn Target>; 1] = [place.clone()];
    work(state.path(), &targets).await;
    let old = key_beside(state.path()).unwrap();
    place.reached.store(false, SeqCst);
    let rotated = rotate(state.path(), &operator(&targets)).unwrap();
    assert!(!rotated.behind.is_empty(), "it says so");
    place.reached.store(true, SeqCst);
    work(state.path(), &targets).await;
    let new: VerifyingKey = rotated.new.parse().unwrap();
    assert_eq!(exit_elsewhere(elsewhere.path(), &new).0, 1, "the old logs lead nowhere yet");
    let brought = publish(state.path(), &targets).unwrap();
    assert!(brought.len() >= 4 && brought.iter().all(|it| it.problem.is_none()), "{brought:?}");
    for key in [&old, &new] {
        let (exit, told) = exit_elsewhere(elsewhere.path(), key);
        assert_eq!(exit, 0, "{told}");
    }
}

/// A copy that is behind is no alteration; one that goes beyond what was closed is.
#[tokio::test]
async fn a_copy_that_lacks_the_end_of_a_closed_log_is_told_from_one_that_goes_on() {
    let (state, elsewhere, behind) = (scratch(), scratch(), scratch());
    let targets: [Arc<dyn Target>; 1] = [Arc::new(Folder::new(elsewhere.path()))];
    work(state.path(), &targets).await;
    forge::copy(&elsewhere.path().join("bailiwick/code"), &behind.path().join("bailiwick/code"));
    let rotated = rotate(state.path(), &operator(&targets)).unwrap();
    forge::copy(&elsewhere.path().join("bailiwick/operator"), &behind.path().join("bailiwick/operator"));
    let (exit, told) = exit_elsewhere(behind.path(), &rotated.new.parse().unwrap());
    assert_eq!(exit, 3, "{told}");
    assert!(told.contains("the rest was not published yet"), "{told}");
}

#[tokio::test]
async fn a_record_of_a_closed_log_is_proven_and_its_loss_accepted() {
    let state = scratch();
    work(state.path(), &[]).await;
    let old = key_beside(state.path()).unwrap();
    let kept = Anchor::parse("kept", &heads(state.path()).unwrap().to_string()).unwrap();
    rotate(state.path(), &operator(&[])).unwrap();
    let proof = prove(state.path(), "code/0:1", Some(&kept), &[]).unwrap().to_string();
    assert!(check_proof(&proof, &[old], Some(&kept)).unwrap().grown_from.is_some());
    fs::write(state.path().join("logs/code/0/journal"), "spoilt").unwrap();
    let accepted =
        accept_loss(state.path(), "code/0", "a disk failed", &[kept], &operator(&[])).await.unwrap();
    assert_eq!(accepted.lost.len(), 1, "{accepted:?}");
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 3, "{report}");
}
