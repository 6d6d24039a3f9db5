//! Against a real Prometheus: counters of an incident, and ratios as rules record them.

use std::sync::LazyLock;

use config::{Http, System};
use testkit::backends::{Behaviour, Prometheus as Backend, Recorder, incident_history};

use super::*;
use crate::fixture::{connection, http, parse, shown, within};

/// When every history here ends.
const END: i64 = 1_769_860_800;

/// The incident; two objectives as Sloth records them, one without its objective.
static BACKEND: LazyLock<Backend> = LazyLock::new(|| {
    let mut history = incident_history(END);
    let points = |value: f64| (END - 1_800..=END).step_by(30).map(move |it| (it, value));
    for (window, failed) in
        [("5m", 0.02), ("30m", 0.02), ("1h", 0.016), ("6h", 0.004), ("3d", 0.0005), ("30d", 0.00025)]
    {
        let name = format!("slo:sli_error:ratio_rate{window}");
        let labels = format!(r#"sloth_id="shop-availability",sloth_service="shop",sloth_window="{window}""#);
        history = history.gauge(&name, labels, points(failed));
        let labels = format!(r#"sloth_id="cart-latency",sloth_service="cart",sloth_window="{window}""#);
        history = history.gauge(&name, labels, points(0.0));
        history = history.gauge(&name, format!(r#"sloth_id="orphan",sloth_window="{window}""#), points(0.5));
    }
    for id in ["shop-availability", "cart-latency"] {
        history = history.gauge("slo:objective:ratio", format!(r#"sloth_id="{id}""#), points(0.999));
    }
    // Nobody promised anything of a processor.
    history = history.gauge("cluster:node_cpu:ratio_rate5m", r#"cluster="a""#, points(0.6));
    let earlier = (END - 14_400..=END - 7_200).step_by(60).map(|it| (it, (it - END) as f64 + 20_000.0));
    let later = (END - 14_400..=END).step_by(60).map(|it| (it, (it - END) as f64 + 20_000.0));
    history = history.counter("jobs", r#"result="ok",queue="a""#, earlier);
    history = history.counter("jobs", r#"result="failed",queue="a""#, later);
    history = history.gauge("api:requests:burnrate5m", r#"slo="api""#, points(0.3));
    history = history.gauge("pyrra_objective", r#"slo="api""#, points(0.9));
    Backend::start(history)
});

async fn ask_of(settings: Http, arguments: Value) -> Result<Answer<SloFacts>, ToolError> {
    let backends = Backends::new(&[connection("prod", System::Prometheus(settings))]).unwrap();
    let now = Timestamp::from_second(END).unwrap();
    parse::<ShowSlo>(arguments).answer(backends.prometheus(None).unwrap(), now, None).await
}

async fn ask(arguments: Value) -> Value {
    shown(&ask_of(http(&BACKEND.url()), arguments).await.unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn counters() -> Value {
    json!({
        "good": "http_requests_total{code!~\"5..\"}", "total": "http_requests_total",
        "objective": "99.9", "by": "service",
    })
}

#[tokio::test]
async fn two_counters_show_which_service_burns_its_budget() {
    let answer = ask(counters()).await;
    assert_eq!(answer["seen"], 6, "{answer}");
    let worst = &answer["rows"][0];
    assert_eq!((&worst[0], &worst[1]), (&json!("service=checkout-api"), &json!(99.9)));
    assert_eq!(worst[2], "page: ≥ 14.4 over 1h and 5m");
    let burn = number(&worst[3]);
    assert!((240.0..260.0).contains(&burn), "a quarter fails where a thousandth may: {burn}");
    assert!(number(&worst[8]) < 0.0, "the budget is overdrawn: {worst}");
    let calm = &answer["rows"][5];
    assert!((0.5..1.5).contains(&number(&calm[3])) && calm[2].is_null(), "{calm}");
    assert!(answer["notes"][0].as_str().unwrap().contains("less history than 30 days"), "{answer}");
    within(&answer, 2_000);
}

#[tokio::test]
async fn where_nothing_was_good_of_late_everything_failed() {
    let jobs = |good: &str, total: &str| json!({ "good": good, "total": total, "objective": "99.9" });
    let answer = ask(jobs("jobs_total{result=\"ok\"}", "jobs_total")).await;
    assert_eq!((&answer["rows"][0][0], &answer["rows"][0][3]), (&json!("all"), &json!(1000)), "{answer}");
    assert_eq!(answer["rows"][0][2], "page: ≥ 14.4 over 1h and 5m");
}

#[tokio::test]
async fn a_mistake_in_good_or_total_is_told_as_neither_calm_nor_outage() {
    let arguments = |good: &str, total: &str| json!({ "good": good, "total": total, "objective": "99.9" });
    for (good, total, said) in [
        ("http_requests_total{code=\"oops\"}", "http_requests_total", "good: no series match `http_requests"),
        ("http_requests_total", "http_request_total", "total: no series match `http_request_total"),
        ("no_such_total", "no_such_total", "good: no series match `no_such_total` within 3d"),
        ("http_requests_total", "http_requests_total{code=~\"5..\"}", "good: has more events than `total`"),
    ] {
        let error = ask_of(http(&BACKEND.url()), arguments(good, total)).await.err().expect("refused");
        assert!(error.to_string().starts_with(said), "{good} of {total}: {error}");
    }
    let mut misspelt = counters();
    misspelt["by"] = json!("servise");
    let answer = ask(misspelt).await;
    assert_eq!((&answer["seen"], &answer["rows"][0][0]), (&json!(1), &json!("servise=\"\"")), "{answer}");
    assert!(answer["notes"].to_string().contains("no series of `total` has the label `servise`"), "{answer}");
}

#[tokio::test]
async fn a_given_objective_is_for_ratios_of_errors_only() {
    let answer = ask(json!({ "objective": "99.9" })).await;
    assert_eq!(answer["seen"], 4, "{answer}");
    assert!(!answer.to_string().contains("node_cpu"), "{answer}");
}

/// As Pyrra records it for four weeks: no three days, and one name in two clusters.
#[tokio::test]
async fn a_window_that_nobody_records_is_the_mean_of_the_shortest_and_is_told_of() {
    let mut history = testkit::backends::History::new();
    let points = |value: f64| (END - 86_400 * 4..=END).step_by(120).map(move |it| (it, value));
    for (cluster, objective) in [("a", 0.99), ("b", 0.999)] {
        let labels = format!(r#"slo="web",cluster="{cluster}""#);
        for window in ["5m", "30m", "1h", "2h", "6h", "1d", "4d"] {
            history = history.gauge(&format!("web:burnrate{window}"), labels.clone(), points(0.002));
        }
        history = history.gauge("pyrra_objective", labels, points(objective));
    }
    let backend = Backend::start(history);
    let answer = shown(&ask_of(http(&backend.url()), json!({ "days": 28 })).await.unwrap());
    let [b, a] = [&answer["rows"][0], &answer["rows"][1]];
    assert_eq!((&b[0], &b[1], &b[7]), (&json!("cluster=b,slo=web"), &json!(99.9), &json!(2)), "{answer}");
    assert_eq!(b[2], "ticket: ≥ 1 over 3d and 6h");
    assert_eq!((&a[1], &a[2], &a[7]), (&json!(99.0), &Value::Null, &json!(0.2)), "{answer}");
    let said = "3d of web:burnrate: not recorded, so the mean of its 5m ratios, not weighted by traffic";
    assert_eq!(answer["notes"][0], said, "{answer}");
}

#[tokio::test]
async fn recorded_ratios_are_found_with_their_objectives() {
    let answer = ask(json!({})).await;
    assert_eq!(answer["seen"], 3, "{answer}");
    let shop = &answer["rows"][0];
    assert_eq!(shop[0], "sloth_id=shop-availability,sloth_service=shop");
    assert_eq!([&shop[3], &shop[5], &shop[6]], [&json!(20), &json!(16), &json!(4)], "{shop}");
    assert_eq!((&shop[2], &shop[8]), (&json!("page: ≥ 14.4 over 1h and 5m"), &json!(75)));
    assert_eq!(shop[9], "1d9h", "three quarters of 30 days at 16 times the rate");
    let notes = answer["notes"].to_string();
    assert!(notes.contains("1 series of slo:sli_error:ratio_rate5m have no recorded objective"), "{notes}");
    assert!(notes.contains("budget of api:requests:burnrate: the mean of its 5m ratios"), "{notes}");
    let one = ask(json!({ "slo": "CART" })).await;
    assert_eq!((&one["seen"], &one["rows"][0][8]), (&json!(1), &json!(100)), "{one}");
    let none = ask(json!({ "slo": "nobody" })).await;
    let notes = none["notes"].to_string();
    assert!(
        notes.contains("no recorded SLO has `nobody`") && !notes.contains("no recorded error"),
        "{notes}"
    );
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_with_what_is_missing() {
    for (arguments, said) in [
        (json!({ "good": "a" }), "total: missing"),
        (json!({ "total": "a" }), "good: missing"),
        (json!({ "good": "a", "total": "b" }), "objective: missing"),
        (json!({ "by": "service" }), "by: goes with"),
        (
            json!({ "good": "rate(a[5m])", "total": "b", "objective": "99" }),
            "good: expected a counter's selector",
        ),
        (
            json!({ "good": "a", "total": "b offset 5m", "objective": "99" }),
            "total: expected a counter's selector",
        ),
        (
            json!({ "good": "a", "total": "b", "objective": "99", "by": "x) (c" }),
            "by: expected the name of one label",
        ),
        (json!({ "good": "a", "total": "b", "objective": "99", "slo": "x" }), "slo: picks recorded ones"),
    ] {
        let error = ask_of(http(&BACKEND.url()), arguments.clone()).await.err().expect("refused").to_string();
        assert!(error.starts_with(said), "{arguments}: {error}");
    }
    for wrong in ["100", "0", "abc", "-1", "NaN", "1e1", ""] {
        assert!(serde_json::from_value::<Percent>(json!(wrong)).is_err(), "{wrong}");
    }
    assert_eq!(parse::<Percent>(json!("99.95 %")).share(), 0.9995);
}

#[tokio::test]
async fn a_period_too_long_for_the_system_leaves_the_rest() {
    let recorder = Recorder::before(BACKEND.address());
    recorder.on("GET", "/api/v1/query?query=1+-+%28sum+by+%28service%29+%28rate%28http_requests_total%7Bcode%21%7E%225..%22%7D%5B30d", Behaviour::json(422, r#"{"error":"too many samples"}"#));
    let answer = ask_of(http(&recorder.url()), counters()).await.unwrap();
    assert!(
        answer.not_looked_at[0]
            .contains("the budget of 30 days: prod rejected the request: too many samples")
    );
    assert_eq!(shown(&answer)["rows"][0][2], "page: ≥ 14.4 over 1h and 5m");
}

#[tokio::test]
async fn forced_matchers_hold_for_counters_and_recorded_ratios() {
    let recorder = Recorder::before(BACKEND.address());
    let forced = || Http { matchers: vec!["service=\"cart-api\"".to_owned()], ..http(&recorder.url()) };
    let answer = shown(&ask_of(forced(), counters()).await.unwrap());
    assert_eq!((&answer["seen"], &answer["rows"][0][0]), (&json!(1), &json!("service=cart-api")));
    let recorded = shown(&ask_of(forced(), json!({})).await.unwrap());
    assert_eq!(recorded["seen"], 0);
    assert!(recorder.requests().iter().all(|it| it.path.contains("cart-api")), "{:#?}", recorder.requests());
}
