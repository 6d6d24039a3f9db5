//! Against a real Prometheus.

use std::sync::LazyLock;

use config::{Http, System};
use testkit::backends::{Behaviour, Prometheus as Backend, Recorder, incident_history};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

/// When every history here ends.
const END: i64 = 1_769_860_800;

/// The incident, a large metric in which one series moved, a pool that fills up to its limit, two teams' queues.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let mut history = incident_history(END);
    let times = || (END - 4 * 3_600..=END).step_by(60);
    for at in 0..7_000 {
        let labels = format!(r#"tier="edge",zone="s{}",pod="p{}""#, at % 7, at / 7);
        let value = |now: i64| f64::from(at % 50) + if at == 4_242 && now > END - 1_500 { 70.0 } else { 0.0 };
        let few = (END - 10_800..=END).step_by(300);
        history = history.gauge("connections_open", labels, few.map(|it| (it, value(it))));
    }
    for pod in ["a", "b"] {
        let labels = format!(r#"tier="pool",pod="{pod}""#);
        let used = |now: i64| match now - (END - 1_800) {
            since if since > 0 && pod == "a" => (5.0 + since as f64 / 60.0).min(20.0),
            _ => 5.0 + (now / 60 % 3) as f64,
        };
        history =
            history.gauge("db_pool_connections_in_use", labels.clone(), times().map(|it| (it, used(it))));
        history = history.gauge("db_pool_connections_max", labels, times().map(|it| (it, 20.0)));
    }
    for team in ["checkout", "other"] {
        let waiting =
            |now: i64| if team == "other" && now > END - 1_200 { 90.0 } else { 3.0 + (now / 60 % 2) as f64 };
        let labels = format!("team=\"{team}\"");
        history = history.gauge("jobs_waiting", labels, times().map(|it| (it, waiting(it))));
    }
    // The same every day at this hour.
    let daily =
        |now: i64| if (END - now).rem_euclid(86_400) < 1_800 { 80.0 } else { 20.0 + (now / 60 % 3) as f64 };
    let days = (END - 90_000..=END).step_by(60);
    history = history.gauge("batch_size", r#"tier="batch""#, days.map(|it| (it, daily(it))));
    Backend::start(history)
});

async fn ask_with(settings: Http, arguments: Value) -> Result<Answer<SignalsFacts>, ToolError> {
    let backends = Backends::new(&[connection("prod", System::Prometheus(settings))]).unwrap();
    let now = Timestamp::from_second(END).unwrap();
    parse::<FindSignals>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

async fn ask(arguments: Value) -> Value {
    shown(&ask_with(http(&BACKEND.url()), arguments).await.unwrap())
}

fn names(answer: &Value) -> Vec<&str> {
    answer["rows"].as_array().unwrap().iter().map(|it| it[0].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_incident_is_told_by_errors_latency_and_memory_and_the_new_version() {
    let answer = ask(json!({ "scope": ["service=\"checkout-api\""] })).await;
    let told = within(&answer, 900);
    let first: Vec<&str> = names(&told).into_iter().take(4).collect();
    for expected in [
        "http_requests_total failed share",
        "http_request_duration_seconds p50",
        "process_resident_memory_bytes",
    ] {
        assert!(first.contains(&expected), "{told}");
    }
    let failed =
        told["rows"].as_array().unwrap().iter().find(|it| it[0] == "http_requests_total failed share");
    let failed = failed.unwrap();
    assert!(failed[2].as_f64() < Some(0.01) && failed[3].as_f64() > Some(0.2), "{failed}");
    assert!(failed[4].as_str().unwrap().starts_with("11:2"), "40 minutes before the end: {failed}");
    assert!(told["events"].to_string().contains("new app_build_info"), "{told}");
    assert!(told["events"].to_string().contains("version=v2"), "{told}");
    assert_eq!(told["notes"][0], "all of these: job=app,service=checkout-api");
}

#[tokio::test]
async fn a_quiet_service_accuses_nothing_and_says_how_much_was_compared() {
    let answer = ask(json!({ "scope": ["service=\"cart-api\""] })).await;
    assert_eq!(answer["seen"], 0, "{answer}");
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("nothing moved: ") && verdict.contains(" measures of 17 series"),
        "{verdict}"
    );
    let answer = ask(json!({ "scope": ["service=\"none\""] })).await;
    assert_eq!(answer["verdict"], "nothing to compare: no series meet `scope` in that time");
    let answer = ask(json!({ "scope": ["service=\"cart-api\""], "baseline": "last_week" })).await;
    assert_eq!(answer["verdict"], "nothing to compare: none of 17 series has values in the baseline");
}

#[tokio::test]
async fn one_of_seven_thousand_series_is_found_and_the_answer_stays_small() {
    let answer = ask(json!({ "scope": ["tier=\"edge\""] })).await;
    let told = within(&answer, 500);
    assert_eq!(told["seen"], 1, "{told}");
    assert_eq!(told["rows"][0][0], "connections_open");
    assert_eq!(told["rows"][0][1], "pod=p606,tier=edge,zone=s0");
    assert_eq!((&told["rows"][0][2], &told["rows"][0][3]), (&json!(42), &json!(112)));
    assert_eq!(
        told["notes"][0],
        "connections_open: of 7000 series the 40 that moved most on average were compared"
    );
}

#[tokio::test]
async fn a_limit_gives_the_number_its_meaning() {
    let answer = ask(json!({ "scope": ["tier=\"pool\""] })).await;
    assert_eq!(answer["seen"], 1, "{answer}");
    let row = &answer["rows"][0];
    assert_eq!((&row[0], &row[1]), (&json!("db_pool_connections_in_use"), &json!("pod=a,tier=pool")));
    assert_eq!((&row[3], &row[6]), (&json!(20), &json!("db_pool_connections_max 20")));
}

#[tokio::test]
async fn what_happens_every_day_is_no_signal_beside_yesterday() {
    let scope = json!(["tier=\"batch\""]);
    let answer = ask(json!({ "scope": scope })).await;
    assert_eq!(answer["seen"], 1, "{answer}");
    let answer = ask(json!({ "scope": scope, "baseline": "yesterday" })).await;
    assert_eq!(answer["seen"], 0, "{answer}");
}

#[tokio::test]
async fn forced_matchers_hold_for_every_question() {
    let recorder = Recorder::before(BACKEND.address());
    let forced = || Http { matchers: vec!["team=\"checkout\"".to_owned()], ..http(&recorder.url()) };
    for arguments in [
        json!({}),
        json!({ "scope": ["team=~\".+\""] }),
        json!({ "scope": ["team=\"other\""] }),
        json!({ "scope": ["__name__=\"jobs_waiting\""], "baseline": "yesterday" }),
        json!({ "scope": ["tier=\"edge\""] }),
    ] {
        let answer = shown(&ask_with(forced(), arguments.clone()).await.unwrap());
        assert!(!answer.to_string().replace("team=\\\"other", "").contains("other"), "{arguments}: {answer}");
        assert_eq!(answer["seen"], 0, "{arguments}: {answer}");
    }
    let answer = ask(json!({ "scope": ["team=~\".+\""] })).await;
    assert_eq!(answer["rows"][0][1], "team=other", "without them it is found: {answer}");
    for request in recorder.requests() {
        // These two take no matchers: only what a scope has is looked up in them.
        let unmatched = request.path.contains("/metadata") || request.path.contains("/rules");
        assert!(unmatched || request.path.contains("team%3D%22checkout%22"), "{}", request.path);
    }
}

#[tokio::test]
async fn a_window_without_a_course_or_without_a_past_is_refused() {
    for arguments in [json!({ "window": "5m" }), json!({ "window": "2d", "baseline": "yesterday" })] {
        let error = ask_with(http(&BACKEND.url()), arguments).await.err().unwrap();
        assert_eq!(error.code(), "invalid_argument");
    }
}

#[tokio::test]
async fn every_example_is_answered() {
    for example in FindSignals::examples() {
        let answer = ask(example.clone()).await;
        assert!(!answer["verdict"].as_str().unwrap().is_empty(), "{example}: {answer}");
    }
}

#[tokio::test]
async fn a_label_whose_name_is_a_piece_of_a_query_stays_out_of_the_next_one() {
    let recorder = Recorder::before(BACKEND.address());
    let escape = r#"x="1"} or {__name__=~"jobs_.+"} or {y"#;
    let series = |labels: Value| json!({ "metric": labels, "value": [END, "1"] });
    let most = [series(json!({ escape: "1" })), series(json!({ "tier": "edge", "zone": "s0", "pod": "p0" }))];
    let most = json!({ "status": "success", "data": { "resultType": "vector", "result": most } });
    recorder.on("GET", "/api/v1/query?query=topk", Behaviour::json(200, most.to_string()));
    let forced = Http { matchers: vec!["tier=\"edge\"".to_owned()], ..http(&recorder.url()) };
    let answer = ask_with(forced, json!({})).await.unwrap();
    let said = "connections_open: 1 series with labels whose names no query can be trusted with";
    assert_eq!(answer.not_looked_at, [said]);
    assert!(
        shown(&answer)["verdict"]
            .as_str()
            .unwrap()
            .ends_with(" of 1 series stayed within what their baseline explains")
    );
    let asked = recorder.requests();
    assert!(asked.iter().any(|it| it.path.contains("topk")));
    assert!(asked.iter().all(|it| !it.path.contains("jobs_") && !it.body.contains("jobs_")), "{asked:#?}");
}

#[tokio::test]
async fn what_an_answer_lacks_is_told_with_it() {
    let recorder = Recorder::before(BACKEND.address());
    let names =
        json!({ "status": "success", "data": ["batch_size"], "warnings": ["store-2 did not answer"] });
    recorder.on("GET", "/api/v1/label/", Behaviour::json(200, names.to_string()));
    let answer = ask_with(http(&recorder.url()), json!({ "scope": ["tier=\"batch\""] })).await.unwrap();
    assert_eq!(answer.not_looked_at, ["its answers may lack something: store-2 did not answer"]);
}

#[tokio::test]
async fn a_system_that_takes_too_long_is_left_before_the_call_is() {
    let recorder = Recorder::before(BACKEND.address());
    let _held = recorder.hold("GET", "/api/v1/query_range?query=%7B");
    let backends = Backends::new(&[connection("prod", System::Prometheus(http(&recorder.url())))]).unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    let now = Timestamp::from_second(END).unwrap();
    let call = parse::<FindSignals>(json!({ "scope": ["tier=\"pool\""] }));
    let error = call.answer(backends.prometheus(None).unwrap(), now, Some(deadline)).await.err().unwrap();
    assert!(error.to_string().contains("answered nothing in time"), "{error}");
    assert!(tokio::time::Instant::now() < deadline, "while the caller still waits");
}

#[tokio::test]
async fn of_thousands_of_metrics_so_many_are_asked_for_and_the_rest_is_counted() {
    let stretches = look::Stretches::of(&hour(), Baseline::Previous, Timestamp::from_second(END).unwrap());
    let stretches = stretches.unwrap();
    let families = (0..3_000).map(|it| (format!("metric_{it:04}_total"), 3_u64)).collect();
    let (asks, looked) = look::planned(&families, &stretches);
    let large = asks.iter().filter(|it| !matches!(it, asking::Ask::Plain(_))).count();
    assert_eq!(large, 40);
    assert!(asks.len() < 80, "{}", asks.len());
    assert_eq!(looked.notes.len(), 7, "{:?}", looked.notes);
    let left = 3_000 - 5_000 / 3 - 40;
    let said = format!(
        "{left} metrics with {} series, the largest metric_2999_total with 3: narrow `scope`",
        left * 3
    );
    assert_eq!(looked.not_looked_at, [said]);
}
