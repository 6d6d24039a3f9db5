//! What does a range of samples come to?

use promql_parser::parser::{Call, value::ValueType};

use super::{
    Evaluated, Evaluation, Moments, QueryError, Row,
    quantile::{greatest, least, mean, quantile, sum, variance},
    rate::{extrapolated, last_two, line},
    select::Window,
};

/// A function of a range; also given are the scalar argument, if there is one, and the moment.
type Over = fn(&Window<'_>, f64, i64) -> Option<f64>;

pub(super) fn evaluate(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<Row>> {
    let name = call.func.name;
    let Some(over) = function(name) else {
        return Err(QueryError::Wrong(format!("parse error: unknown function with name {name:?}")));
    };
    let range = call.func.arg_types.iter().position(|it| *it == ValueType::Matrix).unwrap_or(0);
    let (mut ranges, mut scalars) = (None, vec![f64::NAN; moments.count]);
    for (at, argument) in call.args.args.iter().enumerate() {
        match at == range {
            true => ranges = Some(evaluation.ranged(argument, moments)?),
            false => scalars = evaluation.scalar(argument, moments)?,
        }
    }
    let Some((ranged, reach)) = ranges else { return Ok(Vec::new()) };
    let mut rows = Vec::with_capacity(ranged.len());
    for series in &ranged {
        let mut values = Vec::with_capacity(moments.count);
        for (moment, scalar) in moments.iter().zip(&scalars) {
            let window = series.window(reach, moment);
            evaluation.charge(window.times.len())?;
            let value = if window.times.is_empty() { None } else { over(&window, *scalar, moment) };
            values.push(value);
        }
        if values.iter().any(Option::is_some) {
            // The last sample is still the metric's; everything else is something new.
            let labels =
                if name == "last_over_time" { series.labels.clone() } else { series.labels.unnamed() };
            rows.push(Row { labels, values });
        }
    }
    Ok(rows)
}

fn function(name: &str) -> Option<Over> {
    Some(match name {
        "rate" => |it, _, _| extrapolated(it, true, true),
        "increase" => |it, _, _| extrapolated(it, true, false),
        "delta" => |it, _, _| extrapolated(it, false, false),
        "irate" => |it, _, _| last_two(it, true),
        "idelta" => |it, _, _| last_two(it, false),
        "deriv" => |it, _, _| Some(line(it, it.times[0])?.0),
        "predict_linear" => |it, ahead, moment| {
            let (slope, height) = line(it, moment)?;
            Some(slope * ahead + height)
        },
        "changes" => |it, _, _| Some(pairs(it, |a, b| a != b && !(a.is_nan() && b.is_nan()))),
        "resets" => |it, _, _| Some(pairs(it, |a, b| b < a)),
        "sum_over_time" => |it, _, _| Some(sum(it.values)),
        "avg_over_time" => |it, _, _| Some(mean(it.values)),
        "min_over_time" => |it, _, _| Some(least(it.values)),
        "max_over_time" => |it, _, _| Some(greatest(it.values)),
        "count_over_time" => |it, _, _| Some(it.values.len() as f64),
        "last_over_time" => |it, _, _| it.values.last().copied(),
        "present_over_time" => |_, _, _| Some(1.0),
        "stddev_over_time" => |it, _, _| Some(variance(it.values).sqrt()),
        "stdvar_over_time" => |it, _, _| Some(variance(it.values)),
        "quantile_over_time" => |it, share, _| Some(quantile(share, &mut it.values.to_vec())),
        _ => return None,
    })
}

/// How many neighbours fulfil a condition.
fn pairs(window: &Window<'_>, holds: impl Fn(f64, f64) -> bool) -> f64 {
    window.values.windows(2).filter(|it| holds(it[0], it[1])).count() as f64
}
