//! What `search_code` promises.

use std::{
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Fixture, Told, connection, git};
use crate::backends::{Repository, Stop};

fn paths(told: &Told) -> Vec<String> {
    told.column("path").iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn definitions_come_first_and_what_nobody_here_wrote_last() {
    let fixture = Fixture::with_commits();
    fixture.write("vendor/lib/pay.rs", "fn settle() {}\n".repeat(9));
    fixture.write("web/dist/app.js", "settle();settle();\n");
    fixture.write("src/gen.rs", "// @generated\nfn settle() {}\n");
    fixture.write("tests/pay.rs", "fn settle_works() { settle() }\n");
    fixture.write("docs/guide.md", "call settle\n");
    fixture.write("src/cart.rs", "settle();\nsettle();\n");
    fixture.write("src/settle.rs", "use x;\n\npub fn settle() {\n    settle_all()\n}\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Settle");
    let told = fixture.search(json!({ "pattern": "settle" })).expect("matches");
    assert_eq!(
        paths(&told),
        [
            "src/settle.rs",
            "src/cart.rs",
            "tests/pay.rs",
            "docs/guide.md",
            "src/gen.rs",
            "web/dist/app.js",
            "vendor/lib/pay.rs"
        ]
    );
    assert_eq!(told.rows[0]["lines"], json!(["3: pub fn settle() {", "4: settle_all()"]));
    assert_eq!((&told.facts["matches"], &told.facts["files"]), (&json!(17), &json!(7)));
    assert_eq!((&told.rows[0]["purpose"], &told.rows[6]["purpose"]), (&Value::Null, &json!("vendored")));
    let narrowed =
        fixture.search(json!({ "pattern": "SETTLE", "ignore_case": true, "paths": ["src/", "!*gen.rs"] }));
    assert_eq!(paths(&narrowed.expect("matches")), ["src/settle.rs", "src/cart.rs"]);
    let before = fixture.search(json!({ "pattern": "settle", "revision": "HEAD~1" })).expect("nothing");
    assert_eq!((before.rows.len(), &before.facts["matches"]), (0, &json!(0)));
}

#[test]
fn secret_files_are_closed_and_only_counted() {
    let fixture = Fixture::with_commits();
    fixture.write(".env", "PASSWORD=hunter2\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=hunter2\n");
    fixture.write("id_rsa", "hunter2\n");
    fixture.write("src/key.rs", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\nhunter3\n");
    symlink("id_rsa", fixture.path.join("hunter2")).expect("a link");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Leak");
    let told = fixture.search(json!({ "pattern": "hunter" })).expect("matches");
    assert_eq!(
        (paths(&told), &told.rows[0]["lines"]),
        (vec!["src/key.rs".to_owned()], &json!(["4: hunter3"]))
    );
    assert_eq!(
        told.not_looked_at,
        [
            "3 secret files: closed to everyone",
            "3 lines of private keys: closed to everyone",
            "1 symbolic links and submodules: not followed"
        ]
    );
    let only = fixture.search(json!({ "pattern": ".", "paths": [".env", "web/.npmrc"] })).expect("nothing");
    assert!(only.rows.is_empty() && only.facts["matches"] == 0);
}

/// Or a caller learns a secret by asking again and again, one more letter each time.
#[test]
fn what_is_said_of_closed_files_and_lines_does_not_depend_on_the_pattern() {
    let fixture = Fixture::with_commits();
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=npm_hunter2\n");
    fixture.write("deploy/cluster.yaml", "users:\n- user:\n    client-key-data: hunter2\n");
    fixture.write("src/key.rs", "-----BEGIN PRIVATE KEY-----\nMIIEhunter2\n-----END PRIVATE KEY-----\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Leak");
    for paths in [json!([]), json!(["web/.npmrc"]), json!(["src/key.rs", "deploy/"])] {
        let told = |pattern: &str| {
            let told = fixture.search(json!({ "pattern": pattern, "paths": paths })).expect("an answer");
            let mut facts = told.facts.clone();
            facts["revision"] = Value::Null;
            (told.not_looked_at, facts, told.rows.len())
        };
        let nothing = told("nothing has this");
        assert!(!nothing.0.is_empty(), "{paths}");
        for pattern in
            ["_authToken=npm_h", "_authToken=npm_x", "client-key-data: h", "MIIEh", "MIIEx", "hunter2"]
        {
            assert_eq!(told(pattern), nothing, "{pattern} in {paths}");
        }
    }
}

#[test]
fn binary_large_and_unreadable_files_are_passed_over_and_counted() {
    let fixture = Fixture::with_commits();
    fixture.write("logo.png", b"\x89PNG\0needle");
    fixture.write("large.txt", "needle\n".repeat(1_300_000));
    fixture.write("latin.txt", b"needle caf\xe9\n");
    git(fixture.folder.path(), &["clone", "--quiet", "--bare", "shop", "library.git"], "");
    fixture.git(&["submodule", "--quiet", "add", "../library.git", "library"]);
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Odd");
    let told = fixture.search(json!({ "pattern": "needle" })).expect("matches");
    assert_eq!(
        (paths(&told), &told.rows[0]["lines"]),
        (vec!["latin.txt".to_owned()], &json!(["1: needle caf\u{fffd}"]))
    );
    assert_eq!(
        told.not_looked_at,
        ["1 binary files", "1 files of more than 8 MiB", "1 symbolic links and submodules: not followed"]
    );
    let blob = fixture.git(&["rev-parse", "HEAD:README.md"]);
    std::fs::remove_file(fixture.path.join(".git/objects").join(&blob[..2]).join(&blob[2..]))
        .expect("a loose object");
    let told = fixture.search(json!({ "pattern": "needle" })).expect("matches");
    assert!(told.not_looked_at.iter().any(|it| it == "1 files or folders that cannot be read"));
}

#[test]
fn a_search_without_time_says_how_many_files_it_left() {
    let fixture = Fixture::with_commits();
    let repository = Repository::new(connection("shop", &fixture.path), fixture.path.clone());
    let asked: crate::tools::SearchCode =
        serde_json::from_value(json!({ "pattern": "one" })).expect("arguments");
    let opened = repository.open().expect("a repository");
    let cancelled = CancellationToken::new();
    let stop = Stop::new(cancelled.clone(), Instant::now() + Duration::from_secs(60));
    while stop.is_reached() {}
    cancelled.cancel();
    let told = Told::of(asked.look(&opened, &stop).expect("an answer"));
    assert!(
        told.not_looked_at.iter().any(|it| it.contains("the time of the call was used up")),
        "{:?}",
        told.not_looked_at
    );
}

#[test]
fn every_file_of_many_comes_once_when_continued() {
    let fixture = Fixture::with_commits();
    (0..60).for_each(|it| fixture.write(&format!("src/{it:02}.rs"), "needle\n".repeat(it % 7 + 1)));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Many");
    let (mut seen, mut arguments) = (Vec::new(), Some(json!({ "pattern": "needle" })));
    while let Some(asked) = arguments {
        let told = fixture.search(asked).expect("matches");
        seen.extend(paths(&told).into_iter().take(11));
        arguments = told.next(told.rows.len().min(11));
    }
    assert_eq!((seen[0].as_str(), seen.len()), ("src/06.rs", 60));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60);
}

#[test]
fn what_cannot_be_searched_says_what_would_be_right() {
    let fixture = Fixture::with_commits();
    for (arguments, says) in [
        (json!({ "pattern": "(" }), "no regular expression"),
        (json!({ "pattern": "(\\w{400}){400}" }), "too large"),
        (json!({ "pattern": "x", "paths": ["nowhere/"] }), "no file of this revision"),
        (json!({ "pattern": "x", "paths": vec!["a"; 21] }), "at most 20"),
    ] {
        let error = fixture.search(arguments).err().expect(says).to_string();
        assert!(error.contains(says), "{error}");
    }
    for arguments in [
        json!({ "pattern": "" }),
        json!({ "pattern": "x", "paths": ["../x"] }),
        json!({ "pattern": "x", "path": "y" }),
    ] {
        assert!(serde_json::from_value::<crate::tools::SearchCode>(arguments).is_err());
    }
}

/// The part of git that searches is the oracle.
#[test]
fn packed_bare_and_shallow_repositories_hold_the_same_lines_as_git_finds() {
    let fixture = Fixture::with_commits();
    for it in 0..80 {
        fixture.write(
            &format!("src/{}/{it}.rs", it % 5),
            format!("fn a{it}() {{}}\n{}\n", "pay(3)\n".repeat(it % 4)),
        );
    }
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Many");
    let (folder, origin) = (fixture.folder.path(), format!("file://{}", fixture.path.display()));
    git(folder, &["clone", "--quiet", "--bare", &origin, "bare.git"], "");
    git(folder, &["clone", "--quiet", "--depth=1", &origin, "shallow"], "");
    fixture.git(&["worktree", "add", "--quiet", "../linked", "HEAD"]);
    fixture.git(&["gc", "--quiet"]);
    let expected = fixture.git(&["grep", "-c", "pay(3)", "HEAD"]).lines().count();
    for name in ["shop", "bare.git", "shallow", "linked"] {
        let path = folder.join(name);
        let repository = Repository::new(connection("shop", &path), path);
        let asked: crate::tools::SearchCode =
            serde_json::from_value(json!({ "pattern": r"pay\(3\)" })).expect("arguments");
        let told = Told::of(asked.look(&repository.open().expect(name), &super::patient()).expect(name));
        assert_eq!(told.facts["files"], expected, "{name}");
    }
}
