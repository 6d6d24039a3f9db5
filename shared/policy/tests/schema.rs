//! How tools become the words of policies.

mod common;

use common::object;
use expect_test::expect;
use policy::{Effect, FAMILY_SCHEMA, Lists, Policy, Setup, ToolShape, Vocabulary, emit_schema};
use serde_json::{Value, json};

fn tool(name: &str, properties: Value) -> ToolShape {
    ToolShape {
        name: name.to_owned(),
        server: "code".to_owned(),
        effect: Effect::Read,
        input: object(json!({ "type": "object", "properties": properties, "required": ["x"] })),
    }
}

/// Why an argument has no words.
fn refused(property: Value) -> String {
    match emit_schema(&[tool("look_up", json!({ "x": property }))]) {
        Ok(text) => panic!("it has a schema: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_kind_of_argument_has_its_type() {
    let properties = json!({
        "x": { "type": "string", "format": "date-time", "maxLength": 10 },
        "count": { "type": "integer", "minimum": 1 },
        "all": { "type": "boolean", "default": false },
        "order": { "type": "string", "enum": ["newest first", "oldest first"], "default": "newest first" },
        "kind": { "oneOf": [{ "const": "a", "description": "A" }, { "type": "string", "const": "b" }] },
        "since": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
        "until": { "type": ["string", "null"] },
        "states": { "type": "array", "items": { "type": "string", "enum": ["firing", "pending"] } },
        "span": {
            "type": "object",
            "properties": { "from": { "type": "string" }, "to": { "type": "string" } },
            "required": ["from"],
        },
        "in": { "type": "string", "default": "" },
        "odd-name": { "type": "string", "default": "" },
        "nothing": { "type": "object" },
    });
    let text = emit_schema(&[tool("look_up", properties)]).expect("all of it can be said");
    let (_, part) = text.split_once("    input: ").expect("it has arguments");
    let (part, _) = part.split_once("    approvals").expect("and circumstances");
    expect![[r#"
        {
              x: String,
              count?: Long,
              all: Bool,
              @values("newest first | oldest first")
              order: String,
              @values("a | b")
              kind?: String,
              since?: String,
              until?: String,
              @values("firing | pending")
              states?: Set<String>,
              span?: {
                from: String,
                to?: String,
              },
              "in": String,
              "odd-name": String,
              nothing?: {},
            },
    "#]]
    .assert_eq(part);
}

#[test]
fn what_cedar_cannot_hold_is_refused() {
    let said: Vec<String> = [
        json!({ "type": "number" }),
        json!({ "type": "null" }),
        json!({ "type": ["null"] }),
        json!({ "type": ["string", "integer"] }),
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }),
        json!({ "type": "array" }),
        json!({ "type": "array", "items": true }),
        json!({ "type": "array", "items": { "type": "number" } }),
        json!({ "type": "array", "items": { "type": ["string", "null"] } }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        json!({ "type": "object", "properties": { "y": { "type": "number" } } }),
        json!({ "type": "string", "enum": ["a|b"] }),
        json!({ "enum": [1, 2] }),
        json!({ "$ref": "#/$defs/Thing" }),
        json!({}),
        json!(true),
    ]
    .map(refused)
    .into();
    expect![[r#"
        look_up: argument `x`: a float: expected an integer or a decimal as text
        look_up: argument `x`: only ever null: expected a value
        look_up: argument `x`: only ever null: expected a value
        look_up: argument `x`: one of string, integer: expected one type
        look_up: argument `x`: a choice between types: expected one type
        look_up: argument `x`: a list of anything: expected one type of items
        look_up: argument `x`: a list of anything: expected one type of items
        look_up: argument `x[]`: a float: expected an integer or a decimal as text
        look_up: argument `x`: a list that holds null: expected values only
        look_up: argument `x`: an object with any keys: expected named ones only
        look_up: argument `x.y`: a float: expected an integer or a decimal as text
        look_up: argument `x`: may be `a|b`: expected words without `|` or outer spaces
        look_up: argument `x`: an enumeration of other things than texts: expected texts
        look_up: argument `x`: a reference: expected the type in place
        look_up: argument `x`: anything at all: expected one type
        look_up: argument `x`: anything at all: expected one type"#]]
    .assert_eq(&said.join("\n"));
}

#[test]
fn names_that_would_mean_something_else_are_refused() {
    let said = |tools: &[ToolShape]| emit_schema(tools).expect_err("it has a schema").to_string();
    let named = |name: &str| tool(name, json!({ "x": { "type": "string" } }));
    let all = [
        said(&[named("approve")]),
        said(&[named("call")]),
        said(&[named("effect:read")]),
        said(&[named("Look")]),
        said(&[named("look_up"), named("look_up")]),
        said(&[ToolShape { server: "a\"b".to_owned(), ..named("look_up") }]),
    ];
    expect![[r#"
        tool `approve`: the name is the policy's own: expected another
        tool `call`: the name is the policy's own: expected another
        tool `effect:read`: expected at most 40 of a-z, 0-9 and _, a letter first
        tool `Look`: expected at most 40 of a-z, 0-9 and _, a letter first
        tool `look_up`: two tools have this name: expected it once in the family
        tool `look_up`: its server's name: expected a-z, 0-9 and _, a letter first"#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn the_order_of_tools_does_not_matter() {
    let mut tools = common::shapes();
    let one = emit_schema(&tools);
    tools.reverse();
    assert_eq!(one, emit_schema(&tools));
}

#[test]
fn the_built_in_policy_loads_on_the_committed_family_and_any_vocabulary() {
    let odd = Vocabulary {
        teams: ["a \"b\"\n\u{e9}".to_owned(), "unknown".to_owned()].into(),
        ..Vocabulary::default()
    };
    for vocabulary in [Vocabulary::default(), common::vocabulary(), odd] {
        let setup = Setup {
            family: FAMILY_SCHEMA,
            sources: &[Policy::read_only_source()],
            lists: &Lists::default(),
            vocabulary: &vocabulary,
            zone: jiff::tz::TimeZone::UTC,
        };
        let policy = Policy::load(setup).unwrap_or_else(|it| panic!("{it}"));
        assert_eq!(policy.rules().len(), 2);
        assert!(policy.schema_text().contains("entity Team enum"));
    }
}

#[test]
fn a_broken_family_does_not_load() {
    let vocabulary = Vocabulary::default();
    for family in
        ["", "entity User", "entity User; action \"x\" appliesTo { principal: User, resource: Thing };"]
    {
        let zone = jiff::tz::TimeZone::UTC;
        let setup = Setup { family, sources: &[], lists: &Lists::default(), vocabulary: &vocabulary, zone };
        assert!(Policy::load(setup).is_err(), "{family}");
    }
}
