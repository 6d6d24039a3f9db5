//! How many calls, and how much does each cost?

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use audit::{Entry, Event, Log};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    GATED,
    client::Peer,
    echo, gated, rules,
    start::{bare_server, this_program},
    table::{Table, median},
};

const IN_FLIGHT: u64 = 32;
const ROUNDS: usize = 15;
/// How long each side floods in each round: short, so that a moment's work of somebody else troubles all sides alike.
const LASTING: Duration = Duration::from_millis(500);
/// Calls of each side, one after the other, in each round.
const CALLS: usize = 1000;
/// Where a sync costs nothing.
const MEMORY_DISK: &str = "/dev/shm";

/// 32 reads in flight through the gate beside 32 writers on the bare log of the same disk.
pub(crate) fn throughput(table: &mut Table) -> anyhow::Result<()> {
    let (served, written) = (disk()?, disk()?);
    let memory = memory_disk()?;
    let mut on_disk = gated_server(served.path())?;
    let mut in_memory = gated_server(memory.path())?;
    let mut bare = greeted(Peer::start(&mut bare_server()?)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (log, _) = Log::open(written.path(), "echo", audit::Options::default())?;
    let request = echo::request();
    let mut rates = [const { Vec::new() }; 4];
    // The first round warms everything up.
    for round in 0..=ROUNDS {
        let measured = [
            on_disk.flood(&request, IN_FLIGHT, LASTING)?,
            append(&runtime, &log, IN_FLIGHT, LASTING)?,
            in_memory.flood(&request, IN_FLIGHT, LASTING)?,
            bare.flood(&request, IN_FLIGHT, LASTING)?,
        ];
        for (rates, rate) in rates.iter_mut().zip(measured).filter(|_| round > 0) {
            rates.push(rate);
        }
    }
    runtime.block_on(log.close("end of bench"))?;
    [on_disk, in_memory, bare].into_iter().try_for_each(Peer::leave)?;
    let [on_disk, log, in_memory, bare] = &rates;
    table.compared(
        "32 reads in flight; floor: 32 writers on the bare log",
        "/s",
        on_disk,
        log,
        "ratio ≥ 0.6",
    );
    table.compared("the same, log on a memory disk; floor: bare server", "/s", in_memory, bare, "");
    Ok(())
}

/// What policy, record and shaping add to a call, with the log where a sync costs nothing.
pub(crate) fn added(table: &mut Table) -> anyhow::Result<()> {
    let memory = memory_disk()?;
    let mut gated = gated_server(memory.path())?;
    let mut bare = greeted(Peer::start(&mut bare_server()?)?)?;
    let mut times = [const { Vec::new() }; 2];
    for round in 0..=ROUNDS {
        let measured = [one_by_one(&mut gated)?, one_by_one(&mut bare)?];
        for (times, time) in times.iter_mut().zip(measured).filter(|_| round > 0) {
            times.push(time);
        }
    }
    [gated, bare].into_iter().try_for_each(Peer::leave)?;
    let [gated, bare] = &times;
    let figure = format!("one call at a time, {} rules, log on a memory disk", rules::COUNT);
    table.compared(&figure, "µs", gated, bare, "");
    table.added("added by policy, record and shaping", "µs", gated, bare, "≤ 250 µs");
    Ok(())
}

/// The median time of a call, in microseconds.
fn one_by_one(peer: &mut Peer) -> anyhow::Result<f64> {
    let request = echo::request();
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        peer.ask(&request)?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&times))
}

/// Durable records per second by so many writers.
pub(crate) fn append(
    runtime: &Runtime,
    log: &Log,
    writers_at_once: u64,
    lasting: Duration,
) -> anyhow::Result<f64> {
    runtime.block_on(async {
        let started = Instant::now();
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..writers_at_once {
            let log = log.clone();
            writers.spawn(async move {
                let mut written: u64 = 0;
                while started.elapsed() < lasting {
                    log.record(entry()).await?;
                    written += 1;
                }
                Ok::<_, audit::AuditError>(written)
            });
        }
        let mut written = 0;
        while let Some(by_one) = writers.join_next().await {
            written += by_one??;
        }
        Ok(written as f64 / started.elapsed().as_secs_f64())
    })
}

/// What the gate records of the call that everybody is asked.
fn entry() -> Entry {
    let payload = json!({
        "caller": gated::caller(),
        "client": "bench 1",
        "tool": "echo_text",
        "arguments": echo::arguments(),
        "targets": [echo::target()],
        "policies": ["reads", "rule-047", "rule-087"],
        "dry_run": false,
        "result": {
            "shown_bytes": 120,
            "sha256": "0".repeat(64),
            "masked": [],
            "hidden_by_policy": 0,
            "omitted": 0,
        },
    });
    Entry {
        event: Event::Read,
        server: "echo".to_owned(),
        tool: Some("echo_text".to_owned()),
        effect: Some("read"),
        subject: "agent:claude-code person:alice".to_owned(),
        channel: "stdio",
        assurance: "os_user",
        policy: [2; 32],
        call: [1; 32],
        verdict: "permitted",
        outcome: Some("ok"),
        payload,
    }
}

fn gated_server(state: &Path) -> anyhow::Result<Peer> {
    greeted(Peer::start(this_program(GATED)?.arg(state))?)
}

fn greeted(mut peer: Peer) -> anyhow::Result<Peer> {
    peer.greet()?;
    Ok(peer)
}

/// A folder where a sync takes its time: temporary folders may be in memory.
pub(crate) fn disk() -> anyhow::Result<TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// A folder in memory, or on the disk where there is no such thing.
pub(crate) fn memory_disk() -> anyhow::Result<TempDir> {
    let there = PathBuf::from(MEMORY_DISK);
    match there.is_dir() {
        true => Ok(tempfile::tempdir_in(there)?),
        false => {
            eprintln!("no {MEMORY_DISK} here: the log that should be in memory is on the disk");
            disk()
        }
    }
}
