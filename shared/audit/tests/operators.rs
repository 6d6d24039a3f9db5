//! What operators do to the logs: they export and erase; and what they cannot do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use audit::{
    AuditError, Entry, Event, Filter, Format, Operator, Options, Payload, erase, export, records, verify,
};
use common::{
    entry,
    frames::{frames, rebuild},
    intent, open, open_small, scratch,
};
use serde_json::{Value, json};

const ALICE: &str = "agent:claude-code person:alice";

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// A closed log: start, read, intent, outcome, stop.
async fn small(state: &Path) {
    let (log, _) = open_small(state);
    log.record(entry(Event::Read)).await.unwrap();
    let index = log.admit_effect([1; 32], intent()).await.unwrap().intent().unwrap().index();
    log.record(entry(Event::Outcome { intent: index })).await.unwrap();
    log.close("end of test").await.unwrap();
}

fn lines(state: &Path, format: Format, filter: &Filter) -> Vec<Value> {
    let mut lines = Vec::new();
    let count = export(state, filter, format, |line| {
        assert!(!line.contains('\n'));
        lines.push(serde_json::from_str(line).unwrap());
        Ok(())
    });
    assert_eq!(count.unwrap(), lines.len() as u64);
    lines
}

#[tokio::test]
async fn an_export_holds_every_record_with_its_receipt() {
    let state = scratch();
    small(state.path()).await;
    let all = lines(state.path(), Format::Jsonl, &Filter::default());
    let shown = records(state.path(), &Filter::default()).unwrap();
    assert_eq!(all.len(), shown.len());
    for (line, record) in all.iter().zip(&shown) {
        assert_eq!(line["leaf"], record.leaf);
        assert_eq!(line["receipt"]["leaf"], record.leaf_hash.as_str());
        let receipts = audit::KeptReceipt::parse_all("line", &line.to_string()).unwrap();
        assert_eq!(receipts.len(), 1, "a line is what `audit verify --receipt` takes");
    }
    assert_eq!(all[1]["payload"]["arguments"]["limit"], 20);
    let none = Filter { log: Some("code/7".to_owned()), ..Filter::default() };
    assert!(matches!(
        export(state.path(), &none, Format::Jsonl, |_| Ok(())),
        Err(AuditError::NoRecord { .. })
    ));
}

#[tokio::test]
async fn an_event_of_ocsf_has_what_its_class_requires() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    let payload = json!({
        "caller": { "agent": "claude-code", "on_behalf_of": "alice", "teams": ["shop"] },
        "targets": [{ "kind": "repository", "id": "shop", "connection": "git", "environment": "staging" }],
    });
    log.record(Entry { payload, ..entry(Event::Read) }).await.unwrap();
    log.admit_effect([1; 32], intent()).await.unwrap();
    log.record(Entry { verdict: "denied", outcome: None, ..entry(Event::Refused) }).await.unwrap();
    log.close("end of test").await.unwrap();
    let events = lines(state.path(), Format::Ocsf, &Filter::default());
    let required = [
        "activity_id",
        "actor",
        "api",
        "category_uid",
        "class_uid",
        "metadata",
        "severity_id",
        "src_endpoint",
        "time",
        "type_uid",
    ];
    for event in &events {
        for name in required {
            assert!(!event[name].is_null(), "{name}: {event}");
        }
        assert_eq!((event["class_uid"].as_u64(), event["category_uid"].as_u64()), (Some(6003), Some(6)));
        let activity = event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"].as_u64(), Some(600_300 + activity));
        assert!(event["api"]["operation"].is_string() && event["metadata"]["product"]["name"].is_string());
        assert!(event["actor"]["user"]["uid"].is_string() || event["actor"]["app_name"].is_string());
    }
    let read = &events[1];
    assert_eq!((&read["activity_id"], &read["status_id"]), (&json!(2), &json!(1)), "{read}");
    assert_eq!(read["actor"]["user"]["name"], "alice");
    assert_eq!(read["actor"]["app_name"], "claude-code");
    assert_eq!(read["resources"][0]["name"], "shop");
    assert_eq!(read["src_endpoint"], json!({ "name": "stdio" }));
    assert_eq!((&events[2]["activity_id"], &events[2]["status"]), (&json!(3), &json!("Started")));
    assert_eq!((&events[3]["status"], &events[3]["status_code"]), (&json!("Failure"), &json!("denied")));
    let (intent, unknown) = (&events[2]["metadata"], &events[4]["metadata"]);
    assert_eq!(intent["correlation_uid"], unknown["correlation_uid"], "intent and outcome");
}

#[tokio::test]
async fn a_cloud_event_is_told_from_every_other() {
    let state = scratch();
    small(state.path()).await;
    let events = lines(state.path(), Format::CloudEvents, &Filter::default());
    let names: std::collections::BTreeSet<String> =
        events.iter().map(|it| format!("{} {}", it["source"], it["id"])).collect();
    assert_eq!(names.len(), events.len());
    assert!(events.iter().all(|it| it["specversion"] == "1.0" && it["id"].is_string()));
    assert_eq!(events[1]["type"], "io.bailiwick.audit.read");
}

#[tokio::test]
async fn text_of_callers_stays_within_the_strings_of_an_export() {
    let state = scratch();
    let (log, _) = open_small(state.path());
    let hostile = "\"}\n{\"class_uid\":6003,\"actor\":{\"user\":{\"name\":\"root\"}}}\u{1b}[2J";
    let payload = json!({ "caller": { "agent": hostile }, "targets": [{ "kind": hostile, "id": hostile }] });
    log.record(Entry { payload, ..entry(Event::Read) }).await.unwrap();
    log.close("end of test").await.unwrap();
    for format in [Format::Jsonl, Format::CloudEvents, Format::Ocsf] {
        let told = lines(state.path(), format, &Filter::default());
        assert_eq!(told.len(), 3, "no line more than records");
    }
    let event = &lines(state.path(), Format::Ocsf, &Filter::default())[1];
    assert_eq!(event["actor"]["app_name"], hostile);
    assert_eq!(event["message"], "read list_commits permitted ok", "closed words only");
}

#[tokio::test]
async fn a_forged_payload_is_named_and_not_exported() {
    let state = scratch();
    small(state.path()).await;
    let journal = state.path().join("logs/code/0/journal");
    let mut all = frames(&fs::read(&journal).unwrap());
    let payload = all.iter_mut().find(|it| it.kind == 3).unwrap();
    *payload.content.last_mut().unwrap() ^= 1;
    fs::write(&journal, rebuild(&all)).unwrap();
    for format in [Format::Jsonl, Format::Ocsf, Format::CloudEvents] {
        let line = &lines(state.path(), format, &Filter::default())[1];
        let body =
            [&line["unmapped"], &line["data"], line].into_iter().find(|it| it["leaf"].is_object()).unwrap();
        assert_eq!(body["payload_state"], "forged", "{line}");
        assert!(body.get("payload").is_none() && !line.to_string().contains("\"limit\""), "{line}");
    }
}

#[tokio::test]
async fn an_export_of_a_log_that_breaks_off_is_an_error_after_all_that_could_be_read() {
    let state = scratch();
    small(state.path()).await;
    let journal = state.path().join("logs/code/0/journal");
    let all = frames(&fs::read(&journal).unwrap());
    fs::write(&journal, rebuild(&all[..all.len() - 2])).unwrap();
    let mut seen = 0;
    let ended = export(state.path(), &Filter::default(), Format::Jsonl, |_| {
        seen += 1;
        Ok(())
    });
    assert!(matches!(ended, Err(AuditError::Damaged { .. })), "{ended:?}");
    assert_eq!(seen, 4, "all but the stop");
}

fn states(state: &Path, log: &str) -> Vec<Payload> {
    let filter = Filter { log: Some(log.to_owned()), ..Filter::default() };
    let all = records(state, &filter).unwrap();
    all.into_iter().map(|it| it.payload).filter(|it| *it != Payload::None).collect()
}

#[tokio::test]
async fn an_erased_subject_can_be_read_no_more_and_the_log_is_still_intact() {
    let state = scratch();
    small(state.path()).await;
    erase(state.path(), ALICE, &[], &operator()).await.unwrap();
    assert!(states(state.path(), "code/0").iter().all(|it| *it == Payload::Erased));
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(report.logs[0].payloads.erased, 3, "{report}");
    let told = lines(state.path(), Format::Jsonl, &Filter::default());
    let erasure: Vec<&Value> = told.iter().filter(|it| it["leaf"]["tool"] == "erase_subject").collect();
    assert_eq!(erasure.len(), 2, "intent and outcome");
    assert_eq!(erasure[0]["leaf"]["erased"], told[1]["leaf"]["subject"]);
    assert!(!erasure[1]["payload"].to_string().contains("alice"), "who was erased is not written anew");
    let again = erase(state.path(), ALICE, &[], &operator()).await;
    assert!(matches!(again, Err(AuditError::NoRecord { .. })), "{again:?}");
}

#[tokio::test]
async fn a_running_log_notices_an_erasure_at_the_next_record() {
    let state = scratch();
    let (log, _) = open(state.path());
    log.record(entry(Event::Read)).await.unwrap();
    erase(state.path(), ALICE, &[], &operator()).await.unwrap();
    log.record(entry(Event::Read)).await.unwrap();
    log.close("end of test").await.unwrap();
    let states = states(state.path(), "code/0");
    assert!(matches!(states.as_slice(), [Payload::Erased, Payload::Opened(_)]), "{states:?}");
    assert_eq!(verify(state.path(), &[]).unwrap().exit_code(), 0);
}

#[tokio::test]
async fn a_held_subject_is_not_erased_and_the_attempt_is_recorded() {
    let state = scratch();
    small(state.path()).await;
    for hold in [ALICE, "person:alice", ""] {
        let refused = erase(state.path(), ALICE, &[hold.to_owned()], &operator()).await;
        assert!(matches!(refused, Err(AuditError::Held { .. })), "{refused:?}");
    }
    assert!(states(state.path(), "code/0").iter().all(|it| matches!(it, Payload::Opened(_))));
    let told = lines(state.path(), Format::Jsonl, &Filter::default());
    let refused: Vec<_> = told.iter().filter(|it| it["leaf"]["verdict"] == "denied").collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|it| it["leaf"].get("erased").is_none()));
    erase(state.path(), ALICE, &["person:bob".to_owned()], &operator()).await.unwrap();
}

#[tokio::test]
async fn a_key_that_vanished_without_a_record_is_a_finding_and_so_is_one_that_came_back() {
    let state = scratch();
    small(state.path()).await;
    let folder = state.path().join("keys/subjects");
    let key = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let copy = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 3 && report.to_string().contains("no record erases them"), "{report}");
    let put_back = || {
        fs::write(&key, &copy).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    put_back();
    erase(state.path(), ALICE, &[], &operator()).await.unwrap();
    put_back();
    let report = verify(state.path(), &[]).unwrap();
    assert!(
        report.exit_code() == 3 && report.to_string().contains("although their subject was erased"),
        "{report}"
    );
}

#[tokio::test]
async fn payloads_that_nobody_can_look_at_are_a_finding() {
    for gone in ["keys/subjects", "keys"] {
        let state = scratch();
        small(state.path()).await;
        let key = audit::key_beside(state.path()).unwrap();
        fs::remove_dir_all(state.path().join(gone)).unwrap();
        let report = verify(state.path(), &[key]).unwrap();
        assert_eq!(report.exit_code(), 3, "{gone}: {report}");
    }
}

#[tokio::test]
async fn a_payload_behind_one_of_the_same_key_is_not_erased_by_another_name() {
    let state = scratch();
    small(state.path()).await;
    let journal = state.path().join("logs/code/0/journal");
    let mut all = frames(&fs::read(&journal).unwrap());
    // Nothing of it opens, whatever the key.
    all.iter_mut().filter(|it| it.kind == 3).nth(1).unwrap().content.fill(7);
    fs::write(&journal, rebuild(&all)).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.logs[0].altered.as_ref().map(|it| it.index), Some(2), "{report}");
}

#[tokio::test]
async fn an_erasure_that_nobody_signed_explains_nothing() {
    let state = scratch();
    small(state.path()).await;
    erase(state.path(), ALICE, &[], &operator()).await.unwrap();
    let journal = state.path().join("logs/operator/0/journal");
    let all = frames(&fs::read(&journal).unwrap());
    // The leaves stay, the checkpoints over them are gone.
    let signed = all.iter().position(|it| it.kind == 4).unwrap();
    let forged = all.iter().enumerate().filter(|(at, it)| *at <= signed || it.kind != 4);
    let forged: Vec<_> = forged.map(|(_, it)| it.clone()).collect();
    fs::write(&journal, rebuild(&forged)).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() != 0 && report.to_string().contains("no record erases them"), "{report}");
}
