//! What is a record in the words of OCSF? API Activity, class 6003 of the schema's version 1.6.0
//! (<https://schema.ocsf.io/1.6.0/classes/api_activity>).
//!
//! Everything that the class requires is there; what it has no word for stands in `unmapped`, whole.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::body;
use crate::{Payload, Record};

const VERSION: &str = "1.6.0";
const CATEGORY: u64 = 6;
const CLASS: u64 = 6003;

pub(super) fn event(record: &Record, origin: &str) -> Value {
    let leaf = |name: &str| record.leaf.get(name).and_then(Value::as_str);
    let word = leaf("event").unwrap_or_default();
    let (activity, activity_name) = activity(leaf("effect"), word);
    // A transition is an operation of ours, by its two words.
    let step = leaf("what").zip(leaf("step")).map(|(what, step)| format!("{what}.{step}"));
    let operation = step.as_deref().or(leaf("tool")).unwrap_or(word);
    let time = leaf("time").and_then(|it| it.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_millisecond);
    let mut event = json!({
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("API Activity: {activity_name}"),
        "severity_id": severity(leaf("verdict"), leaf("outcome"), operation),
        "time": time,
        "message": message(record),
        "metadata": metadata(record, origin, word),
        "actor": actor(record),
        "api": {
            "operation": operation,
            "service": { "name": leaf("server").unwrap_or("bailiwick") },
        },
        // Required by the class. Of the caller's address nothing is known but how the call came.
        "src_endpoint": { "name": leaf("channel").unwrap_or("local") },
        "unmapped": body(record, origin),
    });
    if let Some((id, name)) = status(word, leaf("verdict"), leaf("outcome")) {
        event["status_id"] = id.into();
        event["status"] = name.into();
        event["status_code"] = leaf("outcome").or(leaf("verdict")).unwrap_or(word).into();
    }
    let resources = resources(record);
    if !resources.is_empty() {
        event["resources"] = Value::Array(resources);
    }
    event
}

/// Create, Read, Update, Delete, or Other with the record's own word.
fn activity<'a>(effect: Option<&str>, word: &'a str) -> (u64, &'a str) {
    match effect {
        Some("propose") => (1, "Create"),
        Some("read") => (2, "Read"),
        Some("mitigate") => (3, "Update"),
        Some("destroy") => (4, "Delete"),
        _ => (99, word),
    }
}

/// Informational; Low where something was refused or failed; Medium where nobody knows whether it happened, and where a person
/// stopped everything or broke the glass.
fn severity(verdict: Option<&str>, outcome: Option<&str>, operation: &str) -> u64 {
    match (verdict, outcome) {
        _ if ["approval.unknown", "stop.stopped", "break_glass.opened"].contains(&operation) => 3,
        _ if ["approval.denied", "approval.revoked", "policy.refused"].contains(&operation) => 2,
        (_, Some("unknown" | "crashed")) => 3,
        (None | Some("permitted"), None | Some("ok")) => 1,
        _ => 2,
    }
}

fn status(word: &str, verdict: Option<&str>, outcome: Option<&str>) -> Option<(u64, &'static str)> {
    match (verdict, outcome) {
        (None, _) => None,
        (_, Some("ok")) => Some((1, "Success")),
        (_, Some("unknown")) => Some((0, "Unknown")),
        (Some("permitted"), None) if word == "intent" => Some((99, "Started")),
        _ => Some((2, "Failure")),
    }
}

/// Closed words only: nothing that a caller wrote.
fn message(record: &Record) -> String {
    let words = ["event", "what", "step", "tool", "verdict", "outcome"];
    let words = words.iter().filter_map(|it| record.leaf.get(*it).and_then(Value::as_str));
    words.collect::<Vec<_>>().join(" ")
}

fn metadata(record: &Record, origin: &str, word: &str) -> Value {
    let mut metadata = json!({
        "version": VERSION,
        "product": { "name": "Bailiwick", "vendor_name": "Bailiwick" },
        "uid": format!("{origin}:{}", record.index),
        "log_name": origin,
        "sequence": record.index,
        "event_code": word,
        "original_time": record.leaf.get("time"),
    });
    // An effect's intent and its outcome belong together.
    let intent = record.leaf.get("intent").and_then(Value::as_u64);
    if let Some(intent) = intent.or((word == "intent").then_some(record.index)) {
        metadata["correlation_uid"] = format!("{origin}:{intent}").into();
    }
    // So do the steps of an approval, wherever they were taken.
    if let Some(reference) = record.leaf.get("reference") {
        metadata["correlation_uid"] = reference.clone();
    }
    metadata
}

/// The person where one is known, else the agent; by pseudonym where the payload is closed. A log's own records are ours.
fn actor(record: &Record) -> Value {
    let Some(subject) = record.leaf.get("subject") else { return json!({ "app_name": "bailiwick" }) };
    let payload = match &record.payload {
        Payload::Opened(payload) => Some(payload),
        _ => None,
    };
    let caller = |name: &str| payload?.pointer("/caller")?.get(name).cloned();
    let text = |name: &str| caller(name).filter(Value::is_string);
    let mut user = Map::from_iter([("uid".to_owned(), subject.clone())]);
    let by =
        payload.and_then(|it| it.get("by")).filter(|it| it.is_string() && record.leaf.get("step").is_some());
    let (person, agent) = (text("on_behalf_of").or_else(|| by.cloned()), text("agent"));
    // A user, or a service account.
    let kind = if person.is_some() { 1 } else { 4 };
    if let Some(name) = person.or_else(|| agent.clone()) {
        user.insert("name".to_owned(), name);
        user.insert("type_id".to_owned(), kind.into());
    }
    if let Some(Value::Array(teams)) = caller("teams").filter(|it| it != &json!([])) {
        let groups = teams.into_iter().map(|it| json!({ "name": it })).collect();
        user.insert("groups".to_owned(), Value::Array(groups));
    }
    let mut actor = json!({ "user": user });
    if let Some(agent) = agent {
        actor["app_name"] = agent;
    }
    actor
}

/// What the call touched, where the payload says it.
fn resources(record: &Record) -> Vec<Value> {
    let Payload::Opened(payload) = &record.payload else { return Vec::new() };
    let targets = payload.get("targets").and_then(Value::as_array).into_iter().flatten();
    let resource = |target: &Value| {
        let text = |name: &str| target.get(name).and_then(Value::as_str);
        let labels = ["connection", "environment", "region", "team", "tier"];
        let labels: Vec<String> =
            labels.iter().filter_map(|it| Some(format!("{it}:{}", text(it)?))).collect();
        Some(json!({ "name": text("id")?, "type": text("kind")?, "labels": labels }))
    };
    targets.filter_map(resource).collect()
}
