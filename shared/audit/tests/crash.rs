//! A process that is killed at any moment, a thousand times, while it writes, turns to new segments, publishes and drops old
//! ones: nothing that it acknowledged is lost, and nothing had an effect without an intent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use audit::{Event, Filter, Log, Options, Payload, Publishing, records, verify};
use common::{child, entry, intent, running_as, scratch};

/// Kills in all, and logs that share them.
const KILLS: usize = 1000;
const LOGS: usize = 2;

fn options() -> Options {
    let every = Some(Duration::from_millis(5));
    let publishing = Publishing { every, keep_segments: Some(1), ..Publishing::default() };
    Options { publishing, chunk_bytes: 4096, reserve_bytes: 0, segment_bytes: 48 << 10, ..Options::default() }
}

/// Says something to the parent, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n> {line}").and_then(|()| out.flush()).unwrap();
}

/// A process of its own: writes from eight tasks and says what was acknowledged and what it did, until it is killed.
#[tokio::test]
async fn works() {
    let Some(state) = running_as("works") else { return };
    let (log, opened) = Log::open(&state, "code", options()).unwrap();
    say(&format!("open {}", opened.size - 1));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let log = log.clone();
        tasks.spawn(async move {
            loop {
                let read = log.record(entry(Event::Read)).await.unwrap();
                say(&format!("read {}", read.index()));
                let admission = log.admit_effect([1; 32], intent()).await.unwrap();
                let intent = admission.intent().unwrap().index();
                say(&format!("effect {intent}"));
                let outcome = log.record(entry(Event::Outcome { intent })).await.unwrap();
                say(&format!("outcome {}", outcome.index()));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Starts the process again and again and kills it: at any moment of its start, or after so many lines. Gives what it said.
fn kill_often(state: &Path, kills: usize) -> Vec<(String, u64)> {
    let mut said = Vec::new();
    for round in 0..kills {
        let chance = RandomState::new().hash_one(round);
        let mut child = child("works", state).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.filter_map(|it| it.strip_prefix("> ").map(str::to_owned));
        let mut heard: Vec<String> = Vec::new();
        if chance % 4 == 0 {
            // Not to wait for anything: to be early, at no moment in particular.
            thread::park_timeout(Duration::from_micros(chance % 40_000));
        } else {
            heard.extend(lines.by_ref().take(1 + (chance / 4 % 60) as usize));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What had left before counts too; only a whole line was said.
        heard.extend(lines);
        let parsed = heard.iter().filter_map(|it| it.split_once(' '));
        said.extend(parsed.filter_map(|(event, index)| Some((event.to_owned(), index.parse().ok()?))));
    }
    said
}

#[test]
fn a_thousand_kills_lose_nothing_that_was_acknowledged() {
    let logs: Vec<_> = thread::scope(|scope| {
        let run = || {
            let state = scratch();
            let said = kill_often(state.path(), KILLS / LOGS);
            (state, said)
        };
        let threads: Vec<_> = (0..LOGS).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (state, said) in logs {
        judge(state.path(), &said);
    }
}

fn judge(state: &Path, said: &[(String, u64)]) {
    let (log, opened) = Log::open(state, "code", options()).unwrap();
    assert!(opened.taken_over && opened.log == "code/0", "{opened}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.close("end of test")).unwrap();
    let all = records(state, &Filter::default()).unwrap();
    assert!(all.iter().enumerate().all(|(at, it)| it.index == at as u64), "every record, in order");
    let mut acknowledged: BTreeMap<u64, &str> = BTreeMap::new();
    for (event, index) in said {
        let event = match event.as_str() {
            "open" => "start",
            "effect" => "intent",
            other => other,
        };
        assert_eq!(acknowledged.insert(*index, event), None, "{index} was acknowledged twice");
        assert_eq!(all[*index as usize].leaf["event"], event, "record {index}");
    }
    assert!(acknowledged.len() > said.len() / 2 && said.len() > KILLS, "{} lines", said.len());
    let of = |event: &str, field: &str| -> Vec<u64> {
        let those = all.iter().filter(|it| it.leaf["event"] == event);
        let mut indices: Vec<_> = those.map(|it| it.leaf[field].as_u64().unwrap()).collect();
        indices.sort();
        indices
    };
    assert_eq!(of("intent", "index"), of("outcome", "intent"), "one outcome each");
    let folder = state.join("logs/code/0");
    assert!(
        !folder.join("journal").exists() && folder.join("payloads/000").exists(),
        "segments were dropped"
    );
    let report = verify(state, &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
    let readable = |it: &Payload| matches!(it, Payload::None | Payload::Opened(_));
    assert!(all.iter().all(|it| readable(&it.payload)), "every payload opens, or there is none");
}
