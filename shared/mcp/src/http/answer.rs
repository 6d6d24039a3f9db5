//! What does somebody hear who is refused before the SDK sees the request?

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::json;

/// A refusal as JSON-RPC has it: clients show its message.
pub(crate) fn refuse(status: StatusCode, problem: &str) -> Response {
    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": problem } });
    text(status, "application/json", error.to_string())
}

/// A refusal with one header more.
pub(crate) fn refuse_with(status: StatusCode, problem: &str, name: HeaderName, value: &str) -> Response {
    let mut response = refuse(status, problem);
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An answer that nobody may keep or take for something else.
pub(crate) fn text(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
