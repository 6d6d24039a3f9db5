//! Against a real Prometheus.

use std::sync::LazyLock;

use config::{Http, System};
use testkit::backends::{Behaviour, History, Prometheus as Backend, Recorder, incident_history};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

/// When every history here ends.
const END: i64 = 1_769_860_800;

/// The incident, 7,000 series of one metric, and two teams' queues.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let mut history = incident_history(END);
    for at in 0..7_000 {
        let labels = format!(r#"job="app",service="s{}",pod="p{}",zone="z{}""#, at % 7, at / 7, at % 3);
        history = history.gauge("connections_open", labels, [(END - 60, 1.0), (END, 1.0)]);
    }
    for team in ["checkout", "other"] {
        history = history.gauge("jobs_waiting", format!("team=\"{team}\""), [(END, 3.0)]);
        history = history.gauge(&format!("{team}_only"), format!("team=\"{team}\""), [(END, 3.0)]);
    }
    Backend::start(history)
});

async fn ask_with(settings: Http, arguments: Value) -> Result<Answer<FoundFacts>, ToolError> {
    let backends = Backends::new(&[connection("prod", System::Prometheus(settings))]).unwrap();
    let now = Timestamp::from_second(END).unwrap();
    parse::<FindMetrics>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

async fn ask(arguments: Value) -> Value {
    shown(&ask_with(http(&BACKEND.url()), arguments).await.unwrap())
}

#[tokio::test]
async fn every_example_is_answered() {
    for example in FindMetrics::examples() {
        let answer = ask(example.clone()).await;
        assert!(answer["seen"].as_u64() > Some(0), "{example}: {answer}");
    }
}

#[tokio::test]
async fn a_metric_is_found_by_its_words_with_labels_and_a_few_values() {
    let answer = ask(json!({ "words": "requests http" })).await;
    let first = &answer["rows"][0];
    assert_eq!(
        (&first[0], &first[1], &first[2]),
        (&json!("http_requests_total"), &json!("counter"), &json!(36))
    );
    let labels = first[3].as_str().unwrap();
    assert!(labels.contains("code: 200, 500"), "{labels}");
    assert!(labels.contains("pod (18): cart-api-0, cart-api-1, …"), "{labels}");
    assert!(labels.find("job: app") < labels.find("pod"), "fewest values first: {labels}");
    let answer = ask(json!({ "words": "duration" })).await;
    assert_eq!(answer["rows"][0][1], "histogram");
}

#[tokio::test]
async fn of_seven_thousand_series_labels_are_counted_and_the_answer_stays_small() {
    let answer = ask(json!({})).await;
    let told = within(&answer, 1_200);
    assert_eq!(told["rows"].as_array().unwrap().len(), 9, "{told}");
    let first = &told["rows"][0];
    assert_eq!((&first[0], &first[2]), (&json!("connections_open"), &json!(7_000)));
    assert_eq!(first[3], "job (1); zone (3); service (7); pod (1000)");
}

#[tokio::test]
async fn nothing_found_names_what_is_near() {
    let answer = ask(json!({ "words": "conections" })).await;
    assert!(answer["notes"][0].as_str().unwrap().starts_with("of 9 metrics none has"), "{answer}");
    assert_eq!(answer["rows"][0][0], "connections_open");
    let answer = ask(json!({ "scope": ["service=\"none\""] })).await;
    assert_eq!(
        (&answer["seen"], &answer["notes"][0]),
        (&json!(0), &json!("no series meet `scope` in this hour"))
    );
}

#[tokio::test]
async fn a_label_narrows_what_is_counted() {
    let answer = ask(json!({ "scope": ["service=\"checkout-api\"", "code!=\"\""] })).await;
    assert_eq!(answer["seen"], 1, "{answer}");
    assert_eq!(answer["rows"][0][2], 6);
}

#[tokio::test]
async fn forced_matchers_hold_for_counts_labels_and_near_names() {
    let recorder = Recorder::before(BACKEND.address());
    recorder.on(
        "GET",
        "/api/v1/metadata",
        Behaviour::json(
            200,
            r#"{"status":"success","data":{"jobs_waiting":[{"type":"gauge","help":"Jobs.","unit":""}],
                "other_only":[{"type":"gauge","help":"Secret jobs.","unit":""}]}}"#,
        ),
    );
    let forced = || Http { matchers: vec!["team=\"checkout\"".to_owned()], ..http(&recorder.url()) };
    for arguments in [
        json!({}),
        json!({ "words": "jobs" }),
        json!({ "words": "other_onl" }),
        json!({ "scope": ["team=~\".+\""] }),
        json!({ "scope": ["team!=\"checkout\""] }),
        json!({ "scope": ["__name__=~\".*_only\""] }),
    ] {
        let answer = shown(&ask_with(forced(), arguments.clone()).await.unwrap());
        let text = answer.to_string().replace("other_onl\"", "");
        assert!(!text.contains("other") && !text.contains("Secret"), "{arguments}: {answer}");
        assert!(text.contains("only series within"), "{answer}");
    }
    let answer = shown(&ask_with(forced(), json!({ "words": "jobs" })).await.unwrap());
    assert_eq!(answer["rows"], json!([["jobs_waiting", "gauge", 1, "team: checkout", "Jobs."]]));
    for request in recorder.requests().iter().filter(|it| !it.path.contains("metadata")) {
        assert!(request.path.contains("team%3D%22checkout%22"), "{}", request.path);
    }
}

#[tokio::test]
async fn a_metric_that_lived_for_minutes_only_is_found_and_one_that_ended_before_is_not() {
    let brief = (END - 1_200..=END - 900).step_by(60).map(|it| (it, 1.0));
    let ended = (END - 9_000..=END - 7_200).step_by(60).map(|it| (it, 1.0));
    let mut history = History::new().gauge("lasting", r#"a="b""#, [(END - 60, 1.0), (END, 1.0)]);
    for pod in ["a", "b"] {
        history = history.gauge("brief", format!("pod=\"{pod}\""), brief.clone());
    }
    let backend = Backend::start(history.gauge("ended", r#"a="b""#, ended));
    let answer = shown(&ask_with(http(&backend.url()), json!({})).await.unwrap());
    let rows = json!([["brief", null, 2, "pod: a, b", null], ["lasting", null, 1, "a: b", null]]);
    assert_eq!(answer["rows"], rows, "{answer}");
}

#[tokio::test]
async fn labels_are_counted_as_far_as_that_can_be_paid_for() {
    let recorder = Recorder::alone();
    let success =
        |data: Value| Behaviour::json(200, json!({ "status": "success", "data": data }).to_string());
    let large = json!({ "metric": { "__name__": "large" }, "values": [[END, "400000"]] });
    recorder.on("GET", "/api/v1/query_range", success(json!({ "resultType": "matrix", "result": [large] })));
    recorder.on("GET", "/api/v1/label/", success(json!(["large"])));
    recorder.on("GET", "/api/v1/labels", success(json!(["__name__", "a", "b", "odd-name", "c"])));
    recorder.on("GET", "/api/v1/metadata", success(json!({})));
    let two = json!({ "metric": { "part": "0" }, "value": [END, "2"] });
    recorder.on("GET", "/api/v1/query?", success(json!({ "resultType": "vector", "result": [two] })));
    let answer = shown(&ask_with(http(&recorder.url()), json!({})).await.unwrap());
    assert_eq!(answer["rows"][0][3], "a (2); b; c; odd-name", "{answer}");
    let asked = recorder.requests_to("GET", "/api/v1/query?");
    assert!(asked.len() == 1 && !asked[0].path.contains("by+%28b%29"), "{asked:#?}");
}
