//! What moved? Scores the series of a scope against their own past; asks nobody, knows no metric's name in advance.
//!
//! Series become *measures* by their kind (counters rates, buckets quantiles, answers by code the share that failed), every
//! measure is compared with its own baseline by robust statistics, and what moved is ordered as causes are: early and
//! strong first.
//!
//! * **Invariant:** the same series give the same findings, in whatever order they come.
//! * **Invariant:** the more measures are looked at, the more evidence each needs, so that a quiet scope accuses nothing.

mod event;
mod group;
mod kind;
mod limit;
mod measure;
mod quantile;
mod score;

use std::collections::BTreeMap;

pub use kind::Aspect;
pub use limit::Limit;

use crate::labels::Labels;
use measure::Measure;

/// Chance that a quiet scope, all of it, accuses anything, as far as its noise is what its baseline shows.
const ERROR_RATE: f64 = 0.01;

/// What changes by less than this part of its limit does not matter.
const LITTLE: f64 = 0.1;

/// Moments of all series: those of the baseline, then those of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// First moment of the baseline, Unix seconds.
    pub baseline_from: i64,
    /// First moment of the window, Unix seconds.
    pub window_from: i64,
    /// Distance of moments, seconds.
    pub step: i64,
    /// Moments of the baseline.
    pub baseline: usize,
    /// Moments of the window.
    pub window: usize,
}

/// One series as stored, `__name__` among its labels; NaN where it has no value.
#[derive(Clone, Debug)]
pub struct Series {
    /// Names and values.
    pub labels: Labels,
    /// One for each moment of the frame.
    pub values: Vec<f64>,
}

/// What is known beside the series.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Types that the system knows, by metric: `counter`, `gauge`, `histogram`, `summary`.
    pub types: BTreeMap<String, String>,
    /// Thresholds of alerting rules.
    pub thresholds: Vec<Threshold>,
    /// Metrics whose values are rates already, because the system was asked for them as such.
    pub rated: Vec<String>,
}

/// A number at which an alerting rule fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The alert.
    pub alert: String,
    /// Metrics that its expression selects.
    pub metrics: Vec<String>,
    /// What its expression is about, as far as its form tells.
    pub aspects: Vec<Aspect>,
    /// Its selectors: of what they name otherwise it says nothing.
    pub selectors: Vec<String>,
    /// The number.
    pub value: f64,
}

/// A measure, or several that moved together, beyond what its baseline explains.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Metric, without the suffix of its parts (`_bucket`, `_sum`).
    pub metric: String,
    /// What of it.
    pub aspect: Aspect,
    /// Of the strongest series.
    pub labels: Labels,
    /// Median of the baseline.
    pub before: f64,
    /// Median since the onset; of what goes on growing the last value.
    pub after: f64,
    /// First moment out of the ordinary, Unix seconds.
    pub onset: i64,
    /// Last moment of it when it ended within the window.
    pub until: Option<i64>,
    /// How many of the baseline's usual spreads lie between before and after.
    pub score: f64,
    /// What gives the number meaning.
    pub limit: Option<Limit>,
    /// How many series of the metric moved like this one, itself included.
    pub series: usize,
    /// Where else the metric moved alike at about the same time, most first.
    pub elsewhere: Vec<Labels>,
    /// Other aspects of the same metric and labels that moved too.
    pub also: Vec<Aspect>,
    /// What moved at about the same time has the same number, from 1.
    pub together: usize,
    /// For the order: strength, less the later it began.
    rank: f64,
    /// Whether it counts events one by one.
    counts: bool,
}

/// Something that happened to a series rather than to its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, Unix seconds.
    pub at: i64,
    /// What, with the labels that tell: `new`, `gone`, `restarted`, `gap`.
    pub what: &'static str,
    /// Metric, for resets the one that stands for all.
    pub metric: String,
    /// Of the first such series.
    pub labels: Labels,
    /// How many series.
    pub series: usize,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What moved, most telling first.
    pub signals: Vec<Signal>,
    /// New, vanished, restarted and interrupted series, oldest first.
    pub events: Vec<Event>,
    /// How many measures there are.
    pub measures: usize,
    /// How many of them have no baseline to compare with.
    pub baseless: usize,
}

impl Frame {
    /// How many moments there are in all.
    pub fn points(&self) -> usize {
        self.baseline + self.window
    }

    /// Unix seconds of a moment.
    pub fn at(&self, index: usize) -> i64 {
        let whole = |it: usize| i64::try_from(it).unwrap_or(i64::MAX / 1_000_000);
        match index < self.baseline {
            true => self.baseline_from + whole(index) * self.step,
            false => self.window_from + whole(index - self.baseline) * self.step,
        }
    }

    /// Whether the window follows the baseline at once.
    pub fn contiguous(&self) -> bool {
        self.at(self.baseline) == self.baseline_from + self.step * i64::try_from(self.baseline).unwrap_or(0)
    }
}

/// Compares every measure with its baseline.
pub fn find(frame: &Frame, series: &[Series], hints: &Hints) -> Findings {
    let families = kind::families(series, hints);
    let measures = measure::all(frame, series, &families);
    let events = event::all(frame, series, &families);
    let limits = limit::Limits::of(frame, series, &families, &hints.thresholds);
    let mut scorer = score::Scorer::new(frame, measures.len(), ERROR_RATE);
    let moved: Vec<Signal> =
        measures.iter().filter_map(|it| signal(frame, it, &limits, &mut scorer)).collect();
    Findings {
        signals: group::ordered(frame, moved),
        events,
        measures: measures.len(),
        baseless: scorer.baseless,
    }
}

fn signal(
    frame: &Frame,
    measure: &Measure<'_>,
    limits: &limit::Limits<'_>,
    scorer: &mut score::Scorer<'_>,
) -> Option<Signal> {
    let movement = scorer.movement(measure)?;
    let ended = movement.to < frame.points();
    let limit = limits.of_measure(measure, movement.after);
    let small = |it: &Limit| it.is_metric && (movement.after - movement.before).abs() < LITTLE * it.value;
    if measure.aspect == Aspect::Value && limit.as_ref().is_some_and(small) {
        return None;
    }
    Some(Signal {
        metric: measure.metric.to_owned(),
        aspect: measure.aspect,
        labels: measure.labels.clone(),
        before: movement.before,
        after: movement.after,
        onset: frame.at(movement.from),
        until: ended.then(|| frame.at(movement.to - 1)),
        score: movement.effect.abs(),
        rank: group::strength(measure.aspect, &movement, limit.as_ref()),
        limit,
        series: measure.series,
        elsewhere: Vec::new(),
        counts: measure.seconds > 0.0,
        also: Vec::new(),
        together: 0,
    })
}

#[cfg(test)]
mod tests;
