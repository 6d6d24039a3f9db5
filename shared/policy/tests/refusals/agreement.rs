//! Who could approve, and approvals that could close.

use expect_test::expect;

use crate::refused;

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
fn an_agent_that_could_break_the_glass() {
    refused(
        "@id(\"a\") permit (principal in Team::\"checkout\", action == Action::\"break_glass\", resource);",
        expect![[r#"
            error: an agent could break the glass by this rule
             --> on-call.cedar:1:18
              |
            1 | @id("a") permit (principal in Team::"checkout", action == Action::"break_glass", resource);
              |                  ^^^^^^^^^
              = write principal is User, principal == User::"…" or principal is User in Team::"…""#]],
    );
}

#[test]
fn a_person_who_could_break_the_glass_by_a_rule_that_does_not_name_it() {
    refused(
        "@id(\"a\") permit (principal is User, action, resource);",
        expect![[r#"
            error: this permits breaking the glass too
             --> on-call.cedar:1:37
              |
            1 | @id("a") permit (principal is User, action, resource);
              |                                     ^^^^^^
              = name what is meant, e.g. action == Action::"approve""#]],
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
