//! What did an AWS account do? Records of CloudTrail, as its files hold them
//! (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>).

use serde_json::Value;

use super::{Event, text};

/// What the names of calls that change nothing begin with, where a record does not say it itself.
const READS: [&str; 6] = ["BatchGet", "Describe", "Get", "Head", "List", "Lookup"];
/// Most names of objects that one record may have.
const NAMES_MAX: usize = 64;

pub(super) fn event(value: &Value) -> Option<Event> {
    let verb = text(value, "/eventName")?;
    let source = text(value, "/eventSource")?;
    let identities = [
        "/userIdentity/arn",
        "/userIdentity/userName",
        "/userIdentity/principalId",
        "/userIdentity/sessionContext/sessionIssuer/arn",
    ];
    let read_only = value.get("readOnly").and_then(|it| it.as_bool().or(it.as_str().map(|it| it == "true")));
    let mut names = Vec::new();
    collect(value.get("requestParameters").unwrap_or(&Value::Null), &mut names);
    let arns = value.get("resources").and_then(Value::as_array).into_iter().flatten();
    let arns: Vec<&str> = arns.filter_map(|it| text(it, "/ARN").or(text(it, "/arn"))).collect();
    let last = |it: &&str| it.rsplit([':', '/']).next().unwrap_or_default().to_lowercase();
    names.extend(arns.iter().map(last).filter(|it| !it.is_empty()).take(NAMES_MAX));
    let resource = match arns.is_empty() {
        true => names.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
        false => arns.join(", "),
    };
    Some(Event {
        time: text(value, "/eventTime")?.parse().ok()?,
        identities: identities.iter().filter_map(|it| text(value, it)).map(str::to_owned).collect(),
        verb: format!("{source}:{verb}"),
        changes: !read_only.unwrap_or_else(|| READS.iter().any(|it| verb.starts_with(it))),
        // A dry run ends with an error of its own.
        done: text(value, "/errorCode").is_none(),
        names,
        resource,
        id: text(value, "/eventID").unwrap_or_default().to_owned(),
    })
}

/// What the call named: parameters called a name, an id, an ARN or an object's kind in full.
fn collect(value: &Value, names: &mut Vec<String>) {
    if names.len() >= NAMES_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.to_lowercase();
                let is_name = ["name", "id", "arn", "identifier", "service", "cluster", "bucket", "key"];
                match value.as_str().filter(|it| !it.is_empty()) {
                    Some(text) if is_name.iter().any(|it| key.ends_with(it)) => {
                        names.extend(text.rsplit([':', '/']).next().map(str::to_lowercase));
                    }
                    _ => collect(value, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| collect(it, names)),
        _ => {}
    }
}
