//! Which alerts fire, and what keeps them from being told?

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{production::Production, rules::INTERVAL_MS, store::Labels};

use super::matcher::Matcher;

/// Who is told.
pub(super) const RECEIVER: &str = "on-call";
/// Labels by which alerts are told together.
const GROUPED_BY: [&str; 2] = ["alertname", "service"];

/// An alert as Alertmanager knows it.
#[derive(Debug)]
pub(super) struct Told {
    labels: Labels,
    annotations: Labels,
    fingerprint: String,
    starts: Timestamp,
    updated: Timestamp,
    query: String,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
}

/// Which alerts are asked for.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) matchers: Vec<Matcher>,
    pub(super) receiver: Option<Regex>,
    pub(super) active: bool,
    pub(super) silenced: bool,
    pub(super) inhibited: bool,
}

/// Every alert that fires, by fingerprint.
pub(super) fn all(production: &Production, now: Timestamp) -> Vec<Told> {
    let mut told = Vec::new();
    let measured = production.measured();
    for rule in measured.rules.iter() {
        let firing = rule.alerts.iter().filter_map(|(labels, alert)| Some((labels, alert, alert.fired_ms?)));
        told.extend(firing.map(|(labels, alert, fired_ms)| Told {
            labels: labels.clone(),
            annotations: alert.annotations.clone(),
            fingerprint: fingerprint(labels),
            starts: moment(fired_ms),
            updated: moment(rule.last_ms),
            query: rule.query.expr().to_string(),
            silenced_by: Vec::new(),
            inhibited_by: Vec::new(),
        }));
    }
    drop(measured);
    let silences = production.silences();
    told.iter_mut().for_each(|it| it.silenced_by = silences.of(&it.labels, now));
    told.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    let inhibited: Vec<Vec<String>> = told.iter().map(|it| inhibitors(it, &told)).collect();
    told.iter_mut().zip(inhibited).for_each(|(it, by)| it.inhibited_by = by);
    told
}

/// The rule of the configuration: a critical alert keeps warnings of the same service quiet. The first that does is
/// named, as by the original.
fn inhibitors(it: &Told, all: &[Told]) -> Vec<String> {
    if it.labels.get("severity") != "warning" {
        return Vec::new();
    }
    let critical = all.iter().filter(|other| {
        other.labels.get("severity") == "critical" && other.labels.get("service") == it.labels.get("service")
    });
    critical.take(1).map(|it| it.fingerprint.clone()).collect()
}

/// Alerts by what they are told together for.
pub(super) fn groups(alerts: &[Told]) -> Value {
    let mut groups: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for alert in alerts {
        let labels = alert.labels.only(|it| GROUPED_BY.contains(&it));
        groups.entry(labels).or_default().push(alert.json());
    }
    let groups = groups.into_iter().map(|(labels, alerts)| {
        json!({ "alerts": alerts, "labels": object(&labels), "receiver": { "name": RECEIVER } })
    });
    groups.collect()
}

impl Filter {
    /// Whether an alert is asked for.
    pub(super) fn admits(&self, alert: &Told) -> bool {
        let silenced = !alert.silenced_by.is_empty();
        let inhibited = !alert.inhibited_by.is_empty();
        (self.active || silenced || inhibited)
            && (self.silenced || !silenced)
            && (self.inhibited || !inhibited)
            && self.receiver.as_ref().is_none_or(|it| it.is_match(RECEIVER))
            && self.matchers.iter().all(|it| it.admits(&alert.labels))
    }
}

impl Told {
    pub(super) fn json(&self) -> Value {
        let suppressed = !self.silenced_by.is_empty() || !self.inhibited_by.is_empty();
        let ends = self.updated + SignedDuration::from_millis(4 * INTERVAL_MS.max(60_000));
        json!({
            "annotations": object(&self.annotations),
            "endsAt": time(ends),
            "fingerprint": self.fingerprint,
            "receivers": [{ "name": RECEIVER }],
            "startsAt": time(self.starts),
            "status": {
                "inhibitedBy": self.inhibited_by,
                "silencedBy": self.silenced_by,
                "state": if suppressed { "suppressed" } else { "active" },
            },
            "updatedAt": time(self.updated),
            "generatorURL": format!("http://prometheus.example.com/graph?g0.expr={}&g0.tab=1", escaped(&self.query)),
            "labels": object(&self.labels),
        })
    }
}

fn object(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

/// RFC 3339 with three decimals, always.
pub(super) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn moment(at_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at_ms).unwrap_or_default()
}

/// FNV-1a over names and values, as the original computes it.
fn fingerprint(labels: &Labels) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for (name, value) in labels.iter() {
        add(name.as_bytes());
        add(&[0xff]);
        add(value.as_bytes());
        add(&[0xff]);
    }
    format!("{hash:016x}")
}

/// As it stands in an address.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(byte.into()),
            b' ' => escaped.push('+'),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}
