//! `policy suggest`: from what was denied to the narrowest rule, for a person to apply.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fs, process::Command};

use serde_json::json;
use testkit::{
    backends::GitRepository,
    cli::{self, Home},
};

const WINDOW: &str = "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";

fn home(policy: &str) -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let config = format!(
        "[policy]\n{policy}\n[vocabulary]\nteams = [\"checkout\"]\n\
         [connections.shop]\nkind = \"git\"\nenvironment = \"production\"\npath = {:?}\n",
        shop.path()
    );
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config), shop)
}

/// Applies a diff as a person would.
fn apply(home: &Home, diff: &str) {
    let mut patch = Command::new("git");
    // The paths are whole: `-p1` takes the slash in front.
    patch.args(["apply", "-p1", "--unsafe-paths", "--directory=/"]).current_dir(home.config_folder());
    cli::run(&mut patch, diff.as_bytes()).expect(0);
}

#[test]
fn a_suggestion_allows_what_was_denied_to_this_caller_and_nothing_else() {
    let (home, _shop) = home("files = [\"team.cedar\"]");
    let file = home.file(
        "team.cedar",
        "@id(\"team:authority\")\npermit (principal, action == Action::\"show_authority\", resource);\n",
    );
    let before = fs::read_to_string(&file).expect("ours");
    home.run(["call", "code", "list_commits", WINDOW]).expect(3);
    home.run(["call", "code", "list_commits", "author=alice"]).expect(3);
    home.run(["call", "code", "read_file", "path=checkout/pay.rs"]).expect(3);
    let said = home.run(["policy", "suggest", "--json"]).expect(0).json();
    assert_eq!(said["denied"], 3, "{said}");
    let first = &said["suggestions"][0];
    assert_eq!(first["lifts"].as_array().map(Vec::len), Some(2), "{said}");
    assert_eq!((&first["answer"], &first["also"]), (&json!("allow"), &json!([])), "{said}");
    let text = first["text"].as_str().expect("text");
    assert!(text.contains("resource == Target::\"shop/repository/shop\""), "{text}");
    assert!(text.contains("principal == Agent::\"local\"") && text.contains("principal in User::"), "{text}");
    assert_eq!(fs::read_to_string(&file).expect("ours"), before, "nothing is written");

    let diff = said["diff"].as_str().expect("a diff");
    assert!(diff.contains("\n+permit (principal == Agent::\"local\""), "{diff}");
    apply(&home, diff);
    home.run(["call", "code", "list_commits", WINDOW]).expect(0);
    home.run(["call", "code", "search_code", "pattern=fn"]).expect(3);
    let told = home.run(["policy", "suggest"]).expect(0).stdout;
    assert!(
        told.contains("no longer denied: ") && told.contains("suggested:local:search_code:shop"),
        "{told}"
    );
}

#[test]
fn where_the_policy_is_lists_a_suggestion_is_an_entry() {
    let (home, _shop) = home("allow = [ # what is open\n  \"show_authority\",\n]");
    home.run(["call", "code", "list_commits", WINDOW]).expect(3);
    let said = home.run(["policy", "suggest", "--json"]).expect(0).json();
    assert_eq!(said["suggestions"][0]["text"], "list_commits environment:production", "{said}");
    apply(&home, said["diff"].as_str().expect("a diff"));
    home.run(["call", "code", "list_commits", WINDOW]).expect(0);
    home.run(["call", "code", "read_file", "path=checkout/pay.rs"]).expect(3);
}

#[test]
fn an_explicit_forbid_is_named_with_the_way_forward_and_stays() {
    let (home, _shop) = home("files = [\"team.cedar\"]");
    home.file(
        "team.cedar",
        "@id(\"team:reads\") permit (principal, action in Action::\"effect:read\", resource);\n\
         @id(\"team:no-files\") @reason(\"files stay closed\") @instead(\"ask the platform team\")\n\
         forbid (principal, action == Action::\"read_file\", resource);\n",
    );
    home.run(["call", "code", "read_file", "path=checkout/pay.rs"]).expect(3);
    let told = home.run(["policy", "suggest", "--since", "1h"]).expect(0).stdout;
    assert!(told.contains("team:no-files stays: files stay closed"), "{told}");
    assert!(told.contains("instead: ask the platform team") && !told.contains("+++"), "{told}");
}

#[test]
fn where_nothing_is_configured_the_new_file_keeps_what_holds() {
    let (home, _shop) = home("");
    home.run(["call", "code", "list_commits", WINDOW]).expect(0);
    let told = home.run(["policy", "suggest"]).expect(0).stdout;
    assert_eq!(told.trim(), "0 denied calls");
    home.run(["policy", "suggest", "--since", "soon"]).expect(2);
}
