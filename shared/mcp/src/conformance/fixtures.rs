//! The fixtures, as they stand in `fixtures.json`.

use std::collections::HashMap;

use rmcp::model::{
    CallToolResult, GetPromptResult, InputRequests, InputRequiredResult, Prompt, Resource, ResourceContents,
    ResourceTemplate, Tool,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Everything that the suite looks for.
#[derive(Deserialize)]
pub(crate) struct Fixtures {
    #[serde(deserialize_with = "tools")]
    pub(crate) tools: Vec<Tool>,
    /// What tools always answer.
    pub(crate) answers: HashMap<String, CallToolResult>,
    /// What tools ask a user for.
    pub(crate) asked: HashMap<String, Value>,
    /// Inputs that tools and prompts require.
    required: Map<String, Value>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) templates: Vec<ResourceTemplate>,
    contents: HashMap<String, ResourceContents>,
    pub(crate) prompts: Vec<Prompt>,
    /// What prompts always say.
    pub(crate) messages: HashMap<String, GetPromptResult>,
}

impl Fixtures {
    pub(crate) fn read() -> Fixtures {
        serde_json::from_str(include_str!("fixtures.json")).expect("a test reads the committed fixtures")
    }

    pub(crate) fn contents(&self, uri: &str) -> Option<ResourceContents> {
        if let Some(contents) = self.contents.get(uri) {
            return Some(contents.clone());
        }
        let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
        let text =
            json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string();
        let contents = json!({ "uri": uri, "mimeType": "application/json", "text": text });
        serde_json::from_value(contents).ok()
    }

    /// Inputs, by their names.
    pub(crate) fn inputs(&self, names: &[&str]) -> InputRequests {
        let wanted = names.iter().filter_map(|it| Some(((*it).to_owned(), self.required.get(*it)?.clone())));
        let wanted = Value::Object(wanted.collect());
        serde_json::from_value(wanted).expect("a test reads the committed fixtures")
    }

    /// A result that requires inputs, with what the client has to bring back.
    pub(crate) fn require(&self, names: &[&str], state: Option<String>) -> InputRequiredResult {
        InputRequiredResult::new(Some(self.inputs(names)), state)
    }
}

/// A prompt of one message.
pub(crate) fn prompt(text: &str) -> GetPromptResult {
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    serde_json::from_value(json!({ "resultType": "complete", "messages": [message] })).expect("plain data")
}

/// Most tools take nothing.
fn tools<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Tool>, D::Error> {
    let mut tools = Vec::<Map<String, Value>>::deserialize(deserializer)?;
    for tool in &mut tools {
        tool.entry("inputSchema").or_insert_with(|| json!({ "type": "object", "properties": {} }));
    }
    let tools = Value::Array(tools.into_iter().map(Value::Object).collect());
    serde_json::from_value(tools).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_fixtures_are_what_the_protocol_knows() {
        let fixtures = Fixtures::read();
        let names: Vec<&str> = fixtures.required.keys().map(String::as_str).collect();
        assert_eq!(fixtures.inputs(&names).len(), names.len());
        assert!(fixtures.contents("test://template/7/data").is_some());
        assert!(fixtures.contents("test://nothing").is_none());
    }
}
