//! What people are to hear of is never lost, and sent by one at a time.

use std::{collections::BTreeSet, time::Duration};

use approval::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{Kept, MINUTE, now, voter};

laws!(
    every_step_is_told_to_whoever_wants_to_hear_of_it_and_nobody_else,
    what_time_ends_is_told_without_anybody_asking_for_it,
    what_asking_again_ends_is_told_too,
    orders_to_stop_are_told_to_everybody_whom_they_may_concern,
    one_of_many_senders_takes_it_and_another_only_after_its_lease,
    what_failed_is_due_again_then_and_what_was_given_up_never,
);

const LEASE: Duration = Duration::from_secs(15);

/// Two who are told: `all` of everything, `staging` of what happens there.
async fn open(kept: &Kept) -> Store {
    let whom = |name: &str, environments: &[&str]| Subscriber {
        name: name.to_owned(),
        events: BTreeSet::from(Event::ALL),
        teams: BTreeSet::new(),
        environments: environments.iter().map(|it| (*it).to_owned()).collect(),
    };
    kept.store().await.telling(vec![whom("all", &[]), whom("staging", &["staging"])])
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn wanted(call: &str, policy: &str) -> Wanted {
    let mut wanted = Wanted { policy: policy.to_owned(), ..crate::wanted(call, 1, false) };
    wanted.sealed.arguments.insert("reason".to_owned(), json!("noise"));
    wanted
}

/// Takes and delivers all there is for somebody.
async fn heard(store: &Store, name: &str, at: Timestamp) -> Vec<Notice> {
    let mut heard = Vec::new();
    while let Some(due) = store.take_due(name, LEASE, at).await.expect("the store answers") {
        store.delivered(&due).await.expect("the store answers");
        heard.push(due.notice);
    }
    heard.sort_by_key(|it| it.at);
    heard
}

fn events(notices: &[Notice]) -> Vec<Event> {
    notices.iter().map(|it| it.event).collect()
}

async fn every_step_is_told_to_whoever_wants_to_hear_of_it_and_nobody_else(kept: Kept) {
    let store = open(&kept).await;
    let (request, _) = store.ask(wanted("c", "p"), after(0)).await.unwrap();
    store.ask(wanted("c", "p"), after(1)).await.unwrap();
    store.agree(&request.id, &voter("bob@example.com"), VoteKind::Approve, "go", 30, after(2)).await.unwrap();
    store.reserve(&request.id, MINUTE, after(3)).await.unwrap();
    store.finish(&request.id, Ending::Released, after(4)).await.unwrap();
    store.reserve(&request.id, MINUTE, after(5)).await.unwrap();
    store.finish(&request.id, Ending::Consumed, after(6)).await.unwrap();
    store.finish(&request.id, Ending::Consumed, after(7)).await.unwrap();
    let all = heard(&store, "all", after(8)).await;
    assert_eq!(events(&all), [Event::Asked, Event::Approved, Event::Consumed], "joining is no news");
    assert!(all.iter().all(|it| it.about == request.id));
    assert_eq!(all[1].note, "by bob@example.com: go");
    let Subject::Approval(asked) = &all[0].subject else { panic!("{all:?}") };
    assert_eq!((asked.state.as_str(), asked.reason.as_deref()), ("pending", Some("noise")));
    assert_eq!((asked.details.as_str(), asked.until), ("duration_minutes: 60\n", Some(request.approve_by)));
    assert!(heard(&store, "staging", after(8)).await.is_empty(), "it touches production only");
    assert!(heard(&store, "all", after(9)).await.is_empty(), "each is told once");
}

async fn what_time_ends_is_told_without_anybody_asking_for_it(kept: Kept) {
    let store = open(&kept).await;
    store.ask(wanted("a", "p"), after(0)).await.unwrap();
    let (begun, _) = store.ask(wanted("b", "p"), after(1)).await.unwrap();
    store.agree(&begun.id, &voter("bob@example.com"), VoteKind::Approve, "", 30, after(2)).await.unwrap();
    store.reserve(&begun.id, MINUTE, after(3)).await.unwrap();
    heard(&store, "all", after(4)).await;
    let late = heard(&store, "all", after(7200)).await;
    let mut ended: Vec<_> = late.iter().map(|it| (it.event, it.note.as_str())).collect();
    ended.sort();
    let unknown = "it was begun, and nobody reported its end";
    assert_eq!(ended, [(Event::Expired, "nobody agreed in time"), (Event::Unknown, unknown)]);
}

async fn what_asking_again_ends_is_told_too(kept: Kept) {
    let store = open(&kept).await;
    store.ask(wanted("c", "p"), after(0)).await.unwrap();
    store.ask(wanted("c", "q"), after(1)).await.unwrap();
    store.ask(wanted("c", "q"), after(7200)).await.unwrap();
    let right = [Event::Asked, Event::Void, Event::Asked, Event::Expired, Event::Asked];
    let mut told = events(&heard(&store, "all", after(7200)).await);
    told.sort();
    let mut right = right.to_vec();
    right.sort();
    assert_eq!(told, right);
}

async fn orders_to_stop_are_told_to_everybody_whom_they_may_concern(kept: Kept) {
    let store = open(&kept).await;
    let (request, _) = store.ask(wanted("c", "p"), after(0)).await.unwrap();
    let (stop, _) = store.stop(ActionScope::default(), "bad deploy", "bob", after(1)).await.unwrap();
    assert!(!store.resume(&stop.id, "bob", after(2)).await.unwrap());
    assert!(store.resume(&stop.id, "carol", after(3)).await.unwrap());
    let all = heard(&store, "all", after(4)).await;
    let told: Vec<_> = all.iter().map(|it| (it.event, it.about.as_str(), it.note.as_str())).collect();
    assert!(told.contains(&(Event::Stopped, &stop.id, "by bob: bad deploy")), "{told:?}");
    assert!(told.contains(&(Event::Void, &request.id, "everything was stopped")), "{told:?}");
    assert!(told.contains(&(Event::Resumed, &stop.id, "by carol")), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(events(&heard(&store, "staging", after(4)).await), [Event::Stopped, Event::Resumed]);
}

async fn one_of_many_senders_takes_it_and_another_only_after_its_lease(kept: Kept) {
    let store = open(&kept).await;
    store.ask(wanted("c", "p"), after(0)).await.unwrap();
    let replica = open(&kept).await;
    let tries = (0..32).map(|at| {
        let store = if at % 2 == 0 { store.clone() } else { replica.clone() };
        tokio::spawn(async move { store.take_due("all", LEASE, after(1)).await.unwrap() })
    });
    let mut taken = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        taken.extend(one.await.unwrap());
    }
    let [first] = <[Due; 1]>::try_from(taken).expect("one of them");
    assert_eq!(replica.take_due("all", LEASE, after(15)).await.unwrap(), None);
    let second = replica.take_due("all", LEASE, after(16)).await.unwrap().expect("its lease is over");
    assert_eq!((&second.id, second.attempt), (&first.id, 2), "the same in every attempt");
    // A late word of the first does not end the attempt of the second.
    store.give_up(&first, "late", after(17)).await.unwrap();
    assert_eq!(store.outbox("all").await.unwrap().waiting, 1);
    store.delivered(&first).await.unwrap();
    assert_eq!(store.outbox("all").await.unwrap(), Outbox::default());
}

async fn what_failed_is_due_again_then_and_what_was_given_up_never(kept: Kept) {
    let store = open(&kept).await;
    store.ask(wanted("c", "p"), after(0)).await.unwrap();
    let due = store.take_due("all", LEASE, after(0)).await.unwrap().expect("due at once");
    store.try_again(&due, "HTTP 500", after(60)).await.unwrap();
    assert_eq!(store.take_due("all", LEASE, after(59)).await.unwrap(), None);
    let seen = store.outbox("all").await.unwrap();
    assert_eq!(seen, Outbox { waiting: 1, given_up: 0, problem: "HTTP 500".to_owned() });
    let due = store.take_due("all", LEASE, after(60)).await.unwrap().expect("due again");
    store.give_up(&due, "HTTP 410", after(61)).await.unwrap();
    assert_eq!(store.take_due("all", LEASE, after(3000)).await.unwrap(), None);
    let seen = store.outbox("all").await.unwrap();
    assert_eq!(seen, Outbox { waiting: 0, given_up: 1, problem: "HTTP 410".to_owned() });
    // After a week it is forgotten, when the next is put down.
    store.ask(wanted("d", "p"), after(8 * 24 * 3600)).await.unwrap();
    assert_eq!(store.outbox("all").await.unwrap().given_up, 0);
}
