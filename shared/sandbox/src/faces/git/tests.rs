use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::*;
use crate::{Fault, Plan};

/// What the real git says of it; it never asks anybody's configuration.
fn git(folder: &Path, arguments: &[&str]) -> String {
    #![expect(clippy::disallowed_methods, reason = "the real git judges what was written")]
    let mut command = Command::new("git");
    command.env_clear().envs(std::env::var_os("PATH").map(|it| ("PATH", it)));
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", folder);
    let output =
        command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().expect("git starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn made(seed: u64, fault: Fault) -> (tempfile::TempDir, World, GitFace) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let world = World::new(Plan::with(seed, fault));
    let face = GitFace::make(&folder.path().join("shop.git"), &world).expect("it is made");
    (folder, world, face)
}

#[test]
fn git_itself_finds_nothing_wrong_and_hundreds_of_commits() {
    let (_folder, world, face) = made(1, Fault::BadDeploy);
    git(face.path(), &["fsck", "--strict", "--no-dangling"]);
    let count: usize = git(face.path(), &["rev-list", "--count", "main"]).trim().parse().expect("a number");
    assert!(count > OLDER, "{count}");
    let owners = git(face.path(), &["show", "main:CODEOWNERS"]);
    for service in world.services() {
        assert!(
            owners.contains(&format!("/services/{}/  @shop/{}\n", service.name, service.team)),
            "{owners}"
        );
    }
}

#[test]
fn every_change_is_a_commit_of_its_author_shortly_before_it_reached_production() {
    for seed in 1..=4 {
        let (_folder, world, face) = made(seed, Fault::PoolSaturation);
        for change in world.changes() {
            let commit = face.commit_of(&change.id).expect("it touches files");
            let said = git(face.path(), &["show", "-s", "--format=%ct|%ae|%s", commit]);
            let [at, email, subject] = said.trim().splitn(3, '|').collect::<Vec<_>>()[..] else {
                panic!("{said}")
            };
            let before = change.at.as_second() - at.parse::<i64>().expect("a number");
            assert!((1..=900).contains(&before), "{}: {before} s", change.id);
            assert_eq!((email, subject), (change.author.email, change.title.as_str()));
            let paths = git(face.path(), &["show", "--format=", "--name-only", commit]);
            for edit in &change.edits {
                assert!(paths.lines().any(|it| it == edit.path), "{}: {paths}", edit.path);
            }
        }
    }
}

#[test]
fn the_guilty_commit_stands_among_innocent_ones_of_the_same_hours() {
    let (_folder, world, face) = made(3, Fault::MemoryLeak);
    let since = format!("--since={}", world.plan().from());
    let recent = git(face.path(), &["log", "--format=%H", &since, "main"]);
    let guilty = world.truth().change.as_deref().and_then(|it| face.commit_of(it)).expect("a change of ours");
    assert!(recent.contains(guilty));
    assert!(recent.lines().count() >= CHORES + world.changes().len() - 1, "{recent}");
}

#[test]
fn commits_are_in_the_order_of_time_and_each_changes_something() {
    let (_folder, _world, face) = made(5, Fault::BadConfiguration);
    let times = git(face.path(), &["log", "--format=%ct", "main"]);
    let times: Vec<i64> = times.lines().map(|it| it.parse().expect("a number")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    let trees = git(face.path(), &["log", "--format=%T", "main"]);
    assert!(trees.lines().is_sorted_by(|a, b| a != b), "a commit that changes nothing");
}

#[test]
fn what_is_rolled_back_later_is_a_commit_more() {
    let (_folder, mut world, mut face) = made(2, Fault::BadDeploy);
    world.history(&mut |_| {});
    assert_eq!(face.follow(&world).expect("nothing to do"), 0);
    let guilty = world.truth().change.clone().expect("a change of ours");
    let record = world.revert(&guilty).expect("it stands");
    assert_eq!(face.follow(&world).expect("it applies"), 1);
    let commit = face.commit_of(&record.id).expect("it touches files");
    assert_eq!(git(face.path(), &["rev-parse", "main"]).trim(), commit);
    let bad = face.commit_of(&guilty).expect("it touches files");
    let path = &world.changes().iter().find(|it| it.id == guilty).expect("there").edits[0].path;
    let text = |revision: &str| git(face.path(), &["show", &format!("{revision}:{path}")]);
    assert_eq!(text("main"), text(&format!("{bad}~1")));
    assert_ne!(text("main"), text(bad));
}

#[test]
fn an_edit_that_does_not_apply_is_named() {
    let (_folder, world, mut face) = made(1, Fault::BadDeploy);
    let git = face.open().expect("it is there");
    let mut change = world.changes()[0].clone();
    change.edits[0].before = "what nobody wrote".to_owned();
    let error = face.take(&git, &change).expect_err("it does not apply").to_string();
    assert!(error.contains(&change.id) && error.contains(&change.edits[0].path), "{error}");
}
