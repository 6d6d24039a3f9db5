//! What `trace_lines` promises.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Fixture, NOW, Told, connection, git};
use crate::backends::{Repository, Stop};

#[test]
fn lines_lead_to_their_commits_and_what_those_did() {
    let fixture = Fixture::with_commits();
    fixture.write("CODEOWNERS", "/src/ @org/pay\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Own");
    let told = fixture.trace(json!({ "at": "src/pay.rs:1-4" })).expect("origins");
    assert_eq!(told.column("at"), ["src/pay.rs:2", "src/pay.rs:4", "src/pay.rs:1", "src/pay.rs:3"]);
    let first = &told.rows[0];
    assert_eq!((&first["author"], &first["subject"]), (&json!("Bob"), &json!("Take payments")));
    assert_eq!(
        (&first["age_days"], &first["owners"], &first["line"]),
        (&json!(11), &json!("@org/pay"), &json!("2"))
    );
    assert_eq!(
        (&first["touched"], &told.rows[2]["touched"]),
        (&json!("only this file, +2 -1"), &json!("2 files in README.md, src/, +4 -0"))
    );
    assert_eq!(told.facts["lines"], 4);
    let before = fixture.trace(json!({ "at": "src/pay.rs:2", "revision": "HEAD~3" })).expect("origins");
    assert_eq!(before.rows[0]["subject"], "Start the shop");
}

#[test]
fn a_stack_trace_leads_to_the_files_of_the_repository_and_says_what_is_not_in_it() {
    let fixture = Fixture::with_commits();
    fixture.write("shop/pay.py", "def pay():\n    raise ValueError\n");
    fixture.write("a/same.py", "x\n");
    fixture.write("b/same.py", "x\n");
    fixture.commit("2026-01-30T13:00:00Z", "Cid", "Fail");
    let trace = "Traceback (most recent call last):\r\n  File \"/app/shop/pay.py\", line 2, in pay\r\n    raise\r\n  \
                 File \"/usr/lib/python3/json/decoder.py\", line 355, in raw\n  File \"same.py\", line 1\n  \
                 File \"/app/shop/pay.py\", line 99, in gone\nValueError: x";
    let told = fixture.trace(json!({ "at": trace })).expect("origins");
    assert_eq!(
        (told.rows.len(), &told.rows[0]["at"], &told.rows[0]["author"]),
        (1, &json!("shop/pay.py:2"), &json!("Cid"))
    );
    assert_eq!(told.facts["frames"], 4);
    let said = told.not_looked_at.join("\n");
    for part in [
        "same.py:1: it may be a/same.py or b/same.py",
        "usr/lib/python3/json/decoder.py:355",
        "it has 2 lines",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let error = fixture.trace(json!({ "at": "it just failed" })).err().expect("no frames").to_string();
    assert!(error.contains("no frame of a stack trace"), "{error}");
}

#[test]
fn renames_and_merges_are_followed() {
    let fixture = Fixture::new();
    let text: String = (1..=20).map(|it| format!("line number {it}\n")).collect();
    fixture.write("old.rs", &text);
    fixture.commit("2026-01-10T12:00:00Z", "Ann", "Old");
    fixture.git(&["mv", "old.rs", "new.rs"]);
    fixture.write("new.rs", text.replace("number 5\n", "number five\n"));
    fixture.commit("2026-01-11T12:00:00Z", "Bob", "Rename");
    fixture.git(&["checkout", "--quiet", "-b", "topic"]);
    fixture
        .write("new.rs", text.replace("number 5\n", "number five\n").replace("number 9\n", "number nine\n"));
    fixture.commit("2026-01-12T12:00:00Z", "Cid", "Topic");
    fixture.git(&["checkout", "--quiet", "main"]);
    fixture.write("other.rs", "x\n");
    fixture.commit("2026-01-13T12:00:00Z", "Ann", "Other");
    fixture.git(&["merge", "--quiet", "--no-ff", "-m", "Merge", "topic"]);
    let told = fixture.trace(json!({ "at": "new.rs:4-9" })).expect("origins");
    let said: Vec<(Value, Value)> =
        told.rows.iter().map(|it| (it["at"].clone(), it["subject"].clone())).collect();
    let pair = |at: &str, subject: &str| (json!(at), json!(subject));
    assert_eq!(
        said,
        [
            pair("new.rs:9", "Topic"),
            pair("new.rs:5", "Rename"),
            pair("new.rs:4", "Old"),
            pair("new.rs:6-8", "Old")
        ]
    );
}

#[test]
fn a_line_that_was_moved_among_thousands_of_files_is_not_blamed_on_who_moved_it() {
    let fixture = Fixture::new();
    let text = |it: usize| (0..9).map(|line| format!("line {line} of file {it}\n")).collect::<String>();
    (0..2_100).for_each(|it| fixture.write(&format!("old/{it:04}.rs"), text(it)));
    fixture.commit("2026-01-10T12:00:00Z", "Ann", "Write");
    fixture.git(&["mv", "old", "new"]);
    fixture.write("new/2000.rs", text(2_000).replace("line 3", "third line"));
    fixture.commit("2026-01-11T12:00:00Z", "Bob", "Move");
    let told = fixture.trace(json!({ "at": "new/1999.rs:1-9" })).expect("origins");
    assert_eq!(told.column("subject"), ["Write"]);
    // Edited as well, so that thousands would have to be compared: then it is not known.
    let told = fixture.trace(json!({ "at": "new/2000.rs:1-9" })).expect("origins");
    assert_eq!(told.column("subject"), [Value::Null], "{:?}", told.rows);
    assert!(
        told.not_looked_at[0].contains("9 lines are of the commits named or older"),
        "{:?}",
        told.not_looked_at
    );
}

#[test]
fn many_new_files_were_nowhere_before() {
    let fixture = Fixture::with_commits();
    (0..2_100).for_each(|it| fixture.write(&format!("new/{it:04}.rs"), format!("text of file {it}\n")));
    fixture.commit("2026-01-30T13:00:00Z", "Bob", "Import");
    let told = fixture.trace(json!({ "at": "new/2050.rs:1" })).expect("origins");
    assert_eq!(told.column("subject"), ["Import"]);
}

#[test]
fn a_version_too_large_to_compare_leaves_its_lines_open() {
    let fixture = Fixture::with_commits();
    fixture.write("data.txt", "row of data\n".repeat(400_000));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Large");
    fixture.write("data.txt", "row of data\n".repeat(10));
    fixture.commit("2026-01-30T14:00:00Z", "Bob", "Shrink");
    let told = fixture.trace(json!({ "at": "data.txt:1-10" })).expect("origins");
    assert_eq!(told.column("author"), [Value::Null], "{:?}", told.rows);
    assert!(told.rows[0]["commit"].as_str().is_some_and(|it| it.ends_with(" or older")));
}

#[test]
fn secret_files_and_private_keys_are_closed() {
    let fixture = Fixture::with_commits();
    fixture.write(".env", "PASSWORD=hunter2\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=hunter2\n");
    fixture.write("src/key.rs", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Leak");
    for at in [".env:1", "web/.npmrc:1", "deep/id_rsa:1"] {
        assert_eq!(fixture.trace(json!({ "at": at })).err().expect(at).code(), "closed", "{at}");
    }
    let told = fixture.trace(json!({ "at": "at /app/web/.npmrc:1\nat /app/src/key.rs:2" })).expect("origins");
    assert!(!format!("{:?} {:?}", told.rows, told.not_looked_at).contains("hunter"));
    assert_eq!(told.rows.len(), 1);
}

#[test]
fn a_shallow_clone_and_a_trace_without_time_say_what_they_left() {
    let fixture = Fixture::with_commits();
    let (folder, origin) = (fixture.folder.path(), format!("file://{}", fixture.path.display()));
    git(folder, &["clone", "--quiet", "--depth=1", &origin, "shallow"], "");
    let look = |path: std::path::PathBuf, stop: &Stop| {
        let asked: crate::tools::TraceLines =
            serde_json::from_value(json!({ "at": "src/pay.rs:1-2" })).expect("arguments");
        let repository = Repository::new(connection("shop", &path), path);
        let opened = repository.open().expect("a repository");
        Told::of(asked.look(&opened, NOW.parse().expect("a time"), stop).expect("an answer"))
    };
    let told = look(folder.join("shallow"), &super::patient());
    assert!(told.rows[0]["commit"].as_str().expect("text").ends_with(" or older"), "{:?}", told.rows);
    assert!(
        told.not_looked_at[0].contains("2 lines are from the start of this shallow clone"),
        "{:?}",
        told.not_looked_at
    );
    let late = Stop::new(CancellationToken::new(), Instant::now() + Duration::ZERO);
    let told = look(folder.join("shop"), &late);
    assert!(
        told.not_looked_at.iter().any(|it| it.contains("2 lines are of the commits named or older ones")),
        "{:?}",
        told.not_looked_at
    );
}

#[test]
fn what_is_not_there_says_what_is() {
    let fixture = Fixture::with_commits();
    let refusal = |at: &str| fixture.trace(json!({ "at": at })).err().expect(at).to_string();
    assert!(refusal("src/pay.rs:99").contains("`src/pay.rs` has 4 lines"));
    assert!(refusal("src/pya.rs:1").contains("unknown path"));
    assert!(refusal("src:1").contains("is no plain file"));
    let told = fixture.trace(json!({ "at": "src/pay.rs:3-900" })).expect("what there is");
    assert_eq!(told.facts["lines"], 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Edits of few and plain lines, where every way to compare finds the same.
    #[test]
    fn every_line_has_the_commit_that_git_blames(
        edits in proptest::collection::vec((0_usize..12, any::<bool>()), 1..12)
    ) {
        let fixture = Fixture::new();
        let mut lines: Vec<String> = (0..12).map(|it| format!("first {it}")).collect();
        let save = |lines: &[String], at: usize| {
            fixture.write("src/a.rs", lines.join("\n") + "\n");
            fixture.commit(&format!("2026-01-{:02}T12:00:00Z", at + 1), "Ann", &format!("c{at}"));
        };
        save(&lines, 0);
        for (number, (at, inserts)) in edits.iter().enumerate() {
            let text = format!("edit {number}");
            if *inserts { lines.insert(*at, text) } else { lines[*at] = text }
            save(&lines, number + 1);
        }
        let told = fixture.trace(json!({ "at": format!("src/a.rs:1-{}", lines.len()), "max_tokens": 8000 })).expect("origins");
        let mut found: Vec<(u64, String)> = Vec::new();
        for row in &told.rows {
            let at = row["at"].as_str().expect("text").rsplit(':').next().expect("lines").to_owned();
            let (first, last) = at.split_once('-').unwrap_or((&at, &at));
            let commit = row["subject"].as_str().expect("text").to_owned();
            found.extend((first.parse::<u64>().expect("a line")..=last.parse().expect("a line")).map(|it| (it, commit.clone())));
        }
        found.sort();
        let blamed = fixture.git(&["blame", "--line-porcelain", "src/a.rs"]);
        let expected: Vec<(u64, String)> = blamed.lines().filter_map(|it| it.strip_prefix("summary ")).map(str::to_owned)
            .zip(1..).map(|(it, line)| (line, it)).collect();
        prop_assert_eq!(found, expected);
    }
}
