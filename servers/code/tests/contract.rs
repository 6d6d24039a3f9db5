//! What clients see. `UPDATE_EXPECT=1 cargo test -p code` accepts a change.

use std::sync::Arc;

use code::Backends;
use config::{Connection, Git, System};
use serde_json::json;
use testkit::{Answered, backends::GitRepository};

fn backends(shop: &GitRepository) -> Arc<Backends> {
    let connection = Connection {
        name: "shop".to_owned(),
        environment: "production".to_owned(),
        region: "unknown".to_owned(),
        team: "checkout".to_owned(),
        tier: "unknown".to_owned(),
        system: System::Git(Git { path: shop.path() }),
    };
    Arc::new(Backends::new(&[connection]).expect("the connection is usable"))
}

/// Answers that are the same in every run. The age of a line is not.
#[tokio::test]
async fn the_page_shows_what_clients_see() {
    let shop = GitRepository::shop();
    let calls = [
        ("list_commits", json!({ "window": "around=2026-01-31T10:00:00Z+-1d", "path": "checkout" })),
        ("read_file", json!({ "path": "checkout/pay.rs" })),
        ("search_code", json!({ "pattern": "pub fn", "paths": ["checkout/", "!*.md"] })),
        ("compare_revisions", json!({ "revisions": "v1.0.0..main" })),
        ("compare_revisions", json!({ "revisions": "v1.0.0..main", "path": "checkout/pay.rs" })),
        ("find_owners", json!({ "paths": ["checkout/"], "window": "around=2026-01-31T10:00:00Z+-1d" })),
    ];
    let mut answers = Vec::new();
    for (tool, arguments) in calls {
        let reply = testkit::call_through(code::all(), backends(&shop), tool, arguments.clone()).await;
        assert!(reply.refusal.is_none(), "{tool} {arguments}: {}", reply.shaped.text);
        answers.push(Answered { tool, arguments, text: reply.shaped.text });
    }
    let tools = code::all();
    let definitions: Vec<_> = tools.iter().map(|it| &it.definition).collect();
    let page = testkit::contract_showing("code", &definitions, &answers);
    expect_test::expect_file!["contract.md"].assert_eq(&page);
}

#[test]
fn every_example_parses_and_names_what_it_touches() {
    let backends = backends(&GitRepository::shop());
    let tools: Vec<_> = code::all().into_iter().map(|it| it.bind(backends.clone())).collect();
    testkit::examples_parse(&tools);
}

#[tokio::test]
async fn a_real_answer_fits_the_published_schema() {
    let shop = GitRepository::shop();
    let calls = [
        ("list_commits", json!({})),
        ("list_commits", json!({ "window": "around=2026-01-31T10:00:00Z+-1d", "path": "checkout" })),
        ("read_file", json!({ "path": "checkout/pay.rs" })),
        ("read_file", json!({ "path": "README.md", "revision": "v1.0.0" })),
        ("search_code", json!({ "pattern": "pub fn", "paths": ["checkout/", "!*.md"] })),
        ("compare_revisions", json!({ "revisions": "v1.0.0..main" })),
        ("compare_revisions", json!({ "revisions": "v1.0.0..main", "path": "checkout/pay.rs" })),
        ("trace_lines", json!({ "at": "checkout/pay.rs:1-3" })),
        ("find_owners", json!({ "paths": ["checkout/", "*.md"] })),
    ];
    for (tool, arguments) in calls {
        let reply = testkit::call_through(code::all(), backends(&shop), tool, arguments.clone()).await;
        assert!(reply.refusal.is_none(), "{tool} {arguments}: {}", reply.shaped.text);
        assert!(reply.receipt.is_some(), "{tool} {arguments} is recorded");
    }
}
