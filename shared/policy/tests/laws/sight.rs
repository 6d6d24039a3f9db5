//! Laws of what may be seen: rows, and classes of data.

use policy::{Circumstances, Question};
use proptest::prelude::*;

use crate::{
    common,
    draw::{call, file, place, rule},
};

/// One rule about revealing, without its id.
fn reveal() -> impl Strategy<Value = String> {
    let principal = prop::sample::select(
        &[
            "principal",
            "principal == Agent::\"claude-code\"",
            "principal in User::\"alice\"",
            "principal is Agent in Team::\"checkout\"",
        ][..],
    );
    let resource = prop::sample::select(&["resource", "resource == DataClass::\"pii\""][..]);
    let condition = prop::sample::select(
        &[
            "",
            "when { context.channel == \"stdio\" }",
            "when { context.weekday == \"monday\" }",
            "when { context.minute_of_day + 9223372036854775807 > 0 }",
            "unless { context.assurance == \"token\" }",
        ][..],
    );
    (prop::bool::weighted(0.6), principal, resource, condition).prop_map(
        |(permits, principal, resource, condition)| {
            let effect = if permits { "permit" } else { "forbid" };
            format!("{effect} ({principal}, action == Action::\"reveal\", {resource}) {condition};")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_row_is_shown_exactly_if_a_call_about_it_alone_is_permitted(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 3),
        rows in prop::collection::vec(place(), 1..24),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in &calls {
            let question = drawn.question();
            let viewer = policy.viewer(&question);
            // Twice, for a viewer remembers.
            for row in rows.iter().chain(&rows) {
                let alone = policy.decide(&Question { targets: std::slice::from_ref(row), ..question.clone() });
                prop_assert_eq!(viewer.shows(row), alone.is_ok(), "{:?}", row);
            }
        }
    }

    #[test]
    fn nothing_is_revealed_without_a_rule_that_permits_it(
        rules in prop::collection::vec(rule(), 0..8), more in prop::collection::vec(reveal(), 0..6),
        drawn in call(),
    ) {
        let reveals = |rules: &[String], class: &str| {
            let circumstances = Circumstances { approvals: 3, confirmed: true, ..drawn.circumstances.clone() };
            common::cedar(&file(rules)).reveals(&drawn.caller, &circumstances, class)
        };
        prop_assert!(!reveals(&rules, "pii"), "rules about calls reveal nothing");
        let all = [rules.clone(), more.clone()].concat();
        let forbids: Vec<String> = more.iter().filter(|it| it.starts_with("forbid")).cloned().collect();
        prop_assert!(!reveals(&[rules, forbids].concat(), "pii"), "a forbid reveals nothing");
        prop_assert!(!reveals(&all, "secret") && !reveals(&all, "unknown"));
    }

    #[test]
    fn a_forbid_never_reveals_more(
        rules in prop::collection::vec(reveal(), 1..6), more in reveal(), drawn in call(),
    ) {
        let reveals = |rules: &[String]| {
            common::cedar(&file(rules)).reveals(&drawn.caller, &drawn.circumstances, "pii")
        };
        let forbid = more.replacen("permit", "forbid", 1);
        prop_assert!(reveals(&rules) || !reveals(&[rules.clone(), vec![forbid]].concat()));
    }
}
