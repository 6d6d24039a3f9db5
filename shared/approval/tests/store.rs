//! What holds of every store, whatever database is behind it.

use std::{sync::Arc, time::Duration};

use approval::*;
use jiff::{SignedDuration, Timestamp};
use policy::{Assurance, Caller, Channel, Target, Usage};
use serde_json::{Map, json};

const MINUTE: Duration = Duration::from_secs(60);

struct Folder {
    store: Store,
    _kept: tempfile::TempDir,
}

async fn store() -> Folder {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&Place::File(folder.path().join("approvals.sqlite"))).await.expect("a store");
    Folder { store, _kept: folder }
}

fn now() -> Timestamp {
    "2026-11-22T03:00:00Z".parse().expect("a time")
}

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn sealed() -> Sealed {
    let word = |it: &str| it.to_owned();
    Sealed {
        server: word("observability"),
        tool: word("silence_alert"),
        effect: word("mitigate"),
        undo: word("exact"),
        schema: "00".repeat(32),
        arguments: Map::from_iter([("duration_minutes".to_owned(), json!(60))]),
        targets: vec![Target {
            kind: "alerts".into(),
            id: word("alerts"),
            connection: word("alerts"),
            environment: word("production"),
            region: word("unknown"),
            team: word("shop"),
            tier: word("unknown"),
        }],
        before: None,
        caller: Caller {
            agent: word("claude-code"),
            on_behalf_of: Some(word("alice@example.com")),
            teams: vec![word("shop")],
            assurance: Assurance::Token,
        },
        nonce: word("n"),
    }
}

fn wanted(call: &str, approvals: u8, confirm: bool) -> Wanted {
    Wanted {
        sealed: sealed(),
        call: call.to_owned(),
        policy: "p".to_owned(),
        approvals,
        confirm,
        approve_within: 60 * MINUTE,
        execute_within: 15 * MINUTE,
    }
}

fn voter(name: &str) -> Voter {
    Voter {
        name: name.to_owned(),
        issuer: "company".to_owned(),
        subject: name.to_owned(),
        assurance: Assurance::Token,
        channel: Channel::Http,
    }
}

async fn approve(store: &Store, id: &str, name: &str, at: Timestamp) -> Result<Agreed, VoteRefused> {
    store.agree(id, &voter(name), VoteKind::Approve, "", 30, at).await
}

#[tokio::test]
async fn an_open_request_for_the_same_call_is_joined_and_a_closed_one_is_not() {
    let Folder { store, _kept } = store().await;
    let (first, new) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    assert!(new && first.state == State::Pending, "{first:?}");
    let (joined, new) = store.ask(wanted("c", 1, false), after(1)).await.unwrap();
    assert_eq!((joined.id.clone(), new), (first.id.clone(), false));
    store.end(&first.id, State::Denied, "no", after(2)).await.unwrap();
    let (second, new) = store.ask(wanted("c", 1, false), after(3)).await.unwrap();
    assert!(new && second.id != first.id);
    let (third, new) = store.ask(wanted("c", 1, false), after(64)).await.unwrap();
    assert!(new, "the second has run out: {third:?}");
    let other = Wanted { policy: "q".to_owned(), ..wanted("c", 1, false) };
    let (fourth, new) = store.ask(other, after(65)).await.unwrap();
    assert!(new && fourth.policy == "q");
    let third = store.request(&third.id, after(65)).await.unwrap().unwrap();
    assert_eq!((third.state, third.note.as_str()), (State::Void, "the policy changed"));
}

#[tokio::test]
async fn an_approved_action_is_reserved_by_exactly_one_of_many() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    assert!(matches!(store.reserve(&request.id, MINUTE, now()).await, Err(NotRunnable::State(_))));
    let agreed = approve(&store, &request.id, "bob@example.com", after(1)).await.unwrap();
    assert!(agreed.settled && agreed.request.state == State::Approved);
    let id = Arc::new(request.id);
    let tries = (0..32).map(|_| {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move { store.reserve(&id, MINUTE, after(2)).await.is_ok() })
    });
    let mut won = 0;
    for one in tries.collect::<Vec<_>>() {
        won += usize::from(one.await.unwrap());
    }
    assert_eq!(won, 1);
    store.finish(&id, Ending::Consumed, after(2)).await.unwrap();
    let again = store.reserve(&id, MINUTE, after(3)).await.unwrap_err();
    assert!(again.to_string().contains("was carried out already"), "{again}");
}

#[tokio::test]
async fn what_was_begun_and_not_reported_is_unknown_and_never_runs_again() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    approve(&store, &request.id, "bob@example.com", now()).await.unwrap();
    store.reserve(&request.id, MINUTE, now()).await.unwrap();
    let seen = store.request(&request.id, after(2)).await.unwrap().unwrap();
    assert_eq!(seen.state, State::Unknown);
    let again = store.reserve(&request.id, MINUTE, after(2)).await.unwrap_err();
    assert!(again.to_string().contains("never repeated"), "{again}");
    // Who reports late changes nothing about it.
    store.finish(&request.id, Ending::Released, after(2)).await.unwrap();
    assert!(store.reserve(&request.id, MINUTE, after(2)).await.is_err());
}

#[tokio::test]
async fn one_person_counts_once_whatever_name_or_token_they_come_with() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 2, false), now()).await.unwrap();
    let one = approve(&store, &request.id, "bob@example.com", now()).await.unwrap();
    assert!(!one.settled);
    for name in ["bob@example.com", "Bob@Example.com", "bob+x@example.com"] {
        let twice = approve(&store, &request.id, name, now()).await;
        assert!(matches!(twice, Err(VoteRefused::Twice(_))), "{name}");
    }
    let renamed = Voter { subject: "bob@example.com".to_owned(), ..voter("robert@example.com") };
    let twice = store.agree(&request.id, &renamed, VoteKind::Approve, "", 30, now()).await;
    assert!(matches!(twice, Err(VoteRefused::Twice(_))), "{twice:?}");
    assert!(approve(&store, &request.id, "carol@example.com", now()).await.unwrap().settled);
}

#[tokio::test]
async fn nobody_approves_their_own_nor_without_a_token() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    for own in ["alice@example.com", "ALICE@example.com", "claude-code"] {
        assert!(matches!(approve(&store, &request.id, own, now()).await, Err(VoteRefused::Own(_))), "{own}");
    }
    for assurance in [Assurance::Declared, Assurance::OsUser] {
        let local = Voter { assurance, ..voter("bob@example.com") };
        let refused = store.agree(&request.id, &local, VoteKind::Approve, "", 30, now()).await;
        assert!(matches!(refused, Err(VoteRefused::Unproven(_))), "{refused:?}");
    }
    let confirmed = store.agree(&request.id, &voter("bob"), VoteKind::Confirm, "", 30, now()).await;
    assert!(matches!(confirmed, Err(VoteRefused::Unwanted { .. })), "{confirmed:?}");
}

#[tokio::test]
async fn a_confirmation_is_enough_where_only_that_is_wanted_and_no_approval_counts_for_it() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 0, true), now()).await.unwrap();
    let approved = approve(&store, &request.id, "bob@example.com", now()).await;
    assert!(matches!(approved, Err(VoteRefused::Unwanted { .. })), "{approved:?}");
    let keyboard = Voter { assurance: Assurance::OsUser, channel: Channel::Stdio, ..voter("alice") };
    let agreed = store.agree(&request.id, &keyboard, VoteKind::Confirm, "", 30, now()).await.unwrap();
    assert!(agreed.settled && agreed.request.confirmed() && agreed.request.approved() == 0);
}

#[tokio::test]
async fn time_that_has_run_out_refuses_whatever_the_row_says() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    let late = approve(&store, &request.id, "bob@example.com", after(60)).await;
    assert!(matches!(late, Err(VoteRefused::Closed { state: State::Expired, .. })), "{late:?}");
    let (request, _) = store.ask(wanted("c", 1, false), after(61)).await.unwrap();
    approve(&store, &request.id, "bob@example.com", after(62)).await.unwrap();
    let late = store.reserve(&request.id, MINUTE, after(77)).await.unwrap_err();
    assert!(late.to_string().contains("has expired"), "{late}");
}

#[tokio::test]
async fn what_time_has_ended_is_handed_out_once_to_be_told() {
    let Folder { store, _kept } = store().await;
    for call in ["a", "b"] {
        store.ask(wanted(call, 1, false), now()).await.unwrap();
    }
    assert!(store.untold(after(59)).await.unwrap().is_empty());
    let ended = store.untold(after(60)).await.unwrap();
    assert!(ended.len() == 2 && ended.iter().all(|it| it.state == State::Expired), "{ended:?}");
    assert!(store.untold(after(60)).await.unwrap().is_empty());
    store.tell_again(&ended[0].id).await.unwrap();
    assert_eq!(store.untold(after(61)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn whoever_approves_too_much_lets_another_person_look() {
    let Folder { store, _kept } = store().await;
    for (at, call) in ["a", "b", "c"].into_iter().enumerate() {
        let (request, _) = store.ask(wanted(call, 1, false), now()).await.unwrap();
        let voted = store.agree(&request.id, &voter("bob"), VoteKind::Approve, "", 2, now()).await;
        assert_eq!(voted.is_ok(), at < 2, "{voted:?}");
    }
    let (request, _) = store.ask(wanted("d", 1, false), after(61)).await.unwrap();
    assert!(store.agree(&request.id, &voter("bob"), VoteKind::Approve, "", 2, after(61)).await.is_ok());
}

#[tokio::test]
async fn a_stop_covers_its_scope_voids_what_waits_there_and_takes_another_person_to_lift() {
    let Folder { store, _kept } = store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    let elsewhere = StopScope { environment: Some("staging".to_owned()), ..StopScope::default() };
    let (stop, voided) = store.stop(elsewhere, "rehearsal", "bob", now()).await.unwrap();
    assert!(voided.is_empty() && !stop.scope.covers("claude-code", "silence_alert", &sealed().targets));
    let (stop, voided) = store.stop(StopScope::default(), "bad deploy", "Bob", after(1)).await.unwrap();
    assert_eq!(voided, std::slice::from_ref(&request.id));
    assert_eq!(store.request(&request.id, after(1)).await.unwrap().unwrap().state, State::Void);
    assert_eq!(store.stops().await.unwrap().len(), 2);
    assert!(!store.resume(&stop.id, "bob", after(2)).await.unwrap(), "whoever stopped it cannot resume it");
    assert!(store.resume(&stop.id, "carol", after(2)).await.unwrap());
    assert!(!store.resume(&stop.id, "carol", after(2)).await.unwrap());
    let unknown = Target { environment: policy::UNKNOWN.to_owned(), ..sealed().targets[0].clone() };
    let staging = StopScope { environment: Some("staging".to_owned()), ..StopScope::default() };
    assert!(staging.covers("a", "t", &[unknown]), "what is mapped to nothing may be in any environment");
}

#[tokio::test]
async fn a_target_has_one_holder_until_it_is_given_back_or_runs_out() {
    let Folder { store, _kept } = store().await;
    let both = ["b".to_owned(), "a".to_owned()];
    let lease = store.lease(&both, "one", MINUTE, now()).await.unwrap().unwrap();
    let held = store.lease(&["a".to_owned()], "two", MINUTE, now()).await.unwrap().unwrap_err();
    assert_eq!((held.target.as_str(), held.holder.as_str()), ("a", "one"));
    // Nothing of what was refused is held.
    let mixed = ["c".to_owned(), "b".to_owned()];
    assert!(store.lease(&mixed, "two", MINUTE, now()).await.unwrap().is_err());
    assert!(store.lease(&["c".to_owned()], "three", MINUTE, now()).await.unwrap().is_ok());
    store.give_back(&lease).await.unwrap();
    assert!(store.lease(&both, "two", MINUTE, now()).await.unwrap().is_ok());
    assert!(store.lease(&both, "four", MINUTE, after(2)).await.unwrap().is_ok(), "it has run out");
}

#[tokio::test]
async fn calls_at_once_each_know_their_place() {
    let Folder { store, _kept } = store().await;
    let calls = (0..32).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            store.count_call("agent", "silence_alert", "mitigate", now()).await.unwrap().mitigations_hour
        })
    });
    let mut places = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        places.push(call.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=32).collect::<Vec<u64>>());
    store.uncount_call("agent", "silence_alert", "mitigate", now()).await.unwrap();
    let next = store.count_call("agent", "query_metrics", "read", after(1)).await.unwrap();
    let expected = Usage { calls_hour: 32, calls_day: 32, mitigations_hour: 31, tool_hour: 1, tool_day: 1 };
    assert_eq!(next, expected);
    let later = store.count_call("agent", "query_metrics", "read", after(60 * 24 + 5)).await.unwrap();
    assert_eq!((later.calls_day, later.calls_hour), (1, 1));
}

#[tokio::test]
async fn replicas_share_secrets_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::File(folder.path().join("approvals.sqlite"));
    let (one, two) = (Store::open(&place).await.unwrap(), Store::open(&place).await.unwrap());
    assert_eq!(one.shared_secret("s").await.unwrap(), two.shared_secret("s").await.unwrap());
    assert_ne!(one.shared_secret("s").await.unwrap(), one.shared_secret("t").await.unwrap());
    let (request, _) = one.ask(wanted("c", 1, false), now()).await.unwrap();
    assert_eq!(two.request(&request.id, now()).await.unwrap(), Some(request));
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("approvals.sqlite");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Store::open(&Place::File(path)).await.unwrap_err();
    assert!(refused.to_string().contains("expected mode 600"), "{refused}");
}
