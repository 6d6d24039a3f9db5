//! What kind of metric is it, as far as its name, its labels and its type tell?

use std::{collections::BTreeMap, fmt};

use super::{Hints, Series};
use crate::labels::Labels;

/// What of a metric is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// A gauge as it is.
    Value,
    /// Of a counter, per second.
    Rate,
    /// Share of what failed in all, by a label that says how each ended.
    Failed,
    /// Share of what was refused for the caller's own fault (4xx).
    Refused,
    /// Median of a histogram.
    P50,
    /// 99th percentile of a histogram.
    P99,
    /// Mean of a summary.
    Mean,
    /// Seconds until a moment that the metric names.
    Remaining,
}

/// What a series is to its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Gauge,
    Counter,
    Bucket,
    Count,
    Sum,
    /// A moment in Unix seconds.
    Stamp,
    /// Seconds that run down.
    Countdown,
    /// Nothing but its labels.
    Info,
}

/// The series of one metric that are the same part of it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    /// Metric, without the suffix of a part.
    pub(super) metric: &'a str,
    /// As stored.
    pub(super) name: &'a str,
    pub(super) part: Part,
    /// Whether its values are rates already.
    pub(super) rated: bool,
    /// Indices into the series.
    pub(super) members: Vec<usize>,
}

/// How a call ended, by the value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Fine,
    Refused,
    Failed,
}

/// Labels that say how each of what is counted ended.
const OUTCOMES: [&str; 15] = [
    "code",
    "status",
    "status_code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "response_code",
    "grpc_code",
    "grpc_status",
    "rpc_grpc_status_code",
    "outcome",
    "result",
    "success",
    "response_status",
    "status_class",
];
/// Labels that tell copies of one thing apart.
const COPIES: [&str; 13] = [
    "pod",
    "pod_name",
    "instance",
    "replica",
    "host",
    "hostname",
    "uid",
    "id",
    "container_id",
    "task",
    "pod_ip",
    "endpoint",
    "node",
];
/// Labels that say of what they are copies.
const OWNERS: [&str; 9] = [
    "service",
    "app",
    "service_name",
    "deployment",
    "workload",
    "component",
    "container",
    "statefulset",
    "name",
];
/// Labels of a call that say who is called.
const CALLED: [&str; 14] = [
    "upstream",
    "upstream_service",
    "upstream_cluster",
    "peer",
    "peer_service",
    "destination",
    "destination_service",
    "destination_service_name",
    "destination_workload",
    "dst_service",
    "dst_deployment",
    "remote_service",
    "dependency",
    "callee",
];
/// Beyond this, and below four times as much, a value reads as a moment in Unix seconds.
const STAMP: f64 = 1e9;

impl Aspect {
    /// As a reader knows it.
    pub fn word(self) -> &'static str {
        match self {
            Aspect::Value => "value",
            Aspect::Rate => "rate",
            Aspect::Failed => "failed share",
            Aspect::Refused => "refused share",
            Aspect::P50 => "p50",
            Aspect::P99 => "p99",
            Aspect::Mean => "mean",
            Aspect::Remaining => "seconds left",
        }
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Sorts series into families, in the order of their names.
pub(super) fn families<'a>(series: &'a [Series], hints: &Hints) -> Vec<Family<'a>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, it) in series.iter().enumerate() {
        by_name.entry(it.labels.get("__name__").map_or("", String::as_str)).or_default().push(at);
    }
    for members in by_name.values_mut() {
        members.sort_by(|a, b| series[*a].labels.cmp(&series[*b].labels));
    }
    let known: Vec<&str> = by_name.keys().copied().collect();
    let family = |(name, members): (&'a str, Vec<usize>)| {
        let first = &series[members[0]];
        let rated = hints.rated.iter().any(|it| it == name);
        let part = match part(name, first, &known, hints) {
            Part::Gauge if rated => Part::Counter,
            part => part,
        };
        Family { metric: stem(name, part), name, part, rated, members }
    };
    by_name.into_iter().map(family).collect()
}

/// The metric of which a stored name is a part.
fn stem(name: &str, part: Part) -> &str {
    let suffix = match part {
        Part::Bucket => "_bucket",
        Part::Count => "_count",
        Part::Sum => "_sum",
        _ => "",
    };
    name.strip_suffix(suffix).unwrap_or(name)
}

fn part(name: &str, first: &Series, known: &[&str], hints: &Hints) -> Part {
    let of_type = |name: &str| hints.types.get(name).map(String::as_str);
    let has = |name: String| known.binary_search(&name.as_str()).is_ok();
    if name.ends_with("_bucket") && first.labels.contains_key("le") {
        return Part::Bucket;
    }
    for (suffix, part, other) in [("_count", Part::Count, "_sum"), ("_sum", Part::Sum, "_count")] {
        if let Some(stem) = name.strip_suffix(suffix) {
            let measured = matches!(of_type(stem), Some("histogram" | "summary"));
            if measured || has(format!("{stem}{other}")) || has(format!("{stem}_bucket")) {
                return part;
            }
        }
    }
    if name.ends_with("_info") || name.ends_with("_created") || of_type(name) == Some("info") {
        return Part::Info;
    }
    let bare = name.strip_suffix("_total").unwrap_or(name);
    match of_type(name).or_else(|| of_type(bare)) {
        Some("counter") => return Part::Counter,
        None if bare != name => return Part::Counter,
        _ => {}
    }
    let finite = || first.values.iter().copied().filter(|it| it.is_finite());
    if finite().next().is_some()
        && finite().all(|it| (STAMP..4.0 * STAMP).contains(&it))
        && names_a_moment(name)
    {
        return Part::Stamp;
    }
    if counts_down(name) { Part::Countdown } else { Part::Gauge }
}

fn names_a_moment(name: &str) -> bool {
    ["time", "timestamp", "expiry", "expir", "not_after", "notafter", "since", "seconds"]
        .iter()
        .any(|it| name.contains(it))
}

fn counts_down(name: &str) -> bool {
    ["expir", "remaining", "until", "ttl_seconds", "_left"].iter().any(|it| name.contains(it))
        && (name.contains("seconds") || name.contains("days") || name.contains("hours"))
}

/// The label by which endings are told apart, if there is one.
pub(super) fn outcome_label(series: &[Series], members: &[usize]) -> Option<&'static str> {
    OUTCOMES.into_iter().find(|label| {
        members
            .iter()
            .any(|it| series[*it].labels.get(*label).is_some_and(|value| ending(label, value).is_some()))
    })
}

/// How a call with this label ended; none when the value tells nothing.
pub(super) fn ending(label: &str, value: &str) -> Option<Ending> {
    let value = value.to_ascii_lowercase();
    if label == "success" {
        return match value.as_str() {
            "true" | "1" | "yes" => Some(Ending::Fine),
            "false" | "0" | "no" => Some(Ending::Failed),
            _ => None,
        };
    }
    let digits = value.as_bytes();
    if digits.len() == 3 && digits[1..].iter().all(|it| it.is_ascii_digit() || *it == b'x') {
        return match digits[0] {
            b'1' | b'2' | b'3' => Some(Ending::Fine),
            b'4' => Some(Ending::Refused),
            b'5' => Some(Ending::Failed),
            _ => None,
        };
    }
    match value.replace(['_', '-', ' '], "").as_str() {
        "ok" | "success" | "succeeded" | "hit" | "miss" | "0" | "fine" | "completed" | "pass" => {
            Some(Ending::Fine)
        }
        "invalidargument" | "notfound" | "alreadyexists" | "permissiondenied" | "unauthenticated"
        | "rejected" | "failedprecondition" | "outofrange" | "canceled" | "cancelled" | "clienterror"
        | "denied" => Some(Ending::Refused),
        "error" | "errors" | "failure" | "failed" | "fail" | "timeout" | "servererror" | "unknown"
        | "internal" | "deadlineexceeded" | "resourceexhausted" | "unavailable" | "dataloss" | "aborted"
        | "unimplemented" | "exception" | "panic" | "refused" => Some(Ending::Failed),
        _ => None,
    }
}

/// Whether a label tells copies of one thing apart.
pub(super) fn is_copy(label: &str) -> bool {
    COPIES.contains(&label)
}

/// Who is called, where these are labels of calls.
pub(super) fn called(labels: &Labels) -> Option<&String> {
    CALLED.iter().find_map(|it| labels.get(*it))
}

/// Of what these labels are, in every word they have for it.
pub(super) fn owners(labels: &Labels) -> impl Iterator<Item = &String> {
    OWNERS.iter().filter_map(|it| labels.get(*it))
}

/// Whether labels say of what a series is a copy.
pub(super) fn has_owner(labels: &Labels) -> bool {
    OWNERS.iter().any(|it| labels.contains_key(*it))
}
