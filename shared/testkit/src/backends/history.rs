//! What did production look like in the hours before? Written as OpenMetrics, which promtool makes blocks of.

use std::{collections::BTreeMap, f64::consts::TAU, fmt};

/// Samples of many series, by metric.
#[derive(Clone, Debug, Default)]
pub struct History {
    families: BTreeMap<String, Family>,
}

#[derive(Clone, Debug)]
struct Family {
    kind: &'static str,
    series: Vec<Series>,
}

/// One series: labels, and values by the second since 1970.
#[derive(Clone, Debug)]
pub struct Series {
    /// As they stand between braces: `service="cart-api",code="200"`.
    pub labels: String,
    /// Oldest first.
    pub points: Vec<(i64, f64)>,
}

impl History {
    /// No history at all.
    pub fn new() -> History {
        History::default()
    }

    /// Adds a gauge's series; `labels` as they stand between braces: `service="cart-api"`.
    pub fn gauge(
        mut self,
        name: &str,
        labels: impl Into<String>,
        points: impl IntoIterator<Item = (i64, f64)>,
    ) -> History {
        self.add(name, "gauge", labels.into(), points.into_iter().collect());
        self
    }

    /// Adds a counter's series; the name without `_total`.
    pub fn counter(
        mut self,
        name: &str,
        labels: impl Into<String>,
        points: impl IntoIterator<Item = (i64, f64)>,
    ) -> History {
        self.add(name, "counter", labels.into(), points.into_iter().collect());
        self
    }

    /// How many series there are in all.
    pub fn series(&self) -> usize {
        self.families.values().map(|it| it.series.len()).sum()
    }

    fn add(&mut self, name: &str, kind: &'static str, labels: String, points: Vec<(i64, f64)>) {
        let family = self.families.entry(name.to_owned());
        let family = family.or_insert_with(|| Family { kind, series: Vec::new() });
        assert_eq!(family.kind, kind, "{name} is of one kind");
        family.series.push(Series { labels, points });
    }
}

impl fmt::Display for History {
    /// OpenMetrics text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Family { kind, series }) in &self.families {
            writeln!(f, "# TYPE {name} {kind}")?;
            let suffix = if *kind == "counter" { "_total" } else { "" };
            for Series { labels, points } in series {
                for (at, value) in points {
                    writeln!(f, "{name}{suffix}{{{labels}}} {value} {at}")?;
                }
            }
        }
        writeln!(f, "# EOF")
    }
}

const SERVICES: [&str; 6] = ["checkout-api", "cart-api", "payments-api", "frontend", "catalog", "inventory"];
const STEP_S: i64 = 30;
const HOURS: i64 = 6;
/// How long before the end version 2 of `checkout-api` went out.
const DEPLOYED_S: i64 = 45 * 60;
/// How long before the end its errors, latency and memory began to rise.
const BROKEN_S: i64 = 40 * 60;

/// Six hours that end at `end` (seconds since 1970): six services with three pods each; 45 minutes before the end
/// `checkout-api` goes to v2, and from 40 minutes before the end a quarter of its requests fail, most are slow, and its
/// memory grows. The same `end` always gives the same history.
///
/// * `http_requests_total{job, service, pod, code}`
/// * `http_request_duration_seconds_bucket{job, service, le}`
/// * `process_resident_memory_bytes{job, service, pod}`
/// * `app_build_info{job, service, version}`
/// * `up{job, service, pod}`
pub fn incident_history(end: i64) -> History {
    let (start, deployed) = (end - HOURS * 3_600, end - DEPLOYED_S);
    let times = || (start..=end).step_by(usize::try_from(STEP_S).expect("a step is positive"));
    let mut history = History::new();
    let mut noise = Noise(7);
    for service in SERVICES {
        for pod in 0..3 {
            let labels = format!(r#"job="app",service="{service}",pod="{service}-{pod}""#);
            requests(&mut history, &mut noise, service, &labels, end);
            let memory = times().map(|at| {
                let leak = if service == "checkout-api" { (at - deployed).max(0) * 320_000 } else { 0 };
                (at, (220e6 + 1e6 * noise.next()).floor() + leak.min(800_000_000) as f64)
            });
            let memory: Vec<_> = memory.collect();
            history.add("process_resident_memory_bytes", "gauge", labels.clone(), memory);
            history.add("up", "gauge", labels, times().map(|at| (at, 1.0)).collect());
        }
        durations(&mut history, service, end);
        for version in ["v1", "v2"] {
            let runs = |at: &i64| (version == "v2") == (service == "checkout-api" && *at >= deployed);
            let points: Vec<_> = times().filter(runs).map(|at| (at, 1.0)).collect();
            if !points.is_empty() {
                let labels = format!(r#"job="app",service="{service}",version="{version}""#);
                history.add("app_build_info", "gauge", labels, points);
            }
        }
    }
    history
}

fn requests(history: &mut History, noise: &mut Noise, service: &str, labels: &str, end: i64) {
    for code in ["200", "500"] {
        let mut total = 0.0;
        let mut points = Vec::new();
        for at in (end - HOURS * 3_600..=end).step_by(STEP_S as usize) {
            let wave = (at.rem_euclid(3_600) as f64 / 3_600.0 * TAU).sin();
            let per_second = 50.0 + 10.0 * wave + noise.next();
            let failing = if broken(service, at, end) { 0.25 } else { 0.001 };
            let share = if code == "500" { failing } else { 1.0 - failing };
            total += per_second * share * STEP_S as f64;
            points.push((at, (total * 1_000.0).round() / 1_000.0));
        }
        history.add("http_requests", "counter", format!(r#"{labels},code="{code}""#), points);
    }
}

/// Cumulative buckets, as a gauge family: promtool gives a histogram's buckets a meaning that needs sum and count too.
fn durations(history: &mut History, service: &str, end: i64) {
    for (le, healthy, slow) in
        [("0.1", 0.90, 0.10), ("0.5", 0.99, 0.30), ("2.5", 1.0, 0.80), ("+Inf", 1.0, 1.0)]
    {
        let mut total = 0.0;
        let mut points = Vec::new();
        for at in (end - HOURS * 3_600..=end).step_by(STEP_S as usize) {
            let share = if broken(service, at, end) { slow } else { healthy };
            total += 150.0 * STEP_S as f64 * share;
            points.push((at, f64::round(total)));
        }
        let labels = format!(r#"job="app",service="{service}",le="{le}""#);
        history.add("http_request_duration_seconds_bucket", "gauge", labels, points);
    }
}

fn broken(service: &str, at: i64, end: i64) -> bool {
    service == "checkout-api" && at >= end - BROKEN_S
}

/// The same unevenness in every run (SplitMix64).
struct Noise(u64);

impl Noise {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_end_gives_the_same_history() {
        let text = incident_history(1_800_000_000).to_string();
        assert_eq!(text, incident_history(1_800_000_000).to_string());
        assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with EOF");
        assert!(text.contains(
            r#"http_requests_total{job="app",service="checkout-api",pod="checkout-api-0",code="500"}"#
        ));
    }
}
