//! The demo is as told: step by step for one seed, by its findings for many; and it says so when it is not.

#![cfg(feature = "demo")]
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    DEADLINE,
    cli::{Ended, Home, run},
    mcp::{Session, Version},
    wait_until,
};

const SEED: &str = "7";
/// What only a build with the sandbox holds; `.ci/run` looks for it in a build without.
const MARKERS: [&str; 2] = ["card-network", "on-call:no-long-silence"];

fn home() -> Home {
    Home::new(env!("CARGO_BIN_EXE_bailiwick"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn demo(arguments: &[&str]) -> Ended {
    home().run(["demo"].iter().chain(arguments))
}

/// Steps by their words, as `--json` tells them.
fn steps(ended: &Ended) -> Vec<(String, Value)> {
    let step = |line: &str| -> (String, Value) {
        let step: Value = serde_json::from_str(line).unwrap_or_else(|it| panic!("not JSON ({it}): {line}"));
        (step["step"].as_str().unwrap_or_default().to_owned(), step)
    };
    ended.stdout.lines().map(step).collect()
}

#[test]
fn a_seed_is_told_step_by_step_and_every_line_comes_from_a_call() {
    let ended = demo(&["--json", "--seed", SEED]).expect(0);
    let told = steps(&ended);
    let names: Vec<&str> = told.iter().map(|it| it.0.as_str()).collect();
    let right = [
        "servers",
        "alerts",
        "moved",
        "changed",
        "authority",
        "confirmation",
        "denial",
        "finding",
        "verify",
        "tampering",
        "truth",
        "next",
    ];
    assert_eq!(names, right, "{}", ended.stderr);
    let by_name: BTreeMap<&str, &Value> = told.iter().map(|it| (it.0.as_str(), &it.1)).collect();
    let found = |name: &str| &by_name[name]["found"];
    assert!(found("alerts")["alerts"].as_u64() >= Some(1), "{}", found("alerts"));
    let standings = found("authority")["standings"].to_string();
    assert!(standings.contains("allowed") && standings.contains("asks"), "{standings}");
    assert_eq!(found("confirmation")["error"], "approval_required");
    assert_eq!(found("denial")["policy"], "on-call:no-long-silence");
    assert!(found("denial")["instead"].as_str().is_some_and(|it| it.contains("240 minutes")));
    assert_eq!(found("finding")["place"], found("moved")["first"]["place"]);
    assert_eq!(found("verify")["verdict"], "intact");
    assert_eq!(found("tampering")["altered"]["problem"].as_str().map(str::is_empty), Some(false));
    assert_eq!(found("truth")["right"], true);
    for (name, step) in &told {
        for call in step["calls"].as_array().expect("a list") {
            let whole = call["receipt"]["leaf"].is_string() && call["result"].is_object();
            assert!(whole, "{name}: {call}");
        }
        assert!(!step["said"].as_array().expect("a list").is_empty(), "{name} says something");
    }
    let called = told.iter().flat_map(|it| it.1["calls"].as_array().cloned().unwrap_or_default());
    let refused = called.filter(|it| it["refused"] == true).count();
    assert_eq!(refused, 2, "the two silences, and nothing else");
}

#[test]
fn twenty_seeds_end_with_the_true_cause_at_least_eighteen_times() {
    let seeds = Mutex::new(1..=20_u64);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = seeds.lock().expect("nobody panics while holding it").next();
                    let Some(seed) = next else { return };
                    let ended = demo(&["--json", "--seed", &seed.to_string()]);
                    results.lock().expect("nobody panics while holding it").insert(seed, ended);
                }
            });
        }
    });
    let mut right = 0;
    for (seed, ended) in results.into_inner().expect("nobody panicked") {
        let told = steps(&ended);
        let found = |name: &str| told.iter().find(|it| it.0 == name).map(|it| it.1["found"].clone());
        let (truth, finding) = (found("truth").unwrap_or_default(), found("finding").unwrap_or_default());
        let is_right = truth["right"] == true;
        assert_eq!(ended.code == Some(0), is_right, "{ended:#?}");
        right += usize::from(is_right);
        let word = |it: &Value| it.as_str().unwrap_or("-").to_owned();
        let verdict = if is_right { "right" } else { "WRONG" };
        println!(
            "{seed:>3}  {:<20} {:<14} found {:<14} {:<10} {verdict}  {}",
            word(&truth["fault"]),
            word(&truth["place"]),
            word(&finding["place"]),
            word(&finding["commit"]),
            ended.stderr.lines().last().unwrap_or_default(),
        );
    }
    assert!(right >= 18, "{right} of 20");
}

#[test]
fn another_seed_is_another_incident_and_every_fault_can_be_asked_for() {
    let listed = demo(&["--list"]).expect(0).stdout;
    let words: Vec<&str> = listed.lines().filter_map(|it| it.split_whitespace().next()).collect();
    assert!(words.len() >= 8 && words.contains(&"memory_leak"), "{listed}");
    let ended = demo(&["--fault", "gremlins"]).expect(2);
    assert!(ended.stderr.contains("`gremlins`") && ended.stderr.contains("memory_leak"), "{}", ended.stderr);
    let first = |seed: &str| {
        let told = steps(&demo(&["--json", "--fault", "bad_deploy", "--seed", seed]));
        told.iter().find(|it| it.0 == "moved").map(|it| it.1["said"].to_string()).unwrap_or_default()
    };
    assert_ne!(first("1"), first("2"));
}

#[test]
fn what_is_not_as_told_ends_it_loudly_and_says_where() {
    for (lie, step) in [("deaf-alerts", "alerts"), ("no-rule", "denial"), ("untouched-copy", "tampering")] {
        let ended = demo(&["--json", "--seed", SEED, "--lie", lie]).expect(1);
        let (told, said) = (steps(&ended), &ended.stderr);
        assert!(said.contains(&format!("step `{step}`")) && said.contains("expected"), "{lie}: {said}");
        assert!(told.iter().all(|it| it.0 != step && it.0 != "next"), "{lie}: it ends there");
    }
}

#[test]
fn without_a_terminal_there_is_no_colour_and_no_waiting() {
    let ended = demo(&["--seed", SEED]).expect(0);
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    assert!(ended.stdout.contains("bailiwick demo --serve"), "it says what to do next: {}", ended.stdout);
}

const WALL_MAX: Duration = Duration::from_secs(60);
const MEMORY_MAX_KB: u64 = 400 * 1024;

/// Most memory that each process ever used, by its id: of this one and of all that it started and that still run.
fn peaks_kb(process: u32, peaks: &mut BTreeMap<u32, u64>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default();
    let status = read("status");
    let peak =
        status.lines().find_map(|it| it.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    if let Some(peak) = peak {
        peaks.insert(process, peak);
    }
    // Children belong to the thread that started them.
    for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|it| it.parse().ok()).for_each(|it| peaks_kb(it, peaks));
    }
}

/// All peaks together, as if they fell on one moment: never less than what is used.
#[test]
fn it_takes_less_than_a_minute_and_400_mb() {
    let (home, mut peaks) = (home(), BTreeMap::new());
    let started = Instant::now();
    let mut command = home.command(["demo", "--json", "--seed", SEED]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the binary starts");
    let ended = wait_until("the demo to end", WALL_MAX, || {
        peaks_kb(child.id(), &mut peaks);
        child.try_wait().expect("our own child")
    });
    let (took, memory) = (started.elapsed(), peaks.values().sum::<u64>());
    println!("{:.1} s, {} MB in {} processes", took.as_secs_f64(), memory / 1024, peaks.len());
    assert!(ended.success() && peaks.len() >= 3, "the demo and two servers at least: {peaks:?}");
    assert!(memory < MEMORY_MAX_KB, "{memory} kB: {peaks:?}");
}

/// Where the README shows what the demo says.
const EXCERPT: (&str, &str) = ("<!-- demo -->\n```text\n", "```\n");
/// Steps that it shows.
const EXCERPTED: [&str; 5] = ["What fires?", "What moved", "Which change?", "Silence", "The finding"];
const EXCERPT_LINES_MAX: usize = 2;

/// What the README shows of a transcript: steps with their first lines, without what differs from day to day.
fn excerpt(transcript: &str) -> String {
    let mut lines = Vec::new();
    for block in transcript.split("\n\n") {
        let title = block.lines().next().unwrap_or_default();
        if EXCERPTED.iter().any(|it| title.contains(it)) {
            lines.push(title.to_owned());
            let said = block.lines().filter(|it| it.starts_with("    ") && !it.contains('›'));
            lines.extend(said.take(EXCERPT_LINES_MAX).map(masked));
        }
    }
    lines.join("\n") + "\n"
}

/// A line with times, commits and measured numbers left out.
fn masked(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ':']);
        let is_clock = bare.len() == 5 && bare.as_bytes()[2] == b':';
        let is_commit = (9..=12).contains(&bare.len()) && bare.chars().all(|it| it.is_ascii_hexdigit());
        let is_number = bare.starts_with(|it: char| it.is_ascii_digit() || "+-".contains(it))
            && bare.contains(|it: char| it.is_ascii_digit());
        match (is_clock, is_commit, is_number) {
            (true, ..) => word.replace(bare, "hh:mm"),
            (_, true, _) => word.replace(bare, "<commit>"),
            (_, _, true) => word.replace(bare, "…"),
            _ => word.to_owned(),
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_readme_shows_what_the_demo_says() {
    let said = excerpt(&demo(&["--fault", "bad_deploy", "--seed", SEED]).expect(0).stdout);
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).expect("it ships");
    let (before, rest) = text.split_once(EXCERPT.0).expect("the README has a place for it");
    let (shown, after) = rest.split_once(EXCERPT.1).expect("the place ends");
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|it| it == "1") {
        fs::write(&path, [before, EXCERPT.0, &said, EXCERPT.1, after].concat()).expect("it can be written");
        return;
    }
    assert_eq!(shown, said, "UPDATE_EXPECT=1 accepts it");
    let commands = before.split("```sh").nth(1).expect("commands come before what they say");
    assert_eq!(commands.lines().nth(1), Some("cargo run --release -- demo"), "the first command");
}

/// A `demo --serve` that runs; ended as ctrl-c would when dropped.
struct Served {
    child: Child,
    folder: PathBuf,
}

impl Served {
    fn start(home: &Home, arguments: &[&str]) -> Served {
        let folder = home.path().join("served");
        let mut command = home.command(["demo", "--serve", "--folder"]);
        command.arg(&folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        wait_until("the client's configuration", 2 * DEADLINE, || {
            assert_eq!(child.try_wait().expect("our own child"), None, "it stays up");
            folder.join(".cursor/mcp.json").exists().then_some(())
        });
        Served { child, folder }
    }

    /// Asks it to end and waits until it has.
    fn end(mut self) -> Option<i32> {
        terminate(&self.child);
        let child = &mut self.child;
        wait_until("the sandbox to end", DEADLINE, || child.try_wait().expect("our own child")).code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already, unless an assertion failed
        let _ = self.child.wait();
    }
}

fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("`kill` exists").success());
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("it is written")).expect("JSON")
}

#[test]
fn the_written_client_configuration_starts_servers_that_reach_the_production() {
    let home = home();
    let served = Served::start(&home, &["--seed", SEED]);
    let written = read_json(&served.folder.join(".mcp.json"));
    assert_eq!(written, read_json(&served.folder.join(".cursor/mcp.json")));
    for (server, tool, arguments) in
        [("code", "list_commits", json!({ "window": "6h" })), ("observability", "list_alerts", json!({}))]
    {
        let entry = &written["mcpServers"][server];
        let mut command = Command::new(entry["command"].as_str().expect("a program"));
        let words = entry["args"].as_array().expect("a list").iter().filter_map(Value::as_str);
        command.args(words).env_clear().env("HOME", home.path()).current_dir(home.path());
        let mut session = Session::start(&mut command);
        session.greet(Version::V2025_06_18);
        let answer = session.call(tool, arguments);
        assert!(!answer.is_error(), "{}", answer.text());
        assert!(answer.structured()["seen"].as_u64() > Some(0), "{}", answer.text());
        assert!(session.leave().success());
    }
    assert_eq!(served.end(), Some(0));
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let home = home();
    let folder = home.path().join("mine");
    fs::create_dir(&folder).expect("ours");
    fs::write(folder.join("notes"), "keep").expect("ours");
    let ended = run(home.command(["demo", "--serve", "--folder"]).arg(&folder), b"");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("is not empty"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(&folder).expect("ours").count(), 1);
}

#[test]
fn the_example_works_the_same_incident_by_hand() {
    let home = home();
    let served = Served::start(&home, &["--seed", SEED]);
    let script = root().join("examples/incident/incident.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg(&served.folder).env_clear().env("HOME", home.path());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("BAILIWICK", env!("CARGO_BIN_EXE_bailiwick"));
    let ended = run(&mut command, b"").expect(0);
    for word in ["approval_required", "denied by on-call:no-long-silence", "intact"] {
        assert!(ended.stdout.contains(word) || ended.stderr.contains(word), "{word}: {ended:#?}");
    }
    assert_eq!(served.end(), Some(0));
}

/// Crates that a build uses, by name.
fn crates(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--locked", "--package", "bailiwick", "--edges", "normal,build"]);
    command.args(["--prefix", "none", "--format", "{p}"]).args(arguments).current_dir(root());
    let ended = run(&mut command, b"").expect(0);
    ended.stdout.lines().filter_map(|it| it.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_build_without_the_demo_contains_none_of_it() {
    let (with, without) = (crates(&[]), crates(&["--no-default-features"]));
    for name in ["sandbox", "tempfile"] {
        assert!(with.iter().any(|it| it == name), "`{name}` is part of the demo, or this looks at nothing");
    }
    assert!(!without.iter().any(|it| it == "sandbox"), "the sandbox is in a build without the demo");
    let binary = fs::read(env!("CARGO_BIN_EXE_bailiwick")).expect("it is built");
    let ci = fs::read_to_string(root().join(".ci/run")).expect("it ships");
    for marker in MARKERS {
        assert!(binary.windows(marker.len()).any(|it| it == marker.as_bytes()), "{marker}");
        assert!(ci.contains(marker), "`.ci/run` looks for {marker}");
    }
}
