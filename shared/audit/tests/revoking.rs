//! A key that was stolen: how far it is still trusted, who may say so, and what a thief gains by naming a successor of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path};

use audit::{
    Anchor, AuditError, Doubt, Event, KeptReceipt, Operator, Options, Report, Verification, VerifyingKey,
    accept_loss, heads, key_beside, revoke, rotate, verify,
};
use common::{
    entry,
    forge::{replace_key, steal},
    open_small, scratch,
};

const WHY: &str = "the laptop was stolen";

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// A closed log of start, two reads and a stop under a key that was changed since; gives that key.
async fn changed(state: &Path) -> VerifyingKey {
    let (log, opened) = open_small(state);
    for _ in 0..2 {
        log.record(entry(Event::Read)).await.unwrap();
    }
    log.close("end of test").await.unwrap();
    rotate(state, &operator()).unwrap();
    opened.key.parse().unwrap()
}

async fn say(state: &Path, key: &VerifyingKey, doubt: &Doubt) -> Result<audit::Revocation, AuditError> {
    revoke(state, key, doubt, WHY, &operator()).await
}

fn from(index: u64) -> Doubt {
    Doubt { index: None, logs: vec![("code/0".to_owned(), index)] }
}

fn altered(report: &Report) -> Vec<(&str, u64, &str)> {
    let logs = report.logs.iter().filter_map(|it| Some((it.log.as_str(), it.altered.as_ref()?)));
    logs.map(|(log, it)| (log, it.index, it.likely.as_str())).collect()
}

#[tokio::test]
async fn what_was_closed_before_a_key_was_revoked_stays_intact_and_the_report_says_so() {
    let state = scratch();
    let old = changed(state.path()).await;
    let it = say(state.path(), &old, &Doubt::default()).await.unwrap();
    assert_eq!(it.trusted.iter().map(|(log, _)| log.as_str()).collect::<Vec<_>>(), ["code/0", "operator/0"]);
    let new = key_beside(state.path()).unwrap();
    let report = verify(state.path(), std::slice::from_ref(&new)).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    assert_eq!(report.revoked.len(), 1, "{report}");
    assert!(report.to_string().contains(WHY), "{report}");
    let both = verify(state.path(), &[old.clone(), new]).unwrap();
    assert_eq!(both.exit_code(), 0, "{both}");
    // Nobody who only has what a thief has too is told that all is well.
    let alone = verify(state.path(), &[old]).unwrap();
    assert_eq!(alone.exit_code(), 3, "{alone}");
}

#[tokio::test]
async fn records_from_the_index_on_are_altered_and_a_second_word_can_only_take_more() {
    let state = scratch();
    let old = changed(state.path()).await;
    say(state.path(), &old, &from(2)).await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    let stolen = "these records were signed with a stolen key, or while it may have been stolen";
    assert_eq!((report.exit_code(), altered(&report)), (1, vec![("code/0", 2, stolen)]), "{report}");
    say(state.path(), &old, &from(3)).await.unwrap();
    assert_eq!(altered(&verify(state.path(), &[]).unwrap()), [("code/0", 2, stolen)]);
    say(state.path(), &old, &Doubt { index: Some(1), logs: Vec::new() }).await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(altered(&report), [("code/0", 1, stolen), ("operator/0", 1, stolen)]);
    say(state.path(), &old, &from(0)).await.unwrap();
    assert!(altered(&verify(state.path(), &[]).unwrap()).contains(&("code/0", 0, stolen)));
}

#[tokio::test]
async fn doubtful_records_can_be_given_up() {
    let state = scratch();
    let old = changed(state.path()).await;
    let kept = Anchor::parse("kept", &heads(state.path()).unwrap().to_string()).unwrap();
    say(state.path(), &old, &from(2)).await.unwrap();
    accept_loss(state.path(), "code/0", WHY, &[kept], &operator()).await.unwrap();
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 3, "{report}");
}

#[tokio::test]
async fn what_is_no_revocation_is_refused() {
    let state = scratch();
    let old = changed(state.path()).await;
    let now = key_beside(state.path()).unwrap();
    let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let nowhere = Doubt { index: None, logs: vec![("code/7".to_owned(), 1)] };
    for (key, doubt) in
        [(&now, Doubt::default()), (&stranger, Doubt::default()), (&old, from(99)), (&old, nowhere)]
    {
        let refused = say(state.path(), key, &doubt).await;
        assert!(matches!(refused, Err(AuditError::NoRecord { .. })), "{refused:?}");
    }
    let silent = revoke(state.path(), &old, &Doubt::default(), " ", &operator()).await;
    assert!(matches!(silent, Err(AuditError::Malformed { .. })), "{silent:?}");
    assert_eq!(verify(state.path(), &[]).unwrap().revoked, []);
}

/// Whoever holds the receipt of a revocation misses it.
#[tokio::test]
async fn a_revocation_that_was_taken_away_is_missed_by_its_receipt() {
    let state = scratch();
    let old = changed(state.path()).await;
    let it = say(state.path(), &old, &from(2)).await.unwrap();
    let kept = KeptReceipt::parse_all("kept", &serde_json::to_string(&it.receipt).unwrap()).unwrap();
    let last = fs::read_dir(state.path().join("logs/operator")).unwrap().count() - 1;
    fs::remove_dir_all(state.path().join(format!("logs/operator/{last}"))).unwrap();
    let with = Verification { receipts: kept, ..Verification::default() };
    assert_eq!(with.run(state.path()).unwrap().exit_code(), 1);
}

/// A key that was changed twice: none of those before can say anything about those after.
#[tokio::test]
async fn a_thief_cannot_revoke_the_key_that_came_next() {
    let (state, thief) = (scratch(), scratch());
    let (log, _) = open_small(state.path());
    log.close("end of test").await.unwrap();
    let stolen = steal(state.path());
    rotate(state.path(), &operator()).unwrap();
    let real = key_beside(state.path()).unwrap();
    // The thief's own change away from the real key cannot be forged; a word about it can be written down.
    drop(open_small(thief.path()));
    fs::remove_dir_all(thief.path().join("logs")).unwrap();
    replace_key(thief.path(), &stolen);
    let (log, _) = open_small(thief.path());
    log.close("end of test").await.unwrap();
    let forged = common::revocation(thief.path(), &real, &stolen);
    let target = state.path().join("logs/operator/7");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("journal"), forged).unwrap();
    let report = verify(state.path(), &[real]).unwrap();
    assert_eq!(report.revoked, [], "{report}");
    assert_eq!(altered(&report).iter().map(|it| it.0).collect::<Vec<_>>(), ["operator/7"], "{report}");
}
