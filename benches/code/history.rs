//! A window and a trace in a history of 200,000 commits.

use std::io::Write;

use anyhow::ensure;
use serde_json::json;

use crate::{
    Asked,
    import::{Import, Numbers},
    median,
};

const COMMITS: usize = 200_000;
const FILES: usize = 2_000;
/// The first commit; one follows each minute.
const FIRST_S: i64 = 1_760_000_000;
const ROUNDS: usize = 9;
/// The file whose lines are traced: most were written by the first commit.
const TRACED: &str = "src/f00/traced.rs";

pub(crate) fn measure() -> anyhow::Result<()> {
    let (_folder, path) = make()?;
    let asked = Asked::of(&path)?;
    let last = FIRST_S + 60 * (COMMITS as i64 - 1);
    let day = format!("{}/{}", time(last - 86_400), time(last));
    let mut times = Vec::new();
    for _ in 0..=ROUNDS {
        let (answer, taken) = asked.call("list_commits", &json!({ "window": day }))?;
        ensure!(answer["seen"] == 1_441, "a day has 1,441 commits: {}", answer["seen"]);
        times.push(taken);
    }
    println!(
        "| list_commits, the last day of 200,000 commits | {:.0} ms | | | ≤ 300 ms |",
        median(&times[1..])
    );
    let lines = json!({ "at": format!("{TRACED}:1-5") });
    let mut times = Vec::new();
    let mut left = String::new();
    for _ in 0..3 {
        let (answer, taken) = asked.call("trace_lines", &lines)?;
        times.push(taken);
        left = answer.get("not_looked_at").map_or("nothing left".to_owned(), ToString::to_string);
        ensure!(answer["rows"][0][5] == "change 199000", "the newest change comes first: {answer:?}");
    }
    println!(
        "| trace_lines back to the first of 200,000 commits; {left} | {:.1} s | | | says what it left |",
        median(&times) / 1e3
    );
    Ok(())
}

fn make() -> anyhow::Result<(tempfile::TempDir, std::path::PathBuf)> {
    let mut import = Import::start()?;
    let mut numbers = Numbers(7);
    let out = &mut import.stream;
    for commit in 0..COMMITS {
        let who = format!("Ann <ann@example.com> {} +0000", FIRST_S + 60 * commit as i64);
        let message = format!("change {commit}");
        writeln!(out, "commit refs/heads/main\nmark :1\nauthor {who}\ncommitter {who}")?;
        write!(out, "data {}\n{message}\n", message.len())?;
        if commit > 0 {
            writeln!(out, "from :1")?;
        }
        if commit == 0 || commit == 199_000 {
            let third = if commit == 0 { "three" } else { "changed" };
            let text = format!("one\ntwo\n{third}\nfour\nfive\n");
            write!(out, "M 100644 inline {TRACED}\ndata {}\n{text}\n", text.len())?;
        }
        let file = numbers.below(FILES);
        let text = format!("fn f{file}() {{ {commit} }}\n");
        write!(out, "M 100644 inline src/f{:02}/{file}.rs\ndata {}\n{text}\n", file % 40, text.len())?;
    }
    import.finish()
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|it| it.to_string()).unwrap_or_default()
}
