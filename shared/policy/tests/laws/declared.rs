//! Laws of teams that are only declared.

use policy::{Assurance, Target};
use proptest::prelude::*;

use crate::{
    common, distance,
    draw::{Drawn, call, file, rule},
    oracle::{is_development, is_harmless, oracle, teamless},
};

/// Whether being in a team can only help under a rule, or makes no difference.
fn only_helps(rule: &str) -> bool {
    let looks = ["principal in Team", "Agent in Team", "principal in resource.team"];
    !looks.iter().any(|it| rule.contains(it)) || rule.starts_with("permit") && !rule.contains("unless {")
}

fn with(drawn: &Drawn, assurance: Assurance) -> Drawn {
    let mut other = drawn.clone();
    other.caller.assurance = assurance;
    other
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_declared_team_never_makes_an_effect_outside_development_permitted(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
        os_user in any::<bool>(),
    ) {
        let policy = common::cedar(&file(&rules));
        let assurance = if os_user { Assurance::OsUser } else { Assurance::Declared };
        for drawn in calls.iter().filter(|it| !is_harmless(it)) {
            let outside: Vec<Target> = drawn.targets.iter().filter(|it| !is_development(it)).cloned().collect();
            let drawn = with(&Drawn { targets: outside, ..drawn.clone() }, assurance);
            let (declared, nobody) = (policy.decide(&drawn.question()), policy.decide(&teamless(&drawn).question()));
            prop_assert!(distance(&declared) >= distance(&nobody), "{:?} but {:?}", declared, nobody);
        }
    }

    #[test]
    fn being_in_fewer_teams_never_permits_more_where_no_rule_holds_a_team_back(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
        proven in any::<bool>(),
    ) {
        let rules: Vec<String> = rules.into_iter().filter(|it| only_helps(it)).collect();
        let policy = common::cedar(&file(&rules));
        let assurance = if proven { Assurance::Token } else { Assurance::Declared };
        for drawn in &calls {
            let drawn = with(drawn, assurance);
            let (member, nobody) = (policy.decide(&drawn.question()), policy.decide(&teamless(&drawn).question()));
            prop_assert!(distance(&nobody) >= distance(&member), "{:?} but {:?}", member, nobody);
        }
    }

    #[test]
    fn teams_that_a_token_says_count_everywhere_and_declared_ones_where_nothing_else_is_at_stake(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let text = file(&rules);
        let policy = common::cedar(&text);
        for drawn in &calls {
            let proven = policy.decide(&with(drawn, Assurance::Token).question());
            let each = drawn.targets.iter().all(|it| oracle(&text, drawn, it));
            prop_assert_eq!(proven.is_ok(), each, "{:?}", drawn);
            if is_harmless(drawn) || drawn.targets.iter().all(is_development) {
                prop_assert_eq!(policy.decide(&drawn.question()), proven);
            }
        }
    }
}
