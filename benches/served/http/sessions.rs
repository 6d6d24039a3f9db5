//! How much memory do open sessions take? Those of clients before 2026-07-28, which has none.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::http;

use super::{Extent, Issuer, PATH, Server};
use crate::{load::memory_disk, table::Table};

/// Revision of the protocol with sessions.
const VERSION: &str = "2025-11-25";

pub(super) fn measure(extent: &Extent, issuer: &Issuer, table: &mut Table) -> anyhow::Result<()> {
    let memory = memory_disk()?;
    let token = issuer.token()?;
    let gated = opened(&Server::gated(memory.path(), issuer)?, extent.sessions, &token)?;
    let bare = opened(&Server::bare()?, extent.sessions, &token)?;
    let count = extent.sessions;
    table.compared("RSS with one session open; floor: bare server", "MB", &[gated.one], &[bare.one], "");
    let figure = format!("RSS with {count} sessions open; floor: bare server");
    table.compared(&figure, "MB", &[gated.all], &[bare.all], "");
    let each = |it: &Memory| (it.all - it.one) * 1024.0 / (count - 1) as f64;
    table.compared("a session more; floor: bare server", "KB", &[each(&gated)], &[each(&bare)], "");
    Ok(())
}

/// Resident memory, in MB.
struct Memory {
    one: f64,
    all: f64,
}

/// Opens sessions and leaves them open, as clients do that are idle.
fn opened(server: &Server, count: usize, token: &str) -> anyhow::Result<Memory> {
    // Policy and key are looked at for the first time.
    open(server, token)?;
    let one = server.memory_mb()?;
    for _ in 1..count {
        open(server, token)?;
    }
    Ok(Memory { one, all: server.memory_mb()? })
}

/// What a client does first, and one list of tools.
fn open(server: &Server, token: &str) -> anyhow::Result<()> {
    let hello = json!({
        "protocolVersion": VERSION, "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" }
    });
    let begun = post(server, token, None, &message(Some(1), "initialize", &hello))?;
    ensure!(begun.status == 200, "no session: {begun:?}");
    let session = begun.header("mcp-session-id").context("a session has an id")?.to_owned();
    let ready = message(None, "notifications/initialized", &json!({}));
    let told = post(server, token, Some(&session), &ready)?;
    ensure!(told.status == 202, "{told:?}");
    let listed = post(server, token, Some(&session), &message(Some(2), "tools/list", &json!({})))?;
    ensure!(listed.status == 200 && listed.body.contains("echo_text"), "{listed:?}");
    Ok(())
}

fn message(id: Option<u64>, method: &str, params: &Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message
}

fn post(
    server: &Server,
    token: &str,
    session: Option<&str>,
    message: &Value,
) -> anyhow::Result<http::Response> {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("Authorization", bearer.as_str()),
    ];
    if let Some(session) = session {
        headers.extend([("Mcp-Session-Id", session), ("MCP-Protocol-Version", VERSION)]);
    }
    Ok(http::send_with(server.address, "POST", PATH, &headers, message.to_string().as_bytes())?)
}
