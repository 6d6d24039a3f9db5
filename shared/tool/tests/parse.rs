//! Arguments as clients send them, good and bad.

use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tool::{
    Answer, Bound, Context, Effect, Target, Tool, ToolError, Window,
    args::{MaxTokens, Number, Slug},
    define,
};

/// Look at something.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LookAt {
    /// Which connection.
    connection: Slug,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<Window>,
    /// How many.
    #[serde(default = "ten")]
    limit: Number<1, 50>,
    /// Budget.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Nothing seen.
#[derive(Serialize, JsonSchema)]
struct Seen {
    /// How many.
    count: u64,
}

fn ten() -> Number<1, 50> {
    Number::new(10).expect("in range")
}

impl Tool for LookAt {
    const NAME: &'static str = "look_at";
    const EFFECT: Effect = Effect::Read;
    type Backends = ();
    type Facts = Seen;

    fn targets(&self, (): &()) -> Result<Vec<Target>, ToolError> {
        Ok(Vec::new())
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "connection": "shop" })]
    }

    async fn run(&self, (): &(), _: &Context) -> Result<Answer<Seen>, ToolError> {
        Ok(Answer::facts(Seen { count: 0 }))
    }
}

fn bound() -> Bound {
    define::<LookAt>().bind(Arc::new(()))
}

fn parse(arguments: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(arguments) = arguments else { panic!("an object") };
    bound().parse(arguments).map(|it| it.input()).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_applied_and_nulls_left_out() {
    let input = parse(json!({ "connection": "shop", "window": null })).expect("valid");
    expect![[r#"{"connection":"shop","limit":10,"max_tokens":2000}"#]]
        .assert_eq(&Value::Object(input).to_string());
}

#[test]
fn a_wrong_argument_is_named_with_what_would_be_right() {
    let error = |arguments| parse(arguments).expect_err("invalid");
    expect![
        "conection: unknown argument; did you mean `connection`? Known: connection, window, limit, max_tokens"
    ]
    .assert_eq(&error(json!({ "conection": "shop" })));
    expect!["connection: missing. Which connection."].assert_eq(&error(json!({})));
    expect!["limit: invalid value: integer `99`, expected a whole number from 1 to 50"]
        .assert_eq(&error(json!({ "connection": "shop", "limit": 99 })));
    expect!["connection: expected 1 to 63 of a-z, 0-9 and -"]
        .assert_eq(&error(json!({ "connection": "../x" })));
    expect![[r#"limit: invalid type: string "7", expected a whole number from 1 to 50"#]]
        .assert_eq(&error(json!({ "connection": "shop", "limit": "7" })));
}

#[test]
fn schemas_say_ranges_in_words_and_carry_no_ballast() {
    let definition = bound().definition;
    expect![[r#"{"type":"object","additionalProperties":false,"properties":{"connection":{"type":"string","pattern":"^[a-z0-9-]{1,63}$","description":"Which connection."},"window":{"type":"string","maxLength":80,"description":"When."},"limit":{"type":"integer","minimum":1,"maximum":50,"description":"How many. (1 to 50, default 10)","default":10},"max_tokens":{"type":"integer","minimum":200,"maximum":8000,"description":"Budget. (200 to 8000, default 2000)","default":2000}},"required":["connection"]}"#]]
        .assert_eq(&Value::Object(Map::clone(&definition.input)).to_string());
}

#[test]
fn a_refusal_fits_the_schema_of_answers() {
    let output = bound().definition.output;
    assert!(output["properties"]["count"].is_object());
    assert!(!output.contains_key("additionalProperties") && !output.contains_key("required"), "{output:?}");
}

proptest! {
    #[test]
    fn parsing_is_stable_and_never_panics(
        name in "[a-z_]{1,12}|connection|limit|window",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            Just(json!([1])),
        ],
    ) {
        let mut arguments = Map::from_iter([("connection".to_owned(), json!("shop"))]);
        arguments.insert(name, value);
        if let Ok(call) = bound().parse(arguments) {
            let input = call.input();
            let again = bound().parse(input.clone()).expect("what was parsed parses");
            prop_assert_eq!(again.input(), input);
        }
    }
}
