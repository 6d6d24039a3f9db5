//! How do people decide over HTTP? `/approvals`, `/stops` and `/break-glass`, for whoever brings a person's token that may approve.
//!
//! Not MCP: no agent's client offers these to a model. What a person may say is decided by policy, and the request's own
//! rules come first: nobody approves what is done on their own behalf, and no agent's token approves what that agent asked for.

use std::sync::Arc;

use approval::{ActionScope, Request as Waiting, State as Stage, VoteRefused, Voter};
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing,
};
use gate::{AgreeRefused, Gate, Person, Say};
use identity::{Proven, Scopes, Verifier};
use jiff::Timestamp;
use policy::{Caller, Channel};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer,
    body::{self, Unread},
    challenge::{self, Resource},
    door, glass, origin,
    refusals::Refusals,
};

/// Where people decide.
pub(crate) struct Desk {
    verifier: Arc<Verifier>,
    resource: Resource,
    pub(super) gate: Arc<Gate>,
    pub(super) refusals: Refusals,
    /// Names by which this server is reached.
    hosts: Vec<String>,
    pub(super) in_flight: TaskTracker,
    stop: CancellationToken,
}

/// What a person adds to a word.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Remark {
    pub(super) comment: String,
}

/// An order to stop.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    reason: String,
    #[serde(default)]
    scope: ActionScope,
}

/// Which requests are listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    pub(super) all: bool,
}

/// Somebody who was let in.
pub(crate) struct Visitor {
    pub(crate) caller: Caller,
    pub(crate) person: Person,
}

/// Path of requests, and what tokens for people are for.
pub(crate) const PATH: &str = "/approvals";
/// Most requests that are listed.
const LISTED_MAX: u32 = 200;

/// Adds the desk to a router.
pub(crate) fn open(
    router: Router,
    base: &str,
    gate: &Arc<Gate>,
    verifier: &Arc<Verifier>,
    hosts: &[String],
    (in_flight, stop): (&TaskTracker, &CancellationToken),
) -> Router {
    let resource = Resource::at(base, PATH, "bailiwick-approvals");
    let about = Arc::new((resource.clone(), verifier.clone()));
    let desk = Arc::new(Desk {
        verifier: verifier.clone(),
        resource,
        gate: gate.clone(),
        refusals: Refusals::new(gate.clone()),
        hosts: hosts.to_vec(),
        in_flight: in_flight.clone(),
        stop: stop.clone(),
    });
    let own = Router::new()
        .route(PATH, routing::get(list))
        .route(&format!("{PATH}/{{id}}"), routing::get(show))
        .route(&format!("{PATH}/{{id}}/{{word}}"), routing::post(tell))
        .route("/stops", routing::get(stops).post(order))
        .route("/stops/{id}/resume", routing::post(resume))
        .merge(glass::routes())
        .with_state(desk);
    router
        .merge(own)
        .route(&challenge::metadata_path(PATH), routing::get(challenge::metadata).with_state(about))
}

async fn list(State(desk): State<Arc<Desk>>, which: Query<Which>, headers: HeaderMap) -> Response {
    let _here = desk.in_flight.token();
    if let Err(refused) = desk.let_in(&headers).await {
        return refused;
    }
    let open = [Stage::Pending, Stage::Approved, Stage::Reserved];
    let states = if which.all { &Stage::ALL[..] } else { &open[..] };
    match desk.gate.requests(states, LISTED_MAX).await {
        Ok(found) => {
            let listed: Vec<Value> = found.iter().map(Waiting::facts).collect();
            told(StatusCode::OK, &json!({ "approvals": listed, "most": LISTED_MAX }))
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "approvals_unavailable", &error.to_string()),
    }
}

async fn show(State(desk): State<Arc<Desk>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let _here = desk.in_flight.token();
    if let Err(refused) = desk.let_in(&headers).await {
        return refused;
    }
    let found = async {
        let approvals = desk.gate.approvals().ok_or(AgreeRefused::NoStore)?;
        let store = approvals.store().await.map_err(VoteRefused::Store)?;
        let found = store.request(&id, Timestamp::now()).await.map_err(VoteRefused::Store)?;
        found.ok_or_else(|| AgreeRefused::Vote(VoteRefused::Missing(id.chars().take(64).collect())))
    };
    match found.await {
        Ok(waiting) => told(StatusCode::OK, &waiting.facts()),
        Err(refused) => not_agreed(&refused),
    }
}

async fn tell(
    State(desk): State<Arc<Desk>>,
    Path((id, word)): Path<(String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let _here = desk.in_flight.token();
    let say = match word.as_str() {
        "approve" => Say::Approve,
        "deny" => Say::Deny,
        "revoke" => Say::Revoke,
        "break-glass" => Say::BreakGlass,
        _ => {
            let expected = "expected approve, deny, revoke or break-glass";
            return problem(StatusCode::NOT_FOUND, "not_found", expected);
        }
    };
    let (visitor, Remark { comment }) = match desk.hear(&headers, request, true).await {
        Ok(heard) => heard,
        Err(refused) => return refused,
    };
    match desk.gate.say(&visitor.person, &id, say, &comment).await {
        Ok(waiting) => told(StatusCode::OK, &waiting.facts()),
        Err(refused) => {
            desk.refusals.of(&visitor.caller, &format!("{word} {id}: {refused}")).await;
            not_agreed(&refused)
        }
    }
}

async fn stops(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let _here = desk.in_flight.token();
    if let Err(refused) = desk.let_in(&headers).await {
        return refused;
    }
    let Some(approvals) = desk.gate.approvals() else { return not_agreed(&AgreeRefused::NoStore) };
    let found = async { approvals.store().await?.stops().await };
    match found.await {
        Ok(stops) => {
            let all: Vec<Value> = stops.iter().map(approval::Stop::facts).collect();
            told(StatusCode::OK, &json!({ "stops": all }))
        }
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "approvals_unavailable", &error.to_string()),
    }
}

async fn order(State(desk): State<Arc<Desk>>, headers: HeaderMap, request: Request) -> Response {
    let _here = desk.in_flight.token();
    let (visitor, Order { reason, scope }) = match desk.hear(&headers, request, false).await {
        Ok(heard) => heard,
        Err(refused) => return refused,
    };
    if reason.trim().is_empty() {
        return problem(
            StatusCode::BAD_REQUEST,
            "invalid",
            "reason: expected why, for everybody who is refused",
        );
    }
    match desk.gate.stop(&visitor.person, scope, &reason).await {
        Ok((stop, voided)) => {
            let mut facts = stop.facts();
            facts["voided"] = json!(voided);
            told(StatusCode::CREATED, &facts)
        }
        Err(refused) => not_agreed(&refused),
    }
}

async fn resume(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let _here = desk.in_flight.token();
    let (visitor, Remark { .. }) = match desk.hear(&headers, request, true).await {
        Ok(heard) => heard,
        Err(refused) => return refused,
    };
    match desk.gate.resume(&visitor.person, &id).await {
        Ok(true) => told(StatusCode::OK, &json!({ "resumed": id })),
        Ok(false) => {
            let why = "no order of that name holds, or you gave it: another person lifts it";
            desk.refusals.of(&visitor.caller, &format!("resume {id}: {why}")).await;
            problem(StatusCode::FORBIDDEN, "refused", why)
        }
        Err(refused) => not_agreed(&refused),
    }
}

impl Desk {
    /// Who it is: a person, by a token of this very desk that may approve.
    pub(super) async fn let_in(&self, headers: &HeaderMap) -> Result<Visitor, Response> {
        if self.stop.is_cancelled() {
            return Err(problem(StatusCode::SERVICE_UNAVAILABLE, "stopping", "this server is stopping"));
        }
        if !origin::is_reached_by(headers, &self.hosts) {
            return Err(problem(StatusCode::FORBIDDEN, "host", "this server is not reached by that name"));
        }
        let Some(token) = door::bearer(headers) else {
            self.refusals.of_nobody("approvals: no token").await;
            return Err(self.resource.who_are_you());
        };
        let proven = match self.verifier.verify(token, &self.resource.url).await {
            Ok(proven) => proven,
            Err(error) => {
                self.refusals.of_nobody(&format!("approvals: {error}")).await;
                return Err(self.resource.not_believed(&error));
            }
        };
        let caller = proven.caller().clone();
        if !proven.scopes().approve {
            self.refusals.of(&caller, "approvals: the token lacks a scope").await;
            return Err(self.resource.not_enough(Scopes::APPROVE));
        }
        match Visitor::of(&proven) {
            Some(visitor) => Ok(visitor),
            None => {
                let why = "the token names no person, and only people decide";
                self.refusals.of(&caller, why).await;
                Err(problem(StatusCode::FORBIDDEN, "no_person", why))
            }
        }
    }

    /// Who it is and what they send. A body that is empty says nothing, where that is possible.
    pub(super) async fn hear<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        request: Request,
        maybe_empty: bool,
    ) -> Result<(Visitor, T), Response> {
        let visitor = self.let_in(headers).await?;
        let bytes = body::read(request.into_body()).await.map_err(|unread| {
            let code = if matches!(unread, Unread::Long) { "long_body" } else { "slow_body" };
            problem(unread.status(), code, &unread.to_string())
        })?;
        let text = if bytes.is_empty() && maybe_empty { &b"{}"[..] } else { &bytes[..] };
        let read = serde_json::from_slice(text);
        let body = read.map_err(|error| problem(StatusCode::BAD_REQUEST, "invalid", &error.to_string()))?;
        Ok((visitor, body))
    }
}

impl Visitor {
    /// The person whom a token names, if it names one.
    pub(crate) fn of(proven: &Proven) -> Option<Visitor> {
        let caller = proven.caller().clone();
        let voter = Voter {
            name: caller.on_behalf_of.clone()?,
            issuer: proven.issuer().to_owned(),
            subject: proven.subject()?.to_owned(),
            assurance: caller.assurance,
            channel: Channel::Http,
        };
        let person = Person {
            voter,
            teams: caller.teams.clone(),
            client: Some(caller.agent.clone()),
            authenticated_seconds: proven.authenticated_seconds(),
        };
        Some(Visitor { caller, person })
    }
}

/// How HTTP says that a word does not count.
pub(crate) fn status(refused: &AgreeRefused) -> (StatusCode, &'static str) {
    match refused {
        AgreeRefused::Vote(VoteRefused::Missing(_)) => (StatusCode::NOT_FOUND, "not_found"),
        AgreeRefused::Vote(VoteRefused::Closed { .. } | VoteRefused::Unwanted { .. }) => {
            (StatusCode::CONFLICT, "closed")
        }
        AgreeRefused::Vote(VoteRefused::Tired { .. }) => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        AgreeRefused::Vote(VoteRefused::Store(_)) | AgreeRefused::NoStore | AgreeRefused::Unrecorded(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        AgreeRefused::Glass(refused) => glass::status(refused),
        AgreeRefused::Vote(_) | AgreeRefused::Policy(_) | AgreeRefused::NotTheirs(_) => {
            (StatusCode::FORBIDDEN, "refused")
        }
    }
}

pub(super) fn not_agreed(refused: &AgreeRefused) -> Response {
    let (status, code) = status(refused);
    problem(status, code, &refused.to_string())
}

pub(super) fn told(status: StatusCode, facts: &Value) -> Response {
    answer::text(status, "application/json", Body::from(facts.to_string()))
}

pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    told(status, &json!({ "error": code, "message": message }))
}
