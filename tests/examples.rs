//! What a newcomer copies works: the example configuration, the shipped policies, set-up, and every `--help`.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use testkit::{
    assert_valid,
    backends::{GitRepository, History, Prometheus},
    cli::{Ended, Home},
    free_address, problems,
};

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick"))
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn example() -> String {
    repository().join("examples/bailiwick.toml").display().to_string()
}

fn schema() -> serde_json::Map<String, Value> {
    home().run(["config", "schema"]).expect(0).json().as_object().cloned().expect("a schema is an object")
}

#[test]
fn the_example_configuration_loads_with_its_policy() {
    let ended = home()
        .variable("PROMETHEUS_TOKEN", "a-token")
        .run(["policy", "check", "--config", &example()])
        .expect(0);
    for rule in ["allow:query_metrics", "allow:list_*", "ask:1", "approve:1", "deny:"] {
        let word = rule.trim_end_matches(|it: char| it.is_ascii_digit());
        assert!(ended.stdout.contains(word), "{rule}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("a-token") && !ended.stderr.contains("a-token"));
}

#[test]
fn the_example_configuration_fits_the_schema_that_editors_get_and_a_wrong_one_does_not() {
    let (text, schema) = (fs::read_to_string(example()).expect("it ships"), schema());
    let read = |text: &str| toml::from_str::<Value>(text).expect("TOML");
    assert_valid("examples/bailiwick.toml", &schema, &read(&text));
    for (right, wrong, place) in [
        ("kind = \"prometheus\"", "kind = \"promethius\"", "/connections/prod"),
        ("allow = [", "alow = [", "/policy"),
        ("bearer = { env = \"PROMETHEUS_TOKEN\" }", "bearer = \"hunter2\"", "/connections/prod"),
        ("agent = \"claude-code\"", "agent = 5", "/identity/agent"),
    ] {
        assert!(text.contains(right), "{right}");
        let wrong = text.replacen(right, wrong, 1);
        let found = problems(&schema, &read(&wrong));
        assert!(found.iter().any(|it| it.starts_with(place)), "{place}: {found:?}");
        let home = home().config(&wrong);
        let ended = home.run(["policy", "check"]).expect(5);
        assert!(ended.stderr.contains("bailiwick.toml:"), "it says where: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[test]
fn the_configuration_of_a_team_loads_and_fits_the_schema() {
    let path = repository().join("examples/team/bailiwick.toml");
    let text = fs::read_to_string(&path).expect("it ships");
    assert_valid("examples/team/bailiwick.toml", &schema(), &toml::from_str::<Value>(&text).expect("TOML"));
    let ended = home().run(["policy", "check", "--config", path.to_str().expect("our own name")]).expect(0);
    assert!(ended.stdout.contains("on-call:own-team"), "{}", ended.stdout);
}

#[test]
fn the_configurations_for_change_tickets_load_and_fit_the_schema() {
    for name in ["servicenow", "jira"] {
        let path = repository().join(format!("examples/change/{name}.toml"));
        let text = fs::read_to_string(&path).expect("it ships");
        assert_valid(name, &schema(), &toml::from_str::<Value>(&text).expect("TOML"));
        let ended =
            home().run(["policy", "check", "--config", path.to_str().expect("our own name")]).expect(0);
        assert!(ended.stderr.is_empty(), "{name}: {}", ended.stderr);
    }
}

#[test]
fn every_shipped_policy_passes_the_check_it_recommends() {
    let files = testkit::files(&repository().join("policies"));
    let policies: Vec<_> = files.iter().filter(|it| it.extension().is_some_and(|it| it == "cedar")).collect();
    assert!(!policies.is_empty());
    for policy in policies {
        let home = home().variable("PROMETHEUS_TOKEN", "a-token");
        let path = policy.to_str().expect("our own names");
        let ended = home.run(["policy", "check", path, "--config", &example()]).expect(0);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(last.contains("rules hold; policy sha256"), "{path}: {}", ended.stdout);
        assert!(!last.starts_with("0 "), "{path} holds rules: {}", ended.stdout);
    }
}

#[test]
fn every_command_that_a_file_or_a_help_recommends_for_a_policy_runs() {
    let files = testkit::files(&repository().join("policies"));
    let texts = files.iter().map(|it| fs::read_to_string(it).expect("it ships"));
    let help = home().run(["policy", "--help"]).expect(0).stdout;
    let lines: Vec<String> =
        texts.chain([help]).flat_map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let commands =
        lines.iter().filter_map(|it| it.trim_start_matches(['#', '/', ' ']).strip_prefix("bailiwick "));
    let shipped: Vec<&str> = commands.filter(|it| it.contains("policies/")).collect();
    assert_eq!(shipped.len(), 4, "{shipped:?}");
    for command in shipped {
        home().stand_in(repository()).run(command.split_whitespace()).expect(0);
    }
}

#[test]
fn the_example_lets_files_be_read_where_it_says_so() {
    let explain = |arguments: &[&str]| {
        let words = ["policy", "explain", "code", "read_file", "path=README.md", "--config"];
        home()
            .run(words.iter().copied().chain([example().as_str()]).chain(arguments.iter().copied()))
            .expect(0)
            .json()
    };
    assert_eq!(explain(&[])["explanation"]["answer"]["answer"], "permitted", "{}", explain(&[]));
}

/// Runs `init` in a repository where somebody else's server is set up.
fn init(shop: &GitRepository, arguments: &[&str]) -> Ended {
    let home = home().stand_in(shop.path()).variable("PROMETHEUS_URL", "http://127.0.0.1:9090");
    home.run(["init"].iter().chain(arguments))
}

#[test]
fn init_shows_the_change_first_and_merges_only_when_told_to() {
    let shop = GitRepository::shop();
    let file = shop.path().join(".mcp.json");
    let before = "{\n    \"mcpServers\": {\n        \"other\": { \"command\": \"other\", \"args\": [\"--x\"] }\n    },\n    \"theme\": 1\n}\n";
    fs::write(&file, before).expect("ours");
    for arguments in [&["--dry-run"][..], &[]] {
        let ended = init(&shop, arguments);
        assert!(matches!((arguments.len(), ended.code), (1, Some(0)) | (0, Some(2))), "{ended:#?}");
        assert!(
            ended.stderr.contains("+++") && ended.stderr.contains("\"code\""),
            "a diff: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("nothing was written"), "{}", ended.stderr);
        assert_eq!(fs::read_to_string(&file).expect("ours"), before);
    }
    init(&shop, &["--yes"]).expect(0);
    let after = fs::read_to_string(&file).expect("ours");
    let merged: Value = serde_json::from_str(&after).expect("JSON");
    assert_eq!(merged["mcpServers"]["other"], json!({ "command": "other", "args": ["--x"] }));
    assert_eq!(merged["theme"], 1);
    for server in ["code", "observability"] {
        let entry = &merged["mcpServers"][server];
        assert_eq!(entry["command"], "bailiwick", "{merged}");
        assert_eq!(entry["args"], json!(["serve", server]), "{merged}");
    }
    assert_eq!(merged["mcpServers"]["observability"]["env"]["PROMETHEUS_URL"], "http://127.0.0.1:9090");
    assert!(init(&shop, &["--yes"]).expect(0).stderr.contains("needs no change"));
    assert_eq!(fs::read_to_string(&file).expect("ours"), after, "a second time changes nothing");
    init(&shop, &["--yes", "--client", "cursor"]).expect(0);
    let cursor = fs::read_to_string(shop.path().join(".cursor/mcp.json")).expect("written");
    assert!(cursor.contains("\"serve\""), "{cursor}");
}

#[test]
fn init_leaves_a_file_alone_that_it_does_not_understand() {
    let shop = GitRepository::shop();
    let file = shop.path().join(".mcp.json");
    for (text, word) in [
        ("{ // a comment\n}", "is not JSON"),
        ("[]", "does not hold an object"),
        ("{\"mcpServers\": {\"code\": {\"command\": \"evil\"}}}", "is another server"),
    ] {
        fs::write(&file, text).expect("ours");
        let ended = init(&shop, &["--yes"]).expect(5);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
        assert_eq!(fs::read_to_string(&file).expect("ours"), text);
    }
}

#[test]
fn doctor_says_by_its_exit_code_what_is_broken() {
    let live = Prometheus::start(History::new().gauge("up", r#"job="app""#, [(Prometheus::now(), 1.0)]));
    let dead = format!("http://{}", free_address());
    let connection = |url: &str| format!("[connections.prod]\nkind = \"prometheus\"\nurl = \"{url}\"\n");
    let ended = home().config(&connection(&live.url())).run(["doctor"]).expect(0);
    assert!(ended.stdout.contains("version 2."), "{}", ended.stdout);
    let home = home().config(&connection(&dead));
    let ended = home.run(["doctor"]).expect(1);
    assert!(ended.stdout.contains("connection refused") && ended.stdout.contains('→'), "{}", ended.stdout);
    let said = home.run(["doctor", "--json"]).expect(1).json();
    assert_eq!(said["well"], false);
    let broken: Vec<&Value> =
        said["checks"].as_array().expect("a list").iter().filter(|it| it["broken"] == true).collect();
    let [prod] = broken.as_slice() else { panic!("one thing is broken: {said}") };
    assert_eq!((&prod["kind"], &prod["name"]), (&json!("connection"), &json!("prod")));
    assert!(!home.state().join("logs").exists(), "looking records nothing");
    let home = home.config("[policy]\nallow = [\"quary_metrics\"]\n");
    let ended = home.run(["doctor"]).expect(5);
    assert!(ended.stdout.contains("query_metrics"), "{}", ended.stdout);
    let home = home.config("alow = 1\n");
    home.run(["doctor"]).expect(5);
}

#[test]
fn every_command_teaches_by_example() {
    let help = |arguments: &[&str]| home().run(arguments.iter().copied().chain(["--help"])).expect(0).stdout;
    let commands = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|it| !it.starts_with("Commands:")).skip(1);
        let names = lines.take_while(|it| it.starts_with("  ")).filter(|it| !it.starts_with("   "));
        let first = names.filter_map(|it| it.split_whitespace().next());
        first.filter(|it| *it != "help").map(str::to_owned).collect()
    };
    let whole = help(&[]);
    assert!(whole.contains("bailiwick call code list_commits"), "{whole}");
    let all = commands(&whole);
    assert!(all.len() >= 9, "{all:?}");
    for command in &all {
        let text = help(&[command]);
        assert!(text.contains(&format!("  bailiwick {command}")), "an example of `{command}`:\n{text}");
        for part in commands(&text) {
            let right = text.contains(&format!("bailiwick {command} {part}"));
            assert!(right, "an example of `{command} {part}`:\n{text}");
        }
    }
}

#[test]
fn the_example_of_a_ci_job_uses_what_exists() {
    let job = fs::read_to_string(repository().join("examples/ci-job.yaml")).expect("it ships");
    let tools = home().run(["tools", "--json"]).expect(0).json();
    let calls: Vec<&str> = job.split("bailiwick call ").skip(1).collect();
    assert!(!calls.is_empty());
    for call in calls {
        let mut words = call.split_whitespace();
        let (server, tool) = (words.next(), words.next());
        let found = |it: &&Value| it["server"].as_str() == server && it["name"].as_str() == tool;
        assert!(tools.as_array().and_then(|it| it.iter().find(found)).is_some(), "{server:?} {tool:?}");
    }
}
