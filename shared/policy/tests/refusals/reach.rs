//! Tools, places and people that do not exist or lie beyond a file.

use expect_test::expect;
use policy::{Scope, Source};

use crate::{
    common::{lists, source},
    refused, refused_source,
};

#[test]
fn an_unknown_tool() {
    refused(
        "@id(\"a\") permit (principal, action == Action::\"query_metric\", resource);",
        expect![[r#"
        error: no tool or group of tools is called `query_metric`
         --> on-call.cedar:1:39
          |
        1 | @id("a") permit (principal, action == Action::"query_metric", resource);
          |                                       ^^^^^^^^^^^^^^^^^^^^^^
          = did you mean `query_metrics`?"#]],
    );
}

#[test]
fn an_unknown_tool_among_known_ones() {
    refused(
        "@id(\"a\") forbid (principal, action in [Action::\"query_metrics\", Action::\"deploy\"], resource);",
        expect![[r#"
            error: no tool or group of tools is called `deploy`
             --> on-call.cedar:1:65
              |
            1 | @id("a") forbid (principal, action in [Action::"query_metrics", Action::"deploy"], resource);
              |                                                                 ^^^^^^^^^^^^^^^^
              = there are: approve, break_glass, call, delete_branch, effect:destroy, effect:mitigate, effect:propose, effect:read, list_alerts, open_change, query_metrics, reveal, server:code, server:observability, silence_alert"#]],
    );
}

#[test]
fn an_unknown_environment() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\",\n  resource in Environment::\"prodution\");",
        expect![[r#"
            error: no environment is called `prodution`
             --> on-call.cedar:2:15
              |
            2 |   resource in Environment::"prodution");
              |               ^^^^^^^^^^^^^^^^^^^^^^^^
              = did you mean `production`?"#]],
    );
}

#[test]
fn an_unknown_team_in_a_condition() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nunless { principal in Team::\"payments\" };",
        expect![[r#"
            error: no team is called `payments`
             --> on-call.cedar:2:23
              |
            2 | unless { principal in Team::"payments" };
              |                       ^^^^^^^^^^^^^^^^
              = there are: checkout, platform, unknown"#]],
    );
}

#[test]
fn an_unknown_class_of_data() {
    refused(
        "@id(\"a\") permit (principal, action == Action::\"reveal\", resource == DataClass::\"secret\");",
        expect![[r#"
            error: no class of data that can be revealed is called `secret`
             --> on-call.cedar:1:69
              |
            1 | @id("a") permit (principal, action == Action::"reveal", resource == DataClass::"secret");
              |                                                                     ^^^^^^^^^^^^^^^^^^^
              = there are: pii"#]],
    );
}

#[test]
fn an_unknown_entity_type() {
    refused(
        "@id(\"a\") forbid (principal in Teams::\"x\", action in Action::\"call\", resource);",
        expect![[r#"
            error: unrecognized entity type `Teams`
             --> on-call.cedar:1:31
              |
            1 | @id("a") forbid (principal in Teams::"x", action in Action::"call", resource);
              |                               ^^^^^
              = did you mean `Team`?"#]],
    );
}

#[test]
fn an_effect_that_only_a_group_has() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"effect:read\", resource);",
        expect![[r#"
        error: `effect:read` matches no tool of the family
         --> on-call.cedar:1:39
          |
        1 | @id("a") forbid (principal, action == Action::"effect:read", resource);
          |                                       ^^^^^^^^^^^^^^^^^^^^^
          = it is a group: write action in Action::"effect:read""#]],
    );
}

#[test]
fn a_group_without_a_tool() {
    let reads: Vec<policy::ToolShape> =
        crate::common::shapes().into_iter().filter(|it| it.effect == policy::Effect::Read).collect();
    let family = policy::emit_schema(&reads).expect("it has a schema");
    let text = "@id(\"a\") forbid (principal, action in Action::\"effect:destroy\", resource);";
    let (vocabulary, lists) = (crate::common::vocabulary(), lists(&[], &[], &[], &["effect:destroy"]));
    let sources = [source("on-call.cedar", text)];
    let zone = jiff::tz::TimeZone::UTC;
    let setup =
        policy::Setup { family: &family, sources: &sources, lists: &lists, vocabulary: &vocabulary, zone };
    let problems = policy::Policy::load(setup).expect_err("it loaded");
    expect![[r#"
        error: deny: no tool matches
         --> list `deny`:1:1
          |
        1 | effect:destroy
          | ^^^^^^^^^^^^^^
          = there are: list_alerts, query_metrics

        error: `effect:destroy` matches no tool of the family
         --> on-call.cedar:1:39
          |
        1 | @id("a") forbid (principal, action in Action::"effect:destroy", resource);
          |                                       ^^^^^^^^^^^^^^^^^^^^^^^^
          = leave the rule out until there is such a tool"#]]
    .assert_eq(&problems.to_string());
}

#[test]
fn a_team_that_reaches_beyond_its_targets() {
    let text = "@id(\"a\") permit (principal, action in Action::\"effect:read\", resource);";
    let scope = Scope::Team("checkout".to_owned());
    refused_source(
        Source { scope, ..source("teams/checkout/a.cedar", text) },
        expect![[r#"
        error: a rule of team `checkout` that reaches beyond its targets
         --> teams/checkout/a.cedar:1:62
          |
        1 | @id("a") permit (principal, action in Action::"effect:read", resource);
          |                                                              ^^^^^^^^
          = write resource in Team::"checkout""#]],
    );
}

#[test]
fn a_team_that_rules_another() {
    let text = "@id(\"a\") forbid (principal, action in Action::\"call\", resource in Team::\"platform\");";
    let scope = Scope::Team("checkout".to_owned());
    refused_source(
        Source { scope, ..source("teams/checkout/a.cedar", text) },
        expect![[r#"
        error: a rule of team `checkout` that reaches beyond its targets
         --> teams/checkout/a.cedar:1:55
          |
        1 | @id("a") forbid (principal, action in Action::"call", resource in Team::"platform");
          |                                                       ^^^^^^^^
          = write resource in Team::"checkout""#]],
    );
}

#[test]
fn a_repository_that_permits() {
    let text = "@id(\"a\") forbid (principal, action == Action::\"delete_branch\", resource);\n\
                @id(\"b\") permit (principal, action in Action::\"effect:read\", resource);";
    refused_source(
        Source { scope: Scope::Narrow, ..source("repository.cedar", text) },
        expect![[r#"
        error: this file may only narrow
         --> repository.cedar:2:10
          |
        2 | @id("b") permit (principal, action in Action::"effect:read", resource);
          |          ^^^^^^^^
          = write forbid rules here; permit in your own policy files"#]],
    );
}
