//! What do many series come to?

use std::{cmp::Ordering, collections::HashMap};

use promql_parser::{
    label::Labels as Names,
    parser::{AggregateExpr, LabelModifier},
};

use crate::store::{Labels, NAME};

use super::{
    Evaluated, Evaluation, Moments, QueryError, Row,
    label::is_name,
    quantile::{greatest, least, mean, quantile, variance},
    text::number_f,
};

/// Rows of one group, in the order in which the group was first seen.
struct Group {
    labels: Labels,
    members: Vec<usize>,
}

pub(super) fn evaluate(
    evaluation: &Evaluation<'_>,
    it: &AggregateExpr,
    moments: Moments,
) -> Evaluated<Vec<Row>> {
    let operator = it.op.to_string();
    let rows = evaluation.vector(&it.expr, moments)?;
    evaluation.charge(rows.len() * moments.count)?;
    let parameter = it.param.as_deref();
    let modifier = it.modifier.as_ref();
    match (operator.as_str(), parameter) {
        ("topk" | "bottomk", Some(parameter)) => {
            let counts = evaluation.scalar(parameter, moments)?;
            let counts = counts.into_iter().map(count).collect::<Evaluated<Vec<usize>>>()?;
            Ok(chosen(rows, modifier, &counts, operator == "topk"))
        }
        ("count_values", Some(parameter)) => {
            let label = evaluation.text(parameter)?;
            if !is_name(&label) {
                return Err(QueryError::Execution(format!("invalid label name {label:?}")));
            }
            Ok(counted(&rows, modifier, &label, moments))
        }
        ("quantile", Some(parameter)) => {
            let shares = evaluation.scalar(parameter, moments)?;
            Ok(reduced(&rows, modifier, moments, |at, values| quantile(shares[at], values)))
        }
        (operator, _) => {
            let reduce = reduction(operator)
                .ok_or_else(|| QueryError::Wrong(format!("parse error: unknown aggregation {operator:?}")))?;
            Ok(reduced(&rows, modifier, moments, |_, values| reduce(values)))
        }
    }
}

fn reduction(operator: &str) -> Option<fn(&[f64]) -> f64> {
    Some(match operator {
        "sum" => |it| it.iter().sum(),
        "avg" => mean,
        "min" => least,
        "max" => greatest,
        "count" => |it| it.len() as f64,
        "group" => |_| 1.0,
        "stddev" => |it| variance(it).sqrt(),
        "stdvar" => variance,
        _ => return None,
    })
}

fn reduced(
    rows: &[Row],
    modifier: Option<&LabelModifier>,
    moments: Moments,
    reduce: impl Fn(usize, &mut [f64]) -> f64,
) -> Vec<Row> {
    let mut values = Vec::new();
    let mut reduced = Vec::new();
    for Group { labels, members } in groups(rows, modifier) {
        let mut result = Vec::with_capacity(moments.count);
        for at in 0..moments.count {
            values.clear();
            values.extend(members.iter().filter_map(|it| rows[*it].values[at]));
            result.push((!values.is_empty()).then(|| reduce(at, &mut values)));
        }
        reduced.push(Row { labels, values: result });
    }
    reduced
}

/// `topk` and `bottomk`: the rows themselves, with a value where they are among the chosen.
fn chosen(mut rows: Vec<Row>, modifier: Option<&LabelModifier>, counts: &[usize], top: bool) -> Vec<Row> {
    let mut order = Vec::with_capacity(rows.len());
    let groups = groups(&rows, modifier);
    for Group { mut members, .. } in groups {
        for (at, count) in counts.iter().enumerate() {
            let value = |it: &usize| rows[*it].values[at];
            // Stable, so that of equals the first stays.
            members.sort_unstable();
            members.sort_by(|a, b| match (value(a), value(b)) {
                (Some(a), Some(b)) => ranked(a, b, top),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
            for member in members.iter().skip(*count) {
                rows[*member].values[at] = None;
            }
        }
        order.extend(members);
    }
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    let rows = order.into_iter().filter_map(|it| rows[it].take());
    rows.filter(|it| it.values.iter().any(Option::is_some)).collect()
}

/// NaN is neither among the top nor among the bottom, while anything else is left.
fn ranked(a: f64, b: f64, top: bool) -> Ordering {
    let order = if top { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
    a.is_nan().cmp(&b.is_nan()).then(order.unwrap_or(Ordering::Equal))
}

/// `count_values`: one row for each value of each group.
fn counted(rows: &[Row], modifier: Option<&LabelModifier>, label: &str, moments: Moments) -> Vec<Row> {
    let mut names = modifier.cloned();
    if let Some(LabelModifier::Include(include)) = &mut names {
        include.labels.push(label.to_owned());
    } else if names.is_none() {
        names = Some(LabelModifier::Include(Names { labels: vec![label.to_owned()] }));
    }
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut counted: Vec<Row> = Vec::new();
    for row in rows {
        for at in 0..moments.count {
            let Some(value) = row.values[at] else { continue };
            let labels = grouped(&row.labels.with(label, &number_f(value)), names.as_ref());
            let place = *places.entry(labels.clone()).or_insert_with(|| {
                counted.push(Row { labels, values: vec![None; moments.count] });
                counted.len() - 1
            });
            let count = &mut counted[place].values[at];
            *count = Some(count.unwrap_or(0.0) + 1.0);
        }
    }
    counted
}

fn groups(rows: &[Row], modifier: Option<&LabelModifier>) -> Vec<Group> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let labels = grouped(&row.labels, modifier);
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            groups.push(Group { labels, members: Vec::new() });
            groups.len() - 1
        });
        groups[place].members.push(at);
    }
    groups
}

fn grouped(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    let listed = |names: &Names, name: &str| names.labels.iter().any(|it| it == name);
    match modifier {
        None => Labels::default(),
        Some(LabelModifier::Include(names)) => labels.only(|it| listed(names, it)),
        Some(LabelModifier::Exclude(names)) => labels.only(|it| it != NAME && !listed(names, it)),
    }
}

fn count(value: f64) -> Evaluated<usize> {
    match value {
        it if it.is_nan() || it >= i64::MAX as f64 => {
            Err(QueryError::Execution(format!("Scalar value {} overflows int64", number_f(it))))
        }
        it if it < 1.0 => Ok(0),
        it => Ok(it as usize),
    }
}
