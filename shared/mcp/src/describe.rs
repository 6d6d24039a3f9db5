//! What clients see of a tool and of a reply.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use gate::{Refusal, Reply};
use policy::Effect;
use rmcp::{
    ErrorData,
    model::{CallToolResponse, CallToolResult, ContentBlock, MetaObject, Tool, ToolAnnotations, object},
};
use serde_json::{Map, Value, json};
use tool::Definition;

/// Where a client that loads tools by a search looks beside name and description; others pass over what they do not know.
const SEARCH_HINT: &str = "anthropic/searchHint";

/// A tool as clients see it. Every annotation is explicit: some clients run calls in parallel by them.
pub fn describe(tool: &Definition) -> Tool {
    let annotations = ToolAnnotations::new()
        .read_only(tool.effect == Effect::Read)
        .destructive(!matches!(tool.effect, Effect::Read | Effect::Propose))
        .idempotent(tool.effect == Effect::Read)
        .open_world(true);
    let described = Tool::new(tool.name, tool.description.clone(), tool.input.clone())
        .with_raw_output_schema(tool.output.clone())
        .with_annotations(annotations);
    match tool.search {
        "" => described,
        words => described.with_meta(MetaObject(object(json!({ SEARCH_HINT: words })))),
    }
}

/// Whether a tool that [`describe`] described changes nothing.
pub(crate) fn reads(tool: &Tool) -> bool {
    tool.annotations.as_ref().and_then(|it| it.read_only_hint) == Some(true)
}

/// A model can act on a tool error; a protocol error means that the server itself is unusable or the tool unknown.
pub(crate) fn respond(reply: Reply) -> Result<CallToolResponse, ErrorData> {
    match &reply.refusal {
        Some(Refusal::UnknownTool { .. }) => {
            return Err(ErrorData::invalid_params(message(&reply), meta(&reply).map(Value::Object)));
        }
        Some(Refusal::Unrecorded(_) | Refusal::OutcomeUnrecorded { .. }) => {
            return Err(ErrorData::internal_error(message(&reply), meta(&reply).map(Value::Object)));
        }
        _ => {}
    }
    let about = meta(&reply);
    let failed = reply.refusal.is_some();
    let mut text = reply.shaped.text;
    if let (true, Some(receipt)) = (reply.effect, &reply.receipt) {
        text.push_str(&format!("\nreceipt: {} #{}", receipt.log(), receipt.index()));
    }
    if let Some(warning) = &reply.warning {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    let mut content = vec![ContentBlock::text(text)];
    let image = reply.shaped.image.map(|it| ContentBlock::image(BASE64_STANDARD.encode(it.bytes), it.mime));
    content.extend(image);
    let mut result = match failed {
        false => CallToolResult::success(content),
        true => CallToolResult::error(content),
    };
    result.structured_content = Some(Value::Object(reply.shaped.structured));
    result.meta = about.map(MetaObject);
    Ok(result.into())
}

/// Why there is no result, masked and cleaned as everything that leaves: the refusal itself repeats what the client wrote.
fn message(reply: &Reply) -> String {
    let told = reply.shaped.structured.get("message").and_then(Value::as_str);
    told.unwrap_or("refused").to_owned()
}

/// The receipt, and which parts outsiders wrote.
pub(crate) fn meta(reply: &Reply) -> Option<Map<String, Value>> {
    let mut about = Map::new();
    if let Some(receipt) = &reply.receipt {
        about.insert("io.bailiwick/receipt".to_owned(), json!(receipt));
    }
    if !reply.shaped.untrusted.is_empty() {
        about.insert("io.bailiwick/untrusted".to_owned(), json!(reply.shaped.untrusted));
    }
    if let Some(warning) = &reply.warning {
        about.insert("io.bailiwick/warning".to_owned(), json!(warning));
    }
    (!about.is_empty()).then_some(about)
}
