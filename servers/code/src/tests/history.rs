//! Walks through made-up histories: the same commits that git finds, and no more work than needed.

use std::{collections::BTreeSet, fmt::Write};

use proptest::prelude::*;
use serde_json::json;

use tool::Window;

use super::{Fixture, NOW, connection, git, patient};
use crate::{
    arguments::Revision,
    backends::{Filter, Repository, Walk},
};

/// One commit of a made-up history: seconds after the start, parents by how far back, content of the one file.
#[derive(Clone, Debug)]
struct Made {
    seconds: i64,
    parents: Vec<usize>,
    content: u8,
}

const START: i64 = 1_767_225_600;

/// Puts a history in with `git fast-import`; the last commit is `main`, and `side` is one in the middle.
fn import(commits: &[Made]) -> Fixture {
    let fixture = Fixture::new();
    let mut stream = String::new();
    for (index, made) in commits.iter().enumerate() {
        let who = format!("Ann <ann@example.com> {} +0000", START + made.seconds);
        let _ = write!(
            stream,
            "commit refs/heads/c{index}\nmark :{}\nauthor {who}\ncommitter {who}\n",
            index + 1
        );
        let _ = writeln!(stream, "data 3\nc{:02}", index % 100);
        for (number, parent) in parents(commits, index).iter().enumerate() {
            let _ = writeln!(stream, "{} :{}", if number == 0 { "from" } else { "merge" }, parent + 1);
        }
        let _ = write!(
            stream,
            "M 100644 inline a/file\ndata 1\n{}\nM 100644 inline n\ndata 4\n{index:04}\n",
            made.content % 10
        );
    }
    let _ = writeln!(stream, "reset refs/heads/main\nfrom :{}\n", commits.len());
    let _ = writeln!(stream, "reset refs/heads/side\nfrom :{}\n", commits.len() / 2 + 1);
    git(&fixture.path, &["fast-import", "--quiet", "--force"], &stream);
    fixture
}

/// Indexes of a commit's parents.
fn parents(commits: &[Made], index: usize) -> Vec<usize> {
    let mut parents: Vec<usize> =
        commits[index].parents.iter().filter_map(|it| index.checked_sub(it + 1)).collect();
    parents.dedup();
    parents
}

/// A commit and all before it.
fn reachable(commits: &[Made], from: usize) -> BTreeSet<usize> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(index) = waiting.pop() {
        if found.insert(index) {
            waiting.extend(parents(commits, index));
        }
    }
    found
}

/// Whether a commit's file is another than in every parent. A merge that takes one side's file did not change it.
fn changed(commits: &[Made], index: usize) -> bool {
    let content = |it: usize| commits[it].content % 10;
    parents(commits, index).into_iter().all(|it| content(it) != content(index))
}

fn straight(count: usize) -> Vec<Made> {
    (0..count)
        .map(|it| Made { seconds: it as i64 * 60, parents: vec![0], content: (it / 100) as u8 })
        .collect()
}

#[test]
fn a_small_window_of_a_long_history_reads_few_commits() {
    let fixture = import(&straight(5000));
    let end = jiff::Timestamp::from_second(START + 4999 * 60).expect("a time");
    let told = fixture.list(json!({ "window": format!("around={end}±5m") })).expect("a list");
    assert_eq!(told.seen, 6);
    let repository = Repository::new(connection("shop", &fixture.path), fixture.path.clone());
    let opened = repository.open().expect("a repository");
    let read = |window: &str| {
        let until = opened.resolve(&Revision::head(), &patient()).expect("a commit").commit;
        let span =
            Window::parse(window).expect("a window").at(NOW.parse().expect("a time")).expect("a window");
        let filter = Filter { span: Some(span), ..Filter::default() };
        let walked = Walk::new(&opened, until, None).expect("a walk").list(&filter, &patient());
        (walked.listed.len(), walked.read)
    };
    let (listed, few) = read(&format!("around={end}±5m"));
    assert!(listed == 6 && few <= 6 + 64 + 2, "{few}");
    assert_eq!(read("60d"), (5000, 5000));
    let all = fixture.list(json!({ "window": "60d" })).expect("a list");
    assert_eq!(all.seen, 5000);
    assert!(all.rows.len() < 100, "only what can be shown is diffed: {}", all.rows.len());
    let by_path = fixture.list(json!({ "window": "60d", "path": "a/file" })).expect("a list");
    assert_eq!(by_path.seen, 50);
}

#[test]
fn every_commit_of_a_long_list_comes_once_when_continued() {
    let fixture = import(&straight(120));
    let mut seen: Vec<String> = Vec::new();
    let mut arguments = Some(json!({ "window": "60d", "max_tokens": 600 }));
    while let Some(asked) = arguments {
        let told = fixture.list(asked).expect("a list");
        let shown = told.rows.len().min(7);
        seen.extend(told.column("sha")[..shown].iter().map(|it| it.as_str().unwrap().to_owned()));
        arguments = told.next(shown);
    }
    let expected = fixture.git(&["log", "--format=%H", "main"]);
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(seen.len(), expected.len());
    assert!(seen.iter().zip(expected).all(|(short, id)| id.starts_with(short.as_str())));
}

#[test]
fn a_clock_that_was_wrong_once_hides_nothing() {
    let mut commits = straight(40);
    commits[20].seconds = -400_000_000;
    commits[25].seconds = 400_000_000;
    let fixture = import(&commits);
    let told = fixture.list(json!({ "window": "60d" })).expect("a list");
    assert_eq!(told.seen, 38);
}

fn made() -> impl Strategy<Value = Made> {
    let parents = prop_oneof![
        6 => Just(vec![0]),
        2 => (0_usize..6).prop_map(|it| vec![it]),
        3 => (0_usize..3, 1_usize..8).prop_map(|(a, b)| vec![a, a + b]),
        1 => Just(vec![]),
    ];
    (0_i64..500, parents, 0_u8..3).prop_map(|(seconds, parents, content)| Made { seconds, parents, content })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn ranges_and_paths_select_exactly_the_commits_that_are_reachable_and_changed(commits in proptest::collection::vec(made(), 2..40)) {
        let fixture = import(&commits);
        let listed = |revision: &str, path: Option<&str>| {
            let mut arguments = json!({ "revision": revision, "max_tokens": 8000 });
            if let Some(path) = path {
                arguments["path"] = json!(path);
            }
            if !revision.contains("..") {
                arguments["window"] = json!("2025-12-31T00:00:00Z/2026-01-31T00:00:00Z");
            }
            let mut ids: Vec<String> = fixture.list(arguments).expect("a list").column("sha").iter()
                .map(|it| fixture.git(&["rev-parse", it.as_str().unwrap()])).collect();
            ids.sort();
            ids
        };
        // Not `git rev-list`: with clocks this wrong, it leaves out too little.
        let id = |it: usize| fixture.git(&["rev-parse", &format!("refs/heads/c{it}")]);
        let (main, side) = (commits.len() - 1, commits.len() / 2);
        let expected = |until: usize, since: Option<usize>| {
            let excluded = since.map(|it| reachable(&commits, it)).unwrap_or_default();
            let mut ids: Vec<String> = reachable(&commits, until).difference(&excluded).map(|it| id(*it)).collect();
            ids.sort();
            ids
        };
        prop_assert_eq!(listed("main", None), expected(main, None));
        prop_assert_eq!(listed("side..main", None), expected(main, Some(side)));
        prop_assert_eq!(listed("main..side", None), expected(side, Some(main)));
        let changed: Vec<String> = (0..commits.len())
            .filter(|it| changed(&commits, *it))
            .map(id)
            .collect();
        for (range, since, path) in [("main", None, "a/file"), ("side..main", Some(side), "a")] {
            let mut expected = expected(main, since);
            expected.retain(|it| changed.contains(it));
            prop_assert_eq!(listed(range, Some(path)), expected);
        }
    }
}
