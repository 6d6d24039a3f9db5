//! Other stores that speak the API of Prometheus: a real VictoriaMetrics, behind a path prefix.

use std::sync::{Arc, LazyLock};

use config::{Connection, Http, System};
use observability::{Backends, tools};
use serde_json::{Map, Value, json};
use testkit::{
    backends::{Prometheus, VictoriaMetrics, incident_history},
    call_through,
};

/// The incident, with an alert that somebody else's rules fired.
static STORE: LazyLock<VictoriaMetrics> = LazyLock::new(|| {
    let end = Prometheus::now();
    let fired = (end - 7_200..=end - 3_600).step_by(30).map(|it| (it, 1.0));
    let labels = r#"alertname="HighErrorRate",alertstate="firing",service="checkout-api""#;
    VictoriaMetrics::start(incident_history(end).gauge("ALERTS", labels, fired))
});

async fn told(tool: &str, arguments: Value) -> Map<String, Value> {
    told_by(&format!("{}/prometheus", STORE.url()), tool, arguments).await
}

async fn told_by(url: &str, tool: &str, arguments: Value) -> Map<String, Value> {
    let unknown = || "unknown".to_owned();
    let connection = Connection {
        name: "store".to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Prometheus(Http::plain(url.parse().expect("an address makes a URL"))),
    };
    let backends = Arc::new(Backends::new(&[connection]).expect("the connection is usable"));
    let reply = call_through(tools::all(), backends, tool, arguments).await;
    assert!(reply.refusal.is_none(), "{}", reply.shaped.text);
    reply.shaped.structured
}

#[tokio::test]
async fn values_and_courses_are_read_and_what_is_not_there_is_explained() {
    let errors = "sum by (service) (rate(http_requests_total{code=\"500\"}[5m]))";
    let now = told("query_metrics", json!({ "query": errors })).await;
    assert_eq!((&now["seen"], &now["rows"][0][0]), (&json!(6), &json!("service=checkout-api")), "{now:?}");
    let past = told("query_metrics", json!({ "query": errors, "window": "6h" })).await;
    assert_eq!(past["rows"][0][0], "service=checkout-api", "{past:?}");
    let none = told("query_metrics", json!({ "query": "http_request_total" })).await;
    assert!(none["notes"][0].as_str().is_some_and(|it| it.contains("http_requests_total")), "{none:?}");
}

#[tokio::test]
async fn a_store_without_rules_still_tells_when_an_alert_fired() {
    let told = told("explain_alert", json!({ "alert": "HighErrorRate" })).await;
    assert!(told["verdict"].as_str().is_some_and(|it| it.contains("only its past is known")), "{told:?}");
    assert!(told["history"][0].as_str().is_some_and(|it| it.starts_with("fired once")), "{told:?}");
}

#[tokio::test]
async fn a_store_that_scrapes_nothing_tells_of_what_it_was_sent() {
    let told = told("list_targets", json!({})).await;
    let row = &told["rows"][0];
    assert_eq!([&row[0], &row[1], &row[2]], [&json!("app"), &json!("up"), &json!(18)], "{told:?}");
    assert!(told["notes"][0].as_str().is_some_and(|it| it.contains("read from the series `up`")), "{told:?}");
}

#[tokio::test]
async fn what_moved_is_found_the_same_without_types_of_metrics() {
    let end = Prometheus::now();
    let window = jiff::Timestamp::from_second(end - 3_600)
        .and_then(|from| Ok(format!("{from}/{}", jiff::Timestamp::from_second(end)?)));
    let asked = json!({ "window": window.expect("moments of now") });
    let prometheus = Prometheus::start(incident_history(end));
    let store = VictoriaMetrics::start(incident_history(end));
    let first = told_by(&prometheus.url(), "find_signals", asked.clone()).await;
    let other = told_by(&store.url(), "find_signals", asked).await;
    let signals = |it: &Map<String, Value>| -> Vec<Value> {
        let rows = it["rows"].as_array().expect("rows").iter();
        rows.map(|it| json!([it[0], it[4]])).collect()
    };
    // Which of three pods that moved alike speaks for them hangs on the last digits.
    assert_eq!(signals(&first), signals(&other), "signal and onset");
    let events = |it: &Map<String, Value>, what: &str| -> Vec<(String, String)> {
        let events = it["events"].as_array().expect("events").iter().filter_map(Value::as_str);
        let event = events.filter_map(|it| it.split_once(' ')).filter(|it| it.1.starts_with(what));
        event.map(|it| (it.0.to_owned(), it.1.to_owned())).collect()
    };
    assert_eq!(events(&first, "new"), events(&other, "new"));
    // A value is good for five minutes there, and here for as long as it usually takes until the next.
    let [(late, version), (early, same)] = [&first, &other].map(|it| events(it, "gone").remove(0));
    assert!(version == same && version.contains("version=v1") && early != late, "{early} {same}, {late}");
    assert!(first["rows"].to_string().contains("http_requests_total failed share"), "{first:?}");
}

#[tokio::test]
async fn metrics_are_found_with_the_kind_that_their_names_tell_and_no_help() {
    let found = told("find_metrics", json!({ "words": "request duration" })).await;
    assert_eq!(found["rows"][0][0], "http_request_duration_seconds_bucket", "{found:?}");
    let found = told("find_metrics", json!({ "words": "requests" })).await;
    let row = &found["rows"][0];
    assert_eq!([&row[0], &row[1], &row[2]], [&json!("http_requests_total"), &json!("counter"), &json!(36)]);
    assert!(
        row[3].as_str().is_some_and(|it| it.contains("service (6): cart-api")) && row[4].is_null(),
        "{row}"
    );
    let found = told("find_metrics", json!({ "scope": ["service=\"cart-api\""], "words": "memory" })).await;
    assert_eq!((&found["seen"], &found["rows"][0][2]), (&json!(1), &json!(3)), "{found:?}");
}

#[tokio::test]
async fn a_rule_that_another_program_evaluates_for_the_store_is_explained() {
    let ratio = "sum by (service) (rate(http_requests_total{code=\"500\"}[5m])) / \
                 sum by (service) (rate(http_requests_total[5m]))";
    let rules = format!(
        "groups: [{{ name: shop, interval: 1s, rules: [{{ alert: HighErrorRate, expr: '{ratio} > 0.05', \
         labels: {{ severity: critical }}, annotations: {{ runbook_url: 'https://runbooks.example.com/errors' }} }}] }}]\n"
    );
    let store = VictoriaMetrics::with_rules(incident_history(Prometheus::now()), &rules);
    let told = told_by(&store.url(), "explain_alert", json!({ "alert": "HighErrorRate" })).await;
    assert_eq!((&told["verdict"], &told["seen"]), (&json!("1 firing"), &json!(1)), "{told:?}");
    // It gives every alert the name of its group.
    let alert = told["alerts"][0].as_str().unwrap_or_default();
    assert!(alert.ends_with("alertgroup=shop,service=checkout-api"), "{alert}");
    assert_eq!(told["runbook"], "https://runbooks.example.com/errors");
    let condition = &told["rows"][0];
    assert_eq!((&condition[2], &condition[4]), (&json!("1 of 6 series"), &json!(0.05)), "{condition}");
    assert!(condition[3].as_f64().is_some_and(|it| (0.24..0.26).contains(&it)), "{condition}");
}

#[tokio::test]
async fn budgets_burn_the_same() {
    let counters = json!({
        "good": "http_requests_total{code!~\"5..\"}", "total": "http_requests_total",
        "objective": "99.9", "by": "service",
    });
    let told = told("show_slo", counters).await;
    let worst = &told["rows"][0];
    assert_eq!(
        (&worst[0], &worst[2]),
        (&json!("service=checkout-api"), &json!("page: ≥ 14.4 over 1h and 5m"))
    );
    assert!(worst[3].as_f64().is_some_and(|it| (200.0..300.0).contains(&it)), "{worst}");
}
