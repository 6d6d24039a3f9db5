//! What did we do? Effects from intent to outcome, and reads if asked for.

use std::{collections::BTreeMap, path::Path};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Event, Scope};
use crate::{AuditError, Filter, Payload, Record, operator::OPERATOR, read::each};

/// An effect that began so long before a span may have ended in it.
const EFFECT_MAX: SignedDuration = SignedDuration::from_hours(24);
/// How long before its record a read may have begun.
const READ_MAX: SignedDuration = SignedDuration::from_secs(60);

/// An effect or a read, as our log has it.
#[derive(Clone, Debug)]
pub(super) struct Deed {
    pub(super) log: String,
    pub(super) index: u64,
    pub(super) tool: String,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    /// None: no outcome yet.
    pub(super) outcome: Option<String>,
    pub(super) targets: Vec<String>,
    changes: bool,
    /// Parts of the targets' ids, in lower case; empty where they say nothing.
    names: Vec<String>,
    /// Whether it is known to touch what the trail is of.
    expected: bool,
}

/// Effects and reads that may have happened in a span. `closed` counts those whose payload cannot be opened.
pub(super) fn read(
    state: &Path,
    scope: &Scope,
    (from, to): (Timestamp, Timestamp),
    closed: &mut u64,
) -> Result<Vec<Deed>, AuditError> {
    let since = from.checked_sub(EFFECT_MAX).unwrap_or(Timestamp::MIN);
    let until = to.checked_add(scope.skew).unwrap_or(Timestamp::MAX);
    let mut deeds: BTreeMap<(String, u64), Deed> = BTreeMap::new();
    let filter = Filter { since: Some(since), ..Filter::default() };
    each(state, &filter, |record, _| {
        let leaf = |name: &str| record.leaf.get(name).and_then(Value::as_str);
        let Some(time) = leaf("time").and_then(|it| it.parse::<Timestamp>().ok()) else { return Ok(()) };
        if leaf("server") == Some(OPERATOR) {
            return Ok(());
        }
        if let Some(intent) = record.leaf.get("intent").and_then(Value::as_u64) {
            if let Some(deed) = deeds.get_mut(&(record.log.clone(), intent)) {
                (deed.ended, deed.outcome) = (time, leaf("outcome").map(str::to_owned));
            }
            return Ok(());
        }
        let is_one = match leaf("event") {
            Some("intent") => true,
            Some("read") => scope.reads,
            _ => false,
        };
        if is_one
            && time <= until
            && let Some(deed) = deed(&record, time, scope)
        {
            *closed += u64::from(!matches!(record.payload, Payload::Opened(_)));
            deeds.insert((record.log.clone(), record.index), deed);
        }
        Ok(())
    })?;
    let mut deeds: Vec<Deed> = deeds.into_values().collect();
    for deed in &mut deeds {
        if deed.changes && deed.outcome.is_none() {
            // It may be running still.
            deed.ended = deed.ended.max(until);
        }
    }
    Ok(deeds)
}

/// None where it touches other connections only.
fn deed(record: &Record, time: Timestamp, scope: &Scope) -> Option<Deed> {
    let leaf = |name: &str| record.leaf.get(name).and_then(Value::as_str);
    let changes = leaf("event") == Some("intent");
    let payload = match &record.payload {
        Payload::Opened(payload) => Some(payload),
        _ => None,
    };
    let targets = payload.and_then(|it| it.get("targets")?.as_array()).map(Vec::as_slice).unwrap_or_default();
    let word = |target: &Value, name: &str| target.get(name).and_then(Value::as_str).map(str::to_owned);
    let touches = |it: &Value| {
        let connection = word(it, "connection");
        connection.is_some_and(|it| scope.connections.contains(&it))
    };
    let known = payload.is_some() && !targets.is_empty();
    if known && !scope.connections.is_empty() && !targets.iter().any(touches) {
        return None;
    }
    let ids: Vec<String> = targets.iter().filter_map(|it| word(it, "id")).collect();
    let whole = targets.iter().any(|it| word(it, "id") == word(it, "connection"));
    let parts = |id: &String| id.to_lowercase().split(['/', ':', '@']).map(str::to_owned).collect::<Vec<_>>();
    let names =
        if whole { Vec::new() } else { ids.iter().flat_map(parts).filter(|it| !it.is_empty()).collect() };
    Some(Deed {
        log: record.log.clone(),
        index: record.index,
        tool: leaf("tool").unwrap_or_default().to_owned(),
        began: if changes { time } else { time.checked_sub(READ_MAX).unwrap_or(time) },
        ended: time,
        outcome: leaf("outcome").map(str::to_owned),
        targets: ids,
        changes,
        names,
        expected: known || scope.connections.is_empty(),
    })
}

impl Deed {
    /// Whether an event may be its; and then whether they name the same object.
    pub(super) fn matches(&self, event: &Event, skew: SignedDuration) -> Option<bool> {
        let from = self.began.checked_sub(skew).unwrap_or(Timestamp::MIN);
        let to = self.ended.checked_add(skew).unwrap_or(Timestamp::MAX);
        if event.changes != self.changes || !(from..=to).contains(&event.time) {
            return None;
        }
        if self.names.is_empty() || event.names.is_empty() {
            return Some(false);
        }
        event.names.iter().any(|it| self.names.contains(it)).then_some(true)
    }

    /// Whether the trail should show it.
    pub(super) fn is_expected(&self) -> bool {
        self.expected
    }

    /// Whether it ended well, so that it must have happened.
    pub(super) fn is_done(&self) -> bool {
        self.outcome.as_deref() == Some("ok")
    }
}
