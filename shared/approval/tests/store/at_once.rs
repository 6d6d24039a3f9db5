//! Many at once, on one replica and on several.

use std::{collections::BTreeSet, sync::Arc};

use approval::*;
use policy::Usage;

use crate::*;

laws!(
    an_approved_action_is_reserved_by_exactly_one_of_many,
    calls_at_once_each_know_their_place,
    two_who_agree_at_once_settle_it_once,
    approvals_of_one_person_at_once_count_one_after_the_other,
    whoever_asks_at_once_joins_one_request,
    orders_to_stop_at_once_both_hold_and_void_each_request_once,
    of_those_who_want_a_target_at_once_on_several_replicas_one_gets_it,
);

async fn an_approved_action_is_reserved_by_exactly_one_of_many(kept: Kept) {
    let store = kept.store().await;
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

async fn calls_at_once_each_know_their_place(kept: Kept) {
    let store = kept.store().await;
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

async fn two_who_agree_at_once_settle_it_once(kept: Kept) {
    let (one, two) = (kept.store().await, kept.store().await);
    for round in 0..8 {
        let (request, _) = one.ask(wanted(&format!("c{round}"), 2, false), now()).await.unwrap();
        let (bob, carol) = tokio::join!(
            approve(&one, &request.id, "bob@example.com", now()),
            approve(&two, &request.id, "carol@example.com", now()),
        );
        let settled = [bob.unwrap(), carol.unwrap()].iter().filter(|it| it.settled).count();
        assert_eq!(settled, 1);
        let request = one.request(&request.id, now()).await.unwrap().unwrap();
        assert_eq!((request.state, request.approved()), (State::Approved, 2));
    }
}

async fn approvals_of_one_person_at_once_count_one_after_the_other(kept: Kept) {
    let stores = [kept.store().await, kept.store().await];
    let mut votes = Vec::new();
    for at in 0..8_usize {
        let store = stores[at % 2].clone();
        let (request, _) = store.ask(wanted(&format!("c{at}"), 1, false), now()).await.unwrap();
        votes.push(tokio::spawn(async move {
            store.agree(&request.id, &voter("bob"), VoteKind::Approve, "", 3, now()).await
        }));
    }
    let mut counted = 0;
    for vote in votes {
        match vote.await.unwrap() {
            Ok(_) => counted += 1,
            Err(refused) => assert!(matches!(refused, VoteRefused::Tired { .. }), "{refused:?}"),
        }
    }
    assert_eq!(counted, 3);
}

async fn whoever_asks_at_once_joins_one_request(kept: Kept) {
    let stores = [kept.store().await, kept.store().await];
    let asked = (0..32_usize).map(|at| {
        let store = stores[at % 2].clone();
        tokio::spawn(async move { store.ask(wanted("c", 1, false), now()).await.unwrap() })
    });
    let mut ids = BTreeSet::new();
    let mut begun = 0;
    for one in asked.collect::<Vec<_>>() {
        let (request, new) = one.await.unwrap();
        ids.insert(request.id);
        begun += usize::from(new);
    }
    assert_eq!((ids.len(), begun), (1, 1));
}

async fn orders_to_stop_at_once_both_hold_and_void_each_request_once(kept: Kept) {
    let (one, two) = (kept.store().await, kept.store().await);
    for at in 0..20 {
        one.ask(wanted(&format!("c{at}"), 1, false), now()).await.unwrap();
    }
    let (first, second) = tokio::join!(
        one.stop(ActionScope::default(), "one", "bob", now()),
        two.stop(ActionScope::default(), "two", "carol", now()),
    );
    assert_eq!(first.unwrap().1.len() + second.unwrap().1.len(), 20);
    assert_eq!(one.stops().await.unwrap().len(), 2);
    assert_eq!(two.count(State::Void, now()).await.unwrap(), 20);
}

async fn of_those_who_want_a_target_at_once_on_several_replicas_one_gets_it(kept: Kept) {
    let stores = [kept.store().await, kept.store().await];
    let wants = (0..32_usize).map(|at| {
        let store = stores[at % 2].clone();
        // Some in one order, some in the other: nobody waits for ever.
        let mut targets = ["a".to_owned(), "b".to_owned()];
        targets.rotate_left(at / 2 % 2);
        tokio::spawn(async move { store.lease(&targets, &at.to_string(), MINUTE, now()).await.unwrap() })
    });
    let mut leases = Vec::new();
    for one in wants.collect::<Vec<_>>() {
        leases.extend(one.await.unwrap().ok());
    }
    let [lease] = &leases[..] else { panic!("{leases:?}") };
    assert!(stores[0].lease(&["b".to_owned()], "late", MINUTE, now()).await.unwrap().is_err());
    stores[1].give_back(lease).await.unwrap();
    assert!(stores[0].lease(&["b".to_owned()], "late", MINUTE, now()).await.unwrap().is_ok());
}
