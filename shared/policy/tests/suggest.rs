//! What is suggested from denials: enough, no more, and never against a forbid.

mod common;

use common::{caller, circumstances, family, input, lists, source, target, vocabulary};
use policy::{Caller, Form, ListEntry, Lists, Recorded, Setup, Source, Suggested, Target, suggest};
use serde_json::json;

fn denied(place: &str, tool: &str, targets: Vec<Target>) -> Recorded {
    Recorded {
        place: place.to_owned(),
        caller: caller(),
        tool: tool.to_owned(),
        input: input(tool),
        targets,
        circumstances: circumstances(),
    }
}

fn under(text: &str, lists: &Lists, form: Form, recorded: &[Recorded]) -> Suggested {
    let (family, vocabulary) = (family(), vocabulary());
    let sources: Vec<Source> = if text.is_empty() { Vec::new() } else { vec![source("test.cedar", text)] };
    let zone = jiff::tz::TimeZone::UTC;
    let setup = Setup { family: &family, sources: &sources, lists, vocabulary: &vocabulary, zone };
    suggest(&setup, recorded, form).unwrap_or_else(|it| panic!("{it}"))
}

#[test]
fn a_rule_is_about_this_caller_these_targets_and_no_more_than_was_asked_for() {
    let mut longer = denied("o/0:2", "silence_alert", vec![target("staging")]);
    longer.input["minutes"] = json!(45);
    let recorded = [denied("o/0:1", "silence_alert", vec![target("staging")]), longer];
    let found = under("", &Lists::default(), Form::Rule, &recorded);
    let [only] = found.suggestions.as_slice() else { panic!("{found:#?}") };
    expect_test::expect![[r#"
        @id("suggested:claude-code:silence_alert:prod-eu")
        @reason("2 denied calls looked at by a person")
        permit (principal == Agent::"claude-code", action == Action::"silence_alert", resource == Target::"prod-eu/metrics/main")
        when { principal in User::"alice" && context.input.minutes <= 45 };
    "#]]
    .assert_eq(&only.text);
    assert_eq!((only.answer.as_str(), &only.lifts), ("allow", &vec!["o/0:1".to_owned(), "o/0:2".to_owned()]));
}

#[test]
fn several_targets_are_listed_and_many_are_their_connection() {
    let of = |count: usize| -> Vec<Target> {
        (0..count).map(|at| Target { id: format!("t{at}"), ..target("staging") }).collect()
    };
    let text = |count| {
        let found = under("", &Lists::default(), Form::Rule, &[denied("o/0:1", "list_alerts", of(count))]);
        found.suggestions[0].text.clone()
    };
    assert!(text(2).contains(r#"resource.connection == "prod-eu" && ["t0", "t1"].contains(resource.id)"#));
    assert!(text(9).contains(r#"resource.connection == "prod-eu""#) && !text(9).contains("resource.id"));
}

#[test]
fn what_else_a_suggestion_would_have_lifted_is_said() {
    let other = Caller { agent: "other".to_owned(), ..caller() };
    let recorded = [
        denied("o/0:1", "list_alerts", vec![target("staging")]),
        denied("o/0:2", "query_metrics", vec![target("staging")]),
        Recorded { caller: other, ..denied("o/0:3", "list_alerts", vec![target("production")]) },
    ];
    let found = under("", &Lists::default(), Form::Rule, &recorded);
    assert_eq!(found.suggestions.len(), 3);
    assert!(found.suggestions.iter().all(|it| it.also.is_empty()), "{found:#?}");
    let wide = [recorded[0].clone(), Recorded { place: "o/0:4".to_owned(), ..recorded[2].clone() }];
    let both = [
        wide[0].clone(),
        Recorded { targets: vec![target("staging"), target("production")], ..wide[1].clone() },
    ];
    // Entries are about a tool and an environment: the one about both names none.
    let found = under("", &lists(&["delete_branch"], &[], &[], &[]), Form::Entry, &both);
    let all = found.suggestions.iter().find(|it| it.text == "list_alerts").expect("an entry");
    assert_eq!(all.also, ["o/0:1"], "{found:#?}");
}

#[test]
fn a_forbid_is_never_lifted_even_behind_what_no_rule_permits() {
    let text = "@id(\"no-production\") @reason(\"closed\") @instead(\"use staging\")
        forbid (principal, action in Action::\"call\", resource in Environment::\"production\");";
    let both = vec![target("staging"), target("production")];
    let recorded =
        [denied("o/0:1", "list_alerts", both), denied("o/0:2", "list_alerts", vec![target("production")])];
    let found = under(text, &Lists::default(), Form::Rule, &recorded);
    assert!(found.suggestions.is_empty(), "{found:#?}");
    let [kept] = found.kept.as_slice() else { panic!("{found:#?}") };
    assert_eq!((kept.rule.as_str(), kept.instead.as_deref()), ("no-production", Some("use staging")));
    assert_eq!(kept.denied.len(), 2);
}

#[test]
fn what_people_would_have_to_agree_to_stays_theirs() {
    let text = "@id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
        unless { context.approvals >= 1 };";
    let found = under(
        text,
        &Lists::default(),
        Form::Rule,
        &[denied("o/0:1", "silence_alert", vec![target("staging")])],
    );
    assert_eq!(found.suggestions[0].answer, "agreement, by four-eyes", "{found:#?}");
    assert!(found.kept.is_empty());
}

#[test]
fn what_cannot_be_asked_again_is_said() {
    let gone = Target { connection: "gone".to_owned(), ..target("staging") };
    let recorded = [
        denied("o/0:1", "list_alerts", vec![gone]),
        Recorded {
            tool: "no_such_tool".to_owned(),
            ..denied("o/0:2", "list_alerts", vec![target("staging")])
        },
        denied("o/0:3", "open_change", vec![target("staging")]),
    ];
    let allowed = Lists { allow: vec![ListEntry::new("open_change")], ..Lists::default() };
    let found = under("", &allowed, Form::Rule, &recorded);
    let unclear: Vec<&str> = found.unclear.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(unclear, ["o/0:2", "o/0:1"], "{found:#?}");
    assert_eq!(found.settled, ["o/0:3"]);
    assert!(found.suggestions.is_empty());
}
