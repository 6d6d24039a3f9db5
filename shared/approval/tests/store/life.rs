//! From the question to its end, one step after the other.

use approval::*;
use policy::{Assurance, Channel, Target};

use crate::*;

laws!(
    an_open_request_for_the_same_call_is_joined_and_a_closed_one_is_not,
    what_was_begun_and_not_reported_is_unknown_and_never_runs_again,
    one_person_counts_once_whatever_name_or_token_they_come_with,
    nobody_approves_their_own_nor_without_a_token,
    a_confirmation_is_enough_where_only_that_is_wanted_and_no_approval_counts_for_it,
    time_that_has_run_out_refuses_whatever_the_row_says,
    what_time_has_ended_is_handed_out_once_to_be_told,
    whoever_approves_too_much_lets_another_person_look,
    a_stop_covers_its_scope_voids_what_waits_there_and_takes_another_person_to_lift,
    a_target_has_one_holder_until_it_is_given_back_or_runs_out,
    what_was_not_begun_can_be_carried_out_as_long_as_before,
    what_a_holder_left_is_found_by_the_next_holder_of_its_log_alone,
);

async fn an_open_request_for_the_same_call_is_joined_and_a_closed_one_is_not(kept: Kept) {
    let store = kept.store().await;
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

async fn what_was_begun_and_not_reported_is_unknown_and_never_runs_again(kept: Kept) {
    let store = kept.store().await;
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

async fn one_person_counts_once_whatever_name_or_token_they_come_with(kept: Kept) {
    let store = kept.store().await;
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

async fn nobody_approves_their_own_nor_without_a_token(kept: Kept) {
    let store = kept.store().await;
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

async fn a_confirmation_is_enough_where_only_that_is_wanted_and_no_approval_counts_for_it(kept: Kept) {
    let store = kept.store().await;
    let (request, _) = store.ask(wanted("c", 0, true), now()).await.unwrap();
    let approved = approve(&store, &request.id, "bob@example.com", now()).await;
    assert!(matches!(approved, Err(VoteRefused::Unwanted { .. })), "{approved:?}");
    let keyboard = Voter { assurance: Assurance::OsUser, channel: Channel::Stdio, ..voter("alice") };
    let agreed = store.agree(&request.id, &keyboard, VoteKind::Confirm, "", 30, now()).await.unwrap();
    assert!(agreed.settled && agreed.request.confirmed() && agreed.request.approved() == 0);
}

async fn time_that_has_run_out_refuses_whatever_the_row_says(kept: Kept) {
    let store = kept.store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    let late = approve(&store, &request.id, "bob@example.com", after(60)).await;
    assert!(matches!(late, Err(VoteRefused::Closed { state: State::Expired, .. })), "{late:?}");
    let (request, _) = store.ask(wanted("c", 1, false), after(61)).await.unwrap();
    approve(&store, &request.id, "bob@example.com", after(62)).await.unwrap();
    let late = store.reserve(&request.id, MINUTE, after(77)).await.unwrap_err();
    assert!(late.to_string().contains("has expired"), "{late}");
}

async fn what_time_has_ended_is_handed_out_once_to_be_told(kept: Kept) {
    let store = kept.store().await;
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

async fn whoever_approves_too_much_lets_another_person_look(kept: Kept) {
    let store = kept.store().await;
    for (at, call) in ["a", "b", "c"].into_iter().enumerate() {
        let (request, _) = store.ask(wanted(call, 1, false), now()).await.unwrap();
        let voted = store.agree(&request.id, &voter("bob"), VoteKind::Approve, "", 2, now()).await;
        assert_eq!(voted.is_ok(), at < 2, "{voted:?}");
    }
    let (request, _) = store.ask(wanted("d", 1, false), after(61)).await.unwrap();
    assert!(store.agree(&request.id, &voter("bob"), VoteKind::Approve, "", 2, after(61)).await.is_ok());
}

async fn a_stop_covers_its_scope_voids_what_waits_there_and_takes_another_person_to_lift(kept: Kept) {
    let store = kept.store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    let elsewhere = ActionScope { environment: Some("staging".to_owned()), ..ActionScope::default() };
    let (stop, voided) = store.stop(elsewhere, "rehearsal", "bob", now()).await.unwrap();
    assert!(voided.is_empty() && !stop.scope.covers("claude-code", "silence_alert", &sealed().targets));
    let (stop, voided) = store.stop(ActionScope::default(), "bad deploy", "Bob", after(1)).await.unwrap();
    assert_eq!(voided, std::slice::from_ref(&request.id));
    assert_eq!(store.request(&request.id, after(1)).await.unwrap().unwrap().state, State::Void);
    assert_eq!(store.stops().await.unwrap().len(), 2);
    assert!(!store.resume(&stop.id, "bob", after(2)).await.unwrap(), "whoever stopped it cannot resume it");
    assert!(store.resume(&stop.id, "carol", after(2)).await.unwrap());
    assert!(!store.resume(&stop.id, "carol", after(2)).await.unwrap());
    let unknown = Target { environment: policy::UNKNOWN.to_owned(), ..sealed().targets[0].clone() };
    let staging = ActionScope { environment: Some("staging".to_owned()), ..ActionScope::default() };
    assert!(staging.covers("a", "t", &[unknown]), "what is mapped to nothing may be in any environment");
}

async fn a_target_has_one_holder_until_it_is_given_back_or_runs_out(kept: Kept) {
    let store = kept.store().await;
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

async fn what_was_not_begun_can_be_carried_out_as_long_as_before(kept: Kept) {
    let store = kept.store().await;
    let (request, _) = store.ask(wanted("c", 1, false), now()).await.unwrap();
    let agreed = approve(&store, &request.id, "bob@example.com", now()).await.unwrap().request;
    store.reserve(&request.id, 60 * MINUTE, after(1)).await.unwrap();
    store.finish(&request.id, Ending::Released, after(1)).await.unwrap();
    let released = store.request(&request.id, after(1)).await.unwrap().unwrap();
    assert_eq!((released.state, released.until), (State::Approved, agreed.until));
    assert!(store.reserve(&request.id, MINUTE, after(16)).await.is_err(), "its time is over");
    assert_eq!(store.untold(after(16)).await.unwrap().len(), 1, "and that is still to be told");
    // Of two that are open for the same, one would be carried out beside the other.
    let (request, _) = store.ask(wanted("d", 1, false), now()).await.unwrap();
    approve(&store, &request.id, "bob@example.com", now()).await.unwrap();
    store.reserve(&request.id, MINUTE, now()).await.unwrap();
    let (second, new) = store.ask(wanted("d", 1, false), now()).await.unwrap();
    assert!(new && second.id != request.id);
    store.finish(&request.id, Ending::Released, now()).await.unwrap();
    assert_eq!(store.request(&request.id, now()).await.unwrap().unwrap().state, State::Void);
}

async fn what_a_holder_left_is_found_by_the_next_holder_of_its_log_alone(kept: Kept) {
    let gone = kept.store().await.held_by("log/1");
    let (request, _) = gone.ask(wanted("c", 1, false), now()).await.unwrap();
    approve(&gone, &request.id, "bob@example.com", now()).await.unwrap();
    gone.reserve(&request.id, MINUTE, now()).await.unwrap();
    gone.lease(&["a".to_owned()], "one", MINUTE, now()).await.unwrap().unwrap();
    drop(gone);
    for other in [kept.store().await, kept.store().await.held_by("log/2")] {
        assert_eq!(other.left_behind(now()).await.unwrap(), []);
        other.give_back_left_behind().await.unwrap();
        assert!(other.lease(&["a".to_owned()], "two", MINUTE, now()).await.unwrap().is_err());
    }
    let next = kept.store().await.held_by("log/1");
    let left = next.left_behind(now()).await.unwrap();
    assert_eq!(left.iter().map(|it| &it.id).collect::<Vec<_>>(), [&request.id]);
    next.give_back_left_behind().await.unwrap();
    assert!(next.lease(&["a".to_owned()], "two", MINUTE, now()).await.unwrap().is_ok());
}
