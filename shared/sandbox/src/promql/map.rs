//! What does a value become on its own? Functions of an instant vector, value by value, and of scalars.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use promql_parser::parser::{Call, Expr};

use crate::store::Labels;

use super::{Evaluated, Evaluation, Moments, QueryError, Row};

/// `time()`, `pi()`, `scalar(v)`.
pub(super) fn scalar(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<f64>> {
    match (call.func.name, call.args.args.first()) {
        ("time", _) => Ok(moments.iter().map(seconds).collect()),
        ("pi", _) => Ok(vec![std::f64::consts::PI; moments.count]),
        (_, Some(argument)) => {
            let rows = evaluation.vector(argument, moments)?;
            let only = |at: usize| {
                let mut values = rows.iter().filter_map(|it| it.values[at]);
                match (values.next(), values.next()) {
                    (Some(only), None) => only,
                    _ => f64::NAN,
                }
            };
            Ok((0..moments.count).map(only).collect())
        }
        (_, None) => Err(evaluation.misplaced("nothing", "where a vector belongs")),
    }
}

/// Every other function of a vector.
pub(super) fn evaluate(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<Row>> {
    let name = call.func.name;
    let argument = call.args.args.first().map(|it| &**it);
    let argument_at = |at: usize| match call.args.args.get(at) {
        Some(it) => evaluation.scalar(it, moments),
        None => Ok(vec![1.0; moments.count]),
    };
    if name == "vector" {
        let values = argument_at(0)?.into_iter().map(Some).collect();
        return Ok(vec![Row { labels: Labels::default(), values }]);
    }
    if let ("timestamp", Some(selector)) = (name, argument.and_then(selector)) {
        let rows = evaluation.select_with(selector, moments, |time, _| seconds(time))?;
        return Ok(each(rows, moments, |_, it| Some(it)));
    }
    let rows = match argument {
        Some(it) => evaluation.vector(it, moments)?,
        None => {
            let now = moments.iter().map(|it| Some(seconds(it))).collect();
            vec![Row { labels: Labels::default(), values: now }]
        }
    };
    if let Some(function) = mathematics(name).or_else(|| calendar(name)) {
        return Ok(each(rows, moments, |_, it| Some(function(it))));
    }
    Ok(match name {
        "sort" => sorted(rows, moments, false),
        "sort_desc" => sorted(rows, moments, true),
        "timestamp" => {
            let times: Vec<f64> = moments.iter().map(seconds).collect();
            each(rows, moments, |at, _| Some(times[at]))
        }
        "round" => {
            let nearest = argument_at(1)?;
            each(rows, moments, |at, it| {
                let inverse = 1.0 / nearest[at];
                Some((it * inverse + 0.5).floor() / inverse)
            })
        }
        "clamp" => {
            let (low, high) = (argument_at(1)?, argument_at(2)?);
            each(rows, moments, |at, it| {
                (low[at] <= high[at] || low[at].is_nan() || high[at].is_nan())
                    .then(|| larger(low[at], smaller(high[at], it)))
            })
        }
        "clamp_min" => {
            let low = argument_at(1)?;
            each(rows, moments, |at, it| Some(larger(low[at], it)))
        }
        "clamp_max" => {
            let high = argument_at(1)?;
            each(rows, moments, |at, it| Some(smaller(high[at], it)))
        }
        // Of native histograms, which do not exist here.
        "histogram_count" | "histogram_sum" | "histogram_fraction" => Vec::new(),
        _ => return Err(QueryError::Wrong(format!("parse error: unknown function with name {name:?}"))),
    })
}

/// Every value changed; what comes out is no longer the metric it was.
pub(super) fn each(
    mut rows: Vec<Row>,
    moments: Moments,
    change: impl Fn(usize, f64) -> Option<f64>,
) -> Vec<Row> {
    for row in &mut rows {
        row.labels = row.labels.unnamed();
        for (at, value) in row.values.iter_mut().enumerate().take(moments.count) {
            *value = value.and_then(|it| change(at, it));
        }
    }
    rows
}

/// By value, NaN last; over time an order means nothing.
fn sorted(mut rows: Vec<Row>, moments: Moments, descending: bool) -> Vec<Row> {
    if moments.count == 1 {
        rows.retain(|it| it.values[0].is_some());
        rows.sort_by(|a, b| {
            let (a, b) = (a.values[0].unwrap_or(f64::NAN), b.values[0].unwrap_or(f64::NAN));
            let order = if descending { b.total_cmp(&a) } else { a.total_cmp(&b) };
            a.is_nan().cmp(&b.is_nan()).then(order)
        });
    }
    rows
}

/// The selector itself, in brackets or not.
fn selector(expr: &Expr) -> Option<&promql_parser::parser::VectorSelector> {
    match expr {
        Expr::Paren(it) => selector(&it.expr),
        Expr::VectorSelector(it) => Some(it),
        _ => None,
    }
}

fn seconds(time_ms: i64) -> f64 {
    time_ms as f64 / 1_000.0
}

/// NaN wins, unlike `f64::max`.
fn larger(a: f64, b: f64) -> f64 {
    if (a.is_nan() && b != f64::INFINITY) || (b.is_nan() && a != f64::INFINITY) { f64::NAN } else { a.max(b) }
}

/// NaN wins, unlike `f64::min`.
fn smaller(a: f64, b: f64) -> f64 {
    let least = f64::NEG_INFINITY;
    if (a.is_nan() && b != least) || (b.is_nan() && a != least) { f64::NAN } else { a.min(b) }
}

fn mathematics(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        // Zero and NaN have no sign.
        "sgn" => |it| if it == 0.0 { it } else { it.signum() },
        _ => return None,
    })
}

fn calendar(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |it| of_date(it, |date| f64::from(date.minute())),
        "hour" => |it| of_date(it, |date| f64::from(date.hour())),
        "day_of_week" => |it| of_date(it, |date| f64::from(date.weekday().to_sunday_zero_offset())),
        "day_of_month" => |it| of_date(it, |date| f64::from(date.day())),
        "day_of_year" => |it| of_date(it, |date| f64::from(date.day_of_year())),
        "days_in_month" => |it| of_date(it, |date| f64::from(date.days_in_month())),
        "month" => |it| of_date(it, |date| f64::from(date.month())),
        "year" => |it| of_date(it, |date| f64::from(date.year())),
        _ => return None,
    })
}

fn of_date(seconds: f64, part: fn(DateTime) -> f64) -> f64 {
    if !seconds.is_finite() {
        return f64::NAN;
    }
    let at = Timestamp::from_second(seconds as i64);
    at.map_or(f64::NAN, |it| part(it.to_zoned(TimeZone::UTC).datetime()))
}
