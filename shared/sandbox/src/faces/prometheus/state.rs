//! Which rules are there, and which of their alerts are active?

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    promql::number_e,
    rules::{Evaluated, INTERVAL_MS},
};

use super::{
    Answered, Shared,
    answer::{Refusal, labels, success},
    parameters::Parameters,
};

pub(super) async fn rules(State(production): Shared, parameters: Parameters) -> Answered {
    let alerting = match parameters.first("type").map(str::to_ascii_lowercase).as_deref() {
        None | Some("alert") => true,
        Some("record") => false,
        Some(other) => return Err(Refusal::parameter("type", &format!("not supported value {other:?}"))),
    };
    let measured = production.measured();
    let groups = measured.rules.groups.iter().map(|group| {
        let last = group.rules.iter().map(|it| it.last_ms).max().unwrap_or(0);
        let rules: Vec<Value> = group.rules.iter().filter(|_| alerting).map(rule).collect();
        json!({
            "name": group.name,
            "file": format!("/etc/prometheus/rules/{}.yml", group.name),
            "rules": rules,
            "interval": INTERVAL_MS / 1_000,
            "limit": 0,
            "evaluationTime": 0.001,
            "lastEvaluation": time(last),
        })
    });
    Ok(success(&json!({ "groups": groups.collect::<Vec<_>>() })))
}

pub(super) async fn alerts(State(production): Shared) -> Response {
    let measured = production.measured();
    let alerts: Vec<Value> = measured.rules.iter().flat_map(active).collect();
    success(&json!({ "alerts": alerts }))
}

fn rule(it: &Evaluated) -> Value {
    let pairs = |pairs: &[(&str, &str)]| -> serde_json::Map<String, Value> {
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable();
        sorted.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    };
    let mut rule = json!({
        "state": it.state(),
        "name": it.rule.name,
        "query": it.query.expr().to_string(),
        "duration": it.rule.for_s,
        "keepFiringFor": 0,
        "labels": pairs(it.rule.labels),
        "annotations": pairs(it.rule.annotations),
        "alerts": active(it),
        "health": match (&it.error, it.last_ms) {
            (Some(_), _) => "err",
            (None, 0) => "unknown",
            _ => "ok",
        },
        "evaluationTime": 0.001,
        "lastEvaluation": time(it.last_ms),
        "type": "alerting",
    });
    if let Some(error) = &it.error {
        rule["lastError"] = json!(error);
    }
    rule
}

fn active(it: &Evaluated) -> Vec<Value> {
    let alerts = it.alerts.iter().map(|(all, alert)| {
        json!({
            "labels": labels(all),
            "annotations": labels(&alert.annotations),
            "state": alert.state(),
            "activeAt": time(alert.active_ms),
            "value": number_e(alert.value),
        })
    });
    alerts.collect()
}

/// RFC 3339.
fn time(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).unwrap_or_default().to_string()
}
