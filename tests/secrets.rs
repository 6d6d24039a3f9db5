//! Do secrets leave? Planted where outsiders write and in what callers say; looked for in everything that comes out.

use std::fs;

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    backends::{Alert, Alertmanager, Commit, GitRepository},
    cli::Home,
    mcp::Version,
};

const WINDOW: &str = "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";

fn home(policy: &str, shop: &GitRepository, alerts: &Alertmanager) -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
        "[policy]\n{policy}\n\
         [connections.shop]\nkind = \"git\"\npath = {:?}\n\
         [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
        shop.path(),
        alerts.url(),
    ))
}

/// What stands in the place of each.
const MARKS: [&str; 5] =
    ["[secret: github token]", "[secret: private key]", "[secret: password]", "[email]", "[card number]"];

/// Secrets in parts, so that no scanner takes this file for a leak.
fn planted() -> [(&'static str, String); 5] {
    [
        ("github token", format!("gh{}_{}", "p", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6")),
        ("private key", "MIIEpAIBAAKCAQEA7bq0YvT5c3Jx9FZ2nKQwLr8uXyHt".to_owned()),
        ("password in a URL", "s3cr3t-Tr0mb0ne".to_owned()),
        ("e-mail", "carol.secret@example.com".to_owned()),
        ("card number", "4111 1111 1111 1111".to_owned()),
    ]
}

/// The same where outsiders write them.
fn fragments() -> [String; 5] {
    let [token, key, password, email, card] = planted().map(|it| it.1);
    let (begin, end) = ("-----BEGIN RSA PRIVATE ", "-----END RSA PRIVATE ");
    [
        format!("token {token}"),
        format!("{begin}KEY----- {key} {end}KEY-----"),
        format!("postgres://app:{password}@db.example.com/shop"),
        format!("ask {email}"),
        format!("card {card}"),
    ]
}

fn assert_masked(place: &str, said: &str, except: &[&str]) {
    for (kind, secret) in planted() {
        let shown = said.contains(&secret);
        assert_eq!(shown, except.contains(&kind), "the {kind} in {place}:\n{said}");
    }
}

/// A repository and an Alertmanager with secrets wherever outsiders write.
fn leaky() -> (GitRepository, Alertmanager) {
    let text = fragments().join("; ");
    let mut shop = GitRepository::shop();
    shop.commit(&Commit {
        author: "Carol <carol.secret@example.com>",
        message: &text,
        at: None,
        // A line that is part of a key is closed whole, so each has a line of its own.
        files: &[("notes.md", Some(format!("# Notes\n\n{}\n", fragments().join("\n")).as_bytes()))],
    });
    // A subject is cut where it is long: each of them once at its beginning.
    for fragment in fragments() {
        shop.write("count.txt", &fragment, "Dave <dave@example.com>", &fragment);
    }
    let alerts = Alertmanager::start(Alertmanager::CONFIG);
    let leaks = fragments().map(|it| {
        let leak = Alert::new("Leaky");
        leak.label("contact", "carol.secret@example.com")
            .annotation("summary", &it)
            .annotation("description", it)
    });
    // Of one name and severity each, so that every one of them has a row of its own.
    let severities = ["critical", "warning", "info", "page", "none"];
    let own = leaks.into_iter().zip(severities).map(|(leak, it)| leak.label("severity", it));
    alerts.push(&own.collect::<Vec<_>>());
    (shop, alerts)
}

#[test]
fn planted_secrets_leave_masked_in_results_errors_notes_and_records() {
    let (shop, alerts) = leaky();
    let [token, _, password, email, _] = planted().map(|it| it.1);
    // Everything that can be logged is.
    let home = home("allow = [\"*\", \"silence_alert\"]", &shop, &alerts).variable("BAILIWICK_LOG", "trace");
    let calls = [
        ("code", "list_commits", json!({ "window": WINDOW })),
        ("code", "read_file", json!({ "path": "notes.md" })),
        ("observability", "list_alerts", json!({})),
        // What a caller says is repeated in errors and kept in records.
        ("code", "read_file", json!({ "path": format!("{token}/{email}") })),
        ("code", "list_commits", json!({ "revision": token })),
        ("code", "list_commits", json!({ "window": WINDOW, "author": email })),
        ("code", "read_file", json!({ "path": format!("https://app:{password}@db.example.com/x") })),
        ("code", "list_commits", json!({ "windw": token })),
        (
            "observability",
            "silence_alert",
            json!({ "matchers": ["alertname=\"Leaky\""], "duration_minutes": 5, "reason": fragments().join("; "), "dry_run": true }),
        ),
    ];
    let mut session = home.serve(&["code", "observability"], Version::V2025_11_25);
    for (server, tool, arguments) in &calls {
        let answer = session.call(tool, arguments.clone());
        if !answer.is_error() && arguments.get("author").is_none() {
            for mark in MARKS {
                let is_file = *tool == "read_file" && mark.contains("private key");
                let mark = if is_file { "[line of a private key: closed]" } else { mark };
                assert!(answer.text().contains(mark), "{tool} {arguments}: no {mark} in:\n{}", answer.text());
            }
        }
        assert_masked(&format!("{tool} {arguments} served"), &answer.0.to_string(), &[]);
        let ended = home.call(server, tool, arguments);
        assert_masked(&format!("{tool} {arguments} printed"), &ended.stdout, &[]);
        assert_masked(&format!("{tool} {arguments} on standard error"), &ended.stderr, &[]);
    }
    // Neither what is no tool nor what is no message says it back.
    let answer = session.call(&format!("{token} {email}"), json!({}));
    assert_eq!(answer.error_code(), Some(-32602));
    assert_masked("an unknown tool", &answer.0.to_string(), &[]);
    assert!(answer.0.to_string().contains(MARKS[0]), "{}", answer.0);
    session.send(format!("{}\n", fragments().join(" ")).as_bytes()).expect("the server listens");
    let answer = session.message(DEADLINE).expect("an answer");
    assert_eq!(answer["error"]["code"], -32700);
    assert_masked("a line that is no message", &answer.to_string(), &[]);
    assert_masked("standard error of serve", &session.errors(), &[]);
    assert!(session.leave().success());
    let tail = home.run(["audit", "tail", "-n", "1000", "--json"]).expect(0).stdout;
    assert!(tail.lines().count() > 2 * calls.len(), "{tail}");
    assert_masked("audit tail", &tail, &[]);
    for record in tail.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON")) {
        let selector = format!("{}:{}", record["log"].as_str().expect("a log"), record["index"]);
        let shown = home.run(["audit", "show", &selector]).expect(0);
        assert_masked(&selector, &(shown.stdout + &shown.stderr), &[]);
    }
    for file in testkit::files(&home.state()) {
        let bytes = fs::read(&file).expect("our own file");
        assert_masked(&file.display().to_string(), &String::from_utf8_lossy(&bytes), &[]);
    }
}

#[test]
fn an_e_mail_address_is_revealed_where_a_policy_permits_and_nothing_else_with_it() {
    let (shop, alerts) = leaky();
    let home = home("allow = [\"*\"]\nfiles = [\"reveal.cedar\"]", &shop, &alerts);
    let rule = |effect: &str| {
        let text = format!(
            "@id(\"pii\") @reason(\"support needs it\")\n\
             {effect} (principal, action == Action::\"reveal\", resource == DataClass::\"pii\");\n"
        );
        home.file("reveal.cedar", &text);
    };
    let read = || home.call("code", "read_file", &json!({ "path": "notes.md" })).expect(0);
    rule("forbid");
    assert_masked("notes.md", &read().stdout, &[]);
    rule("permit");
    let ended = read();
    assert_masked("notes.md", &ended.stdout, &["e-mail", "card number"]);
    assert_masked("notes.md", &ended.stderr, &["e-mail", "card number"]);
    // The log keeps no more than it did: revealing is for the caller.
    let tail = home.run(["audit", "tail", "--json"]).expect(0).stdout;
    assert_masked("audit tail", &tail, &[]);
}
