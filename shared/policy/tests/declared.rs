//! What teams permit that no token says the caller is in.

mod common;

use common::{caller, cedar, circumstances, input, load_all, object, say, source, target};
use policy::{
    Assurance, Caller, Case, CaseCall, CaseQuestion, Circumstances, Expected, Form, Lists, Policy, Question,
    Recorded, Refusal, Setup, Standing, Target, Verdict, Vocabulary,
};
use serde_json::{Map, Value, json};

/// The caller is of `checkout`, and so are the targets.
const OWN_TEAM: &str = "@id(\"reads\") permit (principal, action in Action::\"effect:read\", resource);
    @id(\"own-team\") permit (principal, action in Action::\"call\", resource) when { principal in resource.team };
    @id(\"dry-runs\") permit (principal, action == Action::\"silence_alert\", resource) when { context.input.dry_run };";

fn known(assurance: Assurance) -> Caller {
    Caller { assurance, ..caller() }
}

fn ask(policy: &Policy, caller: &Caller, tool: &str, environment: &str) -> Result<policy::Permit, Refusal> {
    ask_with(policy, caller, tool, &input(tool), environment)
}

fn ask_with(
    policy: &Policy,
    caller: &Caller,
    tool: &str,
    input: &Map<String, Value>,
    environment: &str,
) -> Result<policy::Permit, Refusal> {
    let targets = [target(environment)];
    policy.decide(&question(caller, tool, input, &targets))
}

fn question<'a>(
    caller: &'a Caller,
    tool: &'a str,
    input: &'a Map<String, Value>,
    targets: &'a [Target],
) -> Question<'a> {
    Question { caller, tool, input, targets, digest: [7; 32], circumstances: circumstances() }
}

fn denial(answer: Result<policy::Permit, Refusal>) -> policy::Denial {
    match answer {
        Err(Refusal::Denied(denial)) => denial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_effect_outside_development_takes_teams_that_a_token_says() {
    let policy = cedar(OWN_TEAM);
    for tool in ["silence_alert", "open_change", "delete_branch"] {
        for environment in ["production", "unknown"] {
            for assurance in [Assurance::Declared, Assurance::OsUser] {
                let denial = denial(ask(&policy, &known(assurance), tool, environment));
                assert_eq!(denial.policy, None, "{tool} in {environment}");
                assert_eq!(
                    denial.reason,
                    "the caller's teams are only declared, and permit no effect outside development; without them: \
                     no rule permits it"
                );
                assert!(denial.instead.is_some_and(|it| it.contains("`bailiwick login`")));
            }
            let proven = ask(&policy, &known(Assurance::Token), tool, environment);
            assert_eq!(say(&proven), "permitted by own-team", "{tool} in {environment}");
        }
        assert_eq!(say(&ask(&policy, &caller(), tool, "staging")), "permitted by own-team", "{tool}");
    }
}

#[test]
fn looking_and_rehearsing_take_no_proof_of_teams() {
    let team =
        "@id(\"team\") permit (principal in Team::\"checkout\", action in Action::\"call\", resource);";
    let policy = cedar(team);
    assert_eq!(say(&ask(&policy, &caller(), "list_alerts", "production")), "permitted by team");
    let dry = object(json!({ "alert": "Down", "minutes": 30, "dry_run": true }));
    let said = ask_with(&policy, &caller(), "silence_alert", &dry, "production");
    assert_eq!(say(&said), "permitted by team");
    assert!(ask(&policy, &caller(), "silence_alert", "production").is_err());
}

#[test]
fn what_a_rule_permits_without_teams_is_permitted_with_declared_ones() {
    let text = "@id(\"alice\") permit (principal in User::\"alice\", action in Action::\"call\", resource);
        @id(\"team\") permit (principal in Team::\"checkout\", action in Action::\"call\", resource);";
    let said = say(&ask(&cedar(text), &caller(), "silence_alert", "production"));
    assert!(said.starts_with("permitted by alice"), "{said}");
}

#[test]
fn a_forbid_that_only_a_declared_team_escapes_forbids() {
    let text = "@id(\"all\") permit (principal, action in Action::\"call\", resource);
        @id(\"sre-only\") @reason(\"the SREs do that\") @instead(\"ask them\")
        forbid (principal, action == Action::\"silence_alert\", resource) unless { principal in Team::\"checkout\" };";
    let denial = denial(ask(&cedar(text), &caller(), "silence_alert", "production"));
    assert_eq!(denial.policy.as_deref(), Some("sre-only"));
    assert!(denial.reason.ends_with("without them: the SREs do that"), "{}", denial.reason);
    assert!(denial.instead.is_some_and(|it| it.ends_with("; or ask them")));
    assert!(ask(&cedar(text), &caller(), "silence_alert", "staging").is_ok());
}

#[test]
fn a_forbid_on_a_declared_team_still_forbids() {
    let text = "@id(\"all\") permit (principal, action in Action::\"call\", resource);
        @id(\"not-they\") forbid (principal in Team::\"checkout\", action == Action::\"silence_alert\", resource);";
    assert_eq!(
        say(&ask(&cedar(text), &caller(), "silence_alert", "production")),
        "denied by not-they: this rule forbids it"
    );
}

#[test]
fn the_agreement_that_only_a_declared_team_is_spared_is_needed() {
    let text = "@id(\"all\") permit (principal, action in Action::\"call\", resource);
        @id(\"ask\") forbid (principal, action == Action::\"silence_alert\", resource) unless { context.confirmed };
        @id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
        unless { principal in Team::\"checkout\" || context.approvals >= 2 };";
    let policy = cedar(text);
    let asked = |caller: &Caller, environment: &str| say(&ask(&policy, caller, "silence_alert", environment));
    assert_eq!(
        asked(&caller(), "production"),
        "needs 2 approvals and a confirmation by ask, four-eyes from []"
    );
    let proven = asked(&known(Assurance::Token), "production");
    assert_eq!(proven, "needs 0 approvals and a confirmation by ask from []");
    assert_eq!(asked(&caller(), "staging"), proven);
    // And with that much it may run.
    let (caller, input, targets) = (caller(), input("silence_alert"), [target("production")]);
    let agreed = Circumstances { approvals: 2, confirmed: true, ..circumstances() };
    let question = Question { circumstances: agreed, ..question(&caller, "silence_alert", &input, &targets) };
    assert!(policy.decide(&question).is_ok());
}

#[test]
fn nobody_is_asked_for_more_than_what_is_enough_without_the_teams() {
    let policy = cedar(
        "@id(\"confirmed\") permit (principal, action == Action::\"open_change\", resource)
         when { principal in resource.team } when { context.confirmed || context.approvals >= 3 };
         @id(\"approved\") permit (principal, action == Action::\"open_change\", resource) when { context.approvals >= 1 };",
    );
    let asked = ask(&policy, &known(Assurance::Declared), "open_change", "production");
    let Err(Refusal::NeedsApproval(needs)) = asked else { panic!("{asked:?}") };
    assert_eq!((needs.approvals, needs.confirmed), (1, false));
    let asked = ask(&policy, &known(Assurance::Token), "open_change", "production");
    let Err(Refusal::NeedsApproval(needs)) = asked else { panic!("{asked:?}") };
    assert_eq!((needs.approvals, needs.confirmed), (0, true));
}

#[test]
fn one_target_outside_development_is_one_too_many() {
    let (caller, input) = (caller(), input("silence_alert"));
    let targets = [target("staging"), target("production")];
    let policy = cedar(OWN_TEAM);
    assert!(policy.decide(&question(&caller, "silence_alert", &input, &targets[..1])).is_ok());
    assert!(policy.decide(&question(&caller, "silence_alert", &input, &targets)).is_err());
    let question = question(&caller, "silence_alert", &input, &targets);
    let viewer = policy.viewer(&question);
    assert!(viewer.shows(&targets[0]) && !viewer.shows(&targets[1]), "rows follow the same rule");
    assert!(viewer.shows(&targets[0]) && !viewer.shows(&targets[1]), "also when asked again");
}

#[test]
fn what_is_mapped_nowhere_is_never_development() {
    let (family, sources) = (common::family(), [source("t.cedar", OWN_TEAM)]);
    let load = |development: &[&str]| {
        let development = development.iter().map(|it| (*it).to_owned()).collect();
        let vocabulary = Vocabulary { development, ..common::vocabulary() };
        let (lists, zone) = (Lists::default(), jiff::tz::TimeZone::UTC);
        let setup =
            Setup { family: &family, sources: &sources, lists: &lists, vocabulary: &vocabulary, zone };
        Policy::load(setup).expect("it loads")
    };
    let all = load(&["unknown", "production", "staging"]);
    assert!(ask(&all, &caller(), "silence_alert", "unknown").is_err());
    assert!(ask(&all, &caller(), "silence_alert", "production").is_ok(), "whatever is called development is");
    let none = load(&[]);
    assert!(ask(&none, &caller(), "silence_alert", "staging").is_err());
    assert_ne!(all.digest(), none.digest(), "what counts as development is a part of the policy");
}

#[test]
fn explanations_and_cases_say_the_same() {
    let policy = cedar(OWN_TEAM);
    let (caller, input, targets) = (caller(), input("silence_alert"), vec![target("production")]);
    let explained = policy.explain(&question(&caller, "silence_alert", &input, &targets));
    let Verdict::Denied(denial) = explained.answer else { panic!("{:?}", explained.answer) };
    assert!(denial.reason.contains("only declared"), "{}", denial.reason);
    let case = |assurance, expected, rule: &str| Case {
        name: format!("{assurance:?}"),
        place: "t.cases.toml:1".to_owned(),
        caller: known(assurance),
        circumstances: circumstances(),
        asked: CaseQuestion::Call(CaseCall {
            tool: "silence_alert".to_owned(),
            input: input.clone(),
            targets: targets.clone(),
        }),
        expected,
        rule: Some(rule.to_owned()),
    };
    let cases = [
        case(Assurance::Declared, Expected::Deny, "none"),
        case(Assurance::OsUser, Expected::Deny, "none"),
        case(Assurance::Token, Expected::Allow, "own-team"),
    ];
    assert_eq!(policy.test(&cases).failures, []);
}

#[test]
fn nothing_is_suggested_against_it() {
    let (family, vocabulary, lists) = (common::family(), common::vocabulary(), Lists::default());
    let sources = [source("t.cedar", OWN_TEAM)];
    let zone = jiff::tz::TimeZone::UTC;
    let setup = Setup { family: &family, sources: &sources, lists: &lists, vocabulary: &vocabulary, zone };
    let recorded = Recorded {
        place: "observability/0:7".to_owned(),
        caller: caller(),
        tool: "silence_alert".to_owned(),
        input: input("silence_alert"),
        targets: vec![target("production")],
        circumstances: circumstances(),
    };
    let suggested = policy::suggest(&setup, &[recorded], Form::Rule).expect("it loads");
    assert_eq!(suggested.suggestions, []);
    let [kept] = suggested.kept.as_slice() else { panic!("{suggested:?}") };
    assert_eq!(
        (kept.rule.as_str(), kept.denied.as_slice()),
        ("declared-teams", ["observability/0:7".to_owned()].as_slice())
    );
    assert!(kept.instead.as_ref().is_some_and(|it| it.contains("`bailiwick login`")));
}

#[test]
fn where_one_stands_says_so_before_any_call() {
    let policy = cedar(OWN_TEAM);
    let stand = |caller: &Caller, tool: &str, environment: &str| {
        policy.standing(caller, tool, &target(environment), &circumstances())
    };
    let Standing::Denied(denial) = stand(&caller(), "delete_branch", "production") else {
        panic!("no dry run")
    };
    assert!(denial.reason.contains("only declared"), "{}", denial.reason);
    let Standing::Depends { declared, .. } = stand(&caller(), "silence_alert", "production") else {
        panic!("it can be rehearsed")
    };
    assert!(declared, "what only the team permits is denied");
    for (caller, environment) in [(caller(), "staging"), (known(Assurance::Token), "production")] {
        for tool in ["silence_alert", "delete_branch"] {
            let standing = stand(&caller, tool, environment);
            assert!(matches!(standing, Standing::Allowed { .. }), "{tool} in {environment}: {standing:?}");
        }
    }
    let lists = common::lists(&["delete_branch"], &[], &[], &[]);
    let everybody = load_all(&[source("t.cedar", OWN_TEAM)], &lists).expect("it loads");
    let standing = everybody.standing(&caller(), "delete_branch", &target("production"), &circumstances());
    assert!(matches!(standing, Standing::Allowed { .. }), "teams make no difference: {standing:?}");
}
