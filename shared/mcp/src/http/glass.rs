//! How does a person break the glass, and who looks at it afterwards? `/break-glass`, part of the desk where people decide.

use std::{sync::Arc, time::Duration};

use approval::{ActionScope, BreakGlass, GlassRefused};
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing,
};
use gate::{AgreeRefused, Opening};
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::desk::{Desk, Remark, Which, not_agreed, problem, told};

/// What a person breaks the glass for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    reason: String,
    /// E.g. `30m`.
    #[serde(rename = "for")]
    longest: String,
    #[serde(default)]
    scope: ActionScope,
}

/// Its routes.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/break-glass", routing::get(list).post(open))
        .route("/break-glass/{id}/{word}", routing::post(tell))
}

/// What a refusal is over HTTP.
pub(super) fn status(refused: &GlassRefused) -> (StatusCode, &'static str) {
    match refused {
        GlassRefused::Long { .. } | GlassRefused::Silent(_) => (StatusCode::BAD_REQUEST, "invalid"),
        GlassRefused::Missing(_) => (StatusCode::NOT_FOUND, "not_found"),
        GlassRefused::Open { .. }
        | GlassRefused::Ended { .. }
        | GlassRefused::Holds { .. }
        | GlassRefused::Reviewed { .. } => (StatusCode::CONFLICT, "closed"),
        GlassRefused::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        GlassRefused::Unproven(_)
        | GlassRefused::Unheard
        | GlassRefused::Overdue { .. }
        | GlassRefused::Own(_) => (StatusCode::FORBIDDEN, "refused"),
    }
}

async fn list(State(desk): State<Arc<Desk>>, which: Query<Which>, headers: HeaderMap) -> Response {
    let _here = desk.in_flight.token();
    if let Err(refused) = desk.let_in(&headers).await {
        return refused;
    }
    match desk.gate.glasses(which.all).await {
        Ok(found) => told(StatusCode::OK, &json!({ "break_glass": found })),
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "approvals_unavailable", &error.to_string()),
    }
}

async fn open(State(desk): State<Arc<Desk>>, headers: HeaderMap, request: Request) -> Response {
    let _here = desk.in_flight.token();
    let (visitor, Broken { reason, longest, scope }) = match desk.hear(&headers, request, false).await {
        Ok(heard) => heard,
        Err(refused) => return refused,
    };
    let Some(length) = span(&longest) else {
        return problem(StatusCode::BAD_REQUEST, "invalid", "for: expected a length of time, e.g. `30m`");
    };
    match desk.gate.open_glass(&visitor.person, Opening { scope, reason, longest: length }).await {
        Ok(glass) => told(StatusCode::CREATED, &glass.facts(&[], Timestamp::now())),
        Err(refused) => {
            desk.refusals.of(&visitor.caller, &format!("break-glass open: {refused}")).await;
            not_agreed(&refused)
        }
    }
}

async fn tell(
    State(desk): State<Arc<Desk>>,
    Path((id, word)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let _here = desk.in_flight.token();
    let (visitor, Remark { comment }) = match desk.hear(&headers, request, true).await {
        Ok(heard) => heard,
        Err(refused) => return refused,
    };
    let person = &visitor.person;
    let said: Result<(BreakGlass, Vec<String>), AgreeRefused> = match word.as_str() {
        "close" => desk.gate.close_glass(person, &id, &comment).await,
        "review" => desk.gate.review_glass(person, &id, &comment).await.map(|it| (it, Vec::new())),
        _ => return problem(StatusCode::NOT_FOUND, "not_found", "expected close or review"),
    };
    match said {
        Ok((glass, voided)) => {
            let mut facts = glass.facts(&[], Timestamp::now());
            facts["voided"] = json!(voided);
            told(StatusCode::OK, &facts)
        }
        Err(refused) => {
            desk.refusals.of(&visitor.caller, &format!("break-glass {word} {id}: {refused}")).await;
            not_agreed(&refused)
        }
    }
}

/// A length of time as people write it.
fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    Duration::try_from(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()
}
