//! Laws of policies, on random rules and questions.

#[path = "../common/mod.rs"]
mod common;

mod declared;
mod draw;
mod oracle;
mod sight;

use draw::{Drawn, arguments, call, entries, file, limits, place, rule, usage};
use oracle::permitted;
use policy::{
    Assurance, Channel, Circumstances, ListEntry, Lists, Permit, Refusal, Scope, Standing, Target, Usage,
};
use proptest::prelude::*;

/// How far an answer is from a permit: fewer is more permissive.
pub(crate) fn distance(answer: &Result<Permit, Refusal>) -> u8 {
    match answer {
        Ok(_) => 0,
        Err(Refusal::NeedsApproval(needs)) => 1 + needs.approvals * 2 + u8::from(needs.confirmed),
        Err(Refusal::Denied(_)) => 99,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_sliced_decision_is_that_of_cedar_over_all_rules(
        rules in prop::collection::vec(rule(), 1..40),
        calls in prop::collection::vec(call(), 6),
    ) {
        let text = file(&rules);
        let policy = common::cedar(&text);
        for drawn in &calls {
            let each: Vec<bool> = drawn.targets.iter().map(|it| permitted(&text, drawn, it)).collect();
            prop_assert_eq!(policy.decide(&drawn.question()).is_ok(), each.iter().all(|it| *it), "{:?}", drawn);
            let question = drawn.question();
            let viewer = policy.viewer(&question);
            for (target, expected) in drawn.targets.iter().zip(each) {
                prop_assert_eq!(viewer.shows(target), expected);
            }
        }
    }

    #[test]
    fn what_was_asked_before_never_changes_an_answer(
        rules in prop::collection::vec(rule(), 1..12), calls in prop::collection::vec((call(), 0..3_usize), 8),
    ) {
        let text = file(&rules);
        let used = common::cedar(&text);
        for (mut drawn, nth) in calls {
            let (assurance, channel, now) = [
                (Assurance::Declared, Channel::Stdio, "2026-11-22T01:30:00Z"),
                (Assurance::Token, Channel::Stdio, "2026-11-22T12:30:00Z"),
                (Assurance::Declared, Channel::Cli, "2026-11-23T01:31:30Z"),
            ][nth];
            drawn.caller.assurance = assurance;
            drawn.circumstances.channel = channel;
            drawn.circumstances.now = now.parse().expect("a time");
            let (first, again) = (used.decide(&drawn.question()), used.decide(&drawn.question()));
            let fresh = common::cedar(&text).decide(&drawn.question());
            prop_assert_eq!(format!("{first:?}"), format!("{fresh:?}"));
            prop_assert_eq!(format!("{again:?}"), format!("{fresh:?}"));
        }
    }

    #[test]
    fn adding_a_forbid_never_allows_more(
        rules in prop::collection::vec(rule(), 1..12), more in rule(), calls in prop::collection::vec(call(), 6),
    ) {
        let before = common::cedar(&file(&rules));
        let forbid = more.replacen("permit", "forbid", 1);
        // A permit's agreement opens in `when`, a forbid's in `unless`; others do not load.
        prop_assume!(!(more.starts_with("permit") && (more.contains("confirmed") || more.contains("approvals"))));
        let after = common::cedar(&file(&[rules, vec![forbid]].concat()));
        for drawn in &calls {
            let (before, after) = (before.decide(&drawn.question()), after.decide(&drawn.question()));
            prop_assert!(distance(&after) >= distance(&before), "{:?} then {:?}", before, after);
        }
    }

    #[test]
    fn what_a_repository_narrows_never_allows_more(
        rules in prop::collection::vec(rule(), 0..8), allow in entries(), own in entries(),
        forbids in prop::collection::vec(rule(), 0..4), ask in entries(), approve in entries(), deny in entries(),
        calls in prop::collection::vec(call(), 6),
    ) {
        let load = |sources: &[policy::Source], lists: &Lists| {
            common::load_all(sources, lists).unwrap_or_else(|it| panic!("{it}"))
        };
        let source = common::source("own.cedar", &file(&rules));
        let lists = Lists { allow, deny: own, ..Lists::default() };
        // A permit's agreement opens in `when`, a forbid's in `unless`; others do not load.
        let agrees = |it: &String| it.contains("confirmed") || it.contains("approvals");
        let forbids = forbids.iter().filter(|it| it.starts_with("forbid") || !agrees(it));
        let forbids: Vec<String> = forbids.map(|it| it.replacen("permit", "forbid", 1)).collect();
        let text = file(&forbids).replace("@id(\"", "@id(\"narrow-");
        let narrow = policy::Source { scope: Scope::Narrow, ..common::source("repository.cedar", &text) };
        let narrowing = |all: Vec<ListEntry>, before: &[ListEntry]| -> Vec<ListEntry> {
            let more = all.into_iter().map(|it| ListEntry { narrow: true, ..it });
            let more = more.filter(|it| before.iter().all(|own| own.text != it.text));
            before.iter().cloned().chain(more).collect()
        };
        let narrowed = Lists {
            allow: lists.allow.clone(),
            ask: narrowing(ask, &[]),
            approve: narrowing(approve, &[]),
            deny: narrowing(deny, &lists.deny),
            ..Lists::default()
        };
        let (before, after) = (load(std::slice::from_ref(&source), &lists), load(&[source, narrow], &narrowed));
        for drawn in &calls {
            let question = drawn.question();
            let (one, other) = (before.decide(&question), after.decide(&question));
            prop_assert!(distance(&other) >= distance(&one), "{:?} then {:?}", one, other);
            let (one, other) = (before.viewer(&question), after.viewer(&question));
            for target in &drawn.targets {
                prop_assert!(one.shows(target) || !other.shows(target));
            }
        }
    }

    #[test]
    fn more_agreement_never_denies_more(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in calls {
            let with = |approvals, confirmed| {
                let circumstances = Circumstances { approvals, confirmed, ..drawn.circumstances.clone() };
                let drawn = Drawn { circumstances, ..drawn.clone() };
                distance(&policy.decide(&drawn.question()))
            };
            for approvals in 0..=3 {
                prop_assert!(with(approvals, true) <= with(approvals, false));
                prop_assert!(with(approvals + 1, false) <= with(approvals, false));
                prop_assert!(with(approvals + 1, true) <= with(approvals, true));
            }
        }
    }

    #[test]
    fn what_an_answer_asks_for_is_enough(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in calls {
            if let Err(Refusal::NeedsApproval(needs)) = policy.decide(&drawn.question()) {
                let approvals = drawn.circumstances.approvals.max(needs.approvals);
                let confirmed = drawn.circumstances.confirmed || needs.confirmed;
                let circumstances = Circumstances { approvals, confirmed, ..drawn.circumstances.clone() };
                let agreed = Drawn { circumstances, ..drawn };
                prop_assert!(policy.decide(&agreed.question()).is_ok());
            }
        }
    }

    #[test]
    fn a_limit_never_allows_more_and_more_calls_never_do(
        rules in prop::collection::vec(rule(), 0..8), limits in limits(), calls in prop::collection::vec(call(), 6),
        more in usage(),
    ) {
        // Rules that look at the counts themselves may mean anything by them.
        let rules: Vec<String> = rules.into_iter().filter(|it| !it.contains("usage")).collect();
        let source = common::source("own.cedar", &file(&rules));
        let lists = Lists { limits, ..Lists::default() };
        let load = |lists: &Lists| {
            common::load_all(std::slice::from_ref(&source), lists).unwrap_or_else(|it| panic!("{it}"))
        };
        let (free, limited) = (load(&Lists::default()), load(&lists));
        for drawn in calls {
            let said = distance(&limited.decide(&drawn.question()));
            prop_assert!(said >= distance(&free.decide(&drawn.question())));
            let (mut later, usage) = (drawn.clone(), drawn.circumstances.usage.expect("it is drawn"));
            later.circumstances.usage = Some(Usage {
                calls_hour: usage.calls_hour + more.calls_hour,
                calls_day: usage.calls_day + more.calls_day,
                mitigations_hour: usage.mitigations_hour + more.mitigations_hour,
                tool_hour: usage.tool_hour + more.tool_hour,
                tool_day: usage.tool_day + more.tool_day,
            });
            prop_assert!(distance(&limited.decide(&later.question())) >= said);
            // Where nobody counted nothing is permitted that a limit is about.
            later.circumstances.usage = None;
            let uncounted = distance(&limited.decide(&later.question()));
            prop_assert!(uncounted >= said && (uncounted == 99 || !limited.looks_at_usage(drawn.tool)));
        }
    }

    #[test]
    fn the_order_of_lists_never_matters(
        allow in entries(), ask in entries(), approve in entries(), deny in entries(),
        calls in prop::collection::vec(call(), 6),
    ) {
        let lists = Lists { allow, ask, approve, deny, ..Lists::default() };
        let mut turned = lists.clone();
        for list in [&mut turned.allow, &mut turned.ask, &mut turned.approve, &mut turned.deny] {
            list.reverse();
        }
        let (Ok(one), Ok(other)) = (common::load_all(&[], &lists), common::load_all(&[], &turned)) else {
            return Ok(());
        };
        prop_assert_eq!(one.digest(), other.digest());
        for drawn in &calls {
            prop_assert_eq!(one.decide(&drawn.question()), other.decide(&drawn.question()));
        }
    }

    #[test]
    fn screening_never_refuses_what_is_permitted_once_narrowed(
        rules in prop::collection::vec(rule(), 1..12), drawn in call(), narrowed in prop::collection::vec(place(), 1..4),
    ) {
        let policy = common::cedar(&file(&rules));
        let known = &drawn.targets[0];
        let keep = |known: &str, found: String| if known == "unknown" { found } else { known.to_owned() };
        let targets = narrowed
            .into_iter()
            .map(|it| Target {
                environment: keep(&known.environment, it.environment.clone()),
                region: keep(&known.region, it.region.clone()),
                ..it
            })
            .collect();
        let screened = policy.screen(&drawn.caller, drawn.tool, &drawn.targets[..1]);
        let later = Drawn { targets, ..drawn.clone() };
        if let Err(denial) = screened {
            prop_assert!(!matches!(policy.decide(&later.question()), Ok(_) | Err(Refusal::NeedsApproval(_))), "{:?}", denial);
        }
    }

    #[test]
    fn what_a_call_may_be_permitted_is_offered(
        rules in prop::collection::vec(rule(), 1..20), calls in prop::collection::vec(call(), 6),
    ) {
        let policy = common::cedar(&file(&rules));
        for drawn in &calls {
            let answer = policy.decide(&drawn.question());
            let possible = !matches!(answer, Err(Refusal::Denied(_)));
            prop_assert!(!possible || policy.offers(&drawn.caller, drawn.tool), "{:?}", answer);
        }
    }

    #[test]
    fn standing_is_true_of_every_call(
        rules in prop::collection::vec(rule(), 1..12), drawn in call(), some in any::<bool>(),
    ) {
        let policy = common::cedar(&file(&rules));
        let target = &drawn.targets[0];
        let standing = policy.standing(&drawn.caller, drawn.tool, target, &drawn.circumstances);
        let input = arguments(drawn.tool, some);
        let call = Drawn { input, targets: vec![target.clone()], ..drawn };
        let answer = policy.decide(&call.question());
        match standing {
            Standing::Allowed { .. } => prop_assert!(answer.is_ok(), "{:?}", answer),
            Standing::Denied(_) => prop_assert!(matches!(answer, Err(Refusal::Denied(_))), "{:?}", answer),
            Standing::NeedsApproval(_) => prop_assert!(answer.is_err(), "{:?}", answer),
            Standing::Depends { .. } => {}
        }
    }
}
