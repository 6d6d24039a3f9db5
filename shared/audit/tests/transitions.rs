//! What is no call: steps of approvals, stops, break-glass and policies, as they are written, shown, and held against each other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use audit::{
    AuditError, Filter, Follow, Format, Log, Payload, TRANSITIONS, Transition, export, records, show, verify,
};
use common::{
    forge::{LEAF, sign_again, steal},
    frames::{frames, rebuild},
    open, open_small, scratch, transition,
};
use serde_json::Value;

/// A closed log of these steps of approval `a1`, behind its start.
async fn closed(state: &Path, steps: &[&'static str]) {
    let (log, _) = open_small(state);
    take(&log, steps).await;
    log.close("end of test").await.unwrap();
}

async fn take(log: &Log, steps: &[&'static str]) {
    for step in steps {
        log.transition(transition("approval", step)).await.unwrap();
    }
}

#[tokio::test]
async fn every_step_of_the_table_is_recorded_and_verified_and_names_nobody() {
    let state = scratch();
    let (log, _) = open(state.path());
    let mut count = 0;
    for (what, steps) in TRANSITIONS {
        for step in steps {
            let reference = Some(format!("{what}-{step}"));
            // What ends a use is the second step of one that was reserved.
            if ["consumed", "released", "unknown"].contains(step) {
                let reserved = Transition { reference: reference.clone(), ..transition(what, "reserved") };
                log.transition(reserved).await.unwrap();
                count += 1;
            }
            let step = Transition { reference, ..transition(what, step) };
            let receipt = log.transition(step).await.unwrap();
            count += 1;
            assert_eq!((receipt.index(), receipt.log()), (count, log.origin()));
        }
    }
    // The one that is reserved and nothing else.
    let last =
        Transition { reference: Some("approval-reserved".to_owned()), ..transition("approval", "released") };
    log.transition(last).await.unwrap();
    log.close("end of test").await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(report.logs[0].unknown, ["approval-unknown"], "{report}");
    assert!(report.to_string().contains("approval approval-unknown ended unknown"), "{report}");
    for record in records(state.path(), &Filter::default()).unwrap() {
        assert!(!record.leaf.to_string().contains("bob"), "{}", record.leaf);
    }
}

#[tokio::test]
async fn what_may_not_be_recorded_is_refused_before_anything_is() {
    let state = scratch();
    let (log, opened) = open(state.path());
    for it in [
        Transition { what: "wish", ..transition("stop", "stopped") },
        Transition { step: "paused", ..transition("stop", "stopped") },
        Transition { reference: None, ..transition("approval", "asked") },
        Transition { subject: String::new(), ..transition("policy", "taken") },
    ] {
        let refused = log.transition(it).await.unwrap_err();
        assert!(matches!(refused, AuditError::Malformed { .. }), "{refused}");
    }
    assert_eq!(log.transition(transition("stop", "stopped")).await.unwrap().index(), opened.size);
}

#[tokio::test]
async fn steps_are_shown_followed_found_by_their_approval_and_exported() {
    let state = scratch();
    let (log, _) = open(state.path());
    let mut follow = Follow::from_start(state.path(), Filter::default());
    follow.poll().unwrap();
    take(&log, &["asked", "approved"]).await;
    log.transition(transition("stop", "stopped")).await.unwrap();
    assert_eq!(follow.poll().unwrap().len(), 3);
    let record = show(state.path(), "code/0:2").unwrap();
    assert_eq!((&record.leaf["what"], &record.leaf["step"]), (&"approval".into(), &"approved".into()));
    assert_eq!(record.payload, Payload::Opened(transition("approval", "approved").payload));
    let filter = Filter { reference: Some("a1".to_owned()), ..Filter::default() };
    assert_eq!(records(state.path(), &filter).unwrap().len(), 2);
    let mut lines: Vec<Value> = Vec::new();
    let mut line = |it: &str| {
        lines.push(serde_json::from_str(it).unwrap());
        Ok(())
    };
    export(state.path(), &filter, Format::Ocsf, &mut line).unwrap();
    export(state.path(), &filter, Format::CloudEvents, &mut line).unwrap();
    let ocsf = &lines[1];
    assert_eq!(ocsf["api"]["operation"], "approval.approved", "{ocsf}");
    assert_eq!(ocsf["actor"]["user"]["name"], "bob", "{ocsf}");
    assert_eq!(
        (&ocsf["metadata"]["correlation_uid"], &ocsf["message"]),
        (&"a1".into(), &"transition approval approved".into())
    );
    assert_eq!(lines[3]["type"], "io.bailiwick.audit.transition", "{}", lines[3]);
}

#[tokio::test]
async fn a_second_use_a_use_that_was_not_reserved_and_one_after_an_end_are_findings() {
    for (steps, says) in [
        (
            &["approved", "reserved", "consumed", "consumed"][..],
            "record 4: approval a1 is consumed, which was consumed in record 3",
        ),
        (&["approved", "consumed"], "record 2: approval a1 is consumed, which no record before it reserves"),
        (
            &["approved", "expired", "reserved", "released"],
            "record 3: approval a1 is reserved, which was expired in record 2",
        ),
        (
            &["approved", "reserved"],
            "approval a1 was reserved in record 2 and its process ended: state unknown",
        ),
    ] {
        let state = scratch();
        closed(state.path(), steps).await;
        let report = verify(state.path(), &[]).unwrap();
        assert_eq!(report.exit_code(), 3, "{report}");
        assert_eq!(report.logs[0].findings, [says], "{report}");
    }
}

#[tokio::test]
async fn an_approval_that_a_killed_process_had_reserved_is_named_until_its_end_is_recorded() {
    let state = scratch();
    let (log, _) = open(state.path());
    take(&log, &["approved", "reserved"]).await;
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "it runs: {report}");
    drop(log);
    let named = |report: &audit::Report| report.to_string().contains("approval a1 was reserved in record 2");
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 3 && named(&report), "{report}");
    let (log, opened) = open(state.path());
    assert!(opened.taken_over, "{opened}");
    let report = verify(state.path(), &[]).unwrap();
    assert!(report.exit_code() == 3 && named(&report), "a takeover is no end: {report}");
    take(&log, &["unknown"]).await;
    log.close("end of test").await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(
        (report.exit_code(), report.logs[0].unknown.as_slice()),
        (0, &["a1".to_owned()][..]),
        "{report}"
    );
}

#[tokio::test]
async fn an_approval_that_two_logs_used_is_a_finding() {
    let state = scratch();
    let (zero, _) = open(state.path());
    let (one, _) = open(state.path());
    for log in [zero, one] {
        take(&log, &["reserved", "consumed"]).await;
        log.close("end of test").await.unwrap();
    }
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(
        report.findings,
        ["approval a1 is consumed in more than one log: code/0:2, code/1:2"],
        "{report}"
    );
    assert_eq!(report.exit_code(), 3);
}

/// What is said of a log whose second record was replaced and signed again with its own key.
async fn forged(leaf: impl Fn(&str) -> String) -> String {
    let state = scratch();
    closed(state.path(), &["asked"]).await;
    let path = state.path().join("logs/code/0/journal");
    let mut all = frames(&fs::read(&path).unwrap());
    let at = all.iter().enumerate().filter(|(_, it)| it.kind == LEAF).nth(1).unwrap().0;
    let text = String::from_utf8(all[at].content.clone()).unwrap();
    let changed = leaf(&text);
    assert_ne!(text, changed);
    all[at].content = changed.into_bytes();
    sign_again(&mut all, &steal(state.path()));
    fs::write(&path, rebuild(&all)).unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 1, "{report}");
    report.logs[0].altered.as_ref().unwrap().problem.clone()
}

#[tokio::test]
async fn a_signed_step_that_lacks_a_field_or_says_another_word_is_named() {
    for (field, value) in
        [("what", "\"approval\""), ("step", "\"asked\""), ("reference", "\"a1\""), ("channel", "\"http\"")]
    {
        let pair = format!("\"{field}\":{value}");
        let problem =
            forged(|text| text.replace(&format!("{pair},"), "").replace(&format!(",{pair}}}"), "}")).await;
        assert!(problem.contains(&format!("lacks `{field}`")), "{problem}");
        let problem = forged(|text| text.replace(&pair, &format!("\"{field}\":\"A b\""))).await;
        assert!(problem.contains(&format!("its `{field}` is not of the format")), "{problem}");
    }
    let problem = forged(|text| text.replace("\"asked\"", "\"wished\"")).await;
    assert!(problem.contains("its `step` is wished, which approval does not have"), "{problem}");
    let problem = forged(|text| text.replace("\"approval\"", "\"stop\"")).await;
    assert!(problem.contains("its `step` is asked, which stop does not have"), "{problem}");
    let problem = forged(|text| text.replace("\"transition\"", "\"refused\"")).await;
    assert!(problem.contains("which only a transition has"), "{problem}");
    let problem = forged(|text| text.replace("\"v\":1,", "\"v\":1,\"verdict\":\"permitted\",")).await;
    assert!(problem.contains("with `verdict`, which is of a call"), "{problem}");
}
