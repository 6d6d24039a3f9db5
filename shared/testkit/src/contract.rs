//! Does a tool keep the rules of the house, and what do clients see of it?

mod page;
mod rules;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tool::{Bound, Definition, Effect};

use crate::tokens;

/// Most tokens that one definition may take on every request.
const DEFINITION_TOKENS_MAX: usize = 350;

/// What a tool answered, to show on its server's page.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Tool name.
    pub tool: &'static str,
    /// What it was asked.
    pub arguments: Value,
    /// What it told, the same in every run.
    pub text: String,
}

/// Checks the rules that all tools keep, and gives a page about them to compare with a snapshot: what it shows is what
/// clients see, so a change of the page is a change of the contract.
///
/// Panics with every broken rule.
pub fn contract(server: &str, definitions: &[&Definition]) -> String {
    contract_showing(server, definitions, &[])
}

/// The same, with answers for a reader to see.
pub fn contract_showing(server: &str, definitions: &[&Definition], answers: &[Answered]) -> String {
    let mut broken: Vec<String> = definitions.iter().flat_map(|it| rules::broken(it)).collect();
    let mut names = BTreeSet::new();
    for definition in definitions {
        let name = definition.name;
        if !names.insert(name) {
            broken.push(format!("{name}: is listed twice"));
        }
        let cost = tokens(&as_sent(definition).to_string());
        if cost > DEFINITION_TOKENS_MAX {
            let Definition { description, input, output, .. } = definition;
            let [arguments, answer] =
                [input, output].map(|it| tokens(&Value::Object(Map::clone(it)).to_string()));
            broken.push(format!(
                "{name}: takes {cost} tokens (description {}, arguments {arguments}, answer {answer}); at most \
                 {DEFINITION_TOKENS_MAX}: say less",
                tokens(description),
            ));
        }
    }
    assert!(broken.is_empty(), "{server} breaks rules:\n{}", broken.join("\n"));
    page::page(server, definitions, answers)
}

/// Parses every example as a call would, and checks that it names what it touches. Panics with every one that fails.
pub fn examples_parse(tools: &[Bound]) {
    let mut broken = Vec::new();
    for tool in tools {
        let name = tool.definition.name;
        for example in &tool.definition.examples {
            let Value::Object(arguments) = example.clone() else {
                broken.push(format!("{name}: an example is an object, got {example}"));
                continue;
            };
            match tool.parse(arguments).map(|it| it.targets()) {
                Ok(Ok(targets)) if targets.is_empty() => {
                    broken.push(format!("{name}: {example} touches nothing"))
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => broken.push(format!("{name}: {example}: {error}")),
                Err(error) => broken.push(format!("{name}: {example}: {error}")),
            }
        }
    }
    assert!(broken.is_empty(), "examples do not parse:\n{}", broken.join("\n"));
}

/// The definition as it goes over the wire and as a model is shown it, which is what it costs: without the words to search
/// by, which clients keep to themselves.
fn as_sent(definition: &Definition) -> Value {
    let read = definition.effect == Effect::Read;
    json!({
        "name": definition.name,
        "description": definition.description,
        "inputSchema": definition.input,
        "outputSchema": definition.output,
        "annotations": {
            "readOnlyHint": read,
            "destructiveHint": !matches!(definition.effect, Effect::Read | Effect::Propose),
            "idempotentHint": read,
            "openWorldHint": true,
        },
    })
}
