use std::{path::PathBuf, sync::Arc};

use audit::{Log, Options, Published};
use config::Secret;
use testkit::{DEADLINE, backends::ObjectStore, wait_until};

use super::*;

/// A bucket of a real store, its secrets in files.
fn settings(store: &ObjectStore, folder: &std::path::Path) -> config::Bucket {
    let secret = |name: &str, text: &str| {
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        Secret::File(path)
    };
    config::Bucket {
        name: ObjectStore::BUCKET.to_owned(),
        prefix: "estate/".to_owned(),
        endpoint: Some(store.url().parse().unwrap()),
        region: "us-east-1".to_owned(),
        access_key_id: secret("id", ObjectStore::ACCESS_KEY_ID),
        secret_access_key: secret("key", ObjectStore::SECRET_ACCESS_KEY),
    }
}

/// Opens a log that is published into the bucket.
fn open(state: &std::path::Path, bucket: &config::Bucket) -> (Log, audit::Opened) {
    let mut options = Options::default();
    options.publishing.every = Some(Duration::from_millis(10));
    options.publishing.targets.push(Arc::new(Bucket::open(bucket).unwrap()));
    Log::open(state, "code", options).unwrap()
}

fn there(log: &Log) -> Published {
    log.published().pop().unwrap()
}

#[test]
fn a_real_store_holds_each_tile_once_and_one_checkpoint_after_the_other() {
    let (store, folder) = (ObjectStore::start(), tempfile::tempdir().unwrap());
    let bucket = Bucket::open(&settings(&store, folder.path())).unwrap();
    assert_eq!(bucket.read("a/tile").unwrap(), None);
    assert!(bucket.create("a/tile/x001/067.p/3", b"one").unwrap());
    assert!(!bucket.create("a/tile/x001/067.p/3", b"two").unwrap(), "it is there");
    assert_eq!(bucket.read("a/tile/x001/067.p/3").unwrap().unwrap().bytes, b"one");
    assert_eq!(store.object("estate/a/tile/x001/067.p/3").as_deref(), Some("one"));
    assert_eq!(
        bucket.replace("a/checkpoint", b"early", Some("\"0123\"")).unwrap(),
        None,
        "nothing to replace"
    );
    let first = bucket.replace("a/checkpoint", b"one", None).unwrap().unwrap();
    assert_eq!(bucket.replace("a/checkpoint", b"other", None).unwrap(), None, "somebody was first");
    assert_eq!(bucket.read("a/checkpoint").unwrap().unwrap().tag, first);
    let second = bucket.replace("a/checkpoint", b"two", Some(&first)).unwrap().unwrap();
    assert_ne!(first, second);
    assert_eq!(bucket.replace("a/checkpoint", b"late", Some(&first)).unwrap(), None, "it was read before");
    assert_eq!(bucket.read("a/checkpoint").unwrap().unwrap().bytes, b"two");
    bucket.remove("a/tile/x001/067.p/3").unwrap();
    bucket.remove("a/tile/x001/067.p/3").unwrap();
    assert_eq!(store.object("estate/a/tile/x001/067.p/3"), None);
}

#[tokio::test]
async fn a_log_is_published_into_a_real_store_and_its_clone_is_refused_there() {
    let (store, folder) = (ObjectStore::start(), tempfile::tempdir().unwrap());
    let settings = settings(&store, folder.path());
    let (state, copy) = (folder.path().join("state"), folder.path().join("copy"));
    let (log, opened) = open(&state, &settings);
    for _ in 0..20 {
        log.heartbeat().await.unwrap();
    }
    wait_until("the log to be there", DEADLINE, || (there(&log).size == 21).then_some(()));
    log.close("end of test").await.unwrap();
    let at = format!("estate/{}/checkpoint", opened.origin);
    let published = store.object(&at).unwrap();
    assert!(published.starts_with(&format!("{}\n22\n", opened.origin)), "{published}");
    assert!(store.object(&format!("estate/{}/tile/entries/000.p/22", opened.origin)).is_some());
    // A machine that was cloned goes on with the same origin and the same key.
    testkit::copy_folder(&state, &copy).unwrap();
    let (log, _) = open(&state, &settings);
    wait_until("the first to be there", DEADLINE, || (there(&log).size == 23).then_some(()));
    let (clone, _) = open(&copy, &settings);
    clone.heartbeat().await.unwrap();
    let refused = wait_until("the clone to be refused", DEADLINE, || there(&clone).problem);
    assert!(refused.contains("other"), "{refused}");
    log.heartbeat().await.unwrap();
    wait_until("the first to go on", DEADLINE, || (there(&log).size == 24).then_some(()));
    log.close("end of test").await.unwrap();
    clone.close("end of test").await.unwrap();
    assert!(store.object(&at).unwrap().starts_with(&format!("{}\n25\n", opened.origin)));
}

#[tokio::test]
async fn a_store_that_refuses_the_key_holds_nothing_up() {
    let (store, folder) = (ObjectStore::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(&store, folder.path());
    settings.secret_access_key = settings.access_key_id.clone();
    let (log, _) = open(&folder.path().join("state"), &settings);
    log.heartbeat().await.unwrap();
    let problem = wait_until("the refusal", DEADLINE, || there(&log).problem);
    assert!(!problem.contains(ObjectStore::ACCESS_KEY_ID), "{problem}");
    assert!(log.heartbeat().await.is_ok());
    log.close("end of test").await.unwrap();
}
