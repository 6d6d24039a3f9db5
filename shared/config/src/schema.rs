//! What do editors need to know about `bailiwick.toml`?

use std::sync::LazyLock;

use serde_json::Value;

use crate::table::FileTable;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(FileTable).to_value();
    drop_null(&mut schema);
    schema
});

/// JSON Schema (draft 2020-12) of `bailiwick.toml`, derived from the types that the loader fills.
pub fn json_schema() -> Value {
    SCHEMA.clone()
}

/// TOML has no null: a key that may be left out is of its own type and no other.
fn drop_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|it| it != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|it| it["type"] != "null");
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            map.retain(|key, value| key != "default" || !value.is_null());
            map.values_mut().for_each(drop_null);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        _ => {}
    }
}

/// Whether any table has such a key.
pub(crate) fn is_key(name: &str) -> bool {
    fn has(schema: &Value, name: &str) -> bool {
        match schema {
            Value::Object(map) => {
                let here = map.get("properties").is_some_and(|it| it.get(name).is_some());
                here || map.values().any(|it| has(it, name))
            }
            Value::Array(items) => items.iter().any(|it| has(it, name)),
            _ => false,
        }
    }
    has(&SCHEMA, name)
}

/// Kinds of connection that have such a key.
pub(crate) fn kinds_with(name: &str) -> Vec<&'static str> {
    let variants = SCHEMA["$defs"]["Connection"]["oneOf"].as_array().into_iter().flatten();
    let with = variants.filter(|it| properties(it).any(|keys| keys.get(name).is_some()));
    with.filter_map(|it| it["properties"]["kind"]["const"].as_str()).collect()
}

/// Properties of a variant, which stand in it or in what it refers to.
fn properties(variant: &'static Value) -> impl Iterator<Item = &'static Value> {
    let referred = variant["$ref"].as_str().and_then(|it| SCHEMA.pointer(it.trim_start_matches('#')));
    [Some(variant), referred].into_iter().flatten().filter_map(|it| it.get("properties"))
}
