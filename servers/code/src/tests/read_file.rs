//! What `read_file` promises.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use tool::ToolError;

use super::{Fixture, git};

#[test]
fn a_file_is_read_at_a_revision_with_what_is_known_of_it() {
    let fixture = Fixture::with_commits();
    fixture.write("CODEOWNERS", "/src/ @org/pay\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Own");
    let told = fixture.read(json!({ "path": "src/pay.rs" })).expect("a file");
    assert_eq!(told.lines, ["one", "2", "three", "four"]);
    assert_eq!(told.facts["revision"], fixture.git(&["rev-parse", "HEAD"]));
    assert_eq!((&told.facts["size_bytes"], &told.facts["kind"]), (&json!(17), &json!("text")));
    assert_eq!(told.facts["owners"], "@org/pay");
    assert!(told.facts["last_change"].as_str().unwrap().ends_with(" 2026-01-20T12:00:00Z"));
    let before = fixture.read(json!({ "path": "src/pay.rs", "revision": "HEAD~3" })).expect("a file");
    assert_eq!(before.lines, ["one", "two", "three"]);
}

#[test]
fn what_is_on_the_disk_but_not_committed_is_not_read() {
    let fixture = Fixture::with_commits();
    fixture.write("src/pay.rs", "changed\n");
    assert_eq!(fixture.read(json!({ "path": "src/pay.rs" })).expect("a file").lines[0], "one");
}

#[test]
fn lines_are_a_part_and_the_next_call_continues_at_the_same_commit() {
    let fixture = Fixture::with_commits();
    let text: String = (1..=50).map(|it| format!("line {it}\n")).collect();
    fixture.write("long.txt", text);
    let head = fixture.commit("2026-01-30T13:00:00Z", "Ann", "Long");
    let told = fixture.read(json!({ "path": "long.txt", "lines": "10-20" })).expect("a file");
    assert_eq!((told.lines.len(), told.lines[0].as_str(), told.seen), (11, "line 10", 50));
    let next = told.next(4).expect("more");
    assert_eq!((&next["lines"], &next["revision"]), (&json!("14-20"), &json!(head)));
    fixture.write("long.txt", "gone\n");
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Shorten");
    assert_eq!(fixture.read(next).expect("a file").lines[0], "line 14");
    assert!(told.next(11).is_none());
    let beyond = fixture.read(json!({ "path": "long.txt", "lines": "2" })).err().expect("beyond").to_string();
    assert_eq!(beyond, "lines: `2` is beyond the end; the file has 1 lines");
}

#[test]
fn secret_files_are_closed_whether_they_exist_or_not() {
    let fixture = Fixture::with_commits();
    fixture.write(".env", "PASSWORD=hunter2\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=hunter2\n");
    fixture.write(".npmrc", "engine-strict=true\n");
    fixture.write(".env.example", "PASSWORD=\n");
    symlink(".env", fixture.path.join("settings")).expect("a link");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Leak");
    let refusal = |path: &str| fixture.read(json!({ "path": path })).err().expect(path);
    for path in [".env", "deep/.ENV.local", "id_rsa", "web/.npmrc", "settings"] {
        let error = refusal(path);
        assert_eq!(error.code(), "closed", "{path}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let text = |it: ToolError| it.to_string().replace("a/.env", "").replace("b/.env", "");
    fixture.write("a/.env", "x");
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Another");
    assert_eq!(text(refusal("a/.env")), text(refusal("b/.env")), "a refusal does not say whether it exists");
    for path in [".env.example", ".npmrc"] {
        assert!(fixture.read(json!({ "path": path })).is_ok(), "{path}");
    }
}

#[test]
fn lines_of_private_keys_are_closed_wherever_reading_starts() {
    let fixture = Fixture::with_commits();
    let key = "package main\n\nvar key = \"-----BEGIN RSA PRIVATE KEY-----\\n\" +\n\t\"MIIEhunter2\\n\" +\n\t\"abcdhunter2\\n\" +\n\
               \t\"-----END RSA PRIVATE KEY-----\"\n\nfunc main() {}\n";
    fixture.write("main.go", key);
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Embed");
    for (lines, open) in [("1-8", 4), ("4-5", 0), ("5-8", 2), ("6", 0)] {
        let told = fixture.read(json!({ "path": "main.go", "lines": lines })).expect("a file");
        assert!(!told.lines.join("\n").contains("hunter2"), "{lines}: {:?}", told.lines);
        assert_eq!(told.lines.iter().filter(|it| !it.contains("closed]")).count(), open, "{lines}");
    }
    let whole = fixture.read(json!({ "path": "main.go" })).expect("a file");
    let rest = fixture.read(whole.next(3).expect("more")).expect("the rest");
    assert!(!rest.lines.join("\n").contains("hunter2"), "{:?}", rest.lines);
}

#[test]
fn links_are_not_followed_and_where_they_lead_is_said() {
    let fixture = Fixture::with_commits();
    symlink("../src/pay.rs", fixture.path.join("docs/pay")).expect("a link");
    symlink("/etc/passwd", fixture.path.join("outside")).expect("a link");
    symlink("../../etc/passwd", fixture.path.join("docs/above")).expect("a link");
    symlink("src", fixture.path.join("code")).expect("a link");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Link");
    let refusal = |path: &str| fixture.read(json!({ "path": path })).err().expect(path);
    let suggested = |path: &str| match refusal(path) {
        ToolError::NotFound { suggestions, .. } => suggestions[0].text.clone(),
        other => panic!("{path}: {other}"),
    };
    assert_eq!(suggested("docs/pay"), "src/pay.rs");
    assert_eq!(suggested("code/pay.rs"), "src/pay.rs");
    for path in ["outside", "docs/above"] {
        let told = refusal(path).to_string();
        assert!(told.contains("leads out of the repository") && !told.contains("passwd"), "{told}");
    }
}

#[test]
fn folders_submodules_and_missing_files_say_what_would_be_right() {
    let fixture = Fixture::with_commits();
    git(fixture.folder.path(), &["clone", "--quiet", "--bare", "shop", "library.git"], "");
    fixture.git(&["submodule", "--quiet", "add", "../library.git", "vendor/library"]);
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Vendor");
    let refusal = |path: &str| fixture.read(json!({ "path": path })).err().expect(path);
    let suggested = |path: &str| match refusal(path) {
        ToolError::NotFound { kind: "path", suggestions, .. } => {
            assert!(suggestions.iter().all(|it| it.target.is_some()));
            suggestions.into_iter().map(|it| it.text).collect::<Vec<_>>()
        }
        other => panic!("{path}: {other}"),
    };
    assert_eq!(suggested("src"), ["src/pay.rs"]);
    assert_eq!(suggested("pay.rs"), ["src/pay.rs"]);
    assert_eq!(suggested("src/Pay.rs/x/pays.rs"), ["src/pay.rs"]);
    assert!(suggested("nothing-like-it.xyz").is_empty());
    for path in ["vendor/library", "vendor/library/README.md"] {
        assert!(refusal(path).to_string().contains("is a submodule at commit"), "{path}");
    }
}

#[test]
fn binary_huge_and_oddly_written_files_are_described() {
    let fixture = Fixture::with_commits();
    fixture.write("logo.png", b"\x89PNG\r\n\0\0");
    fixture.write("dos.txt", "a\r\nb\r\n");
    fixture.write("latin.txt", b"caf\xe9\n");
    fixture.write("huge.log", "0123456789\n".repeat(1_000_000));
    fixture.write("vast.log", "0123456789\n".repeat(5_000_000));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Odd");
    let read = |path: &str| fixture.read(json!({ "path": path }));
    let logo = read("logo.png").expect("facts");
    assert_eq!((logo.facts["kind"].as_str(), logo.lines.len()), (Some("binary: PNG image"), 0));
    assert_eq!(read("dos.txt").expect("a file").lines, ["a", "b"]);
    assert_eq!(read("dos.txt").expect("a file").facts["kind"], "text; lines end with CR LF");
    assert!(read("latin.txt").expect("a file").facts["kind"].as_str().unwrap().contains("not UTF-8"));
    let Err(ToolError::TooCostly { next: Some(next), .. }) = read("huge.log") else { panic!("read whole") };
    let part = fixture.read(next["arguments"].clone()).expect("a part");
    assert_eq!((part.lines.len(), part.seen), (200, 1_000_000));
    for arguments in [json!({ "path": "vast.log" }), json!({ "path": "vast.log", "lines": "1" })] {
        assert!(matches!(fixture.read(arguments), Err(ToolError::TooCostly { next: None, .. })));
    }
}

#[test]
fn arguments_that_policy_could_not_compare_are_refused_before_anything_is_read() {
    for arguments in [
        json!({ "path": "../etc/passwd" }),
        json!({ "path": "./src/pay.rs" }),
        json!({ "path": "src//pay.rs" }),
        json!({ "path": ".git/config" }),
        json!({ "path": "src/pay.rs", "lines": "5-1" }),
        json!({ "path": "src/pay.rs", "revision": ":/secret" }),
        json!({ "path": "src/pay.rs", "revison": "main" }),
        json!({ "path": Value::Null }),
    ] {
        assert!(serde_json::from_value::<crate::tools::ReadFile>(arguments.clone()).is_err(), "{arguments}");
    }
}

#[test]
fn at_the_start_of_a_shallow_clone_no_last_change_is_made_up() {
    let fixture = Fixture::with_commits();
    let (folder, origin) = (fixture.folder.path(), format!("file://{}", fixture.path.display()));
    git(folder, &["clone", "--quiet", "--depth=1", &origin, "shallow"], "");
    let told = super::read_in(&folder.join("shallow"), json!({ "path": "src/pay.rs" })).expect("a file");
    assert_eq!(told.facts.get("last_change"), None);
    assert_eq!(told.not_looked_at, ["its last change: before the start of this shallow clone"]);
    let listed = super::list_in(
        &folder.join("shallow"),
        json!({ "window": "30d", "path": "src/pay.rs" }),
        &super::patient(),
    );
    let listed = listed.expect("a list");
    assert_eq!(listed.rows.len(), 0, "{:?}", listed.rows);
    assert!(listed.not_looked_at.iter().any(|it| it.contains("shallow clone")), "{:?}", listed.not_looked_at);
}

#[test]
fn a_file_of_nothing_but_line_ends_takes_no_more_than_it_has() {
    let fixture = Fixture::with_commits();
    fixture.write("ends.txt", "\n".repeat(9_000_000));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Ends");
    let told = fixture.read(json!({ "path": "ends.txt", "lines": "8999990-9999999" })).expect("a file");
    assert_eq!((told.seen, told.lines.len()), (9_000_000, 11));
}
