//! What clients see. `UPDATE_EXPECT=1 cargo test -p observability` accepts a change.

use std::{net::SocketAddr, sync::Arc};

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::json;
use testkit::{
    Answered,
    backends::{Alert, Alertmanager, Prometheus, incident_history},
    call_through, contract_showing, examples_parse,
};

/// When the history on the page ends: 2026-01-31T12:00:00Z.
const END: i64 = 1_769_860_800;
const WINDOW: &str = "2026-01-31T11:00:00Z/2026-01-31T12:00:00Z";

/// With answers about a fixed hour. What is about this moment is another in every run.
#[tokio::test]
async fn clients_see_what_they_saw() {
    let prometheus = Prometheus::start(incident_history(END));
    let failing = "sum by (service) (rate(http_requests_total{code=\"500\"}[5m]))";
    let calls = [
        ("find_signals", json!({ "window": WINDOW })),
        ("query_metrics", json!({ "query": failing, "window": WINDOW })),
        ("query_metrics", json!({ "query": "http_request_total", "window": "2026-01-31T12:00:00Z" })),
    ];
    let mut answers = Vec::new();
    for (tool, arguments) in calls {
        let backends = backends(prometheus.address(), SocketAddr::from(([127, 0, 0, 1], 9)));
        let reply = call_through(tools::all(), backends, tool, arguments.clone()).await;
        assert!(reply.refusal.is_none(), "{tool} {arguments}: {}", reply.shaped.text);
        answers.push(Answered { tool, arguments, text: reply.shaped.text });
    }
    let tools = tools::all();
    let definitions: Vec<_> = tools.iter().map(|it| &it.definition).collect();
    let page = contract_showing("observability", &definitions, &answers);
    expect_test::expect_file!["contract.md"].assert_eq(&page);
}

#[test]
fn every_example_parses_and_names_what_it_touches() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let bound: Vec<_> = tools::all().into_iter().map(|it| it.bind(backends(nobody, nobody))).collect();
    examples_parse(&bound);
}

#[tokio::test]
async fn a_real_answer_fits_the_published_schema_and_a_dry_run_has_no_effect() {
    let rules =
        "groups: [{ name: shop, interval: 1s, rules: [{ alert: HighErrorRate, expr: \"up == 0\" }] }]\n";
    let history = incident_history(Prometheus::now());
    let prometheus = Prometheus::configured(history, "global: { scrape_interval: 1h }\n", rules);
    let alertmanager = Alertmanager::start(Alertmanager::CONFIG);
    alertmanager.push(&[Alert::new("HighErrorRate").label("service", "checkout-api")]);
    let silence = |dry_run: bool| {
        json!({
            "matchers": ["alertname=\"HighErrorRate\"", "service=\"checkout-api\""],
            "duration_minutes": 60, "reason": "known, rolling back", "dry_run": dry_run,
        })
    };
    let rates = "sum by (service) (rate(http_requests_total[5m]))";
    let calls = [
        ("query_metrics", json!({ "query": rates })),
        ("query_metrics", json!({ "query": rates, "window": "6h" })),
        ("list_alerts", json!({})),
        ("explain_alert", json!({ "alert": "HighErrorRate" })),
        ("list_targets", json!({})),
        (
            "show_slo",
            json!({ "good": "http_requests_total{code!~\"5..\"}", "total": "http_requests_total", "objective": "99.9" }),
        ),
        ("silence_alert", silence(true)),
        ("silence_alert", silence(false)),
    ];
    for (tool, arguments) in calls {
        let backends = backends(prometheus.address(), alertmanager.address());
        let reply = call_through(tools::all(), backends, tool, arguments.clone()).await;
        assert!(reply.refusal.is_none(), "{tool} {arguments}: {}", reply.shaped.text);
        assert_eq!(alertmanager.silences().len(), usize::from(reply.effect), "{tool} {arguments}");
    }
}

fn backends(prometheus: SocketAddr, alertmanager: SocketAddr) -> Arc<Backends> {
    let connections = [
        connection("metrics", System::Prometheus, prometheus),
        connection("alerts", System::Alertmanager, alertmanager),
    ];
    Arc::new(Backends::new(&connections).expect("the connections are usable"))
}

fn connection(name: &str, system: fn(Http) -> System, address: SocketAddr) -> Connection {
    let http = Http::plain(format!("http://{address}").parse().expect("an address makes a URL"));
    Connection {
        name: name.to_owned(),
        environment: "production".to_owned(),
        region: "unknown".to_owned(),
        team: "checkout".to_owned(),
        tier: "unknown".to_owned(),
        system: system(http),
    }
}
