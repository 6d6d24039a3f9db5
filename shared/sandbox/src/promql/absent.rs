//! Is nothing there?

use std::collections::BTreeMap;

use promql_parser::{
    label::MatchOp,
    parser::{Call, Expr, VectorSelector},
};

use crate::store::{Labels, NAME};

use super::{Evaluated, Evaluation, Moments, Row};

pub(super) fn evaluate(evaluation: &Evaluation<'_>, call: &Call, moments: Moments) -> Evaluated<Vec<Row>> {
    let Some(argument) = call.args.args.first() else { return Ok(Vec::new()) };
    let mut values = vec![Some(1.0); moments.count];
    if call.func.name == "absent" {
        for row in evaluation.vector(argument, moments)? {
            let present = values.iter_mut().zip(&row.values).filter(|it| it.1.is_some());
            present.for_each(|(value, _)| *value = None);
        }
    } else {
        let (ranged, reach) = evaluation.ranged(argument, moments)?;
        for series in &ranged {
            evaluation.charge(moments.count)?;
            let present = values.iter_mut().zip(moments.iter());
            let present = present.filter(|(_, moment)| !series.window(reach, *moment).times.is_empty());
            present.for_each(|(value, _)| *value = None);
        }
    }
    Ok(vec![Row { labels: selector(argument).map(labels).unwrap_or_default(), values }])
}

fn selector(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::Paren(it) => selector(&it.expr),
        Expr::VectorSelector(it) => Some(it),
        Expr::MatrixSelector(it) => Some(&it.vs),
        _ => None,
    }
}

/// The labels that what is absent would have had: those that the selector fixes, once each.
fn labels(selector: &VectorSelector) -> Labels {
    let mut fixed: BTreeMap<&str, &str> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for matcher in selector.matchers.matchers.iter().filter(|it| it.name != NAME) {
        if matcher.op == MatchOp::Equal && seen.insert(&matcher.name) {
            fixed.insert(&matcher.name, &matcher.value);
        } else {
            fixed.remove(matcher.name.as_str());
        }
    }
    Labels::new(fixed)
}
