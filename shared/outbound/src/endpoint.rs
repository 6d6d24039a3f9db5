//! How does one request go out, and what comes back?

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use config::Http;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use telemetry::{Leaving, leaving};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::{Instant, timeout_at},
};
use tool::{Leave, ToolError};
use url::{Url, form_urlencoded};

use crate::{
    OutboundError,
    body::{self, ANSWER_BYTES_MAX, BadBody, ERROR_BYTES_MAX, Kind},
    client::{self, Unready},
    failure::{self, Intent},
    shown::Shown,
};

/// Most requests of one connection under way at once; more wait. Bounds memory to this many answers, and is kind to the
/// system behind.
const CONCURRENCY_MAX: usize = 8;

/// When the call must have its answer; without one only the connection's `timeout_ms` holds.
pub type Deadline = Option<Instant>;

/// One configured HTTP system. Costs nothing until it is first asked.
pub struct Endpoint {
    name: String,
    base: Url,
    headers: HeaderMap,
    pub(crate) settings: Http,
    client: OnceCell<reqwest::Client>,
    slots: Semaphore,
}

/// One request, in full.
pub(crate) struct Outgoing<'a> {
    pub(crate) intent: Intent,
    pub(crate) method: Method,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
    pub(crate) deadline: Deadline,
    /// Whether what comes with HTTP 400 or 401 is an answer like any other.
    pub(crate) refusals: bool,
}

impl Endpoint {
    /// Takes a connection's name and address. Reads no secret, opens nothing.
    pub fn new(name: &str, settings: &Http) -> Result<Endpoint, OutboundError> {
        Ok(Endpoint {
            name: name.to_owned(),
            base: client::base(name, &settings.url)?,
            headers: client::headers(name, settings)?,
            settings: settings.clone(),
            client: OnceCell::new(),
            slots: Semaphore::new(CONCURRENCY_MAX),
        })
    }

    /// Reads with `GET`. `path` holds segments, `query` names and values; both are encoded here.
    pub async fn get_json<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<T, ToolError> {
        let intent = Intent::Read;
        self.send(Outgoing {
            intent,
            method: Method::GET,
            path,
            query,
            body: None,
            deadline,
            refusals: false,
        })
        .await
    }

    /// Reads with `POST` and a form, for questions too long for an address. Only for paths that change nothing.
    pub async fn post_form_read<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        form: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<T, ToolError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
        let (intent, method, query) = (Intent::Read, Method::POST, &[]);
        self.send(Outgoing { intent, method, path, query, body, deadline, refusals: false }).await
    }

    /// Asks an issuer of tokens with `POST` and a form, where a refusal (HTTP 400 or 401) is an answer that says why:
    /// <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>. What goes out and what comes back are secrets: neither stands
    /// in an error.
    pub async fn post_form_grant<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        form: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<T, ToolError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
        let (intent, method, query) = (Intent::Read, Method::POST, &[]);
        self.send(Outgoing { intent, method, path, query, body, deadline, refusals: true }).await
    }

    /// Writes with `POST` and JSON. Whoever calls it proves by `leave` that the intent is on record.
    pub async fn post_json<T: DeserializeOwned + Send + 'static>(
        &self,
        _leave: Leave<'_>,
        path: &[&str],
        body: &impl Serialize,
        deadline: Deadline,
    ) -> Result<T, ToolError> {
        self.write_json(path, body, deadline).await
    }

    /// Writes with `DELETE`; success is an empty answer or any JSON. Proof as for [`Endpoint::post_json`].
    pub async fn delete(
        &self,
        _leave: Leave<'_>,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<(), ToolError> {
        self.remove(path, deadline).await
    }

    /// The part of a deletion that needs no proof, so that it can be tested.
    pub(crate) async fn remove(&self, path: &[&str], deadline: Deadline) -> Result<(), ToolError> {
        let intent = Intent::Write;
        let (method, query, body) = (Method::DELETE, &[], None);
        let outgoing = Outgoing { intent, method, path, query, body, deadline, refusals: false };
        self.send::<IgnoredAny>(outgoing).await.map(|_| ())
    }

    /// The part of a write that needs no proof, so that it can be tested: only `policy` and `audit` make one.
    pub(crate) async fn write_json<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        body: &impl Serialize,
        deadline: Deadline,
    ) -> Result<T, ToolError> {
        let bytes = serde_json::to_vec(body).expect("bodies are plain data");
        let body = Some(("application/json", bytes));
        let (intent, method, query) = (Intent::Write, Method::POST, &[]);
        self.send(Outgoing { intent, method, path, query, body, deadline, refusals: false }).await
    }

    /// Sends under the nearer of the two time limits. Cancelling a read by dropping it closes its connection.
    async fn send<T: DeserializeOwned + Send + 'static>(
        &self,
        outgoing: Outgoing<'_>,
    ) -> Result<T, ToolError> {
        let timeout = Instant::now() + Duration::from_millis(self.settings.timeout_ms);
        let (end, limit) = match outgoing.deadline {
            Some(deadline) if deadline < timeout => (deadline, "before the call's deadline".to_owned()),
            _ => (timeout, format!("within {} ms", self.settings.timeout_ms)),
        };
        let intent = outgoing.intent;
        let sent = AtomicBool::new(false);
        match timeout_at(end, self.exchange(outgoing, &sent)).await {
            Ok(result) => result,
            // Nothing left this machine before `sent`, so a write surely did not happen.
            Err(_) if !sent.load(Ordering::Relaxed) => {
                Err(failure::unavailable(&self.name, format!("no free connection {limit}")))
            }
            Err(_) => Err(failure::lost(&self.name, intent, format!("no complete answer {limit}"))),
        }
    }

    async fn exchange<T: DeserializeOwned + Send + 'static>(
        &self,
        outgoing: Outgoing<'_>,
        sent: &AtomicBool,
    ) -> Result<T, ToolError> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let intent = outgoing.intent;
        let (may_be_empty, refusals) = (outgoing.method == Method::DELETE, outgoing.refusals);
        let address = self.address(outgoing.path, outgoing.query);
        let mut leaving = self.leaving(&outgoing.method);
        let (request, shown) = self.request(&address, outgoing).await.map_err(|it| self.unready(&it))?;
        let request = match leaving.traceparent() {
            Some(it) => request.header("traceparent", it),
            None => request,
        };
        sent.store(true, Ordering::Relaxed);
        let mut response =
            request.send().await.map_err(|it| failure::from_transport(&self.name, intent, &it))?;

        let status = response.status();
        leaving.answered(status.as_u16());
        tracing::debug!(connection = %self.name, path = address.path(), status = status.as_u16(), "answered");
        if status.is_redirection() {
            return Err(failure::redirect(&self.name, intent, &address, response.headers()));
        }
        let kind = Kind::of(&response);
        let answers = refusals && matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED)
            || status.is_success();
        if !answers {
            let body = match refusals {
                // It may repeat what was asked with, all of which is secret.
                true => Vec::new(),
                // Too long or broken: the status alone tells what to do.
                false => body::read(&mut response, ERROR_BYTES_MAX).await.unwrap_or_default(),
            };
            return Err(failure::from_status(&self.name, intent, status, &kind, &body, &shown));
        }
        let parsed = async {
            let mut body = body::read(&mut response, ANSWER_BYTES_MAX).await?;
            if may_be_empty && body.is_empty() {
                body = b"null".to_vec();
            }
            let kind = kind.with_length(body.len());
            body::json(kind, body).await
        };
        parsed.await.map_err(|it: BadBody| failure::lost(&self.name, intent, it.to_string()))
    }

    /// What telemetry is told of a request: nothing that arguments are in.
    fn leaving(&self, method: &Method) -> Leaving {
        leaving(&self.name, method.as_str(), self.base.host_str(), self.base.port_or_known_default())
    }

    pub(crate) async fn request(
        &self,
        address: &Url,
        outgoing: Outgoing<'_>,
    ) -> Result<(reqwest::RequestBuilder, Shown), Unready> {
        let client = self.client.get_or_try_init(|| async {
            let settings = self.settings.clone();
            tokio::task::spawn_blocking(move || client::make(&settings)).await.unwrap_or(Err(Unready::Client))
        });
        let mut request =
            client.await?.request(outgoing.method, address.clone()).headers(self.headers.clone());
        if let Some((kind, bytes)) = outgoing.body {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(kind)).body(bytes);
        }
        client::authorize(request, &self.settings)
    }

    fn unready(&self, problem: &Unready) -> ToolError {
        tracing::warn!(connection = %self.name, %problem, "cannot ask");
        failure::unavailable(&self.name, format!("{problem}; a person must correct the configuration"))
    }

    /// The configured address with segments appended. `.` and `..` would climb out of the configured path: dropped, also
    /// when they become such only because an address leaves out tabs and line ends.
    pub(crate) fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut address = self.base.clone();
        let climbs = |it: &str| matches!(it.replace(['\t', '\n', '\r'], "").as_str(), "." | "..");
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().extend(path.iter().filter(|it| !climbs(it)));
        }
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        address
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}
