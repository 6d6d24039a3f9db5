//! Samples that show differences: resets, gaps, NaN, series that begin late and end early, buckets that disagree.

use std::fmt;

use crate::store::{Labels, NAME, Store};

/// Two hours, of a day that is over.
pub(super) const END_S: i64 = 1_760_000_000;
pub(super) const START_S: i64 = END_S - 7_200;
const STEP_MS: i64 = 15_000;

/// Series with their samples.
pub(super) struct Samples(pub(super) Vec<Sampled>);

/// Name, labels and samples of a series.
pub(super) type Sampled = (String, Vec<Pair>, Vec<(i64, f64)>);
/// Name and value of a label.
pub(super) type Pair = (&'static str, String);

type Shape = fn(i64, f64) -> Option<f64>;

impl Samples {
    pub(super) fn made() -> Samples {
        let mut samples = Samples(Vec::new());
        for (index, service) in ["cart", "checkout", "search"].into_iter().enumerate() {
            let own = |rest: &[(&'static str, &str)]| {
                let mut labels = vec![("job", "app".to_owned()), ("service", service.to_owned())];
                labels.extend(rest.iter().map(|(name, value)| (*name, (*value).to_owned())));
                labels
            };
            for pod in 0..2 {
                let instance = format!("{service}-{pod}");
                let pace = 3.0 + index as f64 + 0.5 * f64::from(pod);
                for (code, share) in [("200", 0.9), ("500", 0.08), ("404", 0.02)] {
                    let labels = own(&[("instance", &instance), ("code", code)]);
                    samples.counter("http_requests_total", labels, pace * share, index, pod);
                }
                let labels = own(&[("instance", &instance)]);
                let memory: Shape = |at, wave| Some(2e8 + 1e7 * wave + 50.0 * at as f64);
                samples.gauge("memory_bytes", labels.clone(), memory, pod);
                samples.gauge("memory_limit_bytes", labels.clone(), |_, _| Some(5e8), pod);
                let up: Shape = |at, _| Some(if (3_000..3_400).contains(&at) { 0.0 } else { 1.0 });
                samples.gauge("up", labels, up, pod);
            }
            samples.buckets(own(&[]), index);
            samples.gauge(
                "app_build_info",
                own(&[("version", ["v1", "v2", "v2"][index])]),
                |_, _| Some(1.0),
                0,
            );
        }
        let one = |name: &str| vec![("kind", name.to_owned())];
        samples.gauge(
            "odd",
            one("gap"),
            |at, wave| (!(2_000..4_000).contains(&at)).then_some(wave + 0.125),
            0,
        );
        samples.gauge("odd", one("nan"), |at, wave| Some(if at % 600 == 0 { f64::NAN } else { wave }), 0);
        samples.gauge("odd", one("infinite"), |at, _| Some(if at > 5_000 { f64::INFINITY } else { 1.0 }), 0);
        samples.gauge("odd", one("late"), |at, wave| (at > 6_600).then_some(wave * 1e-9), 0);
        samples.gauge("odd", one("ended"), |at, wave| (at < 6_500).then_some(wave * 1e22), 0);
        samples.gauge("odd", one("negative"), |_, wave| Some(-wave - 2.5), 0);
        samples.gauge("odd", one("steps"), |at, _| Some((at / 900) as f64), 0);
        samples
    }

    pub(super) fn store(&self) -> Store {
        let mut store = Store::new();
        for (name, labels, points) in &self.0 {
            let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
            let place = store.place(&Labels::new(labels.chain([(NAME, name.as_str())])));
            points.iter().for_each(|it| store.append(place, it.0, it.1));
        }
        store
    }

    fn add(&mut self, name: &str, labels: Vec<Pair>, points: Vec<(i64, f64)>) {
        self.0.push((name.to_owned(), labels, points));
    }

    /// Scraped a little later on each target, as in life.
    fn gauge(&mut self, name: &str, labels: Vec<Pair>, shape: Shape, pod: i32) {
        let points = times(pod).filter_map(|at_ms| {
            let at = (at_ms - START_S * 1_000) / 1_000;
            Some((at_ms, shape(at, (at as f64 / 400.0).sin())?))
        });
        let points = points.collect();
        self.add(name, labels, points);
    }

    fn counter(&mut self, name: &str, labels: Vec<Pair>, pace: f64, index: usize, pod: i32) {
        let mut total = 0.0;
        let points = times(pod).enumerate().map(|(count, at_ms)| {
            // One service restarts, and does so twice in a row.
            total = if index == 1 && (count == 200 || count == 201) { 0.0 } else { total + pace * 15.0 };
            (at_ms, total + (count % 7) as f64 * 0.01)
        });
        let points = points.collect();
        self.add(name, labels, points);
    }

    fn buckets(&mut self, labels: Vec<Pair>, index: usize) {
        // The last bucket but one is a little behind, as after a sum over targets scraped apart.
        let bounds = [("0.1", 0.5), ("0.5", 0.8), ("1", 0.9), ("2.5", 0.897), ("+Inf", 1.0)];
        for (bound, share) in bounds {
            let mut labels = labels.clone();
            labels.push(("le", bound.to_owned()));
            self.counter("http_request_duration_seconds_bucket", labels, 4.0 * share, index, 0);
        }
    }
}

fn times(pod: i32) -> impl Iterator<Item = i64> {
    let late = i64::from(pod) * 3_217;
    (START_S * 1_000..=END_S * 1_000).step_by(STEP_MS as usize).map(move |it| it + late)
}

impl fmt::Display for Samples {
    /// OpenMetrics text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, labels, points) in &self.0 {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            for (at_ms, value) in points {
                let value = crate::promql::number(*value);
                writeln!(f, "{name}{{{}}} {value} {}.{:03}", labels.join(","), at_ms / 1_000, at_ms % 1_000)?;
            }
        }
        writeln!(f, "# EOF")
    }
}
