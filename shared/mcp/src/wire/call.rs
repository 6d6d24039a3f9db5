//! How is the commonest message read? A tool call with nothing unusual in it, in one step: the SDK tries every kind of message
//! on a copy of its parts. What is not exactly this is left to the SDK, which then says what it is or what is wrong with it.

use rmcp::{
    RoleServer,
    model::{
        CallToolRequest, CallToolRequestMethod, CallToolRequestParams, ClientRequest, ConstString as _,
        JsonObject, JsonRpcMessage, MetaObject, RequestId, RequestMetaObject,
    },
    service::RxJsonRpcMessage,
};
use serde::Deserialize;

/// `rest` is what there should be nothing of. It also takes objects only: without it, lists of the fields in order would do.
#[derive(Deserialize)]
struct Plain<'a> {
    jsonrpc: &'a str,
    id: RequestId,
    method: &'a str,
    params: Params,
    #[serde(flatten)]
    rest: JsonObject,
}

#[derive(Deserialize)]
struct Params {
    _meta: Option<JsonObject>,
    name: String,
    arguments: Option<JsonObject>,
    #[serde(flatten)]
    rest: JsonObject,
}

/// The message, if it is a plain tool call.
pub(super) fn read(line: &[u8]) -> Option<RxJsonRpcMessage<RoleServer>> {
    let plain: Plain = serde_json::from_slice(line).ok()?;
    let Params { _meta, name, arguments, rest } = plain.params;
    let called = plain.jsonrpc == "2.0" && plain.method == CallToolRequestMethod::VALUE;
    if !(called && plain.rest.is_empty() && rest.is_empty()) {
        return None;
    }
    let mut params = CallToolRequestParams::new(name);
    params.arguments = arguments;
    let mut request = CallToolRequest::new(params);
    if let Some(meta) = _meta {
        request.extensions.insert(RequestMetaObject(MetaObject(meta)));
    }
    Some(JsonRpcMessage::request(ClientRequest::CallToolRequest(request), plain.id))
}

#[cfg(test)]
mod tests {
    use rmcp::model::GetMeta as _;
    use serde_json::json;

    use super::*;

    /// What a message says, its metadata among it.
    fn told(message: RxJsonRpcMessage<RoleServer>) -> String {
        let JsonRpcMessage::Request(mut it) = message else { panic!("no request") };
        let meta = std::mem::take(it.request.get_meta_mut());
        format!("{:?} {:?} {}", it.id, meta, serde_json::to_value(&it.request).unwrap())
    }

    #[test]
    fn a_plain_call_is_what_the_sdk_reads() {
        let meta = json!({ "progressToken": 7, "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        for (id, params) in [
            (json!(1), json!({ "name": "read_file" })),
            (json!(-1), json!({ "name": "read_file", "arguments": null })),
            (
                json!("a"),
                json!({ "name": "a\n\u{1f600}", "arguments": { "x": [1, 2.5, { "y": null }], "z": "\"" } }),
            ),
            (json!(i64::MAX), json!({ "name": "", "arguments": {}, "_meta": meta })),
            (json!(2), json!({ "name": "read_file", "_meta": null })),
        ] {
            let line =
                json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string();
            let by_sdk = serde_json::from_str::<RxJsonRpcMessage<RoleServer>>(&line).unwrap();
            let read = read(line.as_bytes()).unwrap_or_else(|| panic!("{line} was left to the SDK"));
            assert_eq!(told(read), told(by_sdk), "{line}");
        }
    }

    #[test]
    fn anything_else_is_left_to_the_sdk() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","requestState":"s"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","name":"y"}}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#,
            r#"["2.0",1,"tools/call",{"name":"x"}]"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[null,"x",null]}"#,
        ] {
            assert!(read(line.as_bytes()).is_none(), "{line}");
        }
    }
}
