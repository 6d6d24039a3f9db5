//! Against generated hours of a small estate: daily waves, noise, spikes, restarts and gaps; with and without a fault.

use std::f64::consts::TAU;

use super::*;

const STEP: i64 = 30;
const FRAME: Frame = Frame {
    baseline_from: 1_800_000_000 - 240 * STEP,
    window_from: 1_800_000_000,
    step: STEP,
    baseline: 240,
    window: 120,
};
/// Where the fault begins.
const ONSET: usize = 240 + 60;
const SERVICES: [&str; 8] = ["edge", "cart", "checkout", "payments", "search", "stock", "mail", "users"];
const BOUNDS: [(&str, f64); 9] = [
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("+Inf", f64::INFINITY),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Errors,
    Latency,
    Leak,
    Pool,
    Surge,
}

/// The same unevenness in every run (SplitMix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.next().max(1e-12).ln()).sqrt() * (TAU * self.next()).cos()
    }

    /// How many events when so many are expected.
    fn count(&mut self, mean: f64) -> f64 {
        (mean + mean.sqrt() * self.normal()).round().max(0.0)
    }
}

fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    let own = [("__name__", name)];
    pairs.iter().chain(&own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn series(name: &str, pairs: &[(&str, &str)], values: Vec<f64>) -> Series {
    Series { labels: labels(name, pairs), values }
}

/// A few hours of eight services with two pods each; the fault is at the service that the seed chooses.
fn world(seed: u64, fault: Fault) -> (Vec<Series>, &'static str) {
    let mut noise = Noise(seed);
    let guilty = SERVICES[(noise.next() * 8.0) as usize];
    let phase = noise.next();
    let mut all = Vec::new();
    for service in SERVICES {
        let fault = if service == guilty { fault } else { Fault::None };
        for pod in 0..2 {
            all.extend(one_pod(&mut noise, service, pod, fault, phase));
        }
    }
    // One pod restarts, one is not scraped for a while.
    let restarted = (noise.next() * 100.0) as usize + 250;
    for it in all.iter_mut().filter(|it| it.labels.get("pod").is_some_and(|it| it == "mail-1")) {
        if it.labels["__name__"].ends_with("_total") || it.labels["__name__"].ends_with("_bucket") {
            let lost = it.values[restarted - 1];
            it.values[restarted..].iter_mut().for_each(|it| *it -= lost);
        }
    }
    for it in all.iter_mut().filter(|it| it.labels.get("pod").is_some_and(|it| it == "stock-0")) {
        it.values[260..275].fill(f64::NAN);
    }
    (all, guilty)
}

fn one_pod(noise: &mut Noise, service: &str, pod: usize, fault: Fault, phase: f64) -> Vec<Series> {
    let pod = format!("{service}-{pod}");
    let own = [("service", service), ("pod", pod.as_str()), ("job", "app")];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        more.iter().map(|(a, b)| (*a, (*b).to_owned())).collect()
    };
    let (base, typical, pool) =
        (5.0 + 60.0 * noise.next(), 0.01 + 0.05 * noise.next(), 4.0 + 4.0 * noise.next());
    let mut totals = [0.0_f64; 3];
    let mut buckets = [0.0_f64; 9];
    let (mut cpu, mut memory) = (0.0, 200e6 + 1e8 * noise.next());
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); 16];
    for at in 0..FRAME.points() {
        let broken = at >= ONSET;
        let on = |it: Fault| broken && fault == it;
        let day = 1.0 + 0.4 * (TAU * (at as f64 * STEP as f64 / 86_400.0 + phase)).sin();
        let rate = base * day * if on(Fault::Surge) { 2.5 } else { 1.0 };
        let requests = noise.count(rate * STEP as f64);
        let failing = if on(Fault::Errors) { 0.08 } else { 0.002 };
        let failed = noise.count(requests * failing).min(requests);
        let refused = noise.count(requests * 0.01);
        totals = [totals[0] + requests - failed, totals[1] + failed, totals[2] + refused];
        let slow = if on(Fault::Latency) { 1.0 + (at - ONSET) as f64 / 20.0 } else { 1.0 };
        for (bucket, (_, bound)) in buckets.iter_mut().zip(BOUNDS) {
            let distance = (bound / (typical * slow)).ln() / 0.6;
            let share = 1.0 / (1.0 + (-1.7 * distance).exp());
            *bucket += if bound.is_finite() { (requests * share).round() } else { requests };
        }
        cpu += requests * 0.004 * slow.min(2.0) + 0.01;
        memory += if on(Fault::Leak) { 8e6 } else { 0.0 };
        let used = match on(Fault::Pool) {
            true => (pool + (at - ONSET) as f64).min(20.0),
            false => (pool * day + noise.normal()).round().clamp(0.0, 20.0),
        };
        let spike = if noise.next() < 0.005 { 60.0 } else { 0.0 };
        let others =
            [cpu, memory + 3e6 * noise.normal(), used, 20.0, 40.0 + 3.0 * noise.normal() + spike, 1.0, 5e8];
        for (row, value) in rows.iter_mut().zip(totals.into_iter().chain(buckets).chain(others)) {
            row.push(value);
        }
    }
    let mut rows = rows.into_iter();
    let mut make = |name: &str, more: &[(&'static str, &'static str)]| {
        let more = with(more);
        let pairs: Vec<(&str, &str)> =
            own.iter().copied().chain(more.iter().map(|(a, b)| (*a, b.as_str()))).collect();
        series(name, &pairs, rows.next().unwrap_or_default())
    };
    let mut made: Vec<Series> =
        ["200", "500", "404"].map(|it| make("http_requests_total", &[("code", it)])).into();
    made.extend(BOUNDS.map(|it| make("http_request_duration_seconds_bucket", &[("le", it.0)])));
    made.extend(
        [
            "container_cpu_usage_seconds_total",
            "process_resident_memory_bytes",
            "db_pool_connections_in_use",
            "db_pool_connections_max",
        ]
        .map(|it| make(it, &[])),
    );
    made
}

fn told(findings: &Findings) -> Vec<String> {
    let tell = |it: &Signal| {
        format!("{} {} {:?} {:.1} {:?}", it.metric, it.aspect, it.labels.get("service"), it.score, it.limit)
    };
    findings.signals.iter().map(tell).collect()
}

#[test]
fn a_fault_is_among_the_first_three() {
    let mut found = 0;
    let faults = [
        (Fault::Errors, "http_requests_total", Aspect::Failed),
        (Fault::Latency, "http_request_duration_seconds", Aspect::P50),
        (Fault::Leak, "process_resident_memory_bytes", Aspect::Value),
        (Fault::Pool, "db_pool_connections_in_use", Aspect::Value),
        (Fault::Surge, "http_requests_total", Aspect::Rate),
    ];
    for seed in 0..40 {
        let (fault, metric, aspect) = faults[seed % faults.len()];
        let (series, guilty) = world(seed as u64, fault);
        let findings = find(&FRAME, &series, &Hints::default());
        let hit = findings.signals.iter().take(3).find(|it| {
            it.metric == metric
                && (it.aspect == aspect || it.also.contains(&aspect))
                && it.labels.get("service").is_some_and(|it| it == guilty)
        });
        match hit {
            Some(hit) => {
                found += 1;
                let late = (hit.onset - FRAME.at(ONSET)) / STEP;
                assert!((-4..40).contains(&late), "{seed} {fault:?}: onset {late} moments off: {hit:?}");
            }
            None => eprintln!("{seed} {fault:?} {guilty}: {:#?}", told(&findings)),
        }
    }
    assert!(found >= 38, "{found} of 40");
}

#[test]
fn a_healthy_estate_accuses_nothing() {
    let quiet = (1_000..1_060).filter(|seed| {
        let findings = find(&FRAME, &world(*seed, Fault::None).0, &Hints::default());
        if !findings.signals.is_empty() {
            eprintln!("{seed}: {:#?}", told(&findings));
        }
        findings.signals.is_empty()
    });
    let quiet = quiet.count();
    assert!(quiet >= 58, "{quiet} of 60");
}

/// Calls of one service to another: their sum of seconds and their number, slow from a moment on.
fn calls(noise: &mut Noise, from: &str, to: &str, slow: (usize, f64), more: (usize, f64)) -> Vec<Series> {
    let (mut seconds, mut count, mut sums, mut counts) = (0.0, 0.0, Vec::new(), Vec::new());
    for at in 0..FRAME.points() {
        let made = noise.count(600.0 * if at >= more.0 { more.1 } else { 1.0 });
        count += made;
        seconds += made * (0.1 + 0.002 * noise.normal()) * if at >= slow.0 { slow.1 } else { 1.0 };
        sums.push(seconds);
        counts.push(count);
    }
    let own = [("service", from), ("upstream", to)];
    vec![
        series("http_client_request_duration_seconds_sum", &own, sums),
        series("http_client_request_duration_seconds_count", &own, counts),
    ]
}

#[test]
fn of_calls_that_wait_for_one_another_the_end_of_the_chain_is_told_first() {
    for seed in 0..20 {
        let mut noise = Noise(seed);
        let never = (usize::MAX, 1.0);
        // Who calls waits longer than who is called: what is nearest to the cause moved least in proportion.
        let mut all = calls(&mut noise, "edge", "checkout", (ONSET, 9.0), never);
        all.extend(calls(&mut noise, "checkout", "shipping", (ONSET, 8.0), never));
        all.extend(calls(&mut noise, "shipping", "carrier", (ONSET + 1, 6.0), never));
        all.extend(calls(&mut noise, "search", "stock", never, never));
        let found = find(&FRAME, &all, &Hints::default());
        let first = &found.signals[0];
        assert_eq!(
            (first.aspect, first.labels["upstream"].as_str()),
            (Aspect::Mean, "carrier"),
            "{found:#?}"
        );
        assert_eq!(first.elsewhere.len(), 2, "{first:?}");
    }
}

#[test]
fn calls_that_are_made_because_more_is_asked_come_after_that() {
    for seed in 0..20 {
        let mut noise = Noise(seed);
        let never = (usize::MAX, 1.0);
        let mut all = calls(&mut noise, "edge", "cart", never, (ONSET, 3.0));
        let mut total = 0.0;
        let asked = (0..FRAME.points()).map(|at| {
            total += noise.count(500.0 * if at >= ONSET { 2.5 } else { 1.0 });
            total
        });
        all.push(series("http_requests_total", &[("service", "edge")], asked.collect()));
        let found = find(&FRAME, &all, &Hints::default());
        let order: Vec<&str> = found.signals.iter().map(|it| it.metric.as_str()).collect();
        assert_eq!(order, ["http_requests_total", "http_client_request_duration_seconds"], "{found:#?}");
    }
}
