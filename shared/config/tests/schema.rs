//! The published schema and the loader agree.

mod estate;

use estate::estate;
use serde_json::Value;

fn json(text: &str) -> Value {
    let table: toml::Table = toml::from_str(text).expect("the test wrote TOML");
    serde_json::to_value(table).expect("a table is JSON")
}

#[test]
fn the_sample_fits_the_schema() {
    let schema = jsonschema::validator_for(&config::json_schema()).unwrap();
    let problems: Vec<_> =
        schema.iter_errors(&json(include_str!("sample/bailiwick.toml"))).map(|it| it.to_string()).collect();
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn what_does_not_fit_the_schema_is_refused_at_the_same_path() {
    let schema = jsonschema::validator_for(&config::json_schema()).unwrap();
    for (text, path) in [
        ("[identity]\nteams = 5\n", "/identity/teams"),
        ("[policy]\nzone = \"UTC\"\n", "/policy"),
        ("[policy]\napprove = [{ rule = \"a\", approvals = 4 }]\n", "/policy/approve/0"),
        ("[connections.x]\nkind = \"git\"\n", "/connections/x"),
        ("[connections.x]\nkind = \"git\"\npath = \".\"\nmatchers = []\n", "/connections/x"),
        ("[connections.x]\nkind = \"loki\"\n", "/connections/x"),
        ("[connections.x]\nkind = \"prometheus\"\nurl = \"http://a\"\nbearer = \"b\"\n", "/connections/x"),
    ] {
        let value = json(text);
        let found: Vec<_> = schema.iter_errors(&value).map(|it| it.instance_path().to_string()).collect();
        assert_eq!(found, [path], "{text}");
        let error = estate().load_text(text).unwrap_err();
        let dotted = path.trim_start_matches('/').replace('/', ".");
        assert!(error.contains(&format!(": {dotted}")), "{error}");
    }
}

#[test]
fn every_key_is_described() {
    fn check(schema: &Value, path: &str) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let said = value.get("description").is_some() || value.get("const").is_some();
            assert!(said, "{path}.{key} is not described");
        }
    }
    let schema = config::json_schema();
    check(&schema, "file");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        check(definition, name);
    }
    assert_eq!(schema["title"], "bailiwick.toml");
    assert_eq!(schema["additionalProperties"], false);
}
