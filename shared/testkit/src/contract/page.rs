//! What does a person read about the tools of a server?

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tool::{Definition, Profile};

use super::{Answered, as_sent};
use crate::tokens;

/// Words that the gate adds to answers of every tool.
const GATE: [&str; 9] =
    ["columns", "rows", "text", "shown", "seen", "omitted", "hidden_by_policy", "not_looked_at", "next"];

/// What is alike for all tools of all servers.
const LEGEND: &str = "\
What clients see of every tool, in the order in which they see it; a test holds this page to the code.

- **Effects.** A *read* changes nothing. A *mitigate* changes running production within bounds and says how it is undone:
  `exact` puts back what was, `compensating` counters it while the past stays. A *propose* makes something that a person
  later accepts; a *destroy* cannot be undone. Every tool but a read takes `reason` and `dry_run`.
- **Tokens** are what a model is sent of a definition with every request. Search words come on top of that: they go to
  clients that load tools by a search (`_meta`), and not to the model.
- **Unknown arguments are refused**, with the nearest that exists. Windows are `6h`, `FROM/TO`, `around=TIME±30m`; answers say
  in UTC what they came to.
- **An answer** is the same facts as text and as structured content: those that a tool lists here, then a table (`columns`,
  `rows`, the most telling row first) or numbered lines (`text`). Beside them stand `seen` (how many there are), `shown`,
  `omitted` (how many were left out to stay within `max_tokens`, or are beyond what one call lists), `hidden_by_policy`
  (rows that this caller may not see), `not_looked_at` (what could not be asked, and why) and `next` (the call that goes
  on, ready to send). What does not apply is left out.
- **A refusal** says `error`, `message` and what to change; it has none of the facts.
";

/// Renders a page. Whatever of a schema has no words here stands on it as JSON, so that no change goes unseen.
pub(super) fn page(server: &str, definitions: &[&Definition], answers: &[Answered]) -> String {
    let cost = |it: &Definition| tokens(&as_sent(it).to_string());
    let total: usize = definitions.iter().map(|it| cost(it)).sum();
    let mut page = format!(
        "# {server}\n\n{LEGEND}\nTools: {}; tokens of their definitions: {total}.\n",
        definitions.len()
    );
    for definition in definitions {
        let Definition { name, description, effect, undo, profile, search, .. } = definition;
        let undo = undo.map(|it| format!(", undo: {}", it.word())).unwrap_or_default();
        let outside = if *profile == Profile::Default { "" } else { ", outside the default profile" };
        let about = format!("{}{undo}, {} tokens{outside}", effect.word(), cost(definition));
        add(&mut page, format_args!("\n## {name}\n\n*{about}*\n\n{}\n", description.trim()));
        add(&mut page, format_args!("\nFound by: {search}.\n"));
        arguments(&mut page, &definition.input);
        facts(&mut page, definition);
        page.push_str("\nExamples:\n\n```json\n");
        for example in &definition.examples {
            add(&mut page, format_args!("{example}\n"));
        }
        page.push_str("```\n");
        for Answered { arguments, text, .. } in answers.iter().filter(|it| it.tool == *name) {
            add(&mut page, format_args!("\n`{arguments}` answers:\n\n```text\n{}\n```\n", text.trim_end()));
        }
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
        let (takes, meaning) = (cell(&kind(&schema)), cell(meaning));
        add(page, format_args!("| `{name}` | {takes} | {default} | {meaning} |\n"));
    }
    rest(page, input, &["type", "properties", "required", "additionalProperties"]);
}

fn facts(page: &mut String, definition: &Definition) {
    let output = &definition.output;
    let properties = output.get("properties").and_then(Value::as_object);
    let own = properties.into_iter().flatten().filter(|(name, _)| !GATE.contains(&name.as_str()));
    page.push_str("\n| fact | is | meaning |\n|---|---|---|\n");
    for (name, schema) in own {
        let schema = schema.as_object().cloned().unwrap_or_default();
        let meaning = definition.facts.iter().find(|it| it.0 == *name).map_or("", |it| it.1.as_str());
        let untrusted = if definition.untrusted_facts.contains(&name.as_str()) { " †" } else { "" };
        add(page, format_args!("| `{name}`{untrusted} | {} | {} |\n", cell(&kind(&schema)), cell(meaning)));
    }
    if !definition.untrusted_facts.is_empty() {
        let others = definition.untrusted_facts.iter().filter(|it| GATE.contains(it));
        let others: String = others.map(|it| format!(", `{it}` too")).collect();
        add(page, format_args!("\n† may quote outsiders{others}.\n"));
    }
    let missing: Vec<&str> =
        GATE.into_iter().filter(|it| properties.is_none_or(|all| !all.contains_key(*it))).collect();
    if !missing.is_empty() {
        add(page, format_args!("\nAnswers never have {}.\n", missing.join(", ")));
    }
    rest(page, output, &["type", "properties"]);
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
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
    if words.is_empty() { "anything".to_owned() } else { words.join(", ") }
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

    use crate::contract::{Answered, contract_showing, rules::tests::definition};

    #[test]
    fn a_page_shows_what_clients_see() {
        let mut definition = definition();
        std::sync::Arc::make_mut(&mut definition.output)["properties"] = serde_json::json!({
            "state": { "enum": ["new", "old"], "type": "string" },
            "parts": { "type": "array", "items": { "type": "integer", "minimum": 0 }, "uniqueItems": true },
            "shown": { "type": "integer" },
        });
        let answered = Answered {
            tool: "restart_thing",
            arguments: serde_json::json!({ "reason": "it hangs" }),
            text: "state: new\n".to_owned(),
        };
        expect![[r##"
            # things

            What clients see of every tool, in the order in which they see it; a test holds this page to the code.

            - **Effects.** A *read* changes nothing. A *mitigate* changes running production within bounds and says how it is undone:
              `exact` puts back what was, `compensating` counters it while the past stays. A *propose* makes something that a person
              later accepts; a *destroy* cannot be undone. Every tool but a read takes `reason` and `dry_run`.
            - **Tokens** are what a model is sent of a definition with every request. Search words come on top of that: they go to
              clients that load tools by a search (`_meta`), and not to the model.
            - **Unknown arguments are refused**, with the nearest that exists. Windows are `6h`, `FROM/TO`, `around=TIME±30m`; answers say
              in UTC what they came to.
            - **An answer** is the same facts as text and as structured content: those that a tool lists here, then a table (`columns`,
              `rows`, the most telling row first) or numbered lines (`text`). Beside them stand `seen` (how many there are), `shown`,
              `omitted` (how many were left out to stay within `max_tokens`, or are beyond what one call lists), `hidden_by_policy`
              (rows that this caller may not see), `not_looked_at` (what could not be asked, and why) and `next` (the call that goes
              on, ready to send). What does not apply is left out.
            - **A refusal** says `error`, `message` and what to change; it has none of the facts.

            Tools: 1; tokens of their definitions: 165.

            ## restart_thing

            *mitigate, undo: compensating, 165 tokens*

            Restarts a thing.

            Found by: reboot, bounce.

            | argument | takes | default | meaning |
            |---|---|---|---|
            | `reason` | string, at least 1 characters | required | Why. |
            | `dry_run` | boolean | `false` | Only say what it would do. |
            | `title` | string |  | An argument may be called so. |

            | fact | is | meaning |
            |---|---|---|
            | `state` | `"new"`, `"old"` | How it stands. |
            | `parts` | list of integer, at least 0, `{"uniqueItems":true}` |  |

            Answers never have columns, rows, text, seen, omitted, hidden_by_policy, not_looked_at, next.

            Examples:

            ```json
            {"reason":"it hangs"}
            ```

            `{"reason":"it hangs"}` answers:

            ```text
            state: new
            ```
        "##]]
        .assert_eq(&contract_showing("things", &[&definition], &[answered]));
    }
}
