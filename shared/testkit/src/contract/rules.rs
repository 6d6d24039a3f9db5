//! Which rules does every tool keep?

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tool::{Definition, Effect};

use crate::{problems, tokens};

/// Longest name: what some clients leave of 64 characters after their own prefix.
const NAME_MAX: usize = 40;
/// Of the words to search by. Clients search them and keep them from the model, so they are no part of a definition's
/// cost; a client that did show them beside its list of names would pay this for each.
const SEARCH_TOKENS_MAX: usize = 24;

/// What is wrong with a definition, each with the tool's name and what would be right.
pub(super) fn broken(definition: &Definition) -> Vec<String> {
    let mut broken = Vec::new();
    about_name(definition, &mut broken);
    about_search(definition, &mut broken);
    about_effect(definition, &mut broken);
    about_arguments(definition, &mut broken);
    about_answer(definition, &mut broken);
    about_examples(definition, &mut broken);
    broken.into_iter().map(|it| format!("{}: {it}", definition.name)).collect()
}

fn about_name(definition: &Definition, broken: &mut Vec<String>) {
    let name = definition.name;
    let words: Vec<&str> = name.split('_').collect();
    let word =
        |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    if words.len() < 2 || !words.iter().all(word) || !name.starts_with(|it: char| it.is_ascii_lowercase()) {
        broken.push("name it verb_noun, of a-z, 0-9 and _".to_owned());
    }
    if name.len() > NAME_MAX {
        broken.push(format!("name it with at most {NAME_MAX} characters"));
    }
    if definition.description.trim().is_empty() {
        broken.push("document the arguments struct: that is the description".to_owned());
    }
}

/// Hints are found besides name and description, so a word that stands there is wasted.
fn about_search(definition: &Definition, broken: &mut Vec<String>) {
    let hint = definition.search;
    if hint.is_empty() {
        broken.push("give `SEARCH` a few words by which a person would look for it".to_owned());
    }
    let cost = tokens(hint);
    if cost > SEARCH_TOKENS_MAX {
        broken.push(format!("`SEARCH` takes {cost} tokens; at most {SEARCH_TOKENS_MAX}"));
    }
    let split = |it: &str| -> BTreeSet<String> {
        let words = it.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let said = &split(definition.name) | &split(&definition.description);
    for word in split(hint).intersection(&said) {
        broken.push(format!("`SEARCH`: `{word}` stands in its name or description already"));
    }
}

fn about_effect(definition: &Definition, broken: &mut Vec<String>) {
    match (definition.effect, definition.undo) {
        (Effect::Mitigate, None) => broken.push("a mitigation declares its undo".to_owned()),
        (Effect::Read | Effect::Propose | Effect::Destroy, Some(_)) => {
            broken.push("only a mitigation declares an undo".to_owned());
        }
        _ => {}
    }
    let argument = |name: &str| definition.input.get("properties").and_then(|it| it.get(name));
    let required = definition.input.get("required").and_then(Value::as_array);
    let requires = |name: &str| required.is_some_and(|it| it.iter().any(|it| it == name));
    if definition.effect == Effect::Read {
        if argument("dry_run").is_some() {
            broken.push("a read has no `dry_run`".to_owned());
        }
        return;
    }
    match argument("reason") {
        Some(reason) if requires("reason") && reason.get("minLength").and_then(Value::as_u64) > Some(0) => {}
        _ => broken.push("a write takes a `reason`, required and not empty".to_owned()),
    }
    match argument("dry_run") {
        Some(dry_run) if dry_run.get("type") == Some(&Value::from("boolean")) && !requires("dry_run") => {}
        _ => broken.push("a write takes `dry_run`, a boolean with a default".to_owned()),
    }
}

fn about_arguments(definition: &Definition, broken: &mut Vec<String>) {
    about_schema("arguments", &definition.input, broken);
    closed("arguments", &definition.input, broken);
    for (name, schema) in properties(&definition.input) {
        let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        if said.trim().is_empty() {
            broken.push(format!("document the argument `{name}`"));
        }
        // One client drops these from the schema, so that only the words are left.
        for word in ["minimum", "maximum", "default"] {
            let value = schema.get(word).filter(|it| !matches!(it, Value::Bool(false) | Value::Array(_)));
            let value = value.map(|it| it.to_string().trim_matches('"').to_owned());
            if value.is_some_and(|it| !said.contains(&it)) {
                broken.push(format!("say the {word} of `{name}` in its description too"));
            }
        }
        if let Some(path) = float(schema) {
            broken.push(format!("`{name}{path}` is a float: take a whole number or a decimal as text"));
        }
    }
}

fn about_answer(definition: &Definition, broken: &mut Vec<String>) {
    about_schema("answer", &definition.output, broken);
    if definition.output.get("type") != Some(&Value::from("object")) {
        broken.push("an answer is an object".to_owned());
    }
}

fn about_examples(definition: &Definition, broken: &mut Vec<String>) {
    if definition.examples.is_empty() {
        broken.push("give an example".to_owned());
    }
    for example in &definition.examples {
        for problem in problems(&definition.input, example) {
            broken.push(format!("the example {example} does not fit the schema: {problem}"));
        }
    }
}

/// What clients stumble over, anywhere in a schema.
fn about_schema(path: &str, schema: &Map<String, Value>, broken: &mut Vec<String>) {
    for word in ["$schema", "$ref", "$defs", "title"] {
        if schema.contains_key(word) {
            broken.push(format!("{path}: `{word}` is noise to clients, inline it or leave it out"));
        }
    }
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if ["uint", "int", "float", "double"].iter().any(|it| format.starts_with(it)) {
        broken.push(format!("{path}: format `{format}` is none of JSON Schema's"));
    }
    for (name, child) in children(schema) {
        about_schema(&format!("{path}.{name}"), child, broken);
    }
}

/// Unknown arguments are refused at every depth.
fn closed(path: &str, schema: &Map<String, Value>, broken: &mut Vec<String>) {
    let refuses = |it: &Value| it == &Value::Bool(false) || it.is_object();
    if schema.contains_key("properties") && !schema.get("additionalProperties").is_some_and(refuses) {
        broken.push(format!("{path}: deny unknown fields"));
    }
    for (name, child) in children(schema) {
        closed(&format!("{path}.{name}"), child, broken);
    }
}

fn float(schema: &Value) -> Option<String> {
    let schema = schema.as_object()?;
    let number = |it: &Value| it == "number";
    let kind = schema.get("type")?;
    if number(kind) || kind.as_array().is_some_and(|it| it.iter().any(number)) {
        return Some(String::new());
    }
    let deeper = |(name, child): (String, &Map<String, Value>)| {
        float(&Value::Object(child.clone())).map(|it| format!(".{name}{it}"))
    };
    children(schema).into_iter().find_map(deeper)
}

fn properties(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Schemas inside a schema; a property called `title` is one, the keyword `title` is not.
fn children(schema: &Map<String, Value>) -> Vec<(String, &Map<String, Value>)> {
    let mut found: Vec<(String, &Map<String, Value>)> =
        properties(schema).filter_map(|(name, it)| Some((name.clone(), it.as_object()?))).collect();
    for word in ["items", "additionalProperties", "propertyNames", "not"] {
        found.extend(schema.get(word).and_then(Value::as_object).map(|it| (word.to_owned(), it)));
    }
    for word in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        let choices = schema.get(word).and_then(Value::as_array).into_iter().flatten();
        found.extend(choices.filter_map(Value::as_object).map(|it| (word.to_owned(), it)));
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    pub(in crate::contract) fn definition() -> Definition {
        let object = |it: Value| Arc::new(it.as_object().cloned().expect("an object"));
        Definition {
            name: "restart_thing",
            description: "Restarts a thing.".to_owned(),
            effect: Effect::Mitigate,
            undo: Some(tool::Undo::Compensating),
            profile: tool::Profile::Default,
            search: "reboot, bounce",
            input: object(json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["reason"],
                "properties": {
                    "reason": { "type": "string", "minLength": 1, "description": "Why." },
                    "dry_run": { "type": "boolean", "default": false, "description": "Only say what it would do." },
                    "title": { "type": "string", "description": "An argument may be called so." },
                },
            })),
            output: object(json!({ "type": "object", "properties": {} })),
            facts: vec![("state".to_owned(), "How it stands.".to_owned())],
            examples: vec![json!({ "reason": "it hangs" })],
            untrusted_facts: &[],
        }
    }

    #[test]
    fn a_tool_that_keeps_the_rules_is_left_alone() {
        assert_eq!(broken(&definition()), Vec::<String>::new());
    }

    #[test]
    fn every_broken_rule_is_named() {
        let with = |change: fn(&mut Definition)| {
            let mut definition = definition();
            change(&mut definition);
            broken(&definition).join("\n")
        };
        let broken = [
            (with(|it| it.name = "restart"), "verb_noun"),
            (with(|it| it.name = "restart_"), "verb_noun"),
            (with(|it| it.search = ""), "give `SEARCH`"),
            (with(|it| it.search = "bounce a Thing"), "`thing` stands in its name or description"),
            (with(|it| it.undo = None), "declares its undo"),
            (with(|it| it.effect = Effect::Read), "no `dry_run`"),
            (with(|it| it.description.clear()), "document the arguments struct"),
            (with(|it| it.examples.clear()), "give an example"),
            (with(|it| it.examples[0] = json!({ "raeson": "x" })), "does not fit the schema"),
            (
                with(|it| drop(Arc::make_mut(&mut it.input).remove("additionalProperties"))),
                "deny unknown fields",
            ),
            (with(|it| drop(Arc::make_mut(&mut it.input).remove("required"))), "takes a `reason`"),
            (
                with(|it| {
                    Arc::make_mut(&mut it.input)["properties"]["dry_run"] = json!({ "type": "string" })
                }),
                "takes `dry_run`",
            ),
            (
                with(|it| Arc::make_mut(&mut it.input)["properties"]["at"] = json!({ "type": "number" })),
                "is a float",
            ),
            (
                with(|it| Arc::make_mut(&mut it.input)["properties"]["at"] = json!({ "type": "integer" })),
                "document the argument `at`",
            ),
            (
                with(|it| Arc::make_mut(&mut it.output)["properties"]["at"] = json!({ "format": "uint64" })),
                "none of JSON Schema's",
            ),
            (
                with(|it| drop(Arc::make_mut(&mut it.output).insert("title".to_owned(), json!("x")))),
                "`title` is noise",
            ),
        ];
        for (said, expected) in broken {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}
