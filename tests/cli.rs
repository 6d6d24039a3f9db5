//! The command line: what each exit code means, and that stdout is for programs.

use serde_json::{Value, json};
use testkit::{backends::GitRepository, cli::Home};

fn home(config: &str) -> (Home, GitRepository) {
    let shop = GitRepository::shop();
    let connection = format!("\n[connections.shop]\nkind = \"git\"\npath = {:?}\n", shop.path());
    (Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&(config.to_owned() + &connection)), shop)
}

#[test]
fn a_call_that_is_done_exits_with_0_and_prints_json_with_its_receipt() {
    let (home, _shop) = home("");
    let ended = home
        .run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"])
        .expect(0);
    let said = ended.json();
    assert!(said["result"]["seen"].as_u64().expect("a count") > 0, "{said}");
    assert_eq!(said["receipt"]["index"], 1, "after the start record");
    assert!(ended.stderr.contains("receipt: "), "people read stderr: {}", ended.stderr);
}

#[test]
fn a_tool_that_fails_exits_with_1_and_names_what_exists() {
    let (home, _shop) = home("");
    let ended = home.run(["call", "code", "read_file", "path=checkout/pya.rs"]).expect(1);
    let error = &ended.json()["error"];
    assert_eq!(error["error"], "not_found");
    assert_eq!(error["suggestions"][0], "checkout/pay.rs", "{error}");
}

#[test]
fn bad_usage_and_bad_arguments_exit_with_2() {
    let (home, _shop) = home("");
    home.run(["call", "code", "list_commits", "windw=7d"]).expect(2);
    home.run(["call", "code", "list_comits"]).expect(2);
    home.run(["call", "code", "list_commits", "seven-days"]).expect(2);
    home.run(["call", "code", "list_commits", "--json", "[1]"]).expect(2);
    home.run(["call", "code", "list_commits", "window=7d", "window=8d"]).expect(2);
    home.run(["call", "nowhere", "list_commits"]).expect(2);
    let ended = home.run(["call", "code", "read_file", "path=a", "max_tokens=9"]).expect(2);
    assert!(ended.stderr.contains("200 to 8000"), "{}", ended.stderr);
}

#[test]
fn a_denied_call_exits_with_3_and_names_the_rule_and_the_way_forward() {
    let (home, _shop) = home("[policy]\nfiles = [\"team.cedar\"]");
    home.file(
        "team.cedar",
        r#"
        @id("team.reads") @reason("reading is fine")
        permit (principal, action in Action::"effect:read", resource);
        @id("team.no-files") @reason("files stay closed here") @instead("ask the platform team")
        forbid (principal, action == Action::"read_file", resource);
        "#,
    );
    let ended = home.run(["call", "code", "read_file", "path=checkout/pay.rs"]).expect(3);
    let error = &ended.json()["error"];
    assert_eq!(error["policy"], "team.no-files");
    assert_eq!(error["reason"], "files stay closed here");
    assert_eq!(error["instead"], "ask the platform team");
    home.run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"]).expect(0);
}

#[test]
fn what_cannot_be_called_exits_with_2_and_names_what_can() {
    let (home, _shop) =
        home("[vocabulary]\nenvironments = [\"production\", \"staging\"]\nteams = [\"shop\"]");
    for (arguments, kind, near) in [
        (vec!["read_file", "path=README.md", "connection=shpo"], "connection", "shop"),
        (vec!["show_authority", "connection=shpo"], "connection", "shop"),
        (vec!["show_authority", "environment=prodution"], "environment", "production"),
        (vec!["show_authority", "team=shp"], "team", "shop"),
    ] {
        let ended = home.run(["call", "code"].iter().chain(&arguments)).expect(2);
        let error = &ended.json()["error"];
        assert!(error["message"].as_str().is_some_and(|it| it.contains(kind)), "{error}");
        assert_eq!(error["suggestions"][0], near, "{error}");
    }
    for word in ["production", "unknown"] {
        home.run(["call", "code", "show_authority", &format!("environment={word}")]).expect(0);
    }
}

#[test]
fn where_a_call_is_is_never_said_by_an_argument() {
    let config = "[policy]\nallow = [\"list_*\", \"show_authority environment:production\"]\n[vocabulary]\nenvironments = [\"production\"]";
    let (home, _shop) = home(config);
    home.run(["call", "code", "show_authority", "environment=production"]).expect(3);
}

#[test]
fn a_picture_that_cannot_be_written_stops_the_call_before_it_runs() {
    let (home, _shop) = home("");
    let nowhere = home.path().join("no/such/folder/up.png");
    let call = ["call", "code", "show_authority", "--image", nowhere.to_str().expect("UTF-8")];
    let ended = home.run(call).expect(2);
    assert!(ended.stderr.contains("--image") && ended.stdout.is_empty(), "{ended:#?}");
    assert!(!home.state().join("logs").exists(), "nothing ran");
}

#[test]
fn nobody_to_read_what_is_said_is_no_failure() {
    let (home, _shop) = home("");
    for (arguments, right) in [(["call", "code", "show_authority"], 0), (["call", "code", "list_comits"], 2)]
    {
        let mut command = home.command(arguments);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().expect("it ends").code(), Some(right), "{arguments:?}");
    }
}

#[test]
fn a_server_that_never_opened_says_so_when_it_ends() {
    let (home, _shop) = home("[policy]\nallow = [\"quary_metrics\"]");
    let ended = home.run(["serve", "code"]).expect(5);
    assert!(ended.stderr.contains("query_metrics"), "{}", ended.stderr);
}

#[test]
fn a_call_that_needs_approval_exits_with_4_and_says_who_may() {
    let (home, _shop) =
        home("[policy]\nallow = [\"read_file\"]\napprove = [\"read_file\"]\nfiles = [\"who.cedar\"]");
    home.file(
        "who.cedar",
        "@id(\"who.sre\") @reason(\"the SREs approve\")\n\
         permit (principal is User in Team::\"sre\", action == Action::\"approve\", resource);",
    );
    let config = std::fs::read_to_string(home.config_path()).expect("readable");
    let home = home.config(&format!("{config}\n[vocabulary]\nteams = [\"sre\"]\n"));
    let ended = home.run(["call", "code", "read_file", "path=checkout/pay.rs"]).expect(4);
    let error = &ended.json()["error"];
    assert_eq!(error["error"], "approval_required");
    assert_eq!(error["approvals"], 1);
    assert!(error["who_may"].to_string().contains("sre"), "{error}");
}

#[test]
fn a_configuration_or_policy_that_does_not_load_exits_with_5_and_says_where() {
    let (home, _shop) = home("[policy]\nallow = [\"quary_metrics\"]");
    let ended = home.run(["call", "code", "list_commits"]).expect(5);
    assert!(
        ended.stderr.contains("bailiwick.toml:2") && ended.stderr.contains("query_metrics"),
        "{}",
        ended.stderr
    );
    let home = home.config("[policy]\nalow = []");
    let ended = home.run(["call", "code", "list_commits"]).expect(5);
    assert!(ended.stderr.contains("alow") && ended.stderr.contains("allow"), "{}", ended.stderr);
}

#[test]
fn a_log_that_cannot_be_written_exits_with_5_and_nothing_leaves() {
    let (home, _shop) = home("");
    home.run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"]).expect(0);
    // Root writes where permissions forbid it: what it cannot do is make a folder of a file.
    std::fs::remove_dir_all(home.state().join("logs")).expect("ours");
    std::fs::write(home.state().join("logs"), "in the way").expect("ours");
    let ended = home
        .run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"])
        .expect(5);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
}

#[test]
fn what_was_done_can_be_shown_and_verified() {
    let (home, _shop) = home("");
    home.run(["call", "code", "list_commits", "window=2026-01-01T00:00:00Z/2026-03-01T00:00:00Z"]).expect(0);
    home.run(["call", "code", "read_file", "path=nope"]).expect(1);
    let tail = home.run(["audit", "tail"]).expect(0).stdout;
    assert!(tail.contains("list_commits  permitted  ok"), "{tail}");
    assert!(tail.contains("read_file  permitted  tool_failed"), "{tail}");
    assert!(tail.contains("rule=read-only:reads"), "{tail}");
    let record = home.run(["audit", "show", "code/0:1"]).expect(0).json();
    assert_eq!(
        record["payload"]["content"]["arguments"]["window"], "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z",
        "{record}"
    );
    home.run(["audit", "show", "code/0:99"]).expect(2);
    home.run(["audit", "verify"]).expect(0);
    let journal = home.state().join("logs/code/0/journal");
    let mut bytes = std::fs::read(&journal).expect("readable");
    let at = bytes.windows(9).position(|it| it == b"permitted").expect("a leaf stands in the clear");
    bytes[at] = b'P';
    std::fs::write(&journal, bytes).expect("ours");
    let ended = home.run(["audit", "verify", "--json"]).expect(1);
    assert_eq!(ended.json()["verdict"], "altered");
}

#[test]
fn policy_explains_itself_without_running_anything() {
    let (home, _shop) = home("[policy]\nallow = [\"list_commits\"]\ndeny = [\"read_file\"]");
    let said = home.run(["policy", "explain", "code", "read_file", "path=checkout/pay.rs"]).expect(3).json();
    assert_eq!(said["explanation"]["answer"]["policy"], "deny:read_file", "{said}");
    home.run(["policy", "explain", "code", "list_commits"]).expect(0);
    let rules = home.run(["policy", "check"]).expect(0).stdout;
    assert!(rules.contains("allow:list_commits") && rules.contains("deny:read_file"), "{rules}");
    assert!(home.run(["policy", "schema"]).expect(0).stdout.contains("action \"list_commits\""));
    assert!(!home.state().join("logs").exists(), "nothing ran, nothing was recorded");
}

#[test]
fn every_tool_is_listed_with_its_cost() {
    let home = Home::new(env!("CARGO_BIN_EXE_bailiwick"));
    let tools = home.run(["tools", "--json"]).expect(0).json();
    let names: Vec<&str> =
        tools.as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
    for name in ["list_commits", "find_signals", "silence_alert", "plot_metrics", "show_authority"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let text = home.run(["tools", "--tokens"]).expect(0).stdout;
    assert!(names.iter().all(|it| text.contains(it)), "{text}");
    assert!(text.contains(&names.len().to_string()), "{text}");
}

#[test]
fn authority_is_told_per_connection_with_rule_and_way_forward() {
    let (home, _shop) = home("[policy]\nallow = [\"list_*\", \"show_authority\"]\ndeny = [\"read_file\"]");
    let said = home.call("code", "show_authority", &json!({})).expect(0).json();
    let rows = said["result"]["rows"].as_array().expect("rows").clone();
    let row = |standing: &str| -> Value {
        rows.iter().find(|it| it[2] == standing).cloned().unwrap_or_else(|| panic!("{standing}: {rows:?}"))
    };
    assert_eq!(row("denied")[3], "read_file (read)");
    assert_eq!(row("denied")[4], "deny:read_file");
    assert_eq!(row("allowed")[3], "list_commits (read)");
}

#[test]
fn the_way_forward_is_said_once() {
    let (home, _shop) = home(
        "[policy]\nallow = [\"show_authority\"]\nask = [\"silence_alert\"]\napprove = [\"expire_silence\"]\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"http://127.0.0.1:9\"",
    );
    let said = home.call("observability", "show_authority", &json!({})).expect(0).json();
    let rows = said["result"]["rows"].as_array().expect("rows").clone();
    let way = |standing: &str| rows.iter().find(|it| it[2] == standing).map(|it| it[5].clone());
    assert_eq!(
        way("asks"),
        Some(json!("the configuration wants it confirmed. the person at the keyboard confirms")),
        "{rows:?}"
    );
    assert_eq!(
        way("needs_approval"),
        Some(json!(
            "the configuration wants it approved. one other person approves: nobody, since no policy permits \
             Action::\"approve\" here"
        )),
        "{rows:?}"
    );
}

#[test]
fn what_a_caller_or_a_repository_wrote_cannot_move_a_terminal() {
    let (home, _shop) = home("");
    let hostile = "{\"path\": \"a\", \"\u{9b}31m\u{202e}\": 1}";
    home.run(["call", "code", "read_file", "--json", hostile]).expect(2);
    let hidden =
        |it: char| matches!(it, '\u{0}'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{202e}');
    let shown = home.run(["audit", "show", "code/0:1"]).expect(0);
    assert!(
        shown.stdout.contains("\\u009b31m\\u202e") && !shown.stdout.contains(hidden),
        "{:?}",
        shown.stdout
    );
    let line = home.run(["audit", "tail", "--json"]).expect(0);
    assert!(line.stdout.contains("\\u009b31m\\u202e") && !line.stdout.contains(hidden), "{:?}", line.stdout);

    let forbid = r#"@id("a") forbid (principal, action == Action::"\u{1b}]0;x\u{7}\u{202e}", resource);"#;
    let path = home.file(".bailiwick/freeze.cedar", forbid);
    let ended = home.run(["trust", path.to_str().expect("UTF-8")]).expect(5);
    assert!(
        ended.stderr.contains("no tool or group") && !ended.stderr.contains(hidden),
        "{:?}",
        ended.stderr
    );
}
