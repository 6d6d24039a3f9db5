//! Logs in several processes, some of them killed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Stdio},
};

use audit::{Event, Filter, records, verify};
use common::{child, entry, intent, open, running_as, scratch};

/// Says something to the parent, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n> {line}").and_then(|()| out.flush()).unwrap();
}

fn spawn(role: &str, state: &Path) -> Child {
    child(role, state).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn heard(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|it| it.strip_prefix("> ").map(str::to_owned))
}

/// A process of its own: opens a log, says which, and closes it once its standard input ends.
#[tokio::test]
async fn opens() {
    let Some(state) = running_as("opens") else { return };
    let (log, opened) = open(&state);
    say(&opened.log);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    log.close("end of test").await.unwrap();
}

#[test]
fn sixteen_first_starts_at_once_make_one_key_and_sixteen_logs() {
    let state = scratch();
    let mut children: Vec<_> = (0..16).map(|_| spawn("opens", state.path())).collect();
    let mut lines: Vec<_> = children.iter_mut().map(heard).collect();
    let logs: BTreeSet<_> = lines.iter_mut().map(|it| it.next().unwrap()).collect();
    assert_eq!(logs, (0..16).map(|it| format!("code/{it}")).collect());
    for child in &mut children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    // Verified with the one key that is there.
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!((report.exit_code(), report.logs.len()), (0, 16), "{report}");
}

/// A process of its own: writes reads and effects from eight tasks and says what was acknowledged, until it is killed.
#[tokio::test]
async fn writes() {
    let Some(state) = running_as("writes") else { return };
    let (log, _) = open(&state);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let log = log.clone();
        tasks.spawn(async move {
            loop {
                let read = log.record(entry(Event::Read)).await.unwrap();
                say(&format!("read {}", read.index()));
                let admission = log.admit_effect([1; 32], intent()).await.unwrap();
                let intent = admission.intent().unwrap().index();
                say(&format!("intent {intent}"));
                let outcome = log.record(entry(Event::Outcome { intent })).await.unwrap();
                say(&format!("outcome {}", outcome.index()));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there_and_every_intent_gets_an_outcome() {
    let state = scratch();
    let mut acknowledged = BTreeMap::new();
    for round in 0..8 {
        let mut child = spawn("writes", state.path());
        let mut lines = heard(&mut child);
        let heard: Vec<_> = lines.by_ref().take(40 + 37 * round).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        for line in heard.into_iter().chain(lines) {
            let (event, index) = line.split_once(' ').unwrap();
            let twice = acknowledged.insert(index.parse::<u64>().unwrap(), event.to_owned());
            assert_eq!(twice, None, "round {round}: {index} was acknowledged twice");
        }
    }
    let (log, opened) = open(state.path());
    assert!(opened.taken_over && opened.log == "code/0", "{opened}");
    log.close("end of test").await.unwrap();
    let all = records(state.path(), &Filter::default()).unwrap();
    for (index, event) in &acknowledged {
        assert_eq!(all[*index as usize].leaf["event"], **event, "record {index}");
    }
    let of = |event: &str, field: &str| -> Vec<u64> {
        let those = all.iter().filter(|it| it.leaf["event"] == event);
        let mut indices: Vec<_> = those.map(|it| it.leaf[field].as_u64().unwrap()).collect();
        indices.sort();
        indices
    };
    assert_eq!(of("intent", "index"), of("outcome", "intent"), "one outcome each");
    let report = verify(state.path(), &[]).unwrap();
    assert_eq!(report.exit_code(), 0, "{report}");
}
