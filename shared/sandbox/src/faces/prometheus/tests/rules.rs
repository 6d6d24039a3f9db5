//! Do our rules come to the same alerts as in a real Prometheus that loads them?

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{DEADLINE, backends::Prometheus, http, wait_until};

use crate::{production::Production, rules::GROUPS};

use super::{routes, samples::Samples, serve};

const CONFIG: &str = "global: { scrape_interval: 1h, evaluation_interval: 1s }\n";

/// The rules as a file; what holds fires at once, so that nobody has to wait.
fn file() -> String {
    let mut text = "groups:\n".to_owned();
    for (name, rules) in GROUPS {
        let _ = writeln!(text, "- name: {name}\n  rules:");
        for rule in *rules {
            let _ = writeln!(text, "  - alert: {}\n    expr: {}", rule.name, json!(rule.query));
            for (field, pairs) in [("labels", rule.labels), ("annotations", rule.annotations)] {
                let pairs: serde_json::Map<_, _> =
                    pairs.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
                let _ = writeln!(text, "    {field}: {}", Value::Object(pairs));
            }
        }
    }
    text
}

/// Twenty minutes up to now in which something is wrong of every kind that needs no rate.
fn samples(now_s: i64) -> Samples {
    let own = [("service", "cart"), ("team", "shop"), ("instance", "cart-1")];
    Samples::constant(
        (now_s - 1_200, now_s),
        &[
            ("up", &own, 0.0),
            ("probe_success", &own, 0.0),
            ("probe_ssl_earliest_cert_expiry", &own, now_s as f64 - 93_784.0),
            ("container_memory_working_set_bytes", &own, 95.5e6),
            ("container_spec_memory_limit_bytes", &own, 1e8),
            ("db_pool_connections_in_use", &own, 19.0),
            ("db_pool_connections_max", &own, 20.0),
        ],
    )
}

/// Name, labels and the only value of a series.
type Constant<'a> = (&'a str, &'a [(&'static str, &'a str)], f64);

/// Rules by name, without what only the moment of asking decides.
fn told(address: std::net::SocketAddr) -> Vec<Value> {
    let answer = http::get(address, "/api/v1/rules").expect("answers").body;
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
    let rules = groups.iter().flat_map(|it| it["rules"].as_array().cloned().unwrap_or_default());
    let mut rules: Vec<Value> = rules.collect();
    for rule in &mut rules {
        for field in ["evaluationTime", "lastEvaluation", "duration"] {
            rule[field] = json!(rule[field].is_null());
        }
        let name = rule["name"].as_str().unwrap_or_default().to_owned();
        for alert in rule["alerts"].as_array_mut().into_iter().flatten() {
            alert["activeAt"] = json!(alert["activeAt"].as_str().map(|it| it.parse::<Timestamp>().is_ok()));
            if name == "CertificateExpires" {
                // The nearer, the less is left.
                alert["value"].take();
                alert["annotations"]["description"].take();
            }
        }
        rule.as_object_mut().expect("a rule is an object").sort_keys();
    }
    rules.sort_by_key(|it| it["name"].to_string());
    rules
}

#[test]
fn rules_come_to_the_alerts_that_prometheus_makes_of_them() {
    let samples = samples(Prometheus::now());
    let real = Prometheus::configured(&samples, CONFIG, &file());
    let (ours, _running) = serve(routes(std::sync::Arc::new(Production::of_samples(samples.store()))));
    let firing = |rules: &[Value]| rules.iter().filter(|it| it["state"] == "firing").count();
    let real = wait_until("the rules to be evaluated", DEADLINE, || {
        let rules = told(real.address());
        (rules.iter().all(|it| it["health"] == "ok") && firing(&rules) >= 5).then_some(rules)
    });
    let ours = told(ours);
    assert_eq!(firing(&real), 5, "{real:#?}");
    for (real, ours) in real.iter().zip(&ours) {
        assert_eq!(real, ours);
    }
    assert_eq!(real.len(), ours.len());
}

#[test]
fn alerts_are_series_like_any_other() {
    let now = Prometheus::now();
    let (ours, _running) = serve(routes(std::sync::Arc::new(Production::of_samples(samples(now).store()))));
    for query in [
        "ALERTS{alertstate=\"firing\",alertname=\"TargetDown\"}",
        "ALERTS_FOR_STATE{alertname=\"TargetDown\"}",
    ] {
        let path = format!("/api/v1/query?query={}", super::escaped(query));
        let answer = http::get(ours, &path).expect("answers").body;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(1), "{query}: {answer}");
    }
}

impl Samples {
    fn constant(bounds: (i64, i64), series: &[Constant<'_>]) -> Samples {
        let points = |value| (bounds.0..=bounds.1).step_by(15).map(move |it| (it * 1_000, value)).collect();
        let labels = |it: &[(&'static str, &str)]| {
            it.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        };
        Samples(series.iter().map(|it| (it.0.to_owned(), labels(it.1), points(it.2))).collect())
    }
}
