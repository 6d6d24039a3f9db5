//! A disk that fills up, and one that fails. A limit on the size of files stands in for the end of the disk.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use audit::{AuditError, Event, Filter, Log, Options, Payload, Standing, records, show, verify};
use common::{child_without_signal, entry, intent, open, running_as, scratch, transition};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

/// Runs a test of this file in a process of its own, on whose files a limit can be set.
fn run(role: &str) {
    let state = scratch();
    let output = child_without_signal(role, state.path()).output().unwrap();
    let [out, errors] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    assert!(output.status.success(), "{out}{errors}");
}

#[test]
fn when_the_disk_fills_effects_stop_first_then_reads_and_outcomes_last() {
    run("fills");
}

#[tokio::test]
async fn fills() {
    let Some(state) = running_as("fills") else { return };
    let options = || Options { chunk_bytes: 64 << 10, reserve_bytes: 1 << 20, ..Options::default() };
    let (log, _) = Log::open(&state, "code", options()).unwrap();
    limit_files(Some(2 << 20));
    let mut large = intent();
    large.payload = serde_json::json!({ "text": "x".repeat(50_000) });
    let open = log.admit_effect([1; 32], large.clone()).await.unwrap().intent().unwrap().index();
    let mut acknowledged = vec![open];
    log.transition(transition("approval", "reserved")).await.unwrap();
    let refused = loop {
        match log.admit_effect([1; 32], large.clone()).await {
            Ok(admission) => acknowledged.push(admission.intent().unwrap().index()),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100);
    };
    assert!(matches!(refused, AuditError::ReadsOnly { .. }), "{refused}");
    assert!(matches!(log.standing(), Standing::ReadsOnly { .. }), "{}", log.standing());
    log.admit_read([1; 32]).unwrap();
    let refused = loop {
        match log.record(entry(Event::Read)).await {
            Ok(receipt) => acknowledged.push(receipt.index()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AuditError::Closed { .. }), "{refused}");
    assert!(matches!(log.standing(), Standing::Closed { .. }), "{}", log.standing());
    assert!(matches!(log.admit_read([1; 32]), Err(AuditError::Closed { .. })));
    let outcome = entry(Event::Outcome { intent: open });
    let mut large_outcome = outcome.clone();
    large_outcome.payload = large.payload.clone();
    let outcome = log.record(large_outcome).await.unwrap().index();
    let shown = show(&state, &format!("code/0:{outcome}")).unwrap();
    assert_eq!(shown.leaf["omitted_bytes"], 50_011, "the outcome stands, its payload as a digest");
    assert!(matches!(shown.payload, Payload::Opened(_)));
    // What an approval was reserved for ends like the effect itself; nothing new begins.
    let refused = log.transition(transition("approval", "asked")).await.unwrap_err();
    assert!(matches!(refused, AuditError::Closed { .. }), "{refused}");
    let consumed = log.transition(transition("approval", "consumed")).await.unwrap().index();
    assert_eq!(show(&state, &format!("code/0:{consumed}")).unwrap().leaf["step"], "consumed");
    // Somebody frees some space: the log takes everything again, without a restart.
    limit_files(None);
    let deadline = Instant::now() + Duration::from_secs(20);
    while log.admit_read([1; 32]).is_err() || log.standing() != Standing::Open {
        assert!(Instant::now() < deadline, "{}", log.standing());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    acknowledged.push(log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index());
    log.close("end of test").await.unwrap();
    let all = records(&state, &Filter::default()).unwrap();
    assert!(acknowledged.iter().all(|it| (*it as usize) < all.len()));
    let report = verify(&state, &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[test]
fn on_a_full_disk_an_old_log_closes_and_opens_and_a_new_one_says_why_not() {
    run("starts");
}

#[tokio::test]
async fn starts() {
    let Some(state) = running_as("starts") else { return };
    let (log, _) = open(&state);
    // No file grows any more: what is kept in reserve is there already, also after a restart.
    limit_files(Some(64 << 10));
    log.close("end of test").await.unwrap();
    let (log, opened) = open(&state);
    assert!(!opened.taken_over, "{opened}");
    log.close("end of test").await.unwrap();
    limit_files(Some(32 << 10));
    let error = Log::open(&state, "observability", Options::default()).unwrap_err();
    assert!(matches!(error, AuditError::Closed { .. }), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
}

#[test]
fn where_the_disk_has_no_room_for_another_segment_the_old_one_goes_on() {
    run("stays");
}

#[tokio::test]
async fn stays() {
    let Some(state) = running_as("stays") else { return };
    let options =
        Options { chunk_bytes: 64 << 10, reserve_bytes: 0, segment_bytes: 8 << 10, ..Options::default() };
    let (log, _) = Log::open(&state, "code", options).unwrap();
    let segments = || {
        std::fs::read_dir(state.join("logs/code/0"))
            .unwrap()
            .filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with("journal"))
            .count()
    };
    // A new one would begin with its reserve.
    limit_files(Some(100 << 10));
    for _ in 0..60 {
        log.record(entry(Event::Read)).await.unwrap();
    }
    assert_eq!((segments(), log.standing()), (1, Standing::Open));
    limit_files(None);
    let deadline = Instant::now() + Duration::from_secs(20);
    while segments() == 1 {
        assert!(Instant::now() < deadline);
        log.record(entry(Event::Read)).await.unwrap();
    }
    log.close("end of test").await.unwrap();
    let report = verify(&state, &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[test]
fn after_a_write_that_failed_nothing_more_is_accepted() {
    run("fails");
}

#[tokio::test]
async fn fails() {
    let Some(state) = running_as("fails") else { return };
    let (log, _) = open(&state);
    let kept = log.record(entry(Event::Read)).await.unwrap().index();
    // The room is reserved, and yet the write fails.
    limit_files(Some(1));
    let error = log.record(entry(Event::Read)).await.unwrap_err();
    assert!(matches!(error, AuditError::Closed { .. }), "{error}");
    limit_files(None);
    assert!(log.admit_read([1; 32]).is_err());
    assert!(log.admit_effect([1; 32], intent()).await.is_err());
    assert!(log.record(entry(Event::Read)).await.is_err());
    assert!(log.close("end of test").await.is_err(), "no stop is claimed");
    drop(log);
    let (_log, opened) = open(&state);
    assert!(opened.taken_over, "{opened}");
    let all = records(&state, &Filter::default()).unwrap();
    let reads: Vec<_> = all.iter().filter(|it| it.leaf["event"] == "read").map(|it| it.index).collect();
    assert_eq!(reads, [kept], "what was acknowledged, and nothing else");
}
