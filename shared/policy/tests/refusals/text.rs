//! Files that are not what they seem.

use expect_test::expect;

use crate::{
    common::{lists, load_all, source},
    refused,
};

#[test]
fn text_that_is_no_cedar() {
    refused(
        "@id(\"a\") permit (principal, action, resource) wen { true };",
        expect![[r#"
        error: invalid policy condition: wen
         --> on-call.cedar:1:47
          |
        1 | @id("a") permit (principal, action, resource) wen { true };
          |                                               ^^^
          = condition must be either `when` or `unless`"#]],
    );
}

#[test]
fn a_rule_without_its_semicolon() {
    refused(
        "@id(\"a\")\npermit (principal, action in Action::\"call\", resource)",
        expect![[r#"
        error: unexpected end of input
         --> on-call.cedar:2:54
          |
        2 | permit (principal, action in Action::"call", resource)
          |                                                      ^"#]],
    );
}

#[test]
fn a_missing_id() {
    refused(
        "// reads\npermit (principal, action in Action::\"effect:read\", resource);",
        expect![[r#"
        error: this rule has no @id
         --> on-call.cedar:2:1
          |
        2 | permit (principal, action in Action::"effect:read", resource);
          | ^^^^^^
          = give it one: @id("what-it-does") in front; denials and logs name it"#]],
    );
}

#[test]
fn a_duplicate_id() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"effect:read\", resource);\n\
         @id(\"a\") forbid (principal, action == Action::\"delete_branch\", resource);",
        expect![[r#"
            error: a second rule with the id `a`
             --> on-call.cedar:2:1
              |
            2 | @id("a") forbid (principal, action == Action::"delete_branch", resource);
              | ^^^
              = the first stands at on-call.cedar:1"#]],
    );
}

#[test]
fn an_id_that_a_list_has() {
    let text =
        "@id(\"allow:query_metrics\") forbid (principal, action == Action::\"query_metrics\", resource);";
    let lists = lists(&["query_metrics"], &[], &[], &[]);
    let problems = load_all(&[source("on-call.cedar", text)], &lists).expect_err("it loaded");
    expect![[r#"
        error: a second rule with the id `allow:query_metrics`
         --> on-call.cedar:1:1
          |
        1 | @id("allow:query_metrics") forbid (principal, action == Action::"query_metrics", resource);
          | ^^^
          = the first stands at list `allow`"#]]
    .assert_eq(&problems.to_string());
}

#[test]
fn an_unknown_annotation() {
    refused(
        "@id(\"a\")\n@raeson(\"none\")\npermit (principal, action in Action::\"effect:read\", resource);",
        expect![[r#"
            error: unknown annotation @raeson
             --> on-call.cedar:2:1
              |
            2 | @raeson("none")
              | ^^^^^^^
              = did you mean `reason`?"#]],
    );
}

#[test]
fn a_template() {
    refused(
        "@id(\"a\") permit (principal == ?principal, action in Action::\"call\", resource);",
        expect![[r#"
            error: a template: nothing fills its slots
             --> on-call.cedar:1:31
              |
            1 | @id("a") permit (principal == ?principal, action in Action::"call", resource);
              |                               ^^^^^^^^^^
              = name the entity itself, e.g. Team::"checkout""#]],
    );
}

#[test]
fn a_rule_behind_a_lone_carriage_return() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"effect:read\", resource); // note\rforbid (principal, actoin, resource);",
        expect![[r#"
            error: found an invalid variable in the policy scope: actoin
             --> on-call.cedar:1:100
              |
            1 | @id("a") permit (principal, action in Action::"effect:read", resource); // note�forbid (principal, actoin, resource);
              |                                                                                                    ^^^^^^
              = policy scopes must contain a `principal`, `action`, and `resource` element in that order"#]],
    );
}

#[test]
fn a_rule_that_can_never_match() {
    refused(
        "@id(\"a\") permit (principal is User, action == Action::\"query_metrics\", resource);",
        expect![[r#"
            error: unable to find an applicable action given the policy scope constraints
             --> on-call.cedar:1:1
              |
            1 | @id("a") permit (principal is User, action == Action::"query_metrics", resource);
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error: policy is impossible: the policy expression evaluates to false for all valid requests
             --> on-call.cedar:1:1
              |
            1 | @id("a") permit (principal is User, action == Action::"query_metrics", resource);
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn a_letter_that_looks_like_another() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"open_change\", resource)\n\
         when { context.input.title like \"*sec\u{0433}et*\" };",
        expect![[r#"
            error: string `"*secгet*"` contains mixed scripts
             --> on-call.cedar:2:8
              |
            2 | when { context.input.title like "*secгet*" };
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    refused(
        "permit (principal, action, resource);\n@id(\"a\") permit (principal, actoin, resource);\n\
         @id(\"b\") forbid (principal, action == Action::\"delete_brunch\", resource) when { context.weekday == \"day\" };",
        expect![[r#"
            error: this rule has no @id
             --> on-call.cedar:1:1
              |
            1 | permit (principal, action, resource);
              | ^^^^^^
              = give it one: @id("what-it-does") in front; denials and logs name it

            error: found an invalid variable in the policy scope: actoin
             --> on-call.cedar:2:29
              |
            2 | @id("a") permit (principal, actoin, resource);
              |                             ^^^^^^
              = policy scopes must contain a `principal`, `action`, and `resource` element in that order

            error: no tool or group of tools is called `delete_brunch`
             --> on-call.cedar:3:39
              |
            3 | @id("b") forbid (principal, action == Action::"delete_brunch", resource) when { context.weekday == "day" };
              |                                       ^^^^^^^^^^^^^^^^^^^^^^^
              = did you mean `delete_branch`?"#]],
    );
}
