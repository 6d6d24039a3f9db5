//! How long does it take to score 10,000 series of 720 points, beside one pass over the same numbers?

use std::{
    hint::black_box,
    io::Write,
    time::{Duration, Instant},
};

use observability::signals::{self, Frame, Hints, Series};

const SERIES: usize = 10_000;
const POINTS: usize = 720;
const ROUNDS: usize = 7;
const AIM: Duration = Duration::from_millis(500);

fn main() {
    let frame =
        Frame { baseline_from: 0, window_from: 480 * 30, step: 30, baseline: 480, window: POINTS - 480 };
    let series = series();
    let (mut scored, mut summed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        black_box(signals::find(&frame, black_box(&series), &Hints::default()));
        scored.push(begin.elapsed());
        let begin = Instant::now();
        black_box(series.iter().map(|it| black_box(&it.values).iter().sum::<f64>()).sum::<f64>());
        summed.push(begin.elapsed());
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (scored, summed) = (middle(&mut scored), middle(&mut summed));
    let found = signals::find(&frame, &series, &Hints::default()).signals.len();
    let ratio = scored.as_secs_f64() / summed.as_secs_f64();
    let told = format!(
        "{SERIES} series × {POINTS} points scored in {scored:.1?} (aim {AIM:?}); {ratio:.0} × one sum over them in {summed:.1?}; \
         {found} moved\n"
    );
    std::io::stdout().write_all(told.as_bytes()).expect("standard output is open");
}

/// Gauges of many services with noise, a slow wave and a few that jump.
fn series() -> Vec<Series> {
    let mut state = 7_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(u32::MAX >> 1)
    };
    let one = |at: usize| {
        let level = 10.0 + 90.0 * noise();
        let values = (0..POINTS).map(|point| {
            let wave = (point as f64 / 2_880.0 * std::f64::consts::TAU).sin();
            let jump = if at.is_multiple_of(500) && point > 600 { 3.0 } else { 1.0 };
            level * jump * (1.0 + 0.1 * wave + 0.1 * noise())
        });
        let pairs = [
            ("__name__", format!("metric_{}", at % 40)),
            ("service", format!("s{}", at % 250)),
            ("pod", format!("p{at}")),
        ];
        let labels = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        Series { labels, values: values.collect() }
    };
    (0..SERIES).map(one).collect()
}
