//! What a collector takes: whole logs, in any pieces, cut off anywhere; and effects that wait for it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;

use audit::{AuditError, Declined, Digest, Event, Log, Options, Verdict, Verification};
use common::{
    collect::{
        Near, collector, commits, copy, find, head, join, journal, leaves, options, report, run, vkey,
    },
    entry,
    frames::frames as split,
    intent, scratch,
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

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

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_were_never_sent_are_said_to_be_and_what_comes_later_is_sent_whole() {
    let (state, collected) = (scratch(), scratch());
    let near = Near::open(collected.path());
    let (zero, _) = common::open(state.path());
    zero.record(entry(Event::Read)).await.unwrap();
    run(state.path(), options(&near), 2).await;
    let told = report(collected.path());
    assert_eq!((told.verdict, told.logs.len()), (Verdict::Intact, 1), "{told}");
    let absent = |it: &audit::Report| it.not_seen.iter().any(|it| it.contains("never sent here"));
    assert!(absent(&told), "{told}");
    zero.close("end of test").await.unwrap();
    // The next process takes the log that nobody had sent, and all of it gets there.
    run(state.path(), options(&near), 2).await;
    let (here, there) = (audit::verify(state.path(), &[]).unwrap(), report(collected.path()));
    assert!(there.verdict == Verdict::Intact && !absent(&there), "{there}");
    let roots = |it: &audit::Report| it.logs.iter().map(|it| it.root.clone()).collect::<Vec<_>>();
    assert_eq!(roots(&there), roots(&here));
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
