//! Does it answer as a real Prometheus does, asked the same of the same samples?

mod expressions;
mod laws;
mod rules;
mod samples;

use std::net::SocketAddr;

use serde_json::Value;
use testkit::{backends::Prometheus, http};
use tokio::runtime::Runtime;

use super::*;

use expressions::{EXPRESSIONS, REFUSED, UNORDERED_TIES};
use samples::{END_S, START_S, Samples};

/// A real one and ours, with the same samples.
struct Pair {
    real: Prometheus,
    ours: SocketAddr,
    _running: Runtime,
}

impl Pair {
    fn start() -> Pair {
        let samples = Samples::made();
        let real = Prometheus::start(&samples);
        let routes = routes(Arc::new(Production::of_samples(samples.store())));
        let (ours, running) = serve(routes);
        Pair { real, ours, _running: running }
    }

    /// Status and body of both, the real one's first.
    fn get(&self, path: &str) -> [(u16, Value); 2] {
        [self.real.address(), self.ours].map(|address| {
            let answer = http::get(address, path).expect("answers");
            let body = serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body));
            (answer.status, body)
        })
    }

    fn instant(&self, query: &str, at_s: f64) -> [(u16, Value); 2] {
        self.get(&format!("/api/v1/query?query={}&time={at_s}", escaped(query)))
    }

    fn range(&self, query: &str, from_s: i64, to_s: i64, step: &str) -> [(u16, Value); 2] {
        let query = escaped(query);
        self.get(&format!("/api/v1/query_range?query={query}&start={from_s}&end={to_s}&step={step}"))
    }
}

/// Has routes listen for as long as the runtime lives.
fn serve(routes: Router) -> (SocketAddr, Runtime) {
    let running = Runtime::new().expect("a runtime");
    let ours = running.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        address
    });
    (ours, running)
}

fn escaped(text: &str) -> String {
    text.bytes().map(|it| format!("%{it:02X}")).collect()
}

/// Panics where two answers are not the same; values may differ by 1e-9 of themselves.
fn compare(what: &str, [real, ours]: [(u16, Value); 2], ordered: bool) -> Result<(), String> {
    let wrong = |why: &str, a: &Value, b: &Value| {
        let short = |it: &Value| it.to_string().chars().take(600).collect::<String>();
        Err(format!("{what}: {why}\n  real: {}\n  ours: {}", short(a), short(b)))
    };
    if real.0 != ours.0 || real.0 != 200 {
        return if real.0 == ours.0 { Ok(()) } else { wrong("status", &real.1, &ours.1) };
    }
    let (a, b) = (&real.1["data"], &ours.1["data"]);
    if a["resultType"] != b["resultType"] {
        return wrong("type", a, b);
    }
    let (a, b) = (sorted(&a["result"], ordered), sorted(&b["result"], ordered));
    if same(&a, &b) { Ok(()) } else { wrong("result", &a, &b) }
}

fn sorted(result: &Value, ordered: bool) -> Value {
    let mut result = result.clone();
    if let (false, Some(items)) = (ordered, result.as_array_mut()) {
        items.sort_by_key(|it| {
            it.get("metric").map(|metric| {
                let mut pairs: Vec<String> =
                    metric.as_object().into_iter().flatten().map(|(a, b)| format!("{a}={b}")).collect();
                pairs.sort();
                pairs
            })
        });
    }
    result
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::String(a), Value::String(b)) => {
            a == b
                || match (a.parse::<f64>(), b.parse::<f64>()) {
                    (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) || (a - b).abs() < 1e-12,
                    _ => false,
                }
        }
        _ => a == b,
    }
}

#[test]
fn expressions_of_dashboards_come_to_what_prometheus_makes_of_them() {
    let pair = Pair::start();
    let mut wrong = Vec::new();
    for query in EXPRESSIONS {
        let ordered =
            query.starts_with("sort") || (query.starts_with("topk") && !UNORDERED_TIES.contains(query));
        for at in [END_S as f64, END_S as f64 - 1_234.567, START_S as f64 + 30.0] {
            let answers = pair.instant(query, at);
            wrong.extend(compare(&format!("{query} at {at}"), answers, ordered).err());
        }
        for step in ["15", "77.7", "300"] {
            let answers = pair.range(query, END_S - 3_600, END_S + 60, step);
            wrong.extend(compare(&format!("{query} by {step}"), answers, true).err());
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(EXPRESSIONS.len() >= 100, "{} are compared", EXPRESSIONS.len());
}

#[test]
fn what_prometheus_refuses_is_refused_alike() {
    let pair = Pair::start();
    let mut wrong = Vec::new();
    for query in REFUSED {
        let [real, ours] = pair.instant(query, END_S as f64);
        let same = real.0 == ours.0 && real.0 != 200 && real.1["errorType"] == ours.1["errorType"];
        let texts =
            (real.1["error"].as_str().unwrap_or_default(), ours.1["error"].as_str().unwrap_or_default());
        // Where a syntax error is, and its words, are the parser's own.
        if !same || (real.0 == 422 && texts.0 != texts.1) {
            wrong.push(format!("{query}\n  real: {} {}\n  ours: {} {}", real.0, real.1, ours.0, ours.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parameters_are_taken_and_refused_as_prometheus_does() {
    let pair = Pair::start();
    let range = |rest: &str| format!("/api/v1/query_range?query=up&{rest}");
    let (start, end) = (START_S, END_S);
    let mut wrong = Vec::new();
    for path in [
        "/api/v1/query".to_owned(),
        "/api/v1/query?query=up&time=yesterday".to_owned(),
        "/api/v1/query?query=up&timeout=soon".to_owned(),
        "/api/v1/query?query=up&time=2025-10-09T08:53:20Z".to_owned(),
        format!("/api/v1/query?query=up&time={end}.25"),
        range(&format!("start={start}&end={end}")),
        range(&format!("start={start}&end={end}&step=0")),
        range(&format!("start={start}&end={end}&step=-5")),
        range(&format!("start={start}&end={end}&step=5x")),
        range(&format!("start={start}&end={end}&step=1m")),
        range(&format!("start={start}&end={end}&step=0.1")),
        range(&format!("start={end}&end={start}&step=60")),
        range("end=1&step=60"),
        format!("/api/v1/query_range?query=up[5m]&start={start}&end={end}&step=60"),
        format!("/api/v1/query_range?query=%22a%22&start={start}&end={end}&step=60"),
        "/api/v1/series".to_owned(),
        "/api/v1/series?match[]=".to_owned(),
        "/api/v1/series?match[]=up&match[]=app_build_info".to_owned(),
        "/api/v1/series?match[]={job=~%22.*%22}".to_owned(),
        format!("/api/v1/series?match[]=up&start={start}&end={end}"),
        "/api/v1/series?match[]=sum(up)".to_owned(),
        "/api/v1/labels".to_owned(),
        "/api/v1/labels?match[]=app_build_info".to_owned(),
        "/api/v1/label/__name__/values".to_owned(),
        "/api/v1/label/service/values?match[]=up".to_owned(),
        "/api/v1/label/none/values".to_owned(),
        "/api/v1/label/a-b/values".to_owned(),
        "/api/v1/rules?type=nonsense".to_owned(),
        "/api/v1/rules?type=record".to_owned(),
        "/api/v1/alerts".to_owned(),
        "/api/v1/targets?state=dropped".to_owned(),
        "/-/ready".to_owned(),
        "/-/healthy".to_owned(),
    ] {
        let [real, ours] = pair.get(&path);
        let is_syntax = [&real, &ours]
            .iter()
            .any(|it| it.1["error"].as_str().is_some_and(|it| it.contains("parse error")));
        let rules = path.contains("type=record");
        let same = real.0 == ours.0 && real.1["errorType"] == ours.1["errorType"];
        if !same || (!is_syntax && !rules && real.1 != ours.1) {
            wrong.push(format!(
                "{path}\n  real: {} {:.700}\n  ours: {} {:.700}",
                real.0, real.1, ours.0, ours.1
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
