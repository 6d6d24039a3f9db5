//! What the finding tools tell of far too much: within 2,000 tokens, through the whole gate.

use std::sync::Arc;

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::{Map, Value, json};
use testkit::{
    backends::{Prometheus, incident_history},
    call_through, tokens,
};

async fn told(prometheus: &Prometheus, tool: &str, arguments: Value) -> Map<String, Value> {
    let http = Http::plain(prometheus.url().parse().expect("an address makes a URL"));
    let unknown = || "unknown".to_owned();
    let connection = Connection {
        name: "prod".to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Prometheus(Http { timeout_ms: 20_000, ..http }),
    };
    let backends = Arc::new(Backends::new(&[connection]).expect("the connection is usable"));
    let reply = call_through(tools::all(), backends, tool, arguments).await;
    assert!(reply.refusal.is_none(), "{}", reply.shaped.text);
    let structured = reply.shaped.structured;
    let costs = [tokens(&reply.shaped.text), tokens(&Value::Object(structured.clone()).to_string())];
    assert!(costs.iter().all(|it| *it <= 2_000), "{costs:?}");
    structured
}

#[tokio::test]
async fn of_seven_thousand_series_the_one_that_moved_beside_an_incident() {
    let end = Prometheus::now();
    let mut history = incident_history(end);
    for at in 0..7_000 {
        let labels = format!(r#"job="app",service="s{}",pod="p{}""#, at % 7, at / 7);
        let value = |now: i64| f64::from(at % 50) + if at == 4_242 && now > end - 1_500 { 70.0 } else { 0.0 };
        let times = (end - 10_800..=end).step_by(300);
        history = history.gauge("connections_open", labels, times.map(|it| (it, value(it))));
    }
    let prometheus = Prometheus::start(history);
    let answer = told(&prometheus, "find_signals", json!({})).await;
    let rows = answer["rows"].as_array().expect("rows");
    let row = |metric: &str, at: &str| {
        rows.iter().any(|it| it[0] == metric && it[1].as_str().is_some_and(|it| it.contains(at)))
    };
    assert!(row("connections_open", "pod=p606"), "{answer:?}");
    assert!(row("http_requests_total failed share", "service=checkout-api"), "{answer:?}");
    let answer = told(&prometheus, "find_metrics", json!({})).await;
    assert_eq!(answer["rows"][0][0], "connections_open");
    assert_eq!(answer["rows"][0][2], 7_000);
}
