//! What is measured?

pub(crate) mod board;
mod table;

use std::{fmt, sync::Arc};

pub use table::METRICS;

/// One metric as its own metadata describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Of a histogram or summary without the suffix: `http_request_duration_seconds`.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// What a person reads about it.
    pub help: &'static str,
    /// `seconds`, `bytes`, or empty.
    pub unit: &'static str,
}

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever goes up, but for restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counters by upper bound: `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Here without quantiles: `_sum`, `_count`.
    Summary,
}

impl MetricKind {
    /// As the Prometheus API says it.
    pub fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::Summary => "summary",
        }
    }
}

/// One series: a name and its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// Position among all series of the world, from 0, dense: may index a table.
    pub id: usize,
    /// Name as stored, with the suffix: `http_request_duration_seconds_bucket`.
    pub name: &'static str,
    /// Names and values, sorted by name.
    pub labels: Vec<(&'static str, String)>,
}

impl Series {
    /// Value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|it| it.0 == name).map(|it| it.1.as_str())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// One value of a series at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whose value it is.
    pub series: Arc<Series>,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}
