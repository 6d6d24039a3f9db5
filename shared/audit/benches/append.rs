//! How fast are durable records? 64 writers on one log against a write and a sync per record on the same disk, in one
//! run; what publishing takes from that; the cost of a record without a disk; and how long a start takes.
//! `cargo bench -p audit`.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use audit::{Entry, Event, Log, Options, Publishing};
use serde_json::json;
use tokio::runtime::Runtime;

const WRITERS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| tempfile::tempdir())?;
    let (mut alone, mut shared, mut single) = (Vec::new(), Vec::new(), Vec::new());
    let (log, _) = Log::open(disk.path(), "bench", Options::default()).expect("an empty folder");
    for _ in 0..ROUNDS {
        // In turns, so that a busy machine is busy for both.
        alone.push(sync_each(disk.path())?);
        shared.push(rate(&runtime, &log, WRITERS));
        single.push(rate(&runtime, &log, 1));
    }
    runtime.block_on(log.close("end of bench")).expect("it is open");
    let (alone, shared, single) = (median(alone), median(shared), median(single));
    writeln!(out, "disk: a sync per record      {alone:>9.0} records/s")?;
    writeln!(out, "disk: log, {WRITERS} writers       {shared:>9.0} records/s   {:.1} x", shared / alone)?;
    writeln!(out, "disk: log, 1 writer         {single:>9.0} records/s   {:.2} ms each", 1e3 / single)?;
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let (log, _) = Log::open(memory.path(), "bench", Options::default()).expect("an empty folder");
        let many = median((0..ROUNDS).map(|_| rate(&runtime, &log, WRITERS)).collect());
        let one = median((0..ROUNDS).map(|_| rate(&runtime, &log, 1)).collect());
        writeln!(
            out,
            "memory: log, {WRITERS} writers     {many:>9.0} records/s   {:.1} us each",
            1e6 / many
        )?;
        writeln!(out, "memory: log, 1 writer       {one:>9.0} records/s   {:.1} us each", 1e6 / one)?;
        runtime.block_on(log.close("end of bench")).expect("it is open");
        starts(&mut out, &runtime, memory.path(), "memory")?;
        published(&mut out, &runtime, memory.path().parent().expect("a folder within another"), "memory")?;
    }
    published(&mut out, &runtime, disk.path(), "disk")?;
    starts(&mut out, &runtime, disk.path(), "disk")
}

/// What publishing takes from the rate: one log with it and one without, in turns, so that a busy machine is busy for both.
fn published(out: &mut impl Write, runtime: &Runtime, parent: &Path, name: &str) -> std::io::Result<()> {
    let (on, off) = (tempfile::tempdir_in(parent)?, tempfile::tempdir_in(parent)?);
    let silent =
        Options { publishing: Publishing { every: None, ..Publishing::default() }, ..Options::default() };
    let (with, _) = Log::open(on.path(), "bench", Options::default()).expect("an empty folder");
    let (without, _) = Log::open(off.path(), "bench", silent).expect("an empty folder");
    let (mut many, mut one) = (Vec::new(), Vec::new());
    let (mut on_cost, mut off_cost) = (Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        on_cost.push(cost(runtime, &with));
        off_cost.push(cost(runtime, &without));
        let ratio = |writers| {
            // Either first as often as the other.
            let (first, second) = if round % 2 == 0 { (&with, &without) } else { (&without, &with) };
            let (first, second) = (rate(runtime, first, writers), rate(runtime, second, writers));
            if round % 2 == 0 { first / second } else { second / first }
        };
        many.push(ratio(WRITERS));
        one.push(ratio(1));
    }
    let behind = with.published().first().map_or(0, |it| it.size);
    let begun = Instant::now();
    runtime.block_on(with.close("end of bench")).expect("it is open");
    let closing = begun.elapsed().as_secs_f64();
    let size = with.published().first().map_or(0, |it| it.size);
    runtime.block_on(without.close("end of bench")).expect("it is open");
    let (many, one) = (median(many), median(one));
    let (on_cost, off_cost) = (median(on_cost), median(off_cost));
    writeln!(
        out,
        "{name}: a record costs       {on_cost:.1} us of processor time published, {off_cost:.1} us not   {:.2} x",
        on_cost / off_cost
    )?;
    writeln!(
        out,
        "{name}: published / not      {many:.2} with {WRITERS} writers, {one:.2} with 1; {} of {size} records were left at \
         the close, which took {:.0} ms",
        size - behind,
        1e3 * closing
    )
}

/// Microseconds of processor time that this process spends on a record, until it is published where it is: what a busy
/// machine changes least.
fn cost(runtime: &Runtime, log: &Log) -> f64 {
    let spent = || -> f64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<f64> = stat.split(' ').skip(13).take(2).filter_map(|it| it.parse().ok()).collect();
        // In hundredths of a second, on Linux.
        fields.iter().sum::<f64>() / 100.0
    };
    let begun = (Instant::now(), spent());
    let count = rate(runtime, log, WRITERS) * begun.0.elapsed().as_secs_f64();
    let last = runtime.block_on(log.heartbeat()).expect("it is open").index();
    let deadline = Instant::now() + Duration::from_secs(30);
    while log.published().first().is_some_and(|it| it.size <= last) {
        assert!(Instant::now() < deadline, "published in time");
        std::thread::sleep(Duration::from_millis(20));
    }
    1e6 * (spent() - begun.1) / count
}

/// How long opening takes: a new state folder, a log of one start, the log that the bench filled.
fn starts(out: &mut impl Write, runtime: &Runtime, filled: &Path, name: &str) -> std::io::Result<()> {
    let parent = filled.parent().expect("a folder within another");
    let (mut first, mut short, mut long) = (Vec::new(), Vec::new(), Vec::new());
    let mut records = 0;
    for _ in 0..ROUNDS {
        let state = tempfile::tempdir_in(parent)?;
        first.push(start(runtime, state.path()).0);
        short.push(start(runtime, state.path()).0);
        let (seconds, size) = start(runtime, filled);
        long.push(seconds);
        records = size;
    }
    let [first, short, long] = [first, short, long].map(|it| 1e3 * median(it));
    writeln!(
        out,
        "{name}: start {first:.1} ms first, {short:.1} ms short, {long:.1} ms with {records} records"
    )
}

fn start(runtime: &Runtime, state: &Path) -> (f64, u64) {
    let begun = Instant::now();
    let (log, opened) = Log::open(state, "bench", Options::default()).expect("a log of ours");
    let seconds = begun.elapsed().as_secs_f64();
    runtime.block_on(log.close("end of bench")).expect("it is open");
    (seconds, opened.size)
}

/// Records per second that a plain file takes, one sync each.
fn sync_each(folder: &Path) -> std::io::Result<f64> {
    let mut file = File::create(folder.join("plain"))?;
    let record = vec![b'x'; 1024];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < ROUND {
        file.write_all(&record)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Records per second that so many writers get acknowledged.
fn rate(runtime: &Runtime, log: &Log, writers: usize) -> f64 {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let log = log.clone();
            runtime.spawn(async move {
                let mut count = 0;
                while begun.elapsed() < ROUND {
                    log.record(entry()).await.expect("it is open");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: u32 = tasks.into_iter().map(|it| runtime.block_on(it).expect("no panic")).sum();
    f64::from(count) / begun.elapsed().as_secs_f64()
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
        payload: json!({ "arguments": { "path": "src", "limit": 20 }, "question": "x".repeat(600) }),
    }
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
