//! How are the values of many metrics asked for, within what a call may take?

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use tokio::time::Instant;
use tool::ToolError;

use super::look::{Looked, Stretches};
use crate::{
    backends::prometheus::{Inquiry, Prometheus, RangeSeries},
    grid::Grid,
    labels::{self, Labels, is_plain_name},
    matcher::{LabelMatcher, Relation},
    promql::Confined,
};

/// One question.
#[derive(Debug)]
pub(super) enum Ask {
    /// Series of several metrics as they are.
    Plain(Vec<String>),
    /// Rates of one metric, summed.
    Summed(String),
    /// The series of one metric that moved most.
    Sifted(String),
}

/// Puts questions to one system.
pub(super) struct Asker<'a> {
    pub(super) prometheus: &'a Prometheus,
    pub(super) scope: &'a [LabelMatcher],
    pub(super) stretches: &'a Stretches,
    pub(super) inquiry: &'a Inquiry,
}

/// Of a sifted metric so many series are compared: those that moved most on average.
pub(super) const SIFTED: usize = 40;
/// Questions under way at once.
const AT_ONCE: usize = 4;
/// Most series kept, whatever was answered.
const KEPT_MAX: usize = 8_000;
/// Most bytes of the labels of one series; nobody writes as many.
const LABELS_BYTES_MAX: usize = 8_192;
/// Labels by which a large metric is summed: of what it is, and how it ended.
const SUMMED_BY: &str = "le, job, namespace, service, app, deployment, workload, container, component, code, status, \
                         status_code, outcome, result, grpc_code";
/// Least range of a rate, seconds: a few scrapes wherever they are not rarer than once a minute.
const RATE_S: i64 = 240;

/// Values by series, one for each moment of the frame.
type Placed = BTreeMap<Labels, Vec<f64>>;

/// What one question came to: series of the baseline and of the window, and series that could not be asked for.
#[derive(Default)]
struct Found {
    before: Vec<RangeSeries>,
    after: Vec<RangeSeries>,
    unnameable: usize,
}

impl Ask {
    fn names(&self) -> String {
        match self {
            Ask::Plain(names) if names.len() > 2 => {
                format!("{} and {} more metrics", names[0], names.len() - 1)
            }
            Ask::Plain(names) => names.join(" and "),
            Ask::Summed(name) | Ask::Sifted(name) => name.clone(),
        }
    }

    fn metrics(&self) -> usize {
        match self {
            Ask::Plain(names) => names.len(),
            Ask::Summed(_) | Ask::Sifted(_) => 1,
        }
    }
}

impl Asker<'_> {
    /// Asks all until it is time to stop, in order, and puts each answer where it belongs before the next is read.
    pub(super) async fn all(
        &self,
        asks: Vec<Ask>,
        stop: Option<Instant>,
        looked: &mut Looked,
    ) -> Result<Placed, ToolError> {
        let (mut placed, mut failed, mut beyond) = (Placed::new(), None, 0);
        let (mut left, mut metrics) = (asks.len(), asks.iter().map(Ask::metrics).sum::<usize>());
        let mut answers = stream::iter(asks).map(|it| self.ask(it)).buffered(AT_ONCE);
        while left > 0 {
            let next = match stop {
                Some(stop) => tokio::time::timeout_at(stop, answers.next()).await.ok().flatten(),
                None => answers.next().await,
            };
            let Some((ask, answer)) = next else { break };
            (left, metrics) = (left - 1, metrics - ask.metrics());
            match answer {
                Ok(found) => beyond += self.place(&ask, found, &mut placed, looked),
                Err(error) => {
                    looked.not_looked_at.push(format!("{}: {error}", ask.names()));
                    failed = Some(error);
                }
            }
        }
        if left > 0 {
            looked.not_looked_at.push(format!("{metrics} metrics, for want of time: narrow `scope`"));
            failed = failed.or_else(|| Some(self.too_slow()));
        }
        if beyond > 0 {
            looked.not_looked_at.push(format!("{beyond} series beyond {KEPT_MAX}: narrow `scope`"));
        }
        match failed {
            Some(error) if placed.is_empty() => Err(error),
            _ => Ok(placed),
        }
    }

    fn too_slow(&self) -> ToolError {
        ToolError::Unavailable {
            backend: self.prometheus.connection().name.clone(),
            problem: "answered nothing in time; narrow `scope` or `window`".to_owned(),
        }
    }

    async fn ask(&self, ask: Ask) -> (Ask, Result<Found, ToolError>) {
        let found = match &ask {
            Ask::Plain(names) => self.plain(&names.join("|")).await,
            Ask::Summed(name) => self.summed(name).await,
            Ask::Sifted(name) => self.sifted(name).await,
        };
        (ask, found)
    }

    async fn plain(&self, names: &str) -> Result<Found, ToolError> {
        let query = self.prometheus.compose(&self.selector(names, &Labels::new())?)?;
        self.values(&query).await
    }

    async fn summed(&self, name: &str) -> Result<Found, ToolError> {
        let range = RATE_S.max(4 * self.stretches.window.step);
        let selector = self.selector(name, &Labels::new())?;
        let sum = format!("sum by ({SUMMED_BY}) (rate({selector}[{range}s]))");
        self.values(&self.prometheus.compose(&sum)?).await
    }

    /// Asks the system itself which series of a large metric moved most on average, then for those.
    async fn sifted(&self, name: &str) -> Result<Found, ToolError> {
        let Stretches { baseline, window } = self.stretches;
        let selector = self.selector(name, &Labels::new())?;
        let length = |it: &Grid| (it.to - it.from).max(1);
        let after = format!("avg_over_time({selector}[{}s])", length(window));
        let past = format!("{selector}[{}s] offset {}s", length(baseline), window.to - baseline.to);
        let before = format!("avg_over_time({past})");
        let moved = format!(
            "topk({SIFTED}, abs({after} - {before}) / (stddev_over_time({past}) + 0.02 * abs({before}) + \
             0.01 * scalar(avg(abs({before})))))"
        );
        let at = Timestamp::from_second(window.to).unwrap_or_default();
        let mut most = self.prometheus.series_at(&self.prometheus.compose(&moved)?, at, self.inquiry).await?;
        let answered = most.len();
        // A name that is no plain word would be a piece of the next question, and whoever is measured chooses it.
        most.retain(|it| it.keys().all(|it| is_plain_name(it)));
        let unnameable = answered - most.len();
        most.truncate(SIFTED);
        let each: Result<Vec<String>, ToolError> = most.iter().map(|it| self.selector(name, it)).collect();
        let each = each?;
        if each.is_empty() {
            return Ok(Found { unnameable, ..Found::default() });
        }
        let found = self.values(&self.prometheus.compose(&each.join(" or "))?).await?;
        Ok(Found { unnameable, ..found })
    }

    /// Metrics by a regular expression of plain names, with some labels.
    fn selector(&self, names: &str, labels: &Labels) -> Result<String, ToolError> {
        let condition = |name: &str, relation, value: &str| LabelMatcher {
            name: name.to_owned(),
            relation,
            value: value.to_owned(),
        };
        let mut matchers = self.scope.to_vec();
        matchers.push(condition("__name__", Relation::Matches, names));
        matchers.extend(labels.iter().map(|(name, value)| condition(name, Relation::Equal, value)));
        Ok(self.prometheus.scope(&matchers)?.text().to_owned())
    }

    async fn values(&self, expression: &Confined) -> Result<Found, ToolError> {
        let Stretches { baseline, window } = *self.stretches;
        if self.stretches.contiguous() {
            let whole = Grid { from: baseline.from, ..window };
            let before = self.prometheus.values(expression, whole, self.inquiry).await?;
            return Ok(Found { before, ..Found::default() });
        }
        let (before, after) = tokio::join!(
            self.prometheus.values(expression, baseline, self.inquiry),
            self.prometheus.values(expression, window, self.inquiry),
        );
        Ok(Found { before: before?, after: after?, unnameable: 0 })
    }

    /// Puts values where they belong in the frame; how many series there was no room for.
    fn place(&self, ask: &Ask, found: Found, placed: &mut Placed, looked: &mut Looked) -> usize {
        let Stretches { baseline, window } = *self.stretches;
        let frame = looked.frame;
        let (mut unplain, mut beyond) = (0, 0);
        for (grid, first, series) in [(baseline, 0, found.before), (window, frame.baseline, found.after)] {
            for RangeSeries { mut metric, values } in series {
                if let Ask::Summed(name) | Ask::Sifted(name) = ask {
                    metric.insert("__name__".to_owned(), name.clone());
                }
                unplain += usize::from(values.is_empty());
                let bytes: usize = metric.iter().map(|(name, value)| name.len() + value.len()).sum();
                let room = placed.len() < KEPT_MAX || placed.contains_key(&metric);
                if !room || bytes > LABELS_BYTES_MAX {
                    beyond += 1;
                    continue;
                }
                let place = placed.entry(metric).or_insert_with(|| vec![f64::NAN; frame.points()]);
                for (at, value) in values {
                    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970; saturates")]
                    let at = (at.round() as i64).saturating_sub(grid.from) / grid.step;
                    let at = usize::try_from(at).ok().and_then(|it| it.checked_add(first));
                    if let Some(cell) = at.and_then(|it| place.get_mut(it)) {
                        *cell = value;
                    }
                }
            }
        }
        let name = || labels::short(&ask.names(), 80);
        if unplain > 0 {
            looked.not_looked_at.push(format!("{}: {unplain} native histograms", name()));
        }
        if found.unnameable > 0 {
            let names = "labels whose names no query can be trusted with";
            looked.not_looked_at.push(format!("{}: {} series with {names}", name(), found.unnameable));
        }
        beyond
    }
}

#[cfg(test)]
mod tests {
    use config::System;
    use tool::Window;

    use super::{super::Baseline, *};
    use crate::{
        Backends,
        fixture::{connection, http},
        tools::find_signals::look::planned,
    };

    #[test]
    fn what_there_is_no_room_for_is_counted_and_odd_times_have_no_place() {
        let now = Timestamp::from_second(1_769_860_800).expect("a time");
        let window = Window::parse("1h").expect("a window");
        let stretches = Stretches::of(&window, Baseline::Yesterday, now).expect("two stretches");
        let settings = http("http://127.0.0.1:9");
        let backends =
            Backends::new(&[connection("prod", System::Prometheus(settings))]).expect("connections");
        let prometheus = backends.prometheus(None).expect("the only one");
        let asker = Asker { prometheus, scope: &[], stretches: &stretches, inquiry: &Inquiry::default() };
        let (_, mut looked) = planned(&BTreeMap::new(), &stretches);
        let odd = [f64::NAN, f64::MIN, f64::MAX, -1.0, stretches.window.from as f64 - 60.0];
        let series = |at: usize| RangeSeries {
            metric: [("pod".to_owned(), at.to_string())].into(),
            values: odd.iter().map(|it| (*it, 1.0)).collect(),
        };
        let long = RangeSeries {
            metric: [("pod".to_owned(), "x".repeat(LABELS_BYTES_MAX))].into(),
            values: Vec::new(),
        };
        let after = std::iter::once(long).chain((0..KEPT_MAX + 5).map(series)).collect();
        let mut placed = Placed::new();
        let found = Found { after, ..Found::default() };
        let beyond = asker.place(&Ask::Plain(Vec::new()), found, &mut placed, &mut looked);
        assert_eq!((beyond, placed.len()), (6, KEPT_MAX));
        let first = looked.frame.baseline;
        let misplaced = |it: &Vec<f64>| it[..first].iter().any(|it| it.is_finite());
        assert!(!placed.values().any(misplaced), "nothing of the window stands in the baseline");
    }
}
