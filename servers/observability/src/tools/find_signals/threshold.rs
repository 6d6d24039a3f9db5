//! Which numbers do alerting rules test, and of what?

use crate::{
    backends::prometheus::Rule,
    promql::{Against, Query, Test},
    signals::{Aspect, Threshold},
};

/// Thresholds of a rule that are plain numbers. A rule that this client cannot read has none.
pub(super) fn of_rule(rule: &Rule) -> Vec<Threshold> {
    let Ok(query) = Query::parse(&rule.query) else { return Vec::new() };
    let threshold = |test: Test| {
        let Test::Compare { value, against: Against::Constant(number), .. } = test else { return None };
        let selectors = value.selectors();
        Some(Threshold {
            alert: rule.name.clone(),
            metrics: selectors.iter().filter_map(|it| it.metric.clone()).collect(),
            aspects: aspects(value.text()),
            selectors: selectors.into_iter().map(|it| it.text).collect(),
            value: number,
        })
    };
    query.terms().terms.into_iter().filter_map(|it| threshold(it.test)).collect()
}

/// What an expression is about, as far as its form tells.
fn aspects(text: &str) -> Vec<Aspect> {
    let has = |it: &str| text.contains(it);
    let quantile = |it: f64| has(&format!("histogram_quantile({it}"));
    let rated = has("rate(") || has("increase(");
    match (has("histogram_quantile("), rated, has(" / ")) {
        (true, _, _) => [(0.5, Aspect::P50), (0.99, Aspect::P99)]
            .into_iter()
            .filter(|it| quantile(it.0))
            .map(|it| it.1)
            .collect(),
        (_, true, true) => vec![Aspect::Failed, Aspect::Mean],
        // Of increases the number depends on the range.
        (_, true, false) if has("rate(") => vec![Aspect::Rate],
        (_, false, false) => vec![Aspect::Value],
        _ => Vec::new(),
    }
}
