//! Which samples does a selector mean, and which does a range hold?

use std::{borrow::Cow, time::SystemTime};

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{AtModifier, Expr, Offset, SubqueryExpr, VectorSelector},
};

use crate::store::{Labels, NAME, Series, is_stale};

use super::{Evaluated, Evaluation, LOOKBACK_MS, Moments, Outcome, Row};

/// Step of a subquery that names none: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// Samples of one series in an order of time, and what is looked at of it at each moment.
pub(super) struct Ranged<'a> {
    pub(super) labels: Labels,
    times: Cow<'a, [i64]>,
    values: Cow<'a, [f64]>,
}

/// What a range reaches over, at each moment the same length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    at: Option<i64>,
    offset: i64,
    pub(super) range: i64,
}

/// The samples within a range at one moment.
pub(super) struct Window<'a> {
    pub(super) times: &'a [i64],
    pub(super) values: &'a [f64],
    /// Both ends belong to it.
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Reach {
    fn end(self, moment: i64) -> i64 {
        self.at.unwrap_or(moment) - self.offset
    }
}

impl Evaluation<'_> {
    /// An instant vector: what each series was worth shortly before each moment.
    pub(super) fn select(&self, selector: &VectorSelector, moments: Moments) -> Evaluated<Vec<Row>> {
        self.select_with(selector, moments, |_, value| value)
    }

    /// The same, of the sample's own time and value.
    pub(super) fn select_with(
        &self,
        selector: &VectorSelector,
        moments: Moments,
        what: impl Fn(i64, f64) -> f64,
    ) -> Evaluated<Vec<Row>> {
        let reach = self.reach(selector.at.as_ref(), selector.offset.as_ref(), 0);
        let mut rows = Vec::new();
        for series in self.matching(selector) {
            self.charge(moments.count)?;
            let value = |moment| series.last_before(reach.end(moment), LOOKBACK_MS);
            let values: Vec<_> =
                moments.iter().map(|it| value(it).map(|(time, value)| what(time, value))).collect();
            if values.iter().any(Option::is_some) {
                rows.push(Row { labels: series.labels.clone(), values });
            }
        }
        Ok(rows)
    }

    /// The series behind a range, whole, and how it reaches into them.
    pub(super) fn ranged(&self, expr: &Expr, moments: Moments) -> Evaluated<(Vec<Ranged<'_>>, Reach)> {
        match expr {
            Expr::Paren(it) => self.ranged(&it.expr, moments),
            Expr::MatrixSelector(it) => {
                let reach = self.reach(it.vs.at.as_ref(), it.vs.offset.as_ref(), millis(it.range));
                let ranged = self.matching(&it.vs).into_iter().map(Ranged::of).collect();
                Ok((ranged, reach))
            }
            Expr::Subquery(it) => self.subquery(it, moments),
            _ => Err(self.misplaced("something else", "where a range belongs")),
        }
    }

    /// A range as the answer itself.
    pub(super) fn matrix(&self, expr: &Expr, moments: Moments) -> Evaluated<Outcome> {
        let (ranged, reach) = self.ranged(expr, moments)?;
        let mut matrix = Vec::new();
        for series in ranged {
            let window = series.window(reach, moments.start);
            self.charge(window.times.len())?;
            if !window.times.is_empty() {
                let points = window.times.iter().copied().zip(window.values.iter().copied());
                matrix.push((series.labels.clone(), points.collect()));
            }
        }
        Ok(Outcome::Matrix(matrix))
    }

    /// The inner query at moments that are whole multiples of the step, wherever a range may reach.
    fn subquery(&self, it: &SubqueryExpr, moments: Moments) -> Evaluated<(Vec<Ranged<'_>>, Reach)> {
        let reach = self.reach(it.at.as_ref(), it.offset.as_ref(), millis(it.range));
        let step = it.step.map_or(SUBQUERY_STEP_MS, millis).max(1);
        let (first, last) = (reach.end(moments.start) - reach.range, reach.end(moments.last()));
        let start = first.div_euclid(step) * step;
        let start = if start < first { start + step } else { start };
        let inner = Moments::over(start, last, step);
        self.charge(inner.count)?;
        let rows = match self.outcome(&it.expr, inner)? {
            Outcome::Vector(rows) => rows,
            Outcome::Scalar(values) => {
                vec![Row { labels: Labels::default(), values: values.into_iter().map(Some).collect() }]
            }
            _ => return Err(self.misplaced("a range or a string", "in a subquery")),
        };
        let ranged = rows.into_iter().map(|row| {
            let points = inner.iter().zip(row.values).filter_map(|(time, value)| Some((time, value?)));
            let (times, values): (Vec<i64>, Vec<f64>) = points.unzip();
            Ranged { labels: row.labels, times: Cow::Owned(times), values: Cow::Owned(values) }
        });
        Ok((ranged.collect(), reach))
    }

    fn reach(&self, at: Option<&AtModifier>, offset: Option<&Offset>, range: i64) -> Reach {
        let at = at.map(|it| match it {
            AtModifier::Start => self.bounds.0,
            AtModifier::End => self.bounds.1,
            AtModifier::At(time) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => millis(since),
                Err(before) => -millis(before.duration()),
            },
        });
        let offset = match offset {
            None => 0,
            Some(Offset::Pos(it)) => millis(*it),
            Some(Offset::Neg(it)) => -millis(*it),
        };
        Reach { at, offset, range }
    }

    /// Series that a selector means, by label set.
    fn matching(&self, selector: &VectorSelector) -> Vec<&Series> {
        let matchers = &selector.matchers.matchers;
        let named = matchers.iter().find(|it| it.name == NAME && it.op == MatchOp::Equal);
        let metric = selector.name.as_deref().or(named.map(|it| it.value.as_str()));
        let all = self.store.series_of(metric);
        let mut found: Vec<&Series> = all.filter(|it| admits(selector, &it.labels)).collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }
}

/// Whether a selector means a label set.
pub(crate) fn admits(selector: &VectorSelector, labels: &Labels) -> bool {
    selector.name.as_deref().is_none_or(|it| labels.get(NAME) == it)
        && selector.matchers.matchers.iter().all(|it| Matcher::is_match(it, labels.get(&it.name)))
}

impl<'a> Ranged<'a> {
    /// Borrows a series; where it has ended and begun again, the marks in between are left out.
    fn of(series: &'a Series) -> Ranged<'a> {
        let labels = series.labels.clone();
        if !series.values.iter().copied().any(is_stale) {
            let (times, values) = (Cow::Borrowed(&*series.times), Cow::Borrowed(&*series.values));
            return Ranged { labels, times, values };
        }
        let points = series.times.iter().copied().zip(series.values.iter().copied());
        let (times, values): (Vec<i64>, Vec<f64>) = points.filter(|it| !is_stale(it.1)).unzip();
        Ranged { labels, times: Cow::Owned(times), values: Cow::Owned(values) }
    }

    pub(super) fn window(&self, reach: Reach, moment: i64) -> Window<'_> {
        let end = reach.end(moment);
        let start = end - reach.range;
        let from = self.times.partition_point(|it| *it < start);
        let to = self.times.partition_point(|it| *it <= end).max(from);
        Window { times: &self.times[from..to], values: &self.values[from..to], start, end }
    }
}

/// Durations beyond what time stamps hold reach as far as those do.
fn millis(duration: std::time::Duration) -> i64 {
    const FAR_MS: i64 = 1_000 * 366 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(FAR_MS).min(FAR_MS)
}
