//! Can a plain rule find what is wrong, from nothing but what is measured and what was changed?
//!
//! Every measure is compared with its own past, by median and median deviation. What moved is explained by what it
//! stands on (whom it calls, where it runs) or by more people at the door; the earliest that nothing explains is the
//! cause, and the last change of that service shortly before is to blame.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sandbox::{Fault, Plan, Sample, World};

const UNTIL_S: i64 = 1_800_000_000;
const MINUTES: usize = 360;
/// The past that the last minutes are compared with ends here.
const BASELINE: usize = MINUTES - 90;
/// What begins this close together may have begun in either order; minutes.
const TOGETHER: usize = 4;
/// How long before its effect a change may lie; seconds.
const BEFORE_S: i64 = 20 * 60;

/// What is measured, by metric and place; each with the smallest change that counts.
const MEASURES: [Measure; 8] = [
    Measure { family: "http_requests_total", kind: Kind::FailedShare, at: "service", least: 0.01, part: 0.0 },
    Measure { family: "http_requests_total", kind: Kind::Rate, at: "service", least: 60.0, part: 0.25 },
    Measure {
        family: "http_request_duration_seconds",
        kind: Kind::Mean,
        at: "service",
        least: 0.003,
        part: 0.15,
    },
    Measure {
        family: "http_client_request_duration_seconds",
        kind: Kind::Mean,
        at: "upstream",
        least: 0.02,
        part: 0.5,
    },
    Measure {
        family: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        at: "service",
        least: 1e7,
        part: 0.08,
    },
    Measure { family: "db_pool_connections_in_use", kind: Kind::Gauge, at: "service", least: 2.0, part: 0.0 },
    Measure { family: "probe_success", kind: Kind::Gauge, at: "service", least: 0.5, part: 0.0 },
    Measure { family: "node_cpu_seconds_total", kind: Kind::StolenShare, at: "node", least: 0.05, part: 0.0 },
];

#[derive(Clone, Copy)]
struct Measure {
    family: &'static str,
    kind: Kind,
    /// Label that says where.
    at: &'static str,
    least: f64,
    /// Of its usual value.
    part: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gauge,
    Rate,
    /// Sum by count.
    Mean,
    FailedShare,
    StolenShare,
}

/// A measure that is not as it was.
#[derive(Debug)]
struct Moved {
    family: &'static str,
    place: String,
    /// Requests, which spread from whoever calls; everything else spreads from whoever is called.
    load: bool,
    minute: usize,
    /// By how much, for its own size.
    relative: f64,
}

/// A world as its metrics tell it: by measure and place two sums a minute, of which the second divides the first.
struct Seen {
    world: World,
    lines: BTreeMap<(usize, String), Vec<(f64, f64)>>,
    /// A service, and one that it calls or a node that it runs on.
    stands_on: BTreeSet<(String, String)>,
}

impl Seen {
    fn of(plan: Plan) -> Seen {
        let mut world = World::new(plan.until(Timestamp::from_second(UNTIL_S).expect("a moment")));
        let (mut lines, mut stands_on) = (BTreeMap::new(), BTreeSet::new());
        let mut last: BTreeMap<usize, f64> = BTreeMap::new();
        let from_s = world.plan().from().as_second();
        world.history(&mut |sample| {
            let before = last.insert(sample.series.id, sample.value);
            let minute = ((sample.at_ms / 1_000 - from_s) / 60) as usize;
            let service = sample.series.label("service");
            let on = sample.series.label("upstream").or(sample.series.label("node"));
            if let Some((service, on)) = service.zip(on) {
                stands_on.insert((service.to_owned(), on.to_owned()));
            }
            for (index, measure) in MEASURES.iter().enumerate() {
                let place = sample.series.label(measure.at);
                let Some((place, sums)) = place.zip(measure.sums(&sample, before)) else { continue };
                let line =
                    lines.entry((index, place.to_owned())).or_insert_with(|| vec![(0.0, 0.0); MINUTES + 1]);
                (line[minute].0, line[minute].1) = (line[minute].0 + sums.0, line[minute].1 + sums.1);
            }
        });
        Seen { world, lines, stands_on }
    }

    /// Everything that moved.
    fn moved(&self) -> Vec<Moved> {
        let found = self.lines.iter().filter_map(|((index, place), line)| {
            let measure = MEASURES[*index];
            let value =
                |it: &(f64, f64)| if measure.kind == Kind::Rate { it.0 } else { it.0 / it.1.max(1e-9) };
            let values: Vec<f64> = line[5..MINUTES].iter().map(value).collect();
            let (usual, now) = values.split_at(BASELINE - 5);
            let middle = median(usual);
            let spread = 1.5 * median(&usual.iter().map(|it| (it - middle).abs()).collect::<Vec<_>>());
            let far = (6.0 * spread).max(measure.least).max(measure.part * middle);
            let away: Vec<bool> = now.iter().map(|it| (it - middle).abs() > far).collect();
            let stays = |at: &usize| {
                let rest = &away[*at..];
                let most = |it: &[bool]| it.iter().filter(|it| **it).count() * 10 > it.len() * 7;
                // Not a spike with something else after it.
                rest[0] && rest.len() > 5 && most(&rest[..5]) && most(rest)
            };
            let minute = BASELINE + (0..away.len()).find(stays)?;
            let relative = (median(&now[now.len() - 5..]) - middle).abs() / middle.abs().max(0.01);
            let load = measure.kind == Kind::Rate;
            Some(Moved { family: measure.family, place: place.clone(), load, minute, relative })
        });
        found.collect()
    }

    /// Where it began, and which change of ours is to blame.
    fn diagnosis(&self) -> Option<(String, Option<String>)> {
        let moved = self.moved();
        let is_called = |place: &str| self.stands_on.iter().any(|it| it.1 == place);
        let explains = |cause: &Moved, effect: &Moved| {
            let from_the_door = cause.load && !is_called(&cause.place) && !std::ptr::eq(cause, effect);
            let stands_on = || self.stands_on.contains(&(effect.place.clone(), cause.place.clone()));
            cause.minute <= effect.minute + TOGETHER
                && (from_the_door || !cause.load && !effect.load && stands_on())
        };
        // More requests inside come from those who call, who may only be trying again.
        let own = moved.iter().filter(|it| !it.load || !is_called(&it.place));
        let unexplained = own.filter(|it| !moved.iter().any(|other| explains(other, it)));
        let order = |it: &&Moved| (it.minute, std::cmp::Reverse((it.relative * 1_000.0) as u64));
        let first = unexplained.min_by_key(order)?;
        let onset_s = self.world.plan().from().as_second() + first.minute as i64 * 60 + 60;
        let in_time = |at: Timestamp| (onset_s - BEFORE_S..=onset_s).contains(&at.as_second());
        let mut changes = self.world.changes().iter().filter(|it| it.service == first.place);
        Some((first.place.clone(), changes.rfind(|it| in_time(it.at)).map(|it| it.id.clone())))
    }
}

impl Measure {
    /// What a sample adds to the two sums of its minute.
    fn sums(&self, sample: &Sample, before: Option<f64>) -> Option<(f64, f64)> {
        let suffix = sample.series.name.strip_prefix(self.family)?;
        let value = sample.value;
        let rise = before.map_or(0.0, |before| if value < before { value } else { value - before });
        let is =
            |label: &str, start: &str| sample.series.label(label).is_some_and(|it| it.starts_with(start));
        let counted = |is_it: bool| (if is_it { rise } else { 0.0 }, rise);
        match (self.kind, suffix) {
            (Kind::Gauge, "") => Some((value, 1.0)),
            (Kind::Rate, "") => Some((rise, 0.0)),
            (Kind::Mean, "_sum") => Some((rise, 0.0)),
            (Kind::Mean, "_count") => Some((0.0, rise)),
            (Kind::FailedShare, "") => Some(counted(is("code", "5"))),
            (Kind::StolenShare, "") => Some(counted(is("mode", "steal"))),
            _ => None,
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_plain_rule_names_the_true_cause() {
    for fault in Fault::ALL {
        let mut missed = Vec::new();
        for seed in 0..5 {
            let seen = Seen::of(Plan::with(seed, fault));
            let truth = seen.world.truth();
            let place = truth.provider.map_or(truth.place.clone(), str::to_owned);
            let found = seen.diagnosis();
            if found != Some((place, truth.change.clone())) {
                missed.push(format!("seed {seed}: {found:?} instead of {truth:?}"));
            }
        }
        assert!(missed.len() <= 1, "{fault}: {missed:#?}");
    }
}

#[test]
fn a_fault_moves_its_own_metric_first_and_soon() {
    for (fault, seed) in Fault::ALL.into_iter().flat_map(|it| [(it, 20), (it, 21), (it, 22)]) {
        let seen = Seen::of(Plan::with(seed, fault));
        let truth = seen.world.truth();
        let place = truth.provider.unwrap_or(&truth.place);
        let moved = seen.moved();
        let own = moved.iter().find(|it| it.place == place && it.family == truth.family);
        let own = own.unwrap_or_else(|| panic!("{fault} {seed}: {truth:?} is not in {moved:#?}"));
        // Requests of others are left out: those who try again send more of them before much is seen.
        let first = moved.iter().filter(|it| !it.load).map(|it| it.minute).min();
        let first = first.filter(|_| fault != Fault::TrafficSurge).unwrap_or(own.minute);
        assert!(own.minute <= first + 2, "{fault} {seed}: {first} was before {own:?} in {moved:#?}");
        let onset = (truth.onset.as_second() - seen.world.plan().from().as_second()) / 60;
        let late = own.minute as i64 - onset;
        assert!((-1..=9).contains(&late), "{fault} {seed}: seen {late} minutes after its onset");
    }
}

#[test]
fn nothing_moves_in_a_healthy_world() {
    for seed in 0..10 {
        let moved = Seen::of(Plan::healthy(seed)).moved();
        assert!(moved.is_empty(), "seed {seed}: {moved:#?}");
    }
}
