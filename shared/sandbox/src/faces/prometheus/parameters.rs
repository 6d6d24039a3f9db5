//! What was asked? Parameters of the address and of a form, which count alike.

use axum::{
    Form,
    extract::{FromRequest, Query, Request},
    http::Method,
};
use jiff::Timestamp;

use crate::promql;

use super::answer::Refusal;

/// Names and values, in order; a name may come several times.
pub(super) struct Parameters(Vec<(String, String)>);

/// Beyond this a number of seconds is none that anybody means, and milliseconds might overflow.
const SECONDS_MAX: f64 = 9_000_000_000.0;

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Parameters, Refusal> {
        let unread = |problem: String| Refusal::bad(&format!("error parsing form values: {problem}"));
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let mut parameters = query.map_err(|it| unread(it.to_string()))?.0;
        let is_form =
            |it: &axum::http::HeaderValue| it.as_bytes().starts_with(b"application/x-www-form-urlencoded");
        if request.method() == Method::POST && request.headers().get("content-type").is_some_and(is_form) {
            let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
            // What stands in the body counts before what stands in the address.
            parameters.splice(0..0, form.map_err(|it| unread(it.to_string()))?.0);
        }
        Ok(Parameters(parameters))
    }
}

impl Parameters {
    /// The first value of a name that is not empty.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|it| !it.is_empty())
    }

    /// Every value of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |it| it.0 == name).map(|it| it.1.as_str())
    }

    /// A moment in milliseconds since 1970, if there is one.
    pub(super) fn moment(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.first(name).map(|it| moment(name, it)).transpose()
    }

    /// A moment that must be there.
    pub(super) fn needed_moment(&self, name: &str) -> Result<i64, Refusal> {
        moment(name, self.first(name).unwrap_or_default())
    }

    /// A duration in milliseconds that must be there: seconds, or `5m`.
    pub(super) fn duration_ms(&self, name: &str) -> Result<i64, Refusal> {
        let text = self.first(name).unwrap_or_default();
        let seconds = seconds(text).filter(|it| it.abs() < SECONDS_MAX).map(|it| (it * 1_000.0) as i64);
        let wrong = || Refusal::parameter(name, &format!("cannot parse {text:?} to a valid duration"));
        seconds.or_else(|| promql::duration_ms(text)).ok_or_else(wrong)
    }
}

/// Unix seconds, or RFC 3339.
fn moment(name: &str, text: &str) -> Result<i64, Refusal> {
    let seconds = seconds(text).filter(|it| it.abs() < SECONDS_MAX).map(|it| (it * 1_000.0).round() as i64);
    // Where it need not be there, the original says its name twice.
    let prefix = if name == "time" { "Invalid time value for 'time': " } else { "" };
    let wrong = || Refusal::parameter(name, &format!("{prefix}cannot parse {text:?} to a valid timestamp"));
    seconds.or_else(|| text.parse::<Timestamp>().ok().map(|it| it.as_millisecond())).ok_or_else(wrong)
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|it| it.is_finite())
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
