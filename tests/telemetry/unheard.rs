//! Where nobody listens, where nobody is to listen, and who does not decide about that.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::json;
use testkit::{
    DEADLINE,
    backends::{Behaviour, OtlpTap, Recorder},
    free_address,
    mcp::Version,
    wait_until,
};

use crate::{
    called, says,
    stage::{Client, Stage, WINDOW},
    to,
};

/// Longest that a server takes to leave, whatever the receiver does.
const LEAVES: Duration = Duration::from_secs(8);

#[test]
fn a_receiver_that_does_not_answer_or_is_not_there_is_in_no_calls_way() {
    let hangs = Recorder::alone();
    let _hold = hangs.hold("POST", "/");
    let refuses = Recorder::alone();
    refuses.on("*", "/", Behaviour::json(503, "{}"));
    for url in [hangs.url(), refuses.url(), format!("http://{}", free_address())] {
        let stage = Stage::new(&to(&url));
        let mut client = stage.lines(Version::V2025_11_25);
        for _ in 0..20 {
            let answer = client.call("list_commits", json!({ "window": WINDOW }), None);
            assert!(!answer.is_error(), "{}", answer.text());
        }
        let Client::Lines(mut session) = client else { panic!("they are lines") };
        if url == hangs.url() {
            wait_until("a request to hang", DEADLINE, || (!hangs.requests().is_empty()).then_some(()));
            assert!(!session.call("list_commits", json!({ "window": WINDOW })).is_error());
        }
        let leaving = Instant::now();
        session.close_stdin();
        assert!(session.wait().success());
        assert!(leaving.elapsed() < LEAVES, "{:?}", leaving.elapsed());
        // What it wrote last may still be on its way here.
        wait_until("the loss to be said", DEADLINE, || {
            let said = session.errors();
            let lost = ["telemetry was lost", "left before all telemetry"];
            lost.iter().any(|it| said.contains(it)).then_some(())
        });
        stage.home.run(["audit", "verify"]).expect(0);
    }
}

#[test]
fn nothing_is_there_and_nobody_is_told_unless_it_is_configured() {
    let (elsewhere, usual) = (Recorder::alone(), TcpListener::bind("127.0.0.1:4318").ok());
    let stage = Stage::new("").variable("OTEL_EXPORTER_OTLP_ENDPOINT", elsewhere.url());
    let stage = stage.variable("OTEL_SERVICE_NAME", "somebody");
    let mut client = stage.lines(Version::V2025_11_25);
    assert!(!client.call("list_commits", json!({ "window": WINDOW }), None).is_error());
    client.call("query_metrics", json!({ "query": "up" }), None);
    assert!(stage.prometheus.requests().iter().all(|it| it.header("traceparent").is_none()));
    let Client::Lines(session) = client else { panic!("they are lines") };
    assert_eq!(exporting_threads(session.id()), Vec::<String>::new());
    assert!(session.leave().success());
    assert_eq!(elsewhere.requests().len(), 0);
    if let Some(usual) = usual {
        usual.set_nonblocking(true).expect("a socket can be asked so");
        assert!(usual.accept().is_err(), "somebody came to the usual port");
    }
}

#[test]
fn the_environment_changes_nothing_of_what_is_told() {
    let (tap, elsewhere) = (OtlpTap::start(), Recorder::alone());
    let between = Recorder::before(tap.address());
    let mut stage = Stage::new(&to(&between.url()));
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", elsewhere.url()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-stolen=1".to_owned()),
        ("OTEL_SERVICE_NAME", "somebody".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "who=somebody".to_owned()),
        ("OTEL_TRACES_SAMPLER", "always_off".to_owned()),
        ("OTEL_SDK_DISABLED", "true".to_owned()),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1".to_owned()),
        ("HTTP_PROXY", elsewhere.url()),
    ] {
        stage = stage.variable(name, value);
    }
    let mut client = stage.lines(Version::V2025_11_25);
    client.call("list_commits", json!({ "window": WINDOW }), None);
    let span = called(&tap, "list_commits");
    says(&span, &[("bailiwick.decision", json!("allow")), ("bailiwick.ended", json!("ok"))]);
    let Client::Lines(session) = client else { panic!("they are lines") };
    assert!(!exporting_threads(session.id()).is_empty(), "so the other test looks for the right ones");
    assert!(session.leave().success());
    assert!(
        between.requests().iter().all(|it| it.header("x-stolen").is_none() && !it.body.contains("somebody"))
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn doctor_says_whether_the_receiver_takes_what_it_is_told() {
    let tap = OtlpTap::start();
    let told = |url: &str, code| {
        let said = Stage::new(&to(url)).home.run(["doctor", "--json"]).expect(code).json();
        let checks = said["checks"].as_array().expect("a list").clone();
        checks.into_iter().find(|it| it["kind"] == "telemetry").expect("it was looked at")
    };
    // The stage's Prometheus is broken too.
    assert_eq!(told(&tap.url(), 1)["broken"], false);
    let refuses = Recorder::alone();
    refuses.on("*", "/", Behaviour::json(401, "{}"));
    let refused = told(&refuses.url(), 1);
    assert_eq!(refused["broken"], true);
    assert!(refused["found"].as_str().is_some_and(|it| it.contains("HTTP 401")), "{refused}");
    assert!(tap.spans().is_empty(), "nothing is told by asking");
}

/// Threads of a process that exist for telemetry.
fn exporting_threads(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let names = threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
    names.filter(|it| it.starts_with("OpenTelemetry")).collect()
}
