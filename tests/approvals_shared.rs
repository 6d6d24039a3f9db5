//! One store of approvals for several machines: what is asked for on one is agreed to on another and runs on any of them, once.

mod approvals_stage;

use approvals_stage::{Kept, Machine, alerts, effects, silence};
use serde_json::{Value, json};
use testkit::{
    backends::Postgres,
    cli::Home,
    mcp::{Session, Version},
};

#[test]
fn what_is_asked_for_on_one_machine_is_confirmed_on_another_and_runs_once_on_either() {
    let (backend, kept) = (alerts(), Kept::in_postgresql());
    let (one, other) = (Machine::asking(&backend, &kept), Machine::asking(&backend, &kept));
    let id = one.asked(30);
    let joined = other.silence(30).expect(4).json();
    assert_eq!(joined["error"]["approval"], json!(id), "the same call from another machine joins");
    other.home.run(["approvals", "confirm", &id]).expect(0);
    let mut sessions = [&one, &other, &one].map(|it| it.home.serve(&["observability"], Version::V2026_07_28));
    let calls: Vec<(usize, u64)> = (0..32)
        .map(|at| (at % 3, sessions[at % 3].start_call("run_approved", json!({ "approval": id }))))
        .collect();
    let mut answers = calls.into_iter().map(|(at, call)| sessions[at].answer(call)).collect::<Vec<_>>();
    let ran = answers.iter().filter(|it| !it.is_error()).count();
    assert_eq!((ran, effects(&backend)), (1, 1), "{}", answers.pop().expect("32 of them").0);
    for machine in [&one, &other] {
        let shown = machine.shown(&id);
        assert_eq!(shown["state"], "consumed", "{shown}");
        machine.home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn an_order_to_stop_holds_at_once_on_every_machine() {
    let (backend, kept) = (alerts(), Kept::in_postgresql());
    let (one, other) = (Machine::allowing(&backend, &kept), Machine::allowing(&backend, &kept));
    let mut session = other.home.serve(&["observability"], Version::V2026_07_28);
    let call = |session: &mut Session, minutes| session.call("silence_alert", silence(minutes));
    assert!(!call(&mut session, 30).is_error());
    one.home.run(["stop", "--reason", "the agent silences everything"]).expect(0);
    let refused = call(&mut session, 31);
    assert_eq!(refused.structured()["error"], "stopped", "{}", refused.0);
    assert_eq!(effects(&backend), 1);
    assert!(!session.call("list_alerts", json!({})).is_error(), "reads go on");
}

#[test]
fn calls_on_several_machines_count_together_against_a_limit() {
    let (backend, kept) = (alerts(), Kept::in_postgresql());
    let policy = "[policy]\nallow = [\"silence_alert\"]\nlimits = [\"silence_alert 10 per hour\"]";
    let machines = [Machine::new(policy, &backend, &kept), Machine::new(policy, &backend, &kept)];
    let mut sessions = machines.each_ref().map(|it| it.home.serve(&["observability"], Version::V2026_07_28));
    let calls: Vec<(usize, u64)> = (0..32_usize)
        .map(|at| (at % 2, sessions[at % 2].start_call("silence_alert", silence(at as u64 + 1))))
        .collect();
    let ran = calls.into_iter().filter(|(at, call)| !sessions[*at].answer(*call).is_error()).count();
    assert_eq!((ran, effects(&backend)), (10, 10));
}

#[test]
fn a_store_that_cannot_be_used_refuses_effects_and_its_password_is_told_to_nobody() {
    let (backend, kept) = (alerts(), Kept::in_postgresql());
    let good = Postgres::shared().url();
    let elsewhere = testkit::free_address().to_string();
    let wrong = [
        good.replace(Postgres::PASSWORD, "not-the-password"),
        good.replace(&Postgres::shared().address().to_string(), &elsewhere),
        good.replace("postgres://", "mysql://"),
        // What its driver does not know it would put into the log.
        format!("{good}?pasword=not-the-password"),
    ];
    for address in wrong {
        let machine = Machine::asking(&backend, &kept).with_store(&address);
        let ended = machine.silence(30);
        let listed = machine.home.run(["approvals", "list"]);
        assert_eq!(ended.json()["error"]["error"], "approvals_unavailable", "{ended:#?}");
        assert_ne!(listed.code, Some(0), "{listed:#?}");
        let (code, store) = machine.doctor();
        assert_eq!((code, &store["broken"]), (Some(1), &json!(true)), "{store}");
        let log = machine.home.run(["audit", "tail", "--json", "-n", "100"]).stdout;
        let told =
            [ended.stdout, ended.stderr, listed.stdout, listed.stderr, store.to_string(), log].concat();
        for password in [Postgres::PASSWORD, "not-the-password"] {
            assert!(!told.contains(password), "{told}");
        }
    }
    assert_eq!(effects(&backend), 0);
    let unset = Home::new(env!("CARGO_BIN_EXE_bailiwick"))
        .config("[approvals]\nstore = { env = \"APPROVALS_DATABASE_URL\" }\n");
    let refused = unset.run(["approvals", "list"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("APPROVALS_DATABASE_URL"), "{refused:#?}");
}

#[test]
fn doctor_says_how_the_store_stands_and_makes_nothing() {
    let backend = alerts();
    for kept in [Kept::InAFile, Kept::in_postgresql()] {
        let machine = Machine::asking(&backend, &kept);
        let says = |word: &str| {
            let (code, store) = machine.doctor();
            assert_eq!((code, &store["broken"]), (Some(0), &json!(false)), "{kept:?}: {store}");
            assert!(store["found"].as_str().is_some_and(|it| it.contains(word)), "{kept:?}: {store}");
        };
        says("holds nothing yet");
        says("holds nothing yet");
        machine.asked(30);
        says("its tables are current");
    }
    let unknown = format!("{}?pasword=x", Postgres::shared().url());
    let (_, store) = Machine::asking(&backend, &Kept::in_postgresql()).with_store(&unknown).doctor();
    assert!(store["found"].as_str().is_some_and(|it| it.contains("unknown parameter `pasword`")), "{store}");
}

#[test]
fn terms_out_of_their_range_are_refused_by_name_and_the_schema_has_them() {
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let schema = home.run(["config", "schema"]).expect(0).json();
    let keys = schema["$defs"]["Approvals"]["properties"].as_object().expect("the table is there").clone();
    assert_eq!(
        keys.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "store",
            "approve_within",
            "execute_within",
            "approvals_per_hour",
            "break_glass_max",
            "review_within",
            "notify",
            "page"
        ]
    );
    let mut home = home;
    for (key, wrong) in [
        ("approve_within", json!("0m")),
        ("approve_within", json!("2d")),
        ("approve_within", json!("soon")),
        ("approve_within", json!("-5m")),
        ("execute_within", json!("59s")),
        ("execute_within", json!("5h")),
        ("break_glass_max", json!("59s")),
        ("break_glass_max", json!("5h")),
        ("review_within", json!("31d")),
        ("approvals_per_hour", json!(0)),
        ("approvals_per_hour", json!(1001)),
        ("approvals_per_hour", Value::from("many")),
        ("store", json!("postgres://someone:hunter2@db.example/approvals")),
    ] {
        home = home.config(&format!("[approvals]\n{key} = {wrong}\n"));
        let refused = home.run(["approvals", "list"]);
        assert_ne!(refused.code, Some(0), "{key} = {wrong}");
        assert!(refused.stderr.contains(&format!("approvals.{key}")), "{key} = {wrong}: {}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
}
