//! What does a query come to? PromQL as Prometheus 2.42 evaluates it, over the series of this process.
//!
//! Every node is evaluated over all moments at once: a row is a label set with a value, or none, at each moment. That
//! makes the rule of a six hour history one pass, and a dashboard's query a few milliseconds.
//!
//! What a release of that version does not know is refused, never guessed: `holt_winters` (the parser lacks it),
//! `limitk`, `limit_ratio`, `info`, `mad_over_time` and whatever else came later, `or` between matchers, `fill`.
//! Native histograms do not exist here, so their functions return nothing, as they do for floats.
//!
//! Why an evaluator of its own, on the parser `promql-parser`: the engine of the crate `tsink`, the only one that could be
//! embedded, came to other values than Prometheus in many of the expressions that the tests compare.
//!
//! Language: <https://prometheus.io/docs/prometheus/2.42/querying/basics/>

mod absent;
mod aggregate;
mod binary;
mod histogram;
mod label;
mod map;
mod over;
mod parse;
mod quantile;
mod rate;
mod select;
mod text;

use std::{
    cell::Cell,
    collections::HashMap,
    time::{Duration, Instant},
};

use promql_parser::parser::{Call, Expr, value::ValueType};

use crate::store::{Labels, Store};

pub(crate) use label::is_name as is_label;
pub(crate) use parse::{Parsed, selector};
pub(crate) use select::admits;
pub(crate) use text::{duration_ms, number, number_e};

/// How long a sample counts as the current value.
pub(crate) const LOOKBACK_MS: i64 = 300_000;
/// As in Prometheus: more is refused rather than computed.
const SAMPLES_MAX: u64 = 50_000_000;

/// Moments at which a query is evaluated; milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moments {
    pub(crate) start: i64,
    /// As asked for; the last moment may lie before it.
    pub(crate) end: i64,
    /// More than zero.
    pub(crate) step: i64,
    pub(crate) count: usize,
}

/// What a query came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// A value at each moment.
    Scalar(Vec<f64>),
    /// Rows in order.
    Vector(Vec<Row>),
    /// A range of samples; only at one moment.
    Matrix(Vec<(Labels, Vec<(i64, f64)>)>),
    Text(String),
}

/// A label set and what it is worth at each moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Option<f64>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// Correct the query.
    #[error("{0}")]
    Wrong(String),
    /// The query is right, and what it meets is not.
    #[error("{0}")]
    Execution(String),
    /// Ask for less.
    #[error("query timed out in expression evaluation")]
    TimedOut,
}

type Evaluated<T> = Result<T, QueryError>;

/// One evaluation: where samples come from, and how much of it may be used.
pub(crate) struct Evaluation<'a> {
    store: &'a Store,
    /// What `@ start()` and `@ end()` mean, in subqueries too.
    bounds: (i64, i64),
    deadline: Instant,
    samples: Cell<u64>,
}

impl Moments {
    /// One moment.
    pub(crate) fn at(time_ms: i64) -> Moments {
        Moments { start: time_ms, end: time_ms, step: 1, count: 1 }
    }

    /// From `start` to `end` at most.
    pub(crate) fn over(start: i64, end: i64, step: i64) -> Moments {
        let count = if end < start { 0 } else { (end - start) / step + 1 };
        Moments { start, end, step, count: usize::try_from(count).unwrap_or(0) }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i64> {
        (0_i64..).take(self.count).map(move |it| self.start + it * self.step)
    }

    pub(crate) fn last(self) -> i64 {
        self.start + self.step * (i64::try_from(self.count).unwrap_or(i64::MAX).max(1) - 1)
    }
}

/// Evaluates a query at all moments.
pub(crate) fn evaluate(
    store: &Store,
    query: &Parsed,
    moments: Moments,
    timeout: Duration,
) -> Evaluated<Outcome> {
    let evaluation = Evaluation {
        store,
        bounds: (moments.start, moments.end),
        deadline: Instant::now() + timeout,
        samples: Cell::new(0),
    };
    let outcome = evaluation.outcome(query.expr(), moments)?;
    Ok(match outcome {
        Outcome::Vector(mut rows) => {
            rows.retain(|it| it.values.iter().any(Option::is_some));
            Outcome::Vector(rows)
        }
        other => other,
    })
}

impl Evaluation<'_> {
    fn outcome(&self, expr: &Expr, moments: Moments) -> Evaluated<Outcome> {
        match expr {
            Expr::Paren(it) => self.outcome(&it.expr, moments),
            Expr::NumberLiteral(it) => Ok(Outcome::Scalar(vec![it.val; moments.count])),
            Expr::StringLiteral(it) => Ok(Outcome::Text(it.val.clone())),
            Expr::VectorSelector(it) => Ok(Outcome::Vector(self.select(it, moments)?)),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => self.matrix(expr, moments),
            Expr::Unary(it) => match self.outcome(&it.expr, moments)? {
                Outcome::Scalar(values) => Ok(Outcome::Scalar(values.into_iter().map(|it| -it).collect())),
                Outcome::Vector(rows) => {
                    Ok(Outcome::Vector(merged(map::each(rows, moments, |_, it| Some(-it)))?))
                }
                _ => Err(self.misplaced("a range or a string", "behind a sign")),
            },
            Expr::Binary(it) => binary::evaluate(self, it, moments),
            Expr::Aggregate(it) => Ok(Outcome::Vector(aggregate::evaluate(self, it, moments)?)),
            Expr::Call(it) => self.call(it, moments),
            Expr::Extension(_) => Err(QueryError::Wrong("not PromQL".to_owned())),
        }
    }

    fn call(&self, call: &Call, moments: Moments) -> Evaluated<Outcome> {
        let rows = match call.func.name {
            "time" | "pi" | "scalar" => return map::scalar(self, call, moments).map(Outcome::Scalar),
            "absent" | "absent_over_time" => absent::evaluate(self, call, moments)?,
            "label_replace" | "label_join" => label::evaluate(self, call, moments)?,
            "histogram_quantile" => histogram::evaluate(self, call, moments)?,
            _ if call.func.arg_types.contains(&ValueType::Matrix) => over::evaluate(self, call, moments)?,
            _ => map::evaluate(self, call, moments)?,
        };
        Ok(Outcome::Vector(merged(rows)?))
    }

    fn vector(&self, expr: &Expr, moments: Moments) -> Evaluated<Vec<Row>> {
        match self.outcome(expr, moments)? {
            Outcome::Vector(rows) => Ok(rows),
            _ => Err(self.misplaced("something else", "where an instant vector belongs")),
        }
    }

    fn scalar(&self, expr: &Expr, moments: Moments) -> Evaluated<Vec<f64>> {
        match self.outcome(expr, moments)? {
            Outcome::Scalar(values) => Ok(values),
            _ => Err(self.misplaced("something else", "where a scalar belongs")),
        }
    }

    fn text(&self, expr: &Expr) -> Evaluated<String> {
        match self.outcome(expr, Moments::at(0))? {
            Outcome::Text(text) => Ok(text),
            _ => Err(self.misplaced("something else", "where a string belongs")),
        }
    }

    /// Counts what is touched, and ends what takes too much or too long.
    fn charge(&self, samples: usize) -> Evaluated<()> {
        let total = self.samples.get().saturating_add(samples as u64);
        self.samples.set(total);
        if total > SAMPLES_MAX {
            let text = "query processing would load too many samples into memory in query execution";
            return Err(QueryError::Execution(text.to_owned()));
        }
        if Instant::now() > self.deadline { Err(QueryError::TimedOut) } else { Ok(()) }
    }

    /// The parser checks types; what it lets through ends here.
    fn misplaced(&self, what: &str, place: &str) -> QueryError {
        QueryError::Wrong(format!("{what} stands {place}"))
    }
}

/// Rows of which each label set comes once. Two that share one and a moment are the error that they are in Prometheus.
fn merged(rows: Vec<Row>) -> Evaluated<Vec<Row>> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(at) = places.get(&row.labels) else {
            places.insert(row.labels.clone(), merged.len());
            merged.push(row);
            continue;
        };
        for (into, from) in merged[*at].values.iter_mut().zip(row.values) {
            if into.is_some() && from.is_some() {
                let text = "vector cannot contain metrics with the same labelset";
                return Err(QueryError::Execution(text.to_owned()));
            }
            *into = into.or(from);
        }
    }
    Ok(merged)
}
