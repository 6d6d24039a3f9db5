//! `bailiwick call`: one call through the same gate, for scripts and CI jobs.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use config::Config;
use gate::{Gate, Hindrance, Refusal, Reply, Request};
use identity::Scopes;
use mcp::Starter;
use policy::Channel;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tool::{Effect, Profile, ToolError};

use crate::{
    UNUSABLE, USAGE,
    family::{self, Server},
    login, notify, open, say,
};

/// Call one tool: data on stdout as JSON, text for people on stderr
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick call code list_commits window=7d path=src\n  \
                        bailiwick call observability query_metrics query='up == 0'\n  \
                        bailiwick call observability silence_alert dry_run=true matchers='[\"alertname=\\\"Noise\\\"\"]' \
                        duration_minutes=60 reason='noise during the move'\n  \
                        bailiwick call observability plot_metrics query=up window=6h --image up.png\n  \
                        bailiwick call code read_file path=README.md | jq -r .result.text\n\n\
                        Exit codes: 0 done, 1 tool failed, 2 bad usage or arguments, 3 denied, 4 approval required,\n\
                        5 not recorded or server unusable.")]
pub(crate) struct Call {
    /// Server that has the tool
    #[arg(value_enum)]
    pub(crate) server: Server,
    /// Tool, e.g. list_commits
    pub(crate) tool: String,
    /// Arguments as one JSON object
    #[arg(long, value_name = "ARGS", conflicts_with = "pairs")]
    json: Option<String>,
    /// File for the image that the tool draws, if it draws one
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,
    /// Arguments as key=value; text, numbers, true and false by the tool's schema, lists as JSON
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

pub(crate) fn run(call: Call, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let arguments = match arguments(&call) {
        Ok(arguments) => arguments,
        Err(problem) => {
            say::note(&format!("bailiwick: {problem:#}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    // Opened before anything runs: what was done is never told as a failure to write down what it drew.
    let mut image = match call.image.as_deref().map(Image::open).transpose() {
        Ok(image) => image,
        Err(problem) => {
            say::note(&format!("bailiwick: --image: {}", say::clean(&format!("{problem:#}"))));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let config = open::configuration(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let called = runtime.block_on(through_gate(&call, arguments, &config))?;
    let (gate, reply, code) = match called {
        Ok(called) => called,
        Err(problem) => {
            runtime.shutdown_background();
            say::note(&format!("bailiwick: {problem}"));
            return Ok(ExitCode::from(DENIED));
        }
    };
    let told = print(&reply).and_then(|()| draw(&reply, image.as_mut()));
    // The answer is out by now: whoever is slow to be told holds up nobody who waits for it.
    runtime.block_on(notify::briefly(&config, &gate));
    runtime.shutdown_background();
    // The call ended as it ended; who only reads the exit code learns that some of the answer is missing.
    Ok(ExitCode::from(told.map_or_else(
        |problem| {
            say::note(&format!("bailiwick: {}", say::clean(&format!("{problem:#}"))));
            code.max(1)
        },
        |()| code,
    )))
}

/// The call through the gate and how it ended, or why the caller's token does not reach as far.
async fn through_gate(
    call: &Call,
    arguments: Map<String, Value>,
    config: &Config,
) -> anyhow::Result<Result<(Arc<Gate>, Reply, u8), String>> {
    let Starter { caller, scopes } = login::starter(config).await?;
    let policy = open::in_force(config)?;
    let gate = open::gate(config, &policy, &[call.server], Profile::All, Channel::Cli)?;
    if !scopes.act && has_effect(call) {
        let problem = format!("the token lacks a scope; needed: {} {}", Scopes::READ, Scopes::ACT);
        gate.reject(&caller, Channel::Cli, &problem).await;
        gate.drain(DRAIN).await;
        return Ok(Err(problem));
    }
    let request = Request {
        caller,
        channel: Channel::Cli,
        client: None,
        tool: call.tool.clone(),
        arguments,
        cancelled: cancelled_by_signal(),
    };
    let reply = gate.call(request).await;
    gate.drain(DRAIN).await;
    let code = exit_code(&reply);
    Ok(Ok((gate, reply, code)))
}

/// Longest wait for what outlives the call.
const DRAIN: Duration = Duration::from_secs(30);
/// Exit code for what policy or a token does not allow.
const DENIED: u8 = 3;

/// Whether the tool does more than read.
fn has_effect(call: &Call) -> bool {
    let definitions = family::definitions(&[call.server], Profile::All);
    definitions.iter().any(|it| it.name == call.tool && it.effect != Effect::Read)
}

fn exit_code(reply: &Reply) -> u8 {
    match &reply.refusal {
        None => 0,
        Some(Refusal::UnknownTool { .. } | Refusal::Arguments(_)) => USAGE,
        Some(
            Refusal::Unresolved(
                ToolError::NotFound { .. } | ToolError::Invalid { .. } | ToolError::Unnamed { .. },
            )
            | Refusal::Failed(ToolError::Invalid { .. }),
        ) => USAGE,
        Some(Refusal::Denied(_)) => DENIED,
        Some(
            Refusal::NeedsApproval { .. }
            | Refusal::Hindered(Hindrance::NotApproved(_) | Hindrance::Void { .. }),
        ) => 4,
        Some(Refusal::Hindered(Hindrance::Stopped(_))) => DENIED,
        Some(Refusal::Hindered(Hindrance::Store(_) | Hindrance::Unrecorded(_))) => UNUSABLE,
        Some(Refusal::Unrecorded(_) | Refusal::OutcomeUnrecorded { .. }) => UNUSABLE,
        Some(_) => 1,
    }
}

fn print(reply: &Reply) -> anyhow::Result<()> {
    let part = if reply.refusal.is_some() { "error" } else { "result" };
    let mut whole = json!({ part: reply.shaped.structured, "receipt": reply.receipt, "untrusted": reply.shaped.untrusted });
    if let Some(image) = &reply.shaped.image {
        whole["image"] = json!({ "mime": image.mime, "bytes": image.bytes.len() });
    }
    say::json(&whole)?;
    say::note(&reply.shaped.text);
    if let Some(warning) = &reply.warning {
        say::note(&format!("warning: {warning}"));
    }
    if let Some(receipt) = &reply.receipt {
        say::note(&format!("receipt: {} #{}", receipt.log(), receipt.index()));
    }
    Ok(())
}

/// The file that `--image` names.
struct Image {
    file: File,
    path: PathBuf,
    /// Whether the file is made for this call, and goes again when there is nothing to put into it.
    is_new: bool,
    is_written: bool,
}

impl Image {
    /// Opens the file and leaves what is in it alone.
    fn open(path: &Path) -> anyhow::Result<Image> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Image { file, path: path.to_owned(), is_new, is_written: false })
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut written = || {
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(bytes)
        };
        written().with_context(|| format!("the image could not be written to {}", self.path.display()))?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.is_new && !self.is_written {
            let _stays_empty = fs::remove_file(&self.path);
        }
    }
}

/// Writes the image where the call says; a person hears of one that was not asked for.
fn draw(reply: &Reply, file: Option<&mut Image>) -> anyhow::Result<()> {
    match (&reply.shaped.image, file) {
        (Some(image), Some(file)) => {
            file.write(&image.bytes)?;
            say::note(&format!("image: {}", say::clean(&file.path.display().to_string())));
        }
        (Some(image), None) => {
            let (size, mime) = (image.bytes.len(), image.mime);
            say::note(&format!("image: {size} bytes of {mime}; --image PATH writes it"));
        }
        (None, Some(_)) => say::note("image: none, so nothing was written"),
        (None, None) => {}
    }
    Ok(())
}

pub(crate) fn arguments(call: &Call) -> anyhow::Result<Map<String, Value>> {
    if let Some(text) = &call.json {
        let value: Value = serde_json::from_str(text).context("--json: not JSON")?;
        return match value {
            Value::Object(arguments) => Ok(arguments),
            _ => anyhow::bail!("--json: expected an object, e.g. '{{\"window\": \"7d\"}}'"),
        };
    }
    let definitions = family::definitions(&[call.server], Profile::All);
    let tool = definitions.iter().find(|it| it.name == call.tool);
    let properties = tool.and_then(|it| it.input.get("properties")).and_then(Value::as_object);
    let mut arguments = Map::new();
    for pair in &call.pairs {
        let (key, text) =
            pair.split_once('=').with_context(|| format!("expected key=value, got `{pair}`"))?;
        let schema = properties.and_then(|it| it.get(key));
        let before = arguments.insert(key.to_owned(), value(schema, text));
        anyhow::ensure!(before.is_none(), "`{key}` is given twice; a list is written as JSON: {key}='[…]'");
    }
    Ok(arguments)
}

/// What the schema says the text is; when it does not parse as that, text, so that the gate says what would be right.
fn value(schema: Option<&Value>, text: &str) -> Value {
    let kind = schema.and_then(|it| it.get("type")).and_then(Value::as_str).unwrap_or("string");
    match kind {
        "string" => text.into(),
        _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// Ctrl-C gives up: a read stops and is recorded as stopped, a write is not waited for.
fn cancelled_by_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let fired = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            fired.cancel();
        }
    });
    token
}
