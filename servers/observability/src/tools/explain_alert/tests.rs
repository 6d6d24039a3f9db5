//! Against a real Prometheus that evaluates real rules.

use std::sync::LazyLock;

use config::{Http, System};
use testkit::{
    DEADLINE,
    backends::{Behaviour, History, Prometheus as Backend, Recorder, incident_history},
    http as plain, wait_until,
};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

const RULES: &str = r#"
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: HighErrorRate
        expr: |
          sum by (service) (rate(http_requests_total{code="500"}[5m]))
            / sum by (service) (rate(http_requests_total[5m])) > 0.05
            and sum by (service) (rate(http_requests_total[5m])) > 1
        labels: { severity: critical, team: checkout }
        annotations: { summary: "More than 5% of requests fail", runbook_url: "https://runbooks.example/errors" }
      - alert: HighErrorRate
        expr: sum(rate(http_requests_total{code="500"}[5m])) > 1e9
        labels: { severity: warning }
      - alert: SlowToFire
        expr: queue_length > 50
        for: 10h
        labels: { severity: warning }
      - alert: FarFromFiring
        expr: max by (service) (process_resident_memory_bytes) > 100 * 1024 ^ 3
      - alert: PodDown
        expr: up == 0
      - alert: MoreThanCapacity
        expr: queue_length > on (pod) queue_capacity
      - alert: Vanished
        expr: absent(up{job="gone"})
      - alert: Broken
        expr: up * on (service) group_left () http_requests_total
"#;

/// The incident, and an alert that came and went eight times.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let end = Backend::now();
    let mut history = incident_history(end);
    for at in 0..3 {
        let pod = format!("pod=\"pod-{at}\"");
        let points = move |value: f64| (end - 3_600..=end).step_by(30).map(move |it| (it, value));
        history = history.gauge("queue_length", pod.clone(), points(10.0 + 30.0 * f64::from(at)));
        history = history.gauge("queue_capacity", pod, points(100.0));
    }
    let labels = "alertname=\"Flappy\",pod=\"a\"";
    for cycle in 0..8 {
        let from = end - 20_000 + cycle * 1_800;
        let firing = (from..from + 300).step_by(15).map(|it| (it, 1.0));
        history = history.gauge("ALERTS", format!("{labels},alertstate=\"firing\",n=\"{cycle}\""), firing);
        let starts = (from..from + 300).step_by(15).map(move |it| (it, from as f64));
        history = history.gauge("ALERTS_FOR_STATE", format!("{labels},n=\"{cycle}\""), starts);
    }
    let backend = Backend::configured(history, "global: { scrape_interval: 1h }\n", RULES);
    wait_until("every rule to be evaluated", DEADLINE, || {
        let rules = plain::get(backend.address(), "/api/v1/rules").ok()?.body;
        let seen = rules.contains("\"state\":\"firing\"") && rules.contains("\"state\":\"pending\"");
        (seen && !rules.contains("\"health\":\"unknown\"")).then_some(())
    });
    wait_until("an alert to be in the past", DEADLINE, || {
        let path = format!("/api/v1/query?query=ALERTS%7Bseverity=%22critical%22%7D&time={}", Backend::now());
        plain::get(backend.address(), &path).ok()?.body.contains("HighErrorRate").then_some(())
    });
    backend
});

async fn ask_of(settings: Http, arguments: Value) -> Result<Answer<AlertFacts>, ToolError> {
    let backends = Backends::new(&[connection("prod", System::Prometheus(settings))]).unwrap();
    let now = Timestamp::from_second(Backend::now()).unwrap();
    parse::<ExplainAlert>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

async fn ask(arguments: Value) -> Value {
    shown(&ask_of(http(&BACKEND.url()), arguments).await.unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

#[tokio::test]
async fn a_firing_alert_is_explained_condition_by_condition() {
    let answer = ask(json!({ "alert": "HighErrorRate", "window": "1h" })).await;
    assert_eq!(answer["verdict"], "1 firing", "{answer}");
    assert_eq!(answer["logic"], "1 and 2");
    assert_eq!(answer["runbook"], "https://runbooks.example/errors");
    assert_eq!(answer["seen"], 2);
    let first = &answer["rows"][0];
    assert_eq!((&first[0], &first[2]), (&json!(1), &json!("1 of 6 series")), "{first}");
    let (value, threshold, distance) = (number(&first[3]), number(&first[4]), number(&first[5]));
    assert!(value > 0.2 && threshold == 0.05 && (value - threshold - distance).abs() < 1e-3, "{first}");
    assert!(number(&first[6]) < 0.01 && number(&first[7]) > 0.2, "low and high of the window: {first}");
    assert_eq!(first[9], "service=checkout-api");
    assert_eq!(answer["rows"][1][2], "6 of 6 series");
    assert!(answer["alerts"][0].as_str().unwrap().starts_with("firing since 20"), "{answer}");
    assert!(answer["history"][0].as_str().unwrap().starts_with("fired once"), "{answer}");
    let notes = answer["notes"].to_string();
    assert!(notes.contains("another rule has this name: severity=warning, inactive"), "{notes}");
    within(&answer, 2_000);
}

#[tokio::test]
async fn labels_choose_between_rules_of_one_name() {
    let answer = ask(json!({ "alert": "HighErrorRate", "filter": ["severity=warning"] })).await;
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with("does not fire: part 1 does not hold: ")
            && verdict.contains("against 1000000000")
    );
    let call = json!({ "alert": "HighErrorRate", "filter": ["severity=page"] });
    let error = ask_of(http(&BACKEND.url()), call).await.err().unwrap().to_string();
    assert!(
        error.starts_with("filter: no rule of this name") && error.contains("severity=warning"),
        "{error}"
    );
}

#[tokio::test]
async fn an_alert_that_waits_says_how_long_it_still_must() {
    let answer = ask(json!({ "alert": "SlowToFire" })).await;
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("1 pending, ") && verdict.ends_with(" of 10h waited"), "{answer}");
    assert!(answer["alerts"][0].as_str().unwrap().ends_with("value 70: pod=pod-2"), "{answer}");
    assert_eq!(answer["rows"][0][2], "1 of 3 series");
}

#[tokio::test]
async fn a_silent_alert_says_what_is_missing_and_how_much() {
    let answer = ask(json!({ "alert": "FarFromFiring" })).await;
    let verdict = answer["verdict"].as_str().unwrap();
    assert!(verdict.contains("against 107374182400 (0."), "{verdict}");
    assert_eq!(answer["rows"][0][9], "service=checkout-api", "the nearest to it");
    assert!(number(&answer["rows"][0][5]) < -1e11);

    let answer = ask(json!({ "alert": "PodDown" })).await;
    assert_eq!((&answer["rows"][0][2], &answer["rows"][0][5]), (&json!("0 of 18 series"), &json!(1)));

    let answer = ask(json!({ "alert": "MoreThanCapacity" })).await;
    let row = &answer["rows"][0];
    assert_eq!([&row[3], &row[4], &row[5]], [&json!(70), &json!(100), &json!(-30)], "{row}");
    assert_eq!(row[9], "pod=pod-2");

    let answer = ask(json!({ "alert": "Vanished" })).await;
    assert_eq!(answer["verdict"], "1 firing");
    assert_eq!(answer["rows"][0][2], "1 series");
}

#[tokio::test]
async fn a_rule_that_fails_is_said_to_fail() {
    let answer = ask(json!({ "alert": "Broken" })).await;
    assert!(answer["verdict"].as_str().unwrap().starts_with("it cannot be evaluated: "), "{answer}");
    assert!(answer["not_looked_at"].is_null() || answer["rows"].is_array());
}

#[tokio::test]
async fn an_alert_whose_rule_is_elsewhere_still_has_a_past() {
    let answer = ask(json!({ "alert": "Flappy" })).await;
    assert!(answer["verdict"].as_str().unwrap().contains("only its past is known"), "{answer}");
    assert!(answer["history"][0].as_str().unwrap().starts_with("fired 8 times"), "{answer}");
}

#[tokio::test]
async fn an_unknown_alert_comes_with_the_nearest() {
    let call = json!({ "alert": "HighErorRate" });
    let Err(ToolError::NotFound { name, suggestions, .. }) = ask_of(http(&BACKEND.url()), call.clone()).await
    else {
        panic!("found")
    };
    assert_eq!((name.as_str(), suggestions[0].text.as_str()), ("HighErorRate", "HighErrorRate"));
    assert!(suggestions.iter().all(|it| it.target.is_some()));
    let empty = Backend::start(History::new().gauge("a", "b=\"c\"", [(Backend::now(), 1.0)]));
    let error = ask_of(http(&empty.url()), call).await.err().unwrap().to_string();
    assert!(error.contains("evaluates no alerting rules"), "{error}");
}

#[tokio::test]
async fn forced_matchers_hide_other_teams_rules_and_bind_every_condition() {
    let recorder = Recorder::before(BACKEND.address());
    let forced = |text: &str| Http { matchers: vec![text.to_owned()], ..http(&recorder.url()) };
    let call = json!({ "alert": "HighErrorRate", "filter": ["severity=critical"] });
    let hidden = ask_of(forced("team=\"cart\""), call).await;
    assert!(
        matches!(hidden, Err(ToolError::Invalid { argument: "filter", .. })),
        "only the rule without a team"
    );
    let answer = ask_of(forced("service=\"cart-api\""), json!({ "alert": "HighErrorRate" })).await.unwrap();
    let answer = shown(&answer);
    assert_eq!(answer["rows"][0][2], "0 of 1 series", "{answer}");
    assert!(answer["alerts"].is_null(), "{answer}");
    let asked = recorder.requests_to("GET", "/api/v1/query");
    assert!(asked.len() > 4);
    let kept = ["team%3D%22cart", "service%3D%22cart-api"];
    assert!(asked.iter().all(|it| kept.iter().any(|kept| it.path.contains(kept))), "{asked:#?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_named_and_the_rest_stands() {
    let recorder = Recorder::before(BACKEND.address());
    recorder.on("GET", "/api/v1/query_range", Behaviour::json(503, "{}"));
    let answer = ask_of(http(&recorder.url()), json!({ "alert": "HighErrorRate" })).await.unwrap();
    assert_eq!(answer.facts.verdict, "1 firing");
    assert!(
        answer.not_looked_at.iter().any(|it| it.starts_with("part 1: prod is unavailable")),
        "{:?}",
        answer.not_looked_at
    );
    assert!(answer.not_looked_at.iter().any(|it| it.starts_with("history: ")), "{:?}", answer.not_looked_at);
    recorder.on("*", "/", Behaviour::Drop);
    let gone = ask_of(http(&recorder.url()), json!({ "alert": "HighErrorRate" })).await;
    assert_eq!(gone.err().unwrap().code(), "unavailable");
}

#[tokio::test]
async fn of_what_lies_outside_of_the_forced_matchers_neither_error_nor_state_is_told() {
    let forced = || Http { matchers: vec!["service=\"cart-api\"".to_owned()], ..http(&BACKEND.url()) };
    let broken = shown(&ask_of(forced(), json!({ "alert": "Broken" })).await.unwrap());
    let said = "it cannot be evaluated: the error is not told, because it may name series that this connection does not \
                show";
    assert_eq!(broken["verdict"], said);
    let call = json!({ "alert": "HighErrorRate", "filter": ["severity=warning"] });
    let other = shown(&ask_of(forced(), call).await.unwrap());
    let notes = other["notes"].to_string();
    assert!(
        notes.contains("another rule has this name: severity=critical,team=checkout, inactive"),
        "{notes}"
    );
}

#[tokio::test]
async fn a_rule_that_a_silent_part_of_the_system_may_have_is_not_said_to_be_none() {
    let recorder = Recorder::before(BACKEND.address());
    let rules = r#"{"status":"success","data":{"groups":[]},"warnings":["store-2 did not answer"]}"#;
    recorder.on("GET", "/api/v1/rules", Behaviour::json(200, rules));
    let error = ask_of(http(&recorder.url()), json!({ "alert": "Unheard" })).await.err().unwrap();
    assert_eq!(error.code(), "unavailable");
    assert!(error.to_string().contains("store-2 did not answer"), "{error}");
}

#[tokio::test]
async fn firing_between_two_moments_of_a_long_window_is_counted() {
    let answer = ask(json!({ "alert": "Flappy", "window": "7d" })).await;
    let history = answer["history"].as_array().unwrap();
    assert!(history[0].as_str().unwrap().starts_with("fired 8 times"), "{answer}");
    assert_eq!(history.last().unwrap(), "all of it to within 7m1s");
}
