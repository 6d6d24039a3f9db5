//! What `list_commits` promises.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Fixture, git, list_in, patient};
use crate::backends::Stop;

#[test]
fn a_window_takes_what_was_committed_between_its_ends_both_included() {
    let fixture = Fixture::with_commits();
    let listed = |window: &str| fixture.list(json!({ "window": window })).expect("a list").subjects();
    assert_eq!(listed("30d"), ["Explain", "Take payments", "Start the shop"]);
    assert_eq!(listed("2026-01-15T00:00:00Z/2026-01-25T00:00:00Z"), ["Take payments"]);
    assert_eq!(listed("2026-01-20T12:00:00Z/2026-01-30T12:00:00Z"), ["Explain", "Take payments"]);
    assert_eq!(listed("2026-01-20T12:00:01Z/2026-01-30T11:59:59Z"), Vec::<String>::new());
    assert_eq!(fixture.list(json!({})).expect("a list").subjects(), ["Explain"]);
}

#[test]
fn facts_say_where_it_started_and_what_was_looked_at() {
    let fixture = Fixture::with_commits();
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(told.facts["revision"], format!("{} main", fixture.git(&["rev-parse", "HEAD"])));
    assert_eq!(told.facts["window"], "2026-01-01T12:00:00Z/2026-01-31T12:00:00Z");
    assert_eq!((told.seen, &told.facts["authors"]), (3, &json!(2)));
    assert!(told.not_looked_at.is_empty());
}

#[test]
fn a_range_is_what_one_revision_has_and_the_other_has_not() {
    let fixture = Fixture::with_commits();
    fixture.git(&["tag", "-a", "v1", "-m", "one", "HEAD~1"]);
    let listed = |revision: &str| fixture.list(json!({ "revision": revision })).expect("a list").subjects();
    assert_eq!(listed("v1..main"), ["Explain"]);
    assert_eq!(listed("HEAD~2..HEAD"), ["Explain", "Take payments"]);
    assert_eq!(listed("main..v1"), Vec::<String>::new());
    let told = fixture.list(json!({ "revision": "HEAD~2..", "window": "7d" })).expect("a list");
    assert_eq!(told.subjects(), ["Explain"]);
    let (since, until) = (fixture.git(&["rev-parse", "HEAD~2"]), fixture.git(&["rev-parse", "HEAD"]));
    assert_eq!(told.facts["revision"], format!("{since}..{until}"));
}

#[test]
fn a_path_and_an_author_narrow_the_list() {
    let fixture = Fixture::with_commits();
    let listed = |extra: Value| {
        let mut arguments = json!({ "window": "30d" });
        arguments.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        fixture.list(arguments).expect("a list").subjects()
    };
    assert_eq!(listed(json!({ "path": "src/pay.rs" })), ["Take payments", "Start the shop"]);
    assert_eq!(listed(json!({ "path": "src" })), ["Take payments", "Start the shop"]);
    assert_eq!(listed(json!({ "path": "docs" })), ["Explain"]);
    assert_eq!(listed(json!({ "author": "aNN" })), ["Explain", "Start the shop"]);
    assert_eq!(listed(json!({ "author": "bob@EXAMPLE" })), ["Take payments"]);
    assert_eq!(listed(json!({ "author": "bob", "path": "docs" })), Vec::<String>::new());
}

#[test]
fn a_row_says_how_large_a_change_is_and_where() {
    let fixture = Fixture::with_commits();
    fixture.git(&["mv", "src/pay.rs", "src/charge.rs"]);
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Rename");
    fixture.write("logo.png", b"\x89PNG\0\0");
    fixture.write("src/charge.rs", "one\n");
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "Draw");
    fixture.write("src/a/x.rs", "x\n");
    fixture.write("src/b/y.rs", "y\n");
    fixture.commit("2026-01-30T15:00:00Z", "Ann", "Split");
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    let cells = |name: &str| told.column(name);
    assert_eq!(cells("files"), [2, 2, 1, 1, 1, 2].map(Value::from));
    assert_eq!(cells("added"), [2, 0, 0, 1, 2, 4].map(Value::from));
    assert_eq!(cells("removed"), [0, 3, 0, 0, 1, 0].map(Value::from));
    let places =
        ["src/", "logo.png, src/", "src/charge.rs", "docs/guide.md", "src/pay.rs", "README.md, src/"];
    assert_eq!(cells("where"), places.map(Value::from));
    assert_eq!(cells("committed")[0], "2026-01-30T15:00:00Z");
    let head = fixture.git(&["rev-parse", "HEAD"]);
    let short = cells("sha")[0].as_str().unwrap().to_owned();
    assert!(short.len() >= 9 && head.starts_with(&short), "{short}");
}

#[test]
fn a_change_too_large_to_count_says_so() {
    let fixture = Fixture::with_commits();
    fixture.write("big.txt", "line\n".repeat(300_000));
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Big");
    let told = fixture.list(json!({ "window": "2d" })).expect("a list");
    assert_eq!((&told.rows[0]["files"], &told.rows[0]["added"]), (&json!(1), &Value::Null));
    assert_eq!(told.not_looked_at, ["lines of 1 large commits: not counted"]);
}

#[test]
fn a_merge_is_marked_and_measured_against_its_first_parent() {
    let fixture = Fixture::with_commits();
    fixture.git(&["checkout", "--quiet", "-b", "topic", "HEAD~1"]);
    fixture.write("src/new.rs", "a\nb\n");
    fixture.commit("2026-01-30T13:00:00Z", "Bob", "Topic");
    fixture.git(&["checkout", "--quiet", "main"]);
    fixture.git(&["merge", "--quiet", "--no-ff", "-m", "Merge topic", "topic"]);
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(told.subjects()[..2], ["Merge topic", "Topic"]);
    assert_eq!((&told.rows[0]["merge"], &told.rows[1]["merge"]), (&json!(true), &Value::Null));
    assert_eq!((&told.rows[0]["files"], &told.rows[0]["added"]), (&json!(1), &json!(2)));
    let alone = fixture.list(json!({ "window": "30d", "path": "src/new.rs" })).expect("a list");
    assert_eq!(alone.subjects(), ["Topic"]);
    assert!(!alone.rows[0].contains_key("merge"), "no column of nothing");
}

#[test]
fn owners_are_those_of_the_touched_files_as_the_starting_revision_has_them() {
    let fixture = Fixture::with_commits();
    assert!(!fixture.list(json!({})).expect("a list").rows[0].contains_key("owners"));
    fixture.write(".github/CODEOWNERS", "* @all\n/src/ @org/pay\n/docs/\n");
    fixture.write("CODEOWNERS", "* @wrong\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Own");
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(
        told.column("owners"),
        [json!("@all"), Value::Null, json!("@org/pay"), json!("@all @org/pay")]
    );
    let before = fixture.list(json!({ "window": "30d", "revision": "HEAD~1" })).expect("a list");
    assert!(!before.rows[0].contains_key("owners"));
}

#[test]
fn an_empty_list_says_when_the_last_match_was() {
    let fixture = Fixture::with_commits();
    let told = fixture.list(json!({ "window": "1h" })).expect("a list");
    assert!(told.rows.is_empty());
    assert!(told.not_looked_at[0].ends_with("2026-01-30T12:00:00Z"), "{:?}", told.not_looked_at);
    let told = fixture.list(json!({ "window": "1h", "path": "src" })).expect("a list");
    assert!(told.not_looked_at[0].ends_with("2026-01-20T12:00:00Z"), "{:?}", told.not_looked_at);
}

#[test]
fn a_repository_without_commits_says_so() {
    let fixture = Fixture::new();
    let problem = fixture.list(json!({})).err().expect("nothing there").to_string();
    assert!(problem.contains("branch main has no commits yet"), "{problem}");
}

#[test]
fn a_detached_head_has_no_branch() {
    let fixture = Fixture::with_commits();
    fixture.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(told.subjects(), ["Take payments", "Start the shop"]);
    assert_eq!(told.facts["revision"], fixture.git(&["rev-parse", "HEAD"]));
}

#[test]
fn continuing_gives_each_commit_once_whatever_is_pushed_meanwhile() {
    let fixture = Fixture::with_commits();
    let first = fixture.list(json!({ "window": "30d", "max_tokens": 300 })).expect("a list");
    let next = first.next(1).expect("more");
    fixture.commit("2026-01-31T11:00:00Z", "Bob", "Pushed meanwhile");
    let second = fixture.list(next).expect("a list");
    assert_eq!(second.subjects(), ["Take payments", "Start the shop"]);
    assert_eq!(second.seen, 2);
    assert!(second.next(2).is_none() && first.next(3).is_none());
    let wrong = fixture.list(json!({ "after": "0123456789" })).err().expect("not there");
    assert_eq!(wrong.code(), "invalid_argument");
}

#[test]
fn an_unknown_revision_is_answered_with_near_names_that_policy_can_hide() {
    let fixture = Fixture::with_commits();
    fixture.git(&["branch", "release-2026"]);
    let error = fixture.list(json!({ "revision": "realease-2026" })).err().expect("unknown");
    let tool::ToolError::NotFound { kind: "revision", suggestions, .. } = error else { panic!("{error}") };
    assert_eq!(suggestions[0].text, "release-2026");
    assert!(suggestions.iter().all(|it| it.target.as_ref().is_some_and(|it| it.id == "shop")));
    let error = fixture.list(json!({ "revision": "HEAD~7" })).err().expect("too far").to_string();
    assert!(error.contains("has 0 parents"), "{error}");
}

#[test]
fn a_tag_called_like_a_branch_does_not_decide_in_silence() {
    let fixture = Fixture::with_commits();
    fixture.git(&["tag", "main", "HEAD~1"]);
    let error = fixture.list(json!({ "revision": "main" })).err().expect("two").to_string();
    assert!(error.contains("names 2 different things"), "{error}");
    let told = fixture.list(json!({ "revision": "refs/tags/main", "window": "30d" })).expect("a list");
    assert_eq!(told.rows.len(), 2);
    let short = fixture.git(&["rev-parse", "--short=7", "HEAD~2"]);
    assert_eq!(fixture.list(json!({ "revision": short, "window": "30d" })).expect("a list").rows.len(), 1);
}

#[test]
fn bare_shallow_and_linked_repositories_are_read() {
    let fixture = Fixture::with_commits();
    let (folder, origin) = (fixture.folder.path(), format!("file://{}", fixture.path.display()));
    git(folder, &["clone", "--quiet", "--bare", &origin, "bare.git"], "");
    git(folder, &["clone", "--quiet", "--depth=1", &origin, "shallow"], "");
    git(folder, &["clone", "--quiet", "--shared", &fixture.path.to_string_lossy(), "borrowed"], "");
    fixture.git(&["worktree", "add", "--quiet", "../linked", "HEAD~1"]);
    for (name, count) in [("bare.git", 3), ("shallow", 1), ("borrowed", 3), ("linked", 2)] {
        let told = list_in(&folder.join(name), json!({ "window": "30d" }), &patient()).expect(name);
        assert_eq!(told.rows.len(), count, "{name}");
        let says = told.not_looked_at.iter().any(|it| it.contains("shallow clone"));
        assert_eq!(says, name == "shallow", "{name}: {:?}", told.not_looked_at);
    }
}

#[test]
fn a_cancelled_or_late_walk_says_what_was_left() {
    let fixture = Fixture::with_commits();
    let late = Stop::new(CancellationToken::new(), Instant::now());
    let told = list_in(&fixture.path, json!({ "window": "30d" }), &late);
    let left = told.map(|it| it.not_looked_at).unwrap_or_else(|it| vec![it.to_string()]);
    assert!(left[0].contains("the time of the call was used up"), "{left:?}");
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let stop = Stop::new(cancelled, Instant::now() + Duration::from_secs(60));
    let told = list_in(&fixture.path, json!({ "window": "30d" }), &stop).expect("what there was");
    assert!(told.rows.is_empty() && !told.not_looked_at.is_empty());
}
