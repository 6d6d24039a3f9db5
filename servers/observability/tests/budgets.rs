//! What is still told when there is far too much: within 2,000 tokens, through the whole gate.

use std::{net::SocketAddr, sync::Arc};

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::{Map, Value, json};
use testkit::{
    backends::{Alert, Alertmanager, History, Prometheus},
    call_through, tokens,
};

fn backends(address: SocketAddr, system: fn(Http) -> System) -> Arc<Backends> {
    let http = Http::plain(format!("http://{address}").parse().expect("an address makes a URL"));
    let unknown = || "unknown".to_owned();
    let connection = Connection {
        name: "prod".to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: system(http),
    };
    Arc::new(Backends::new(&[connection]).expect("the connection is usable"))
}

async fn told(backends: Arc<Backends>, tool: &str, arguments: Value) -> Map<String, Value> {
    let reply = call_through(tools::all(), backends, tool, arguments).await;
    assert!(reply.refusal.is_none(), "{}", reply.shaped.text);
    let structured = reply.shaped.structured;
    let costs = [tokens(&reply.shaped.text), tokens(&Value::Object(structured.clone()).to_string())];
    assert!(costs.iter().all(|it| *it <= 2_000), "{costs:?}");
    structured
}

#[tokio::test]
async fn of_seven_thousand_series_the_outlier_the_spread_and_the_label_behind_it() {
    let end = Prometheus::now();
    let history = (0..7_000).fold(History::new(), |history, at| {
        let labels = format!(r#"job="app",service="s{}",pod="p{}""#, at % 7, at / 7);
        let value = f64::from(at % 7 * 100 + at / 7 % 50) + if at == 4_242 { 99_000.0 } else { 0.0 };
        history.gauge("connections_open", labels, [(end, value)])
    });
    let prometheus = Prometheus::start(history);
    let backends = backends(prometheus.address(), System::Prometheus);
    let told = told(backends, "query_metrics", json!({ "query": "connections_open" })).await;
    assert_eq!(told["seen"], 7_000);
    assert_eq!(told["rows"][0], json!(["pod=p606,service=s0", 99_000 + 6, "top"]));
    let rows = told["rows"].as_array().expect("rows");
    assert!(rows.iter().any(|it| it[2] == "bottom"), "{told:?}");
    assert!(told["notes"][0].as_str().is_some_and(|it| it.contains("p50 325")), "{told:?}");
    assert_eq!(told["notes"][1], "by service");
}

#[tokio::test]
async fn of_sixty_series_over_six_hours_the_one_that_moved() {
    let end = Prometheus::now();
    let history = (0..60).fold(History::new(), |history, at| {
        let value = move |now: i64| match at {
            17 if now > end - 2_400 => 90.0,
            _ => 10.0 + f64::from(at) / 10.0 + ((now / 600 + i64::from(at)) % 3) as f64,
        };
        let points = (end - 21_600..=end).step_by(60).map(|it| (it, value(it)));
        history.gauge("queue_length", format!(r#"job="app",pod="pod-{at}""#), points)
    });
    let prometheus = Prometheus::start(history);
    let backends = backends(prometheus.address(), System::Prometheus);
    let told = told(backends, "query_metrics", json!({ "query": "queue_length", "window": "6h" })).await;
    assert_eq!(told["seen"], 60);
    assert_eq!((&told["rows"][0][0], &told["rows"][0][2]), (&json!("pod=pod-17"), &json!(90)));
    assert!(told["rows"].as_array().is_some_and(|it| it.len() >= 8), "{told:?}");
}

#[tokio::test]
async fn of_five_hundred_alerts_the_critical_ones() {
    let alertmanager = Alertmanager::start(Alertmanager::CONFIG);
    let mut alerts: Vec<Alert> = (0..490)
        .map(|at| {
            let alert = Alert::new(&format!("Noise{:02}", at % 49)).label("severity", "warning");
            alert.label("pod", at.to_string()).annotation("summary", "Slower than it was yesterday")
        })
        .collect();
    alerts.extend((0..10).map(|at| {
        let alert =
            Alert::new("HighErrorRate").label("severity", "critical").label("service", "checkout-api");
        alert.label("pod", at.to_string()).annotation("summary", "More than 5% of requests fail")
    }));
    alertmanager.push(&alerts);
    let told = told(backends(alertmanager.address(), System::Alertmanager), "list_alerts", json!({})).await;
    assert_eq!(told["seen"], 50);
    assert_eq!((&told["rows"][0][0], &told["rows"][0][2]), (&json!("HighErrorRate"), &json!(10)));
    assert!(told["rows"].as_array().is_some_and(|it| it.len() >= 8), "{told:?}");
    assert_eq!(told["next"]["arguments"]["max_tokens"], 8_000);
}

#[tokio::test]
async fn of_two_thousand_targets_the_one_that_is_down() {
    let end = Prometheus::now();
    let history = (0..2_000).fold(History::new(), |history, at| {
        let labels = format!(r#"job="job-{}",instance="10.0.{}.{}:9100""#, at % 40, at / 250, at % 250);
        history.gauge("up", labels, [(end, if at == 1_234 { 0.0 } else { 1.0 })])
    });
    let prometheus = Prometheus::start(history);
    let told = told(backends(prometheus.address(), System::Prometheus), "list_targets", json!({})).await;
    assert_eq!(told["seen"], 41);
    let first = &told["rows"][0];
    assert_eq!(
        [&first[0], &first[1], &first[2], &first[3]],
        [&json!("job-34"), &json!("down"), &json!(1), &json!(50)]
    );
    assert_eq!(first[6], "10.0.4.234:9100");
    assert!(told["rows"].as_array().is_some_and(|it| it.len() > 30), "{told:?}");
}
