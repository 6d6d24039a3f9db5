//! Which series does a scope have, and what were their values? Bounded, and what is left out is counted.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use outbound::Deadline;
use tokio::time::Instant;
use tool::{ToolError, Window};

use super::{
    Baseline,
    asking::{Ask, Asker, SIFTED},
    threshold,
};
use crate::{
    backends::prometheus::{Inquiry, Prometheus, is_plain_metric},
    grid::Grid,
    matcher::LabelMatcher,
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
/// Most metrics that are summed up or sifted.
const LARGE_MAX: usize = 40;
/// Of so many of them it is told.
const NOTES_MAX: usize = 6;
/// Time kept for comparing what was answered; where a call has less than five times as much, a fifth of it.
const RESERVE: Duration = Duration::from_secs(4);
const DAY_S: i64 = 86_400;

/// Where both stretches lie.
pub(super) struct Stretches {
    pub(super) baseline: Grid,
    pub(super) window: Grid,
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
    let inquiry = Inquiry::until(deadline);
    let stop = deadline.map(|it| it - it.saturating_duration_since(Instant::now()).min(RESERVE * 5) / 5);
    let whole = Grid { from: stretches.baseline.from, ..stretches.window };
    let within = prometheus.scope(scope)?;
    let (families, described, rules) = tokio::join!(
        prometheus.families(&within, whole, &inquiry),
        prometheus.described(&inquiry),
        prometheus.rules(&inquiry),
    );
    let families = families?;
    let mut looked = Looked::at(&stretches);
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
    let asker = Asker { prometheus, scope, stretches: &stretches, inquiry: &inquiry };
    let placed = asker.all(asks, stop, &mut looked).await?;
    looked.not_looked_at.extend(inquiry.warnings());
    looked.series = placed.into_iter().map(|(labels, values)| Series { labels, values }).collect();
    Ok(looked)
}

/// What is asked, smallest metrics first; what is too much is counted.
fn plan(families: &BTreeMap<String, u64>, stretches: &Stretches, looked: &mut Looked) -> Vec<Ask> {
    let points = stretches.window.points() + stretches.baseline.points();
    let mut sorted: Vec<(&String, u64)> = families.iter().map(|(name, count)| (name, *count)).collect();
    sorted.sort_by_key(|it| it.1);
    let (mut asks, mut chunk, mut in_chunk, mut all) = (Vec::new(), Vec::new(), 0, 0);
    let (mut left, mut large) = (Vec::new(), Vec::new());
    for (name, count) in sorted {
        let ask = match count {
            _ if !is_plain_metric(name) || count.saturating_mul(points) > EVALUATED_MAX => {
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
            // Each is a question of its own, over all its series.
            _ if large.len() >= LARGE_MAX => {
                left.push((name, count));
                continue;
            }
            _ if looked.counts(name) => {
                looked.hints.rated.push(name.clone());
                large.push(format!("{name}: {count} series, summed by what their labels say they are of"));
                Ask::Summed(name.clone())
            }
            _ => {
                large.push(format!(
                    "{name}: of {count} series the {SIFTED} that moved most on average were compared"
                ));
                Ask::Sifted(name.clone())
            }
        };
        asks.push(ask);
    }
    asks.extend((!chunk.is_empty()).then_some(Ask::Plain(chunk)));
    let untold = large.len().saturating_sub(NOTES_MAX);
    looked.notes.extend(large.into_iter().take(NOTES_MAX));
    looked.notes.extend((untold > 0).then(|| format!("and {untold} more metrics, in the same ways")));
    if let Some((largest, most)) = left.iter().max_by_key(|it| it.1) {
        let series: u64 = left.iter().map(|it| it.1).sum();
        looked.not_looked_at.push(format!(
            "{} metrics with {series} series, the largest {largest} with {most}: narrow `scope`",
            left.len()
        ));
    }
    asks
}

impl Looked {
    fn at(stretches: &Stretches) -> Looked {
        Looked {
            frame: stretches.frame(),
            series: Vec::new(),
            hints: Hints::default(),
            window: stretches.window,
            baseline: stretches.baseline,
            notes: Vec::new(),
            not_looked_at: Vec::new(),
        }
    }

    /// Whether a metric only ever goes up, so that it is summed by its rates.
    fn counts(&self, name: &str) -> bool {
        ["_total", "_bucket", "_count", "_sum"].iter().any(|it| name.ends_with(it))
            || self.hints.types.get(name).is_some_and(|it| it == "counter")
    }
}

/// What would be asked of nothing but such metrics.
#[cfg(test)]
pub(super) fn planned(families: &BTreeMap<String, u64>, stretches: &Stretches) -> (Vec<Ask>, Looked) {
    let mut looked = Looked::at(stretches);
    (plan(families, stretches, &mut looked), looked)
}

impl Stretches {
    pub(super) fn of(window: &Window, baseline: Baseline, now: Timestamp) -> Result<Stretches, ToolError> {
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

    pub(super) fn contiguous(&self) -> bool {
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
}
