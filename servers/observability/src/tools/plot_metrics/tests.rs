//! What is handed over to be drawn, from a real Prometheus.

use std::sync::LazyLock;

use config::System;
use jiff::Timestamp;
use testkit::backends::{History, Prometheus as Backend, Recorder};

use super::*;
use crate::fixture::{connection, http, parse, shown};

const END: i64 = 1_769_860_800;

static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let history = (0..12).fold(History::new(), |history, at| {
        let value = move |now: i64| match at {
            7 if (END - 3_600..END - 3_000).contains(&now) => 90.0,
            _ => 10.0 + f64::from(at) + ((now / 600 + i64::from(at)) % 2) as f64,
        };
        let points = (END - 21_600..=END).step_by(60).map(|it| (it, value(it)));
        history.gauge("queue_length", format!("job=\"app\",pod=\"pod-{at}\""), points)
    });
    Backend::start(history.gauge("odd_value", "kind=\"nan\"", [(END - 60, 1.0), (END, f64::NAN)]))
});

async fn ask(arguments: Value) -> Result<Answer<MetricsFacts>, ToolError> {
    ask_at(&BACKEND.url(), arguments).await
}

async fn ask_at(url: &str, arguments: Value) -> Result<Answer<MetricsFacts>, ToolError> {
    let backends = Backends::new(&[connection("prod", System::Prometheus(http(url)))]).unwrap();
    let now = Timestamp::from_second(END).unwrap();
    parse::<PlotMetrics>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

#[tokio::test]
async fn what_moved_most_is_drawn_and_the_rest_is_counted() {
    let answer = ask(json!({ "query": "queue_length", "window": "6h" })).await.unwrap();
    let told = shown(&answer);
    assert_eq!(told["columns"], json!(["labels", "min", "max", "last"]));
    assert_eq!(told["rows"][0], json!(["pod=pod-7", 17, 90, 18]), "{told}");
    assert_eq!((told["seen"].as_u64(), told["rows"].as_array().map(Vec::len)), (Some(12), Some(8)));
    assert!(told["time"].as_str().unwrap().ends_with("every 300 s"), "{told}");
    assert_eq!(told["common_labels"], "__name__=queue_length,job=app");
    let plot = answer.plot.unwrap();
    let labels: Vec<&str> = plot.lines.iter().map(|it| it.label.as_str()).collect();
    let rows: Vec<&str> = told["rows"].as_array().unwrap().iter().map(|it| it[0].as_str().unwrap()).collect();
    assert_eq!(labels, rows, "a line is the picture of a row");
    assert_eq!((plot.from, plot.to, plot.step), (END - 21_600, END, 300));
    assert_eq!(plot.lines[0].points.len(), 73);
    assert_eq!(plot.title, "queue_length");
}

#[tokio::test]
async fn a_single_series_without_labels_has_a_name_in_the_legend() {
    let answer = ask(json!({ "query": "sum(queue_length)" })).await.unwrap();
    assert_eq!(answer.plot.unwrap().lines[0].label, "value");
}

#[tokio::test]
async fn what_cannot_be_drawn_is_said() {
    let answer = ask(json!({ "query": "odd_value", "window": "2m" })).await.unwrap();
    assert!(shown(&answer)["notes"][0].as_str().unwrap().contains("is a gap"), "{}", shown(&answer));
    let answer = ask(json!({ "query": "queue_lenght" })).await.unwrap();
    assert!(
        shown(&answer)["notes"][0].as_str().unwrap().contains("near: queue_length"),
        "{}",
        shown(&answer)
    );
    assert!(answer.plot.unwrap().lines.is_empty());
    let error = ask(json!({ "query": "\"text\"" })).await.err().unwrap();
    assert_eq!(error.code(), "rejected", "{error}");
}

#[tokio::test]
async fn what_is_too_costly_is_refused_as_in_query_metrics() {
    let recorder = Recorder::before(BACKEND.address());
    let query = json!({ "query": "sum(max_over_time(queue_length[365d:1s]))" });
    let error = ask_at(&recorder.url(), query).await.err().unwrap();
    assert_eq!(error.code(), "too_costly");
    assert_eq!(recorder.requests().len(), 0);
}
