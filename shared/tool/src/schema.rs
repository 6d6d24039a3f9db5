//! The schemas clients see, kept small: every word is paid for on every request.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::definition::ArgumentError;

/// Description of a tool and schema of its arguments.
pub(crate) fn input<T: JsonSchema>() -> (String, Map<String, Value>) {
    let mut schema = generate::<T>(SchemaSettings::draft2020_12());
    let description = schema.remove("description").and_then(|it| it.as_str().map(str::to_owned));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(say_range);
    }
    (description.unwrap_or_default().replace("\n\n", "\n"), schema)
}

/// Schema of an answer: the facts, and what the gate says about rows or lines.
///
/// Nothing is required and other words may stand beside these: a refusal is structured too, and the TypeScript client of
/// version 1 refuses every result that does not fit the schema, also one that says `isError`.
pub(crate) fn output<F: JsonSchema>() -> Map<String, Value> {
    let mut schema = generate::<F>(SchemaSettings::draft2020_12().for_serialize());
    schema.remove("description");
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.values_mut().for_each(forget_descriptions);
        for (name, kind) in header() {
            let before = properties.insert(name.to_owned(), kind);
            assert!(before.is_none(), "`{name}` is the gate's word: rename the fact");
        }
    }
    schema.remove("required");
    schema.remove("additionalProperties");
    schema
}

/// What each fact means, by its doc comment; those without one are left out.
pub(crate) fn meanings<F: JsonSchema>() -> Vec<(String, String)> {
    let schema = generate::<F>(SchemaSettings::draft2020_12().for_serialize());
    let facts = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let meaning = |(name, fact): (&String, &Value)| {
        Some((name.clone(), fact.get("description")?.as_str()?.replace('\n', " ")))
    };
    facts.filter_map(meaning).collect()
}

/// What the gate says beside the facts of every answer. Types stand only where a program would trip without: every
/// definition pays for these words.
fn header() -> [(&'static str, Value); 9] {
    [
        ("columns", json!({ "type": "array" })),
        ("rows", json!({ "type": "array" })),
        ("text", json!({})),
        ("shown", json!({ "type": "integer" })),
        ("seen", json!({ "type": "integer" })),
        ("omitted", json!({})),
        ("hidden_by_policy", json!({})),
        ("not_looked_at", json!({})),
        ("next", json!({})),
    ]
}

/// Refuses arguments that the schema does not have, naming the nearest that it has.
pub(crate) fn refuse_unknown(
    schema: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<(), ArgumentError> {
    let empty = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    if let Some(name) = given.keys().find(|it| !known.contains_key(*it)) {
        let names = known.keys().map(String::as_str);
        let near = names.clone().max_by(|a, b| {
            let near = |it: &str| strsim::jaro_winkler(it, name);
            near(a).total_cmp(&near(b))
        });
        let near = near.filter(|it| strsim::jaro_winkler(it, name) > 0.75);
        let hint = near.map_or(".".to_owned(), |it| format!("; did you mean `{it}`?"));
        let all = names.collect::<Vec<_>>().join(", ");
        let problem = format!("unknown argument{hint} Known: {all}");
        return Err(ArgumentError { argument: name.clone(), problem });
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(name) = required.filter_map(Value::as_str).find(|it| !given.contains_key(*it)) {
        let about = known.get(name).and_then(|it| it.get("description")).and_then(Value::as_str);
        let problem = format!("missing. {}", about.unwrap_or_default());
        return Err(ArgumentError { argument: name.to_owned(), problem });
    }
    Ok(())
}

fn generate<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let settings = settings.with(|it| {
        it.inline_subschemas = true;
        it.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    tidy(&mut schema);
    schema
}

/// Drops what JavaScript clients warn about and what says nothing.
fn tidy(schema: &mut Map<String, Value>) {
    schema.remove("title");
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if ["uint", "int", "float", "double"].iter().any(|it| format.starts_with(it)) {
        schema.remove("format");
    }
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|it| it != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|it| !it.is_null());
    }
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|it| it.get("type") != Some(&json!("null")));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (name, value) in only {
                schema.entry(name).or_insert(value);
            }
        }
    }
    for (name, value) in schema.iter_mut() {
        match value {
            Value::Object(children) if name == "properties" => {
                children.values_mut().filter_map(Value::as_object_mut).for_each(tidy);
            }
            Value::Object(child) => tidy(child),
            Value::Array(children) => children.iter_mut().filter_map(Value::as_object_mut).for_each(tidy),
            _ => {}
        }
    }
}

/// Says range and default in words too: one client drops them from the schema.
fn say_range(property: &mut Map<String, Value>) {
    let part = |name: &str| property.get(name).map(ToString::to_string);
    let range = match (part("minimum"), part("maximum")) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        _ => None,
    };
    let default = part("default")
        .filter(|it| it != "false" && it != "[]")
        .map(|it| format!("default {}", it.trim_matches('"')));
    let said: Vec<String> = range.into_iter().chain(default).collect();
    if let (false, Some(Value::String(description))) = (said.is_empty(), property.get_mut("description")) {
        description.push_str(&format!(" ({})", said.join(", ")));
    }
}

fn forget_descriptions(schema: &mut Value) {
    if let Value::Object(schema) = schema {
        schema.remove("description");
        for (name, value) in schema.iter_mut() {
            match value {
                Value::Object(children) if name == "properties" => {
                    children.values_mut().for_each(forget_descriptions);
                }
                other => forget_descriptions(other),
            }
        }
    }
}
