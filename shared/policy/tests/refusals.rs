//! What does not load, and what people are told about it.

mod common;

use common::{lists, load_all, source};
use expect_test::{Expect, expect};
use policy::{ListEntry, Lists, Scope, Source};

/// All that is wrong with one file.
fn refused(text: &str, expected: Expect) {
    refused_source(source("on-call.cedar", text), expected);
}

fn refused_source(source: Source, expected: Expect) {
    match load_all(&[source], &Lists::default()) {
        Ok(_) => panic!("it loaded"),
        Err(problems) => expected.assert_eq(&problems.to_string()),
    }
}

fn refused_lists(lists: &Lists, expected: Expect) {
    match load_all(&[], lists) {
        Ok(_) => panic!("it loaded"),
        Err(problems) => expected.assert_eq(&problems.to_string()),
    }
}

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
              = there are: approve, call, delete_branch, effect:destroy, effect:mitigate, effect:propose, effect:read, list_alerts, open_change, query_metrics, reveal, server:code, server:observability, silence_alert"#]],
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
            error: no dataclass is called `secret`
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
        "@id(\"a\") forbid (principal in Group::\"x\", action in Action::\"call\", resource);",
        expect![[r#"
            error: unable to find an applicable action given the policy scope constraints
             --> on-call.cedar:1:1
              |
            1 | @id("a") forbid (principal in Group::"x", action in Action::"call", resource);
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            error: unrecognized entity type `Group`
             --> on-call.cedar:1:31
              |
            1 | @id("a") forbid (principal in Group::"x", action in Action::"call", resource);
              |                               ^^^^^
              = did you mean `User`?"#]],
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
        common::shapes().into_iter().filter(|it| it.effect == policy::Effect::Read).collect();
    let family = policy::emit_schema(&reads).expect("it has a schema");
    let text = "@id(\"a\") forbid (principal, action in Action::\"effect:destroy\", resource);";
    let (vocabulary, lists) = (common::vocabulary(), lists(&[], &[], &[], &["effect:destroy"]));
    let sources = [source("on-call.cedar", text)];
    let zone = jiff::tz::TimeZone::UTC;
    let setup =
        policy::Setup { family: &family, sources: &sources, lists: &lists, vocabulary: &vocabulary, zone };
    let problems = policy::Policy::load(setup).expect_err("it loaded");
    expect![[r#""#]].assert_eq(&problems.to_string());
}

#[test]
fn a_rule_behind_a_lone_carriage_return() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"effect:read\", resource); // note\rforbid (principal, actoin, resource);",
        expect![[r#""#]],
    );
}

#[test]
fn an_argument_that_no_tool_in_scope_has() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"silence_alert\", resource)\nwhen { context.input.minuts > 60 };",
        expect![[r#"
            error: no tool in scope has an argument `minuts`
             --> on-call.cedar:2:22
              |
            2 | when { context.input.minuts > 60 };
              |                      ^^^^^^
              = did you mean `minutes`?"#]],
    );
}

#[test]
fn an_argument_that_is_only_asked_for() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nunless { context.input has branhc };",
        expect![[r#"
            error: no tool in scope has an argument `branhc`
             --> on-call.cedar:2:28
              |
            2 | unless { context.input has branhc };
              |                            ^^^^^^
              = did you mean `branch`?"#]],
    );
}

#[test]
fn an_argument_in_brackets() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nunless { context[\"input\"] has \"dryrun\" };",
        expect![[r#"
            error: no tool in scope has an argument `dryrun`
             --> on-call.cedar:2:31
              |
            2 | unless { context["input"] has "dryrun" };
              |                               ^^^^^^^^
              = did you mean `dry_run`?"#]],
    );
}

#[test]
fn an_inner_argument() {
    refused(
        "@id(\"a\") permit (principal, action == Action::\"query_metrics\", resource)\n\
         unless { context.input has window.hours };",
        expect![[r#"
            error: nothing in scope has `context.input.window.hours`
             --> on-call.cedar:2:35
              |
            2 | unless { context.input has window.hours };
              |                                   ^^^^^
              = there are: minutes"#]],
    );
}

#[test]
fn an_unknown_circumstance() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nunless { context has usage };",
        expect![[r#"
            error: nothing in scope has `context.usage`
             --> on-call.cedar:2:22
              |
            2 | unless { context has usage };
              |                      ^^^^^
              = there are: approvals, assurance, channel, confirmed, input, minute_of_day, now, weekday"#]],
    );
}

#[test]
fn arguments_as_a_whole() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\n\
         unless { (if context.confirmed then context.input else context.input) has anything };",
        expect![[r#"
            error: a confirmation may only open: un-negated, and by itself
             --> on-call.cedar:2:22
              |
            2 | unless { (if context.confirmed then context.input else context.input) has anything };
              |                      ^^^^^^^^^
              = write when { … && context.approvals >= 1 } or when { … && context.confirmed }

            error: `context.input` as a whole is no word of policies
             --> on-call.cedar:2:45
              |
            2 | unless { (if context.confirmed then context.input else context.input) has anything };
              |                                             ^^^^^
              = compare its attributes one by one"#]],
    );
}

#[test]
fn the_context_as_a_whole() {
    refused(
        "@id(\"a\") permit (principal, action == Action::\"delete_branch\", resource)\nunless { context == context };",
        expect![[r#"
            error: the whole context is no word of policies
             --> on-call.cedar:2:10
              |
            2 | unless { context == context };
              |          ^^^^^^^
              = name what you mean, e.g. context.input.…"#]],
    );
}

#[test]
fn a_word_that_an_argument_cannot_hold() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"query_metrics\", resource)\n\
         when { context.input.mode == \"ranges\" };",
        expect![[r#"
            error: `context.input.mode` is never "ranges"
             --> on-call.cedar:2:30
              |
            2 | when { context.input.mode == "ranges" };
              |                              ^^^^^^^^
              = did you mean `range`?"#]],
    );
}

#[test]
fn a_word_that_an_argument_cannot_hold_the_other_way_round() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"query_metrics\", resource)\n\
         unless { \"instnat\" != context.input.mode };",
        expect![[r#"
            error: `context.input.mode` is never "instnat"
             --> on-call.cedar:2:10
              |
            2 | unless { "instnat" != context.input.mode };
              |          ^^^^^^^^^
              = did you mean `instant`?"#]],
    );
}

#[test]
fn words_of_a_set_that_an_argument_cannot_hold() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"query_metrics\", resource)\n\
         unless { [\"instant\", \"rnge\"].contains(context.input.mode) };",
        expect![[r#"
            error: `context.input.mode` is never "rnge"
             --> on-call.cedar:2:22
              |
            2 | unless { ["instant", "rnge"].contains(context.input.mode) };
              |                      ^^^^^^
              = did you mean `range`?"#]],
    );
}

#[test]
fn a_word_that_a_list_of_words_cannot_hold() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"list_alerts\", resource)\n\
         when { context.input.states.contains(\"fired\") };",
        expect![[r#"
            error: `context.input.states` is never "fired"
             --> on-call.cedar:2:38
              |
            2 | when { context.input.states.contains("fired") };
              |                                      ^^^^^^^
              = did you mean `firing`?"#]],
    );
}

#[test]
fn a_pattern_that_no_word_is_like() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"query_metrics\", resource)\n\
         when { context.input.mode like \"rang_*\" };",
        expect![[r#"
            error: `context.input.mode` is never like this
             --> on-call.cedar:2:27
              |
            2 | when { context.input.mode like "rang_*" };
              |                           ^^^^
              = there are: instant, range"#]],
    );
}

#[test]
fn a_weekday_that_is_none() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.weekday == \"Saturday\" };",
        expect![[r#"
            error: `context.weekday` is never "Saturday"
             --> on-call.cedar:2:27
              |
            2 | when { context.weekday == "Saturday" };
              |                           ^^^^^^^^^^
              = did you mean `saturday`?"#]],
    );
}

#[test]
fn an_assurance_that_is_none() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nwhen { context.assurance != \"declare\" };",
        expect![[r#"
            error: `context.assurance` is never "declare"
             --> on-call.cedar:2:29
              |
            2 | when { context.assurance != "declare" };
              |                             ^^^^^^^^^
              = did you mean `declared`?"#]],
    );
}

#[test]
fn a_channel_that_is_none() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.channel == \"http\" };",
        expect![[r#"
            error: `context.channel` is never "http"
             --> on-call.cedar:2:27
              |
            2 | when { context.channel == "http" };
              |                           ^^^^^^
              = there are: cli, stdio"#]],
    );
}

#[test]
fn a_permit_that_covers_approving() {
    refused(
        "@id(\"a\") permit (principal, action, resource);",
        expect![[r#"
        error: this permits approving and revealing too
         --> on-call.cedar:1:29
          |
        1 | @id("a") permit (principal, action, resource);
          |                             ^^^^^^
          = for every tool, write action in Action::"call""#]],
    );
}

#[test]
fn an_agent_that_could_approve() {
    refused(
        "@id(\"a\") permit (principal, action == Action::\"approve\", resource);",
        expect![[r#"
        error: an agent could approve by this rule
         --> on-call.cedar:1:18
          |
        1 | @id("a") permit (principal, action == Action::"approve", resource);
          |                  ^^^^^^^^^
          = write principal is User, principal == User::"…" or principal is User in Team::"…""#]],
    );
}

#[test]
fn an_agent_of_a_team_that_could_approve() {
    refused(
        "@id(\"a\") permit (principal in Team::\"checkout\", action == Action::\"approve\", resource);",
        expect![[r#"
            error: an agent could approve by this rule
             --> on-call.cedar:1:18
              |
            1 | @id("a") permit (principal in Team::"checkout", action == Action::"approve", resource);
              |                  ^^^^^^^^^
              = write principal is User, principal == User::"…" or principal is User in Team::"…""#]],
    );
}

#[test]
fn an_agent_of_a_person_that_could_approve() {
    refused(
        "@id(\"a\") permit (principal in User::\"bob\",\n  action in [Action::\"list_alerts\", Action::\"approve\"], resource);",
        expect![[r#"
            error: an agent could approve by this rule
             --> on-call.cedar:1:18
              |
            1 | @id("a") permit (principal in User::"bob",
              |                  ^^^^^^^^^
              = write principal is User, principal == User::"…" or principal is User in Team::"…""#]],
    );
}

#[test]
fn approvals_negated() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { !(context.approvals >= 1) };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:18
              |
            2 | when { !(context.approvals >= 1) };
              |                  ^^^^^^^^^
              = write unless { context.approvals >= 1 } or unless { context.confirmed }"#]],
    );
}

#[test]
fn approvals_that_forbid() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.approvals >= 1 };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:16
              |
            2 | when { context.approvals >= 1 };
              |                ^^^^^^^^^
              = write unless { context.approvals >= 1 } or unless { context.confirmed }"#]],
    );
}

#[test]
fn approvals_compared_otherwise() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nunless { context.approvals > 1 };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:18
              |
            2 | unless { context.approvals > 1 };
              |                  ^^^^^^^^^
              = write unless { context.approvals >= 1 } or unless { context.confirmed }"#]],
    );
}

#[test]
fn more_approvals_than_there_can_be() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nunless { context.approvals >= 4 };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:18
              |
            2 | unless { context.approvals >= 4 };
              |                  ^^^^^^^^^
              = write unless { context.approvals >= 1 } or unless { context.confirmed }"#]],
    );
}

#[test]
fn approvals_that_take_a_permit_away() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nunless { context.approvals >= 2 };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:18
              |
            2 | unless { context.approvals >= 2 };
              |                  ^^^^^^^^^
              = write when { … && context.approvals >= 1 } or when { … && context.confirmed }"#]],
    );
}

#[test]
fn approvals_in_the_condition_of_an_if() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\n\
         when { if context.approvals >= 2 then false else true };",
        expect![[r#"
            error: approvals may only open: un-negated, and in `>= 1` to `>= 3`
             --> on-call.cedar:2:19
              |
            2 | when { if context.approvals >= 2 then false else true };
              |                   ^^^^^^^^^
              = write when { … && context.approvals >= 1 } or when { … && context.confirmed }"#]],
    );
}

#[test]
fn a_confirmation_that_forbids() {
    refused(
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nwhen { context.confirmed == false };",
        expect![[r#"
            error: a confirmation may only open: un-negated, and by itself
             --> on-call.cedar:2:16
              |
            2 | when { context.confirmed == false };
              |                ^^^^^^^^^
              = write when { … && context.approvals >= 1 } or when { … && context.confirmed }"#]],
    );
}

#[test]
fn a_type_that_does_not_fit() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"silence_alert\", resource)\n\
         when { context.input.minutes == \"60\" };",
        expect![[r#"
            error: the types Long and String are not compatible
             --> on-call.cedar:2:8
              |
            2 | when { context.input.minutes == "60" };
              |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = for policy `a`, both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible"#]],
    );
}

#[test]
fn an_optional_argument_that_is_not_guarded() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"query_metrics\", resource)\n\
         when { context.input.limit > 100 };",
        expect![[r#"
            error: unable to guarantee safety of access to optional attribute `input.limit` in context for Action::"query_metrics"
             --> on-call.cedar:2:8
              |
            2 | when { context.input.limit > 100 };
              |        ^^^^^^^^^^^^^^^^^^^
              = try testing for the attribute's presence with `context.input has limit && ..`"#]],
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

#[test]
fn list_entries_that_say_nothing_true() {
    let mut lists = lists(
        &["query_metric", "silence_*", "effect:destroy", "effect:writes", "[", "environment:staging"],
        &["list_alerts environment:stagin", "list_alerts query_metrics", "tickets_*"],
        &["list_alerts environment:staging environment:production"],
        &["query_metrics", "query_metrics"],
    );
    lists.allow[0].place = Some("bailiwick.toml:12".to_owned());
    lists.approve.push(ListEntry { approvals: 4, ..ListEntry::new("delete_branch") });
    lists.allow.push(ListEntry { narrow: true, ..ListEntry::new("query_metrics") });
    refused_lists(
        &lists,
        expect![[r#"
        error: allow: no tool is called `query_metric`
          --> bailiwick.toml:12:1
           |
        12 | query_metric
           | ^^^^^^^^^^^^
           = did you mean `query_metrics`?

        error: allow: opens no tool
         --> list `allow`:1:1
          |
        1 | silence_*
          | ^^^^^^^^^
          = a glob allows reads only: give the tool's name, or effect:mitigate or effect:propose

        error: allow: opens no tool
         --> list `allow`:1:1
          |
        1 | effect:destroy
          | ^^^^^^^^^^^^^^
          = what cannot be undone is allowed by its tool's name only

        error: allow: no effect is called `writes`
         --> list `allow`:1:1
          |
        1 | effect:writes
          | ^^^^^^^^^^^^^
          = there are: read, mitigate, propose, destroy

        error: allow: not a glob: unclosed character class; missing ']'
         --> list `allow`:1:1
          |
        1 | [
          | ^

        error: allow: no tool, glob or effect
         --> list `allow`:1:1
          |
        1 | environment:staging
          | ^^^^^^^^^^^^^^^^^^^
          = say which tools, e.g. `list_*`, `effect:mitigate` or, for all of them, `*`

        error: allow: this file may only narrow
         --> list `allow`:1:1
          |
        1 | query_metrics
          | ^^^^^^^^^^^^^
          = write ask, approve or deny here; allow in your own configuration

        error: approve: 4 approvals
         --> list `approve`:1:1
          |
        1 | delete_branch
          | ^^^^^^^^^^^^^
          = expected 1, 2 or 3

        error: approve: a second environment
         --> list `approve`:1:33
          |
        1 | list_alerts environment:staging environment:production
          |                                 ^^^^^^^^^^^^^^^^^^^^^^
          = write one entry for each

        error: ask: no tool matches
         --> list `ask`:1:1
          |
        1 | tickets_*
          | ^^^^^^^^^
          = there are: delete_branch, list_alerts, open_change, query_metrics, silence_alert

        error: ask: no environment is called `stagin`
         --> list `ask`:1:13
          |
        1 | list_alerts environment:stagin
          |             ^^^^^^^^^^^^^^^^^^
          = did you mean `staging`?

        error: ask: a second tool, glob or effect
         --> list `ask`:1:13
          |
        1 | list_alerts query_metrics
          |             ^^^^^^^^^^^^^
          = a call is of one tool: write one entry for each

        error: deny: the same entry again
         --> list `deny`:1:1
          |
        1 | query_metrics
          | ^^^^^^^^^^^^^
          = the first stands at list `deny`; keep one"#]],
    );
}
