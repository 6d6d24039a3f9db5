//! Rules of the house that no compiler checks: which crate may use which, how long a file may be, where a tool runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

/// Which crate of ours uses which, exactly: a new arrow is a decision, so it is a change here too.
const ARROWS: [(&str, &[&str]); 17] = [
    ("approval", &["policy"]),
    ("audit", &[]),
    (
        "bailiwick",
        &[
            "approval",
            "audit",
            "code",
            "config",
            "gate",
            "identity",
            "mcp",
            "observability",
            "outbound",
            "policy",
            "sandbox",
            "telemetry",
            "tool",
        ],
    ),
    ("code", &["config", "policy", "redact", "tool"]),
    ("config", &["policy"]),
    ("gate", &["approval", "audit", "plot", "policy", "redact", "telemetry", "tool"]),
    ("identity", &["config", "outbound", "policy"]),
    ("mcp", &["approval", "audit", "gate", "identity", "policy", "telemetry", "tool"]),
    ("observability", &["config", "outbound", "policy", "redact", "tool"]),
    ("outbound", &["config", "redact", "telemetry", "tool"]),
    ("plot", &[]),
    ("policy", &[]),
    ("redact", &[]),
    ("sandbox", &[]),
    ("telemetry", &[]),
    ("testkit", &["audit", "gate", "plot", "policy", "tool"]),
    ("tool", &["audit", "policy"]),
];

/// For tests only: nothing that ships uses it.
const FOR_TESTS: &str = "testkit";
/// The only crate that knows the protocol.
const PROTOCOL: (&str, &str) = ("mcp", "rmcp");
/// A reader holds this much.
const LINES_MAX: usize = 400;

/// A crate of this workspace.
struct Package {
    name: String,
    folder: PathBuf,
    manifest: Table,
}

impl Package {
    fn read(folder: &Path) -> Package {
        let text = read(&folder.join("Cargo.toml"));
        let manifest: Table = text.parse().unwrap_or_else(|it| panic!("{}: {it}", folder.display()));
        let name = manifest["package"]["name"].as_str().expect("a package has a name").to_owned();
        Package { name, folder: folder.to_owned(), manifest }
    }

    /// Every crate of the workspace, this one first.
    fn all() -> Vec<Package> {
        let mut packages = vec![Package::read(&root())];
        for parent in ["shared", "servers"] {
            let entries = fs::read_dir(root().join(parent)).expect("the workspace has both folders");
            let folders = entries.flatten().map(|it| it.path()).filter(|it| it.join("Cargo.toml").exists());
            packages.extend(folders.map(|it| Package::read(&it)));
        }
        packages
    }

    /// Tables of dependencies, on every platform: what ships (`false`) and what is for tests (`true`).
    fn dependencies(&self, for_tests: bool) -> BTreeMap<String, Value> {
        let names: &[&str] = match for_tests {
            true => &["dev-dependencies"],
            false => &["dependencies", "build-dependencies"],
        };
        let platforms = self.manifest.get("target").and_then(Value::as_table).into_iter().flatten();
        let tables = platforms.filter_map(|(_, it)| it.as_table()).chain([&self.manifest]);
        let found = tables.flat_map(|table| names.iter().filter_map(|it| table.get(*it)?.as_table()));
        found.flatten().map(|(name, it)| (name.clone(), it.clone())).collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|it| panic!("{}: {it}", path.display()))
}

/// Where a file is, from the root of the repository.
fn place(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Files of the repository. What an editor or another tool put into a hidden folder is none of them.
fn files() -> Vec<PathBuf> {
    let hidden =
        |it: &str| it.split('/').any(|part| part.starts_with('.') && part != ".ci" && part != ".gitignore");
    testkit::files(&root()).into_iter().filter(|it| !hidden(&place(it))).collect()
}

fn sources() -> Vec<PathBuf> {
    files().into_iter().filter(|it| it.extension().is_some_and(|it| it == "rs")).collect()
}

/// Whether all of a file is for tests or benches.
fn is_for_tests(path: &Path) -> bool {
    let place = place(path);
    let parts: Vec<&str> = place.split('/').collect();
    parts.iter().any(|it| ["tests", "benches", "tests.rs", "fixture.rs", "laws.rs"].contains(it))
        || place.starts_with("shared/testkit/")
}

/// A file that ships: its text up to where its tests begin.
fn shipped() -> Vec<(PathBuf, String)> {
    let ships = sources().into_iter().filter(|it| !is_for_tests(it));
    let cut = |text: String| text.split("#[cfg(test)]\nmod tests {").next().map(str::to_owned);
    ships.map(|it| (it.clone(), cut(read(&it)).unwrap_or_default())).collect()
}

/// Panics with everything that breaks a rule.
fn hold(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// Lines of a text in which something stands, each with its place.
fn lines_with(path: &Path, text: &str, found: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| found(line));
    lines.map(|(at, line)| format!("{}:{}: {}", place(path), at + 1, line.trim())).collect()
}

#[test]
fn crates_use_each_other_as_the_table_says() {
    let packages = Package::all();
    let ours: BTreeSet<&str> = packages.iter().map(|it| it.name.as_str()).collect();
    let listed: BTreeSet<&str> = ARROWS.iter().map(|it| it.0).collect();
    assert_eq!(ours, listed, "the table lists every crate");
    for package in &packages {
        let uses = |for_tests| -> BTreeSet<String> {
            package.dependencies(for_tests).into_keys().filter(|it| ours.contains(it.as_str())).collect()
        };
        let (_, right) = ARROWS.iter().find(|it| it.0 == package.name).expect("compared above");
        let right: BTreeSet<String> = right.iter().map(|it| (*it).to_owned()).collect();
        assert_eq!(uses(false), right, "what `{}` uses", package.name);
        assert!(!uses(false).contains(FOR_TESTS), "`{}` ships {FOR_TESTS}", package.name);
        let only_tests: Vec<_> = uses(true).difference(&right).cloned().collect();
        assert!(only_tests.iter().all(|it| it == FOR_TESTS), "`{}` tests with {only_tests:?}", package.name);
    }
}

#[test]
fn arrows_have_no_way_back() {
    let uses: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    for (name, direct) in &uses {
        let (mut reached, mut next) = (BTreeSet::new(), direct.to_vec());
        while let Some(it) = next.pop() {
            if reached.insert(it) {
                next.extend(uses[it]);
            }
        }
        assert!(!reached.contains(name), "`{name}` reaches itself: {reached:?}");
    }
}

#[test]
fn one_crate_knows_the_protocol() {
    let (knows, protocol) = PROTOCOL;
    for package in Package::all().iter().filter(|it| it.name != knows) {
        assert!(!package.dependencies(false).contains_key(protocol), "`{}` ships {protocol}", package.name);
        // The root measures itself against a bare server.
        let measures = package.name == "bailiwick";
        let tests = package.dependencies(true).contains_key(protocol);
        assert!(!tests || measures, "`{}` tests with {protocol}", package.name);
    }
    let word = format!("{protocol}::");
    let named =
        shipped().into_iter().filter(|(path, _)| !path.starts_with(root().join("shared").join(knows)));
    hold(
        "only shared/mcp names the protocol crate",
        named.flat_map(|(path, text)| lines_with(&path, &text, |it| it.contains(&word))).collect(),
    );
}

#[test]
fn every_crate_inherits_lints_and_declares_no_version_of_its_own() {
    let mut broken = Vec::new();
    for package in Package::all() {
        let inherits = package.manifest.get("lints").and_then(|it| it.get("workspace")?.as_bool());
        if inherits != Some(true) {
            broken.push(format!("{}: says `[lints] workspace = true`", package.name));
        }
        for (name, it) in package.dependencies(false).into_iter().chain(package.dependencies(true)) {
            let inherited = it.get("workspace").and_then(Value::as_bool) == Some(true);
            let of_its_own =
                ["version", "path", "git"].iter().any(|word| it.get(word).is_some()) || it.is_str();
            if !inherited || of_its_own {
                broken.push(format!("{}: says `{name}.workspace = true`", package.name));
            }
        }
    }
    hold("versions and lints stand once, at the root", broken);
}

#[test]
fn what_cargo_builds_by_default_is_everything() {
    let packages = Package::all();
    let folders: BTreeSet<String> = packages.iter().map(|it| place(&it.folder)).collect();
    let listed = packages[0].manifest["workspace"]["default-members"].as_array().expect("a list");
    let listed: BTreeSet<String> =
        listed.iter().filter_map(|it| Some(it.as_str()?.trim_start_matches('.').to_owned())).collect();
    assert_eq!(listed, folders);
}

#[test]
fn no_source_file_is_longer_than_a_reader_holds() {
    let long = sources().into_iter().filter_map(|path| {
        let lines = read(&path).lines().count();
        (lines > LINES_MAX).then(|| format!("{} has {lines} lines", place(&path)))
    });
    hold(&format!("at most {LINES_MAX} lines a file"), long.collect());
}

/// Behind the gate every step has happened; a second caller would be a way around it.
#[test]
fn a_tool_runs_in_one_place() {
    // `call.run(&context)`, or `Call::run(&*call, &context)`: whatever takes the context of a call.
    let runs = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        code.match_indices("run(").any(|(at, _)| {
            let (before, after) = code.split_at(at);
            let called = before.ends_with('.') || before.ends_with("::");
            called && after.split(')').next().is_some_and(|it| it.contains("context"))
        })
    };
    let found: Vec<String> =
        shipped().into_iter().flat_map(|(path, text)| lines_with(&path, &text, runs)).collect();
    let erasure = "shared/tool/src/definition.rs:"; // where the trait's own type is forgotten
    let (inside, found): (Vec<String>, Vec<String>) =
        found.into_iter().partition(|it| it.starts_with(erasure));
    assert_eq!(inside.len(), 1, "{inside:?}");
    let [only] = found.as_slice() else { panic!("a tool runs in one place: {found:#?}") };
    assert!(only.starts_with("shared/gate/src/call.rs:") && only.contains("call.run(&context)"), "{only}");
}

#[test]
fn every_tool_is_listed() {
    let mut broken = Vec::new();
    let texts: BTreeMap<String, String> =
        shipped().into_iter().map(|(path, text)| (place(&path), text)).collect();
    for (file, text) in &texts {
        for tool in text.match_indices("impl Tool for ").map(|(at, it)| &text[at + it.len()..]) {
            let name = tool.split([' ', '<', '{']).next().unwrap_or_default();
            let list = match file.split_once("/src/tools/") {
                Some((server, _)) if server.starts_with("servers/") => format!("{server}/src/tools.rs"),
                _ if file.starts_with("servers/") => {
                    broken.push(format!("{file}: `{name}` stands in src/tools/"));
                    continue;
                }
                _ => "src/family.rs".to_owned(), // tools that every server has
            };
            let listed = texts.get(&list).is_some_and(|it| {
                it.contains(&format!("define::<{name}>")) || it.contains(&format!("::{name}>()"))
            });
            if !listed {
                broken.push(format!("{file}: `{name}` stands in {list}, as define::<…{name}>()"));
            }
        }
    }
    hold("every tool is in the list that clients see", broken);
    let servers = texts.keys().filter(|it| it.ends_with("/src/tools.rs")).count();
    assert!(servers >= 2, "the rule looked at something");
}

#[test]
fn no_text_speaks_of_the_machine_it_was_written_on() {
    // In parts, so that this file keeps the rule itself.
    let machines = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let beside = concat!("../sha", "red/");
    let mut broken = Vec::new();
    for path in files() {
        // Anything but text says nothing.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let absolute = |line: &str, start: &str| {
            let continues = |it: char| it.is_alphanumeric() || "._-".contains(it);
            line.match_indices(start).any(|(at, _)| !line[..at].ends_with(continues))
        };
        // What stands beside the repository; inside it, such a path is as good as any other.
        let outside = |line: &str| {
            line.match_indices(beside).any(|(at, _)| {
                let start = line[..at].rfind(|it: char| it != '.' && it != '/').map_or(0, |it| it + 1);
                let end = line[at..].find(['"', '\'', '`', ' ', ')', '>']).map_or(line.len(), |it| at + it);
                let target = path.parent().map(|it| it.join(&line[start..end]).canonicalize());
                !target.is_some_and(|it| it.is_ok_and(|it| it.starts_with(root())))
            })
        };
        let found = |line: &str| machines.iter().any(|it| absolute(line, it)) || outside(line);
        broken.extend(lines_with(&path, &text, found));
    }
    hold("a clone is whole, and the same everywhere", broken);
}

#[test]
fn tests_are_never_left_out_and_nothing_is_left_to_do() {
    let words = [concat!("#[igno", "re"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    // A doctest that must not compile may need a value that nobody can have.
    let found =
        |line: &str| !line.trim_start().starts_with("///") && words.iter().any(|it| line.contains(it));
    let all = sources().into_iter();
    hold("finished, and tested", all.flat_map(|it| lines_with(&it, &read(&it), found)).collect());
}

/// A sleep is too short somewhere and too long everywhere else; only a loop that looks again, under a deadline that the
/// line before checks, may rest a moment (`testkit::wait_until` is one).
#[test]
fn tests_never_sleep_but_wait_for_conditions() {
    let word = concat!("sle", "ep(");
    let mut broken = Vec::new();
    for path in sources() {
        let text = read(&path);
        let is_test = |at: usize| is_for_tests(&path) || text.find("#[cfg(test)]").is_some_and(|it| it < at);
        for (at, _) in text.match_indices(word) {
            let before: Vec<&str> = text[..at].lines().collect();
            let checked = before.iter().rev().nth(1).is_some_and(|it| it.contains("deadline"));
            if is_test(at) && !checked {
                broken.push(format!("{}:{}", place(&path), before.len()));
            }
        }
    }
    hold("no test sleeps", broken);
}
