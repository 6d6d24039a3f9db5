//! What a collector takes, and what it declines: logs that were rewritten, put back, signed with another key or sent by somebody else;
//! deliveries that were cut off; and deliveries in any pieces.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use audit::{
    AuditError, Collect, Collector, Declined, Digest, Event, Log, Options, Publishing, TargetError, Verdict,
    Verification, VerifyingKey,
};
use common::{
    entry,
    forge::{CHECKPOINT, LEAF, replace_key, sign_again, steal},
    frames::{Frame, frames as split, rebuild},
    intent, scratch,
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

/// A collector that is reached without a network.
struct Near {
    collector: Mutex<Option<Collector>>,
    folder: PathBuf,
}

impl Near {
    fn open(folder: &Path) -> Arc<Near> {
        let collector = Mutex::new(Some(collector(folder)));
        Arc::new(Near { collector, folder: folder.to_owned() })
    }

    fn take(&self, delivery: &[u8]) -> Result<u64, Declined> {
        let collector = self.collector.lock().unwrap();
        collector.as_ref().expect("it is up").take("ci", delivery).map(|it| it.size)
    }

    fn go_down(&self) {
        self.collector.lock().unwrap().take();
    }

    fn come_back(&self) {
        *self.collector.lock().unwrap() = Some(collector(&self.folder));
    }
}

impl std::fmt::Debug for Near {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Near")
    }
}

impl Collect for Near {
    fn name(&self) -> String {
        "near".to_owned()
    }

    fn deliver(&self, delivery: Vec<u8>) -> Result<(u16, String), TargetError> {
        let collector = self.collector.lock().unwrap();
        let collector = collector.as_ref().ok_or(TargetError("it is down".to_owned()))?;
        Ok(match collector.take("ci", &delivery) {
            Ok(held) => (200, held.body()),
            Err(Declined::Elsewhere { size }) => (409, size.to_string()),
            Err(declined) => (declined.status(), declined.to_string()),
        })
    }
}

fn collector(folder: &Path) -> Collector {
    let senders = ["ci", "lab"].map(|it| (it.to_owned(), Vec::new()));
    Collector::open(folder, BTreeMap::from(senders)).unwrap()
}

fn options(near: &Arc<Near>) -> Options {
    let publishing = Publishing { collector: Some(near.clone()), ..Publishing::default() };
    Options { publishing, chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() }
}

/// Runs a log of one effect and some reads, from its start to its stop.
async fn run(state: &Path, options: Options, reads: usize) {
    let (log, _) = Log::open(state, "code", options).unwrap();
    let admission = log.admit_effect([1; 32], intent()).await.unwrap();
    let index = admission.intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    for _ in 0..reads {
        log.record(entry(Event::Read)).await.unwrap();
    }
    log.close("end of test").await.unwrap();
}

fn report(collected: &Path) -> audit::Report {
    Verification::default().run_collected(collected).unwrap()
}

/// Frames of a journal, as they stand there.
fn journal(state: &Path) -> Vec<u8> {
    let mut bytes = fs::read(state.join("logs/code/0/journal")).unwrap();
    bytes.truncate(bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    bytes
}

fn head(state: &Path, key: Option<&VerifyingKey>, from: u64) -> Vec<u8> {
    let text = String::from_utf8(split(&journal(state))[0].content.clone()).unwrap();
    let key = key.cloned().unwrap_or_else(|| audit::key_beside(state).unwrap());
    format!("bailiwick delivery v1\norigin {}\nkey {key}\nfrom {from}\n\n", text.lines().nth(1).unwrap())
        .into_bytes()
}

fn whole(state: &Path) -> Vec<u8> {
    [head(state, None, 0), journal(state)].concat()
}

fn leaves(frames: &[Frame]) -> u64 {
    frames.iter().filter(|it| it.kind == LEAF).count() as u64
}

/// These frames and nothing behind them.
fn join(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = rebuild(frames);
    bytes.truncate(bytes.len() - 4096);
    bytes
}

/// Where commits end, in frames.
fn commits(frames: &[Frame]) -> Vec<usize> {
    frames.iter().enumerate().filter(|(_, it)| it.kind == CHECKPOINT).map(|(at, _)| at + 1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_collected_is_what_was_written_and_verifies_without_its_keys() {
    let (state, collected) = (scratch(), scratch());
    let near = Near::open(collected.path());
    run(state.path(), options(&near), 20).await;
    run(state.path(), options(&near), 3).await;
    let (here, there) = (audit::verify(state.path(), &[]).unwrap(), report(collected.path()));
    assert_eq!(there.verdict, Verdict::Intact, "{there}");
    assert_eq!((&there.logs[0].root, there.logs[0].records), (&here.logs[0].root, here.logs[0].records));
    assert_eq!(there.logs[0].payloads.checked, 0);
    assert_eq!(there.logs[0].payloads.without_keys, here.logs[0].payloads.checked);
    assert!(
        !there.independent && there.not_seen.iter().any(|it| it.contains("keys are not here")),
        "{there}"
    );
    let given =
        Verification { keys: vec![audit::key_beside(state.path()).unwrap()], ..Verification::default() };
    assert!(given.run_collected(collected.path()).unwrap().independent);
    let stranger = vkey(&SigningKey::from_bytes(&[9; 32]));
    let other = Verification { keys: vec![stranger], ..Verification::default() };
    assert_eq!(other.run_collected(collected.path()).unwrap().verdict, Verdict::Altered);
}

/// How others know a signing key.
fn vkey(key: &SigningKey) -> VerifyingKey {
    let state = scratch();
    drop(common::open(state.path()));
    replace_key(state.path(), key);
    audit::key_beside(state.path()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_waits_until_the_collector_holds_its_intent() {
    let (state, collected) = (scratch(), scratch());
    let near = Near::open(collected.path());
    let (log, _) = Log::open(state.path(), "code", options(&near)).unwrap();
    let admission = log.admit_effect([1; 32], intent()).await.unwrap();
    let index = admission.intent().unwrap().index();
    assert!(report(collected.path()).logs[0].records > index, "before the effect could begin");
    near.go_down();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    let refused = log.admit_effect([1; 32], intent()).await.unwrap_err();
    let AuditError::Uncollected { why, intent: Some(left) } = &refused else { panic!("{refused}") };
    assert!(why.contains("it is down") && why.contains("near"), "{why}");
    assert!(log.uncollected().unwrap().contains("no effect will run"));
    log.record(entry(Event::Read)).await.expect("reads go on");
    log.record(entry(Event::Outcome { intent: left.index() })).await.unwrap();
    near.come_back();
    log.admit_effect([1; 32], intent()).await.expect("it goes on where the collector is");
    assert_eq!(log.uncollected(), None);
    log.close("end of test").await.unwrap();
    assert_eq!(report(collected.path()).logs[0].root, audit::verify(state.path(), &[]).unwrap().logs[0].root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_last_admits_effects_only_with_a_collector() {
    let (state, collected) = (scratch(), scratch());
    let ephemeral = Some("it goes".to_owned());
    let (log, opened) =
        Log::open(state.path(), "code", Options { ephemeral: ephemeral.clone(), ..Options::default() })
            .unwrap();
    let refused = log.admit_effect([1; 32], intent()).await.unwrap_err();
    assert!(matches!(&refused, AuditError::Ephemeral { why } if why == "it goes"), "{refused}");
    assert_eq!(
        log.record(entry(Event::Read)).await.unwrap().index(),
        opened.size,
        "no intent was left behind"
    );
    log.close("end of test").await.unwrap();
    run(state.path(), Options { ephemeral, ..options(&Near::open(collected.path())) }, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_put_back_is_declined_and_kept_as_evidence() {
    let (state, older, collected) = (scratch(), scratch(), scratch());
    let near = Near::open(collected.path());
    run(state.path(), options(&near), 2).await;
    copy(state.path(), older.path());
    run(state.path(), options(&near), 2).await;
    let before = report(collected.path());
    let (log, _) = Log::open(older.path(), "code", options(&near)).unwrap();
    let refused = log.admit_effect([1; 32], intent()).await.unwrap_err();
    let AuditError::Uncollected { why, .. } = &refused else { panic!("{refused}") };
    assert!(why.contains("accept-loss"), "{why}");
    let again = log.admit_effect([1; 32], intent()).await.unwrap_err();
    assert!(matches!(again, AuditError::Uncollected { intent: None, .. }), "from now on at once: {again}");
    log.close("end of test").await.unwrap();
    let after = report(collected.path());
    assert_eq!((&after.logs[0].root, after.verdict), (&before.logs[0].root, Verdict::Altered), "{after}");
    let altered = after.logs[0].altered.as_ref().unwrap();
    assert!(altered.problem.contains("refused/fork-") && altered.likely.contains("older copy"), "{after}");
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir_all(&to).unwrap();
                copy(&entry.path(), &to);
            }
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

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
    let report = report(collected.path());
    assert_eq!(report.verdict, Verdict::Altered, "{report}");
    assert!(report.logs[0].altered.as_ref().unwrap().problem.contains("refused/fork-"), "{report}");
    assert!(report.logs[0].findings.iter().any(|it| it.contains("under another key")), "{report}");
    // The evidence apart, what is held is what the sender has.
    fs::remove_dir_all(evidence(collected.path())).unwrap();
    assert_eq!(self::report(collected.path()).verdict, Verdict::Intact);
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

fn find(folder: &Path, name: &str) -> PathBuf {
    let mut below = vec![folder.to_owned()];
    while let Some(folder) = below.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => below.push(path),
                path if path.ends_with(name) => return path,
                _ => {}
            }
        }
    }
    panic!("no {name}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Cut off in any commit, at any byte, it goes on where it was acknowledged, and holds in the end what was sent.
    #[test]
    fn deliveries_in_any_pieces_that_are_cut_off_anywhere_add_up(
        pieces in proptest::collection::vec((1usize..4, 0.0f64..1.0), 1..8),
    ) {
        let (state, collected) = (scratch(), scratch());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(state.path(), Options::default(), 12));
        let frames = split(&journal(state.path()));
        let ends = commits(&frames);
        let (mut at, mut acknowledged) = (0, 0);
        for (count, cut) in pieces {
            if at == ends.len() {
                break;
            }
            let from = if at == 0 { 0 } else { ends[at - 1] };
            let upto = (at + count).min(ends.len());
            let part = join(&frames[from..ends[upto - 1]]);
            if at > 0 {
                // What a crash leaves of a delivery that nobody was told of.
                let path = find(collected.path(), "journal");
                let torn = &part[..(part.len() as f64 * cut) as usize];
                let before = fs::read(&path).unwrap();
                fs::write(&path, [&before, torn].concat()).unwrap();
            }
            let delivery = [head(state.path(), None, acknowledged), part].concat();
            match collector(collected.path()).take("ci", &delivery) {
                Ok(held) => {
                    acknowledged = held.size;
                    at = upto;
                }
                // Whole commits that were written count as held, acknowledged or not.
                Err(Declined::Elsewhere { size }) => {
                    prop_assert!(size > acknowledged);
                    acknowledged = size;
                    at = ends.iter().position(|it| leaves(&frames[..*it]) == size).unwrap() + 1;
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        if at < ends.len() {
            let from = if at == 0 { 0 } else { ends[at - 1] };
            let delivery = [head(state.path(), None, acknowledged), join(&frames[from..])].concat();
            collector(collected.path()).take("ci", &delivery).unwrap();
        }
        let path = find(collected.path(), "journal");
        prop_assert_eq!(fs::read(path).unwrap(), journal(state.path()));
        prop_assert_eq!(report(collected.path()).verdict, Verdict::Intact);
    }

    #[test]
    fn arbitrary_bytes_are_no_delivery(bytes in proptest::collection::vec(any::<u8>(), 0..400), digest: Digest) {
        let collected = scratch();
        let it = collector(collected.path());
        prop_assert!(it.take("ci", &bytes).is_err());
        let head = format!(
            "bailiwick delivery v1\norigin bailiwick/code/0/{}\nkey PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\nfrom 0\n\n",
            hex::encode(&digest[..8])
        );
        prop_assert!(it.take("ci", &[head.as_bytes(), &bytes].concat()).is_err());
        prop_assert_eq!(it.logs(), 0);
    }
}
