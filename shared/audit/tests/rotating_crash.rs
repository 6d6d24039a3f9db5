//! A change of the signing key that is killed at any moment: there is always one key that logs are opened with, or a change that can
//! be ended; and whoever knows the first key verifies everything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use audit::{AuditError, Event, Log, Operator, Options, key_beside, rotate, verify};
use common::{child, entry, running_as, scratch};

/// Kills in all, and state folders that share them: a verification follows no more than some dozens of keys.
const KILLS: usize = 120;
const FOLDERS: usize = 6;

fn operator() -> Operator {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Operator { subject: "agent:local person:olga".to_owned(), assurance: "os_user", options }
}

/// A process of its own: changes the key once.
#[test]
fn changes() {
    let Some(state) = running_as("changes") else { return };
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n> begun").and_then(|()| out.flush()).unwrap();
    rotate(&state, &operator()).unwrap();
}

/// Starts it and kills it some moment after it began; no moment in particular.
fn kill(state: &Path, round: usize) {
    let mut child = child("changes", state).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|it| it == "> begun").unwrap();
    thread::park_timeout(Duration::from_micros(RandomState::new().hash_one(round) % 12_000));
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn work(state: &Path) -> Result<(), AuditError> {
    let (log, _) = Log::open(state, "code", operator().options)?;
    log.record(entry(Event::Read)).await?;
    log.close("end of test").await
}

#[tokio::test]
async fn a_change_that_is_killed_at_any_moment_leaves_the_old_key_or_ends_with_the_new_one() {
    let mut between = 0;
    for folder in 0..FOLDERS {
        let state = scratch();
        work(state.path()).await.unwrap();
        let first = key_beside(state.path()).unwrap();
        for round in 0..KILLS / FOLDERS {
            kill(state.path(), folder * KILLS + round);
            match work(state.path()).await {
                Ok(()) => {}
                Err(AuditError::Keys { problem, .. }) => {
                    assert!(problem.contains("is being changed"), "{problem}");
                    between += 1;
                    if round % 2 == 0 {
                        rotate(state.path(), &operator()).unwrap();
                        work(state.path()).await.unwrap();
                    }
                }
                Err(error) => panic!("neither key: {error}"),
            }
        }
        rotate(state.path(), &operator()).unwrap();
        work(state.path()).await.unwrap();
        for key in [first, key_beside(state.path()).unwrap()] {
            let report = verify(state.path(), &[key]).unwrap();
            assert!(report.logs.iter().all(|it| it.altered.is_none()), "{report}");
        }
    }
    assert!(between > 0, "some were killed in the midst of it");
}
