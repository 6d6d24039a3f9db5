//! What is telemetry told of a request? Names of ours, bounded ids, closed words, and where the record stands.

use gate::{Refusal, Reply};
use policy::Caller;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, ProtocolVersion},
    service::RequestContext,
    transport::common::http_header::HEADER_SESSION_ID,
};
use telemetry::{Asked, Called, Failure, Transport};

/// What is known of a request before it is carried out. `tool` is a name of ours, never what the client wrote.
pub(crate) fn asked(
    method: &'static str,
    tool: Option<&str>,
    caller: &Caller,
    transport: Transport,
    context: &RequestContext<RoleServer>,
) -> Asked {
    let parts = context.extensions.get::<axum::http::request::Parts>();
    let session = parts.and_then(|it| it.headers.get(HEADER_SESSION_ID)?.to_str().ok());
    let protocol = context.protocol_version().filter(|it| ProtocolVersion::KNOWN_VERSIONS.contains(it));
    Asked {
        method,
        tool: tool.map(str::to_owned),
        protocol: protocol.map(|it| it.as_str().to_owned()),
        session: session.map(str::to_owned),
        id: Some(context.id.to_string()),
        transport,
        parent: context.meta.get_traceparent().map(str::to_owned),
        state: context.meta.get_tracestate().map(str::to_owned),
        agent: Some(caller.agent.clone()),
    }
}

/// How the gate dealt with a call.
pub(crate) fn called(reply: &Reply) -> Called {
    let decided = reply.decided.clone();
    Called {
        server: decided.server,
        effect: decided.effect,
        decision: decided.decision,
        policies: decided.policies,
        ended: reply.refusal.as_ref().map_or("ok", Refusal::code),
        record: reply.receipt.as_ref().map(|it| (it.log().to_owned(), it.index())),
    }
}

/// Why a call has no result, if it has none.
pub(crate) fn failure(answer: &Result<CallToolResponse, ErrorData>) -> Option<Failure> {
    match answer {
        Err(error) => Some(Failure::Protocol(error.code.0)),
        Ok(CallToolResponse::Complete(it)) if it.is_error == Some(true) => Some(Failure::Tool),
        Ok(_) => None,
    }
}
