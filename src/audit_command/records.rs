//! `bailiwick audit show` and `tail`: what was done?

use std::{path::Path, process::ExitCode, time::Duration};

use audit::{Filter, Follow, Payload, Record};
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use tool::Window;

use super::usage;
use crate::say;

#[derive(Args)]
pub(super) struct Tail {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: usize,
    /// Go on as records become durable
    #[arg(short, long)]
    follow: bool,
    /// Only this server's
    #[arg(long)]
    server: Option<String>,
    /// Only this tool's
    #[arg(long)]
    tool: Option<String>,
    /// Only permitted, denied, approval_required, invalid, unknown_tool or unresolved
    #[arg(long)]
    verdict: Option<String>,
    /// Only what happened to this approval, by its id
    #[arg(long, value_name = "ID")]
    reference: Option<String>,
    /// Only since then: 1h, 7d, now-3h/now
    #[arg(long, value_name = "WINDOW")]
    since: Option<String>,
    /// Records as JSON, a line each
    #[arg(long)]
    json: bool,
}

pub(super) fn show(state: &Path, selector: &str) -> anyhow::Result<ExitCode> {
    match audit::show(state, selector) {
        Ok(record) => {
            say::json(&record)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ audit::AuditError::NoRecord { .. }) => Ok(usage(&error.to_string())),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn follow(state: &Path, tail: &Tail) -> anyhow::Result<ExitCode> {
    let since = match tail.since.as_deref().map(since).transpose() {
        Ok(since) => since,
        Err(problem) => return Ok(usage(&format!("--since: {problem}"))),
    };
    if let Some(verdict) = tail.verdict.as_deref().filter(|it| !audit::VERDICTS.contains(it)) {
        return Ok(usage(&format!("--verdict: `{verdict}` is none of {}", audit::VERDICTS.join(", "))));
    }
    let filter = Filter {
        log: None,
        server: tail.server.clone(),
        tool: tail.tool.clone(),
        since,
        verdict: tail.verdict.clone(),
        reference: tail.reference.clone(),
        limit: Some(tail.lines),
    };
    let mut records = Follow::from_start(state, filter);
    loop {
        for record in records.poll()? {
            print(&record, tail.json)?;
        }
        if !tail.follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    Window::parse(text)?.at(Timestamp::now()).map(|span| span.from)
}

fn print(record: &Record, json: bool) -> anyhow::Result<()> {
    match json {
        true => say::line(&say::escaped(&serde_json::to_string(record)?)),
        false => say::line(&say::clean(&line(record))),
    }
}

/// When, where, what, by whom, how it was decided and by which rule, how it ended.
fn line(record: &Record) -> String {
    let leaf = |name: &str| record.leaf.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut parts = vec![leaf("time"), format!("{}:{}", record.log, record.index), leaf("event")];
    let words = ["what", "step", "reference", "tool", "verdict", "outcome"];
    parts.extend(words.into_iter().map(leaf).filter(|it| !it.is_empty()));
    if let Some(intent) = record.leaf.get("intent") {
        parts.push(format!("intent={intent}"));
    }
    match &record.payload {
        Payload::Opened(payload) => {
            let text = |path: &str| payload.pointer(path).and_then(Value::as_str).map(str::to_owned);
            let person = text("/caller/on_behalf_of").map(|it| format!(" for {it}")).unwrap_or_default();
            // Of a call its caller, of a step whoever took it.
            let agent = text("/caller/agent").map(|it| format!("{it}{person}"));
            parts.extend(agent.or_else(|| text("/by")).map(|it| format!("by {it}")));
            parts.extend(text("/comment").map(|it| format!("comment={}", shortened(&format!("{it:?}")))));
            let policies = payload.get("policies").and_then(Value::as_array).into_iter().flatten();
            let rule = policies.filter_map(Value::as_str).next().map(str::to_owned);
            if let Some(rule) = rule.or_else(|| text("/refusal/policy")) {
                parts.push(format!("rule={rule}"));
            }
            if let Some(arguments) = payload.get("arguments") {
                parts.push(shortened(&arguments.to_string()));
            }
        }
        Payload::Erased => parts.push("(payload erased)".to_owned()),
        Payload::Forged => parts.push("(payload does not belong to its record)".to_owned()),
        Payload::None => {}
    }
    parts.join("  ")
}

fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 160;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
