//! Which number gives a measure its meaning: a limit metric of the same thing, or the threshold of an alert?

use std::collections::BTreeSet;

use super::{
    Aspect, Frame, Series, Threshold,
    kind::{Family, Part},
    measure::Measure,
};
use crate::labels::Labels;

/// A number that a value means something beside.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The metric or the alert that says so.
    pub by: String,
    /// The number.
    pub value: f64,
    /// Whether it is all that there is, rather than where somebody wants to hear of it.
    pub(super) is_metric: bool,
}

/// All limits of a scope.
pub(super) struct Limits<'a> {
    metrics: Vec<Candidate<'a>>,
    thresholds: &'a [Threshold],
}

/// A metric that says how much there may be of something.
struct Candidate<'a> {
    name: &'a str,
    words: BTreeSet<&'a str>,
    /// Labels and latest values.
    values: Vec<(&'a Labels, f64)>,
}

/// Words by which a metric says that it is a limit.
const LIMITS: [&str; 8] = ["limit", "limits", "max", "maximum", "capacity", "quota", "cores", "size"];
/// Words that say how much there is rather than of what.
const USES: [&str; 26] = [
    "in",
    "use",
    "used",
    "usage",
    "inuse",
    "active",
    "open",
    "current",
    "working",
    "set",
    "resident",
    "busy",
    "acquired",
    "checked",
    "out",
    "bytes",
    "seconds",
    "total",
    "count",
    "spec",
    "kube",
    "pod",
    "resource",
    "connections",
    "idle",
    "num",
];
/// A limit that is this many times further away than what there is means little.
const FAR: f64 = 1_000.0;

impl<'a> Limits<'a> {
    pub(super) fn of(
        frame: &Frame,
        series: &'a [Series],
        families: &[Family<'a>],
        thresholds: &'a [Threshold],
    ) -> Limits<'a> {
        let gauges = families.iter().filter(|it| it.part == Part::Gauge && is_limit(it.name));
        let candidate = |family: &Family<'a>| {
            let latest = |it: &'a Series| {
                let value = it.values[frame.baseline..].iter().rev().find(|it| it.is_finite());
                value.map(|value| (&it.labels, *value))
            };
            let values = family.members.iter().filter_map(|it| latest(&series[*it])).collect();
            Candidate { name: family.name, words: words(family.name), values }
        };
        Limits { metrics: gauges.map(candidate).collect(), thresholds }
    }

    /// The nearest in meaning: the threshold of an alert about just this, else a limit of the same thing.
    pub(super) fn of_measure(&self, measure: &Measure<'_>, after: f64) -> Option<Limit> {
        match measure.aspect {
            Aspect::Remaining => return Some(Limit { by: "now".to_owned(), value: 0.0, is_metric: false }),
            Aspect::Value | Aspect::Rate => {}
            _ => return self.threshold(measure),
        }
        self.metric(measure, after).or_else(|| self.threshold(measure))
    }

    fn threshold(&self, measure: &Measure<'_>) -> Option<Limit> {
        let about = |it: &&Threshold| {
            let named = |it: &String| {
                let rest = it.strip_prefix(measure.metric);
                rest.is_some_and(|it| matches!(it, "" | "_bucket" | "_sum" | "_count"))
            };
            it.metrics.iter().any(named)
                && it.aspects.contains(&measure.aspect)
                && it.selectors.iter().all(|it| admits(it, &measure.labels))
        };
        let found = self.thresholds.iter().find(about)?;
        Some(Limit { by: format!("alert {}", found.alert), value: found.value, is_metric: false })
    }

    fn metric(&self, measure: &Measure<'_>, after: f64) -> Option<Limit> {
        if is_limit(measure.metric) {
            return None;
        }
        let wanted = words(measure.metric);
        let mut best: Option<(f64, Limit)> = None;
        for candidate in &self.metrics {
            let shared = wanted.intersection(&candidate.words).count() as f64;
            let alike = shared / wanted.union(&candidate.words).count().max(1) as f64;
            let of_bytes = |it: &str| it.contains("bytes");
            let fits = alike >= 0.3 && of_bytes(measure.metric) == of_bytes(candidate.name);
            if !fits || best.as_ref().is_some_and(|it| it.0 >= alike) {
                continue;
            }
            let values = candidate.values.iter().filter(|it| belongs(it.0, &measure.labels)).map(|it| it.1);
            // Rates are of all copies together, so their limit is too.
            let value = match measure.aspect {
                Aspect::Rate => values.reduce(|a, b| a + b),
                _ => values.reduce(f64::min),
            };
            if let Some(value) = value.filter(|it| *it >= 0.5 * after && *it <= FAR * after.abs()) {
                best = Some((alike, Limit { by: candidate.name.to_owned(), value, is_metric: true }));
            }
        }
        best.map(|it| it.1)
    }
}

fn is_limit(name: &str) -> bool {
    name.split('_').any(|it| LIMITS.contains(&it))
}

/// Whether a selector's equalities contradict no label.
fn admits(selector: &str, labels: &Labels) -> bool {
    labels.iter().all(|(name, value)| {
        let equality = format!("{name}=\"");
        let mut places = selector.match_indices(&equality).map(|it| it.0);
        let whole = |at: &usize| selector[..*at].ends_with(['{', ',', ' ']);
        places.find(whole).is_none_or(|at| selector[at..].starts_with(&format!("{name}={value:?}")))
    })
}

/// Of what a metric is.
fn words(name: &str) -> BTreeSet<&str> {
    name.split('_').filter(|it| !LIMITS.contains(it) && !USES.contains(it)).collect()
}

/// Whether a limit's labels contradict none of a measure's, and share one that tells things apart.
fn belongs(limit: &Labels, of: &Labels) -> bool {
    let shared = || limit.iter().filter_map(|(name, value)| Some((name, value, of.get(name)?)));
    let telling = |name: &str| !matches!(name, "job" | "namespace" | "cluster" | "environment" | "region");
    shared().all(|(_, a, b)| a == b) && (shared().any(|it| telling(it.0)) || of.is_empty())
}
