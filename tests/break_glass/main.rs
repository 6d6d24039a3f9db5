//! One person approves alone for a while, and another looks at it: what that relaxes, and what it does not.

mod stage;

use serde_json::{Value, json};
use stage::{NOTIFY, Stage, asked, run, silence};

#[test]
fn what_somebody_approves_alone_is_carried_out_heard_of_recorded_and_reviewed_by_another() {
    let stage = Stage::start(NOTIFY);
    let mut agent = stage.agent("alices-agent");
    let id = asked(&mut agent, 60);
    let own = stage.run_as("alices-phone", &["approvals", "approve", &id]).expect(3);
    assert!(own.stderr.contains("in their name"), "{}", own.stderr);
    let whole = stage.run_as("alices-phone", &["approvals", "approve", &id, "--break-glass"]).expect(3);
    assert!(whole.stderr.contains("has broken no glass"), "{}", whole.stderr);
    let open = ["break-glass", "open", "--for", "30m", "--reason", "INC-7", "--connection", "alerts"];
    let opened = stage.run_as("alices-phone", &open).expect(0);
    let glass = opened.stdout.trim().to_owned();
    assert!(glass.starts_with("bg-") && opened.stderr.contains("--break-glass"), "{opened:#?}");
    let approved = stage.run_as("alices-phone", &["approvals", "approve", &id, "--break-glass"]).expect(0);
    assert!(approved.stdout.contains("approved by break-glass"), "{}", approved.stdout);
    let ran = run(&mut agent, &id);
    assert!(!ran.is_error() && stage.effects() == 1, "{}", ran.0);
    assert!(run(&mut agent, &id).is_error(), "once");

    let review = |who| {
        stage.run_as(who, &["break-glass", "review", &glass, "--comment", "a sound silence, for one hour"])
    };
    assert!(review("carols-phone").expect(3).stderr.contains("close it first"));
    assert_eq!(stage.unreviewed(), "0");
    stage.run_as("carols-phone", &["break-glass", "close", &glass, "--comment", "bob is up"]).expect(0);
    assert_eq!(stage.unreviewed(), "1");
    let listed = stage.run_as("daves-phone", &["break-glass", "list"]).expect(0).stdout;
    for part in [&glass, "unreviewed", "connection=alerts", "by alice: INC-7", &id, "consumed"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let own = review("alices-phone").expect(3);
    assert!(own.stderr.contains("another person reviews it"), "{}", own.stderr);
    let stranger = review("eves-phone").expect(3);
    assert!(stranger.stderr.contains("denied by default"), "{}", stranger.stderr);
    review("carols-phone").expect(0);
    assert_eq!(stage.unreviewed(), "0");
    assert!(review("daves-phone").expect(3).stderr.contains("reviewed by carol already"));

    let heard = stage.heard(4);
    let said = |at: usize| -> Vec<&str> {
        ["/type", "/data/note"].iter().filter_map(|it| heard[at].pointer(it)?.as_str()).collect()
    };
    assert_eq!(said(0), ["break_glass.opened", "by alice: INC-7"]);
    assert_eq!(said(1)[0], "break_glass.used");
    assert!(said(1)[1].contains(&format!("approved {id}: silence_alert on alerts")), "{:?}", said(1));
    assert_eq!(said(2), ["break_glass.closed", "by carol: bob is up"]);
    assert_eq!(said(3), ["break_glass.reviewed", "by carol: a sound silence, for one hour"]);
    assert!(stage.served.stop().success());
    let tail = |reference: &str| stage.home.run(["audit", "tail", "--reference", reference]).expect(0).stdout;
    let steps = tail(&glass);
    assert!(["opened", "closed", "reviewed"].iter().all(|it| steps.contains(it)), "{steps}");
    assert!(tail(&id).contains("approved") && tail(&id).contains("by alice"), "{}", tail(&id));
    let records = stage.home.run(["audit", "tail", "--json", "-n", "100"]).expect(0).stdout;
    assert!(records.contains(&format!("\"break_glass\":\"{glass}\"")), "a vote names it: {records}");
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn nobody_breaks_the_glass_whom_policy_does_not_let_or_where_nobody_would_hear() {
    let stage = Stage::start(NOTIFY);
    let open = |client: &str, body: Value| stage.post(client, "/break-glass", &body);
    let usual = || json!({ "reason": "INC-7", "for": "30m" });
    for (client, body, status, says) in [
        ("eves-phone", usual(), 403, "a policy has to permit Action::\"break_glass\""),
        ("deployer", usual(), 403, "names no person"),
        ("carols-phone", json!({ "reason": "INC-7", "for": "46m" }), 403, "no rule permits it"),
        ("carols-phone", json!({ "reason": " ", "for": "30m" }), 400, "reason: expected why"),
        ("carols-phone", json!({ "reason": "INC-7", "for": "59s" }), 400, "expected 1m to 1h"),
        ("carols-phone", json!({ "reason": "INC-7", "for": "61m" }), 400, "expected 1m to 1h"),
        ("carols-phone", json!({ "reason": "INC-7", "for": "soon" }), 400, "e.g. `30m`"),
        ("carols-phone", json!({ "reason": "INC-7" }), 400, "for"),
        ("carols-phone", json!({ "reason": "INC-7", "for": "30m", "scope": { "tem": "shop" } }), 400, "tem"),
    ] {
        let (got, said) = open(client, body.clone());
        assert_eq!(got, status, "{client} {body}: {said}");
        assert!(said["message"].as_str().is_some_and(|it| it.contains(says)), "{client} {body}: {said}");
    }
    stage.opened("carols-phone");
    for same in ["carols-phone", "carols-laptop"] {
        let (status, said) = open(same, usual());
        assert!(
            status == 409 && said["message"].as_str().is_some_and(|it| it.contains("holds until")),
            "{said}"
        );
    }
    let tail = stage.home.run(["audit", "tail", "--json", "-n", "100"]).expect(0).stdout;
    assert!(tail.contains("break-glass open: denied by default"), "every attempt is on record: {tail}");
    assert_eq!(stage.heard(1).len(), 1, "of what was not opened nobody hears");

    let deaf = Stage::start("");
    let (status, said) = deaf.post("carols-phone", "/break-glass", &usual());
    assert!(
        status == 403 && said["message"].as_str().is_some_and(|it| it.contains("[[approvals.notify]]")),
        "{said}"
    );
    let local = deaf.home.run(["break-glass", "open", "--for", "30m", "--reason", "x"]).expect(2);
    assert!(local.stderr.contains("--server URL"), "{}", local.stderr);
    let listed = deaf.home.run(["break-glass", "list"]).expect(0);
    assert!(listed.stderr.contains("no glass is broken"), "{listed:#?}");
}

#[test]
fn what_policy_denies_and_what_somebody_stopped_stays_so() {
    let stage = Stage::start(NOTIFY);
    let mut agent = stage.agent("alices-agent");
    stage.opened("alices-phone");
    let denied = agent.call("silence_alert", silence(300));
    assert_eq!(denied.structured()["error"], "denied", "{}", denied.0);
    assert!(denied.text().contains("nothing is silent for so long"), "{}", denied.0);
    // What a rule on breaking the glass forbids takes two people still.
    let bobs = asked(&mut stage.agent("bobs-agent"), 60);
    let (status, said) = stage.says("alices-phone", "break-glass", &bobs);
    assert!(status == 403 && said["message"].as_str().is_some_and(|it| it.contains("ask two of")), "{said}");
    // Not even now does the program that asks approve.
    let id = asked(&mut agent, 60);
    let (status, said) = stage.says("alices-agent", "break-glass", &id);
    assert!(status == 403 && said["message"].as_str().is_some_and(|it| it.contains("claude-code")), "{said}");
    assert_eq!(stage.says("alices-phone", "break-glass", &id).1["state"], "approved");
    let order = json!({ "reason": "the agent silences everything" });
    let (status, stop) = stage.post("carols-phone", "/stops", &order);
    assert!(status == 201 && stop["voided"].as_array().is_some_and(|it| it.contains(&json!(id))), "{stop}");
    assert!(run(&mut agent, &id).text().contains("everything was stopped"));
    let again = asked(&mut agent, 60);
    assert_eq!(stage.says("alices-phone", "break-glass", &again).1["state"], "approved");
    assert_eq!(run(&mut agent, &again).structured()["error"], "stopped");
    assert_eq!(stage.effects(), 0);
    assert!(stage.served.stop().success());
    stage.home.run(["audit", "verify"]).expect(0);
}

#[test]
fn once_it_has_ended_nothing_is_approved_or_carried_out_by_it() {
    let stage = Stage::start(NOTIFY);
    let mut agent = stage.agent("alices-agent");
    let glass = stage.opened("carols-phone");
    let id = asked(&mut agent, 60);
    // A name that merely looks like the one who opened it, and another person altogether.
    for other in ["carols-laptop", "daves-phone"] {
        let (status, said) = stage.says(other, "break-glass", &id);
        assert!(
            status == 403 && said["message"].as_str().is_some_and(|it| it.contains("has broken no glass")),
            "{said}"
        );
    }
    assert_eq!(stage.says("carols-phone", "break-glass", &id).1["state"], "approved");
    let close = format!("/break-glass/{glass}/close");
    let (status, closed) = stage.post("daves-phone", &close, &json!({ "comment": "enough" }));
    assert_eq!((status, &closed["voided"]), (200, &json!([id])), "{closed}");
    assert_eq!(stage.post("daves-phone", &close, &json!({})).0, 409);
    let ran = run(&mut agent, &id);
    assert!(ran.is_error() && ran.text().contains("was closed"), "{}", ran.0);
    let next = asked(&mut agent, 61);
    assert_eq!(stage.says("carols-phone", "break-glass", &next).0, 403);
    assert_eq!(stage.says("carols-phone", "approve", &next).1["state"], "pending", "one of two, as before");
    assert_eq!(stage.effects(), 0);
    let review = format!("/break-glass/{glass}/review");
    let body = json!({ "comment": "nothing was done" });
    assert_eq!(stage.post("carols-laptop", &review, &body).0, 403, "it may be the same person");
    let (status, said) = stage.post("alices-phone", &review, &body);
    let for_alice =
        said["message"].as_str().is_some_and(|it| it.contains("asked for what was approved by it"));
    assert!(status == 403 && for_alice, "{said}");
    assert_eq!(stage.post("daves-phone", &review, &json!({ "comment": " " })).0, 400);
    assert_eq!(stage.post("daves-phone", &review, &body).1["state"], "reviewed");
    assert_eq!(stage.post("daves-phone", &format!("/break-glass/{glass}/forget"), &body).0, 404);
    let types: Vec<Value> = stage.heard(4).iter().map(|it| it["type"].clone()).collect();
    let steps = ["opened", "used", "closed", "reviewed"].map(|it| format!("break_glass.{it}"));
    assert_eq!(types, steps);
}

#[test]
fn whoever_answers_for_an_agent_does_not_review_what_it_had_done() {
    let stage = Stage::start(NOTIFY);
    let glass = stage.opened("carols-phone");
    let id = asked(&mut stage.agent("deployer"), 60);
    assert_eq!(stage.says("carols-phone", "break-glass", &id).1["state"], "approved");
    let body = json!({ "comment": "looked at it" });
    assert_eq!(stage.post("carols-phone", &format!("/break-glass/{glass}/close"), &body).0, 200);
    let review = format!("/break-glass/{glass}/review");
    assert_eq!(stage.post("daves-phone", &review, &body).0, 403, "the deployer is dave's");
    assert_eq!(stage.post("alices-phone", &review, &body).1["state"], "reviewed");
}
