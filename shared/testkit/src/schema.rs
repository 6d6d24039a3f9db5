//! Does a value fit its published schema?

use serde_json::{Map, Value};

/// What in a value does not fit a schema: path and problem, none when it fits.
pub fn problems(schema: &Map<String, Value>, value: &Value) -> Vec<String> {
    let schema = Value::Object(schema.clone());
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&schema)
        .expect("a published schema is valid JSON Schema 2020-12");
    validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect()
}

/// Panics with every problem when a value does not fit a schema.
pub fn assert_valid(what: &str, schema: &Map<String, Value>, value: &Value) {
    let problems = problems(schema, value);
    assert!(problems.is_empty(), "{what} does not fit its schema:\n{}\n{value:#}", problems.join("\n"));
}
