//! What does a person read about the tools of a server?

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tool::{Definition, Profile};

use super::as_sent;
use crate::tokens;

/// Words that the gate adds to answers of every tool.
const GATE: [&str; 9] =
    ["columns", "rows", "text", "shown", "seen", "omitted", "hidden_by_policy", "not_looked_at", "next"];

/// Renders a page. Whatever of a schema has no words here stands on it as JSON, so that no change goes unseen.
pub(super) fn page(server: &str, definitions: &[&Definition]) -> String {
    let cost = |it: &Definition| tokens(&as_sent(it).to_string());
    let total: usize = definitions.iter().map(|it| cost(it)).sum();
    let mut page =
        format!("# {server}\n\nTools: {}; tokens of their definitions: {total}.\n", definitions.len());
    for definition in definitions {
        let Definition { name, description, effect, undo, profile, input, output, examples, untrusted_facts } =
            definition;
        let undo = undo.map(|it| format!(", undo: {}", it.word())).unwrap_or_default();
        let outside = if *profile == Profile::Default { "" } else { ", outside the default profile" };
        let about = format!("{}{undo}, {} tokens{outside}", effect.word(), cost(definition));
        add(&mut page, format_args!("\n## {name}\n\n*{about}*\n\n{}\n", description.trim()));
        arguments(&mut page, input);
        answer(&mut page, output);
        if !untrusted_facts.is_empty() {
            let names = untrusted_facts.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            add(&mut page, format_args!("\nOutsiders may have written: {names}.\n"));
        }
        page.push_str("\nExamples:\n\n```json\n");
        for example in examples {
            add(&mut page, format_args!("{example}\n"));
        }
        page.push_str("```\n");
    }
    page
}

fn arguments(page: &mut String, input: &Map<String, Value>) {
    let required = input.get("required").and_then(Value::as_array);
    page.push_str("\n| argument | takes | default | meaning |\n|---|---|---|---|\n");
    for (name, schema) in input.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let schema = schema.as_object().cloned().unwrap_or_default();
        let is_required = required.is_some_and(|it| it.iter().any(|it| it == name));
        let default = match (is_required, schema.get("default")) {
            (true, _) => "required".to_owned(),
            (false, Some(value)) => format!("`{value}`"),
            (false, None) => String::new(),
        };
        let meaning = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let cell = |it: &str| it.replace('|', "\\|").replace('\n', " ");
        let (takes, meaning) = (cell(&kind(&schema)), cell(meaning));
        add(page, format_args!("| `{name}` | {takes} | {default} | {meaning} |\n"));
    }
    rest(page, input, &["type", "properties", "required", "additionalProperties"]);
}

fn answer(page: &mut String, output: &Map<String, Value>) {
    let required = output.get("required").and_then(Value::as_array);
    let empty = Map::new();
    let properties = output.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    page.push_str("\nAnswers with:\n\n");
    for (name, schema) in properties.iter().filter(|(name, _)| !GATE.contains(&name.as_str())) {
        let always = required.is_some_and(|it| it.iter().any(|it| it == name));
        let maybe = if always { "" } else { " (may be left out)" };
        let schema = schema.as_object().cloned().unwrap_or_default();
        add(page, format_args!("- `{name}`: {}{maybe}\n", kind(&schema)));
    }
    let gate: Vec<_> =
        properties.keys().filter(|it| GATE.contains(&it.as_str())).map(|it| format!("`{it}`")).collect();
    if !gate.is_empty() {
        add(page, format_args!("- and, as every tool does: {}\n", gate.join(", ")));
    }
    rest(page, output, &["type", "properties", "required", "additionalProperties"]);
}

/// A schema in words: `integer, 1 to 240`.
fn kind(schema: &Map<String, Value>) -> String {
    let mut left = schema.clone();
    for word in ["description", "default"] {
        left.remove(word);
    }
    let json = |it: Option<Value>| it.map(|it| it.to_string());
    let mut words: Vec<String> = Vec::new();
    if let Some(Value::Array(values)) = left.remove("enum") {
        left.remove("type");
        words.push(values.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "));
    }
    if let Some(Value::Array(choices)) = left.remove("anyOf").or_else(|| left.remove("oneOf")) {
        let choices = choices.iter().map(|it| it.as_object().map_or(it.to_string(), kind));
        words.push(choices.collect::<Vec<_>>().join(" or "));
    }
    if let Some(value) = left.remove("const") {
        left.remove("type");
        words.push(format!("`{value}`"));
    }
    match left.remove("type") {
        Some(Value::String(kind)) if kind == "array" => words.push(list(left.remove("items"))),
        Some(Value::String(kind)) if kind == "object" => words.push(object(&mut left)),
        Some(Value::String(kind)) => words.push(kind),
        Some(other) => words.push(other.to_string()),
        None => {}
    }
    let ranges = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ];
    for (least, most, unit) in ranges {
        match (json(left.remove(least)), json(left.remove(most))) {
            (Some(least), Some(most)) => words.push(format!("{least} to {most}{unit}")),
            (Some(least), None) => words.push(format!("at least {least}{unit}")),
            (None, Some(most)) => words.push(format!("at most {most}{unit}")),
            (None, None) => {}
        }
    }
    for (word, said) in [("pattern", "matching"), ("format", "format")] {
        if let Some(value) = left.remove(word) {
            words.push(format!("{said} `{}`", value.as_str().unwrap_or_default()));
        }
    }
    if !left.is_empty() {
        words.push(format!("`{}`", Value::Object(left)));
    }
    words.join(", ")
}

fn list(items: Option<Value>) -> String {
    match items {
        Some(Value::Object(items)) => format!("list of {}", kind(&items)),
        Some(other) => format!("list of {other}"),
        None => "list".to_owned(),
    }
}

fn object(left: &mut Map<String, Value>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let required = left.remove("required").unwrap_or_default();
    if let Some(Value::Object(properties)) = left.remove("properties") {
        for (name, schema) in &properties {
            let always = required.as_array().is_some_and(|it| it.iter().any(|it| it == name));
            let maybe = if always { "" } else { "?" };
            parts.push(format!("`{name}`{maybe}: {}", schema.as_object().map_or(schema.to_string(), kind)));
        }
    }
    match left.remove("additionalProperties") {
        Some(Value::Object(values)) => parts.push(format!("any name: {}", kind(&values))),
        Some(Value::Bool(false)) | None => {}
        Some(other) => parts.push(format!("any name: {other}")),
    }
    if parts.is_empty() { "object".to_owned() } else { format!("object of {}", parts.join("; ")) }
}

fn rest(page: &mut String, schema: &Map<String, Value>, known: &[&str]) {
    let mut rest = schema.clone();
    rest.retain(|name, _| !known.contains(&name.as_str()));
    if !rest.is_empty() {
        add(page, format_args!("\n`{}`\n", Value::Object(rest)));
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::contract::{contract, rules::tests::definition};

    #[test]
    fn a_page_shows_what_clients_see() {
        let mut definition = definition();
        definition.output["properties"] = serde_json::json!({
            "state": { "enum": ["new", "old"], "type": "string" },
            "parts": { "type": "array", "items": { "type": "integer", "minimum": 0 }, "uniqueItems": true },
            "shown": { "type": "integer" },
        });
        expect![[r##"
            # things

            Tools: 1; tokens of their definitions: 165.

            ## restart_thing

            *mitigate, undo: compensating, 165 tokens*

            Restarts a thing.

            | argument | takes | default | meaning |
            |---|---|---|---|
            | `reason` | string, at least 1 characters | required | Why. |
            | `dry_run` | boolean | `false` | Only say what it would do. |
            | `title` | string |  | An argument may be called so. |

            Answers with:

            - `state`: `"new"`, `"old"` (may be left out)
            - `parts`: list of integer, at least 0, `{"uniqueItems":true}` (may be left out)
            - and, as every tool does: `shown`

            Examples:

            ```json
            {"reason":"it hangs"}
            ```
        "##]]
        .assert_eq(&contract("things", &[&definition]));
    }
}
