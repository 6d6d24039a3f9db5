//! Which series does a scope have, and what were their values? Bounded, and what is left out is counted.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use outbound::Deadline;
use tool::{ToolError, Window};

use super::{Baseline, threshold};
use crate::{
    backends::prometheus::{Prometheus, RangeSeries},
    grid::Grid,
    labels::{self, Labels},
    matcher::{LabelMatcher, Relation},
    signals::{Frame, Hints, Series},
};

/// What there is to compare.
pub(super) struct Looked {
    pub(super) frame: Frame,
    pub(super) series: Vec<Series>,
    pub(super) hints: Hints,
    pub(super) window: Grid,
    pub(super) baseline: Grid,
    pub(super) notes: Vec<String>,
    pub(super) not_looked_at: Vec<String>,
}

/// Most series fetched one by one.
const SERIES_MAX: u64 = 5_000;
/// A metric with more is summed up or sifted by the system itself.
const FAMILY_MAX: u64 = 1_000;
/// Most series times moments that one question may evaluate there.
const EVALUATED_MAX: u64 = 5_000_000;
/// Most series in one answer, so that it stays below what may be read at once.
const CHUNK_MAX: u64 = 800;
/// Most names in one question.
const NAMES_MAX: usize = 60;
/// Of a sifted metric so many series are compared: those that moved most on average.
const SIFTED: usize = 40;
/// Questions under way at once.
const AT_ONCE: usize = 4;
/// Labels by which a large metric is summed: of what it is, and how it ended.
const SUMMED_BY: &str = "le, job, namespace, service, app, deployment, workload, container, component, code, status, \
                         status_code, outcome, result, grpc_code";
/// Least range of a rate, seconds: a few scrapes wherever they are not rarer than once a minute.
const RATE_S: i64 = 240;
const DAY_S: i64 = 86_400;

/// One question.
#[derive(Debug)]
enum Ask {
    /// Series of several metrics as they are.
    Plain(Vec<String>),
    /// Rates of one metric, summed.
    Summed(String),
    /// The series of one metric that moved most.
    Sifted(String),
}

/// Where both stretches lie.
struct Stretches {
    baseline: Grid,
    window: Grid,
}

pub(super) async fn look(
    prometheus: &Prometheus,
    scope: &[LabelMatcher],
    window: &Window,
    baseline: Baseline,
    now: Timestamp,
    deadline: Deadline,
) -> Result<Looked, ToolError> {
    let stretches = Stretches::of(window, baseline, now)?;
    let whole = Grid { from: stretches.baseline.from, ..stretches.window };
    let within = prometheus.scope(scope);
    let (families, described, rules) = tokio::join!(
        prometheus.families(&within, whole, deadline),
        prometheus.described(deadline),
        prometheus.rules(deadline),
    );
    let families = families?;
    let mut looked = Looked {
        frame: stretches.frame(),
        series: Vec::new(),
        hints: Hints::default(),
        window: stretches.window,
        baseline: stretches.baseline,
        notes: Vec::new(),
        not_looked_at: Vec::new(),
    };
    // Some stores know neither types nor rules: names tell enough.
    for (metric, kinds) in described.unwrap_or_default() {
        let part =
            |name: &str| families.contains_key(name) || families.contains_key(&format!("{metric}_total"));
        let parts =
            ["_bucket", "_count", "_sum"].iter().any(|it| families.contains_key(&format!("{metric}{it}")));
        if let Some(kind) = kinds.into_iter().next().filter(|_| part(&metric) || parts) {
            looked.hints.types.insert(metric, kind.kind);
        }
    }
    looked.hints.thresholds = rules.unwrap_or_default().iter().flat_map(threshold::of_rule).collect();
    let asks = plan(&families, &stretches, &mut looked);
    let asker = Asker { prometheus, scope, stretches: &stretches, deadline };
    let answers: Vec<_> = stream::iter(asks).map(|it| asker.ask(it)).buffered(AT_ONCE).collect().await;
    let (mut all, mut failed) = (BTreeMap::new(), None);
    for (ask, answer) in answers {
        match answer {
            Ok(found) => stretches.place(&ask, found, &mut all, &mut looked),
            Err(error) => {
                looked.not_looked_at.push(format!("{}: {error}", ask.names()));
                failed = Some(error);
            }
        }
    }
    if let (true, Some(error)) = (all.is_empty(), failed) {
        return Err(error);
    }
    looked.series = all.into_iter().map(|(labels, values)| Series { labels, values }).collect();
    Ok(looked)
}

/// What is asked, smallest metrics first; what is too much is counted.
fn plan(families: &BTreeMap<String, u64>, stretches: &Stretches, looked: &mut Looked) -> Vec<Ask> {
    let points = stretches.window.points() + stretches.baseline.points();
    let plain = |it: &str| it.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | ':'));
    let mut sorted: Vec<(&String, u64)> = families.iter().map(|(name, count)| (name, *count)).collect();
    sorted.sort_by_key(|it| it.1);
    let (mut asks, mut chunk, mut in_chunk, mut all) = (Vec::new(), Vec::new(), 0, 0);
    let mut left: Vec<(&String, u64)> = Vec::new();
    for (name, count) in sorted {
        let ask = match count {
            _ if !plain(name) || count.saturating_mul(points) > EVALUATED_MAX => {
                left.push((name, count));
                continue;
            }
            _ if count <= FAMILY_MAX && all + count <= SERIES_MAX => {
                if in_chunk + count > CHUNK_MAX || chunk.len() >= NAMES_MAX {
                    asks.push(Ask::Plain(std::mem::take(&mut chunk)));
                    in_chunk = 0;
                }
                chunk.push(name.clone());
                (in_chunk, all) = (in_chunk + count, all + count);
                continue;
            }
            _ if looked.counts(name) => {
                looked.hints.rated.push(name.clone());
                looked
                    .notes
                    .push(format!("{name}: {count} series, summed by what their labels say they are of"));
                Ask::Summed(name.clone())
            }
            _ => {
                looked.notes.push(format!(
                    "{name}: of {count} series the {SIFTED} that moved most on average were compared"
                ));
                Ask::Sifted(name.clone())
            }
        };
        asks.push(ask);
    }
    asks.extend((!chunk.is_empty()).then_some(Ask::Plain(chunk)));
    if let Some((largest, most)) = left.last() {
        let series: u64 = left.iter().map(|it| it.1).sum();
        looked.not_looked_at.push(format!(
            "{} metrics with {series} series, the largest {largest} with {most}: narrow `scope`",
            left.len()
        ));
    }
    asks
}

impl Looked {
    /// Whether a metric only ever goes up, so that it is summed by its rates.
    fn counts(&self, name: &str) -> bool {
        ["_total", "_bucket", "_count", "_sum"].iter().any(|it| name.ends_with(it))
            || self.hints.types.get(name).is_some_and(|it| it == "counter")
    }
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
}

struct Asker<'a> {
    prometheus: &'a Prometheus,
    scope: &'a [LabelMatcher],
    stretches: &'a Stretches,
    deadline: Deadline,
}

/// Series of the baseline and of the window.
type Found = (Vec<RangeSeries>, Vec<RangeSeries>);

impl Asker<'_> {
    async fn ask(&self, ask: Ask) -> (Ask, Result<Found, ToolError>) {
        let found = match &ask {
            Ask::Plain(names) => self.values(&self.selector(&names.join("|"), &Labels::new())).await,
            Ask::Summed(name) => {
                let range = RATE_S.max(4 * self.stretches.window.step);
                let selector = self.selector(name, &Labels::new());
                self.values(&format!("sum by ({SUMMED_BY}) (rate({selector}[{range}s]))")).await
            }
            Ask::Sifted(name) => self.sifted(name).await,
        };
        (ask, found)
    }

    /// Metrics by a regular expression of plain names, with some labels.
    fn selector(&self, names: &str, labels: &Labels) -> String {
        let condition = |name: &str, relation, value: &str| LabelMatcher {
            name: name.to_owned(),
            relation,
            value: value.to_owned(),
        };
        let mut matchers = self.scope.to_vec();
        matchers.push(condition("__name__", Relation::Matches, names));
        matchers.extend(labels.iter().map(|(name, value)| condition(name, Relation::Equal, value)));
        self.prometheus.scope(&matchers).text().to_owned()
    }

    async fn values(&self, expression: &str) -> Result<Found, ToolError> {
        let Stretches { baseline, window } = *self.stretches;
        if self.stretches.contiguous() {
            let whole = Grid { from: baseline.from, ..window };
            let found = self.prometheus.values(expression, whole, self.deadline).await?;
            return Ok((found, Vec::new()));
        }
        let (before, after) = tokio::join!(
            self.prometheus.values(expression, baseline, self.deadline),
            self.prometheus.values(expression, window, self.deadline),
        );
        Ok((before?, after?))
    }

    /// Asks the system itself which series of a large metric moved most on average, then for those.
    async fn sifted(&self, name: &str) -> Result<Found, ToolError> {
        let Stretches { baseline, window } = self.stretches;
        let selector = self.selector(name, &Labels::new());
        let length = |it: &Grid| (it.to - it.from).max(1);
        let after = format!("avg_over_time({selector}[{}s])", length(window));
        let past = format!("{selector}[{}s] offset {}s", length(baseline), window.to - baseline.to);
        let before = format!("avg_over_time({past})");
        let moved = format!(
            "topk({SIFTED}, abs({after} - {before}) / (stddev_over_time({past}) + 0.02 * abs({before}) + \
             0.01 * scalar(avg(abs({before})))))"
        );
        let at = Timestamp::from_second(window.to).unwrap_or_default();
        let most = self.prometheus.series_at(&moved, at, self.deadline).await?;
        let each: Vec<String> = most.iter().map(|it| self.selector(name, it)).collect();
        match each.is_empty() {
            true => Ok((Vec::new(), Vec::new())),
            false => self.values(&each.join(" or ")).await,
        }
    }
}

impl Stretches {
    fn of(window: &Window, baseline: Baseline, now: Timestamp) -> Result<Stretches, ToolError> {
        let invalid = |argument| move |problem| ToolError::Invalid { argument, problem };
        let span = window.at(now).map_err(invalid("window"))?;
        if span.seconds() < 600 {
            return Err(invalid("window")("at least 10m, so that there is a course to compare".to_owned()));
        }
        let window = Grid::over(span, None).map_err(invalid("window"))?;
        let length = window.to - window.from;
        let baseline = match baseline {
            Baseline::Previous => {
                let to = window.from - window.step;
                Grid { from: to - 2 * length, to, step: window.step }
            }
            Baseline::Yesterday | Baseline::LastWeek => {
                let ago = if baseline == Baseline::Yesterday { DAY_S } else { 7 * DAY_S };
                if length >= ago {
                    let problem = format!("shorter than the {} h to its baseline", ago / 3_600);
                    return Err(invalid("window")(problem));
                }
                // Around the same hours, so that what is usual then is known from more than one course.
                let around = (length / 2).min(ago - length - window.step) / window.step * window.step;
                Grid { from: window.from - ago - around, to: window.to - ago + around, step: window.step }
            }
        };
        Ok(Stretches { baseline, window })
    }

    fn contiguous(&self) -> bool {
        self.baseline.to + self.window.step == self.window.from
    }

    fn frame(&self) -> Frame {
        let points = |it: Grid| usize::try_from(it.points()).unwrap_or(0);
        Frame {
            baseline_from: self.baseline.from,
            window_from: self.window.from,
            step: self.window.step,
            baseline: points(self.baseline),
            window: points(self.window),
        }
    }

    /// Puts values where they belong in the frame.
    fn place(&self, ask: &Ask, found: Found, all: &mut BTreeMap<Labels, Vec<f64>>, looked: &mut Looked) {
        let frame = looked.frame;
        let mut unplain = 0;
        for (grid, first, series) in [(self.baseline, 0, found.0), (self.window, frame.baseline, found.1)] {
            for RangeSeries { mut metric, values } in series {
                if let Ask::Summed(name) | Ask::Sifted(name) = ask {
                    metric.insert("__name__".to_owned(), name.clone());
                }
                unplain += usize::from(values.is_empty());
                let place = all.entry(metric).or_insert_with(|| vec![f64::NAN; frame.points()]);
                for (at, value) in values {
                    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
                    let at = first as i64 + (at.round() as i64 - grid.from) / grid.step;
                    if let Some(cell) = usize::try_from(at).ok().and_then(|it| place.get_mut(it)) {
                        *cell = value;
                    }
                }
            }
        }
        if unplain > 0 {
            looked
                .not_looked_at
                .push(format!("{}: {unplain} native histograms", labels::short(&ask.names(), 80)));
        }
    }
}
