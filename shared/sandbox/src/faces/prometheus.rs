//! How does the sandbox speak as Prometheus?
//!
//! Source: <https://prometheus.io/docs/prometheus/2.42/querying/api/>

mod answer;
mod parameters;
mod state;
mod status;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    response::Response,
    routing::get,
};
use promql_parser::parser::{VectorSelector, value::ValueType};

use crate::{
    production::Production,
    promql::{self, Moments, Parsed},
    store::{Labels, NAME},
};

use answer::{Refusal, success, written};
use parameters::Parameters;

use super::Face;

pub(crate) const FACE: Face = Face { name: "prometheus", routes };

/// Points of a series in one answer.
const POINTS_MAX: i64 = 11_000;
/// What a query may take, where nobody says less.
const TIMEOUT_MS: i64 = 120_000;

type Answered = Result<Response, Refusal>;
type Shared = State<Arc<Production>>;

fn routes(production: Arc<Production>) -> Router {
    Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/metadata", get(status::metadata))
        .route("/api/v1/targets", get(status::targets))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/rules", get(state::rules))
        .route("/api/v1/alerts", get(state::alerts))
        .route("/-/ready", get(async || "Prometheus Server is Ready.\n"))
        .route("/-/healthy", get(async || "Prometheus Server is Healthy.\n"))
        .with_state(production)
}

async fn query(State(production): Shared, parameters: Parameters) -> Answered {
    let at = parameters.moment("time")?.unwrap_or_else(parameters::now_ms);
    let timeout = timeout(&parameters)?;
    let query = parsed(&parameters)?;
    on_a_thread(move || {
        let measured = production.measured();
        let outcome = promql::evaluate(&measured.store, &query, Moments::at(at), timeout)?;
        Ok(written(outcome, Moments::at(at), false))
    })
    .await
}

async fn query_range(State(production): Shared, parameters: Parameters) -> Answered {
    let (start, end) = (parameters.needed_moment("start")?, parameters.needed_moment("end")?);
    if end < start {
        return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
    }
    let step = parameters.duration_ms("step")?;
    if step <= 0 {
        let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Refusal::parameter("step", text));
    }
    if (end - start) / step > POINTS_MAX {
        let text = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(Refusal::bad(text));
    }
    let timeout = timeout(&parameters)?;
    let query = parsed(&parameters)?;
    let kind = match query.expr().value_type() {
        ValueType::Matrix => Some("range vector"),
        ValueType::String => Some("string"),
        ValueType::Vector | ValueType::Scalar => None,
    };
    if let Some(kind) = kind {
        let text =
            format!("invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector");
        return Err(Refusal::bad(&text));
    }
    let moments = Moments::over(start, end, step);
    on_a_thread(move || {
        let measured = production.measured();
        let outcome = promql::evaluate(&measured.store, &query, moments, timeout)?;
        Ok(written(outcome, moments, true))
    })
    .await
}

async fn series(State(production): Shared, parameters: Parameters) -> Answered {
    let selectors = selectors(&parameters)?;
    if selectors.is_empty() {
        return Err(Refusal::bad("no match[] parameter provided"));
    }
    let (start, end) = bounds(&parameters)?;
    let found = selected(&production, &selectors, start, end);
    Ok(success(&found.iter().map(answer::labels).collect::<Vec<_>>()))
}

async fn labels(State(production): Shared, parameters: Parameters) -> Answered {
    let selectors = selectors(&parameters)?;
    let (start, end) = bounds(&parameters)?;
    let found = selected(&production, &selectors, start, end);
    let mut names: Vec<&str> = found.iter().flat_map(Labels::iter).map(|it| it.0).collect();
    names.sort_unstable();
    names.dedup();
    Ok(success(&names))
}

async fn label_values(
    State(production): Shared,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Answered {
    if !promql::is_label(&name) {
        return Err(Refusal::bad(&format!("invalid label name: {name:?}")));
    }
    let selectors = selectors(&parameters)?;
    let (start, end) = bounds(&parameters)?;
    let found = selected(&production, &selectors, start, end);
    let mut values: Vec<&str> = found.iter().map(|it| it.get(&name)).filter(|it| !it.is_empty()).collect();
    values.sort_unstable();
    values.dedup();
    Ok(success(&values))
}

/// Label sets with any sample between two moments that one of the selectors means; without selectors all.
fn selected(production: &Production, selectors: &[VectorSelector], start: i64, end: i64) -> Vec<Labels> {
    let measured = production.measured();
    let meant =
        |it: &Labels| selectors.is_empty() || selectors.iter().any(|selector| promql::admits(selector, it));
    let found = measured.store.series_of(None).filter(|it| meant(&it.labels) && it.has_any(start, end));
    let mut found: Vec<Labels> = found.map(|it| it.labels.clone()).collect();
    found.sort();
    found
}

fn parsed(parameters: &Parameters) -> Result<Parsed, Refusal> {
    Parsed::new(parameters.first("query").unwrap_or_default())
        .map_err(|problem| Refusal::parameter("query", &problem.to_string()))
}

fn selectors(parameters: &Parameters) -> Result<Vec<VectorSelector>, Refusal> {
    let wrong = |it: promql::QueryError| Refusal::parameter("match[]", &it.to_string());
    parameters.all("match[]").map(|it| promql::selector(it).map_err(wrong)).collect()
}

/// From and to when; as far as time goes where nobody says.
fn bounds(parameters: &Parameters) -> Result<(i64, i64), Refusal> {
    let (start, end) = (parameters.moment("start")?, parameters.moment("end")?);
    let (start, end) = (start.unwrap_or(i64::MIN), end.unwrap_or(i64::MAX));
    match end < start {
        true => Err(Refusal::parameter("end", "end timestamp must not be before start timestamp")),
        false => Ok((start, end)),
    }
}

fn timeout(parameters: &Parameters) -> Result<Duration, Refusal> {
    let asked = match parameters.first("timeout") {
        Some(_) => parameters.duration_ms("timeout")?,
        None => TIMEOUT_MS,
    };
    Ok(Duration::from_millis(u64::try_from(asked.clamp(0, TIMEOUT_MS)).unwrap_or(0)))
}

/// Evaluates where it keeps nobody else waiting.
async fn on_a_thread(work: impl FnOnce() -> Answered + Send + 'static) -> Answered {
    let failed = |_| Refusal::internal("the evaluation broke off");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// The name of the label that holds a metric's name; faces of rules and targets need it too.
fn unnamed(labels: &Labels) -> Labels {
    labels.with(NAME, "")
}
