//! With filters and without them a search answers the same, whatever became of the filters.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Fixture, Told, connection, patient};
use crate::{backends::Repository, filters::Least, tools::SearchCode};

/// Filters for whatever is searched.
const ALWAYS: Least = Least { files: 0, bytes: 0, pause: Duration::ZERO };

fn plain(fixture: &Fixture) -> Repository {
    Repository::new(connection("shop", &fixture.path), fixture.path.clone())
}

/// With filters that are kept beside the repository.
fn filtering(fixture: &Fixture) -> Repository {
    plain(fixture).filtering(&fixture.folder.path().join("cache"), &Arc::default(), ALWAYS)
}

/// All that an answer says.
fn told(repository: &Repository, pattern: &str) -> (Value, Vec<Value>, Vec<String>) {
    let asked: SearchCode =
        serde_json::from_value(json!({ "pattern": pattern, "ignore_case": pattern.len().is_multiple_of(2) }))
            .expect("arguments");
    let opened = repository.open().expect("a repository");
    let told = Told::of(asked.look(&opened, &patient()).expect("an answer"));
    (told.facts, told.rows.into_iter().map(Value::Object).collect(), told.not_looked_at)
}

/// Searches, so that filters are made, and waits for them.
fn make(repository: &Repository) {
    told(repository, "make filters of all that is searched");
    repository.filters().expect("filters").settle();
}

fn file(repository: &Repository) -> &Path {
    repository.filters().expect("filters").file()
}

/// Contents of which an answer counts something, and others.
fn with_odd_files() -> Fixture {
    let fixture = Fixture::with_commits();
    for it in 0..40 {
        fixture.write(&format!("src/{it}.rs"), format!("fn pay{it}() {{ retry({it}) }}\n").repeat(it % 5));
    }
    fixture.write("src/same.rs", "fn pay7() { retry(7) }\nfn pay7() { retry(7) }\n");
    fixture.write("logo.png", b"\x89PNG\0retry");
    fixture.write("latin.txt", b"retry caf\xe9\n");
    fixture.write("large.txt", "retry\n".repeat(1_500_000));
    fixture.write("wide.txt", format!("{}retry\nretry\n", "x".repeat(400_000)));
    fixture.write(".env", "RETRY=hunter2\n");
    fixture.write("web/.npmrc", "//registry.npmjs.org/:_authToken=retry\n");
    fixture.write("web/open/.npmrc", "engine-strict=true\n");
    fixture.write("deploy/cluster.yaml", "users:\n- user:\n    client-key-data: retry\n");
    fixture.write("deploy/open.yaml", "retry: 3\n");
    fixture.write("src/key.rs", "-----BEGIN PRIVATE KEY-----\nretry\n-----END PRIVATE KEY-----\nretry\n");
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Odd");
    fixture
}

#[test]
fn filters_change_no_answer() {
    let fixture = with_odd_files();
    let (plain, filtering) = (plain(&fixture), filtering(&fixture));
    make(&filtering);
    for pattern in [
        "retry",
        "RETRY",
        "Retry",
        "pay7",
        r"fn pay1\d?\(",
        "settle",
        "hunter",
        "caf.",
        "client-key",
        "strict",
        "PNG",
        "y",
        "(pay3|pay4|nowhere)",
        "^retry",
        r"retry\(\d\d\)",
        "_authToken=r",
        "xxxx",
        "x",
    ] {
        assert_eq!(told(&filtering, pattern), told(&plain, pattern), "{pattern}");
    }
    fixture.git(&["repack", "-adfq", "--depth=20", "--window=20"]);
    assert_eq!(told(&filtering, "retry"), told(&plain, "retry"));
}

#[test]
fn what_cannot_match_is_not_unpacked() {
    let fixture = with_odd_files();
    let filtering = filtering(&fixture);
    make(&filtering);
    let blob = fixture.git(&["rev-parse", "HEAD:src/3.rs"]);
    fs::remove_file(fixture.path.join(".git/objects").join(&blob[..2]).join(&blob[2..]))
        .expect("a loose object");
    let cannot_be_read = |pattern: &str| {
        let told = told(&filtering, pattern);
        told.2.iter().any(|it| it == "1 files or folders that cannot be read")
    };
    assert_eq!((cannot_be_read("settle"), cannot_be_read("pay3")), (false, true));
}

#[test]
fn filters_are_kept_for_their_owner_alone_and_grow_with_the_repository() {
    let fixture = with_odd_files();
    let filtering = filtering(&fixture);
    make(&filtering);
    let mode = |path: &Path| fs::metadata(path).expect("kept").permissions().mode() & 0o777;
    let file = file(&filtering);
    assert_eq!((mode(file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
    let before = fs::metadata(file).expect("kept").len();
    fixture.write("src/new.rs", "fn settle() {}\n");
    fixture.commit("2026-01-30T14:00:00Z", "Ann", "More");
    make(&filtering);
    let after = fs::metadata(file).expect("kept").len();
    assert!(after > before && after < before + 200, "{before} {after}");
    assert_eq!(told(&filtering, "settle"), told(&plain(&fixture), "settle"));
}

#[test]
fn a_filter_file_that_is_damaged_or_not_ours_is_not_used_and_made_again() {
    let fixture = with_odd_files();
    let plain = plain(&fixture);
    let first = filtering(&fixture);
    make(&first);
    let file = file(&first);
    let whole = fs::read(file).expect("kept");
    let expected = told(&plain, "retry");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    };
    let cleared: Vec<u8> = whole[..16].iter().copied().chain(vec![0; whole.len() - 16]).collect();
    let mut wrong = vec![whole[..whole.len() / 2].to_vec(), Vec::new(), b"something else".to_vec(), cleared];
    wrong.push([whole.as_slice(), b"x"].concat());
    wrong.extend((0..whole.len()).step_by(61).map(flipped));
    for (index, bytes) in wrong.into_iter().enumerate() {
        fs::write(file, bytes).expect("written");
        let filtering = filtering(&fixture);
        assert_eq!(told(&filtering, "retry"), expected, "{index}");
        filtering.filters().expect("filters").settle();
        assert_eq!(fs::read(file).expect("kept").len(), whole.len(), "{index}");
    }
    fs::set_permissions(file, Permissions::from_mode(0o644)).expect("a mode");
    make(&first);
    assert_eq!(fs::metadata(file).expect("kept").permissions().mode() & 0o777, 0o600);
}

#[test]
fn in_a_folder_that_is_open_to_others_nothing_is_kept() {
    let fixture = with_odd_files();
    let filtering = filtering(&fixture);
    let folder = file(&filtering).parent().expect("a folder");
    fs::create_dir_all(folder).expect("a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a mode");
    make(&filtering);
    assert_eq!(fs::read_dir(folder).expect("a folder").count(), 0);
    assert_eq!(told(&filtering, "retry"), told(&plain(&fixture), "retry"));
}

/// Else whoever fills one repository could hide what another holds under the same id.
#[test]
fn an_object_that_is_not_what_its_id_says_has_no_filter() {
    let fixture = with_odd_files();
    let object = |path: &str| {
        let id = fixture.git(&["rev-parse", &format!("HEAD:{path}")]);
        fixture.path.join(".git/objects").join(&id[..2]).join(&id[2..])
    };
    let (one, other) = (object("src/3.rs"), object("src/4.rs"));
    let right = fs::read(&other).expect("an object");
    fs::remove_file(&other).expect("an object");
    fs::copy(&one, &other).expect("another's content");
    let filtering = filtering(&fixture);
    make(&filtering);
    fs::remove_file(&other).and_then(|()| fs::write(&other, right)).expect("as it was");
    assert_eq!(told(&filtering, "pay4"), told(&plain(&fixture), "pay4"));
    assert_eq!(told(&filtering, "pay4").0["files"], 1);
}

#[test]
fn making_ends_with_the_server() {
    let fixture = with_odd_files();
    for _ in 0..20 {
        let filtering = filtering(&fixture);
        told(&filtering, "retry");
        let folder = file(&filtering).parent().expect("a folder").to_owned();
        drop(filtering);
        let left = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).map(|it| it.path());
        let left: Vec<_> = left.filter(|it| it.extension().is_none_or(|it| it != "grams")).collect();
        assert!(left.is_empty(), "{left:?}");
        let _ = fs::remove_dir_all(folder);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pattern_finds_the_same_in_any_texts(
        texts in proptest::collection::vec(proptest::collection::vec(
            proptest::sample::select(vec!["pay", "Pay", "retry(", "3", " ", "\n", "fn ", "order", "é", "."]), 0..40), 1..12),
        patterns in proptest::collection::vec(proptest::collection::vec(
            proptest::sample::select(vec!["pay", "PAY", r"retry\(", "3", " ", ".", "fn ", "(order|pay)", "é", r"\w+", "y?", "$"]), 1..5), 6)
    ) {
        let fixture = Fixture::with_commits();
        texts.iter().enumerate().for_each(|(file, text)| fixture.write(&format!("src/{file}.rs"), text.concat()));
        fixture.commit("2026-01-30T13:00:00Z", "Ann", "Texts");
        let (plain, filtering) = (plain(&fixture), filtering(&fixture));
        make(&filtering);
        for pattern in patterns {
            let pattern = pattern.concat();
            prop_assert_eq!(told(&filtering, &pattern), told(&plain, &pattern), "{}", pattern);
        }
    }
}
