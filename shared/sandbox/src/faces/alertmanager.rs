//! How does the sandbox speak as Alertmanager?
//!
//! Source: <https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml>

mod alerts;
mod matcher;
mod silences;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Path, Query, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::production::Production;

use super::Face;
use alerts::{Filter, RECEIVER};
use matcher::Matcher;
pub(crate) use silences::Silences;
use silences::Wanted;

pub(crate) const FACE: Face = Face { name: "alertmanager", routes };

/// A critical alert keeps warnings of the same service quiet.
const CONFIG: &str = "\
route:
  receiver: on-call
  group_by: [alertname, service]
receivers:
- name: on-call
inhibit_rules:
- source_matchers: [severity=\"critical\"]
  target_matchers: [severity=\"warning\"]
  equal: [service]
";

type Shared = State<Arc<Production>>;
type Answered = Result<Response, Refusal>;

/// A refusal: a status, and a text as JSON or as an object with a code.
#[derive(Debug)]
struct Refusal(StatusCode, Value);

/// What the address asks for, in order; a name may come several times.
struct Asked(Vec<(String, String)>);

fn routes(production: Arc<Production>) -> Router {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/alerts", get(list_alerts))
        .route("/api/v2/alerts/groups", get(list_groups))
        .route("/api/v2/receivers", get(async || Json(json!([{ "name": RECEIVER }]))))
        .route("/api/v2/silences", get(list_silences).post(post_silence))
        .route("/api/v2/silence/{id}", get(one_silence).delete(expire_silence))
        .route("/-/ready", get(async || "OK"))
        .route("/-/healthy", get(async || "OK"))
        .with_state(production)
}

async fn status(State(production): Shared) -> Response {
    let since = production.plan().from().to_string();
    Json(json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": CONFIG },
        "uptime": since,
        "versionInfo": {
            "branch": "HEAD", "buildDate": "", "buildUser": "", "goVersion": "",
            "revision": "sandbox", "version": "0.25.0",
        },
    }))
    .into_response()
}

async fn list_alerts(State(production): Shared, asked: Asked) -> Answered {
    let filter = asked.filter()?;
    let alerts = alerts::all(&production, Timestamp::now());
    let shown: Vec<Value> = alerts.iter().filter(|it| filter.admits(it)).map(alerts::Told::json).collect();
    Ok(Json(shown).into_response())
}

async fn list_groups(State(production): Shared, asked: Asked) -> Answered {
    let filter = asked.filter()?;
    let alerts = alerts::all(&production, Timestamp::now());
    let shown: Vec<_> = alerts.into_iter().filter(|it| filter.admits(it)).collect();
    Ok(Json(alerts::groups(&shown)).into_response())
}

async fn list_silences(State(production): Shared, asked: Asked) -> Answered {
    let matchers = asked.matchers()?;
    let silences = production.silences();
    Ok(Json(silences.list(&matchers, Timestamp::now())).into_response())
}

async fn post_silence(State(production): Shared, body: Bytes) -> Answered {
    let wanted = Wanted::read(&body)?;
    let id = production.silences().put(wanted, Timestamp::now())?;
    Ok(Json(json!({ "silenceID": id })).into_response())
}

async fn one_silence(State(production): Shared, Path(id): Path<String>) -> Answered {
    let id = silences::id(&id)?;
    let silences = production.silences();
    let found = silences.get(&id, Timestamp::now());
    Ok(found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |it| Json(it).into_response()))
}

async fn expire_silence(State(production): Shared, Path(id): Path<String>) -> Answered {
    let id = silences::id(&id)?;
    production.silences().expire(&id, Timestamp::now())?;
    Ok(StatusCode::OK.into_response())
}

impl Asked {
    fn matchers(&self) -> Result<Vec<Matcher>, Refusal> {
        let wrong = |it: String| Refusal(StatusCode::BAD_REQUEST, Value::String(it));
        let filters = self.0.iter().filter(|it| it.0 == "filter");
        filters.map(|it| Matcher::parse(&it.1).map_err(wrong)).collect()
    }

    fn filter(&self) -> Result<Filter, Refusal> {
        Ok(Filter {
            matchers: self.matchers()?,
            receiver: self.value("receiver").map(receiver).transpose()?,
            active: self.flag("active"),
            silenced: self.flag("silenced"),
            inhibited: self.flag("inhibited"),
        })
    }

    /// Yes where nothing is said; what is no known word for it is a no, as for the original.
    fn flag(&self, name: &str) -> bool {
        const YES: [&str; 10] = ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
        self.value(name).is_none_or(|it| YES.contains(&it.to_ascii_lowercase().as_str()))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|it| it.0 == name).map(|it| it.1.as_str()).filter(|it| !it.is_empty())
    }
}

fn receiver(pattern: &str) -> Result<regex::Regex, Refusal> {
    let wrong = |_| {
        let text = format!("failed to parse receiver param: {pattern}");
        Refusal(StatusCode::BAD_REQUEST, Value::String(text))
    };
    regex::Regex::new(&format!("^(?:{pattern})$")).map_err(wrong)
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked, Refusal> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        query.map(|it| Asked(it.0)).map_err(|it| Refusal::invalid(400, &it.to_string()))
    }
}

impl Refusal {
    /// Not of the form that the specification asks for.
    fn invalid(code: u16, text: &str) -> Refusal {
        Refusal(StatusCode::UNPROCESSABLE_ENTITY, json!({ "code": code, "message": text }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.1 {
            Value::Null => self.0.into_response(),
            text => (self.0, Json(text)).into_response(),
        }
    }
}
