//! What must hold before a request reaches the SDK? In this order: that we are not leaving, who calls, whose session it
//! is, and a body that is small and comes in time. The SDK then checks `Host`, `Origin`, and that headers and body agree.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use gate::Gate;
use hyper::body::{Body as _, Frame};
use identity::Scopes;
use policy::Caller;
use rmcp::{
    ServerHandler,
    transport::{common::http_header::HEADER_SESSION_ID, streamable_http_server::StreamableHttpService},
};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::{
    Callers, answer,
    challenge::Resource,
    listen::Peer,
    refusals::Refusals,
    sessions::{Owner, Sessions},
};
use crate::{
    Metrics,
    wire::{Bad, bad},
};

/// Largest body, as large as a line may be on standard input.
pub(crate) const BODY_BYTES_MAX: usize = crate::wire::LINE_BYTES_MAX;
/// Longest wait for a body, however it trickles.
const BODY_MAX: Duration = Duration::from_secs(10);
/// Most of an answer that refuses which is read to say why.
const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// A client that is told to come back should find another replica.
const RETRY_AFTER_SECONDS: &str = "5";

/// The way into one site.
pub(crate) struct Door<S> {
    pub(crate) word: String,
    pub(crate) callers: Callers,
    pub(crate) resource: Resource,
    /// Names of tools that do more than read.
    pub(crate) effects: BTreeSet<String>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) refusals: Refusals,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) service: StreamableHttpService<S, Sessions>,
    pub(crate) in_flight: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: Arc<Metrics>,
}

/// Who sent a request, established here and nowhere else. The handler finds it beside the request.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) caller: Caller,
    pub(crate) scopes: Scopes,
}

/// Why a request goes no further.
struct Refused {
    response: Box<Response>,
    why: &'static str,
    problem: String,
}

/// As much of a message as the door has to know.
#[derive(Default, Deserialize)]
struct Peek {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Option<Value>,
}

/// Any request to the path of a site.
pub(crate) async fn enter<S: ServerHandler>(State(door): State<Arc<Door<S>>>, request: Request) -> Response {
    let response = door.let_in(request).await;
    door.metrics.answered(&door.word, response.status().as_u16());
    response
}

impl<S: ServerHandler> Door<S> {
    async fn let_in(&self, request: Request) -> Response {
        // Taken before the look at `stop`, so that whoever waits for the last one cannot miss it.
        let token = self.in_flight.token();
        if self.stop.is_cancelled() {
            self.metrics.refused(&self.word, "stopping");
            let problem = "this server is stopping; try again in a moment";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return answer::refuse_with(status, problem, header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        let peer = request.extensions().get::<Peer>().copied();
        let who = match self.identify(request.headers(), peer).await {
            Ok(who) => who,
            Err(refused) => {
                let from = match peer {
                    Some(Peer::Address(it)) => format!(" (from {})", it.ip()),
                    Some(Peer::User(_)) | None => String::new(),
                };
                self.refusals.of_nobody(&format!("{}{from}", refused.problem)).await;
                return self.refused(refused);
            }
        };
        match self.check(&who, request).await {
            Err(refused) => {
                self.refusals.of(&who.caller, &refused.problem).await;
                self.refused(refused)
            }
            Ok(request) => {
                let posted = request.method() == Method::POST;
                let response = self.service.handle(request).await.map(Body::new);
                if let Some(id) = session(response.headers()) {
                    self.sessions.own(id, Owner::of(&who.caller));
                }
                let response = self.note(&who, response).await;
                match posted {
                    true => response.map(|inner| Body::new(Tracked { inner, _token: token })),
                    // A stream of notifications lasts as long as its session: nobody waits for it.
                    false => response,
                }
            }
        }
    }

    /// Who calls. Never from what the message or a plain header says.
    async fn identify(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<Who, Refused> {
        let scopes = Scopes { read: true, act: true, approve: false };
        let verifier = match &self.callers {
            Callers::Unproven(caller) => return Ok(Who { caller: caller.clone(), scopes }),
            Callers::Users(caller) => {
                let Some(Peer::User(user)) = peer else {
                    let problem = "the operating system does not say whose connection this is";
                    return Err(Refused::of(StatusCode::FORBIDDEN, "no_user", problem));
                };
                return Ok(Who { caller: caller(user), scopes });
            }
            Callers::Proven(verifier) => verifier,
        };
        let Some(token) = bearer(headers) else {
            let (response, problem) = (Box::new(self.resource.who_are_you()), "no token".to_owned());
            return Err(Refused { response, why: "no_token", problem });
        };
        match verifier.verify(token, &self.resource.url).await {
            Ok(proven) => Ok(Who { caller: proven.caller().clone(), scopes: proven.scopes() }),
            Err(error) => {
                let (response, problem) = (Box::new(self.resource.not_believed(&error)), error.to_string());
                Err(Refused { response, why: "token", problem })
            }
        }
    }

    /// Refuses what the token's scopes do not reach. The handler looks again: it knows the tool for certain.
    fn within_scopes(&self, who: &Who, peek: &Peek) -> Result<(), Refused> {
        let acts = peek.method.as_deref() == Some("tools/call")
            && peek.tool().is_some_and(|it| self.effects.contains(it) && !self.gate.hides(&who.caller, it));
        let (needed, enough) = match acts {
            false => (Scopes::READ.to_owned(), who.scopes.read),
            true => (format!("{} {}", Scopes::READ, Scopes::ACT), who.scopes.read && who.scopes.act),
        };
        match enough {
            true => Ok(()),
            false => Err(Refused {
                response: Box::new(self.resource.not_enough(&needed)),
                why: "scope",
                problem: format!("the token lacks a scope; needed: {needed}"),
            }),
        }
    }

    /// Everything else that must hold, and the request as the SDK gets it.
    async fn check(&self, who: &Who, request: Request) -> Result<Request, Refused> {
        let owner = Owner::of(&who.caller);
        if let Some(id) = session(request.headers())
            && !self.sessions.is_of(id, &owner)
        {
            // As if there were none: whether there is one is nobody else's business.
            let problem = "no such session of this caller; begin another with initialize";
            return Err(Refused::of(StatusCode::NOT_FOUND, "session", problem));
        }
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(who.clone());
        if parts.method != Method::POST {
            self.within_scopes(who, &Peek::default())?;
            return Ok(Request::from_parts(parts, Body::empty()));
        }
        let read = tokio::time::timeout(BODY_MAX, read(body)).await;
        let slow = |_| {
            let problem = format!("body not complete within {} s", BODY_MAX.as_secs());
            Refused::of(StatusCode::REQUEST_TIMEOUT, "slow_body", &problem)
        };
        let bytes = read.map_err(slow)??;
        let peek = Peek::at(&bytes).map_err(|error| Refused::message(bad(&bytes, &error)))?;
        self.within_scopes(who, &peek)?;
        if peek.method.as_deref() == Some("initialize") && !self.sessions.has_room(&owner) {
            let problem = "too many sessions are open; end some with DELETE, or use protocol 2026-07-28, which has none";
            return Err(Refused::of(StatusCode::SERVICE_UNAVAILABLE, "sessions", problem));
        }
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    /// Records what the SDK refused, with its own words.
    async fn note(&self, who: &Who, response: Response) -> Response {
        let status = response.status();
        // A method that there is not is not recorded on standard input either.
        if !status.is_client_error() || status == StatusCode::METHOD_NOT_ALLOWED {
            return response;
        }
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if said["error"]["code"] != -32601 {
            let told = said["error"]["message"].as_str().map(str::to_owned);
            let told = told.unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
            self.metrics.refused(&self.word, "protocol");
            self.refusals.of(&who.caller, &format!("HTTP {}: {told}", status.as_u16())).await;
        }
        Response::from_parts(parts, Body::from(bytes))
    }

    fn refused(&self, refused: Refused) -> Response {
        self.metrics.refused(&self.word, refused.why);
        *refused.response
    }
}

impl Peek {
    /// Looks at a body. A list would pass for an object whose parts come in order.
    fn at(bytes: &[u8]) -> serde_json::Result<Peek> {
        match bytes.trim_ascii_start().starts_with(b"[") {
            true => Err(serde::de::Error::custom("a list is no message")),
            false => serde_json::from_slice(bytes),
        }
    }

    /// The tool that a message calls, if it says one.
    fn tool(&self) -> Option<&str> {
        self.params.as_ref()?.get("name")?.as_str()
    }
}

/// The token of a request: one, in the one header where it belongs.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (given.next()?, given.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Refused {
    fn of(status: StatusCode, why: &'static str, problem: &str) -> Refused {
        Refused { response: Box::new(answer::refuse(status, problem)), why, problem: problem.to_owned() }
    }

    fn message(bad: Bad) -> Refused {
        let error = serde_json::json!({ "code": bad.code, "message": bad.problem });
        let message = serde_json::json!({ "jsonrpc": "2.0", "id": bad.id, "error": error });
        let response = answer::text(StatusCode::BAD_REQUEST, "application/json", message.to_string());
        Refused { response: Box::new(response), why: "message", problem: bad.problem }
    }
}

/// The session that a request is of, or that an answer begins.
fn session(headers: &HeaderMap) -> Option<&str> {
    // What is no text is the name of no session, and of nobody's.
    headers.get(HEADER_SESSION_ID).map(|it| it.to_str().unwrap_or_default())
}

async fn read(mut body: Body) -> Result<Bytes, Refused> {
    let too_long = || {
        let problem = format!("body longer than {BODY_BYTES_MAX} bytes; send less");
        Refused::of(StatusCode::PAYLOAD_TOO_LARGE, "long_body", &problem)
    };
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let broken = |_| Refused::of(StatusCode::BAD_REQUEST, "broken_body", "the body broke off");
        if let Ok(piece) = frame.map_err(broken)?.into_data() {
            if bytes.len() + piece.len() > BODY_BYTES_MAX {
                return Err(too_long());
            }
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes.into())
}

/// An answer on its way: until all of it has left, the server does not.
struct Tracked {
    inner: Body,
    _token: TaskTrackerToken,
}

impl hyper::body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.inner.size_hint()
    }
}
