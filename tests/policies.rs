//! The policies that ship: each answers as its cases say, and no rule stands there for nothing.

use std::{collections::BTreeSet, fs, path::PathBuf};

use testkit::cli::{Ended, Home};

const SHIPPED: [&str; 3] = ["read-only", "on-call", "regulated"];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick"))
}

/// A file of `policies/`.
fn shipped(name: &str) -> PathBuf {
    repository().join("policies").join(name)
}

fn cases(name: &str, policy: &str) -> Ended {
    let example = repository().join("examples/bailiwick.toml");
    let cases = shipped(&format!("{name}.cases.toml"));
    let arguments =
        [&cases, &PathBuf::from("--policy"), &PathBuf::from(policy), &PathBuf::from("--config"), &example];
    let words = ["policy", "test", "--json"].map(PathBuf::from);
    home().variable("PROMETHEUS_TOKEN", "a-token").run(words.iter().chain(arguments))
}

#[test]
fn every_shipped_policy_answers_as_its_cases_say_and_they_exercise_every_rule() {
    for name in SHIPPED {
        let policy = shipped(&format!("{name}.cedar"));
        let said = cases(name, &policy.display().to_string()).expect(0).json();
        assert_eq!(said["failures"], serde_json::json!([]), "{name}");
        assert_eq!(said["unexercised"], serde_json::json!([]), "{name}");
        assert!(said["cases"].as_u64() > said["rules"].as_u64(), "{name}: {said}");
    }
}

#[test]
fn every_policy_that_ships_has_cases() {
    let files = testkit::files(&repository().join("policies"));
    let named = |extension: &str| -> BTreeSet<String> {
        let names = files.iter().filter_map(|it| it.file_name()?.to_str()?.strip_suffix(extension));
        names.map(str::to_owned).collect()
    };
    assert_eq!(named(".cedar"), named(".cases.toml"));
    assert_eq!(named(".cedar"), SHIPPED.map(str::to_owned).into());
}

/// Rules that nobody would miss would be rules that nobody can rely on.
#[test]
fn without_any_one_of_their_rules_the_cases_fail() {
    for name in SHIPPED {
        let text = fs::read_to_string(shipped(&format!("{name}.cedar"))).expect("it ships");
        let starts: Vec<usize> = text.match_indices("\n@id(").map(|(at, _)| at + 1).collect();
        assert!(starts.len() >= 2);
        for (at, start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).copied().unwrap_or(text.len());
            let home = home();
            let less = home.file("less.cedar", &(text[..*start].to_owned() + &text[end..]));
            let ended = cases(name, &less.display().to_string());
            assert_eq!(ended.code, Some(1), "{name} without {}: {ended:#?}", &text[*start..end]);
        }
    }
}

const TEAM: &str = r#"
@id("team:reads") permit (principal, action in Action::"effect:read", resource);
@id("team:no-files") @reason("files stay closed") forbid (principal, action == Action::"read_file", resource);
@id("team:idle") forbid (principal == Agent::"nobody", action == Action::"list_commits", resource);
"#;

fn team(cases: &str) -> (Home, PathBuf) {
    let home =
        home().config("[policy]\nfiles = [\"team.cedar\"]\n[vocabulary]\nenvironments = [\"production\"]\n");
    home.file("team.cedar", TEAM);
    let path = home.file("team.cases.toml", cases);
    (home, path)
}

#[test]
fn a_case_that_fails_names_the_rule_that_answered_and_what_no_case_exercises_is_listed() {
    let cases = "targets = [{ environment = \"production\" }]\n\n\
                 [[case]]\nname = \"files are open\"\ncall = { tool = \"read_file\", arguments = { path = \"a\" } }\n\
                 expect = \"allow\"\nrule = \"team:reads\"\n\n\
                 [[case]]\nname = \"commits are open\"\ncall = { server = \"code\", tool = \"list_commits\" }\n\
                 expect = \"allow\"\nrule = \"team:reads\"\n";
    let (home, path) = team(cases);
    let path = path.display().to_string();
    let ended = home.run(["policy", "test", &path]).expect(1);
    for part in [
        "FAILED  files are open",
        "team.cases.toml:3)",
        "expected allow by team:reads",
        "got      deny by team:no-files",
        "files stay closed",
        "no case exercises  team:idle",
        "1 of 2 cases as expected; they exercise 2 of 3 rules",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    let said = home.run(["policy", "test", &path, "--json"]).expect(1).json();
    assert_eq!(said["failures"][0]["by"][0]["id"], "team:no-files");
    assert_eq!(said["unexercised"][0]["id"], "team:idle");
}

/// The rules stand in the words of `regulated.cedar`, for those who have witnesses, tickets, people on call, or agents that repeat
/// themselves.
#[test]
fn a_policy_can_ask_for_a_young_cosignature_and_an_approved_ticket_count_and_let_somebody_break_the_glass() {
    let text = fs::read_to_string(shipped("regulated.cedar")).expect("it ships");
    let rule: String =
        text.lines().filter_map(|it| it.strip_prefix("//   ")).map(|it| format!("{it}\n")).collect();
    let permit = "@id(\"all\") permit (principal, action in Action::\"effect:mitigate\", resource);\n";
    let case = |name: &str, more: &str, expect: &str, rule: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\n{more}expect = \"{expect}\"\nrule = \"{rule}\"\n[case.call]\ntool = \"silence_alert\"\n\
             arguments = {{ matchers = ['a=\"b\"'], duration_minutes = 60, reason = \"the team looks into it\" }}\n"
        )
    };
    let ticket = "change = { id = \"CHG1\", state = \"Implement\", approved = true }\n";
    let draft = ticket.replace("true", "false");
    let with = |name: &str, more: &str, expect: &str, rule: &str| {
        case(name, &format!("witnessed_seconds = 599\n{more}"), expect, rule)
    };
    let glass = |name: &str, teams: &str, more: &str, expect: &str| {
        let rule = if expect == "allow" { "on-call-glass" } else { "none" };
        let who = format!("person = \"dana\", teams = [{teams}], {more}");
        let opened = format!(
            "[[case]]\nname = \"{name}, to open it\"\nbreak_glass = {{ {who} }}\nexpect = \"{expect}\"\nrule = \"{rule}\"\n"
        );
        opened + &case(&format!("{name}, at a use"), &format!("break_glass = {{ {who} }}\n"), expect, rule)
    };
    let (on_call, token) = ("\"on-call\"", "assurance = \"token\", authenticated_seconds");
    let cases = [
        "targets = [{ team = \"unknown\" }]\n".to_owned(),
        glass("on call", on_call, &format!("minutes = 30, {token} = 900"), "allow"),
        glass("signed in too long ago", on_call, &format!("minutes = 30, {token} = 901"), "deny"),
        glass("nobody says when", on_call, "minutes = 30, assurance = \"token\"", "deny"),
        glass("for too long", on_call, &format!("minutes = 31, {token} = 60"), "deny"),
        glass("not on call", "", &format!("minutes = 30, {token} = 60"), "deny"),
        glass("not known by a token", on_call, "minutes = 30, authenticated_seconds = 60", "deny"),
        with("young", ticket, "allow", "all"),
        case("old", &format!("witnessed_seconds = 600\n{ticket}"), "deny", "witnessed"),
        case("none", ticket, "deny", "witnessed"),
        with("without a ticket", "", "deny", "ticketed"),
        with("a draft", &draft, "deny", "ticketed"),
        with("the tenth", &format!("{ticket}usage = {{ mitigations_hour = 10 }}\n"), "allow", "all"),
        with("the eleventh", &format!("{ticket}usage = {{ mitigations_hour = 11 }}\n"), "deny", "few"),
    ];
    let home = home().config("[vocabulary]\nenvironments = [\"production\"]\nteams = [\"on-call\"]\n");
    let policy = home.file("witnessed.cedar", &(permit.to_owned() + &rule));
    let cases = home.file("witnessed.cases.toml", &cases.concat());
    let words = ["policy", "test", "--policy"].map(PathBuf::from);
    let said = home.run(words.iter().chain([&policy, &cases])).expect(0).stdout;
    assert!(said.contains("19 of 19 cases as expected; they exercise 5 of 5 rules"), "{said}");
}

#[test]
fn a_case_that_says_nothing_true_is_bad_usage() {
    let head = "targets = [{ environment = \"production\" }]\n[[case]]\nname = \"x\"\n";
    let wrong = [
        ("call = { tool = \"list_comits\" }\nexpect = \"allow\"", "no tool is called"),
        ("call = { tool = \"list_commits\", arguments = { windw = \"7d\" } }\nexpect = \"allow\"", "windw"),
        (
            "call = { tool = \"list_commits\", server = \"observability\" }\nexpect = \"allow\"",
            "tool of code",
        ),
        ("call = { tool = \"list_commits\" }\nexpect = \"perhaps\"", "expected allow"),
        ("call = { tool = \"list_commits\" }\nexpect = \"allow\"\nrul = \"x\"", "rul"),
        ("call = { tool = \"list_commits\" }\nwhen = \"noon\"\nexpect = \"allow\"", "2026-11-20T10:00"),
        ("call = { tool = \"list_commits\" }\nreveal = \"pii\"\nexpect = \"allow\"", "alone"),
        (
            "call = { tool = \"list_commits\" }\ntargets = [{ environment = \"prod\" }]\nexpect = \"allow\"",
            "`prod`",
        ),
        (
            "call = { tool = \"list_commits\" }\ntargets = [{ connection = \"gone\" }]\nexpect = \"allow\"",
            "gone",
        ),
        ("approve = { person = \"dana\" }\nexpect = \"allow\"", "about a call"),
        ("break_glass = { person = \"dana\" }\nexpect = \"allow\"", "minutes"),
        ("caller = { agent = \"a\", teams = [\"chekout\"] }\nreveal = \"pii\"\nexpect = \"deny\"", "chekout"),
    ];
    for (case, said) in wrong {
        let (home, path) = team(&format!("{head}{case}\n"));
        let ended = home.run(["policy", "test", &path.display().to_string()]).expect(2);
        assert!(ended.stderr.contains(said), "{case}: {}", ended.stderr);
    }
    let (home, path) = team("case = []\n");
    assert!(
        home.run(["policy", "test", &path.display().to_string()])
            .expect(2)
            .stderr
            .contains("nothing to test")
    );
    let gone = path.with_extension("gone").display().to_string();
    home.run(["policy", "test", &gone]).expect(2);
}
