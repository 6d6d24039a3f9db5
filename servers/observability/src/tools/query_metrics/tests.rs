//! Against a real Prometheus, and in front of it a peer that misbehaves.

use std::{sync::LazyLock, time::Duration};

use config::{Http, System};
use testkit::backends::{Behaviour, Prometheus as Backend, Recorder, incident_history};
use tokio::time::Instant;

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

/// When every history here ends.
const END: i64 = 1_769_860_800;

/// The incident, 7,000 series of one metric, and two teams' queues.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let mut history = incident_history(END);
    for at in 0..7_000 {
        let (service, pod) = (at % 7, at / 7);
        let labels = format!(r#"job="app",service="s{service}",pod="p{pod}",zone="z{}""#, at % 3);
        let value = f64::from(service * 100 + pod % 50) + if at == 4_242 { 99_000.5 } else { 0.0 };
        history = history.gauge("connections_open", labels, [(END - 60, value), (END, value)]);
    }
    for at in 0..60 {
        let labels = format!(r#"job="app",pod="pod-{at}""#);
        let value = move |now: i64| match at {
            17 if now > END - 2_400 => 90.0,
            _ => 10.0 + f64::from(at) / 10.0 + ((now / 600 + i64::from(at)) % 3) as f64,
        };
        history =
            history.gauge("queue_length", labels, (END - 21_600..=END).step_by(60).map(|it| (it, value(it))));
    }
    for team in ["checkout", "other"] {
        history = history.gauge("jobs_waiting", format!("team=\"{team}\""), [(END, 3.0)]);
    }
    history = history.gauge("odd_value", r#"kind="nan""#, [(END, f64::NAN)]);
    Backend::start(history)
});

fn backends(settings: Http) -> Backends {
    Backends::new(&[connection("prod", System::Prometheus(settings))]).unwrap()
}

async fn ask_with(settings: Http, arguments: Value) -> Result<Answer<MetricsFacts>, ToolError> {
    let backends = backends(settings);
    let now = Timestamp::from_second(END).unwrap();
    parse::<QueryMetrics>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

async fn ask(arguments: Value) -> Result<Value, ToolError> {
    ask_with(http(&BACKEND.url()), arguments).await.map(|it| shown(&it))
}

#[tokio::test]
async fn every_example_is_answered() {
    for example in QueryMetrics::examples() {
        let answer = ask(example.clone()).await.unwrap();
        assert!(answer["seen"].as_u64() > Some(0), "{example}: {answer}");
    }
}

#[tokio::test]
async fn what_is_not_promql_never_leaves() {
    let recorder = Recorder::before(BACKEND.address());
    let error = ask_with(http(&recorder.url()), json!({ "query": "sum(rate(up[5m])" })).await.err().unwrap();
    assert_eq!(error.code(), "invalid_argument");
    assert!(error.to_string().contains("column 4"), "{error}");
    assert_eq!(recorder.requests().len(), 0);
}

#[tokio::test]
async fn a_comment_at_the_end_does_not_take_in_what_the_count_writes_behind_it() {
    let answer = ask(json!({ "query": "jobs_waiting # of every team" })).await.unwrap();
    assert_eq!(answer["seen"], 2, "{answer}");
}

#[tokio::test]
async fn a_subquery_of_too_many_steps_is_refused_before_anything_is_evaluated() {
    let recorder = Recorder::before(BACKEND.address());
    let query = json!({ "query": "sum(max_over_time(jobs_waiting[365d:1s]))" });
    let error = ask_with(http(&recorder.url()), query).await.err().unwrap();
    assert_eq!(error.code(), "too_costly");
    assert_eq!(recorder.requests().len(), 0);
}

#[tokio::test]
async fn seven_thousand_series_fit_with_what_matters_in_them() {
    let answer = ask(json!({ "query": "connections_open" })).await.unwrap();
    let told = within(&answer, 1_000);
    assert_eq!(told["seen"], 7_000);
    assert_eq!(told["notes"][1], "by service", "{told}");
    assert_eq!(told["notes"][2], "s6: 1000 series, min 600, p50 624, max 649");
    assert!(told["notes"][0].as_str().unwrap().contains("max 99007"), "{told}");
    let rows = told["rows"].as_array().unwrap();
    assert!(rows.len() >= 20, "{} rows", rows.len());
    assert!(rows[0][0].as_str().unwrap().contains("pod=p606"), "the outlier is first: {}", rows[0]);
    assert!(rows.iter().any(|it| it[2] == "bottom"));
    assert!(told["common_labels"].as_str().unwrap().contains("__name__=connections_open"));
}

#[tokio::test]
async fn seven_thousand_series_over_a_range_are_refused_with_a_query_that_works() {
    let error = ask(json!({ "query": "connections_open", "window": "6h" })).await.expect_err("too costly");
    let ToolError::TooCostly { problem, next: Some(next) } = error else { panic!("{error}") };
    assert!(problem.contains("7000 series"), "{problem}");
    assert_eq!(next["tool"], "query_metrics");
    let answer = ask(next["arguments"].clone()).await.unwrap();
    assert_eq!(answer["seen"], 20, "{answer}");

    let error = ask(json!({ "query": "{job=~\".+\"}" })).await.expect_err("names nothing");
    let ToolError::TooCostly { problem, next: Some(next) } = error else { panic!("{error}") };
    assert!(problem.contains("selects 71"), "{problem}");
    let answer = ask(next["arguments"].clone()).await.unwrap();
    assert!(answer["rows"][0][0].as_str().unwrap().contains("connections_open"), "{answer}");
}

#[tokio::test]
async fn sixty_series_over_six_hours_fit_with_what_moved_first() {
    let answer = ask(json!({ "query": "queue_length", "window": "6h" })).await.unwrap();
    let told = within(&answer, 2_000);
    assert_eq!(told["seen"], 60);
    let rows = told["rows"].as_array().unwrap();
    assert!(rows.len() >= 15, "{} rows", rows.len());
    let first = &rows[0];
    assert_eq!((&first[0], &first[2]), (&json!("pod=pod-17"), &json!(90)));
    assert!(first[7].as_str().unwrap().ends_with('█'), "{first}");
    assert_eq!(told["time"], "2026-01-31T06:00:00Z/2026-01-31T12:00:00Z every 300 s");
    assert!(told["common_labels"].as_str().unwrap().contains("job=app"));
}

#[tokio::test]
async fn the_incident_comes_first() {
    let query = "sum by (service, code) (rate(http_requests_total[5m]))";
    let answer = ask(json!({ "query": query, "window": "6h" })).await.unwrap();
    assert_eq!(answer["rows"][0][0], "code=500,service=checkout-api");
    assert_eq!(answer["unit"], "per second");
    let query = "process_resident_memory_bytes";
    let answer = ask(json!({ "query": query, "window": "6h" })).await.unwrap();
    assert!(answer["rows"][0][0].as_str().unwrap().contains("checkout-api"), "{answer}");
    assert_eq!(answer["unit"], "bytes");
}

#[tokio::test]
async fn points_come_on_demand() {
    let arguments =
        json!({ "query": "queue_length{pod=\"pod-17\"}", "window": "now-50m/now", "step_seconds": 300 });
    let answer = ask(arguments).await.unwrap();
    assert_eq!(answer["columns"], json!(["labels", "first_at_s", "values"]));
    let values = answer["rows"][0][2].as_array().unwrap();
    assert_eq!(values.len(), 11);
    assert_eq!(values[10], 90);
    let raw = ask(json!({ "query": "queue_length{pod=\"pod-17\"}[3m]" })).await.unwrap();
    assert_eq!(raw["rows"][0][3], 90, "{raw}");
}

#[tokio::test]
async fn scalars_strings_and_odd_values_are_told_as_they_are() {
    assert_eq!(ask(json!({ "query": "1 / 3" })).await.unwrap()["rows"], json!([[0.3333]]));
    assert_eq!(ask(json!({ "query": "\"hello\"" })).await.unwrap()["rows"], json!([["hello"]]));
    let nan = ask(json!({ "query": "odd_value" })).await.unwrap();
    assert_eq!(nan["rows"][0][1], "NaN", "{nan}");
    let over = ask(json!({ "query": "1 + 1", "window": "1h" })).await.unwrap();
    assert_eq!(over["rows"][0][1], 2, "{over}");
}

#[tokio::test]
async fn nothing_found_says_why() {
    for (query, said) in [
        ("conections_open", "no metric `conections_open` at that time; near: connections_open"),
        ("queue_length{pod=\"none\"}", "`queue_length` has 60 series, but none with all of these labels"),
        ("queue_length > 1e9", "every selector has series: a comparison or a join leaves none"),
        ("zzz", "no metric `zzz` at that time, and none is named alike"),
    ] {
        let answer = ask(json!({ "query": query })).await.unwrap();
        assert_eq!((&answer["seen"], answer["notes"][0].as_str()), (&json!(0), Some(said)), "{query}");
    }
}

#[tokio::test]
async fn forced_matchers_hold_for_queries_counts_and_hints() {
    let recorder = Recorder::before(BACKEND.address());
    let forced = || Http { matchers: vec!["team=\"checkout\"".to_owned()], ..http(&recorder.url()) };
    for query in [
        "jobs_waiting",
        "jobs_waiting{team=\"other\"} or jobs_waiting",
        "topk(scalar(count(jobs_waiting)), jobs_waiting)",
        "last_over_time(jobs_waiting[1h:1m])",
        "jobs_waiting @ end() offset -1s",
        "label_replace(jobs_waiting, \"x\", \"$1\", \"team\", \"(.*)\")",
    ] {
        let answer = shown(&ask_with(forced(), json!({ "query": query })).await.unwrap());
        assert_eq!(answer["seen"], 1, "{query}: {answer}");
        assert!(!answer["rows"].to_string().contains("other"), "{query}: {answer}");
        assert!(answer["notes"].to_string().contains("kept within"), "{answer}");
    }
    let hint = shown(&ask_with(forced(), json!({ "query": "conections_open" })).await.unwrap());
    assert!(!hint.to_string().contains("connections_open\""), "a name out of bounds is no hint: {hint}");
    for request in recorder.requests() {
        assert!(request.path.contains("team%3D%22checkout%22"), "{}", request.path);
    }
}

#[tokio::test]
async fn what_prometheus_rejects_is_passed_on_in_its_own_words() {
    let error =
        ask(json!({ "query": "queue_length * on (job) connections_open" })).await.expect_err("many to many");
    assert_eq!(error.code(), "rejected");
    assert!(error.to_string().contains("prod rejected the request"), "{error}");
}

#[tokio::test]
async fn moments_and_steps_that_contradict_are_refused() {
    for (arguments, argument) in [
        (json!({ "query": "up", "step_seconds": 5 }), "step_seconds"),
        (json!({ "query": "up", "window": "300d", "step_seconds": 1 }), "step_seconds"),
        (json!({ "query": "up", "window": "now-1h/2026-01-31T10:00:00Z" }), "window"),
    ] {
        let Err(ToolError::Invalid { argument: named, .. }) = ask(arguments).await else {
            panic!("{argument}")
        };
        assert_eq!(named, argument);
    }
    let answer = ask(json!({ "query": "queue_length", "window": "2026-01-31T11:00:00Z" })).await.unwrap();
    assert_eq!(answer["time"], "2026-01-31T11:00:00Z");
}

#[tokio::test]
async fn a_backend_that_misbehaves_is_an_error_that_says_how() {
    let recorder = Recorder::before(BACKEND.address());
    let settings = || Http { timeout_ms: 2_000, ..http(&recorder.url()) };
    let other = Recorder::alone();
    for (behaviour, said) in [
        (Behaviour::html(), "answered text/html (a login page or proxy?), expected JSON"),
        (Behaviour::Huge(100 << 20), "answered more than 32 MiB"),
        (Behaviour::Redirect(format!("{}/steal", other.url())), "redirects to http://127.0.0.1:"),
        (Behaviour::Trickle, "no complete answer within 2000 ms"),
        (Behaviour::Drop, "the connection broke before an answer"),
        (Behaviour::json(200, "{\"status\":\"success\",\"data\":7}"), "its API does not describe"),
        (
            Behaviour::json(503, "{\"status\":\"error\",\"error\":\"query timed out\"}"),
            "HTTP 503: query timed out",
        ),
    ] {
        recorder.on("*", "/", behaviour);
        let error = ask_with(settings(), json!({ "query": "up" })).await.err().expect(said);
        assert_eq!(error.code(), "unavailable", "{said}");
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn a_read_that_is_cancelled_or_late_stops() {
    let recorder = Recorder::before(BACKEND.address());
    let hold = recorder.hold("*", "/");
    let backends = backends(http(&recorder.url()));
    let now = Timestamp::from_second(END).unwrap();
    let query: QueryMetrics = parse(json!({ "query": "up" }));
    let soon = Some(Instant::now() + Duration::from_millis(50));
    let error = query.answer(backends.prometheus(None).unwrap(), now, soon).await.err().unwrap();
    assert!(error.to_string().contains("before the call's deadline"), "{error}");
    let dropped = tokio::time::timeout(
        Duration::from_millis(50),
        query.answer(backends.prometheus(None).unwrap(), now, None),
    );
    assert!(dropped.await.is_err());
    hold.release();
    assert!(query.answer(backends.prometheus(None).unwrap(), now, None).await.is_ok());
}

#[tokio::test]
async fn a_long_query_goes_out_as_a_form() {
    let recorder = Recorder::before(BACKEND.address());
    let query = vec!["queue_length{pod=\"pod-17\"}"; 80].join(" or ");
    let answer = shown(&ask_with(http(&recorder.url()), json!({ "query": query })).await.unwrap());
    assert_eq!(answer["seen"], 1);
    assert_eq!(recorder.requests_to("POST", "/api/v1/query").len(), 2, "counted, then asked");
    assert!(recorder.requests().iter().all(|it| it.path.len() < 1_600));
}

#[tokio::test]
async fn selectors_are_counted_before_anything_around_them_is_evaluated() {
    let recorder = Recorder::before(BACKEND.address());
    let query = "connections_open * on () group_left () sum(queue_length)";
    let call = json!({ "query": query, "window": "6h" });
    let refused = ask_with(http(&recorder.url()), call).await.err().unwrap();
    assert_eq!(refused.code(), "too_costly");
    let asked = recorder.requests();
    assert_eq!(asked.len(), 2, "selectors, then the result: {asked:#?}");
    let first = &asked[0].path;
    assert!(first.contains("count%28connections_open%29") && !first.contains("group_left"), "{first}");
}

#[tokio::test]
async fn what_an_answer_lacks_is_told_with_it() {
    for partial in [r#""warnings":["store-2 did not answer"]"#, r#""isPartial":true"#] {
        let recorder = Recorder::before(BACKEND.address());
        let one = format!(
            r#"{{"status":"success",{partial},"data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"2"]}}]}}}}"#
        );
        recorder.on("GET", "/api/v1/query", Behaviour::json(200, one));
        let answer = ask_with(http(&recorder.url()), json!({ "query": "sum(up)" })).await.unwrap();
        assert_eq!(answer.not_looked_at.len(), 1, "{partial}");
        assert!(answer.not_looked_at[0].starts_with("its answers may lack something: s"), "{partial}");
    }
}
