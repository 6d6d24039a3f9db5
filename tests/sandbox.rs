//! The sandbox cannot be told from the real systems: the tools of an agent read it, and what they do there is seen.

#![cfg(feature = "demo")]

use sandbox::{Fault, Plan, Sandbox};
use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    cli::Home,
    mcp::{Session, Version},
    wait_until,
};
use tokio::runtime::Runtime;

/// A sandbox and a home whose configuration knows it.
struct Stage {
    sandbox: Sandbox,
    home: Home,
    _running: Runtime,
}

impl Stage {
    fn start(fault: Fault) -> Stage {
        let running = Runtime::new().expect("a runtime");
        let sandbox =
            running.block_on(Sandbox::start(Plan::with(7, fault))).expect("loopback has free ports");
        let config = format!(
            "[policy]\nallow = [\"*\", \"silence_alert\"]\n\
             [connections.metrics]\nkind = \"prometheus\"\nurl = \"{}\"\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            sandbox.prometheus_url(),
            sandbox.alertmanager_url()
        );
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config);
        Stage { sandbox, home, _running: running }
    }

    fn serve(&self) -> Session {
        self.home.serve(&["observability"], Version::V2025_11_25)
    }
}

fn told(session: &mut Session, tool: &str, arguments: Value) -> Value {
    let answer = session.call(tool, arguments.clone());
    assert!(!answer.is_error(), "{tool} {arguments}: {}", answer.text());
    answer.structured()
}

fn rows(answer: &Value) -> &[Value] {
    answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn an_agent_reads_the_sandbox_with_the_tools_of_production() {
    let stage = Stage::start(Fault::BadDeploy);
    let place = stage.sandbox.world().truth().place.clone();
    let mut session = stage.serve();
    let errors = "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m])) / sum by (service) (rate(http_requests_total[5m])) > 0.03";
    let failing = told(&mut session, "query_metrics", json!({ "query": errors }));
    assert!(failing.to_string().contains(&place), "{place}: {failing}");
    let over_time = told(
        &mut session,
        "query_metrics",
        json!({ "query": "sum by (service) (rate(http_requests_total[5m]))", "window": "3h" }),
    );
    assert!(rows(&over_time).len() >= 10, "{over_time}");
    let alerts = told(&mut session, "list_alerts", json!({}));
    assert!(alerts.to_string().contains("ErrorRatioHigh") && alerts.to_string().contains(&place), "{alerts}");
    let wrong = session.call("query_metrics", json!({ "query": "rate(nothing_at_all)" }));
    assert!(wrong.is_error(), "{}", wrong.text());
}

#[test]
fn a_silence_changes_what_is_read_next() {
    let stage = Stage::start(Fault::PoolSaturation);
    let mut session = stage.serve();
    let silenced = |session: &mut Session| {
        let answer = told(session, "list_alerts", json!({ "state": "silenced" }));
        answer["seen"].as_u64().unwrap_or_default()
    };
    assert_eq!(silenced(&mut session), 0);
    let silence = json!({
        "matchers": ["alertname=\"ConnectionPoolSaturated\""],
        "duration_minutes": 30,
        "reason": "the pool is being looked at",
    });
    let made = told(&mut session, "silence_alert", silence);
    assert!(made["silence"].is_string(), "{made}");
    assert_eq!(silenced(&mut session), 1);
}

#[test]
fn a_sandbox_that_is_dropped_no_longer_listens() {
    let stage = Stage::start(Fault::MemoryLeak);
    let address = stage.sandbox.prometheus_url();
    let address = address.trim_start_matches("http://").parse().expect("an address");
    assert_eq!(testkit::http::get(address, "/-/ready").expect("answers").status, 200);
    drop(stage);
    wait_until("the port to be closed", DEADLINE, || testkit::http::get(address, "/-/ready").err());
}
