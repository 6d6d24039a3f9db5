//! Fixtures that require input before they answer: <https://modelcontextprotocol.io/specification/2026-07-28>, SEP-2322.

use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InputResponses,
        RequestMetaObject, RequestStateCodec,
    },
};
use serde_json::{Value, json};

use super::fixtures::Fixtures;

/// A fixture whose answer waits for one input, and what it reads from that.
const SIMPLE: [(&str, &str, &str); 3] = [
    ("test_input_required_result_elicitation", "user_name", "/content/name"),
    ("test_input_required_result_sampling", "capital_question", "/content/text"),
    ("test_input_required_result_list_roots", "client_roots", "/roots/0/uri"),
];

/// An input that the client gave; what is no object counts as none.
pub(crate) fn given(responses: Option<&InputResponses>, name: &str) -> Option<Value> {
    responses?.get(name).filter(|it| it.is_object()).cloned()
}

pub(crate) fn call(
    fixtures: &Fixtures,
    codec: &RequestStateCodec,
    request: CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Result<CallToolResponse, ErrorData> {
    let responses = request.input_responses.as_ref();
    let require = |names: &[&str], state| Ok(fixtures.require(names, state).into());
    if let Some((_, name, read)) = SIMPLE.iter().find(|it| it.0 == request.name) {
        return match given(responses, name) {
            Some(given) => {
                let read = given.pointer(read).and_then(Value::as_str).unwrap_or("nothing");
                Ok(text(&format!("Hello, {read}!")))
            }
            None => require(&[name], None),
        };
    }
    let seal = |state: Value| {
        codec.seal_json(&state).map(Some).map_err(|error| ErrorData::internal_error(error.to_string(), None))
    };
    // What comes back is anybody's word until it opens.
    let state: Option<Value> = match request.request_state.as_deref() {
        None => None,
        Some(sealed) => {
            let wrong = |_| ErrorData::invalid_params("requestState failed integrity verification", None);
            Some(codec.open_json(sealed).map_err(wrong)?)
        }
    };
    match &*request.name {
        "test_streaming_elicitation" => require(&["streaming_elicitation"], None),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match state {
                Some(_) => Ok(text("Confirmed: state-ok")),
                None => require(&["confirm"], seal(json!({ "stage": "confirm" }))?),
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let names = ["user_name", "greeting", "client_roots"];
            match state.is_some() && names.iter().all(|it| given(responses, it).is_some()) {
                true => Ok(text("All inputs received")),
                false => require(&names, seal(json!({ "stage": "gather" }))?),
            }
        }
        "test_input_required_result_multi_round" => match state.and_then(|it| it["round"].as_i64()) {
            None => require(&["step1"], seal(json!({ "round": 1 }))?),
            Some(1) => require(&["step2"], seal(json!({ "round": 2 }))?),
            Some(_) => Ok(text("Multi-round flow complete")),
        },
        "test_input_required_result_capabilities" => {
            if responses.is_some() {
                return Ok(text("Capability-aware flow complete"));
            }
            let can = meta.client_capabilities().unwrap_or_default();
            let names = [
                ("user_name", can.elicitation.is_some()),
                ("greeting", can.sampling.is_some()),
                ("client_roots", can.roots.is_some()),
            ];
            let names: Vec<&str> = names.into_iter().filter(|it| it.1).map(|it| it.0).collect();
            match names.as_slice() {
                [] => Ok(text("the client can give no input")),
                names => require(names, None),
            }
        }
        name => Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
    }
}

fn text(text: &str) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}
