//! What limits and change tickets decide, and who has to count and to check for it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{ask_with, caller, cedar, circumstances, input, lists, load_all, source, target};
use policy::{Change, Circumstances, ListEntry, Lists, Policy, Question, Standing, Usage};

/// Everything may run, within these limits.
fn limited(limits: &[&str]) -> Policy {
    let limits = limits.iter().map(|it| ListEntry::new(*it)).collect();
    let lists = Lists { limits, ..lists(&["*", "silence_alert", "open_change"], &[], &[], &[]) };
    load_all(&[], &lists).unwrap_or_else(|it| panic!("{it}"))
}

fn used(policy: &Policy, tool: &str, usage: Option<Usage>) -> String {
    ask_with(policy, tool, "staging", &input(tool), Circumstances { usage, ..circumstances() })
}

#[test]
fn a_limit_holds_from_the_call_on_that_goes_over_it() {
    let policy = limited(&["silence_alert 3 per hour", "effect:mitigate 10 per hour", "* 2000 per day"]);
    let first = Usage::FIRST;
    let said = |usage| used(&policy, "silence_alert", Some(usage));
    assert_eq!(
        said(Usage { tool_hour: 3, mitigations_hour: 10, calls_day: 2000, ..first }),
        "permitted by allow:silence_alert"
    );
    assert_eq!(
        said(Usage { tool_hour: 4, ..first }),
        "denied by limits:silence_alert 3 per hour: the configuration limits a caller to 3 calls of silence_alert per hour"
    );
    assert_eq!(
        said(Usage { mitigations_hour: 11, ..first }),
        "denied by limits:effect:mitigate 10 per hour: the configuration limits a caller to 10 mitigations per hour"
    );
    assert_eq!(
        said(Usage { calls_day: 2001, ..first }),
        "denied by limits:* 2000 per day: the configuration limits a caller to 2000 calls per day"
    );
    let busy = Some(Usage { tool_hour: 4, tool_day: 90, mitigations_hour: 11, ..first });
    assert_eq!(
        used(&policy, "list_alerts", busy),
        "permitted by allow:*",
        "these limits are about other tools"
    );
}

#[test]
fn a_limit_denies_where_nobody_counted() {
    let policy = limited(&["silence_alert 3 per hour"]);
    let said = used(&policy, "silence_alert", None);
    assert_eq!(
        said,
        "denied by limits:silence_alert 3 per hour: this rule could not be evaluated, so it counts as forbidding"
    );
    assert_eq!(used(&policy, "open_change", None), "permitted by allow:open_change");
}

#[test]
fn only_tools_that_a_rule_limits_need_counting_and_tickets() {
    let policy = limited(&["silence_alert 3 per hour"]);
    assert!(policy.looks_at_usage("silence_alert"));
    assert!(!policy.looks_at_usage("open_change") && !policy.looks_at_usage("nothing"));
    assert!(limited(&["* 9 per day"]).looks_at_usage("open_change"));
    assert!(!policy.looks_at_change("silence_alert"));
    let ticketed = cedar(TICKETED);
    assert!(ticketed.looks_at_change("silence_alert") && !ticketed.looks_at_change("list_alerts"));
    assert!(!ticketed.looks_at_usage("silence_alert"));
}

const TICKETED: &str = "
    @id(\"all\") permit (principal, action in Action::\"call\", resource);
    @id(\"ticket\") @reason(\"a change needs its ticket\") forbid (principal, action in Action::\"effect:mitigate\", resource)
    unless { context has change && context.change.approved };
    @id(\"freeze\") forbid (principal, action in Action::\"effect:mitigate\", resource)
    when { context has change && context.change.state == \"Frozen\" && context.change.id like \"CHG*\" };";

#[test]
fn a_ticket_that_is_absent_or_not_approved_opens_nothing() {
    let policy = cedar(TICKETED);
    let said = |tool: &str, change: Option<(&str, bool)>| {
        let change = change.map(|(state, approved)| {
            let (id, state) = ("CHG1".to_owned(), state.to_owned());
            Change { id, state, approved }
        });
        ask_with(&policy, tool, "staging", &input(tool), Circumstances { change, ..circumstances() })
    };
    assert_eq!(said("silence_alert", Some(("Implement", true))), "permitted by all");
    assert_eq!(said("silence_alert", Some(("Draft", false))), "denied by ticket: a change needs its ticket");
    assert_eq!(said("silence_alert", None), "denied by ticket: a change needs its ticket");
    assert_eq!(said("silence_alert", Some(("Frozen", true))), "denied by freeze: this rule forbids it");
    assert_eq!(said("list_alerts", None), "permitted by all");
}

#[test]
fn what_was_found_before_does_not_answer_for_another_count_or_ticket() {
    let text = format!(
        "{TICKETED}\n@id(\"limit\") forbid (principal, action in Action::\"call\", resource) when {{ context.usage.calls_hour > 2 }};"
    );
    let policy = cedar(&text);
    let (caller, targets, input) = (caller(), [target("staging")], input("silence_alert"));
    let mut said = Vec::new();
    for (calls_hour, approved) in [(1, true), (3, true), (1, true), (1, false), (1, true)] {
        let change = Some(Change { id: "CHG1".to_owned(), state: "x".to_owned(), approved });
        let usage = Some(Usage { calls_hour, ..Usage::FIRST });
        let circumstances = Circumstances { usage, change, ..circumstances() };
        let (tool, input, targets) = ("silence_alert", &input, &targets[..]);
        let question = Question { caller: &caller, tool, input, targets, digest: [7; 32], circumstances };
        said.push(policy.decide(&question).is_ok());
    }
    assert_eq!(said, [true, false, true, false, true]);
}

#[test]
fn before_a_call_is_made_nobody_says_that_a_limit_or_a_ticket_lets_it_pass() {
    let policy = limited(&["silence_alert 3 per hour"]);
    let stand =
        |policy: &Policy, tool: &str| policy.standing(&caller(), tool, &target("staging"), &circumstances());
    let depends = |on: &str| Standing::Depends { policies: vec![on.to_owned()], declared: false };
    assert_eq!(stand(&policy, "silence_alert"), depends("limits:silence_alert 3 per hour"));
    assert!(matches!(stand(&policy, "open_change"), Standing::Allowed { .. }));
    let Standing::Depends { policies, .. } = stand(&cedar(TICKETED), "silence_alert") else {
        panic!("it depends")
    };
    assert_eq!(policies, ["freeze", "ticket"]);
}

#[test]
fn what_a_repository_limits_stands_beside_what_the_configuration_does() {
    let own = ListEntry::new("silence_alert 3 per hour");
    let theirs = ListEntry { narrow: true, ..ListEntry::new("silence_alert 3 per hour") };
    let lists = Lists { limits: vec![own, theirs], ..lists(&["silence_alert"], &[], &[], &[]) };
    let policy = load_all(&[], &lists).unwrap();
    let ids: Vec<String> = policy.rules().into_iter().map(|it| it.id).collect();
    assert_eq!(
        ids,
        ["allow:silence_alert", "limits:silence_alert 3 per hour", "limits:silence_alert 3 per hour/narrow"]
    );
}

#[test]
fn a_limit_in_cedar_may_have_a_scope_of_its_own() {
    let text = "@id(\"all\") permit (principal, action in Action::\"call\", resource);
        @id(\"few\") forbid (principal, action in Action::\"effect:mitigate\", resource in Environment::\"production\")
        when { 1 < context.usage.mitigations_hour && context.minute_of_day >= 0 };";
    let policy = load_all(&[source("limits.cedar", text)], &Lists::default()).unwrap();
    let usage = Some(Usage { mitigations_hour: 2, ..Usage::FIRST });
    let said = |environment: &str| {
        let circumstances = Circumstances { usage, ..circumstances() };
        ask_with(&policy, "silence_alert", environment, &input("silence_alert"), circumstances)
    };
    assert_eq!(said("production"), "denied by few: this rule forbids it");
    assert_eq!(said("staging"), "permitted by all");
}
