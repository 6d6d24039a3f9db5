//! How does somebody else's agent get into the same production? It stays up, and client configurations point to it.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use sandbox::Plan;
use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::{family::Server, say};

/// What to ask first.
const PROMPT: &str = "You are on call for the shop. Something fires. Find out what moved first and which change brought it \
                      about, say what you may do about it, and end with a finding that names its receipts.";

/// Starts the production, writes what reaches it, and waits for ctrl-c or SIGTERM.
pub(super) async fn until_interrupted(plan: Plan, folder: Option<&Path>) -> anyhow::Result<()> {
    // Gone with the production, unless somebody named it.
    let own = tempfile::tempdir()?;
    let folder = folder.unwrap_or(own.path());
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let taken = fs::read_dir(folder)?.next().is_some();
    ensure!(!taken, "{} is not empty; name a new folder", folder.display());
    let stage = Stage::set(folder, plan, None).await?;
    write(&stage)?;
    let (place, program) = (stage.folder().display(), stage.program().display());
    say::line(&format!(
        "a small production runs here until ctrl-c (seed {}).\n\n  \
         cd {place}\n  \
         claude                  # Claude Code reads .mcp.json; Cursor reads .cursor/mcp.json\n\n\
         A first prompt:\n\n  {PROMPT}\n\n\
         By hand:\n\n  \
         {program} call observability list_alerts --config {place}/bailiwick.toml\n  \
         {program} audit tail --config {place}/bailiwick.toml",
        plan.seed()
    ))?;
    interrupted().await
}

/// Writes the configuration of each client.
fn write(stage: &Stage) -> anyhow::Result<()> {
    let program = stage.program().to_str().context("the path of this program is not UTF-8")?;
    let mut servers = Map::new();
    for server in Server::ALL {
        let entry = json!({ "command": program, "args": stage.serve(server)? });
        servers.insert(server.word().to_owned(), entry);
    }
    let text = serde_json::to_string_pretty(&json!({ "mcpServers": Value::Object(servers) }))? + "\n";
    fs::create_dir_all(stage.folder().join(".cursor"))?;
    fs::write(stage.folder().join(".mcp.json"), &text)?;
    fs::write(stage.folder().join(".cursor/mcp.json"), &text)?;
    Ok(())
}

async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
