//! What do two vectors come to, and which series stand opposite each other?
//!
//! Source: `VectorBinop`, `VectorscalarBinop` and `resultMetric` of Prometheus' `promql/engine.go`.

use std::collections::HashMap;

use promql_parser::{
    label::Labels as Names,
    parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality},
};

use crate::store::{Labels, NAME};

use super::{Evaluated, Evaluation, Moments, Outcome, QueryError, Row, map, merged};

/// An operator, looked up once.
#[derive(Clone, Copy)]
enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
    And,
    Or,
    Unless,
}

/// How two vectors are matched.
struct Matching<'a> {
    modifier: Option<&'a BinModifier>,
    operator: Operator,
    /// Comparisons answer 0 or 1 and keep every pair.
    boolean: bool,
}

pub(super) fn evaluate(evaluation: &Evaluation<'_>, it: &BinaryExpr, moments: Moments) -> Evaluated<Outcome> {
    let name = it.op.to_string();
    let operator = Operator::named(&name)
        .ok_or_else(|| QueryError::Wrong(format!("parse error: unknown operator {name:?}")))?;
    let (left, right) = (evaluation.outcome(&it.lhs, moments)?, evaluation.outcome(&it.rhs, moments)?);
    let matching = Matching { modifier: it.modifier.as_ref(), operator, boolean: it.return_bool() };
    match (left, right) {
        (Outcome::Scalar(left), Outcome::Scalar(right)) => {
            let pairs = left.into_iter().zip(right);
            Ok(Outcome::Scalar(pairs.map(|(a, b)| matching.of_scalars(a, b)).collect()))
        }
        (Outcome::Vector(rows), Outcome::Scalar(scalar)) => {
            Ok(Outcome::Vector(merged(matching.with_scalar(rows, &scalar, moments, false))?))
        }
        (Outcome::Scalar(scalar), Outcome::Vector(rows)) => {
            Ok(Outcome::Vector(merged(matching.with_scalar(rows, &scalar, moments, true))?))
        }
        (Outcome::Vector(left), Outcome::Vector(right)) => {
            evaluation.charge((left.len() + right.len()) * moments.count)?;
            let rows = match operator {
                Operator::And | Operator::Or | Operator::Unless => matching.set(left, right, moments),
                _ => matching.vectors(&left, &right, moments)?,
            };
            Ok(Outcome::Vector(merged(rows)?))
        }
        _ => Err(evaluation.misplaced("a range or a string", "beside an operator")),
    }
}

impl Operator {
    fn named(name: &str) -> Option<Operator> {
        Some(match name {
            "+" => Operator::Arithmetic(|a, b| a + b),
            "-" => Operator::Arithmetic(|a, b| a - b),
            "*" => Operator::Arithmetic(|a, b| a * b),
            "/" => Operator::Arithmetic(|a, b| a / b),
            "%" => Operator::Arithmetic(|a, b| a % b),
            "^" => Operator::Arithmetic(f64::powf),
            "atan2" => Operator::Arithmetic(f64::atan2),
            "==" => Operator::Comparison(|a, b| a == b),
            "!=" => Operator::Comparison(|a, b| a != b),
            ">" => Operator::Comparison(|a, b| a > b),
            "<" => Operator::Comparison(|a, b| a < b),
            ">=" => Operator::Comparison(|a, b| a >= b),
            "<=" => Operator::Comparison(|a, b| a <= b),
            "and" => Operator::And,
            "or" => Operator::Or,
            "unless" => Operator::Unless,
            _ => return None,
        })
    }
}

impl Matching<'_> {
    fn of_scalars(&self, a: f64, b: f64) -> f64 {
        match self.operator {
            Operator::Arithmetic(operate) => operate(a, b),
            Operator::Comparison(holds) => f64::from(u8::from(holds(a, b))),
            _ => f64::NAN,
        }
    }

    fn with_scalar(&self, rows: Vec<Row>, scalar: &[f64], moments: Moments, first: bool) -> Vec<Row> {
        let pair = |at: usize, it: f64| if first { (scalar[at], it) } else { (it, scalar[at]) };
        match self.operator {
            Operator::Comparison(holds) if !self.boolean => {
                let mut rows = rows;
                for value in rows.iter_mut().flat_map(|it| it.values.iter_mut().enumerate()) {
                    let (at, value) = value;
                    *value = value.filter(|it| {
                        let (a, b) = pair(at, *it);
                        holds(a, b)
                    });
                }
                rows
            }
            _ => map::each(rows, moments, |at, it| {
                let (a, b) = pair(at, it);
                Some(self.of_scalars(a, b))
            }),
        }
    }

    /// `and`, `or`, `unless`.
    fn set(&self, left: Vec<Row>, right: Vec<Row>, moments: Moments) -> Vec<Row> {
        let (left_keys, right_keys, count) = self.keys(&left, &right);
        let present = |rows: &[Row], keys: &[usize]| {
            let mut present = vec![false; count * moments.count];
            for (row, key) in rows.iter().zip(keys) {
                for (at, _) in row.values.iter().enumerate().filter(|it| it.1.is_some()) {
                    present[key * moments.count + at] = true;
                }
            }
            present
        };
        let keep = |rows: Vec<Row>, keys: &[usize], there: &[bool], wanted: bool| -> Vec<Row> {
            let kept = rows.into_iter().zip(keys).map(|(mut row, key)| {
                for (at, value) in row.values.iter_mut().enumerate() {
                    *value = value.filter(|_| there[key * moments.count + at] == wanted);
                }
                row
            });
            kept.filter(|it| it.values.iter().any(Option::is_some)).collect()
        };
        match self.operator {
            Operator::Or => {
                let there = present(&left, &left_keys);
                let mut all = left;
                all.extend(keep(right, &right_keys, &there, false));
                all
            }
            operator => {
                let there = present(&right, &right_keys);
                keep(left, &left_keys, &there, matches!(operator, Operator::And))
            }
        }
    }

    /// Arithmetic and comparisons: each series of the many side with the one opposite.
    fn vectors(&self, left: &[Row], right: &[Row], moments: Moments) -> Evaluated<Vec<Row>> {
        let swapped = matches!(self.cardinality(), Some(VectorMatchCardinality::OneToMany(_)));
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let (many_keys, one_keys, count) = self.keys(many, one);
        let to_one = self.cardinality().is_none_or(|it| matches!(it, VectorMatchCardinality::OneToOne));
        let mut results: Vec<Row> = Vec::new();
        let mut places: HashMap<(usize, usize), usize> = HashMap::new();
        let (mut opposite, mut taken) = (vec![None; count], vec![false; count]);
        for at in 0..moments.count {
            opposite.fill(None);
            taken.fill(false);
            if many.iter().all(|it| it.values[at].is_none()) {
                continue; // Prometheus looks at neither side then.
            }
            for (index, row) in one.iter().enumerate().filter(|it| it.1.values[at].is_some()) {
                if let Some(other) = opposite[one_keys[index]].replace(index) {
                    return Err(self.ambiguous(&row.labels, &one[other].labels, swapped));
                }
            }
            for (index, row) in many.iter().enumerate() {
                let (Some(value), Some(other)) = (row.values[at], opposite[many_keys[index]]) else {
                    continue;
                };
                let Some(against) = one[other].values[at] else { continue };
                let Some(result) = self.pair(value, against, swapped) else { continue };
                if to_one && std::mem::replace(&mut taken[many_keys[index]], true) {
                    let text = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                    return Err(QueryError::Execution(text.to_owned()));
                }
                let place = *places.entry((index, other)).or_insert_with(|| {
                    let labels = self.labels(&row.labels, &one[other].labels);
                    results.push(Row { labels, values: vec![None; moments.count] });
                    results.len() - 1
                });
                results[place].values[at] = Some(result);
            }
        }
        merged(results).map_err(|_| {
            let text = "multiple matches for labels: grouping labels must ensure unique matches";
            QueryError::Execution(text.to_owned())
        })
    }

    /// What a pair is worth; none when it is filtered out.
    fn pair(&self, many: f64, one: f64, swapped: bool) -> Option<f64> {
        let (a, b) = if swapped { (one, many) } else { (many, one) };
        match self.operator {
            Operator::Comparison(holds) if !self.boolean => holds(a, b).then_some(a),
            _ => Some(self.of_scalars(a, b)),
        }
    }

    /// The labels of a pair.
    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let arithmetic = matches!(self.operator, Operator::Arithmetic(_));
        let mut labels = if arithmetic || self.boolean { many.unnamed() } else { many.clone() };
        match self.cardinality() {
            Some(VectorMatchCardinality::ManyToOne(include) | VectorMatchCardinality::OneToMany(include)) => {
                for name in &include.labels {
                    labels = labels.with(name, one.get(name));
                }
                if self.boolean {
                    labels = labels.unnamed();
                }
                labels
            }
            _ => match self.names() {
                Some((on, names)) => labels.only(|it| names.labels.iter().any(|name| name == it) == on),
                None => labels,
            },
        }
    }

    /// Numbers for what each row is matched by, and how many there are.
    fn keys(&self, left: &[Row], right: &[Row]) -> (Vec<usize>, Vec<usize>, usize) {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut key = |row: &Row| {
            let next = numbers.len();
            *numbers.entry(self.signature(&row.labels)).or_insert(next)
        };
        let left = left.iter().map(&mut key).collect();
        let right = right.iter().map(&mut key).collect();
        (left, right, numbers.len())
    }

    fn signature(&self, labels: &Labels) -> Labels {
        let listed = |names: &Names, it: &str| names.labels.iter().any(|name| name == it);
        match self.names() {
            Some((true, names)) => labels.only(|it| listed(names, it)),
            Some((false, names)) => labels.only(|it| it != NAME && !listed(names, it)),
            None => labels.unnamed(),
        }
    }

    /// `on` (`true`) or `ignoring`, and the labels named there.
    fn names(&self) -> Option<(bool, &Names)> {
        match self.modifier?.matching.as_ref()? {
            LabelModifier::Include(names) => Some((true, names)),
            LabelModifier::Exclude(names) => Some((false, names)),
        }
    }

    fn cardinality(&self) -> Option<&VectorMatchCardinality> {
        Some(&self.modifier?.card)
    }

    fn ambiguous(&self, first: &Labels, second: &Labels, swapped: bool) -> QueryError {
        let group = match self.names() {
            Some((true, names)) => first.only(|it| names.labels.iter().any(|name| name == it)),
            Some((false, names)) => {
                first.only(|it| it != NAME && !names.labels.iter().any(|name| name == it))
            }
            None => first.unnamed(),
        };
        let side = if swapped { "left" } else { "right" };
        QueryError::Execution(format!(
            "found duplicate series for the match group {group:?} on the {side} hand-side of the operation: \
             [{first:?}, {second:?}];many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }
}
