//! The straight line with tools that misbehave, a real policy and a real log.

mod world;

use std::{sync::Arc, time::Duration};

use approval::{ActionScope, State, Voter};
use gate::{AgreeRefused, Opening, Person, Refusal, Say};
use policy::{Assurance, Channel};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use world::{World, code, expected};

#[tokio::test]
async fn a_read_leaves_one_record_and_an_effect_two() {
    let world = World::open();
    let reply = world.call("show_thing", json!({ "mood": "fine" })).await;
    assert_eq!(code(&reply), "ok");
    assert_eq!(reply.receipt.expect("recorded").index(), world.first);
    let reply = world.call("restart_thing", json!({ "mood": "fine" })).await;
    assert_eq!(code(&reply), "ok");
    assert_eq!(reply.receipt.expect("recorded").index(), world.first + 2);
    assert_eq!(world.restarts(), 1);
}

#[tokio::test]
async fn a_dry_run_gets_no_leave_and_one_record() {
    let world = World::open();
    let reply = world.call("restart_thing", json!({ "mood": "fine", "dry_run": true })).await;
    assert_eq!(code(&reply), "ok");
    assert_eq!(reply.shaped.structured["acted"], false);
    assert_eq!(reply.receipt.expect("recorded").index(), world.first);
    assert_eq!(world.restarts(), 0);
}

#[tokio::test]
async fn whatever_panics_in_a_call_is_answered_and_recorded() {
    let world = World::open();
    for mood in ["panic_in_parse", "panic_in_targets", "panic_in_resolve", "panic", "panic_in_answer"] {
        let reply = world.call("show_thing", json!({ "mood": mood })).await;
        assert_eq!(code(&reply), "crashed", "{mood}");
        let payload = world.payload(reply.receipt.expect("recorded").index());
        assert_eq!(payload["refusal"]["code"], "crashed", "{mood}: {payload}");
    }
    for mood in ["panic_in_parse", "panic_in_targets", "panic_in_resolve"] {
        let reply = world.call("restart_thing", json!({ "mood": mood })).await;
        assert_eq!(code(&reply), "crashed", "{mood}");
        assert!(reply.receipt.is_some() && !reply.effect, "{mood}");
    }
    assert_eq!(world.restarts(), 0);
}

#[tokio::test]
async fn a_panic_after_an_effect_began_says_that_it_may_have_happened() {
    let world = World::open();
    for (mood, restarts) in [("panic", 0), ("panic_in_answer", 1)] {
        let reply = world.call("restart_thing", json!({ "mood": mood })).await;
        let Some(Refusal::EffectCrashed { intent }) = reply.refusal else { panic!("{:?}", reply.refusal) };
        assert_eq!(world.payload(intent)["arguments"]["mood"], mood);
        assert!(reply.shaped.text.contains("may have happened"), "{}", reply.shaped.text);
        assert!(reply.receipt.is_some_and(|it| it.index() == intent + 1) && reply.effect);
        assert_eq!(world.restarts(), restarts);
    }
    world.gate.drain(Duration::from_secs(10)).await;
    world.assert_verifies_without_open_intents();
}

#[tokio::test]
async fn no_text_that_a_caller_makes_up_keeps_a_call_out_of_the_log() {
    let world = World::open();
    let long = format!("a@b.{}", "é".repeat(130));
    for (tool, arguments, expected) in [
        (long.as_str(), json!({}), "unknown_tool"),
        ("show_thing", json!({ "mood": long }), "invalid_arguments"),
        ("show_thing", json!({ long.clone(): 1 }), "invalid_arguments"),
        ("show_thing", json!({ "mood": "sk-".repeat(40_000) }), "invalid_arguments"),
        ("show_thing", json!({ "mood": { "sk-": "token : a ".repeat(90_000) } }), "invalid_arguments"),
        ("restart_thing", json!({ "mood": "fine", "environment": "漢".repeat(20) }), "ok"),
    ] {
        let reply = world.call(tool, arguments).await;
        assert_eq!(code(&reply), expected);
        assert!(reply.receipt.is_some());
        assert!(reply.shaped.text.len() < 1500, "{}", reply.shaped.text.len());
    }
}

#[tokio::test]
async fn a_secret_is_masked_in_a_record_before_what_holds_it_is_cut() {
    let world = World::open();
    let secret = format!("ghp_{}", "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fL3hR5");
    for before in (3_980..4_100).step_by(8) {
        let long = format!("{} {secret} {}", "a".repeat(before), "b ".repeat(3_000));
        let reply = world.call("show_thing", json!({ "mood": "grumpy", "note": long })).await;
        let named = world.call(&long[3_800..], json!({ "password": "b ".repeat(3_000) })).await;
        for reply in [reply, named] {
            let payload = world.payload(reply.receipt.expect("recorded").index()).to_string();
            assert!(!payload.contains("ghp_"), "{before}: {payload}");
            assert!(!reply.shaped.text.contains("ghp_"), "{}", reply.shaped.text);
        }
    }
}

#[tokio::test]
async fn a_read_past_its_deadline_stops_and_says_so() {
    let world = World::with_deadline(Duration::from_millis(50));
    let reply = world.call("show_thing", json!({ "mood": "stuck" })).await;
    assert_eq!(code(&reply), "timed_out");
    assert!(reply.receipt.is_some());
    assert!(world.was_dropped(), "the work was stopped");
}

#[tokio::test]
async fn what_a_system_says_when_it_fails_is_marked() {
    let world = World::open();
    let reply = world.call("show_thing", json!({ "mood": "fails" })).await;
    assert_eq!(code(&reply), "unavailable");
    assert_eq!(reply.shaped.untrusted, ["message"]);
}

#[tokio::test]
async fn a_cancelled_read_stops_and_is_recorded() {
    let world = World::open();
    let cancelled = CancellationToken::new();
    let request = world.request("show_thing", json!({ "mood": "stuck" }), cancelled.clone());
    let gate = world.gate.clone();
    let call = tokio::spawn(async move { gate.call(request).await });
    world.started().await;
    cancelled.cancel();
    let reply = call.await.expect("no panic");
    assert_eq!(code(&reply), "cancelled");
    assert!(reply.receipt.is_some());
}

#[tokio::test]
async fn a_write_outlives_its_caller_and_its_outcome_is_recorded() {
    let world = World::open();
    let cancelled = CancellationToken::new();
    let request = world.request("restart_thing", json!({ "mood": "stuck" }), cancelled.clone());
    let gate = world.gate.clone();
    let call = tokio::spawn(async move { gate.call(request).await });
    world.started().await;
    cancelled.cancel();
    let reply = call.await.expect("no panic");
    let Some(Refusal::OutcomeUnknown { intent }) = reply.refusal else { panic!("{:?}", reply.refusal) };
    assert_eq!(intent, world.first);
    assert_eq!(world.restarts(), 0, "still at it");
    world.let_go();
    world.gate.drain(Duration::from_secs(10)).await;
    assert_eq!(world.restarts(), 1);
    world.assert_verifies_without_open_intents();
}

#[tokio::test]
async fn a_caller_who_drops_the_call_ends_the_wait_and_not_the_write() {
    let world = World::open();
    let request = world.request("restart_thing", json!({ "mood": "stuck" }), CancellationToken::new());
    let gate = world.gate.clone();
    let call = tokio::spawn(async move { gate.call(request).await });
    world.started().await;
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    world.let_go();
    world.gate.drain(Duration::from_secs(10)).await;
    assert_eq!(world.restarts(), 1);
    world.assert_verifies_without_open_intents();
}

#[tokio::test]
async fn a_caller_who_drops_a_read_stops_it() {
    let world = World::open();
    let request = world.request("show_thing", json!({ "mood": "stuck" }), CancellationToken::new());
    let gate = world.gate.clone();
    let call = tokio::spawn(async move { gate.call(request).await });
    world.started().await;
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    world.gate.drain(Duration::from_secs(10)).await;
    assert!(world.was_dropped(), "nobody waits for it");
    world.assert_verifies_without_open_intents();
}

#[tokio::test]
async fn a_long_name_pushes_nothing_out_of_a_record() {
    let world = World::open();
    let long = "x".repeat(300 * 1024);
    let mut request = world.request("restart_thing", json!({ "mood": "fine" }), CancellationToken::new());
    request.client = Some(long.clone());
    assert_eq!(code(&world.gate.call(request).await), "ok");
    let mut unknown_argument = serde_json::Map::new();
    unknown_argument.insert(long.clone(), json!(1));
    let reply = world.call("show_thing", unknown_argument.into()).await;
    assert_eq!(code(&reply), "invalid_arguments");
    let reply = world.call(&long, json!({})).await;
    assert_eq!(code(&reply), "unknown_tool");
    assert!(reply.refusal.expect("refused").to_string().len() < 1024);
    for (at, tool) in [(0, "restart_thing"), (1, "restart_thing"), (2, "show_thing"), (3, "xxx")] {
        let payload = world.payload(world.first + at);
        assert!(payload["tool"].as_str().is_some_and(|it| it.starts_with(tool)), "{payload}");
        assert_eq!(payload["caller"]["agent"], "tester", "{payload}");
    }
    assert_eq!(world.payload(world.first)["arguments"]["mood"], "fine");
}

#[tokio::test]
async fn no_log_no_effect_and_no_result() {
    let world = World::open();
    world.gate.log().close("test").await.expect("closes");
    for tool in ["show_thing", "restart_thing"] {
        let reply = world.call(tool, json!({ "mood": "fine" })).await;
        assert_eq!(code(&reply), "not_recorded");
        assert!(reply.receipt.is_none());
        assert!(!reply.shaped.structured.contains_key("acted"), "nothing leaves");
    }
    assert_eq!(world.restarts(), 0);
    assert_eq!(world.reads(), 0);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_told_with_its_intent_and_stops_effects() {
    let world = Arc::new(World::open());
    let request = world.request("restart_thing", json!({ "mood": "stuck" }), CancellationToken::new());
    let gate = world.gate.clone();
    let call = tokio::spawn(async move { gate.call(request).await });
    world.started().await;
    world.gate.log().close("test").await.expect("closes");
    world.let_go();
    let reply = call.await.expect("no panic");
    let Some(Refusal::OutcomeUnrecorded { intent, .. }) = &reply.refusal else {
        panic!("{:?}", reply.refusal)
    };
    assert_eq!(*intent, world.first);
    assert!(reply.shaped.text.contains("may have happened"), "{}", reply.shaped.text);
    assert_eq!(code(&world.call("restart_thing", json!({ "mood": "fine" })).await), "not_recorded");
    assert_eq!(world.restarts(), 1);
}

#[tokio::test]
async fn every_refusal_is_recorded_and_reaches_no_tool() {
    let world = World::open();
    for (tool, arguments, expected) in expected() {
        let reply = world.call(tool, arguments).await;
        assert_eq!(code(&reply), expected, "{tool}");
        assert!(reply.shaped.is_error);
        assert!(reply.receipt.is_some(), "{tool}: {expected} is recorded");
    }
    assert_eq!((world.reads(), world.restarts()), (0, 0));
    world.gate.drain(Duration::from_secs(10)).await;
    world.assert_verifies_without_open_intents();
}

#[tokio::test]
async fn what_is_no_call_is_recorded_with_who_sent_it() {
    let world = World::open();
    let request = world.request("", json!({}), CancellationToken::new());
    world.gate.reject(&request.caller, request.channel, "not JSON").await;
    let payload = world.payload(world.first);
    assert_eq!((&payload["caller"]["agent"], &payload["problem"]), (&json!("tester"), &json!("not JSON")));
}

#[tokio::test]
async fn a_call_under_way_is_held_to_the_policy_that_it_was_decided_by() {
    let world = World::open();
    for tool in ["show_thing", "restart_thing"] {
        let (gate, request) =
            (world.gate.clone(), world.request(tool, json!({ "mood": "stuck" }), CancellationToken::new()));
        let before = json!(hex::encode(gate.policy().digest()));
        let call = tokio::spawn(async move { gate.call(request).await });
        world.started().await;
        world.allow(&[]);
        world.let_go();
        let reply = call.await.expect("no panic");
        assert_eq!(code(&reply), "ok", "{tool}");
        let (now, recorded) = world.digests(reply.receipt.expect("recorded").index());
        assert!(recorded == before && recorded != now, "{tool}: {recorded}");
        let denied = world.call(tool, json!({ "mood": "fine" })).await;
        assert_eq!(code(&denied), "denied", "{tool}: what comes afterwards is asked of the new one");
        let (now, recorded) = world.digests(denied.receipt.expect("recorded").index());
        assert_eq!(recorded, now);
        world.allow(&["show_thing", "restart_thing"]);
    }
}

#[tokio::test]
async fn a_call_that_is_not_decided_yet_is_decided_by_the_policy_in_force_then() {
    let world = World::open();
    for tool in ["show_thing", "restart_thing"] {
        let (gate, request) = (
            world.gate.clone(),
            world.request(tool, json!({ "mood": "stuck_in_resolve" }), CancellationToken::new()),
        );
        let call = tokio::spawn(async move { gate.call(request).await });
        world.started().await;
        world.allow(&[]);
        world.let_go();
        let reply = call.await.expect("no panic");
        assert_eq!(code(&reply), "denied", "{tool}");
        let (now, recorded) = world.digests(reply.receipt.expect("recorded").index());
        assert_eq!(recorded, now, "{tool}");
        world.allow(&["show_thing", "restart_thing"]);
    }
    assert_eq!((world.reads(), world.restarts()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_target_does_not_begin_once_an_order_to_stop_has_come() {
    let world = World::open();
    let start = |mood: &str| {
        let request = world.request("restart_thing", json!({ "mood": mood }), CancellationToken::new());
        let gate = world.gate.clone();
        tokio::spawn(async move { gate.call(request).await })
    };
    let first = start("stuck");
    world.started().await;
    let mut second = start("fine");
    let early = tokio::time::timeout(Duration::from_millis(500), &mut second).await;
    assert!(early.is_err(), "it waits for the first: {:?}", early.map(|it| it.map(|it| code(&it))));
    let (stop, _) =
        world.gate.stop(&person("carol"), ActionScope::default(), "enough").await.expect("stopped");
    world.let_go();
    assert_eq!(code(&first.await.expect("ends")), "ok");
    assert_eq!(code(&second.await.expect("ends")), "stopped");
    assert_eq!(world.restarts(), 1);
    assert!(world.gate.resume(&person("dave"), &stop.id).await.expect("resumed"));
    let third = world.call("restart_thing", json!({ "mood": "fine" })).await;
    assert_eq!((code(&third), world.restarts()), ("ok", 2), "the second kept nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_step_of_a_break_glass_counts_that_the_log_does_not_take_but_its_end() {
    let world = World::open();
    let opening = |reason: &str| {
        let (scope, reason, longest) = (ActionScope::default(), reason.to_owned(), Duration::from_secs(600));
        Opening { scope, reason, longest }
    };
    let glass = world.gate.open_glass(&person("carol"), opening("INC-7")).await.expect("it opens");
    let restart = json!({ "mood": "fine", "environment": "production" });
    let asked = world.call("restart_thing", restart).await;
    let Some(Refusal::NeedsApproval { waiting: Some(waiting), .. }) = asked.refusal else {
        panic!("{:?}", asked.refusal)
    };
    world.gate.log().close("test").await.expect("closes");
    let unrecorded = |it: &AgreeRefused| matches!(it, AgreeRefused::Unrecorded(_));
    let used = world.gate.say(&person("carol"), &waiting.id, Say::BreakGlass, "").await.expect_err("refused");
    assert!(unrecorded(&used), "{used}");
    let voided = world.gate.requests(&[State::Void], 9).await.expect("the store answers");
    assert_eq!(voided.iter().map(|it| &it.id).collect::<Vec<_>>(), [&waiting.id]);
    let opened = world.gate.open_glass(&person("dave"), opening("INC-8")).await.expect_err("refused");
    assert!(unrecorded(&opened), "{opened}");
    let closed = world.gate.close_glass(&person("dave"), &glass.id, "").await.expect_err("says so");
    assert!(unrecorded(&closed), "{closed}");
    let reviewed = world.gate.review_glass(&person("dave"), &glass.id, "x").await.expect_err("refused");
    assert!(unrecorded(&reviewed), "{reviewed}");
    let kept = world.gate.glasses(true).await.expect("the store answers");
    assert_eq!(kept.len(), 1, "what was not recorded was not opened: {kept:?}");
    assert_eq!((&kept[0]["break_glass"], &kept[0]["state"]), (&json!(glass.id), &json!("unreviewed")));
}

fn person(name: &str) -> Person {
    let name = name.to_owned();
    let (issuer, subject) = ("company".to_owned(), name.clone());
    let voter = Voter { name, issuer, subject, assurance: Assurance::Token, channel: Channel::Http };
    Person { voter, teams: Vec::new(), client: None, authenticated_seconds: None }
}
