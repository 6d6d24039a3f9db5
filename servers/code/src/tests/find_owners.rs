//! What `find_owners` promises.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tool::ToolError;

use super::{Fixture, NOW};
use crate::backends::{Opened, Stop};

#[test]
fn owners_stand_beside_those_who_changed_it_lately() {
    let fixture = Fixture::with_commits();
    fixture.write("CODEOWNERS", "* @all\n/src/ @org/pay\n/docs/\n");
    fixture.commit("2026-01-30T13:00:00Z", "Cid", "Own");
    let told = fixture.find_owners(json!({ "paths": ["src/pay.rs", "docs/", "*"] })).expect("owners");
    assert_eq!(
        told.column("owners"),
        [
            json!(["@org/pay"]),
            json!(["nobody"]),
            json!(["@all (2 files)", "@org/pay (1 files)", "nobody (1 files)"])
        ]
    );
    assert_eq!(told.column("files"), [json!(1), json!(1), json!(4)]);
    assert_eq!(
        told.rows[0]["authors"],
        json!(["Bob 52% (1 commits, last 2026-01-20)", "Ann 48% (1 commits, last 2026-01-10)"])
    );
    assert_eq!(told.rows[1]["authors"], json!(["Ann 100% (1 commits, last 2026-01-30)"]));
    assert_eq!((&told.facts["commits"], told.seen), (&json!(4), 3));
    let lately = fixture.find_owners(json!({ "paths": ["src/"], "window": "5d" })).expect("owners");
    assert_eq!(lately.rows[0]["authors"], Value::Null);
}

#[test]
fn patterns_count_only_what_they_match_and_nobody_asks_a_bot() {
    let fixture = Fixture::with_commits();
    fixture.write("infra/main.tf", "a\n");
    fixture.commit("2026-01-30T13:00:00Z", "Dee", "Build");
    fixture.write("Cargo.lock", "a\n");
    fixture.commit("2026-01-30T14:00:00Z", "renovate[bot]", "Bump");
    let told = fixture
        .find_owners(json!({ "paths": ["*.tf", "infra/**/*.tf", "src/*.rs", "Cargo.lock"] }))
        .expect("owners");
    let dee = json!(["Dee 100% (1 commits, last 2026-01-30)"]);
    assert_eq!(told.column("authors")[..2], [dee.clone(), dee]);
    assert_eq!(told.column("authors")[3], Value::Null);
    assert!(
        told.not_looked_at.iter().any(|it| it == "1 commits by bots: not counted"),
        "{:?}",
        told.not_looked_at
    );
    assert!(told.not_looked_at.iter().any(|it| it.contains("no CODEOWNERS")), "{:?}", told.not_looked_at);
}

#[test]
fn without_time_owners_say_how_many_files_they_left() {
    let fixture = Fixture::with_commits();
    (0..4).for_each(|it| fixture.write(&format!("src/{it}.rs"), "x\n"));
    fixture.write("CODEOWNERS", "* @all\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Own");
    // The clock is asked now and then only: with these few files, once they are listed.
    let cancelled = CancellationToken::new();
    let stop = Stop::new(cancelled.clone(), Instant::now() + Duration::from_secs(60));
    assert!(!stop.is_reached());
    cancelled.cancel();
    let asked: crate::tools::FindOwners =
        serde_json::from_value(json!({ "paths": ["*"] })).expect("arguments");
    let look = |opened: &Opened<'_>| asked.look(opened, NOW.parse().expect("a time"), &stop);
    let told = fixture.look(|opened, _| look(opened)).expect("an answer");
    let said = |it: &String| it.starts_with("owners of ") && it.contains("the time of the call was used up");
    assert!(told.not_looked_at.iter().any(said), "{:?}", told.not_looked_at);
}

#[test]
fn what_is_not_there_says_what_is() {
    let fixture = Fixture::with_commits();
    let error = fixture.find_owners(json!({ "paths": ["src/pya.rs"] })).err().expect("missing");
    let ToolError::NotFound { kind: "path", suggestions, .. } = error else { panic!("{error}") };
    assert_eq!(suggestions[0].text, "src/pay.rs");
    for paths in [json!([]), json!(["!src/"]), json!(vec!["a"; 21])] {
        assert_eq!(
            fixture.find_owners(json!({ "paths": paths })).err().expect("refused").code(),
            "invalid_argument"
        );
    }
}
