//! What is this Prometheus, what does it scrape, and what do its metrics mean?

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{METRICS, promql::LOOKBACK_MS};

use super::{
    Answered, Shared,
    answer::{Refusal, labels, success},
    parameters::{Parameters, now_ms},
    unnamed,
};

pub(super) async fn metadata(parameters: Parameters) -> Answered {
    let limit = match parameters.first("limit").map(str::parse::<i64>) {
        None => None,
        Some(Ok(limit)) => usize::try_from(limit).ok(),
        Some(Err(_)) => return Err(Refusal::bad("limit must be a number")),
    };
    let wanted = parameters.first("metric");
    let metrics = METRICS.iter().filter(|it| wanted.is_none_or(|wanted| it.name == wanted));
    let metrics = metrics.take(limit.unwrap_or(METRICS.len())).map(|it| {
        let about = json!([{ "type": it.kind.word(), "help": it.help, "unit": it.unit }]);
        (it.name.to_owned(), about)
    });
    Ok(success(&metrics.collect::<Map<String, Value>>()))
}

pub(super) async fn build() -> Response {
    success(&json!({
        "version": "2.42.0",
        "revision": "sandbox",
        "branch": "HEAD",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// Targets as `up` knows them.
pub(super) async fn targets(State(production): Shared, parameters: Parameters) -> Response {
    let wanted = parameters.first("state").map(str::to_ascii_lowercase);
    let active = wanted.as_deref() != Some("dropped");
    let measured = production.measured();
    let step_s = production.plan().step_s();
    let targets = measured.store.series_of(Some("up")).filter(|_| active).filter_map(|series| {
        let (at, up) = series.last_before(now_ms(), LOOKBACK_MS)?;
        let own = unnamed(&series.labels);
        let (instance, job) = (own.get("instance"), own.get("job"));
        let url = format!("http://{instance}/metrics");
        let health = if up == 1.0 { "up" } else { "down" };
        Some(json!({
            "discoveredLabels": {
                "__address__": instance, "__metrics_path__": "/metrics", "__scheme__": "http",
                "__scrape_interval__": format!("{step_s}s"), "__scrape_timeout__": "10s", "job": job,
            },
            "labels": labels(&own),
            "scrapePool": job,
            "scrapeUrl": url,
            "globalUrl": url,
            "lastError": if up == 1.0 { "" } else { "context deadline exceeded" },
            "lastScrape": Timestamp::from_millisecond(at).unwrap_or_default().to_string(),
            "lastScrapeDuration": 0.01,
            "health": health,
            "scrapeInterval": format!("{step_s}s"),
            "scrapeTimeout": "10s",
        }))
    });
    let targets: Vec<Value> = targets.collect();
    success(&json!({ "activeTargets": targets, "droppedTargets": [] }))
}
