//! Repositories that mean harm: nothing they hold is run, waited for or believed.

use std::{fs, os::unix::fs::symlink, time::Duration};

use serde_json::json;

use super::{Fixture, git};

/// Puts a configuration that runs `program` wherever git would run one.
fn arm(fixture: &Fixture, program: &str) {
    let mut text = fs::read_to_string(fixture.path.join(".git/config")).expect("a configuration");
    text.push_str(&format!(
        "[core]\n\tfsmonitor = {program}\n\tpager = {program}\n\tsshCommand = {program}\n\teditor = {program}\n\
         \thooksPath = /tmp\n\tgitProxy = {program}\n\taskPass = {program}\n\talternateRefsCommand = {program}\n\
         \tworktree = /\n[diff]\n\texternal = {program}\n[diff \"x\"]\n\ttextconv = {program}\n\tcommand = {program}\n\
         [filter \"x\"]\n\tsmudge = {program}\n\tclean = {program}\n\tprocess = {program}\n\trequired = true\n\
         [alias]\n\tlog = !{program}\n[credential]\n\thelper = !{program}\n[gpg]\n\tprogram = {program}\n\
         [log]\n\tshowSignature = true\n[uploadpack]\n\tpackObjectsHook = {program}\n\
         [include]\n\tpath = {program}.fifo\n[includeIf \"gitdir:/\"]\n\tpath = {program}.fifo\n"
    ));
    fs::write(fixture.path.join(".git/config"), text).expect("a configuration");
}

fn pipe(path: &std::path::Path) {
    let folder = path.parent().expect("below a folder");
    super::run(folder, "mkfifo", &[&path.to_string_lossy()]);
}

#[test]
fn a_configuration_that_runs_programs_runs_none_and_includes_nothing() {
    let fixture = Fixture::with_commits();
    fixture.write(".gitattributes", "* filter=x diff=x\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Attributes");
    let (program, marker) = (fixture.folder.path().join("program"), fixture.folder.path().join("marker"));
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", marker.display())).expect("a program");
    super::run(fixture.folder.path(), "chmod", &["+x", "program"]);
    pipe(&fixture.folder.path().join("program.fifo"));
    for hook in ["post-checkout", "pre-commit", "fsmonitor-watchman"] {
        fs::create_dir_all(fixture.path.join(".git/hooks")).expect("a folder");
        fs::copy(&program, fixture.path.join(".git/hooks").join(hook)).expect("a hook");
    }
    arm(&fixture, &program.to_string_lossy());
    assert_eq!(fixture.list(json!({ "window": "30d" })).expect("a list").rows.len(), 4);
    assert_eq!(fixture.read(json!({ "path": "src/pay.rs" })).expect("a file").lines[0], "one");
    assert!(fixture.read(json!({ "path": "missing" })).is_err());
    assert!(!marker.exists(), "a program of the repository was run");
    let included = fixture.folder.path().join("program.fifo");
    fs::remove_file(&included).and_then(|()| fs::write(&included, "")).expect("no pipe for git to wait for");
    super::try_git(&fixture.path, &["--work-tree=.", "status"], "", super::NOW);
    assert!(marker.exists(), "the trap is a trap: git itself falls into it");
}

#[test]
fn pipes_in_place_of_gits_files_are_refused_at_once() {
    for file in [
        "HEAD",
        "config",
        "packed-refs",
        "commondir",
        "shallow",
        "objects/info/alternates",
        "refs/heads/main",
    ] {
        let fixture = Fixture::with_commits();
        let path = fixture.path.join(".git").join(file);
        let _ = fs::remove_file(&path);
        pipe(&path);
        let (answered, answer) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let problem = fixture.list(json!({ "revision": "main" })).err().map(|it| it.to_string());
            let _ = answered.send(problem);
        });
        let problem = answer.recv_timeout(Duration::from_secs(20)).expect(file);
        assert!(problem.expect(file).starts_with("shop is unavailable: "), "{file}");
    }
}

/// Answers, or fails when it takes as long as a thread that hangs.
fn answered<T: Send + 'static>(what: &str, ask: impl FnOnce() -> T + Send + 'static) -> T {
    let (answered, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = answered.send(ask());
    });
    answer.recv_timeout(Duration::from_secs(20)).expect(what)
}

#[test]
fn pipes_behind_names_and_among_objects_are_refused_at_once() {
    let refused = |what: &str, fixture: Fixture, revision: &'static str| {
        let problem = answered(what, move || {
            fixture.list(json!({ "revision": revision })).err().map(|it| it.to_string())
        });
        assert!(
            problem.as_ref().is_some_and(|it| it.starts_with("shop is unavailable: ")),
            "{what}: {problem:?}"
        );
    };
    let fixture = Fixture::with_commits();
    let main = fixture.path.join(".git/refs/heads/main");
    fs::remove_file(&main).expect("a loose reference");
    pipe(&main);
    refused("behind HEAD", fixture, "HEAD");

    let fixture = Fixture::with_commits();
    pipe(&fixture.path.join(".git/refs/heads/pipe"));
    fs::write(fixture.path.join(".git/refs/heads/one"), "ref: refs/heads/two\n").expect("a reference");
    fs::write(fixture.path.join(".git/refs/heads/two"), "ref:  refs/heads/pipe\n").expect("a reference");
    refused("behind two references", fixture, "one");

    for target in ["refs/heads/../../../pipe", "packed-refs", "/dev/tty", "refs/heads/loop"] {
        let fixture = Fixture::with_commits();
        pipe(&fixture.path.join("pipe"));
        fs::write(fixture.path.join(".git/refs/heads/loop"), format!("ref: {target}\n"))
            .expect("a reference");
        refused(target, fixture, "loop");
    }

    let fixture = Fixture::with_commits();
    let head = fixture.git(&["rev-parse", "HEAD"]);
    let object = fixture.path.join(".git/objects").join(&head[..2]).join(&head[2..]);
    fs::remove_file(&object).expect("a loose object");
    pipe(&object);
    refused("an object", fixture, "HEAD");

    let fixture = Fixture::with_commits();
    pipe(&fixture.path.join(".git/objects/pack/pack-1.idx"));
    refused("an index", fixture, "HEAD");

    let fixture = Fixture::with_commits();
    let other = Fixture::with_commits();
    fs::create_dir_all(other.path.join(".git/objects/info")).expect("a folder");
    pipe(&other.path.join(".git/objects/info/alternates"));
    let alternates = fixture.path.join(".git/objects/info/alternates");
    fs::create_dir_all(alternates.parent().expect("below a folder")).expect("a folder");
    fs::write(alternates, format!("{}\n", other.path.join(".git/objects").display())).expect("a file");
    refused("behind borrowed objects", fixture, "HEAD");
}

#[test]
fn a_pipe_that_comes_after_a_call_is_refused_by_the_next() {
    let fixture = Fixture::with_commits();
    let repository =
        crate::backends::Repository::new(super::connection("shop", &fixture.path), fixture.path.clone());
    assert!(repository.open().is_ok());
    let head = fixture.git(&["rev-parse", "HEAD"]);
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Another");
    assert!(repository.open().is_ok());
    pipe(&fixture.path.join(".git/objects").join(&head[..2]).join("0".repeat(38)));
    let problem = repository.open().err().expect("refused").to_string();
    assert!(problem.contains("no plain file"), "{problem}");
}

#[test]
fn names_near_a_pipe_are_found_without_opening_it() {
    let fixture = Fixture::with_commits();
    pipe(&fixture.path.join(".git/refs/heads/mane"));
    fixture.git(&["branch", "maine"]);
    let problem = answered("near names", move || fixture.list(json!({ "revision": "mainn" })).err());
    assert_eq!(problem.expect("unknown").code(), "not_found");
}

#[test]
fn replacement_references_do_not_show_one_thing_under_the_id_of_another() {
    let fixture = Fixture::with_commits();
    let blob = fixture.git(&["rev-parse", "HEAD:src/pay.rs"]);
    let other = git(&fixture.path, &["hash-object", "-w", "--stdin"], "replaced\n");
    fixture.git(&["replace", &blob, &other]);
    fixture.git(&["replace", "HEAD", "HEAD~2"]);
    assert_eq!(fixture.read(json!({ "path": "src/pay.rs" })).expect("a file").lines[0], "one");
    assert_eq!(fixture.list(json!({ "window": "30d" })).expect("a list").rows.len(), 3);
}

#[test]
fn missing_looping_and_broken_parts_are_said_and_crash_nothing() {
    let fixture = Fixture::with_commits();
    let alternates = fixture.path.join(".git/objects/info/alternates");
    fs::create_dir_all(alternates.parent().expect("below a folder")).expect("a folder");
    let own = fixture.path.join(".git/objects");
    fs::write(&alternates, format!("{}\n/nonexistent\n../objects\n", own.display())).expect("a file");
    let told = fixture.list(json!({ "window": "30d" }));
    assert!(told.is_ok_and(|it| it.rows.len() == 3) || fixture.list(json!({})).is_err());
    fs::remove_file(alternates).expect("removed");

    let tree = fixture.git(&["rev-parse", "HEAD~1^{tree}"]);
    let object = own.join(&tree[..2]).join(&tree[2..]);
    fs::remove_file(object).expect("a loose object");
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(told.rows.len(), 3);
    assert!(told.not_looked_at.iter().any(|it| it.contains("not counted")), "{:?}", told.not_looked_at);
    let problem = fixture.read(json!({ "path": "README.md", "revision": "HEAD~1" })).err().expect("damaged");
    assert!(problem.to_string().contains("cannot be read; the repository is incomplete"), "{problem}");

    let commit = fixture.git(&["rev-parse", "HEAD~1"]);
    fs::remove_file(own.join(&commit[..2]).join(&commit[2..])).expect("a loose object");
    let told = fixture.list(json!({ "window": "30d" })).expect("a list");
    assert_eq!(told.rows.len(), 1);
    assert!(told.not_looked_at.iter().any(|it| it.contains("cannot be read")), "{:?}", told.not_looked_at);
}

#[test]
fn what_is_no_repository_is_said_without_its_content() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let error = super::list_in(folder.path(), json!({}), &super::patient()).err().expect("none").to_string();
    assert_eq!(
        error,
        "shop is unavailable: its configured path is no git repository, or of a format that is not supported"
    );
    let fixture = Fixture::with_commits();
    fs::write(folder.path().join("secret"), "hunter2\n").expect("a file");
    let main = fixture.path.join(".git/refs/heads/main");
    fs::remove_file(&main).expect("a loose reference");
    symlink(folder.path().join("secret"), &main).expect("a link");
    let error = fixture.list(json!({ "revision": "main" })).err().expect("no reference").to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_folder_inside_a_repository_is_not_the_repository() {
    let fixture = Fixture::with_commits();
    assert!(super::list_in(&fixture.path.join("src"), json!({}), &super::patient()).is_err());
}

#[test]
fn commits_that_no_calendar_and_no_decoder_knows_are_listed_or_said() {
    let fixture = Fixture::with_commits();
    let (tree, parent) = (fixture.git(&["rev-parse", "HEAD^{tree}"]), fixture.git(&["rev-parse", "HEAD"]));
    let odd = |line: &str| {
        let text =
            format!("tree {tree}\nparent {parent}\nauthor {line}\ncommitter {line}\n\n\u{202e}odd\u{200b}\n");
        git(&fixture.path, &["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], &text)
    };
    for line in ["A <a@b> 99999999999999 +0000", "A <a@b> -1 +0000", "A <a@b>", "", "A <a@b> x y"] {
        fixture.git(&["update-ref", "refs/heads/odd", &odd(line)]);
        let told = fixture.list(json!({ "revision": "odd", "window": "30d" }));
        assert!(told.map_or_else(|it| it.code() == "unavailable", |it| it.rows.len() == 3), "{line}");
    }
}

/// Small when packed, large when read: kept whole, some dozens of them would take all memory.
#[test]
fn of_a_commit_no_more_is_kept_than_is_told_and_a_huge_one_is_not_read() {
    let fixture = Fixture::with_commits();
    let (tree, parent) = (fixture.git(&["rev-parse", "HEAD^{tree}"]), fixture.git(&["rev-parse", "HEAD"]));
    let commit = |parents: &[String], name: &str, subject: &str| {
        let parents: String = parents.iter().map(|it| format!("parent {it}\n")).collect();
        let who = format!("{name} <a@b> 1769780000 +0000");
        let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{subject}\n");
        git(&fixture.path, &["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], &text)
    };
    let name = "n".repeat(10_000);
    let large = commit(std::slice::from_ref(&parent), &name, &"s".repeat(500_000));
    let huge = commit(std::slice::from_ref(&parent), "A", &"s".repeat(1_100_000));
    let merge = commit(&[large.clone(), huge], "A", "Merge");
    let repository =
        crate::backends::Repository::new(super::connection("shop", &fixture.path), fixture.path.clone());
    let opened = repository.open().expect("a repository");
    let read = opened.commit(large.parse().expect("an id")).expect("a commit");
    assert!(read.author.len() + read.email.len() + read.subject.len() < 2_000);
    fixture.git(&["update-ref", "refs/heads/odd", &merge]);
    let told = fixture.list(json!({ "revision": "odd", "window": "30d" })).expect("a list");
    assert_eq!(told.rows.len(), 5);
    assert!(
        told.not_looked_at.iter().any(|it| it.contains("1 commits that cannot be read")),
        "{:?}",
        told.not_looked_at
    );

    let many: Vec<String> = (0..70).map(|it| commit(&[], "A", &format!("root {it}"))).collect();
    fixture.git(&["update-ref", "refs/heads/octopus", &commit(&many, "A", "Octopus")]);
    let told =
        fixture.list(json!({ "revision": "octopus", "window": "30d", "max_tokens": 8000 })).expect("a list");
    assert_eq!(told.seen, 65);
    assert!(
        told.not_looked_at.iter().any(|it| it.starts_with("6 parents of merges, beyond the first 64")),
        "{:?}",
        told.not_looked_at
    );
    let error = fixture.list(json!({ "revision": "octopus^66" })).err().expect("beyond").to_string();
    assert!(error.contains("has 70 parents; the first 64"), "{error}");
}

/// A few trees that hold each other under long names stand for gigabytes of paths.
#[test]
fn trees_that_stand_for_more_than_fits_into_memory_are_left_with_a_word() {
    let fixture = Fixture::with_commits();
    let blob = git(&fixture.path, &["hash-object", "-w", "--stdin"], "needle\n");
    let tree = |entries: String| git(&fixture.path, &["mktree"], &entries);
    let name = |it: usize| format!("{it:02}{}", "n".repeat(240));
    let mut below = tree((0..60).map(|it| format!("100644 blob {blob}\t{}\n", name(it))).collect());
    for _ in 0..4 {
        below = tree((0..60).map(|it| format!("040000 tree {below}\t{}\n", name(it))).collect());
    }
    let commit = git(&fixture.path, &["commit-tree", &below, "-m", "Bomb"], "");
    fixture.git(&["update-ref", "refs/heads/bomb", &commit]);
    let repository =
        crate::backends::Repository::new(super::connection("shop", &fixture.path), fixture.path.clone());
    let opened = repository.open().expect("a repository");
    let listed = opened.files(below.parse().expect("an id"), &super::patient(), |_| true);
    let bytes: usize = listed.files.iter().map(|it| it.path.len()).sum();
    assert!(bytes < 70 << 20, "{bytes}");
    assert_eq!(listed.left, Some("too many files"));
    let told = fixture.compare(json!({ "revisions": "main..bomb" })).expect("an answer");
    assert!(told.not_looked_at.iter().any(|it| it.contains("too many")), "{:?}", told.not_looked_at);
}
