//! Arguments and circumstances that a rule cannot mean.

use expect_test::expect;

use crate::refused;

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
        "@id(\"a\") permit (principal, action in Action::\"call\", resource)\nunless { context has blast };",
        expect![[r#"
            error: nothing in scope has `context.blast`
             --> on-call.cedar:2:22
              |
            2 | unless { context has blast };
              |                      ^^^^^
              = there are: approvals, assurance, change, channel, confirmed, input, minute_of_day, now, usage, weekday, witnessed_seconds"#]],
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
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.channel == \"smtp\" };",
        expect![[r#"
            error: `context.channel` is never "smtp"
             --> on-call.cedar:2:27
              |
            2 | when { context.channel == "smtp" };
              |                           ^^^^^^
              = there are: cli, http, stdio"#]],
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
