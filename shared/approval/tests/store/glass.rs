//! A glass that is broken lets one person approve alone, for a while, and another looks at it afterwards.

use std::collections::BTreeSet;

use approval::*;
use policy::Target;

use crate::*;

laws!(
    one_word_meets_the_quorum_also_of_whom_it_is_for,
    a_glass_is_of_one_person_to_the_letter_and_covers_all_of_an_action_or_nothing,
    what_it_approved_ends_with_it_and_is_void_once_it_is_closed,
    what_a_confirmation_adds_does_not_outlive_it,
    another_person_reviews_it_once_and_after_its_end,
    whoever_has_one_open_or_overdue_opens_no_other,
    nobody_opens_what_nobody_hears_of,
    people_hear_of_each_step_and_every_day_until_it_is_reviewed,
    what_time_has_ended_is_handed_out_once_to_be_recorded,
    of_many_that_one_person_opens_at_once_one_is_open,
    whoever_closes_it_while_it_is_used_leaves_nothing_approved,
    of_many_reviews_at_once_one_counts,
);

const HOUR: Duration = Duration::from_secs(3600);
const DAYS_3: Duration = Duration::from_secs(72 * 3600);

/// Who hears of everything.
fn told() -> Vec<Subscriber> {
    let (teams, environments) = (BTreeSet::new(), BTreeSet::new());
    vec![Subscriber { name: "all".to_owned(), events: BTreeSet::from(Event::ALL), teams, environments }]
}

async fn heard_of(kept: &Kept) -> Store {
    kept.store().await.telling(told())
}

fn draft(name: &str, scope: ActionScope, minutes: u32, at: Timestamp) -> BreakGlass {
    BreakGlass::draft(scope, "INC-7", &voter(name), minutes * MINUTE, DAYS_3, at).expect("an id")
}

/// One for everything, for half an hour.
async fn opened(store: &Store, name: &str, at: Timestamp) -> BreakGlass {
    let glass = draft(name, ActionScope::default(), 30, at);
    store.open_glass(&glass, at).await.expect("it opens");
    glass
}

async fn alone(store: &Store, id: &str, who: &Voter, at: Timestamp) -> Result<Agreed, VoteRefused> {
    store.agree(id, who, VoteKind::BreakGlass, "", 30, at).await
}

async fn asked(store: &Store, call: &str, approvals: u8) -> Request {
    store.ask(wanted(call, approvals, false), now()).await.expect("asked").0
}

/// Takes and delivers all there is.
async fn events(store: &Store, at: Timestamp) -> Vec<(Event, String)> {
    let mut heard = Vec::new();
    while let Some(due) = store.take_due("all", MINUTE, at).await.expect("the store answers") {
        store.delivered(&due).await.expect("the store answers");
        heard.push((due.notice.at, due.notice.event, due.notice.note));
    }
    heard.sort();
    heard.into_iter().map(|(_, event, note)| (event, note)).collect()
}

async fn one_word_meets_the_quorum_also_of_whom_it_is_for(kept: Kept) {
    let store = heard_of(&kept).await;
    let request = asked(&store, "c", 3).await;
    let alice = voter("alice@example.com");
    assert!(matches!(alone(&store, &request.id, &alice, now()).await, Err(VoteRefused::NoGlass(_))));
    let glass = opened(&store, "alice@example.com", now()).await;
    assert!(matches!(
        approve(&store, &request.id, "alice@example.com", now()).await,
        Err(VoteRefused::Own(_))
    ));
    let agreed = alone(&store, &request.id, &alice, after(1)).await.unwrap();
    assert!(agreed.settled && agreed.request.state == State::Approved, "{agreed:?}");
    assert_eq!((agreed.request.approved(), agreed.request.counted()), (1, 3));
    assert_eq!(agreed.request.by_glass(), Some(glass.id.as_str()));
    store.reserve(&request.id, MINUTE, after(2)).await.unwrap();
    store.finish(&request.id, Ending::Consumed, after(2)).await.unwrap();
    let approved = store.approved_by_glass(&glass.id, after(3)).await.unwrap();
    assert_eq!(approved.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [request.id.as_str()]);
    // What only the person at the keyboard is asked about takes that person, and an agent never approves itself.
    let confirm = store.ask(wanted("d", 0, true), now()).await.unwrap().0;
    assert!(matches!(alone(&store, &confirm.id, &alice, now()).await, Err(VoteRefused::Unwanted { .. })));
    let agent = voter("claude-code");
    opened(&store, "claude-code", now()).await;
    let other = asked(&store, "e", 1).await;
    assert!(matches!(alone(&store, &other.id, &agent, now()).await, Err(VoteRefused::Own(_))));
}

async fn a_glass_is_of_one_person_to_the_letter_and_covers_all_of_an_action_or_nothing(kept: Kept) {
    let store = heard_of(&kept).await;
    let request = asked(&store, "c", 2).await;
    let shop = ActionScope { team: Some("shop".to_owned()), ..ActionScope::default() };
    store.open_glass(&draft("carol@example.com", shop, 30, now()), now()).await.unwrap();
    let carol = voter("carol@example.com");
    for other in [
        voter("Carol@example.com"),
        voter("carol+x@example.com"),
        Voter { subject: "another".to_owned(), ..carol.clone() },
        Voter { issuer: "another".to_owned(), ..carol.clone() },
        Voter { name: "carolin@example.com".to_owned(), ..carol.clone() },
    ] {
        let refused = alone(&store, &request.id, &other, now()).await;
        assert!(matches!(refused, Err(VoteRefused::NoGlass(_))), "{other:?}: {refused:?}");
        assert_eq!(store.glass_of(&other, now()).await.unwrap(), None, "{other:?}");
    }
    let local = Voter { assurance: Assurance::OsUser, ..carol.clone() };
    assert!(matches!(alone(&store, &request.id, &local, now()).await, Err(VoteRefused::Unproven(_))));
    // One target of another team, or of nobody knows whose: not all of it is within.
    for team in ["checkout", "unknown"] {
        let mut wanted = wanted(team, 2, false);
        wanted.sealed.targets.push(Target { team: team.to_owned(), ..sealed().targets[0].clone() });
        let wider = store.ask(wanted, now()).await.unwrap().0;
        let refused = alone(&store, &wider.id, &carol, now()).await;
        assert!(matches!(refused, Err(VoteRefused::OutOfGlass { .. })), "{team}: {refused:?}");
        assert_eq!(store.request(&wider.id, now()).await.unwrap().unwrap().votes, []);
    }
    assert!(alone(&store, &request.id, &carol, now()).await.unwrap().settled);
}

async fn what_it_approved_ends_with_it_and_is_void_once_it_is_closed(kept: Kept) {
    let store = heard_of(&kept).await;
    let carol = voter("carol@example.com");
    let first = opened(&store, "carol@example.com", now()).await;
    let request = asked(&store, "c", 2).await;
    let agreed = alone(&store, &request.id, &carol, after(20)).await.unwrap().request;
    assert_eq!(agreed.until, first.until, "not the fifteen minutes that it would have had");
    let late = store.reserve(&request.id, MINUTE, after(30)).await.unwrap_err();
    assert!(late.to_string().contains("the break-glass that it was approved by has ended"), "{late}");
    let too_late = asked(&store, "d", 2).await;
    assert!(matches!(alone(&store, &too_late.id, &carol, after(30)).await, Err(VoteRefused::NoGlass(_))));

    let second = opened(&store, "carol@example.com", after(31)).await;
    let begun = asked(&store, "e", 2).await;
    for it in [&too_late, &begun] {
        alone(&store, &it.id, &carol, after(32)).await.unwrap();
    }
    store.reserve(&begun.id, MINUTE, after(33)).await.unwrap();
    let (closed, voided) = store.close_glass(&second.id, "dave", "enough", after(33)).await.unwrap();
    assert_eq!((closed.closed, voided), (Some((after(33), "dave".to_owned())), vec![too_late.id.clone()]));
    assert_eq!(closed.review_by, after(33 + 72 * 60));
    let void = store.reserve(&too_late.id, MINUTE, after(33)).await.unwrap_err();
    assert!(void.to_string().contains("was approved by was closed"), "{void}");
    assert!(matches!(
        store.close_glass(&second.id, "dave", "", after(34)).await,
        Err(GlassRefused::Ended { .. })
    ));
    // What was being carried out goes on; what then turns out not to have begun does not begin any more.
    store.finish(&begun.id, Ending::Released, after(33)).await.unwrap();
    let again = store.reserve(&begun.id, MINUTE, after(33)).await.unwrap_err();
    assert!(again.to_string().contains("has ended"), "{again}");
}

async fn what_a_confirmation_adds_does_not_outlive_it(kept: Kept) {
    let store = heard_of(&kept).await;
    let carol = voter("carol@example.com");
    opened(&store, "carol@example.com", now()).await;
    let request = store.ask(wanted("c", 2, true), now()).await.unwrap().0;
    let agreed = alone(&store, &request.id, &carol, after(1)).await.unwrap();
    assert!(!agreed.settled && agreed.request.state == State::Pending);
    assert_eq!(agreed.request.approve_by, after(30), "nobody confirms after its end what it approved");
    let local = Voter { assurance: Assurance::OsUser, ..voter("alice@example.com") };
    let late = store.agree(&request.id, &local, VoteKind::Confirm, "", 30, after(30)).await;
    assert!(matches!(late, Err(VoteRefused::Closed { state: State::Expired, .. })), "{late:?}");
    let other = store.ask(wanted("d", 2, true), after(1)).await.unwrap().0;
    alone(&store, &other.id, &carol, after(2)).await.unwrap();
    let confirmed = store.agree(&other.id, &local, VoteKind::Confirm, "", 30, after(29)).await.unwrap();
    assert!(confirmed.settled && confirmed.request.until == after(30), "{confirmed:?}");
}

async fn another_person_reviews_it_once_and_after_its_end(kept: Kept) {
    let store = heard_of(&kept).await;
    let glass = opened(&store, "carol@example.com", now()).await;
    let review = async |who: &Voter, at| store.review_glass(&glass.id, who, "looked at each", at).await;
    let dave = voter("dave@example.com");
    assert!(matches!(review(&dave, after(29)).await, Err(GlassRefused::Holds { .. })));
    for own in [
        voter("carol@example.com"),
        voter("CAROL@example.com"),
        voter("carol+review@example.com"),
        Voter { subject: "carol@example.com".to_owned(), ..voter("somebody@example.com") },
    ] {
        let refused = review(&own, after(31)).await;
        assert!(matches!(refused, Err(GlassRefused::Own(_))), "{own:?}: {refused:?}");
    }
    let local = Voter { assurance: Assurance::OsUser, ..dave.clone() };
    assert!(matches!(review(&local, after(31)).await, Err(GlassRefused::Unproven(_))));
    let missing = store.review_glass("bg-none", &dave, "x", after(31)).await;
    assert!(matches!(missing, Err(GlassRefused::Missing(_))), "{missing:?}");
    assert_eq!(store.unreviewed_glasses(after(31)).await.unwrap(), 1);
    let reviewed = review(&dave, after(31)).await.unwrap();
    assert_eq!(reviewed.state(after(31)), "reviewed");
    assert_eq!(
        reviewed.review.map(|it| (it.by, it.comment)),
        Some((dave.name.clone(), "looked at each".into()))
    );
    assert!(matches!(review(&voter("erin"), after(32)).await, Err(GlassRefused::Reviewed { .. })));
    assert_eq!(store.unreviewed_glasses(after(32)).await.unwrap(), 0);
    assert!(store.glasses(false, after(32)).await.unwrap().is_empty());
    assert_eq!(store.glasses(true, after(32)).await.unwrap().len(), 1);
}

async fn whoever_has_one_open_or_overdue_opens_no_other(kept: Kept) {
    let store = heard_of(&kept).await;
    let first = opened(&store, "carol@example.com", now()).await;
    let open = async |name: &str, at| {
        let glass = draft(name, ActionScope::default(), 30, at);
        store.may_open_glass(&glass, at).await?;
        store.open_glass(&glass, at).await
    };
    for same in ["carol@example.com", "Carol@example.com"] {
        let refused = open(same, after(29)).await;
        assert!(matches!(refused, Err(GlassRefused::Open { .. })), "{same}: {refused:?}");
    }
    open("dave@example.com", after(29)).await.unwrap();
    // Until it is overdue a second one is no worse than the first.
    open("carol@example.com", after(31)).await.unwrap();
    let overdue = 30 + 72 * 60;
    let refused = open("carol+2@example.com", after(overdue)).await;
    assert!(matches!(&refused, Err(GlassRefused::Overdue { id, .. }) if *id == first.id), "{refused:?}");
    for (glass, _) in store.glasses(false, after(overdue)).await.unwrap() {
        if glass.by.starts_with("carol") {
            store.review_glass(&glass.id, &voter("erin"), "late", after(overdue + 31)).await.unwrap();
        }
    }
    open("carol@example.com", after(overdue + 31)).await.unwrap();
}

async fn nobody_opens_what_nobody_hears_of(kept: Kept) {
    let store = kept.store().await;
    let glass = draft("carol", ActionScope::default(), 30, now());
    assert!(matches!(store.may_open_glass(&glass, now()).await, Err(GlassRefused::Unheard)));
    assert!(matches!(store.open_glass(&glass, now()).await, Err(GlassRefused::Unheard)));
    let mut told = told();
    told[0].events.remove(&Event::Opened);
    let deaf = store.clone().telling(told.clone());
    assert!(matches!(deaf.may_open_glass(&glass, now()).await, Err(GlassRefused::Unheard)));
    told[0].events.insert(Event::Opened);
    told[0].teams.insert("checkout".to_owned());
    let elsewhere = store.telling(told);
    let scope = |team: &str| ActionScope { team: Some(team.to_owned()), ..ActionScope::default() };
    for (team, heard) in [("shop", false), ("checkout", true)] {
        let glass = draft("carol", scope(team), 30, now());
        assert_eq!(elsewhere.may_open_glass(&glass, now()).await.is_ok(), heard, "{team}");
    }
}

async fn people_hear_of_each_step_and_every_day_until_it_is_reviewed(kept: Kept) {
    let store = heard_of(&kept).await;
    let request = asked(&store, "c", 2).await;
    let glass = opened(&store, "carol", now()).await;
    alone(&store, &request.id, &voter("carol"), after(1)).await.unwrap();
    let heard = events(&store, after(1)).await;
    let of_glass = |it: &(Event, String)| it.1.contains("carol");
    let kinds: Vec<Event> = heard.iter().filter(|it| of_glass(it)).map(|it| it.0).collect();
    assert_eq!(kinds, [Event::Opened, Event::Approved, Event::Used], "{heard:?}");
    assert!(heard[3].1.contains(&request.id) && heard[3].1.contains("silence_alert"), "{heard:?}");
    const DAY: i64 = 24 * 60;
    let expired = events(&store, after(31)).await;
    assert_eq!(expired.iter().filter(|it| it.0 == Event::Closed).count(), 1, "{expired:?}");
    assert_eq!(events(&store, after(30 + DAY)).await, []);
    for day in 1..=4 {
        let told = events(&store, after(32 + day * (DAY + 1))).await;
        assert_eq!(told, [(Event::Unreviewed, "nobody has reviewed it".to_owned())], "day {day}");
    }
    store.review_glass(&glass.id, &voter("dave"), "fine", after(33 + 4 * (DAY + 1))).await.unwrap();
    let told = events(&store, after(60 * DAY)).await;
    assert_eq!(told, [(Event::Reviewed, "by dave: fine".to_owned())], "and then no more");
}

async fn what_time_has_ended_is_handed_out_once_to_be_recorded(kept: Kept) {
    let (one, two) = (heard_of(&kept).await, heard_of(&kept).await);
    let ended = opened(&one, "carol", now()).await;
    let closed = opened(&one, "dave", now()).await;
    one.close_glass(&closed.id, "erin", "", after(1)).await.unwrap();
    assert!(one.untold_glasses(after(29)).await.unwrap().is_empty(), "whoever closes it tells the log");
    let (first, second) = tokio::join!(one.untold_glasses(after(30)), two.untold_glasses(after(30)));
    let told = [first.unwrap(), second.unwrap()].concat();
    assert_eq!(told.iter().map(|it| &it.id).collect::<Vec<_>>(), [&ended.id]);
    assert_eq!(told[0].closed, Some((ended.until, String::new())));
    one.tell_of_glass_again(&ended.id).await.unwrap();
    assert_eq!(two.untold_glasses(after(31)).await.unwrap().len(), 1);
}

async fn of_many_that_one_person_opens_at_once_one_is_open(kept: Kept) {
    let stores = [heard_of(&kept).await, heard_of(&kept).await];
    let tries = (0..32_usize).map(|at| {
        let store = stores[at % 2].clone();
        // The same name to a reader, or the same subject under another.
        let name = ["carol@example.com", "Carol@example.com", "c.jones@example.com"][at % 3];
        let glass =
            BreakGlass { subject: "s-1".to_owned(), ..draft(name, ActionScope::default(), 30, now()) };
        tokio::spawn(async move { store.open_glass(&glass, now()).await })
    });
    let mut opened = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(()) => opened += 1,
            Err(refused) => assert!(matches!(refused, GlassRefused::Open { .. }), "{refused:?}"),
        }
    }
    assert_eq!((opened, stores[0].glasses(false, now()).await.unwrap().len()), (1, 1));
}

async fn whoever_closes_it_while_it_is_used_leaves_nothing_approved(kept: Kept) {
    let stores = [heard_of(&kept).await, heard_of(&kept).await];
    let carol = voter("carol");
    for round in 0..4 {
        let at = after(round);
        let glass = opened(&stores[0], "carol", at).await;
        let mut requests = Vec::new();
        for call in 0..8 {
            requests.push(asked(&stores[0], &format!("c{round}-{call}"), 2).await.id);
        }
        let uses = requests.iter().enumerate().map(|(number, id)| {
            let (store, id, carol) = (stores[number % 2].clone(), id.clone(), carol.clone());
            tokio::spawn(async move { alone(&store, &id, &carol, at).await })
        });
        let uses: Vec<_> = uses.collect();
        // In every other round somebody stops everything at the same moment: neither waits for the other for ever.
        let stop = async {
            match round % 2 {
                0 => Vec::new(),
                _ => stores[0].stop(ActionScope::default(), "drill", "erin", at).await.unwrap().1,
            }
        };
        let (closed, stopped) = tokio::join!(stores[1].close_glass(&glass.id, "dave", "", at), stop);
        let voided = closed.unwrap().1;
        let mut used = 0;
        for it in uses {
            match it.await.unwrap() {
                Ok(_) => used += 1,
                Err(VoteRefused::NoGlass(_)) => {}
                Err(refused) => {
                    assert!(matches!(refused, VoteRefused::Closed { .. }) && round % 2 == 1, "{refused:?}")
                }
            }
        }
        match round % 2 {
            0 => assert_eq!(voided.len(), used, "what was approved before is void, and nothing is after"),
            _ => {
                // What an earlier round left is void too.
                let stopped = stopped.iter().filter(|it| requests.contains(it)).count();
                assert_eq!(voided.len() + stopped, requests.len(), "each is void once");
            }
        }
        for id in requests {
            let state = stores[0].request(&id, at).await.unwrap().unwrap().state;
            assert_ne!(state, State::Approved);
        }
    }
}

async fn of_many_reviews_at_once_one_counts(kept: Kept) {
    let stores = [heard_of(&kept).await, heard_of(&kept).await];
    let glass = opened(&stores[0], "carol", now()).await;
    let at = now() + SignedDuration::try_from(HOUR).unwrap();
    let reviews = (0..32_usize).map(|number| {
        let (store, id) = (stores[number % 2].clone(), glass.id.clone());
        tokio::spawn(async move { store.review_glass(&id, &voter(&format!("r{number}")), "x", at).await })
    });
    let mut counted = 0;
    for one in reviews.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(_) => counted += 1,
            Err(refused) => assert!(matches!(refused, GlassRefused::Reviewed { .. }), "{refused:?}"),
        }
    }
    assert_eq!(counted, 1);
}
