//! Processes that end in the middle, and many at once: what was told is in the log, what was done is done once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Barrier,
    thread,
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alertmanager, GitRepository, Recorder},
    cli::{Ended, Home},
    copy_folder,
    mcp::{Response, Session, Version},
    wait_until,
};

const SILENCES: &str = "/api/v2/silences";
const LOG: &str = "logs/code/0";

fn over_git() -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let config = format!("[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config), shop)
}

fn over_alerts() -> (Home, Alertmanager, Recorder) {
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let recorder = Recorder::before(alerts.address());
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[policy]\nallow = [\"list_alerts\", \"silence_alert\"]\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\ntimeout_ms = 60000\n",
        recorder.url()
    ));
    (home, alerts, recorder)
}

fn start_silence(session: &mut Session) -> u64 {
    session.start_call(
        "silence_alert",
        json!({
            "matchers": ["alertname=\"HighErrorRate\""],
            "duration_minutes": 30,
            "reason": "rolling back checkout, its errors are known",
        }),
    )
}

fn read(home: &Home) -> Ended {
    home.call("code", "show_authority", &json!({}))
}

/// Every record, oldest first.
fn records(home: &Home) -> Vec<Value> {
    let tail = home.run(["audit", "tail", "--json", "-n", "100000"]).expect(0).stdout;
    tail.lines().map(|it| serde_json::from_str(it).expect("a record a line")).collect()
}

fn of_event<'a>(records: &'a [Value], event: &str) -> Vec<&'a Value> {
    records.iter().filter(|it| it["leaf"]["event"] == event).collect()
}

/// The report on logs of which none was altered, with or without findings.
fn verified(home: &Home) -> Value {
    let ended = home.run(["audit", "verify", "--json"]);
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:#?}");
    ended.json()
}

/// Fails unless every receipt names a record of these logs, with this very leaf.
fn assert_recorded(home: &Home, receipts: &[Value]) {
    let report = verified(home);
    let logs = report["logs"].as_array().expect("a list").iter();
    let origins: BTreeMap<_, _> = logs.map(|it| (it["origin"].to_string(), it["log"].to_string())).collect();
    let leaf = |it: &Value| ((it["log"].to_string(), it["index"].as_u64()), it["leaf_hash"].clone());
    let leaves: BTreeMap<_, _> = records(home).iter().map(leaf).collect();
    for receipt in receipts {
        let log = origins.get(&receipt["log"].to_string()).unwrap_or_else(|| panic!("no log: {receipt}"));
        let found = leaves.get(&(log.clone(), receipt["index"].as_u64()));
        assert_eq!(found, Some(&receipt["leaf"]), "{receipt}");
    }
}

/// Bytes of a journal up to its last that is not zero: behind it is room that was reserved.
fn written(journal: &Path) -> Vec<u8> {
    let mut bytes = fs::read(journal).expect("readable");
    bytes.truncate(bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
    bytes
}

#[test]
fn a_write_that_a_kill_interrupts_is_unknown_and_not_done_again() {
    let (home, alerts, recorder) = over_alerts();
    let mut session = home.serve(&["observability"], Version::V2025_11_25);
    let hold = recorder.hold("POST", SILENCES);
    start_silence(&mut session);
    hold.wait_arrived(DEADLINE);
    session.kill();
    let found = home.run(["audit", "verify", "--json"]).expect(3).json();
    assert!(found["logs"][0]["findings"].to_string().contains("intent 1 has no outcome"), "{found}");
    hold.release();
    wait_until("the write to arrive", DEADLINE, || (alerts.silences().len() == 1).then_some(()));
    home.call("observability", "list_alerts", &json!({})).expect(0);
    let records = records(&home);
    assert_eq!(of_event(&records, "intent").len(), 1);
    let outcome: [&Value; 1] = of_event(&records, "outcome").try_into().expect("one outcome");
    assert_eq!(
        (&outcome[0]["leaf"]["intent"], &outcome[0]["leaf"]["outcome"]),
        (&json!(1), &json!("unknown"))
    );
    assert_eq!(of_event(&records, "recovered").len(), 1, "it says that it took over");
    assert_eq!(recorder.requests_to("POST", "/").len(), 1, "nothing is run twice");
    assert_eq!(alerts.silences().len(), 1);
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_write_outlives_the_client_that_asked_for_it() {
    let (home, alerts, recorder) = over_alerts();
    let mut session = home.serve(&["observability"], Version::V2025_11_25);
    let hold = recorder.hold("POST", SILENCES);
    start_silence(&mut session);
    hold.wait_arrived(DEADLINE);
    let waiting = recorder.hold("GET", "/");
    session.start_call("list_alerts", json!({}));
    waiting.wait_arrived(DEADLINE);
    session.close_stdin();
    // A read is given up once the client has left, and says so; the write is still on its way.
    let given_up = || of_event(&records(&home), "read").first().map(|it| it["leaf"]["outcome"].clone());
    assert_eq!(wait_until("the end of the read", DEADLINE, given_up), "cancelled");
    assert_eq!(of_event(&records(&home), "outcome").len(), 0);
    hold.release();
    assert!(session.wait().success(), "{}", session.errors());
    let records = records(&home);
    let outcome: [&Value; 1] = of_event(&records, "outcome").try_into().expect("one outcome");
    assert_eq!((&outcome[0]["leaf"]["intent"], &outcome[0]["leaf"]["outcome"]), (&json!(1), &json!("ok")));
    assert_eq!(of_event(&records, "stop").len(), 1, "the process ended in order, after its write");
    assert_eq!((alerts.silences().len(), recorder.requests_to("POST", "/").len()), (1, 1));
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_write_that_is_cancelled_runs_to_its_end() {
    let (home, alerts, recorder) = over_alerts();
    let mut session = home.serve(&["observability"], Version::V2025_11_25);
    let hold = recorder.hold("POST", SILENCES);
    let id = start_silence(&mut session);
    hold.wait_arrived(DEADLINE);
    session.cancel(id);
    // Whoever asks next is answered: nobody waits for the write any more.
    assert!(!session.call("list_alerts", json!({})).is_error());
    assert_eq!(of_event(&records(&home), "outcome").len(), 0);
    hold.release();
    let ended = || of_event(&records(&home), "outcome").first().map(|it| it["leaf"]["outcome"].clone());
    assert_eq!(wait_until("the outcome", DEADLINE, ended), "ok");
    assert!(session.leave().success());
    assert_eq!((alerts.silences().len(), recorder.requests_to("POST", "/").len()), (1, 1));
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn what_a_client_was_told_survives_a_kill_at_any_moment() {
    let (home, _shop) = over_git();
    let mut receipts: Vec<Value> = Vec::new();
    for round in 0..10 {
        let answers = RandomState::new().hash_one(round) % 100;
        let mut session = home.serve(&["code"], Version::V2025_11_25);
        for _ in 0..32 {
            session.start_call("show_authority", json!({}));
        }
        for _ in 0..answers {
            receipts.push(Response(session.message(DEADLINE).expect("an answer")).receipt());
            session.start_call("show_authority", json!({}));
        }
        session.kill();
        // What had left before counts too. A line that was cut short is nothing that a client could believe.
        while let Some(line) = session.line(DEADLINE) {
            let message = serde_json::from_str::<Value>(&line);
            receipts.extend(message.ok().map(|it| Response(it).receipt()));
        }
        if let Some(last) = receipts.last() {
            let shown = home.run(["audit", "show", &format!("code/0:{}", last["index"])]).expect(0).json();
            assert_eq!(shown["leaf_hash"], last["leaf"], "round {round}, killed after {answers} answers");
        }
    }
    assert!(receipts.iter().all(Value::is_object), "every answer has a receipt");
    assert_recorded(&home, &receipts);
    read(&home).expect(0);
    home.run(["audit", "verify"]).expect(0);
    assert_recorded(&home, &receipts);
}

#[test]
fn many_processes_share_one_state_folder() {
    let (home, _shop) = over_git();
    let begin = Barrier::new(10);
    let serving = || {
        begin.wait();
        let mut session = home.serve(&["code"], Version::V2025_11_25);
        let receipts: Vec<Value> = (0..20)
            .map(|_| {
                let answer = session
                    .call("list_commits", json!({ "window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" }));
                assert!(!answer.is_error(), "{}", answer.text());
                answer.receipt()
            })
            .collect();
        assert!(session.leave().success());
        receipts
    };
    let calling = || {
        begin.wait();
        let ended = home
            .call("code", "list_commits", &json!({ "window": "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z" }))
            .expect(0);
        vec![ended.json()["receipt"].clone()]
    };
    let receipts: Vec<Value> = thread::scope(|scope| {
        let serving: Vec<_> = (0..2).map(|_| scope.spawn(serving)).collect();
        let calling: Vec<_> = (0..8).map(|_| scope.spawn(calling)).collect();
        let all = serving.into_iter().chain(calling);
        all.flat_map(|it| it.join().expect("no process failed")).collect()
    });
    assert_eq!(receipts.len(), 2 * 20 + 8);
    let places: BTreeSet<_> =
        receipts.iter().map(|it| (it["log"].to_string(), it["index"].as_u64())).collect();
    assert_eq!(places.len(), receipts.len(), "no place is given twice");
    home.run(["audit", "verify"]).expect(0);
    assert_recorded(&home, &receipts);
}

#[test]
fn first_starts_at_once_make_one_key() {
    let (home, _shop) = over_git();
    let begin = Barrier::new(16);
    let start = || {
        begin.wait();
        read(&home).expect(0).json()["receipt"].clone()
    };
    let receipts: Vec<Value> = thread::scope(|scope| {
        let started: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
        started.into_iter().map(|it| it.join().expect("no process failed")).collect()
    });
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(home.state().join(folder)).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|it| it.expect("listed").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    };
    assert_eq!(names("keys"), ["log.key", "subject.secret", "subjects"], "and no draft is left");
    assert_eq!(names("keys/subjects").len(), 1, "all of them act for one person");
    let report = home.run(["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(report["keys"].as_array().map(Vec::len), Some(1));
    assert_recorded(&home, &receipts);
}

#[test]
fn a_torn_tail_is_put_aside_said_and_recorded() {
    let (home, _shop) = over_git();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    let told = session.call("show_authority", json!({})).receipt();
    // What a crash in the middle of the next commit leaves behind: all that was before, and a part of it.
    let torn = home.path().join("state/torn");
    copy_folder(&home.state(), &torn).expect("the state can be copied");
    let journal = torn.join(LOG).join("journal");
    let before = written(&journal).len();
    session.call("show_authority", json!({}));
    session.kill();
    let whole = written(&home.state().join(LOG).join("journal"));
    let part = &whole[..before + (whole.len() - before) / 2];
    fs::write(&journal, part).expect("ours");
    fs::remove_dir_all(home.state()).and_then(|()| fs::rename(&torn, home.state())).expect("ours");

    let cut = part.len() - before;
    let ended = read(&home).expect(0);
    let said = format!("put {cut} bytes aside");
    assert!(ended.stderr.contains(&said), "it is said that {said}: {}", ended.stderr);
    let records = records(&home);
    let recovered: [&Value; 1] = of_event(&records, "recovered").try_into().expect("one recovery");
    assert_eq!(recovered[0]["leaf"]["cut"][0]["bytes"], cut, "{recovered:?}");
    let aside = fs::read(home.state().join(LOG).join("torn-2-0")).expect("kept beside the journal");
    assert_eq!(aside, part[before..]);
    assert_recorded(&home, &[told, ended.json()["receipt"].clone()]);
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn garbage_behind_the_last_commit_is_put_aside() {
    let (home, _shop) = over_git();
    let told = read(&home).expect(0).json()["receipt"].clone();
    let journal = home.state().join(LOG).join("journal");
    let mut bytes = written(&journal);
    bytes.extend([0xA5; 333]);
    fs::write(&journal, bytes).expect("ours");
    let found = home.run(["audit", "verify"]).expect(3).stdout;
    assert!(found.contains("333 bytes stand behind the last checkpoint"), "{found}");
    let ended = read(&home).expect(0);
    assert!(ended.stderr.contains("put 333 bytes aside"), "{}", ended.stderr);
    assert_recorded(&home, &[told, ended.json()["receipt"].clone()]);
    home.run(["audit", "verify"]).expect(0);
}

/// Fails unless everything refuses to go on with the log as it is, says where to look, and leaves it so.
fn assert_refused(home: &Home, what: &str) {
    let journal = home.state().join(LOG).join("journal");
    let before = fs::read(&journal).expect("readable");
    let ended = read(home).expect(5);
    assert!(ended.stderr.contains("audit verify"), "{what}: {}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{what}: {}", ended.stdout);
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    let answer = session.call("show_authority", json!({}));
    assert_eq!(answer.error_code(), Some(-32603), "{what}: {}", answer.0);
    assert!(answer.0.to_string().contains("audit verify"), "{what}: {}", answer.0);
    drop(session);
    home.run(["audit", "verify"]).expect(1);
    assert!(fs::read(&journal).expect("readable") == before, "{what}: evidence is left as it is");
}

#[test]
fn a_byte_that_was_changed_stops_the_next_start() {
    let (home, _shop) = over_git();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    for _ in 0..5 {
        assert!(!session.call("show_authority", json!({})).is_error());
    }
    assert!(session.leave().success());
    let journal = home.state().join(LOG).join("journal");
    let bytes = written(&journal);
    for quarter in 1..=3 {
        let at = bytes.len() * quarter / 4;
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&journal, changed).expect("ours");
        assert_refused(&home, &format!("byte {at} of {}", bytes.len()));
    }
    fs::write(&journal, bytes).expect("ours");
    read(&home).expect(0);
    home.run(["audit", "verify"]).expect(0);
}

#[test]
fn a_tail_that_was_told_and_is_gone_stops_the_next_start() {
    let (home, _shop) = over_git();
    let mut session = home.serve(&["code"], Version::V2025_11_25);
    assert!(!session.call("show_authority", json!({})).is_error());
    session.kill();
    let journal = home.state().join(LOG).join("journal");
    let mut bytes = written(&journal);
    bytes.truncate(bytes.len() - 10);
    fs::write(&journal, bytes).expect("ours");
    assert_refused(&home, "ten bytes less");
}
