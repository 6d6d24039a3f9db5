//! How are results and refusals written?

use std::fmt::Write;

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    promql::{Moments, Outcome, QueryError, Row, number},
    store::Labels,
};

/// Why there is no answer, as Prometheus says it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Refusal {
    /// Something about the request is wrong.
    pub(super) fn bad(text: &str) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, kind: "bad_data", text: text.to_owned() }
    }

    /// A parameter is.
    pub(super) fn parameter(name: &str, problem: &str) -> Refusal {
        Refusal::bad(&format!("invalid parameter {name:?}: {problem}"))
    }

    /// Something here is.
    pub(super) fn internal(text: &str) -> Refusal {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", text: text.to_owned() }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Refusal {
        let text = error.to_string();
        match error {
            QueryError::Wrong(_) => Refusal::parameter("query", &text),
            QueryError::Execution(_) => {
                Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", text }
            }
            QueryError::TimedOut => {
                Refusal { status: StatusCode::SERVICE_UNAVAILABLE, kind: "timeout", text }
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "status": "error", "errorType": self.kind, "error": self.text });
        (self.status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// An answer with this in it.
pub(super) fn success(content: &impl Serialize) -> Response {
    let content = serde_json::to_string(content).expect("names, texts and numbers can be written");
    enveloped(&content)
}

/// A label set.
pub(super) fn labels(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// What a query came to.
pub(super) fn written(mut outcome: Outcome, moments: Moments, over_time: bool) -> Response {
    let at = moments.start;
    let mut text = String::new();
    let kind = match &mut outcome {
        Outcome::Scalar(values) if over_time => {
            let values = values.iter().map(|it| Some(*it)).collect();
            series_over_time(&mut text, &[Row { labels: Labels::default(), values }], moments);
            "matrix"
        }
        Outcome::Scalar(values) => {
            point(&mut text, at, values.first().copied().unwrap_or(f64::NAN));
            "scalar"
        }
        Outcome::Text(it) => {
            let _ = write!(text, "[{},{}]", seconds(at), json!(it));
            "string"
        }
        Outcome::Vector(rows) if over_time => {
            rows.sort_by(|a, b| a.labels.cmp(&b.labels));
            series_over_time(&mut text, rows, moments);
            "matrix"
        }
        Outcome::Vector(rows) => {
            let items = rows.iter().filter_map(|it| Some((&it.labels, it.values.first().copied()??)));
            list(&mut text, items, |text, value| {
                text.push_str("\"value\":");
                point(text, at, value);
            });
            "vector"
        }
        Outcome::Matrix(series) => {
            series.sort_by(|a, b| a.0.cmp(&b.0));
            let items = series.iter().map(|(labels, points)| (labels, points));
            list(&mut text, items, |text, it| points(text, it.iter().copied()));
            "matrix"
        }
    };
    enveloped(&format!("{{\"resultType\":\"{kind}\",\"result\":{text}}}"))
}

fn series_over_time(text: &mut String, rows: &[Row], moments: Moments) {
    let items = rows.iter().map(|it| (&it.labels, &it.values));
    list(text, items, |text, values| {
        let present = moments.iter().zip(values).filter_map(|(at, it)| Some((at, (*it)?)));
        points(text, present);
    });
}

fn list<'a, T>(
    text: &mut String,
    items: impl Iterator<Item = (&'a Labels, T)>,
    mut write: impl FnMut(&mut String, T),
) {
    text.push('[');
    for (at, (metric, item)) in items.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{{\"metric\":{},", json!(labels(metric))));
        write(text, item);
        text.push('}');
    }
    text.push(']');
}

fn points(text: &mut String, points: impl Iterator<Item = (i64, f64)>) {
    text.push_str("\"values\":[");
    for (at, (time, value)) in points.enumerate() {
        if at > 0 {
            text.push(',');
        }
        point(text, time, value);
    }
    text.push(']');
}

fn point(text: &mut String, at_ms: i64, value: f64) {
    text.push_str(&format!("[{},\"{}\"]", seconds(at_ms), number(value)));
}

/// Unix seconds, with three decimals where they are not whole.
fn seconds(at_ms: i64) -> String {
    let (whole, rest) = (at_ms.unsigned_abs() / 1_000, at_ms.unsigned_abs() % 1_000);
    let sign = if at_ms < 0 { "-" } else { "" };
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:03}") }
}

fn enveloped(content: &str) -> Response {
    let body = format!("{{\"status\":\"success\",\"data\":{content}}}");
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
