//! An approved action whose process, or whose store, dies in the middle: it never runs twice, and nobody says that it did not run.

mod approvals_stage;

use approvals_stage::{Kept, Machine, alerts, effects};
use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Behaviour, Postgres, Recorder},
    cli::Home,
    mcp::{Session, Version},
};

/// A confirmed request, and a session that can carry it out.
fn confirmed(backend: &Recorder, kept: &Kept) -> (Machine, Session, String) {
    let machine = Machine::asking(backend, kept);
    let id = machine.asked(30);
    machine.home.run(["approvals", "confirm", &id]).expect(0);
    let session = machine.home.serve(&["observability"], Version::V2026_07_28);
    (machine, session, id)
}

fn findings(home: &Home) -> String {
    let ended = home.run(["audit", "verify", "--json"]);
    assert!(matches!(ended.code, Some(0 | 3)), "nothing is altered: {ended:#?}");
    ended.json()["logs"].to_string()
}

fn steps(home: &Home) -> Vec<String> {
    let lines = home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
    let read = |it: &str| serde_json::from_str::<Value>(it).expect("a record a line");
    lines.lines().map(read).filter_map(|it| it["leaf"]["step"].as_str().map(str::to_owned)).collect()
}

/// What holds of an action whose process was killed once it was reserved.
fn assert_unknown_for_good(machine: &Machine, id: &str) {
    let state = machine.shown(id)["state"].clone();
    assert!(
        state == "reserved" || state == "unknown",
        "whoever looks from elsewhere may not know yet: {state}"
    );
    let found = findings(&machine.home);
    assert!(found.contains(&format!("approval {id} was reserved in record")), "{found}");
    // Whoever holds the log next knows that nobody carries it out any more.
    let refused = machine.run(id).expect(4).json();
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("outcome is unknown") && message.contains("never repeated"), "{refused}");
    assert_eq!(machine.shown(id)["state"], "unknown");
    let steps = steps(&machine.home);
    for (step, times) in [("reserved", 1), ("unknown", 1), ("consumed", 0), ("released", 0)] {
        assert_eq!(steps.iter().filter(|it| *it == step).count(), times, "{step}: {steps:?}");
    }
    let found = findings(&machine.home);
    assert!(!found.contains("was reserved in record"), "it is accounted for: {found}");
    let told = machine.home.run(["audit", "verify"]).stdout;
    assert!(told.contains(&format!("approval {id} ended unknown")), "{told}");
    // What it held is free again: the same can be asked for anew, and then runs.
    let again = machine.asked(30);
    assert_ne!(again, id);
    machine.home.run(["approvals", "confirm", &again]).expect(0);
    machine.run(&again).expect(0);
    machine.run(id).expect(4);
}

fn killed_between_effect_and_outcome(kept: &Kept) {
    let backend = alerts();
    let (machine, mut session, id) = confirmed(&backend, kept);
    let hold = backend.hold("POST", "/");
    session.start_call("run_approved", json!({ "approval": id }));
    hold.wait_arrived(DEADLINE);
    session.kill();
    hold.release();
    backend.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
    assert_eq!(effects(&backend), 1);
    assert_unknown_for_good(&machine, &id);
    assert_eq!(effects(&backend), 2, "one for each request");
}

fn killed_between_reservation_and_effect(kept: &Kept) {
    let backend = alerts();
    let (machine, mut session, id) = confirmed(&backend, kept);
    // It looks before it acts: one of these looks is behind the reservation.
    let mut hold = backend.hold("GET", "/");
    session.start_call("run_approved", json!({ "approval": id }));
    loop {
        hold.wait_arrived(DEADLINE);
        match machine.shown(&id)["state"].as_str() {
            Some("reserved") => break,
            state => assert_eq!(state, Some("approved")),
        }
        let next = backend.hold("GET", "/");
        hold.release();
        hold = next;
    }
    assert_eq!(effects(&backend), 0);
    session.kill();
    backend.on("GET", "/", Behaviour::json(200, "[]"));
    hold.release();
    assert_unknown_for_good(&machine, &id);
    assert_eq!(effects(&backend), 1, "only that of the second request");
}

#[test]
fn a_kill_between_effect_and_outcome_leaves_it_unknown_in_a_file() {
    killed_between_effect_and_outcome(&Kept::InAFile);
}

#[test]
fn a_kill_between_effect_and_outcome_leaves_it_unknown_in_postgresql() {
    killed_between_effect_and_outcome(&Kept::in_postgresql());
}

#[test]
fn a_kill_between_reservation_and_effect_leaves_it_unknown_in_a_file() {
    killed_between_reservation_and_effect(&Kept::InAFile);
}

#[test]
fn a_kill_between_reservation_and_effect_leaves_it_unknown_in_postgresql() {
    killed_between_reservation_and_effect(&Kept::in_postgresql());
}

#[test]
fn a_store_that_dies_during_an_effect_is_told_of_its_end_once_it_is_back() {
    let mut postgres = Postgres::start();
    let url = postgres.schema();
    let alerts = alerts();
    let backend = Recorder::before(alerts.address());
    let (machine, mut session, id) = confirmed(&backend, &Kept::InPostgresql(url.clone()));
    let hold = backend.hold("POST", "/");
    let call = session.start_call("run_approved", json!({ "approval": id }));
    hold.wait_arrived(DEADLINE);
    postgres.crash();
    hold.release();
    let ran = session.answer(call);
    assert!(ran.structured()["outcome"].as_str().is_some_and(|it| it.starts_with("silenced")), "{}", ran.0);
    let refused = session.call("run_approved", json!({ "approval": id }));
    assert_eq!(refused.structured()["error"], "approvals_unavailable", "{}", refused.0);
    assert_eq!(effects(&backend), 1);
    postgres.restart();
    let (_, schema) = url.rsplit_once("%3D").expect("a schema");
    assert_eq!(postgres.query(&format!("SELECT state FROM {schema}.approval")), "reserved");
    let refused = session.call("run_approved", json!({ "approval": id }));
    assert!(refused.text().contains("carried out already"), "{}", refused.0);
    assert_eq!(machine.shown(&id)["state"], "consumed");
    assert_eq!(effects(&backend), 1);
    assert!(session.leave().success());
    machine.home.run(["audit", "verify"]).expect(0);
}
