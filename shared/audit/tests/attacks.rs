//! Which attacks does a verification see, and with what in the verifier's hands? Every row of the table in `SECURITY.md` is
//! carried out here, and the table is what came of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use audit::{Anchor, Collector, Event, Report, Verdict, Verification, accept_loss, rotate};
use common::{
    entry,
    forge::{self, copy},
    frames::{Frame, frames, rebuild},
    open_small, scratch,
    victim::{Victim, cut, leaves, operator, without_last_read},
};
use ed25519_dalek::SigningKey;

/// The key is changed; whoever stole it before rewrites a log with it, and has it name and close another history for a key of his own.
fn succeed_a_retired_key(it: &Victim) {
    let (state, other) = (it.state.path(), scratch());
    let key = forge::steal(state);
    copy(state, other.path());
    rotate(state, &operator()).unwrap();
    let zero = other.path().join("logs/code/0");
    let mut all = frames(&fs::read(zero.join("journal")).unwrap());
    without_last_read(&mut all, &key);
    fs::write(zero.join("journal"), rebuild(&all)).unwrap();
    fs::remove_file(zero.join("head")).unwrap();
    fs::remove_dir_all(zero.join("tlog")).unwrap();
    for taken in 0..8 {
        let folder = other.path().join(format!("logs/operator/{taken}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("retired"), "").unwrap();
    }
    rotate(other.path(), &operator()).unwrap();
    for log in ["code/0", "code/1", "operator/8", "operator/9"] {
        let target = state.join("logs").join(log);
        let _ = fs::remove_dir_all(&target);
        fs::create_dir_all(&target).unwrap();
        copy(&other.path().join("logs").join(log), &target);
    }
}

/// An attack by its name in the table.
type Attack = (&'static str, fn(&Victim));

/// Alters no record, and keeps everybody from checking what lies beside them.
const NO_SUBJECTS: &str = "take the keys of the payloads away";

const ATTACKS: [Attack; 22] = [
    ("flip a bit of a record", |it| {
        it.edit(|all| {
            let at = leaves(all)[1];
            all[at].content[20] ^= 1;
        });
    }),
    ("delete a record", |it| it.edit(|all| drop(all.drain(leaves(all)[1]..leaves(all)[1] + 2)))),
    ("delete a commit", |it| it.edit(|all| drop(all.drain(leaves(all)[1]..leaves(all)[1] + 3)))),
    ("swap two records", |it| {
        it.edit(|all| {
            let (left, right) = (leaves(all)[1], leaves(all)[4]);
            all.swap(left, right);
            all.swap(left + 1, right + 1);
        });
    }),
    ("take a payload away", |it| it.edit(|all| drop(all.remove(leaves(all)[1] + 1)))),
    ("write another name before a payload", |it| {
        it.edit(|all| {
            let at = leaves(all)[1] + 1;
            all[at].content[..8].fill(0);
        });
    }),
    (NO_SUBJECTS, |it| fs::remove_dir_all(it.state.path().join("keys/subjects")).unwrap()),
    ("cut the tail", |it| it.edit(|all| cut(all, 5))),
    ("cut the tail and its checkpoints, as far as another log saw", |it| {
        it.edit(|all| cut(all, 2));
        it.cover_up();
    }),
    ("cut the tail and its checkpoints, behind what others saw", |it| {
        it.edit(|all| cut(all, 5));
        it.cover_up();
    }),
    ("cut the tail and its checkpoints, behind what others saw, and hold the log's lock", |it| {
        it.edit(|all| cut(all, 5));
        it.cover_up();
        let lock = fs::File::open(it.log().join("lock")).unwrap();
        lock.lock().unwrap();
        *it.held.lock().unwrap() = Some(lock);
    }),
    ("cut the tail, its checkpoints, and claim a crash", |it| {
        it.edit(|all| cut(all, 5));
        it.cover_up();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let state = it.state.path();
        runtime.block_on(async {
            let (log, opened) = open_small(state);
            assert!(opened.taken_over && opened.log == "code/0", "{opened}");
            log.record(entry(Event::Read)).await.unwrap();
            log.close("end of test").await.unwrap();
        });
    }),
    ("rebuild without the key", |it| {
        it.edit(|all| {
            drop(all.drain(leaves(all)[5]..leaves(all)[5] + 3));
            forge::number_again(all);
            forge::keep_signatures(all);
        });
        it.cover_up();
    }),
    ("rebuild with another key, and put it beside the logs", |it| {
        let key = SigningKey::from_bytes(&[5; 32]);
        forge::replace_key(it.state.path(), &key);
        it.edit(|all| without_last_read(all, &key));
        it.cover_up();
        let one = it.state.path().join("logs/code/1");
        let mut all = frames(&fs::read(one.join("journal")).unwrap());
        forge::sign_again(&mut all, &key);
        fs::write(one.join("journal"), rebuild(&all)).unwrap();
        let _ = fs::remove_file(one.join("head"));
        let _ = fs::remove_dir_all(one.join("tlog"));
    }),
    ("rebuild with the stolen key", |it| {
        let key = forge::steal(it.state.path());
        it.edit(|all| without_last_read(all, &key));
        it.cover_up();
    }),
    ("rebuild with a retired key that was stolen, and have it name a new key", succeed_a_retired_key),
    ("put a copy of a log in another place, as one more", |it| {
        fs::create_dir(it.state.path().join("logs/code/2")).unwrap();
        copy(&it.log(), &it.state.path().join("logs/code/2"));
    }),
    ("remove a log that another saw", |it| fs::remove_dir_all(it.log()).unwrap()),
    ("remove a log that nobody saw", |it| fs::remove_dir_all(it.state.path().join("logs/code/1")).unwrap()),
    ("remove what was put aside of a lost log", |it| {
        fs::write(it.log().join("journal"), "spoilt").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let operator = operator();
        let accepted = accept_loss(it.state.path(), "code/0", "a disk failed", &[], &operator);
        let accepted = runtime.block_on(accepted).unwrap();
        fs::remove_dir_all(accepted.kept.unwrap()).unwrap();
    }),
    ("remove every log", |it| fs::remove_dir_all(it.state.path().join("logs")).unwrap()),
    ("put an older copy of the folder back", |it| {
        fs::remove_dir_all(it.state.path().join("logs")).unwrap();
        copy(it.earlier.path(), it.state.path());
    }),
];

/// Attacks with a key that was stolen, then changed and revoked.
const REVOKED: [Attack; 3] = [
    ("rebuild with the stolen key, which is revoked", |it| {
        it.edit(|all| {
            all.truncate(leaves(all)[7]);
            without_last_read(all, &it.stolen);
        });
        it.cover_up();
    }),
    ("go on with the stolen key, which is revoked", |it| {
        it.edit(|all| {
            let stop: Vec<Frame> = all[*leaves(all).last().unwrap()..].to_vec();
            all.extend(stop);
            forge::number_again(all);
            forge::sign_again(all, &it.stolen);
        });
        it.cover_up();
    }),
    ("put an older copy and the stolen key back, and go on", |it| {
        let state = it.state.path();
        fs::remove_dir_all(state.join("logs")).unwrap();
        copy(it.earlier.path(), state);
        forge::replace_key(state, &it.stolen);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (log, _) = open_small(state);
            log.record(entry(Event::Read)).await.unwrap();
            log.close("end of test").await.unwrap();
        });
    }),
];

/// What a verification says in one cell of the table.
fn cell(report: &Report) -> String {
    let altered = report.logs.iter().find_map(|it| it.altered.as_ref());
    match (report.verdict, altered) {
        (Verdict::Altered, Some(it)) => format!("**altered** from {}", it.index),
        (Verdict::Findings, _) => "finding only".to_owned(),
        _ => "not seen".to_owned(),
    }
}

/// Carries an attack out and verifies with more and more in hand.
fn row(name: &str, victim: &Victim) -> String {
    let kept = &victim.kept;
    let keys = || vec![kept.key.clone()];
    let ways = [
        Verification::default(),
        Verification { keys: keys(), ..Verification::default() },
        Verification { keys: keys(), receipts: kept.receipt.clone(), ..Verification::default() },
        Verification { keys: keys(), anchors: vec![kept.anchor.clone()], ..Verification::default() },
    ];
    let reports = ways.map(|it| it.run(victim.state.path()).unwrap());
    let cells: Vec<String> = reports.iter().map(cell).collect();
    let likely = reports[3].logs.iter().find_map(|it| it.altered.as_ref()).map(|it| it.likely.clone());
    format!("| {name} | {} | {} |\n", cells.join(" | "), likely.unwrap_or_default())
}

#[tokio::test]
async fn the_table_of_attacks_is_what_verification_sees() {
    let mut table = "| attack | key beside the logs | key kept elsewhere | key and a receipt | key and an anchor | it looks like |\n\
                     | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let attacks = ATTACKS.map(|it| (it, false)).into_iter().chain(REVOKED.map(|it| (it, true)));
    for ((name, attack), revoked) in attacks {
        let victim = if revoked { Victim::revoked().await } else { Victim::new().await };
        let row = tokio::task::spawn_blocking(move || {
            attack(&victim);
            row(name, &victim)
        });
        write!(table, "{}", row.await.unwrap()).unwrap();
    }
    expect_test::expect_file!["attacks.md"].assert_eq(&table);
    // Nothing that alters records escapes a verifier who kept a key and an anchor, and nothing at all goes unmentioned.
    for row in table.lines().skip(2) {
        let (name, cell) = (row.split(" | ").next().unwrap(), row.split(" | ").nth(4).unwrap());
        let is_seen = cell.starts_with("**altered**");
        assert!(is_seen || (name.ends_with(NO_SUBJECTS) && cell == "finding only"), "{row}");
    }
}

/// A collector that was sent both logs of a victim.
fn collected(victim: &Victim) -> tempfile::TempDir {
    let folder = scratch();
    let senders = BTreeMap::from([("ci".to_owned(), Vec::new())]);
    let collector = Collector::open(folder.path(), senders).unwrap();
    for log in ["code/0", "code/1"] {
        let all = frames(&fs::read(victim.state.path().join("logs").join(log).join("journal")).unwrap());
        let header = String::from_utf8(all[0].content.clone()).unwrap();
        let (origin, key) = (header.lines().nth(1).unwrap(), &victim.kept.key);
        let mut delivery =
            format!("bailiwick delivery v1\norigin {origin}\nkey {key}\nfrom 0\n\n").into_bytes();
        delivery.extend(rebuild(&all));
        // Room behind the last frame is no part of it.
        delivery.truncate(delivery.len() - 4096);
        collector.take("ci", &delivery).unwrap();
    }
    folder
}

#[tokio::test]
async fn what_a_collector_holds_shows_every_attack_and_suffers_from_none() {
    for (name, attack) in ATTACKS {
        let victim = Victim::new().await;
        let attacked = tokio::task::spawn_blocking(move || {
            let folder = collected(&victim);
            attack(&victim);
            let held = Verification::default().run_collected(folder.path()).unwrap();
            assert_eq!(held.verdict, Verdict::Intact, "{name}: {held}");
            let heads = audit::collected_heads(folder.path()).unwrap();
            let anchor = Anchor::parse("collected", &heads.to_string()).unwrap();
            let keys = vec![victim.kept.key.clone()];
            let it = Verification { keys, anchors: vec![anchor], ..Verification::default() };
            let report = it.run(victim.state.path()).unwrap();
            let seen = if name == NO_SUBJECTS { Verdict::Findings } else { Verdict::Altered };
            assert_eq!(report.verdict, seen, "{name}: {report}");
        });
        attacked.await.unwrap();
    }
}

/// The journal of `code/0` that a collector holds.
fn journal_below(folder: &Path) -> std::path::PathBuf {
    let mut below = vec![folder.to_owned()];
    while let Some(folder) = below.pop() {
        let path = folder.join("logs/code/0/journal");
        if path.exists() {
            return path;
        }
        below.extend(fs::read_dir(folder).unwrap().flatten().map(|it| it.path()).filter(|it| it.is_dir()));
    }
    panic!("it holds no log")
}

#[tokio::test]
async fn whoever_can_write_a_collectors_folder_is_seen_as_far_as_somebody_kept_something() {
    let victim = Victim::new().await;
    let folder = collected(&victim);
    let path = journal_below(folder.path());
    let right = fs::read(&path).unwrap();
    let judge = |it: &Verification| cell(&it.run_collected(folder.path()).unwrap());
    let keys = vec![victim.kept.key.clone()];
    let with_key = Verification { keys: keys.clone(), ..Verification::default() };
    let kept = Verification { anchors: vec![victim.kept.anchor.clone()], ..with_key.clone() };
    let receipts = Verification { receipts: victim.kept.receipt.clone(), ..with_key.clone() };
    let all = frames(&right);
    let write = |edit: &dyn Fn(&mut Vec<Frame>)| {
        let mut all = all.clone();
        edit(&mut all);
        fs::write(&path, rebuild(&all)).unwrap();
    };
    write(&|all| {
        let at = leaves(all)[1];
        all[at].content[20] ^= 1;
    });
    assert_eq!(judge(&Verification::default()), "**altered** from 1");
    write(&|all| cut(all, 5));
    assert_eq!(judge(&with_key), "finding only", "it ends without a stop");
    assert_eq!([judge(&kept), judge(&receipts)], ["**altered** from 5", "**altered** from 5"]);
    let key = forge::steal(victim.state.path());
    write(&|all| without_last_read(all, &key));
    assert_eq!([judge(&with_key), judge(&receipts)], ["not seen", "**altered** from 4"]);
    fs::write(&path, right).unwrap();
    assert_eq!(judge(&kept), "not seen", "nothing was altered");
}

/// The document claims what the test has seen, word for word.
#[test]
fn the_security_policy_quotes_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let policy = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let table = fs::read_to_string(root.join("shared/audit/tests/attacks.md")).unwrap();
    assert!(policy.contains(&table), "SECURITY.md quotes shared/audit/tests/attacks.md");
}
