//! Connections that are not configured, however a rule names them.

use expect_test::expect;
use policy::{Lists, LoadErrors, Policy, Setup, Vocabulary};

use crate::{
    common::{cedar, family, object, shapes, source, vocabulary},
    refused,
};

fn load(family: &str, vocabulary: &Vocabulary, rule: &str) -> Result<Policy, LoadErrors> {
    let sources = [source("on-call.cedar", rule)];
    let zone = jiff::tz::TimeZone::UTC;
    Policy::load(Setup { family, sources: &sources, lists: &Lists::default(), vocabulary, zone })
}

#[test]
fn a_connection_that_is_none() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { resource.connection == \"prdo-eu\" };",
        expect![[r#"
            error: no connection is called `prdo-eu`
             --> on-call.cedar:2:31
              |
            2 | when { resource.connection == "prdo-eu" };
              |                               ^^^^^^^^^
              = did you mean `prod-eu`?"#]],
    );
}

#[test]
fn a_connection_that_is_none_the_other_way_round() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nunless { \"satging-eu\" != resource[\"connection\"] };",
        expect![[r#"
            error: no connection is called `satging-eu`
             --> on-call.cedar:2:10
              |
            2 | unless { "satging-eu" != resource["connection"] };
              |          ^^^^^^^^^^^^
              = did you mean `staging-eu`?"#]],
    );
}

#[test]
fn a_connection_that_is_none_among_others() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { [\"prod-eu\", \"prod-us\"].contains(resource.connection) };",
        expect![[r#"
            error: no connection is called `prod-us`
             --> on-call.cedar:2:20
              |
            2 | when { ["prod-eu", "prod-us"].contains(resource.connection) };
              |                    ^^^^^^^^^
              = did you mean `prod-eu`?"#]],
    );
}

#[test]
fn a_pattern_that_no_connection_is_like() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { resource.connection like \"prdo-*\" };",
        expect![[r#"
            error: no connection is called like this
             --> on-call.cedar:2:28
              |
            2 | when { resource.connection like "prdo-*" };
              |                            ^^^^
              = there are: bailiwick, prod-eu, staging-eu"#]],
    );
}

#[test]
fn a_target_of_a_connection_that_is_none() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource == Target::\"prdo-eu/metrics/main\");",
        expect![[r#"
            error: no connection is called `prdo-eu`
             --> on-call.cedar:1:67
              |
            1 | @id("a") forbid (principal, action in Action::"call", resource == Target::"prdo-eu/metrics/main");
              |                                                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = did you mean `prod-eu`?"#]],
    );
}

#[test]
fn a_target_of_a_connection_that_is_none_in_a_condition() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { [Target::\"prod-eu/metrics/main\", Target::\"lab/metrics/main\"].contains(resource) };",
        expect![[r#"
            error: no connection is called `lab`
             --> on-call.cedar:2:41
              |
            2 | when { [Target::"prod-eu/metrics/main", Target::"lab/metrics/main"].contains(resource) };
              |                                         ^^^^^^^^^^^^^^^^^^^^^^^^^^
              = there are: bailiwick, prod-eu, staging-eu"#]],
    );
}

#[test]
fn a_target_that_is_not_named_in_full() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource == Target::\"prod-eu/main\");",
        expect![[r#"
            error: no target is called `prod-eu/main`
             --> on-call.cedar:1:67
              |
            1 | @id("a") forbid (principal, action in Action::"call", resource == Target::"prod-eu/main");
              |                                                                   ^^^^^^^^^^^^^^^^^^^^^^
              = expected its connection, its kind and its id: Target::"…/…/…""#]],
    );
}

#[test]
fn a_connection_that_is_chosen() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { resource.connection == (if context.channel == \"cli\" then \"prod-eu\" else \"prdo-eu\") };",
        expect![[r#"
            error: no connection is called `prdo-eu`
             --> on-call.cedar:2:80
              |
            2 | when { resource.connection == (if context.channel == "cli" then "prod-eu" else "prdo-eu") };
              |                                                                                ^^^^^^^^^
              = did you mean `prod-eu`?"#]],
    );
}

#[test]
fn a_connection_that_is_part_of_something_else() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { { at: resource.connection } == { at: \"prdo-eu\" } };",
        expect![[r#"
            error: a connection compared in a way that cannot be checked
             --> on-call.cedar:2:23
              |
            2 | when { { at: resource.connection } == { at: "prdo-eu" } };
              |                       ^^^^^^^^^^
              = write resource.connection == "…", ["…"].contains(resource.connection) or resource.connection like "…""#]],
    );
}

#[test]
fn a_connection_of_a_target_that_is_chosen() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { (if context.channel == \"cli\" then resource else resource).connection == \"prdo-eu\" };",
        expect![[r#"
            error: a connection compared in a way that cannot be checked
             --> on-call.cedar:2:66
              |
            2 | when { (if context.channel == "cli" then resource else resource).connection == "prdo-eu" };
              |                                                                  ^^^^^^^^^^
              = write resource.connection == "…", ["…"].contains(resource.connection) or resource.connection like "…""#]],
    );
}

#[test]
fn a_connection_that_an_argument_cannot_mean() {
    let mut shapes = shapes();
    let text = serde_json::json!({ "type": "object", "properties": { "connection": { "type": "string" } } });
    shapes[1].input = object(text);
    let family = policy::emit_schema(&shapes).expect("it has a schema");
    let rule = "@id(\"a\") forbid (principal, action == Action::\"list_alerts\", resource)\n\
                when { context.input has connection && context.input.connection == \"prdo-eu\" };";
    let problems = load(&family, &vocabulary(), rule).expect_err("it loaded");
    expect![[r#"
        error: no connection is called `prdo-eu`
         --> on-call.cedar:2:68
          |
        2 | when { context.input has connection && context.input.connection == "prdo-eu" };
          |                                                                    ^^^^^^^^^
          = did you mean `prod-eu`?"#]]
    .assert_eq(&problems.to_string());
}

#[test]
fn names_that_are_configured_load_in_every_form() {
    for condition in [
        "resource.connection == \"prod-eu\" || resource.connection != \"bailiwick\"",
        "[\"prod-eu\", \"staging-eu\"].contains(resource.connection)",
        "[\"prod-eu\"].containsAll([resource.connection])",
        "resource.connection like \"*-eu\"",
        "resource.id == resource.connection",
        "resource.connection == (if context.channel == \"cli\" then \"prod-eu\" else \"staging-eu\")",
        "resource == Target::\"prod-eu/metrics/a/b\"",
    ] {
        cedar(&format!(
            "@id(\"a\") forbid (principal, action in Action::\"call\", resource) when {{ {condition} }};"
        ));
    }
}

#[test]
fn names_are_not_checked_where_nothing_is_configured() {
    let rule = "@id(\"a\") forbid (principal, action in Action::\"call\", resource)
        when { resource.connection == \"any\" || resource.connection like \"any-*\" };";
    let nothing = Vocabulary { connections: [].into(), ..vocabulary() };
    assert!(load(&family(), &vocabulary(), rule).is_err());
    assert!(load(&family(), &nothing, rule).is_ok());
}
