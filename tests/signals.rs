//! Does `find_signals` name what goes wrong in the sandbox's worlds, and nothing where nothing does?
//!
//! The worlds' own samples go through the scoring that the tool uses, on the tool's grid: an hour beside the two hours
//! before it. That the tool asks a Prometheus for the same is held in `servers/observability`.
#![cfg(feature = "demo")]

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use jiff::{SignedDuration, Timestamp};
use observability::signals::{self, Findings, Frame, Hints};
use sandbox::{METRICS, Plan, Sample, Truth, World};

const STEP_S: i64 = 30;
const BASELINE: usize = 240;
const WINDOW: usize = 120;
/// How long a value is good for, as for Prometheus.
const GOOD_S: i64 = 300;
/// The true signal is to be among so many.
const FIRST: usize = 3;
/// What a reader would take for odd by itself: one measure in a hundred.
const UNCORRECTED: f64 = 0.01;

/// A world seen through the tool's eyes.
struct Seen {
    truth: Truth,
    findings: Findings,
    /// Metrics by where they are measured: what a guess would choose from.
    choices: usize,
}

/// Each world ends at another time of the day.
fn end(seed: u64) -> Timestamp {
    let noon: Timestamp = "2026-01-30T12:00:00Z".parse().expect("a time");
    noon + SignedDuration::from_secs((seed * 7_919 % 86_400) as i64)
}

fn see(plan: Plan) -> Seen {
    let mut world = World::new(plan);
    let window_from = plan.to().as_second() - (WINDOW as i64 - 1) * STEP_S;
    let baseline_from = window_from - BASELINE as i64 * STEP_S;
    let frame = Frame { baseline_from, window_from, step: STEP_S, baseline: BASELINE, window: WINDOW };
    let mut table: BTreeMap<usize, signals::Series> = BTreeMap::new();
    world.history(&mut |sample: Sample| {
        let place = table.entry(sample.series.id).or_insert_with(|| {
            let labels = sample.series.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let name = ("__name__".to_owned(), sample.series.name.to_owned());
            signals::Series { labels: labels.chain([name]).collect(), values: vec![f64::NAN; frame.points()] }
        });
        // A query sees the newest value at each of its moments.
        let since = sample.at_ms.div_euclid(1_000) - baseline_from;
        let first = (since + STEP_S - 1).div_euclid(STEP_S).max(0) as usize;
        let last = (since + GOOD_S).div_euclid(STEP_S);
        for at in first..frame.points().min((last + 1).max(0) as usize) {
            place.values[at] = sample.value;
        }
    });
    let types = METRICS.iter().map(|it| (it.name.to_owned(), it.kind.word().to_owned())).collect();
    let series: Vec<signals::Series> = table.into_values().collect();
    let findings = signals::find(&frame, &series, &Hints { types, ..Hints::default() });
    let place = |it: &signals::Series| {
        let place = ["service", "node"].into_iter().find_map(|name| it.labels.get(name).cloned());
        (it.labels["__name__"].clone(), place)
    };
    let choices: BTreeSet<_> = series.iter().map(place).collect();
    Seen { truth: world.truth().clone(), findings, choices: choices.len() }
}

/// All worlds, on as many threads as there are processors.
fn see_all(plans: Vec<Plan>) -> Vec<Seen> {
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let share = plans.len().div_ceil(threads);
    thread::scope(|scope| {
        let work = |part: &[Plan]| part.iter().map(|it| see(*it)).collect::<Vec<_>>();
        let running: Vec<_> = plans.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        running.into_iter().flat_map(|it| it.join().expect("a world is seen")).collect()
    })
}

fn names_truth(seen: &Seen) -> bool {
    let at = |labels: &BTreeMap<String, String>| {
        ["service", "node"].into_iter().any(|it| labels.get(it).is_some_and(|it| *it == seen.truth.place))
    };
    seen.findings.signals.iter().take(FIRST).any(|it| it.metric == seen.truth.family && at(&it.labels))
}

#[test]
fn the_true_signal_of_a_fault_is_among_the_first_three() {
    // Not the seeds on which the scoring was made.
    let worlds = see_all((200..300).map(|seed| Plan::drawn(seed).until(end(seed))).collect());
    let mut by_fault: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for seen in &worlds {
        let fault = seen.truth.fault.map_or_else(String::new, |it| it.to_string());
        let counted = by_fault.entry(fault).or_default();
        *counted = (counted.0 + usize::from(names_truth(seen)), counted.1 + 1);
    }
    let found: usize = by_fault.values().map(|it| it.0).sum();
    let chance = worlds.iter().map(|it| FIRST as f64 / it.choices as f64).sum::<f64>() / worlds.len() as f64;
    println!(
        "true signal in the first {FIRST}: {found} of {}; by chance {:.1} %",
        worlds.len(),
        chance * 100.0
    );
    println!("by fault, found of all: {by_fault:?}");
    assert!(found >= 90, "{found} of 100: {by_fault:?}");
}

#[test]
fn a_healthy_world_is_accused_of_nothing() {
    let worlds = see_all((1_000..1_200).map(|seed| Plan::healthy(seed).until(end(seed))).collect());
    let quiet = worlds.iter().filter(|it| it.findings.signals.is_empty()).count();
    let measures = worlds.iter().map(|it| it.findings.measures).sum::<usize>() / worlds.len();
    let chance = (1.0 - UNCORRECTED).powi(i32::try_from(measures).expect("a few hundred")) * 100.0;
    println!(
        "healthy worlds accused of nothing: {quiet} of {}; {chance:.1} % if each of {measures} measures erred once in {}",
        worlds.len(),
        1.0 / UNCORRECTED
    );
    assert!(quiet * 100 >= worlds.len() * 95, "{quiet} of {}", worlds.len());
}
