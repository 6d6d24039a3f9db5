//! Who may approve, and who may see.

mod common;

use common::{ask, caller, cedar, circumstances, input, listed, say, target};
use policy::{Approver, Assurance, Breaking, Caller, Policy, Question, Target};

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
    let (caller, input) = (caller(), input("silence_alert"));
    let targets = [target("staging"), Target { id: "other".to_owned(), ..target("staging") }];
    let said = |targets: &[Target]| {
        let (caller, input, tool, circumstances) = (&caller, &input, "silence_alert", circumstances());
        say(&policy.decide(&Question { caller, tool, input, targets, digest: [7; 32], circumstances }))
    };
    assert_eq!(said(&targets[..1]), "needs 1 approvals by four-eyes from [bob, carol]");
    assert_eq!(said(&targets), "needs 1 approvals by four-eyes from [bob]");
}

const OWN_TEAM: &str = "
    @id(\"silence\") permit (principal, action == Action::\"silence_alert\", resource);
    @id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
    unless { context.approvals >= 1 };
    @id(\"owners\") permit (principal is User, action == Action::\"approve\", resource)
    when { principal in resource.team && context.assurance == \"token\" };
    @id(\"not-oneself\") forbid (principal, action == Action::\"approve\", resource)
    when { context has on_behalf_of && principal == context.on_behalf_of };
    @id(\"no-robots\") forbid (principal, action == Action::\"approve\", resource)
    when { context.agent == Agent::\"robot\" && context.effect == \"mitigate\" };";

fn approver(person: &str, team: &str, assurance: Assurance) -> Approver {
    let (person, teams) = (person.to_owned(), vec![team.to_owned()]);
    Approver { person, teams, assurance, authenticated_seconds: Some(60) }
}

/// Who says yes or no by which rule to a silence of these targets.
fn approves(policy: &Policy, who: &Approver, caller: &Caller, targets: &[Target]) -> String {
    let input = input("silence_alert");
    let (tool, input, circumstances) = ("silence_alert", &input, circumstances());
    match policy.may_approve(who, &Question { caller, tool, input, targets, digest: [7; 32], circumstances })
    {
        Ok(rules) => format!("yes by {}", rules.join(", ")),
        Err(denial) => format!("no by {}", denial.policy.unwrap_or_else(|| denial.reason.clone())),
    }
}

#[test]
fn a_person_approves_what_the_rules_let_them_and_never_their_own() {
    let policy = cedar(OWN_TEAM);
    let one = [target("production")];
    let said = |who: &Approver| approves(&policy, who, &caller(), &one);
    assert_eq!(said(&approver("dana", "checkout", Assurance::Token)), "yes by owners");
    assert_eq!(said(&approver("dana", "checkout", Assurance::OsUser)), "no by no rule permits it");
    assert_eq!(said(&approver("kim", "platform", Assurance::Token)), "no by no rule permits it");
    assert_eq!(said(&approver("alice", "checkout", Assurance::Token)), "no by not-oneself");
    let robot = Caller { agent: "robot".to_owned(), on_behalf_of: None, ..caller() };
    let dana = approver("dana", "checkout", Assurance::Token);
    assert_eq!(approves(&policy, &dana, &robot, &one), "no by no-robots");
    assert_eq!(approves(&policy, &dana, &Caller { on_behalf_of: None, ..caller() }, &one), "yes by owners");
}

#[test]
fn an_agent_is_in_whoever_answers_for_it_where_that_counts_and_nowhere_else() {
    let rule =
        "@id(\"hers\") permit (principal in User::\"dana\", action == Action::\"silence_alert\", resource);
        @id(\"not-your-own\") forbid (principal, action == Action::\"approve\", resource)
        when { context.agent in principal };
        @id(\"anybody\") permit (principal is User, action == Action::\"approve\", resource);";
    let policy = cedar(rule);
    let one = [target("production")];
    let nightly = Caller { agent: "nightly".to_owned(), on_behalf_of: None, ..caller() };
    let said = |person: &str, of: &Caller| {
        approves(&policy, &approver(person, "checkout", Assurance::Token), of, &one)
    };
    assert_eq!(said("dana", &nightly), "no by not-your-own");
    assert_eq!(said("kim", &nightly), "yes by anybody");
    assert_eq!(said("dana", &Caller { agent: "weekly".to_owned(), ..nightly.clone() }), "yes by anybody");
    // She answers for what it does and is not there when it does it: what is hers to do is not its.
    assert!(!policy.offers(&nightly, "silence_alert"));
    assert!(policy.offers(&Caller { on_behalf_of: Some("dana".to_owned()), ..nightly }, "silence_alert"));
}

#[test]
fn who_approves_a_call_may_approve_every_one_of_its_targets() {
    let policy = cedar(OWN_TEAM);
    let dana = approver("dana", "checkout", Assurance::Token);
    let foreign = Target { team: "platform".to_owned(), ..target("production") };
    let targets = [target("production"), foreign];
    assert_eq!(approves(&policy, &dana, &caller(), &targets), "no by no rule permits it");
    assert_eq!(approves(&policy, &dana, &caller(), &[]), "no by a call has at least one target");
}

#[test]
fn a_rule_for_the_owning_team_names_that_team() {
    let answer = ask(&cedar(OWN_TEAM), "silence_alert", "production");
    assert_eq!(answer, "needs 1 approvals by four-eyes from [team checkout]");
}

#[test]
fn ones_own_team_is_that_of_the_target() {
    let policy = cedar(
        "@id(\"own\") permit (principal, action == Action::\"silence_alert\", resource)
         when { principal in resource.team };",
    );
    assert_eq!(ask(&policy, "silence_alert", "staging"), "permitted by own");
    let (caller, input, circumstances) = (caller(), input("silence_alert"), circumstances());
    let targets = [Target { team: "platform".to_owned(), ..target("staging") }];
    let (caller, input, targets, tool) = (&caller, &input, &targets, "silence_alert");
    let said =
        say(&policy.decide(&Question { caller, tool, input, targets, digest: [7; 32], circumstances }));
    assert_eq!(said, "denied by nothing: no rule permits it");
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
    assert_eq!(some.may_reveal(&caller(), &circumstances(), "pii").unwrap(), ["pii"]);
    let denial = some.may_reveal(&caller(), &circumstances(), "secret").unwrap_err();
    assert_eq!(denial.reason, "`secret` is always masked");
    let closed = cedar(
        "@id(\"pii\") permit (principal, action == Action::\"reveal\", resource);
         @id(\"never\") forbid (principal, action == Action::\"reveal\", resource);",
    );
    assert!(!closed.reveals(&caller(), &circumstances(), "pii"));
    let denial = closed.may_reveal(&caller(), &circumstances(), "pii").unwrap_err();
    assert_eq!(denial.policy.as_deref(), Some("never"));
}

const GLASS: &str = "
    @id(\"silence\") permit (principal, action == Action::\"silence_alert\", resource);
    @id(\"four-eyes\") forbid (principal, action == Action::\"silence_alert\", resource)
    unless { context.approvals >= 1 };
    @id(\"on-call\") permit (principal is User in Team::\"platform\", action == Action::\"break_glass\", resource)
    when { context.assurance == \"token\" && context.minutes <= 30 };
    @id(\"no-changes\") forbid (principal, action == Action::\"break_glass\", resource)
    when { context has tool && context.tool == \"open_change\" };
    @id(\"not-for-robots\") forbid (principal, action == Action::\"break_glass\", resource)
    when { context has agent && context.agent == Agent::\"robot\" };";

#[test]
fn nobody_breaks_the_glass_unless_a_rule_names_them_and_it_is_asked_again_of_each_use() {
    let policy = cedar(GLASS);
    let (targets, around) = ([target("production")], circumstances());
    let opens = |policy: &Policy, who: &Approver, minutes| {
        let breaking = Breaking::Open { targets: &targets, circumstances: &around };
        say_who(policy.may_break_glass(who, minutes, &breaking))
    };
    let dana = approver("dana", "platform", Assurance::Token);
    assert_eq!(opens(&policy, &dana, 30), "yes by on-call");
    assert_eq!(opens(&policy, &dana, 31), "no by no rule permits it");
    assert_eq!(
        opens(&policy, &approver("kim", "checkout", Assurance::Token), 30),
        "no by no rule permits it"
    );
    assert_eq!(
        opens(&policy, &approver("dana", "platform", Assurance::OsUser), 30),
        "no by no rule permits it"
    );
    assert_eq!(opens(&cedar(OWN_TEAM), &dana, 30), "no by no rule permits it", "who approves does not");
    let uses = |tool: &str, caller: &Caller, targets: &[Target]| {
        let input = input(tool);
        let circumstances = circumstances();
        let question = Question { caller, tool, input: &input, targets, digest: [7; 32], circumstances };
        say_who(policy.may_break_glass(&dana, 30, &Breaking::Use(&question)))
    };
    assert_eq!(uses("silence_alert", &caller(), &targets), "yes by on-call");
    assert_eq!(uses("open_change", &caller(), &targets), "no by no-changes");
    let robot = Caller { agent: "robot".to_owned(), ..caller() };
    assert_eq!(uses("silence_alert", &robot, &targets), "no by not-for-robots");
    assert_eq!(uses("silence_alert", &caller(), &[]), "no by a call has at least one target");
    assert_eq!(
        ask(&policy, "silence_alert", "production"),
        "needs 1 approvals by four-eyes from [team platform, by break-glass]"
    );
}

fn say_who(said: Result<Vec<String>, policy::Denial>) -> String {
    match said {
        Ok(rules) => format!("yes by {}", rules.join(", ")),
        Err(denial) => format!("no by {}", denial.policy.unwrap_or(denial.reason)),
    }
}
