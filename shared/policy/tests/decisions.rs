//! What policies say to calls.

mod common;

use common::{ask, ask_with, caller, cedar, circumstances, input, listed, load_all, object, say, target};
use policy::{Circumstances, ListEntry, Lists, Policy, Question, Standing, Target};
use serde_json::json;

#[test]
fn what_no_rule_permits_is_denied() {
    let policy = load_all(&[], &Lists::default()).expect("an empty policy loads");
    for tool in ["query_metrics", "list_alerts", "silence_alert", "open_change", "delete_branch"] {
        assert_eq!(ask(&policy, tool, "staging"), "denied by nothing: no rule permits it");
    }
}

#[test]
fn an_unknown_tool_is_denied() {
    let policy = cedar("@id(\"all\") permit (principal, action in Action::\"call\", resource);");
    assert_eq!(ask(&policy, "query", "staging"), "denied by nothing: no tool is called `query`");
    assert_eq!(ask(&policy, "approve", "staging"), "denied by nothing: no tool is called `approve`");
    assert_eq!(ask(&policy, "effect:read", "staging"), "denied by nothing: no tool is called `effect:read`");
}

#[test]
fn without_configuration_reads_and_dry_runs_are_permitted_and_nothing_else() {
    let policy = load_all(&[Policy::read_only_source()], &Lists::default()).expect("read-only loads");
    assert_eq!(ask(&policy, "query_metrics", "production"), "permitted by read-only:reads");
    assert_eq!(ask(&policy, "silence_alert", "production"), "denied by nothing: no rule permits it");
    let dry = object(json!({ "alert": "Down", "minutes": 30, "dry_run": true }));
    let said = ask_with(&policy, "silence_alert", "production", &dry, circumstances());
    assert_eq!(said, "permitted by read-only:dry-runs");
    let dry = object(json!({ "title": "Fix", "dry_run": true }));
    let said = ask_with(&policy, "open_change", "production", &dry, circumstances());
    assert_eq!(said, "denied by nothing: no rule permits it");
}

#[test]
fn a_call_without_targets_or_with_too_many_is_denied() {
    let policy = listed(&["query_metrics"], &[], &[], &[]);
    let (caller, input) = (caller(), input("query_metrics"));
    let decide = |targets: &[Target]| {
        let circumstances = circumstances();
        let tool = "query_metrics";
        say(&policy.decide(&Question {
            caller: &caller,
            tool,
            input: &input,
            targets,
            digest: [7; 32],
            circumstances,
        }))
    };
    assert_eq!(decide(&[]), "denied by nothing: a call has 1 to 64 targets, this one has 0: say which");
    assert_eq!(decide(&vec![target("staging"); 64]), "permitted by allow:query_metrics");
    let many = decide(&vec![target("staging"); 65]);
    assert_eq!(many, "denied by nothing: a call has 1 to 64 targets, this one has 65: say which");
}

#[test]
fn one_denied_target_denies_the_call() {
    let policy = listed(&["query_metrics"], &[], &[], &["query_metrics environment:production"]);
    let (caller, input, circumstances) = (caller(), input("query_metrics"), circumstances());
    let targets = [target("staging"), target("production")];
    let question = Question {
        caller: &caller,
        tool: "query_metrics",
        input: &input,
        targets: &targets,
        digest: [7; 32],
        circumstances,
    };
    let denied = "denied by deny:query_metrics environment:production: the configuration denies it";
    assert_eq!(say(&policy.decide(&question)), denied);
    let viewer = policy.viewer(&question);
    assert!(viewer.shows(&targets[0]));
    assert!(!viewer.shows(&targets[1]));
}

#[test]
fn nothing_is_shown_to_who_may_not_even_ask() {
    let policy = listed(&["query_metrics"], &[], &[], &[]);
    let caller = caller();
    for (tool, input) in
        [("nothing", input("query_metrics")), ("query_metrics", object(json!({ "mode": 1 })))]
    {
        let (caller, input, circumstances) = (&caller, &input, circumstances());
        let question = Question { caller, tool, input, targets: &[], digest: [7; 32], circumstances };
        assert!(!policy.viewer(&question).shows(&target("staging")), "{tool}");
    }
}

#[test]
fn arguments_that_do_not_fit_the_schema_are_denied() {
    let policy = listed(&["silence_alert"], &[], &[], &[]);
    for (bad, why) in [
        (
            json!({ "alert": "Down", "minutes": "30", "dry_run": false }),
            "argument `minutes` is not of its type",
        ),
        (
            json!({ "alert": "Down", "minutes": 1.5, "dry_run": false }),
            "argument `minutes` is not of its type",
        ),
        (json!({ "alert": "Down", "minutes": 30 }), "argument `dry_run` is missing"),
        (
            json!({ "alert": "Down", "minutes": 30, "dry_run": false, "x": 1 }),
            "argument `x` is not in the schema",
        ),
        (json!({ "alert": null, "minutes": 30, "dry_run": false }), "argument `alert` is not of its type"),
    ] {
        let said = ask_with(&policy, "silence_alert", "staging", &object(bad), circumstances());
        assert_eq!(said, format!("denied by nothing: {why}"));
    }
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    let policy = cedar(
        "@id(\"all\") permit (principal, action in Action::\"call\", resource);
         @id(\"overflow\") forbid (principal, action == Action::\"silence_alert\", resource)
         when { context.input.minutes + 9223372036854775807 < 0 };",
    );
    let said = ask(&policy, "silence_alert", "staging");
    assert_eq!(said, "denied by overflow: this rule could not be evaluated, so it counts as forbidding");
}

#[test]
fn a_permit_that_cannot_be_evaluated_permits_nothing_and_stops_no_other() {
    let rule = |id: &str, when: &str| {
        format!(
            "@id(\"{id}\") permit (principal, action == Action::\"silence_alert\", resource) when {{ {when} }};"
        )
    };
    let fails = rule("a", "context.input.minutes + 9223372036854775807 > 0");
    let said = |text: &str| ask(&cedar(text), "silence_alert", "staging");
    assert_eq!(said(&fails), "denied by nothing: no rule permits it");
    assert_eq!(said(&(fails + &rule("b", "context.input.minutes < 60"))), "permitted by b");
}

#[test]
fn deny_beats_approve_beats_ask_beats_allow() {
    let said = |ask_: &[&str], approve: &[&str], deny: &[&str]| {
        ask(&listed(&["silence_alert"], ask_, approve, deny), "silence_alert", "staging")
    };
    let entry = ["silence_alert"].as_slice();
    assert_eq!(said(&[], &[], &[]), "permitted by allow:silence_alert");
    assert_eq!(said(entry, &[], &[]), "needs 0 approvals and a confirmation by ask:silence_alert from []");
    let approve = "needs 1 approvals by approve:silence_alert from []";
    assert_eq!(said(&[], entry, &[]), approve);
    assert_eq!(
        said(entry, entry, &[]),
        "needs 1 approvals by approve:silence_alert, ask:silence_alert from []"
    );
    assert_eq!(said(entry, entry, entry), "denied by deny:silence_alert: the configuration denies it");
}

#[test]
fn agreement_lifts_what_asks_for_it() {
    let lists = Lists {
        ask: vec![ListEntry::new("silence_alert")],
        approve: vec![ListEntry { approvals: 2, ..ListEntry::new("delete_branch") }],
        ..Lists::default()
    };
    let policy = load_all(&[], &lists).expect("it loads");
    let with = |tool: &str, approvals, confirmed| {
        let circumstances = Circumstances { approvals, confirmed, ..circumstances() };
        ask_with(&policy, tool, "staging", &input(tool), circumstances)
    };
    assert_eq!(with("silence_alert", 0, true), "permitted by ask:silence_alert/permit");
    assert_eq!(with("silence_alert", 1, false), "permitted by ask:silence_alert/permit");
    assert_eq!(with("delete_branch", 0, true), "needs 2 approvals by approve:delete_branch from []");
    assert_eq!(with("delete_branch", 1, false), "needs 2 approvals by approve:delete_branch from []");
    assert_eq!(with("delete_branch", 2, false), "permitted by approve:delete_branch/permit");
}

#[test]
fn a_glob_allows_reads_only() {
    let policy = listed(&["*"], &[], &[], &[]);
    assert_eq!(ask(&policy, "list_alerts", "staging"), "permitted by allow:*");
    for tool in ["silence_alert", "open_change", "delete_branch"] {
        assert_eq!(ask(&policy, tool, "staging"), "denied by nothing: no rule permits it");
    }
}

#[test]
fn a_glob_or_an_effect_that_asks_opens_no_more_than_one_that_allows() {
    let policy = listed(&[], &["*", "effect:destroy"], &[], &[]);
    let confirmed = "needs 0 approvals and a confirmation by ask:* from []";
    assert_eq!(ask(&policy, "list_alerts", "staging"), confirmed);
    for tool in ["silence_alert", "open_change", "delete_branch"] {
        assert_eq!(ask(&policy, tool, "staging"), "denied by nothing: no rule permits it");
    }
}

#[test]
fn an_environment_of_a_list_that_restricts_covers_what_is_mapped_nowhere() {
    let allowed = listed(&["silence_alert environment:staging"], &[], &[], &[]);
    assert_eq!(
        ask(&allowed, "silence_alert", "staging"),
        "permitted by allow:silence_alert environment:staging"
    );
    assert_eq!(ask(&allowed, "silence_alert", "unknown"), "denied by nothing: no rule permits it");
    let asked = listed(&["silence_alert"], &["effect:mitigate environment:production"], &[], &[]);
    let said = "needs 0 approvals and a confirmation by ask:effect:mitigate environment:production";
    assert_eq!(ask(&asked, "silence_alert", "production"), format!("{said} from []"));
    assert_eq!(ask(&asked, "silence_alert", "unknown"), format!("{said}/unknown from []"));
    assert_eq!(ask(&asked, "silence_alert", "staging"), "permitted by allow:silence_alert");
    let denied = listed(&["query_metrics"], &[], &[], &["* environment:production"]);
    assert_eq!(
        ask(&denied, "query_metrics", "unknown"),
        "denied by deny:* environment:production/unknown: the configuration denies it"
    );
}

#[test]
fn an_entry_of_a_repository_takes_away_and_gives_nothing() {
    let narrow = |text: &str| ListEntry { narrow: true, ..ListEntry::new(text) };
    let lists = |allow: &[&str]| Lists {
        ask: vec![narrow("silence_alert"), narrow("list_alerts")],
        approve: vec![narrow("open_change")],
        deny: vec![narrow("query_*")],
        ..common::lists(allow, &[], &[], &[])
    };
    let none = load_all(&[], &lists(&[])).expect("it loads");
    for tool in ["query_metrics", "list_alerts", "silence_alert", "open_change", "delete_branch"] {
        assert!(ask(&none, tool, "staging").starts_with("denied"), "{tool}");
    }
    let some = load_all(&[], &lists(&["silence_alert", "open_change", "query_metrics"])).expect("it loads");
    let asked = "needs 0 approvals and a confirmation by ask:silence_alert/narrow from []";
    assert_eq!(ask(&some, "silence_alert", "staging"), asked);
    assert_eq!(
        ask(&some, "open_change", "staging"),
        "needs 1 approvals by approve:open_change/narrow from []"
    );
    let denied = "denied by deny:query_*/narrow: the configuration denies it";
    assert_eq!(ask(&some, "query_metrics", "staging"), denied);
}

#[test]
fn a_denial_says_rule_reason_and_alternative() {
    let policy = cedar(
        "@id(\"all\") permit (principal, action in Action::\"call\", resource);
         @id(\"no-ranges\") @reason(\"ranges are heavy\") @instead(\"ask for an instant\")
         forbid (principal, action == Action::\"query_metrics\", resource) when { context.input.mode == \"range\" };",
    );
    let heavy = object(json!({ "query": "up", "mode": "range" }));
    let (caller, targets, circumstances) = (caller(), [target("staging")], circumstances());
    let question = Question {
        caller: &caller,
        tool: "query_metrics",
        input: &heavy,
        targets: &targets,
        digest: [7; 32],
        circumstances,
    };
    let denial = match policy.decide(&question) {
        Err(policy::Refusal::Denied(denial)) => denial,
        other => panic!("{other:?}"),
    };
    assert_eq!(denial.policy.as_deref(), Some("no-ranges"));
    assert_eq!(denial.reason, "ranges are heavy");
    assert_eq!(denial.instead.as_deref(), Some("ask for an instant"));
    expect_test::expect![[r#"
        {
          "answer": {
            "answer": "denied",
            "policy": "no-ranges",
            "reason": "ranges are heavy",
            "instead": "ask for an instant"
          },
          "determining": [
            {
              "id": "no-ranges",
              "effect": "forbid",
              "place": "test.cedar:2",
              "reason": "ranges are heavy"
            },
            {
              "id": "all",
              "effect": "permit",
              "place": "test.cedar:1"
            }
          ],
          "considered": 2,
          "of": 2
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&policy.explain(&question)).expect("plain data"));
}

#[test]
fn time_is_told_in_the_configured_zone() {
    let text = "@id(\"sunday-night\") permit (principal, action == Action::\"list_alerts\", resource)
        when { context.weekday == \"sunday\" && context.minute_of_day == 150
            && context.now > datetime(\"2026-11-22T01:29:59Z\") && context.now < datetime(\"2026-11-22T01:30:01Z\") };";
    let (family, vocabulary, sources) =
        (common::family(), common::vocabulary(), [common::source("t.cedar", text)]);
    let policy = |zone| {
        let lists = &Lists::default();
        Policy::load(policy::Setup {
            family: &family,
            sources: &sources,
            lists,
            vocabulary: &vocabulary,
            zone,
        })
        .expect("it loads")
    };
    let hour_east = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
    assert_eq!(ask(&policy(hour_east), "list_alerts", "staging"), "permitted by sunday-night");
    assert_eq!(
        ask(&policy(jiff::tz::TimeZone::UTC), "list_alerts", "staging"),
        "denied by nothing: no rule permits it"
    );
}

#[test]
fn rules_can_look_at_caller_target_and_action() {
    let policy = cedar(
        "@id(\"own\") permit (principal, action in Action::\"call\", resource)
         when { resource.connection == \"prod-eu\" && principal in Team::\"checkout\" && resource in Team::\"checkout\"
            && action in Action::\"effect:read\" };",
    );
    assert_eq!(ask(&policy, "list_alerts", "staging"), "permitted by own");
    assert_eq!(ask(&policy, "silence_alert", "staging"), "denied by nothing: no rule permits it");
}

#[test]
fn standing_says_what_is_known_without_arguments() {
    let policy = cedar(
        "@id(\"reads\") permit (principal, action in Action::\"effect:read\", resource);
         @id(\"dry\") permit (principal, action == Action::\"silence_alert\", resource) when { context.input.dry_run };
         @id(\"change\") permit (principal, action == Action::\"open_change\", resource);
         @id(\"ask\") forbid (principal, action == Action::\"open_change\", resource) unless { context.confirmed };",
    );
    let stand = |tool: &str| policy.standing(&caller(), tool, &target("staging"), &circumstances());
    assert_eq!(stand("list_alerts"), Standing::Allowed { policies: vec!["reads".to_owned()] });
    assert_eq!(
        stand("silence_alert"),
        Standing::Depends { policies: vec!["dry".to_owned()], declared: false }
    );
    let Standing::NeedsApproval(needs) = stand("open_change") else { panic!("it asks") };
    assert_eq!((needs.approvals, needs.confirmed, needs.policies), (0, true, vec!["ask".to_owned()]));
    assert!(matches!(stand("delete_branch"), Standing::Denied(_)));
    assert!(matches!(stand("nothing"), Standing::Denied(_)));
}

#[test]
fn screening_refuses_only_what_is_certain() {
    let policy = listed(&["query_metrics"], &[], &[], &["query_metrics environment:production"]);
    let screen =
        |tool: &str, environment: &str| policy.screen(&caller(), tool, &[target(environment)]).is_ok();
    assert!(screen("query_metrics", "staging"));
    assert!(!screen("query_metrics", "production"));
    assert!(screen("query_metrics", "unknown"), "a backend may still say where it is");
    assert!(!screen("list_alerts", "staging"));
    assert!(!screen("nothing", "staging"));
    let team =
        cedar("@id(\"t\") permit (principal, action in Action::\"call\", resource in Team::\"platform\");");
    assert!(
        team.screen(&caller(), "list_alerts", &[target("staging")]).is_ok(),
        "the team may still be narrowed"
    );
}

#[test]
fn a_tool_is_offered_if_some_call_of_it_may_be_permitted() {
    let policy = listed(&["query_metrics", "list_alerts"], &[], &["silence_alert"], &["list_alerts"]);
    let offers = |tool: &str| policy.offers(&caller(), tool);
    assert!(offers("query_metrics"));
    assert!(offers("silence_alert"), "people may approve it");
    assert!(!offers("list_alerts"), "it is denied wherever it reaches");
    assert!(!offers("read_file") && !offers("nothing"), "nothing permits it");
    let somewhere = listed(&["query_metrics"], &[], &[], &["query_metrics environment:production"]);
    assert!(somewhere.offers(&caller(), "query_metrics"), "elsewhere it is permitted");
}

#[test]
fn the_digest_changes_with_any_rule_and_not_with_order() {
    let one = listed(&["query_metrics", "list_alerts"], &[], &[], &[]).digest();
    assert_eq!(one, listed(&["list_alerts", "query_metrics"], &[], &[], &[]).digest());
    assert_ne!(one, listed(&["list_alerts"], &[], &[], &[]).digest());
}

#[test]
fn a_policy_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
}
