//! What holds in every world, whatever its seed?

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::World;
use crate::{Fault, MetricKind, Plan, Sample, Series};

const UNTIL_S: i64 = 1_800_000_000;

/// All samples of a history, by series.
struct Recording {
    world: World,
    lines: Lines,
}

/// Seconds since the end of history, and the value.
type Line = Vec<(i64, f64)>;
type Lines = BTreeMap<usize, (Arc<Series>, Line)>;

impl Recording {
    fn of(plan: Plan) -> Recording {
        let mut world = World::new(plan.until(Timestamp::from_second(UNTIL_S).unwrap()));
        let mut lines = BTreeMap::new();
        world.history(&mut |it| note(&mut lines, it));
        Recording { world, lines }
    }

    /// Goes on for so many minutes.
    fn go_on(&mut self, minutes: i64) {
        let at = Timestamp::from_second(self.world.next_s).unwrap() + SignedDuration::from_mins(minutes);
        self.world.tick(at, &mut |it| note(&mut self.lines, it));
    }

    fn select(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Line> {
        let fits =
            |it: &Series| it.name == name && labels.iter().all(|(name, is)| it.label(name) == Some(is));
        self.lines.values().filter(|it| fits(&it.0)).map(|it| &it.1).collect()
    }

    /// How much counters rose in a span, restarts counted from 0; seconds since the end of history.
    fn rise(&self, name: &str, labels: &[(&str, &str)], from_s: i64, to_s: i64) -> f64 {
        let of = |line: &Line| -> f64 {
            let inside = |it: &&[(i64, f64)]| it[1].0 > from_s && it[1].0 <= to_s;
            line.windows(2).filter(inside).map(|it| rise(it[0].1, it[1].1)).sum()
        };
        self.select(name, labels).into_iter().map(of).sum()
    }

    /// Mean seconds of a request in a span.
    fn time(&self, service: &str, from_s: i64, to_s: i64) -> f64 {
        let of = |name: &str| self.rise(name, &[("service", service)], from_s, to_s);
        of("http_request_duration_seconds_sum") / of("http_request_duration_seconds_count")
    }

    /// Share of requests that fail in a span.
    fn failing(&self, service: &str, from_s: i64, to_s: i64) -> f64 {
        let of = |code: &str| {
            self.rise("http_requests_total", &[("service", service), ("code", code)], from_s, to_s)
        };
        let failed = of("500") + of("503");
        failed / (failed + of("200") + of("400")).max(1.0)
    }

    /// Seconds from the end of history to the onset; negative.
    fn onset_s(&self) -> i64 {
        self.world.truth().onset.as_second() - UNTIL_S
    }

    /// Seconds from the end of history to the last scrape.
    fn last_s(&self) -> i64 {
        self.world.next_s - 30 - UNTIL_S
    }
}

fn note(lines: &mut Lines, sample: Sample) {
    let line = lines.entry(sample.series.id).or_insert_with(|| (Arc::clone(&sample.series), Vec::new()));
    line.1.push((sample.at_ms / 1_000 - UNTIL_S, sample.value));
}

fn rise(before: f64, after: f64) -> f64 {
    if after < before { after } else { after - before }
}

/// Is a counter by its own metadata, whatever its suffix.
fn counts(series: &Series) -> bool {
    let of = |name: &str| crate::METRICS.iter().find(|it| it.name == name).map(|it| it.kind);
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|it| series.name.strip_suffix(it));
    match base.and_then(of) {
        Some(MetricKind::Histogram | MetricKind::Summary) => true,
        _ => of(series.name).expect("every metric has its metadata") == MetricKind::Counter,
    }
}

fn faults() -> impl Strategy<Value = Option<Fault>> {
    prop::option::weighted(0.9, prop::sample::select(&Fault::ALL[..]))
}

fn plan(seed: u64, fault: Option<Fault>) -> Plan {
    let plan = fault.map_or_else(|| Plan::healthy(seed), |it| Plan::with(seed, it));
    plan.hours(4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_go_down_only_when_their_process_starts_again(seed in 0..1_000_u64, fault in faults()) {
        let recording = Recording::of(plan(seed, fault));
        let mut starts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (series, line) in recording.lines.values().filter(|it| counts(&it.0)) {
            for pair in line.windows(2).filter(|it| it[1].1 < it[0].1) {
                let cluster = ["kube-state-metrics", "node"].contains(&series.label("job").unwrap());
                prop_assert!(!cluster, "{series} fell at {}", pair[1].0);
                starts.entry(series.label("instance").unwrap().to_owned()).or_default().push(pair[1].0);
            }
        }
        for (instance, mut moments) in starts {
            moments.sort_unstable();
            moments.dedup();
            let service = instance.rsplit_once('-').unwrap().0;
            let taken = recording.world.changes().iter().filter(|it| it.service == service).count();
            let killed: f64 = recording
                .select("kube_pod_container_status_restarts_total", &[("instance", &instance)])
                .iter()
                .map(|it| it.last().unwrap().1)
                .sum();
            prop_assert!(moments.len() <= taken + killed as usize, "{instance}: {moments:?}");
        }
    }

    #[test]
    fn successes_and_errors_are_all_requests(seed in 0..1_000_u64, fault in faults()) {
        let recording = Recording::of(plan(seed, fault));
        for pod in recording.world.services().iter().flat_map(|it| &it.pods) {
            let labels = [("instance", pod.instance.as_str())];
            let last = |name: &str, more: &[(&str, &str)]| -> f64 {
                let labels: Vec<_> = labels.iter().chain(more).copied().collect();
                recording.select(name, &labels).iter().map(|it| it.last().unwrap().1).sum()
            };
            let all = last("http_requests_total", &[]);
            prop_assert_eq!(all, last("http_request_duration_seconds_count", &[]));
            prop_assert_eq!(all, last("http_request_duration_seconds_bucket", &[("le", "+Inf")]));
            let attempts = last("http_client_requests_total", &[]);
            prop_assert_eq!(attempts, last("http_client_request_duration_seconds_count", &[]));
        }
    }

    #[test]
    fn buckets_hold_what_smaller_ones_hold(seed in 0..1_000_u64, fault in faults()) {
        let recording = Recording::of(plan(seed, fault));
        for pod in recording.world.services().iter().flat_map(|it| &it.pods) {
            let bounds = ["0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
            let last = bounds.map(|le| {
                let labels = [("instance", pod.instance.as_str()), ("le", le)];
                recording.select("http_request_duration_seconds_bucket", &labels)[0].last().unwrap().1
            });
            prop_assert!(last.is_sorted(), "{}: {last:?}", pod.instance);
        }
    }

    #[test]
    fn what_callers_send_is_what_arrives(seed in 0..1_000_u64, fault in faults()) {
        let mut recording = Recording::of(plan(seed, fault));
        recording.lines.clear();
        recording.go_on(5);
        let went_down = recording.lines.values().any(|it| it.0.name == "up" && it.1.iter().any(|it| it.1 == 0.0));
        prop_assume!(!went_down && recording.world.truth().fault != Some(Fault::MemoryLeak));
        let (from_s, to_s) = (60, recording.last_s());
        for service in recording.world.services().iter().skip(1) {
            let arrived = recording.rise("http_requests_total", &[("service", service.name)], from_s, to_s);
            let sent = recording.rise("http_client_requests_total", &[("upstream", service.name)], from_s, to_s);
            let labels = [("upstream", service.name), ("code", "tls_error")];
            let broken = recording.rise("http_client_requests_total", &labels, from_s, to_s);
            prop_assert_eq!(arrived, sent - broken, "{}", service.name);
        }
    }

    #[test]
    fn memory_never_exceeds_its_limit(seed in 0..1_000_u64) {
        let mut recording = Recording::of(plan(seed, Some(Fault::MemoryLeak)));
        recording.go_on(90);
        let place = recording.world.truth().place.clone();
        let labels = [("service", place.as_str())];
        let limit = recording.select("container_spec_memory_limit_bytes", &labels)[0][0].1;
        for name in ["process_resident_memory_bytes", "container_memory_working_set_bytes"] {
            for line in recording.select(name, &labels) {
                prop_assert!(line.iter().all(|it| it.1 <= limit), "{name}");
            }
        }
        let restarts = recording.select("kube_pod_container_status_restarts_total", &labels);
        let killed: f64 = restarts.iter().map(|it| it.last().unwrap().1 - it[0].1).sum();
        prop_assert!(killed >= 1.0, "it reaches its limit and is killed");
    }
}

#[test]
fn the_same_plan_is_the_same_world() {
    let lines = |recording: Recording| -> Vec<_> {
        let plain = |(series, line): (Arc<Series>, Line)| (series.to_string(), line);
        recording.lines.into_values().map(plain).collect()
    };
    for fault in Fault::ALL {
        assert_eq!(lines(Recording::of(plan(11, Some(fault)))), lines(Recording::of(plan(11, Some(fault)))));
    }
    let [one, other] = [11, 12].map(|it| lines(Recording::of(plan(it, None))));
    assert_ne!(one, other);
}

#[test]
fn a_world_goes_on_as_it_would_have() {
    let mut live = Recording::of(Plan::with(3, Fault::TrafficSurge));
    let before = live.last_s();
    (0..3).for_each(|_| live.go_on(1));
    let mut at_once = Recording::of(Plan::with(3, Fault::TrafficSurge));
    let minutes = SignedDuration::from_mins(live.last_s() / 60 + 1);
    let at = Timestamp::from_second(UNTIL_S).unwrap() + minutes;
    at_once.world.tick(at, &mut |it| note(&mut at_once.lines, it));
    assert_eq!(before, 0);
    for (id, (series, line)) in &live.lines {
        assert_eq!(line[..], at_once.lines[id].1[..line.len()], "{series}");
    }
}

#[test]
fn a_slow_provider_slows_its_callers_and_theirs() {
    for seed in 0..6 {
        let recording = Recording::of(Plan::with(seed, Fault::SlowDependency));
        let onset_s = recording.onset_s();
        let place = recording.world.truth().place.clone();
        let slower = |service: &str| {
            recording.time(service, onset_s + 240, 0) / recording.time(service, onset_s - 3_600, onset_s)
        };
        let provider = recording.world.truth().provider.unwrap();
        // Whoever works off a queue answers before it calls.
        if provider == "mail-relay" {
            let waiting = |at: usize| -> f64 {
                let lines = recording.select("queue_length", &[("service", &place)]);
                lines.iter().map(|it| it[it.len() - at].1).sum()
            };
            assert!(waiting(1) > 20.0 * (waiting(700) + 1.0), "{seed}");
            continue;
        }
        assert!(slower(&place) > 2.0, "{seed}: {place} {}", slower(&place));
        assert!(slower("checkout") > 1.2, "{seed}: {}", slower("checkout"));
        assert!((0.9..1.1).contains(&slower("accounts")), "{seed}: {}", slower("accounts"));
    }
}

#[test]
fn retries_send_more_than_was_asked_for() {
    let recording = (0..40)
        .map(|seed| World::new(Plan::with(seed, Fault::BadDeploy)))
        .find(|it| ["pricing", "inventory"].contains(&it.truth().place.as_str()))
        .map(|it| Recording::of(*it.plan()))
        .unwrap();
    let (onset_s, place) = (recording.onset_s(), recording.world.truth().place.clone());
    let per_request = |from_s, to_s| {
        recording.rise("http_requests_total", &[("service", &place)], from_s, to_s)
            / recording.rise("http_requests_total", &[("service", "gateway")], from_s, to_s)
    };
    let more = per_request(onset_s + 120, 0) / per_request(onset_s - 3_600, onset_s);
    assert!(more > 1.05, "{more}");
}

#[test]
fn only_pods_of_the_noisy_node_are_slow() {
    let recording = Recording::of(Plan::with(2, Fault::NoisyNeighbour));
    let (onset_s, node) = (recording.onset_s(), recording.world.truth().place.clone());
    let service =
        recording.world.services().iter().find(|it| it.name == "fraud" || it.name == "search").unwrap();
    assert!(service.calls.len() <= 1);
    for service in recording.world.services().iter().filter(|it| it.calls.is_empty()) {
        for pod in &service.pods {
            let labels = [("instance", pod.instance.as_str())];
            let time = |from_s, to_s| {
                recording.rise("http_request_duration_seconds_sum", &labels, from_s, to_s)
                    / recording.rise("http_request_duration_seconds_count", &labels, from_s, to_s)
            };
            let slower = time(onset_s + 60, 0) / time(onset_s - 3_600, onset_s);
            match pod.node == node {
                true => assert!(slower > 1.3, "{}: {slower}", pod.instance),
                false => assert!((0.9..1.1).contains(&slower), "{}: {slower}", pod.instance),
            }
        }
    }
}

#[test]
fn taking_the_guilty_change_back_heals_and_taking_another_does_not() {
    for (seed, fault) in
        (0..3).flat_map(|it| [Fault::BadDeploy, Fault::BadConfiguration].map(|fault| (it, fault)))
    {
        let hurt = |recording: &Recording, from_s: i64, to_s: i64| match fault {
            Fault::BadDeploy => recording.failing(&recording.world.truth().place, from_s, to_s),
            _ => recording.time(&recording.world.truth().place, from_s, to_s),
        };
        let mut recording = Recording::of(Plan::with(seed, fault));
        let place = recording.world.truth().place.clone();
        let usual = hurt(&recording, -6 * 3_600, recording.onset_s());
        let sick = hurt(&recording, -300, 0);
        assert!(sick > 2.0 * usual, "{fault}: {usual} {sick}");
        let innocent = recording
            .world
            .changes()
            .iter()
            .find(|it| it.service == place && Some(&it.id) != recording.world.truth().change.as_ref());
        let innocent =
            innocent.filter(|it| it.kind.word() == "deploy" || it.kind.word() == "config").cloned();
        if let Some(innocent) = innocent {
            recording.world.revert(&innocent.id).unwrap();
            recording.go_on(8);
            let since = recording.last_s();
            assert!(hurt(&recording, since - 240, since) > 2.0 * usual, "{fault}: {}", innocent.title);
        }
        recording.world.restart(&place).unwrap();
        recording.go_on(8);
        let since = recording.last_s();
        assert!(hurt(&recording, since - 240, since) > 2.0 * usual, "{fault}: a restart heals it");
        let undone = recording.world.roll_back(&place).unwrap();
        assert!(undone.body.contains(recording.world.truth().change.as_ref().unwrap()), "{}", undone.body);
        recording.go_on(8);
        let since = recording.last_s();
        assert!(hurt(&recording, since - 240, since) < 1.5 * usual, "{fault}: a roll back does not heal it");
    }
}

#[test]
fn a_restart_lets_a_leak_begin_again() {
    let mut recording = Recording::of(Plan::with(5, Fault::MemoryLeak));
    let place = recording.world.truth().place.clone();
    let memory = |recording: &Recording| -> f64 {
        let lines = recording.select("process_resident_memory_bytes", &[("service", &place)]);
        lines.iter().map(|it| it.last().unwrap().1).sum()
    };
    let before = memory(&recording);
    recording.world.restart(&place).unwrap();
    recording.go_on(3);
    let after = memory(&recording);
    assert!(after < 0.8 * before, "{before} {after}");
    recording.go_on(25);
    assert!(memory(&recording) > 1.15 * after, "it grows again");
}

#[test]
fn what_is_not_there_cannot_be_acted_on() {
    let mut world = World::new(Plan::healthy(1));
    assert!(world.restart("check-out").unwrap_err().to_string().contains("checkout"));
    assert!(world.revert("chg-9").is_err());
    // Before its first moment nothing was changed yet.
    assert!(world.roll_back("checkout").is_err());
}

#[test]
fn six_hours_are_a_few_hundred_thousand_samples() {
    let (mut count, mut world) = (0_usize, World::new(Plan::drawn(1)));
    let begun = std::time::Instant::now();
    world.history(&mut |_| count += 1);
    eprintln!("{count} samples of {} series in {:?}", world.series().len(), begun.elapsed());
    assert!((200_000..900_000).contains(&count), "{count}");
}
