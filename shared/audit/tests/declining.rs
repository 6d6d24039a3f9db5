//! What a collector declines: logs that were rewritten, signed with another key or sent by somebody else; and what it does where its
//! own disk is not what it was.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use audit::{AuditError, Collector, Declined, Options, Verdict, VerifyingKey};
use common::{
    collect::{Near, collector, commits, find, head, join, journal, leaves, report, run, vkey, whole},
    forge::{sign_again, steal},
    frames::{Frame, frames as split},
    scratch,
};
use ed25519_dalek::SigningKey;

#[tokio::test(flavor = "multi_thread")]
async fn histories_that_are_not_the_one_that_is_held_are_declined() {
    let (state, collected) = (scratch(), scratch());
    let near = Near::open(collected.path());
    run(state.path(), Options::default(), 6).await;
    let frames = split(&journal(state.path()));
    let ends = commits(&frames);
    let (first, rest) = frames.split_at(ends[2]);
    let held = leaves(first);
    assert_eq!(near.take(&[head(state.path(), None, 0), join(first)].concat()).unwrap(), held);

    // Rebuilt with the stolen key: other records where some are held, and other records behind them.
    let key = steal(state.path());
    let mut forged = frames.clone();
    let text = String::from_utf8(forged[1].content.clone()).unwrap();
    forged[1].content = text.replace("\"version\":\"0\"", "\"version\":\"1\"").into_bytes();
    assert_ne!(forged[1].content, frames[1].content);
    sign_again(&mut forged, &key);
    let status = |delivery: Vec<u8>| near.take(&delivery).map_err(|it| it.status());
    assert_eq!(status([head(state.path(), None, 0), join(&forged)].concat()), Err(422));
    assert_eq!(status([head(state.path(), None, held), join(&forged[ends[2]..])].concat()), Err(422));
    // Under another key.
    let other = SigningKey::from_bytes(&[7; 32]);
    let mut rebuilt = frames.clone();
    sign_again(&mut rebuilt, &other);
    let vkey = vkey(&other);
    assert_eq!(status([head(state.path(), Some(&vkey), 0), join(&rebuilt)].concat()), Err(403));
    // With the right key's name and another's signatures.
    assert_eq!(status([head(state.path(), None, held), join(&rebuilt[ends[2]..])].concat()), Err(403));
    // Replays, gaps and pieces.
    assert_eq!(status([head(state.path(), None, 0), join(first)].concat()), Err(409), "a replay");
    assert_eq!(status([head(state.path(), None, held + 1), join(rest)].concat()), Err(409), "a gap");
    assert_eq!(
        status([head(state.path(), None, held), join(&rest[..1])].concat()),
        Err(400),
        "no checkpoint"
    );
    assert_eq!(status([head(state.path(), None, held), join(&frames)].concat()), Err(400), "a second header");
    let mut spoilt = join(rest);
    spoilt[20] ^= 1;
    assert_eq!(status([head(state.path(), None, held), spoilt].concat()), Err(400), "a changed byte");
    let without: Vec<Frame> = rest.iter().filter(|it| it.kind != 3).cloned().collect();
    assert_eq!(
        status([head(state.path(), None, held), join(&without)].concat()),
        Err(400),
        "payloads taken away"
    );
    let collector = near.collector.lock().unwrap();
    let lab = collector.as_ref().unwrap().take("lab", &[head(state.path(), None, held), join(rest)].concat());
    assert_eq!(lab.unwrap_err().status(), 403, "another sender");
    drop(collector);
    // Whatever was shown, what is held goes on.
    assert_eq!(status([head(state.path(), None, held), join(rest)].concat()), Ok(leaves(&frames)));
    let told = report(collected.path());
    assert_eq!(told.verdict, Verdict::Altered, "{told}");
    assert!(told.logs[0].altered.as_ref().unwrap().problem.contains("refused/fork-"), "{told}");
    assert!(told.logs[0].findings.iter().any(|it| it.contains("under another key")), "{told}");
    // The evidence apart, what is held is what the sender has.
    fs::remove_dir_all(evidence(collected.path())).unwrap();
    assert_eq!(report(collected.path()).verdict, Verdict::Intact);
}

fn evidence(collected: &Path) -> PathBuf {
    let mut below = vec![collected.to_owned()];
    while let Some(folder) = below.pop() {
        if folder.ends_with("refused") {
            return folder;
        }
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        below.extend(entries.map(|it| it.path()).filter(|it| it.is_dir()));
    }
    panic!("nothing was kept")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_was_told_of_keys_takes_no_others() {
    let (state, collected) = (scratch(), scratch());
    run(state.path(), Options::default(), 0).await;
    let open = |key: VerifyingKey| {
        Collector::open(collected.path(), BTreeMap::from([("ci".to_owned(), vec![key])])).unwrap()
    };
    let refused = open(vkey(&SigningKey::from_bytes(&[3; 32]))).take("ci", &whole(state.path()));
    assert!(matches!(refused, Err(Declined::UnknownKey)));
    open(audit::key_beside(state.path()).unwrap()).take("ci", &whole(state.path())).unwrap();
    let nobody = open(audit::key_beside(state.path()).unwrap()).take("nobody", &whole(state.path()));
    assert!(matches!(nobody, Err(Declined::OtherSender)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_is_changed_is_never_written_over() {
    let (state, collected) = (scratch(), scratch());
    run(state.path(), Options::default(), 6).await;
    let frames = split(&journal(state.path()));
    let ends = commits(&frames);
    let send = |upto: usize, from: usize| {
        let size = leaves(&frames[..from]);
        let delivery = [head(state.path(), None, size), join(&frames[from..upto])].concat();
        collector(collected.path()).take("ci", &delivery)
    };
    send(ends[3], 0).unwrap();
    let path = find(collected.path(), "journal");
    let right = fs::read(&path).unwrap();
    for spoil in [|it: &mut Vec<u8>| it[200] ^= 1, |it: &mut Vec<u8>| it.truncate(it.len() - 30)] {
        let mut bytes = right.clone();
        spoil(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let refused = send(ends[4], ends[3]);
        assert!(matches!(&refused, Err(Declined::Failed(AuditError::Damaged { .. }))), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "evidence is left as it is");
    }
    fs::write(&path, right).unwrap();
    assert_eq!(send(ends[4], ends[3]).unwrap().size, leaves(&frames[..ends[4]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_before_the_first_record_keeps_nobody_out() {
    let (state, collected) = (scratch(), scratch());
    run(state.path(), Options::default(), 0).await;
    collector(collected.path()).take("ci", &whole(state.path())).unwrap();
    let journal = find(collected.path(), "journal");
    let source = journal.ancestors().nth(4).unwrap();
    let key = fs::read(source.join("key")).unwrap();
    // Cut off while the key was made, then between the key and the first log.
    fs::remove_dir_all(source).unwrap();
    fs::create_dir(source).unwrap();
    fs::write(source.join(".key"), &key[..10]).unwrap();
    assert_eq!(collector(collected.path()).logs(), 0);
    fs::write(source.join("key"), &key).unwrap();
    fs::create_dir_all(source.join("logs/code/.new-00ff")).unwrap();
    assert_eq!(collector(collected.path()).logs(), 0);
    assert!(!source.join("logs/code/.new-00ff").exists());
    collector(collected.path()).take("ci", &whole(state.path())).unwrap();
    assert_eq!(report(collected.path()).verdict, Verdict::Intact);
    // A log without its key is nothing that a crash leaves.
    fs::remove_file(source.join("key")).unwrap();
    let opened = Collector::open(collected.path(), BTreeMap::new());
    assert!(matches!(opened.map(|it| it.logs()), Err(AuditError::Io { .. })));
}
