//! How long does it take to verify a log, and in how much memory? A million records (or as many as are named), against
//! SHA-256 over the same bytes in the same run. `cargo bench -p audit --bench verify -- 100000`.

#![expect(clippy::disallowed_methods, reason = "only a process of its own has a memory of its own")]

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use audit::{Anchor, Entry, Event, Log, Options, Verification, VerifyingKey};
use serde_json::json;
use sha2::{Digest, Sha256};

const RECORDS: u64 = 1_000_000;
const WRITERS: u64 = 64;
const ROUNDS: usize = 3;
/// Names the state folder to a process that only verifies.
const STATE: &str = "AUDIT_BENCH_STATE";

fn main() -> std::io::Result<()> {
    if let Some(state) = std::env::var_os(STATE) {
        return verify(Path::new(&state));
    }
    let mut out = std::io::stdout().lock();
    let records = std::env::args().find_map(|it| it.parse().ok()).unwrap_or(RECORDS);
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| tempfile::tempdir())?;
    write_log(disk.path(), records)?;
    let log = disk.path().join("logs/bench/0");
    let journal = files(&log, "journal")?;
    let bytes = hash(&journal)?.1;
    let (mut hashing, mut verifying, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        // In turns, so that a busy machine is busy for both.
        hashing.push(hash(&journal)?.0);
        let told = Command::new(std::env::current_exe()?).env(STATE, disk.path()).output()?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut told = told.split_whitespace().filter_map(|it| it.parse::<f64>().ok());
        verifying.push(told.next().expect("seconds"));
        memory = memory.max(told.next().expect("megabytes"));
    }
    let (hashing, verifying) = (median(hashing), median(verifying));
    let megabytes = bytes as f64 / 1e6;
    writeln!(out, "{records} records, {megabytes:.0} MB of journal")?;
    writeln!(out, "SHA-256 of the journal   {hashing:>7.2} s   {:>6.0} MB/s", megabytes / hashing)?;
    writeln!(
        out,
        "audit verify             {verifying:>7.2} s   {:>6.0} MB/s   {:.1} x, {memory:.0} MB of memory",
        megabytes / verifying,
        verifying / hashing
    )
}

/// Verifies with the key and an anchor, as an auditor does, and tells how long it took and how much memory.
fn verify(state: &Path) -> std::io::Result<()> {
    let key: VerifyingKey = audit::key_beside(state).expect("a state folder");
    let anchor = Anchor::parse("bench", &audit::heads(state).expect("a log").to_string()).expect("heads");
    let begun = Instant::now();
    let with = Verification { keys: vec![key], anchors: vec![anchor], ..Verification::default() };
    let report = with.run(state).expect("it can be read");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(report.exit_code(), 0, "{report}");
    let status = fs::read_to_string("/proc/self/status")?;
    let peak =
        status.lines().find_map(|it| it.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    writeln!(std::io::stdout(), "{seconds} {}", peak.unwrap_or(0.0) / 1024.0)
}

fn write_log(state: &Path, records: u64) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (log, _) = Log::open(state, "bench", Options::default()).expect("an empty folder");
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let log = log.clone();
            runtime.spawn(async move {
                for _ in (writer..records.saturating_sub(2)).step_by(WRITERS as usize) {
                    log.record(entry()).await.expect("it is open");
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|it| runtime.block_on(it).expect("no panic"));
    runtime.block_on(log.close("end of bench")).expect("it is open");
    Ok(())
}

/// Files of a folder whose names begin so.
fn files(folder: &Path, begins: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|it| it.path()).collect();
    found.retain(|it| it.file_name().and_then(|it| it.to_str()).is_some_and(|it| it.starts_with(begins)));
    found.sort();
    Ok(found)
}

/// Seconds that hashing takes, and how many bytes there are.
fn hash(files: &[PathBuf]) -> std::io::Result<(f64, u64)> {
    let (begun, mut bytes, mut block) = (Instant::now(), 0, vec![0; 256 * 1024]);
    for path in files {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        loop {
            let got = file.read(&mut block)?;
            if got == 0 {
                break;
            }
            hash.update(&block[..got]);
            bytes += got as u64;
        }
        std::hint::black_box(hash.finalize());
    }
    Ok((begun.elapsed().as_secs_f64(), bytes))
}

fn entry() -> Entry {
    Entry {
        event: Event::Read,
        server: "code".to_owned(),
        tool: Some("list_commits".to_owned()),
        effect: Some("read"),
        subject: "agent:bench person:alice".to_owned(),
        channel: "stdio",
        assurance: "os_user",
        policy: [2; 32],
        call: [1; 32],
        verdict: "permitted",
        outcome: Some("ok"),
        payload: json!({ "arguments": { "path": "src", "limit": 20 }, "question": "x".repeat(300) }),
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
