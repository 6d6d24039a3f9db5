//! What did GitHub do? Entries of an organization's audit log
//! (<https://docs.github.com/en/organizations/keeping-your-organization-secure/managing-security-settings-for-your-organization/audit-log-events-for-your-organization>),
//! or events of its API (<https://docs.github.com/en/rest/activity/events>).

use jiff::Timestamp;
use serde_json::Value;

use super::{Event, text};

/// Entries that tell of reading, beside those that say so themselves.
const READS: [&str; 4] = ["git.clone", "git.fetch", "repo.download_zip", "repo.access_read"];

pub(super) fn event(value: &Value) -> Option<Event> {
    let (verb, login) = match value.get("action").and_then(Value::as_str) {
        Some(action) => (action.to_owned(), text(value, "/actor")?),
        None => {
            let kind = text(value, "/type")?;
            let action = text(value, "/payload/action").map(|it| format!(".{it}")).unwrap_or_default();
            (format!("{kind}{action}"), text(value, "/actor/login")?)
        }
    };
    let repository = text(value, "/repo").or(text(value, "/repo/name")).or(text(value, "/repository"));
    let reads = text(value, "/operation_type") == Some("access") || READS.contains(&verb.as_str());
    let names = repository.and_then(|it| it.rsplit('/').next()).map(str::to_lowercase);
    let id = ["/_document_id", "/id", "/document_id"].iter().find_map(|it| text(value, it));
    Some(Event {
        time: ["@timestamp", "created_at"].iter().find_map(|it| time(value.get(*it)?))?,
        identities: vec![login.to_owned()],
        changes: !reads,
        // What failed is not told.
        done: true,
        verb,
        names: names.into_iter().collect(),
        resource: repository.unwrap_or_default().to_owned(),
        id: id.unwrap_or_default().to_owned(),
    })
}

/// Milliseconds since 1970, or RFC 3339.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => Timestamp::from_millisecond(number.as_i64()?).ok(),
    }
}
