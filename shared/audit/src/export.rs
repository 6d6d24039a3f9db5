//! How do other systems read the records? As OCSF events, CloudEvents or plain JSON, a line each.
//!
//! What an export says was read, not verified: each line carries the receipt of its record, which
//! [`crate::Verification`] takes. What callers wrote stands in strings of JSON and nowhere else.

mod ocsf;

use std::{io, path::Path, str::FromStr};

use serde_json::{Map, Value, json};

use crate::{AuditError, Filter, Payload, Record, pool::places, read::each};

/// What a line of an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An event of OCSF 1.6.0, class API Activity (6003).
    Ocsf,
    /// A CloudEvent 1.0 in structured JSON.
    CloudEvents,
    /// The record: receipt, leaf and payload.
    Jsonl,
}

/// Type of a CloudEvent, before the record's own word.
const EVENT_TYPE: &str = "io.bailiwick.audit";

/// Gives each record that matches to `line`, as JSON without line ends: log after log, each in its order. What is in memory at a
/// time does not grow with the logs. Says how many there were. Payloads are opened only where their keys are; one that does not
/// belong to its leaf is left out and named `forged`.
pub fn export(
    state: &Path,
    filter: &Filter,
    format: Format,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> Result<u64, AuditError> {
    if let Some(log) = filter.log.as_ref()
        && !places(state)?.iter().any(|it| it.name() == *log)
    {
        let problem = "there is no such log; expected <server>/<n>, e.g. code/0".to_owned();
        return Err(AuditError::NoRecord { selector: log.clone(), problem });
    }
    let mut count = 0;
    each(state, filter, |record, origin| {
        let told = match format {
            Format::Ocsf => ocsf::event(&record, origin),
            Format::CloudEvents => cloud_event(&record, origin),
            Format::Jsonl => plain(&record, origin),
        };
        let written = line(&told.to_string());
        written.map_err(|error| AuditError::Io { doing: "write", path: "the export".into(), error })?;
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn plain(record: &Record, origin: &str) -> Value {
    let mut told = body(record, origin);
    told.insert("log".to_owned(), record.log.as_str().into());
    Value::Object(told)
}

/// The origin is a relative reference, and with the index unlike that of any other record.
fn cloud_event(record: &Record, origin: &str) -> Value {
    let word = record.leaf.get("event").and_then(Value::as_str).unwrap_or_default();
    json!({
        "specversion": "1.0",
        "id": record.index.to_string(),
        "source": origin,
        "type": format!("{EVENT_TYPE}.{word}"),
        "time": record.leaf.get("time"),
        "datacontenttype": "application/json",
        "data": body(record, origin),
    })
}

/// Receipt, leaf and payload.
fn body(record: &Record, origin: &str) -> Map<String, Value> {
    let receipt = json!({ "log": origin, "index": record.index, "leaf": record.leaf_hash });
    let mut body = Map::from_iter([
        ("receipt".to_owned(), receipt),
        ("leaf".to_owned(), record.leaf.clone()),
        ("payload_state".to_owned(), state_word(&record.payload).into()),
    ]);
    if let Payload::Opened(payload) = &record.payload {
        body.insert("payload".to_owned(), payload.clone());
    }
    body
}

fn state_word(payload: &Payload) -> &'static str {
    match payload {
        Payload::None => "none",
        Payload::Opened(_) => "opened",
        Payload::Erased => "erased",
        Payload::Forged => "forged",
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "ocsf" => Ok(Format::Ocsf),
            "cloudevents" => Ok(Format::CloudEvents),
            "jsonl" => Ok(Format::Jsonl),
            _ => Err(format!("`{text}` is none of ocsf, cloudevents, jsonl")),
        }
    }
}
