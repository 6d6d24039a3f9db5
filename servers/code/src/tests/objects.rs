//! What a revision holds is what git wrote into it: however it is stored, whatever stands in the work tree, and never more
//! than that when what is stored is damaged.

use std::{
    fs,
    fs::{File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Fixture, connection, git, try_git};
use crate::backends::Repository;

/// What happens to a file of a work tree.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Edited,
    /// As large as before, and dated as before.
    Forged,
    Touched,
    Executable,
    Removed,
    Linked,
    Pipe,
    /// Git is told not to look at it.
    Assumed,
    Staged,
    Stashed,
    FolderLinked,
}

use Happens::*;

const ALL: [Happens; 11] =
    [Edited, Forged, Touched, Executable, Removed, Linked, Pipe, Assumed, Staged, Stashed, FolderLinked];

impl Happens {
    /// May fail, as when the file is gone.
    fn to(self, path: &str, fixture: &Fixture) -> std::io::Result<()> {
        let file = fixture.path.join(path);
        let outside = fixture.folder.path().join("outside");
        let git = |arguments: &[&str]| drop(try_git(&fixture.path, arguments, "", super::NOW));
        // Writing to a pipe would wait for a reader.
        if matches!(self, Edited | Forged | Touched) && !fs::symlink_metadata(&file)?.is_file() {
            fs::remove_file(&file)?;
            fs::write(&file, "needle\n")?;
        }
        match self {
            Edited => fs::write(&file, "needle one\nneedle two\n")?,
            Forged => {
                let was = fs::metadata(&file)?;
                fs::write(&file, "needle".repeat(was.len() as usize / 6 + 1))?;
                let forged = File::options().write(true).open(&file)?;
                forged.set_len(was.len())?;
                forged.set_modified(was.modified()?)?;
            }
            Touched => fs::copy(&file, &outside).and_then(|_| fs::copy(&outside, &file)).map(drop)?,
            Executable => fs::set_permissions(&file, Permissions::from_mode(0o755))?,
            Removed => fs::remove_file(&file)?,
            Linked => {
                fs::write(&outside, "needle outside\n")?;
                fs::remove_file(&file)?;
                symlink(&outside, &file)?;
            }
            Pipe => {
                fs::remove_file(&file)?;
                super::run(&fixture.path, "mkfifo", &[path]);
            }
            Assumed => git(&["update-index", "--assume-unchanged", path]),
            Staged => git(&["add", "--all"]),
            Stashed => git(&["stash", "push", "--include-untracked"]),
            FolderLinked => {
                let (folder, moved) = (fixture.path.join("src"), fixture.folder.path().join("moved"));
                fs::rename(&folder, &moved)?;
                let first = moved.join("0.rs");
                // It may be a pipe by now, or not there at all.
                let _ = fs::remove_file(&first);
                fs::write(first, "needle elsewhere\n")?;
                symlink(moved, folder)?;
            }
        }
        Ok(())
    }
}

/// All that an answer says.
fn told(fixture: &Fixture) -> (Value, Vec<Value>, Vec<String>) {
    let told = fixture.search(json!({ "pattern": "needle|fn" })).expect("an answer");
    (told.facts, told.rows.into_iter().map(Value::Object).collect(), told.not_looked_at)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Files of a work tree are never read in place of objects, not even those that git takes for unchanged: who can write
    /// one can change it without a trace in its times, through a mapping of its pages.
    #[test]
    fn what_stands_in_the_work_tree_changes_no_answer(
        happens in proptest::collection::vec((proptest::sample::select(ALL.to_vec()), 0_usize..6), 1..8)
    ) {
        let fixture = Fixture::with_commits();
        for file in 0..6 {
            fixture.write(&format!("src/{file}.rs"), format!("fn a{file}() {{}}\n{}", "pay(3)\n".repeat(file)));
        }
        fixture.write("src/needle.rs", "a needle\n");
        fixture.commit("2026-01-30T13:00:00Z", "Ann", "Many");
        let held = told(&fixture);
        prop_assert_eq!(held.1.len(), 7);
        for (what, file) in happens {
            let _ = what.to(&format!("src/{file}.rs"), &fixture);
            prop_assert_eq!(&told(&fixture), &held, "{:?} {}", what, file);
        }
    }
}

/// Contents that take every path of what unpacks them: nothing, no repetition, one byte repeated, repetitions as far back as
/// they can be, much text, and versions that are stored as differences.
fn contents() -> Vec<(String, Vec<u8>)> {
    let mut state = 7_u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let noise: Vec<u8> = (0..70_000).map(|_| number() as u8).collect();
    let mut text = String::new();
    while text.len() < 300_000 {
        text.push_str(&format!("let value_{} = request({});\n", number() % 5_000, number() % 7));
    }
    let far = |gap: usize| [&noise[..300], &vec![b'-'; gap - 300], &noise[..300]].concat();
    let mut contents = vec![
        ("empty".to_owned(), Vec::new()),
        ("byte".to_owned(), b"a".to_vec()),
        ("bytes".to_owned(), (0..=255_u8).cycle().take(4_000).collect()),
        ("run".to_owned(), vec![b'x'; 100_000]),
        ("far".to_owned(), far(32_768)),
        ("too_far".to_owned(), far(32_769)),
        ("noise".to_owned(), noise),
        ("text".to_owned(), text.clone().into_bytes()),
    ];
    contents.extend((1..40).map(|it| (format!("length{it}"), text.as_bytes()[..it * it].to_vec())));
    for version in 0..12 {
        text.insert_str(version * 20_000, "fn added() {}\n");
        contents.push((format!("version{version}"), text.clone().into_bytes()));
    }
    contents
}

#[test]
fn contents_are_those_that_git_wrote_however_they_are_stored() {
    let contents = contents();
    for level in [0, 1, 6, 9] {
        let fixture = Fixture::new();
        contents.iter().for_each(|(path, content)| fixture.write(path, content));
        let compression = format!("core.compression={level}");
        fixture.git(&["-c", &compression, "add", "--all"]);
        fixture.commit("2026-01-30T13:00:00Z", "Ann", "Contents");
        let paths: Vec<&str> = contents.iter().map(|it| it.0.as_str()).collect();
        let ids = git(&fixture.path, &["hash-object", "--no-filters", "--stdin-paths"], &paths.join("\n"));
        let read = |how: &str| {
            let repository = Repository::new(connection("shop", &fixture.path), fixture.path.clone());
            let opened = repository.open().expect("a repository");
            for (id, (path, content)) in ids.lines().zip(&contents) {
                let id: gix::ObjectId = id.parse().expect("an id");
                let size = opened.git.find_header(id).expect("a header").size();
                assert_eq!(size, content.len() as u64, "{path} {how} at level {level}");
                let blob = opened.git.find_blob(id).expect("a blob");
                assert!(blob.data == *content, "{path} {how} at level {level}");
            }
        };
        read("alone");
        fixture.git(&["-c", &compression, "repack", "-adfq", "--depth=20", "--window=20"]);
        let packs = fs::read_dir(fixture.path.join(".git/objects/pack")).expect("packs").count();
        assert!(packs >= 2, "a pack and its index, at least");
        read("packed");
    }
}

#[test]
fn of_a_damaged_pack_nothing_is_told_that_git_did_not_write() {
    let fixture = Fixture::with_commits();
    let written: Vec<String> =
        (0..4).map(|file| format!("fn pay{file}() {{ retry({file}); order(request, {file}) }}")).collect();
    for (file, line) in written.iter().enumerate() {
        fixture.write(&format!("src/{file}.rs"), format!("{line}\n").repeat(5));
    }
    fixture.commit("2026-01-30T13:00:00Z", "Ann", "Many");
    fixture.git(&["repack", "-adfq", "--depth=0"]);
    let packs = fs::read_dir(fixture.path.join(".git/objects/pack")).expect("packs");
    let pack = packs
        .filter_map(Result::ok)
        .map(|it| it.path())
        .find(|it| it.extension().is_some_and(|it| it == "pack"));
    let pack = pack.expect("one pack");
    let whole = fs::read(&pack).expect("a pack");
    let (mut unreadable, mut refused) = (0, 0);
    for at in 12..whole.len() - 20 {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::remove_file(&pack).and_then(|()| fs::write(&pack, damaged)).expect("a pack");
        let Ok(told) = fixture.search(json!({ "pattern": "pay" })) else {
            refused += 1;
            continue;
        };
        unreadable += u32::from(told.not_looked_at.iter().any(|it| it.contains("cannot be read")));
        for line in told.column("lines").iter().flat_map(|it| it.as_array().cloned().unwrap_or_default()) {
            let line = line.as_str().unwrap_or_default();
            let text = line.split_once(": ").map_or(line, |it| it.1);
            assert!(written.iter().any(|it| it == text) || line.contains("more"), "byte {at}: {line}");
        }
    }
    assert!(unreadable > 100 && refused > 20, "{unreadable} {refused} of {}", whole.len());
}
