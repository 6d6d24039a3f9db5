//! Who may approve, and who may see.

mod common;

use common::{ask, caller, cedar, circumstances, input, listed, say, target};
use policy::{Caller, Question, Target};

#[test]
fn approvers_are_whom_the_rules_on_approve_name() {
    let policy = cedar(
        "@id(\"silence\") permit (principal, action == Action::\"silence_alert\", resource);
         @id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
         unless { context.approvals >= 1 };
         @id(\"bob\") permit (principal == User::\"bob\", action == Action::\"approve\", resource);
         @id(\"leads\") permit (principal is User in Team::\"platform\", action == Action::\"approve\",
           resource in Environment::\"production\");
         @id(\"not-oneself\") forbid (principal, action == Action::\"approve\", resource)
         when { context has on_behalf_of && principal == context.on_behalf_of };",
    );
    assert_eq!(ask(&policy, "silence_alert", "staging"), "needs 1 approvals by four-eyes from [bob]");
    let production = ask(&policy, "silence_alert", "production");
    assert_eq!(production, "needs 1 approvals by four-eyes from [bob, team platform]");
}

#[test]
fn whoever_approves_must_be_able_to_for_every_target() {
    let policy = cedar(
        "@id(\"silence\") permit (principal, action == Action::\"silence_alert\", resource);
         @id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
         unless { context.approvals >= 1 };
         @id(\"bob\") permit (principal == User::\"bob\", action == Action::\"approve\", resource);
         @id(\"carol\") permit (principal == User::\"carol\", action == Action::\"approve\",
           resource == Target::\"prod-eu/metrics/main\");",
    );
    let (caller, input, circumstances) = (caller(), input("silence_alert"), circumstances());
    let targets = [target("staging"), Target { id: "other".to_owned(), ..target("staging") }];
    let said = |targets: &[Target]| {
        let (caller, input, tool) = (&caller, &input, "silence_alert");
        say(&policy.decide(&Question { caller, tool, input, targets, digest: [7; 32], circumstances }))
    };
    assert_eq!(said(&targets[..1]), "needs 1 approvals by four-eyes from [bob, carol]");
    assert_eq!(said(&targets), "needs 1 approvals by four-eyes from [bob]");
}

#[test]
fn only_what_a_rule_reveals_is_shown() {
    let none = listed(&["query_metrics"], &[], &[], &[]);
    assert!(!none.reveals(&caller(), &circumstances(), "pii"));
    let some =
        cedar("@id(\"pii\") permit (principal in User::\"alice\", action == Action::\"reveal\", resource);");
    assert!(some.reveals(&caller(), &circumstances(), "pii"));
    assert!(!some.reveals(&caller(), &circumstances(), "secret"));
    assert!(!some.reveals(&Caller { on_behalf_of: None, ..caller() }, &circumstances(), "pii"));
}
