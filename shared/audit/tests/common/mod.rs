//! Entries and logs for tests.

#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod frames;

use std::path::Path;

use audit::{Entry, Event, Log, Opened, Options};
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

pub(crate) fn open(state: &Path) -> (Log, Opened) {
    Log::open(state, "code", Options::default()).unwrap()
}

/// Opens a log with little room ahead, so that its journal is quickly read.
pub(crate) fn open_small(state: &Path) -> (Log, Opened) {
    let options = Options { chunk_bytes: 1024, reserve_bytes: 0, ..Options::default() };
    Log::open(state, "code", options).unwrap()
}
