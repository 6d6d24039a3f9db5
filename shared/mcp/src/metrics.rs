//! What is counted, and how does Prometheus read it? Closed words only: no caller, argument or target stands in a label.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Counts of one process.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By server, tool and how it ended.
    calls: BTreeMap<[String; 3], u64>,
    /// By server and tool.
    seconds: BTreeMap<[String; 2], Histogram>,
    /// By server and HTTP status.
    requests: BTreeMap<(String, u16), u64>,
    /// By server and why.
    refused: BTreeMap<(String, &'static str), u64>,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    sum: Duration,
    count: u64,
}

/// Upper bounds in seconds; a call ends within 30.
const BOUNDS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

impl Metrics {
    /// A tool call ended.
    pub(crate) fn called(&self, server: &str, tool: &str, ended: &str, took: Duration) {
        let mut counts = self.counts();
        *counts.calls.entry([server, tool, ended].map(str::to_owned)).or_default() += 1;
        let histogram = counts.seconds.entry([server, tool].map(str::to_owned)).or_default();
        let within = BOUNDS.iter().position(|it| took.as_secs_f64() <= *it);
        if let Some(within) = within {
            histogram.buckets[within] += 1;
        }
        histogram.sum += took;
        histogram.count += 1;
    }

    /// A request was answered.
    pub(crate) fn answered(&self, server: &str, status: u16) {
        *self.counts().requests.entry((server.to_owned(), status)).or_default() += 1;
    }

    /// A request was refused before any tool was reached.
    pub(crate) fn refused(&self, server: &str, why: &'static str) {
        *self.counts().refused.entry((server.to_owned(), why)).or_default() += 1;
    }

    /// All of it: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
    pub fn page(&self) -> String {
        let counts = self.counts();
        let mut page = String::new();
        let head = |page: &mut String, name: &str, kind: &str, help: &str| {
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        };
        head(&mut page, "bailiwick_calls_total", "counter", "Tool calls by how they ended.");
        for ([server, tool, ended], count) in &counts.calls {
            let labels = format!("server=\"{server}\",tool=\"{tool}\",ended=\"{ended}\"");
            let _ = writeln!(page, "bailiwick_calls_total{{{labels}}} {count}");
        }
        head(&mut page, "bailiwick_call_seconds", "histogram", "How long tool calls took.");
        for ([server, tool], histogram) in &counts.seconds {
            histogram.write(&mut page, &format!("server=\"{server}\",tool=\"{tool}\""));
        }
        head(&mut page, "bailiwick_http_requests_total", "counter", "HTTP requests by status.");
        for ((server, status), count) in &counts.requests {
            let labels = format!("server=\"{server}\",status=\"{status}\"");
            let _ = writeln!(page, "bailiwick_http_requests_total{{{labels}}} {count}");
        }
        let help = "HTTP requests that reached no tool, by why.";
        head(&mut page, "bailiwick_http_refused_total", "counter", help);
        for ((server, why), count) in &counts.refused {
            let labels = format!("server=\"{server}\",why=\"{why}\"");
            let _ = writeln!(page, "bailiwick_http_refused_total{{{labels}}} {count}");
        }
        page
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Histogram {
    fn write(&self, page: &mut String, labels: &str) {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(self.buckets) {
            below += count;
            let _ = writeln!(page, "bailiwick_call_seconds_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(page, "bailiwick_call_seconds_bucket{{{labels},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(page, "bailiwick_call_seconds_sum{{{labels}}} {}", self.sum.as_secs_f64());
        let _ = writeln!(page, "bailiwick_call_seconds_count{{{labels}}} {}", self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_was_counted() {
        let metrics = Metrics::default();
        metrics.called("code", "read_file", "ok", Duration::from_millis(7));
        metrics.called("code", "read_file", "ok", Duration::from_secs(60));
        metrics.called("code", "read_file", "denied", Duration::from_millis(1));
        metrics.answered("code", 200);
        metrics.refused("code", "token");
        let page = metrics.page();
        for line in [
            "bailiwick_calls_total{server=\"code\",tool=\"read_file\",ended=\"ok\"} 2",
            "bailiwick_call_seconds_bucket{server=\"code\",tool=\"read_file\",le=\"0.005\"} 1",
            "bailiwick_call_seconds_bucket{server=\"code\",tool=\"read_file\",le=\"30\"} 2",
            "bailiwick_call_seconds_bucket{server=\"code\",tool=\"read_file\",le=\"+Inf\"} 3",
            "bailiwick_call_seconds_count{server=\"code\",tool=\"read_file\"} 3",
            "bailiwick_http_requests_total{server=\"code\",status=\"200\"} 1",
            "bailiwick_http_refused_total{server=\"code\",why=\"token\"} 1",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}\n{page}");
        }
    }
}
