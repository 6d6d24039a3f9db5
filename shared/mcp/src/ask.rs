//! How is the person at the keyboard asked, in the client that they sit at?
//!
//! Only where policy wants their confirmation and nothing else, and where their client says that it shows forms. A client of
//! 2026-07-28 gets the form as the answer to its call, with a sealed state that it brings back; an older one is asked while
//! its call waits. What the form says is the gate's. A client may answer by itself, so what comes back confirms and never
//! approves; and whatever goes wrong leaves the call as unconfirmed as it was.

use std::sync::Arc;

use approval::{State, Voter};
use gate::{Gate, Person, Refusal, Reply, RunApproved, Say};
use jiff::Timestamp;
use policy::{Caller, Channel};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, ClientResult, ElicitRequest, ElicitRequestParams,
        ElicitResult, ElicitationAction, ElicitationSchema, InputRequest, InputRequests, InputRequiredResult,
        MetaObject, ProtocolVersion, ServerRequest,
    },
    service::{PeerRequestOptions, RequestContext},
};
use serde_json::{Map, Value, json};
use telemetry::Operation;
use tokio::time::Instant;
use tool::Tool as _;

use crate::{
    Server,
    describe::{meta, respond},
    request_state::{self, Binding, KEY_BYTES, Unfit},
};

/// A call of an established caller, and the client that sent it.
pub(crate) struct Incoming<'a> {
    pub(crate) server: &'a Server,
    pub(crate) gate: &'a Arc<Gate>,
    pub(crate) caller: Caller,
    pub(crate) channel: Channel,
    pub(crate) context: &'a RequestContext<RoleServer>,
    /// Under which name it is counted.
    pub(crate) tool: &'a str,
    /// What telemetry is told of it.
    pub(crate) operation: &'a Operation,
}

/// How a client is asked.
#[derive(Clone, Copy)]
enum Way {
    /// It gets the form as its answer, and calls again.
    Form,
    /// It is sent the form while its call waits.
    Elicitation,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    /// Nothing that is an answer.
    Nothing,
}

/// The form in an input-required result.
const FORM: &str = "confirm";
/// The one field of the form.
const FIELD: &str = "confirm";

impl Incoming<'_> {
    /// Carries the call out, and asks where that is what it lacks.
    pub(crate) async fn answer(&self, request: CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
        let last = Instant::now() + Gate::DEADLINE;
        let (tool, arguments) = (request.name.into_owned(), request.arguments.unwrap_or_default());
        let way = self.way();
        let needs_binding = way.is_some() || request.request_state.is_some();
        let of = needs_binding.then(|| Binding::of(&self.caller, &tool, &arguments)).flatten();
        if let Some(state) = request.request_state {
            // On the heap, as all that only some calls do: every call would be larger by it.
            match Box::pin(self.open(&state, of.as_ref())).await {
                Ok(approval) => {
                    let said = request.input_responses.and_then(|mut it| it.remove(FORM));
                    return respond(match said.map_or(Said::Nothing, Said::read) {
                        Said::Nothing => self.carry_out(tool, arguments).await,
                        said => Box::pin(self.settle(&approval, said)).await,
                    });
                }
                // Whoever took that long is asked again.
                Err(Unfit::Stale) => {}
                Err(unfit) => {
                    let problem = unfit.to_string();
                    self.gate.reject(&self.caller, self.channel, &problem).await;
                    return Err(ErrorData::invalid_params(problem, None));
                }
            }
        }
        let reply = self.carry_out(tool, arguments).await;
        let (Some(way), Some(of), Some(waiting)) = (way, of, unconfirmed(&reply)) else {
            return respond(reply);
        };
        match way {
            Way::Form => match Box::pin(self.seal(&waiting.id, &of)).await {
                Ok(state) => Ok(required(waiting, state, &reply).into()),
                Err(error) => {
                    tracing::error!(%error, "nobody could be asked in band");
                    respond(reply)
                }
            },
            Way::Elicitation => match Box::pin(self.elicit(waiting, last)).await {
                Said::Nothing => respond(reply),
                said => respond(Box::pin(self.settle(&waiting.id, said)).await),
            },
        }
    }

    /// How this client can be asked, if it says that it can.
    fn way(&self) -> Option<Way> {
        let elicits = self.context.client_capabilities()?.elicitation?;
        // Whoever names no kind shows forms.
        if elicits.form.is_none() && elicits.url.is_some() {
            return None;
        }
        let newest = self.context.protocol_version()? >= ProtocolVersion::V_2026_07_28;
        Some(if newest { Way::Form } else { Way::Elicitation })
    }

    /// Sends the form to a client whose call waits, no longer than calls may take.
    async fn elicit(&self, waiting: &approval::Request, last: Instant) -> Said {
        let request = ServerRequest::ElicitRequest(form(waiting));
        let asked = self.context.peer.send_cancellable_request(request, PeerRequestOptions::default()).await;
        let Ok(mut asked) = asked else { return Said::Nothing };
        let moot = tokio::select! {
            // Whoever gave up has not said yes, whatever came back at the same moment.
            biased;
            () = self.context.ct.cancelled() => "the call was cancelled",
            answer = &mut asked.rx => return match answer {
                Ok(Ok(ClientResult::ElicitResult(answer))) => Said::of(&answer),
                _ => Said::Nothing,
            },
            () = tokio::time::sleep_until(last) => "nobody answered in time",
        };
        // Whether it hears that the form is moot or not: an answer finds nobody any more.
        let _told = asked.cancel(Some(moot.to_owned())).await;
        Said::Nothing
    }

    /// Writes down what the person said, then does what may be done now: that stands in the store, and the gate looks there.
    async fn settle(&self, approval: &str, said: Said) -> Reply {
        let say = if said == Said::Yes { Say::Confirm } else { Say::Deny };
        if let Some(person) = self.person()
            && let Err(error) = self.gate.say(&person, approval, say, "in band").await
        {
            tracing::debug!(%error, approval, "what was said in band does not count");
        }
        let arguments = Map::from_iter([("approval".to_owned(), approval.into())]);
        self.carry_out(RunApproved::NAME.to_owned(), arguments).await
    }

    /// Whom the transport established this to be for. Their client says that they said something; nothing proves it.
    fn person(&self) -> Option<Person> {
        let name = self.caller.on_behalf_of.clone()?;
        let voter = Voter {
            subject: name.clone(),
            name,
            issuer: "client".to_owned(),
            assurance: self.caller.assurance,
            channel: self.channel,
        };
        Some(Person { voter, teams: self.caller.teams.clone(), client: None, authenticated_seconds: None })
    }

    async fn carry_out(&self, tool: String, arguments: Map<String, Value>) -> Reply {
        let request = gate::Request {
            caller: self.caller.clone(),
            channel: self.channel,
            client: self.context.client_info().map(|it| format!("{} {}", it.name, it.version)),
            tool,
            arguments,
            // A gate that has answered has no more use for it; whoever asks here still has.
            cancelled: self.context.ct.child_token(),
        };
        self.server.carry_out(self.gate, request, self.tool, self.operation).await
    }

    async fn seal(&self, approval: &str, of: &Binding) -> Result<String, Unfit> {
        request_state::seal(&self.key().await?, approval, of, Timestamp::now())
    }

    async fn open(&self, state: &str, of: Option<&Binding>) -> Result<String, Unfit> {
        request_state::open(&self.key().await?, state, of, Timestamp::now())
    }

    /// What every replica seals states with.
    async fn key(&self) -> Result<[u8; KEY_BYTES], Unfit> {
        // Where nothing waits for people, nothing was given out.
        let approvals = self.gate.approvals().ok_or(Unfit::Forged)?;
        Ok(approvals.store().await?.shared_secret("request-state").await?)
    }
}

impl Said {
    fn of(answer: &ElicitResult) -> Said {
        let field = answer.content.as_ref().and_then(|it| it.get(FIELD)).and_then(Value::as_bool);
        match (&answer.action, field) {
            (ElicitationAction::Accept, Some(true)) => Said::Yes,
            (ElicitationAction::Accept, Some(false)) | (ElicitationAction::Decline, _) => Said::No,
            _ => Said::Nothing,
        }
    }

    fn read(answer: Value) -> Said {
        serde_json::from_value(answer).map_or(Said::Nothing, |it| Said::of(&it))
    }
}

/// What waits for a confirmation, and for nothing and nobody else.
fn unconfirmed(reply: &Reply) -> Option<&approval::Request> {
    let Some(Refusal::NeedsApproval { needed, waiting: Some(waiting) }) = &reply.refusal else { return None };
    let confirms = needed.approvals == 0 && needed.confirmed && waiting.approvals == 0 && waiting.confirm;
    (confirms && waiting.state == State::Pending).then_some(waiting)
}

/// The answer that asks. It has the receipt of the refusal that it stands for.
fn required(waiting: &approval::Request, state: String, reply: &Reply) -> InputRequiredResult {
    let asked = InputRequests::from([(FORM.to_owned(), InputRequest::Elicitation(form(waiting)))]);
    let result = InputRequiredResult::new(Some(asked), Some(state));
    match meta(reply) {
        Some(about) => result.with_meta(MetaObject(about)),
        None => result,
    }
}

fn form(waiting: &approval::Request) -> ElicitRequest {
    let yes = json!({
        "type": "object",
        "properties": { FIELD: { "type": "boolean", "title": "Do exactly this, once" } },
        "required": [FIELD],
    });
    let requested_schema: ElicitationSchema = serde_json::from_value(yes).expect("a form of one field");
    ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: text(waiting),
        requested_schema,
    })
}

/// What the person reads. Masked like everything that leaves, but a line at a time: nothing that an agent writes into one
/// line takes another with it.
fn text(waiting: &approval::Request) -> String {
    let described = waiting.sealed.described();
    let lines: Vec<_> = described.lines().map(|it| gate::redact(it, false).0).collect();
    lines.join("\n")
}
