//! A search of 1 GB of source in a packed repository, beside ripgrep over the same files on the disk and git over the same
//! packs. ripgrep reads what it searches; whoever searches a packed revision has to inflate it first, which takes several
//! times as long as a search for a word: `git grep` is the floor of that.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Asked,
    import::{Import, Numbers},
    median,
};

const FILES: usize = 65_536;
const FILE_BYTES: usize = 16 * 1024;
const ROUNDS: usize = 5;
const FILTERS_WITHIN: Duration = Duration::from_secs(300);
/// Stands in one file alone, at its end.
const NEEDLE: &str = "needle_of_the_haystack";
const WORDS: [&str; 32] = [
    "let", "mut", "self", "return", "match", "value", "request", "response", "error", "timeout", "retry",
    "order", "payment", "cart", "user", "session", "config", "index", "buffer", "stream", "handle", "client",
    "server", "total", "amount", "currency", "if", "else", "for", "while", "struct", "impl",
];
const MARKS: [&str; 8] = [" ", " ", "(", ") ", ".", ", ", " = ", ";\n    "];

pub(crate) fn measure() -> anyhow::Result<()> {
    let has_rg =
        Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok_and(|it| it.success());
    if !has_rg {
        println!(
            "| search_code | skipped: ripgrep (`rg`) is not installed, so there is no floor | | | ratio ≤ 3 |"
        );
        return Ok(());
    }
    let (folder, path) = make()?;
    let plain = folder.path().join("plain");
    compare("never searched before", &Asked::of(&path)?, &plain, &path)?;
    let cache = folder.path().join("cache");
    let asked = Asked::filtering(&path, &cache)?;
    make_filters(&asked, &cache)?;
    compare("searched before", &asked, &plain, &path)
}

/// The three patterns, by all three.
fn compare(when: &str, asked: &Asked, plain: &Path, path: &Path) -> anyhow::Result<()> {
    for (what, pattern) in [
        ("a word that stands once", NEEDLE),
        ("a regex, few matches", r"fn f1234\d_\w+\("),
        ("a regex without a literal", r"\b\w+_of_\w+_haystack\b"),
    ] {
        let (mut ours, mut rg, mut git) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=ROUNDS {
            let (answer, taken) = asked.call("search_code", &json!({ "pattern": pattern }))?;
            let files = [ripgrep(plain, pattern, &mut rg)?, git_grep(path, pattern, &mut git)?];
            ensure!(
                files.iter().all(|it| answer["files"] == *it) && answer["searched"] == FILES,
                "all find the same: {answer:?}, {files:?}"
            );
            ours.push(taken);
        }
        let what = format!("{when}: {what}");
        tell(&what, "rg, files on the disk", "ratio ≤ 3", &ours, &rg);
        tell(&what, "git grep, the same packs", "none set", &ours, &git);
    }
    Ok(())
}

/// Searches once, and waits for the filters that are made of it.
fn make_filters(asked: &Asked, cache: &Path) -> anyhow::Result<()> {
    let kept = || {
        let files = fs::read_dir(cache.join("search")).into_iter().flatten().filter_map(Result::ok);
        files.map(|it| it.path()).find(|it| it.extension().is_some_and(|it| it == "grams"))
    };
    asked.call("search_code", &json!({ "pattern": NEEDLE }))?;
    let started = Instant::now();
    let path = testkit::wait_until("filters", FILTERS_WITHIN, kept);
    let bytes = path.metadata()?.len();
    println!(
        "| search_code in 1 GB: its filters, made once by one thread | {:.1} s, {} MB | | | none set |",
        started.elapsed().as_secs_f64(),
        bytes / 1_000_000
    );
    Ok(())
}

/// A line of the table; the first round only filled the page cache.
fn tell(what: &str, beside: &str, aim: &str, ours: &[f64], floor: &[f64]) {
    let ratios: Vec<f64> = ours[1..].iter().zip(&floor[1..]).map(|(ours, floor)| ours / floor).collect();
    println!(
        "| search_code in 1 GB: {what}; floor: {beside} | {:.2} s | {:.2} s | {:.2} | {aim} |",
        median(&ours[1..]) / 1e3,
        median(&floor[1..]) / 1e3,
        median(&ratios)
    );
}

/// Files with matches by ripgrep.
fn ripgrep(plain: &Path, pattern: &str, times: &mut Vec<f64>) -> anyhow::Result<usize> {
    let started = Instant::now();
    let said = Command::new("rg")
        .args(["--no-config", "--line-number", pattern, "."])
        .current_dir(plain)
        .output()?;
    times.push(started.elapsed().as_secs_f64() * 1e3);
    Ok(files(&said.stdout, 0))
}

/// Files with matches by git, which knows these classes only as Perl writes them.
fn git_grep(bare: &Path, pattern: &str, times: &mut Vec<f64>) -> anyhow::Result<usize> {
    let started = Instant::now();
    let said = Command::new("git")
        .arg(format!("--git-dir={}", bare.display()))
        .args(["grep", "--line-number", "--perl-regexp", pattern, "main"])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()?;
    times.push(started.elapsed().as_secs_f64() * 1e3);
    Ok(files(&said.stdout, 1))
}

/// How many files lines of `…:file:number:text` speak of, with so many parts before the file.
fn files(said: &[u8], before: usize) -> usize {
    let text = String::from_utf8_lossy(said);
    let mut files: Vec<&str> = text.lines().filter_map(|it| it.split(':').nth(before)).collect();
    files.sort_unstable();
    files.dedup();
    files.len()
}

/// The same files packed in a bare repository and plain on the disk.
fn make() -> anyhow::Result<(TempDir, PathBuf)> {
    let mut import = Import::start()?;
    let plain = import.folder.path().join("plain");
    let mut numbers = Numbers(11);
    let who = "Ann <ann@example.com> 1760000000 +0000";
    write!(import.stream, "commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata 1\nx\n")?;
    for file in 0..FILES {
        let path = format!("src/m{:03}/f{file}.rs", file / 256);
        let text = text(file, &mut numbers);
        write!(import.stream, "M 100644 inline {path}\ndata {}\n", text.len())?;
        import.stream.write_all(text.as_bytes())?;
        import.stream.write_all(b"\n")?;
        let path = plain.join(path);
        fs::create_dir_all(path.parent().context("files stand in folders")?)?;
        fs::write(path, text)?;
    }
    import.finish()
}

fn text(file: usize, numbers: &mut Numbers) -> String {
    let mut text = format!("fn f{file}_{}() {{\n    ", WORDS[file % WORDS.len()]);
    while text.len() < FILE_BYTES {
        text.push_str(WORDS[numbers.below(WORDS.len())]);
        if numbers.below(3) == 0 {
            text.push_str(&format!("_{}", numbers.below(10_000)));
        }
        text.push_str(MARKS[numbers.below(MARKS.len())]);
    }
    text.push_str("\n}\n");
    if file == FILES / 2 {
        text.push_str(NEEDLE);
        text.push('\n');
    }
    text
}
