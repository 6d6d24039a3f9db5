//! What is still told when there is far too much: within 2,000 tokens, through the whole gate.

use std::{fmt::Write, sync::Arc};

use code::Backends;
use config::{Connection, Git, System};
use serde_json::{Map, Value, json};
use testkit::{
    backends::{Commit, GitRepository},
    call_through, tokens,
};

const ANN: &str = "Ann Example <ann@example.com>";

fn backends(repositories: &[(&str, &GitRepository)]) -> Arc<Backends> {
    let unknown = || "unknown".to_owned();
    let connection = |(name, repository): &(&str, &GitRepository)| Connection {
        name: (*name).to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
        system: System::Git(Git { path: repository.path() }),
    };
    let connections: Vec<Connection> = repositories.iter().map(connection).collect();
    Arc::new(Backends::new(&connections).expect("the connections are usable"))
}

async fn told(repository: &GitRepository, tool: &str, arguments: Value) -> Map<String, Value> {
    let reply = call_through(code::all(), backends(&[("shop", repository)]), tool, arguments).await;
    assert!(reply.refusal.is_none(), "{}", reply.shaped.text);
    let structured = reply.shaped.structured;
    let costs = [tokens(&reply.shaped.text), tokens(&Value::Object(structured.clone()).to_string())];
    assert!(costs.iter().all(|it| *it <= 2_000), "{costs:?}");
    structured
}

/// Commits many text files at once.
fn write(repository: &mut GitRepository, files: &[(String, String)], message: &str) {
    let files: Vec<(&str, Option<&[u8]>)> =
        files.iter().map(|(path, text)| (path.as_str(), Some(text.as_bytes()))).collect();
    repository.commit(&Commit { author: ANN, message, at: None, files: &files });
}

fn text(lines: usize, seed: usize) -> String {
    (0..lines).fold(String::new(), |mut text, it| {
        let _ = writeln!(text, "    let value_{} = compute(order_{seed}, {it});", it * 7 + seed);
        text
    })
}

#[tokio::test]
async fn of_ten_thousand_matches_the_definition() {
    let mut shop = GitRepository::new();
    let mut files: Vec<(String, String)> =
        (0..200).map(|it| (format!("src/m{it:03}.rs"), "    retry_payment(3);\n".repeat(50))).collect();
    files[117].1.push_str("pub fn retry_payment(times: u32) {\n");
    files.push(("vendor/retry.rs".to_owned(), "pub fn retry_payment() {}\n".repeat(60)));
    write(&mut shop, &files, "Retry");
    let told = told(&shop, "search_code", json!({ "pattern": "retry_payment" })).await;
    assert_eq!(told["matches"], 200 * 50 + 1 + 60);
    assert_eq!(told["rows"][0][0], "src/m117.rs");
    assert!(
        told["rows"][0].to_string().contains("51: pub fn retry_payment(times: u32) {"),
        "{}",
        told["rows"][0]
    );
    assert_eq!(told["seen"], 201);
    assert!(told["next"]["arguments"]["skip"].as_u64().is_some_and(|it| it > 5), "{told:?}");
}

#[tokio::test]
async fn of_five_hundred_kilobytes_in_two_hundred_files_the_one_line_of_configuration() {
    let mut shop = GitRepository::new();
    let files = |seed: usize| -> Vec<(String, String)> {
        (0..200).map(|it| (format!("src/service/m{it:03}.rs"), text(60, seed * 1_000 + it))).collect()
    };
    let mut before = files(1);
    before.push(("config/checkout.yaml".to_owned(), "pool: 20\ntimeout: 30s\n".to_owned()));
    write(&mut shop, &before, "Before");
    let mut after = files(2);
    after.push(("config/checkout.yaml".to_owned(), "pool: 2\ntimeout: 30s\n".to_owned()));
    assert!(after.iter().map(|it| it.1.len()).sum::<usize>() > 500_000);
    write(&mut shop, &after, "After");
    let told = told(&shop, "compare_revisions", json!({ "revisions": "HEAD~1..HEAD" })).await;
    assert_eq!(
        told["rows"][0],
        json!(["config/checkout.yaml", "configuration", "modified", 1, 1, ["-pool: 20", "+pool: 2"]])
    );
    assert_eq!((&told["files"], &told["purposes"]), (&json!(201), &json!("1 configuration, 200 source")));
    assert!(told["omitted"].as_str().is_some_and(|it| it.contains("files left out")), "{told:?}");
}

#[tokio::test]
async fn of_a_diff_of_a_large_file_the_start_and_the_way_on() {
    let mut shop = GitRepository::new();
    write(&mut shop, &[("src/a.rs".to_owned(), text(4_000, 1))], "Before");
    write(&mut shop, &[("src/a.rs".to_owned(), text(4_000, 2))], "After");
    let asked = json!({ "revisions": "HEAD~1..HEAD", "path": "src/a.rs" });
    let told = told(&shop, "compare_revisions", asked).await;
    assert!(told["text"].as_str().is_some_and(|it| it.starts_with("1 @@ -1,4000 +1,4000 @@")), "{told:?}");
    assert!(told["next"]["arguments"]["lines"].as_str().is_some_and(|it| it.ends_with("-8001")), "{told:?}");
}

#[tokio::test]
async fn of_thirty_commits_every_one() {
    let mut shop = GitRepository::new();
    for it in 0..30 {
        let message = format!("Change the way payments are retried, part {it}");
        shop.write("src/pay.rs", &text(20, it), ANN, &message);
    }
    let told = told(&shop, "list_commits", json!({ "window": "around=2026-01-31T10:00:00Z+-1d" })).await;
    assert_eq!((&told["seen"], &told["shown"]), (&json!(30), &json!(30)));
}

#[tokio::test]
async fn of_a_hundred_frames_the_line_that_changed_last() {
    let mut shop = GitRepository::new();
    let mut files: Vec<(String, String)> =
        (0..100).map(|it| (format!("shop/m{it:03}.py"), text(30, it))).collect();
    write(&mut shop, &files, "Start");
    files[63].1 = files[63].1.replacen("compute", "explode", 9);
    write(&mut shop, &files[63..64], "Explode");
    let trace = (0..100).fold("Traceback (most recent call last):\n".to_owned(), |mut trace, it| {
        let _ = writeln!(trace, "  File \"/app/shop/m{it:03}.py\", line 5, in step");
        trace
    });
    let told = told(&shop, "trace_lines", json!({ "at": trace })).await;
    assert_eq!((&told["frames"], &told["seen"]), (&json!(100), &json!(100)));
    assert_eq!((&told["rows"][0][0], &told["rows"][0][5]), (&json!("shop/m063.py:5"), &json!("Explode")));
}

#[tokio::test]
async fn of_many_owners_and_authors_those_of_most() {
    let mut shop = GitRepository::new();
    let owners = (0..300).fold("* @shop/all\n".to_owned(), |mut rules, it| {
        let _ = writeln!(rules, "/m{it:03}/ @shop/team-{it:03}");
        rules
    });
    let mut files: Vec<(String, String)> =
        (0..300).map(|it| (format!("m{it:03}/a.rs"), text(3, it))).collect();
    files.extend((0..5).map(|it| (format!("m007/b{it}.rs"), text(3, it))));
    files.push(("CODEOWNERS".to_owned(), owners));
    write(&mut shop, &files, "Start");
    for it in 0..40 {
        let author = format!("Person {it:02} <p{it:02}@example.com>");
        shop.write("m007/a.rs", &text(3, 1_000 + it), &author, "Change");
    }
    shop.write("m007/a.rs", "x\n", "Person 07 <p07@example.com>", "Again");
    let paths: Vec<String> = (0..19).map(|it| format!("m{it:03}/")).chain(["*.rs".to_owned()]).collect();
    let told =
        told(&shop, "find_owners", json!({ "paths": paths, "window": "around=2026-01-31T10:00:00Z+-10d" }))
            .await;
    let rows = told["rows"].as_array().expect("rows");
    assert_eq!((rows.len(), &rows[7][2]), (20, &json!(["@shop/team-007"])), "{told:?}");
    assert!(rows[7][3][0].as_str().is_some_and(|it| it.starts_with("Person 07 ")), "{}", rows[7]);
    assert_eq!(rows[19][2][0], "@shop/team-007 (6 files)");
}

#[tokio::test]
async fn of_several_repositories_the_one_that_is_named() {
    let (shop, other) = (GitRepository::shop(), GitRepository::new());
    let both = backends(&[("shop", &shop), ("other", &other)]);
    let unnamed = call_through(code::all(), both.clone(), "search_code", json!({ "pattern": "pay" })).await;
    assert!(unnamed.shaped.is_error && unnamed.shaped.text.contains("shop"), "{}", unnamed.shaped.text);
    let named = json!({ "pattern": "pay", "connection": "shop" });
    let named = call_through(code::all(), both, "search_code", named).await;
    assert!(named.refusal.is_none(), "{}", named.shaped.text);
}
