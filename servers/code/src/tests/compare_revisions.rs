//! What `compare_revisions` promises.

use std::{os::unix::fs::symlink, time::Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tool::ToolError;

use super::{Fixture, git};
use crate::backends::Stop;

fn paths(told: &super::Told) -> Vec<String> {
    told.column("path").iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn files_stand_by_risk_with_sizes_and_small_risky_changes_in_full() {
    let fixture = Fixture::with_commits();
    fixture.write("config/app.yaml", "timeout: 30s\nretries: 3\n");
    fixture.write("package.json", "{\n  \"left-pad\": \"1.0.0\"\n}\n");
    fixture.write("src/flags.rs", "a\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Configure");
    fixture.write("config/app.yaml", "timeout: 3s\nretries: 3\n");
    fixture.write("package.json", "{\n  \"left-pad\": \"2.0.0\"\n}\n");
    fixture.write("db/migrations/2_drop.sql", "DROP TABLE orders;\n");
    fixture.write("deploy/checkout.yaml", "replicas: 1\n");
    fixture.write("src/pay.rs", "1\n2\n3\n4\n5\n6\n7\n8\n");
    fixture.write("src/cart.rs", "if is_enabled(\"new-cart\") {}\n");
    fixture.write("vendor/x.rs", "x\n".repeat(100));
    fixture.write("docs/guide.md", "how, better\n");
    fixture.commit("2026-01-30T14:00:00Z", "Bob", "Release");
    let told = fixture.compare(json!({ "revisions": "HEAD~1..HEAD" })).expect("a comparison");
    assert_eq!(
        paths(&told),
        [
            "db/migrations/2_drop.sql",
            "deploy/checkout.yaml",
            "src/cart.rs",
            "config/app.yaml",
            "package.json",
            "src/pay.rs",
            "docs/guide.md",
            "vendor/x.rs"
        ]
    );
    assert_eq!(told.rows[3]["lines"], json!(["-timeout: 30s", "+timeout: 3s"]));
    assert_eq!(told.rows[2]["purpose"], "feature flag");
    assert_eq!((&told.rows[5]["added"], &told.rows[5]["lines"]), (&json!(7), &Value::Null));
    assert_eq!((&told.facts["files"], told.seen), (&json!(8), 8));
    assert_eq!(
        told.facts["purposes"],
        "1 migration, 1 infrastructure, 1 feature flag, 1 configuration, 1 dependency, 1 source, 1 documentation, \
         1 vendored"
    );
    let below = fixture.compare(json!({ "revisions": "HEAD~1..HEAD", "path": "src" })).expect("a comparison");
    assert_eq!(paths(&below), ["src/cart.rs", "src/pay.rs"]);
}

#[test]
fn hunks_of_a_file_come_on_demand_and_continue_at_the_same_commits() {
    let fixture = Fixture::with_commits();
    let asked = json!({ "revisions": "HEAD~2..HEAD", "path": "src/pay.rs" });
    let told = fixture.compare(asked).expect("a diff");
    assert_eq!(told.lines, ["@@ -1,3 +1,4 @@", " one", "-two", "+2", " three", "+four"]);
    assert_eq!((&told.facts["added"], &told.facts["removed"]), (&json!(2), &json!(1)));
    let next = told.next(2).expect("more");
    fixture.write("src/pay.rs", "gone\n");
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Meanwhile");
    assert_eq!(fixture.compare(next).expect("a diff").lines, told.lines[2..]);
    let same =
        fixture.compare(json!({ "revisions": "HEAD~2..HEAD~1", "path": "README.md" })).expect("an answer");
    assert_eq!((&same.facts["change"], same.lines.len()), (&json!("none"), 0));
}

#[test]
fn a_comment_hides_no_risky_change() {
    let fixture = Fixture::with_commits();
    fixture.write("infra/pool.yaml", "# DO NOT EDIT\nsize: 20\n");
    fixture.write("src/gen.rs", "// @generated\na();\n");
    fixture.write("src/flag.rs", "// @generated\nif is_enabled(\"old\") {}\n");
    fixture.write("src/soon.rs", "a();\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Before");
    fixture.write("infra/pool.yaml", "# DO NOT EDIT\nsize: 2\n");
    fixture.write("src/gen.rs", "// @generated\nb();\n");
    fixture.write("src/flag.rs", "// @generated\nif is_enabled(\"new\") {}\n");
    fixture.write("src/soon.rs", "// @generated\nb();\n");
    fixture.commit("2026-01-30T14:00:00Z", "Eve", "After");
    let told = fixture.compare(json!({ "revisions": "HEAD~1..HEAD" })).expect("a comparison");
    let said: Vec<(String, Value)> = paths(&told).into_iter().zip(told.column("purpose")).collect();
    let pair = |path: &str, purpose: &str| (path.to_owned(), json!(purpose));
    assert_eq!(
        said,
        [
            pair("infra/pool.yaml", "infrastructure"),
            pair("src/flag.rs", "feature flag"),
            pair("src/soon.rs", "source"),
            pair("src/gen.rs", "generated")
        ]
    );
    assert_eq!(told.rows[0]["lines"], json!(["-size: 20", "+size: 2"]));
}

#[test]
fn a_file_among_more_changes_than_are_counted_is_still_compared() {
    let fixture = Fixture::with_commits();
    let mut stream = "commit refs/heads/main\ncommitter Ann <ann@example.com> 1769780000 +0000\ndata 4\nMany\nfrom refs/heads/main^0\n".to_owned();
    (0..21_000).for_each(|it| stream.push_str(&format!("M 100644 inline many/{it:05}\ndata 2\nx\n\n")));
    stream.push_str("M 100644 inline z/new.rs\ndata 4\nnew\n\nM 100644 inline src/pay.rs\ndata 5\npaid\n\n");
    git(&fixture.path, &["fast-import", "--quiet", "--force"], &stream);
    let compare = |path: &str| {
        fixture.compare(json!({ "revisions": "main~1..main", "path": path })).expect("an answer")
    };
    let told = compare("src/pay.rs");
    assert_eq!((&told.facts["change"], &told.facts["added"]), (&json!("modified"), &json!(1)));
    let told = compare("z/new.rs");
    assert_eq!(
        (&told.facts["change"], told.lines),
        (&json!("added"), vec!["@@ -0,0 +1 @@".to_owned(), "+new".to_owned()])
    );
    assert!(told.not_looked_at[0].contains("whether it was renamed"), "{:?}", told.not_looked_at);
    assert_eq!(compare("README.md").facts["change"], "none");
    let told = compare("z");
    assert_eq!((paths(&told), &told.facts["files"]), (vec!["z/new.rs".to_owned()], &json!(1)));
    assert!(told.not_looked_at[0].contains("moves into and out of z"), "{:?}", told.not_looked_at);
    let told = compare("src");
    assert_eq!(paths(&told), ["src/pay.rs"]);
}

#[test]
fn renames_are_one_file_also_when_edited() {
    let fixture = Fixture::with_commits();
    let text: String = (0..40).map(|it| format!("line number {it}\n")).collect();
    fixture.write("src/old.rs", &text);
    fixture.write("src/same.rs", "exactly the same content as before\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Before");
    fixture.git(&["mv", "src/old.rs", "src/new.rs"]);
    fixture.git(&["mv", "src/same.rs", "lib.rs"]);
    fixture.write("src/new.rs", text.replace("number 7\n", "number seven\n"));
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Rename");
    let told = fixture.compare(json!({ "revisions": "HEAD~1..HEAD" })).expect("a comparison");
    assert_eq!(told.column("change"), ["renamed from src/old.rs and edited", "renamed from src/same.rs"]);
    assert_eq!((&told.rows[0]["added"], &told.rows[1]["added"]), (&json!(1), &json!(0)));
    for path in ["src/new.rs", "src/old.rs"] {
        let diff = fixture.compare(json!({ "revisions": "HEAD~1..HEAD", "path": path })).expect("a diff");
        assert!(diff.lines.contains(&"+line number seven".to_owned()), "{path}: {:?}", diff.lines);
    }
}

#[test]
fn secret_files_are_closed_in_lists_and_in_hunks() {
    let fixture = Fixture::with_commits();
    fixture.write(".env", "PASSWORD=hunter1\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=hunter1\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Leak");
    fixture.write(".env", "PASSWORD=hunter2\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=hunter2\n");
    fixture.write("src/key.rs", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n");
    fixture.git(&["add", "--all", "--force"]);
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Leak more");
    fixture.git(&["mv", ".env", "notes.txt"]);
    fixture.commit("2026-01-30T15:00:00Z", "Ann", "Hide");
    let told = fixture.compare(json!({ "revisions": "HEAD~2..HEAD~1" })).expect("a comparison");
    assert!(!format!("{:?}", told.rows).contains("hunter"), "{:?}", told.rows);
    assert_eq!(told.not_looked_at, ["2 secret files: closed to everyone"]);
    for (revisions, path) in [
        ("HEAD~2..HEAD~1", ".env"),
        ("HEAD~2..HEAD~1", "web/.npmrc"),
        ("HEAD~1..HEAD", "notes.txt"),
        ("HEAD~1..HEAD", "deep/id_rsa"),
    ] {
        let error = fixture.compare(json!({ "revisions": revisions, "path": path })).err().expect(path);
        assert_eq!(error.code(), "closed", "{path}: {error}");
    }
    let diff =
        fixture.compare(json!({ "revisions": "HEAD~2..HEAD~1", "path": "src/key.rs" })).expect("a diff");
    assert!(diff.lines.iter().all(|it| !it.contains("hunter")) && diff.lines.len() == 4, "{:?}", diff.lines);
}

#[test]
fn links_submodules_modes_and_odd_names_are_said_and_not_followed() {
    let fixture = Fixture::with_commits();
    git(fixture.folder.path(), &["clone", "--quiet", "--bare", "shop", "library.git"], "");
    fixture.git(&["submodule", "--quiet", "add", "../library.git", "library"]);
    symlink("/etc/passwd", fixture.path.join("outside")).expect("a link");
    super::run(&fixture.path, "chmod", &["+x", "README.md"]);
    fixture.write("odd\u{1b}[31m\nname.rs", "x\n");
    fixture.write("logo.png", b"\x89PNG\0\0");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Odd");
    let told = fixture.compare(json!({ "revisions": "HEAD~1..HEAD" })).expect("a comparison");
    let change = |path: &str| {
        let row = told.rows.iter().find(|it| it["path"] == path).expect(path);
        row["change"].as_str().expect("text").to_owned()
    };
    assert!(change("library").starts_with("added, submodule at "));
    assert_eq!(change("outside"), "added, symbolic link");
    assert_eq!(change("README.md"), "mode changed");
    assert_eq!(change("logo.png"), "added, binary");
    assert!(!format!("{:?}", told.rows).contains("passwd"));
    let link = fixture.compare(json!({ "revisions": "HEAD~1..HEAD", "path": "outside" })).expect("an answer");
    assert!(link.lines.is_empty());
}

#[test]
fn what_cannot_be_compared_says_what_would_be_right() {
    let fixture = Fixture::with_commits();
    let refusal = |arguments: Value| fixture.compare(arguments).err().expect("refused");
    let error = refusal(json!({ "revisions": "main" })).to_string();
    assert!(error.contains("write from and to: `main~1..main`"), "{error}");
    let error = refusal(json!({ "revisions": "HEAD~1..HEAD", "path": "src/pya.rs" }));
    let ToolError::NotFound { kind: "path", suggestions, .. } = error else { panic!("{error}") };
    assert_eq!(suggestions[0].text, "src/pay.rs");
    let error =
        refusal(json!({ "revisions": "HEAD~2..HEAD", "path": "src/pay.rs", "lines": "99" })).to_string();
    assert!(error.contains("the diff has 6 lines"), "{error}");
}

#[test]
fn revisions_that_went_apart_say_so() {
    let fixture = Fixture::with_commits();
    fixture.git(&["checkout", "--quiet", "-b", "topic", "HEAD~1"]);
    fixture.write("src/new.rs", "a\n");
    fixture.commit("2026-01-30T13:00:00Z", "Bob", "Topic");
    let told = fixture.compare(json!({ "revisions": "main..topic" })).expect("a comparison");
    assert_eq!(told.facts["only_before"], 1);
    let told = fixture.compare(json!({ "revisions": "main~1..topic" })).expect("a comparison");
    assert_eq!((told.facts.get("only_before"), told.not_looked_at.len()), (None, 0));
    let late = Stop::new(CancellationToken::new(), Instant::now());
    let asked: crate::tools::CompareRevisions =
        serde_json::from_value(json!({ "revisions": "main..topic" })).expect("arguments");
    let told = fixture.look(|opened, _| asked.look(opened, &late)).expect("an answer");
    assert!(
        told.not_looked_at.iter().any(|it| it.starts_with("how many commits only the first has: ")),
        "{:?}",
        told.not_looked_at
    );
    assert!(told.not_looked_at.iter().all(|it| !it.contains("large")), "{:?}", told.not_looked_at);
}

#[test]
fn every_file_of_a_long_comparison_comes_once_when_continued() {
    let fixture = Fixture::with_commits();
    (0..50).for_each(|it| fixture.write(&format!("src/{it:02}.rs"), "x\n".repeat(it)));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Many");
    let mut seen = Vec::new();
    let mut arguments = Some(json!({ "revisions": "HEAD~1..HEAD" }));
    while let Some(asked) = arguments {
        let told = fixture.compare(asked).expect("a comparison");
        seen.extend(paths(&told).into_iter().take(7));
        arguments = told.next(told.rows.len().min(7));
    }
    assert_eq!((seen[0].as_str(), seen.len()), ("src/49.rs", 50));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 50);
}
