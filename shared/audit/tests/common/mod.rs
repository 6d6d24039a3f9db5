//! Entries and logs for tests.

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod collect;
pub(crate) mod forge;
pub(crate) mod frames;
pub(crate) mod victim;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use audit::{Entry, Event, Log, Opened, Options, Transition, VerifyingKey};
use ed25519_dalek::SigningKey;
use serde_json::json;

pub(crate) fn entry(event: Event) -> Entry {
    Entry {
        event,
        server: "code".to_owned(),
        tool: Some("list_commits".to_owned()),
        effect: Some("read"),
        subject: "agent:claude-code person:alice".to_owned(),
        channel: "stdio",
        assurance: "os_user",
        policy: [2; 32],
        call: [1; 32],
        verdict: "permitted",
        outcome: Some("ok"),
        payload: json!({ "arguments": { "limit": 20, "path": "src" } }),
    }
}

/// An intent of the call whose digest is `[1; 32]`.
pub(crate) fn intent() -> Entry {
    Entry { effect: Some("mitigate"), outcome: None, ..entry(Event::Intent) }
}

/// A step, of approval `a1` where it is one of an approval.
pub(crate) fn transition(what: &'static str, step: &'static str) -> Transition {
    Transition {
        what,
        step,
        reference: (what == "approval").then(|| "a1".to_owned()),
        subject: "person:bob".to_owned(),
        channel: "http",
        assurance: "token",
        policy: [2; 32],
        call: [1; 32],
        payload: json!({ "by": "bob", "comment": "go ahead" }),
    }
}

pub(crate) fn open(state: &Path) -> (Log, Opened) {
    Log::open(state, "code", Options::default()).unwrap()
}

/// Opens a log with little room ahead, so that its journal is quickly read.
pub(crate) fn open_small(state: &Path) -> (Log, Opened) {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Log::open(state, "code", options).unwrap()
}

/// A folder in memory where there is one: most tests are about bytes, not about disks.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The journal of a state folder's first log, its last record turned into one that revokes a key, as if an operator had said so.
pub(crate) fn revocation(state: &Path, key: &VerifyingKey, by: &SigningKey) -> Vec<u8> {
    let journal = std::fs::read(state.join("logs/code/0/journal")).unwrap();
    let mut all = frames::frames(&journal);
    let last = all.iter().rposition(|it| it.kind == forge::LEAF).unwrap();
    let index = all.iter().filter(|it| it.kind == forge::LEAF).count() - 1;
    let leaf = format!(
        r#"{{"event":"revoked","index":{index},"reason":"x","revoked":"{key}","time":"2026-11-22T00:00:00Z","trusted":[],"v":1}}"#
    );
    all[last].content = leaf.into_bytes();
    forge::sign_again(&mut all, by);
    frames::rebuild(&all)
}

/// Names the test that a process was started for, and its state folder.
const ROLE: &str = "AUDIT_TEST_ROLE";
const STATE: &str = "AUDIT_TEST_STATE";

/// The state folder, if this process was started to run this test.
pub(crate) fn running_as(role: &str) -> Option<PathBuf> {
    (std::env::var(ROLE).as_deref() == Ok(role)).then(|| std::env::var_os(STATE).unwrap().into())
}

/// A test of this binary in a process of its own.
#[expect(clippy::disallowed_methods, reason = "only a process can be killed")]
pub(crate) fn child(role: &str, state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([role, "--exact", "--nocapture"]).env(ROLE, role).env(STATE, state);
    command
}

/// The same with the signal ignored that comes with the limit on the size of files: an error comes in its place.
#[expect(clippy::disallowed_methods, reason = "a limit on files is a process's own")]
pub(crate) fn child_without_signal(role: &str, state: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ && exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    command.args([role, "--exact", "--nocapture"]).env(ROLE, role).env(STATE, state);
    command
}
