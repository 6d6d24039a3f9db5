//! Limits that say nothing true, and rules that look at counts in a way that means something else.

use expect_test::{Expect, expect};
use policy::{ListEntry, Lists};

use crate::{refused, refused_lists};

/// What is wrong with some limits.
fn limits(entries: &[&str], expected: Expect) {
    let limits = entries.iter().map(|it| ListEntry::new(*it)).collect();
    refused_lists(&Lists { limits, ..Lists::default() }, expected);
}

#[test]
fn a_limit_that_is_none() {
    limits(
        &["silence_alert 3", "silence_alert 3/hour", "3 per hour", "silence_alert 3 per  hour or so"],
        expect![[r#"
            error: limits: no limit
             --> list `limits`:1:1
              |
            1 | silence_alert 3
              | ^^^^^^^^^^^^^^^
              = write what, how many and in which time: `silence_alert 3 per hour`, `effect:mitigate 10 per hour` or `* 2000 per day`

            error: limits: no limit
             --> list `limits`:1:1
              |
            1 | silence_alert 3/hour
              | ^^^^^^^^^^^^^^^^^^^^
              = write what, how many and in which time: `silence_alert 3 per hour`, `effect:mitigate 10 per hour` or `* 2000 per day`

            error: limits: no limit
             --> list `limits`:1:1
              |
            1 | 3 per hour
              | ^^^^^^^^^^
              = write what, how many and in which time: `silence_alert 3 per hour`, `effect:mitigate 10 per hour` or `* 2000 per day`

            error: limits: no limit
             --> list `limits`:1:1
              |
            1 | silence_alert 3 per  hour or so
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              = write what, how many and in which time: `silence_alert 3 per hour`, `effect:mitigate 10 per hour` or `* 2000 per day`"#]],
    );
}

#[test]
fn a_time_that_nobody_counts_by() {
    limits(
        &["silence_alert 3 per minute", "silence_alert 3 per days"],
        expect![[r#"
        error: limits: nothing is counted by the minute
         --> list `limits`:1:21
          |
        1 | silence_alert 3 per minute
          |                     ^^^^^^
          = there are: hour, day

        error: limits: nothing is counted by the days
         --> list `limits`:1:21
          |
        1 | silence_alert 3 per days
          |                     ^^^^
          = did you mean `day`?"#]],
    );
}

#[test]
fn a_number_that_limits_nothing_or_everything() {
    limits(
        &["silence_alert 0 per hour", "silence_alert -1 per hour", "* 1000001 per day", "* many per day"],
        expect![[r#"
            error: limits: `1000001` is no count: expected 1 to 1000000
             --> list `limits`:1:3
              |
            1 | * 1000001 per day
              |   ^^^^^^^
              = what may not be done at all stands under `deny`

            error: limits: `many` is no count: expected 1 to 1000000
             --> list `limits`:1:3
              |
            1 | * many per day
              |   ^^^^
              = what may not be done at all stands under `deny`

            error: limits: `0` is no count: expected 1 to 1000000
             --> list `limits`:1:15
              |
            1 | silence_alert 0 per hour
              |               ^
              = what may not be done at all stands under `deny`

            error: limits: `-1` is no count: expected 1 to 1000000
             --> list `limits`:1:15
              |
            1 | silence_alert -1 per hour
              |               ^^
              = what may not be done at all stands under `deny`"#]],
    );
}

#[test]
fn what_is_not_counted_by_itself() {
    limits(
        &[
            "effect:read 3 per hour",
            "effect:mitigate 3 per day",
            "silence_* 3 per hour",
            "silence_alert environment:production 3 per hour",
            "environment:production 3 per hour",
        ],
        expect![[r#"
            error: limits: calls of the effect `read` are not counted by themselves
             --> list `limits`:1:1
              |
            1 | effect:read 3 per hour
              | ^^^^^^^^^^^
              = write `effect:mitigate`, or one entry for each tool

            error: limits: a glob is not counted by itself
             --> list `limits`:1:1
              |
            1 | silence_* 3 per hour
              | ^^^^^^^^^
              = write one entry for each tool, or `*` for all calls together

            error: limits: calls are counted wherever they reach
             --> list `limits`:1:1
              |
            1 | environment:production 3 per hour
              | ^^^^^^^^^^^^^^^^^^^^^^
              = leave the environment out, or write the limit in Cedar with a scope of its own

            error: limits: calls are counted wherever they reach
             --> list `limits`:1:15
              |
            1 | silence_alert environment:production 3 per hour
              |               ^^^^^^^^^^^^^^^^^^^^^^
              = leave the environment out, or write the limit in Cedar with a scope of its own

            error: limits: mitigations are counted by the hour
             --> list `limits`:1:23
              |
            1 | effect:mitigate 3 per day
              |                       ^^^
              = write `effect:mitigate 3 per hour`, or one entry for each tool"#]],
    );
}

#[test]
fn a_tool_that_is_none() {
    limits(
        &["silence_alerts 3 per hour", "mitigate 10 per hour"],
        expect![[r#"
        error: limits: no tool is called `silence_alerts`
         --> list `limits`:1:1
          |
        1 | silence_alerts 3 per hour
          | ^^^^^^^^^^^^^^
          = did you mean `silence_alert`?

        error: limits: no tool is called `mitigate`
         --> list `limits`:1:1
          |
        1 | mitigate 10 per hour
          | ^^^^^^^^
          = did you mean `effect:mitigate`?"#]],
    );
}

#[test]
fn the_same_limit_twice() {
    limits(
        &["silence_alert 3 per hour", "silence_alert  3 per hour"],
        expect![[r#"
        error: limits: the same entry again
         --> list `limits`:1:1
          |
        1 | silence_alert  3 per hour
          | ^^^^^^^^^^^^^^^^^^^^^^^^^
          = the first stands at list `limits`; keep one"#]],
    );
}

#[test]
fn a_count_that_is_compared_for_being_equal() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.usage.calls_hour == 11 };",
        expect![[r#"
            error: `context.usage.calls_hour` may only be compared with a number by `>`, `>=`, `<` or `<=`
             --> on-call.cedar:2:22
              |
            2 | when { context.usage.calls_hour == 11 };
              |                      ^^^^^^^^^^
              = a limit is a forbid: when { context.usage.calls_hour > 100 }"#]],
    );
}

#[test]
fn a_count_that_is_compared_with_what_the_caller_says() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"silence_alert\", resource)\n\
         when { context.usage.calls_hour > context.input.minutes };",
        expect![[r#"
            error: `context.usage.calls_hour` may only be compared with a number by `>`, `>=`, `<` or `<=`
             --> on-call.cedar:2:22
              |
            2 | when { context.usage.calls_hour > context.input.minutes };
              |                      ^^^^^^^^^^
              = a limit is a forbid: when { context.usage.calls_hour > 100 }"#]],
    );
}

#[test]
fn a_count_that_is_reckoned_with() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.usage.calls_hour + 1 > 10 };",
        expect![[r#"
            error: `context.usage.calls_hour` may only be compared with a number by `>`, `>=`, `<` or `<=`
             --> on-call.cedar:2:22
              |
            2 | when { context.usage.calls_hour + 1 > 10 };
              |                      ^^^^^^^^^^
              = a limit is a forbid: when { context.usage.calls_hour > 100 }"#]],
    );
}

#[test]
fn a_count_that_is_asked_for_first() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\n\
         when { context has usage && context.usage.calls_hour > 10 };",
        expect![[r#"
            error: `context.usage` is always there, and is no word by itself
             --> on-call.cedar:2:37
              |
            2 | when { context has usage && context.usage.calls_hour > 10 };
              |                                     ^^^^^
              = a limit is a forbid: when { context.usage.calls_hour > 100 }"#]],
    );
}

#[test]
fn a_count_that_there_is_not() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\nwhen { context.usage.call_hour > 10 };",
        expect![[r#"
            error: nothing in scope has `context.usage.call_hour`
             --> on-call.cedar:2:22
              |
            2 | when { context.usage.call_hour > 10 };
              |                      ^^^^^^^^^
              = did you mean `calls_hour`?"#]],
    );
}

#[test]
fn a_ticket_that_is_not_asked_for_first() {
    refused(
        "@id(\"a\") forbid (principal, action == Action::\"silence_alert\", resource)\nunless { context.change.approved };",
        expect![[r#"
            error: unable to guarantee safety of access to optional attribute `change` in context for Action::"silence_alert"
             --> on-call.cedar:2:10
              |
            2 | unless { context.change.approved };
              |          ^^^^^^^^^^^^^^^^^^^^^^^
              = try testing for the attribute's presence with `context has change && ..`"#]],
    );
}

#[test]
fn what_a_ticket_does_not_say() {
    refused(
        "@id(\"a\") forbid (principal, action in Action::\"call\", resource)\n\
         unless { context has change && context.change.approvd };",
        expect![[r#"
            error: nothing in scope has `context.change.approvd`
             --> on-call.cedar:2:47
              |
            2 | unless { context has change && context.change.approvd };
              |                                               ^^^^^^^
              = did you mean `approved`?"#]],
    );
}
