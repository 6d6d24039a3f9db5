//! How many series stand behind a query? Asked before the query is.

use jiff::Timestamp;
use tool::ToolError;

use super::{Inquiry, Moments, Outcome, Prometheus};
use crate::{
    labels::Labels,
    matcher::{LabelMatcher, Relation},
    promql::{Confined, Selector},
};

impl Prometheus {
    /// Counts the series of each selector, in order. Nothing but the selectors is evaluated.
    pub(crate) async fn count_selectors(
        &self,
        selectors: &[Selector],
        when: Moments,
        inquiry: &Inquiry,
    ) -> Result<Vec<u64>, ToolError> {
        let counts: Vec<String> = selectors.iter().map(|it| format!("count({})", it.text)).collect();
        self.counts(&counts, when, inquiry).await
    }

    /// Counts the series of a result, by evaluating the query: what it selects is counted, and found affordable, before.
    /// None when there is one value at most.
    pub(crate) async fn count_result(
        &self,
        query: &Confined,
        when: Moments,
        inquiry: &Inquiry,
    ) -> Result<Option<u64>, ToolError> {
        let Some(count) = query.count_of_result() else { return Ok(None) };
        Ok(self.counts(&[count], when, inquiry).await?.pop())
    }

    /// Counts the series of several queries: one question for all of them.
    pub(crate) async fn count_results(
        &self,
        queries: &[&Confined],
        when: Moments,
        inquiry: &Inquiry,
    ) -> Result<Vec<u64>, ToolError> {
        let counts: Vec<String> = queries.iter().map(|it| format!("count({})", it.text())).collect();
        self.counts(&counts, when, inquiry).await
    }

    /// Series of one metric, within the forced matchers, with a sample shortly before `at`.
    pub(crate) async fn series_of(
        &self,
        metric: &str,
        at: Timestamp,
        inquiry: &Inquiry,
    ) -> Result<u64, ToolError> {
        let name =
            LabelMatcher { name: "__name__".to_owned(), relation: Relation::Equal, value: metric.to_owned() };
        let scope = self.scope(&[name])?;
        let counts = self.counts(&[format!("count({})", scope.text())], Moments::At(at), inquiry).await?;
        Ok(counts.first().copied().unwrap_or(0))
    }

    /// What each expression of one series at most comes to; over a window the most that it does at its start, middle and
    /// end. Nothing is 0.
    pub(super) async fn counts(
        &self,
        expressions: &[String],
        when: Moments,
        inquiry: &Inquiry,
    ) -> Result<Vec<u64>, ToolError> {
        let named: Vec<String> = expressions
            .iter()
            .enumerate()
            .map(|(at, it)| format!("label_replace({it}, \"part\", \"{at}\", \"\", \"\")"))
            .collect();
        let mut counted = vec![0; named.len()];
        if named.is_empty() {
            return Ok(counted);
        }
        let when = match when {
            Moments::At(at) => Moments::At(at),
            Moments::Over(grid) => Moments::Over(grid.sparse()),
        };
        let query = self.compose(&named.join(" or "))?;
        let outcome = self.query(&query, when, inquiry).await?.outcome;
        for (labels, most) in highest(outcome) {
            let part = labels.get("part").and_then(|it| it.parse::<usize>().ok());
            if let Some(count) = part.and_then(|it| counted.get_mut(it)) {
                *count = most;
            }
        }
        Ok(counted)
    }
}

/// The highest value of each series, as a count.
pub(super) fn highest(outcome: Outcome) -> Vec<(Labels, u64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are whole and not negative"
    )]
    let count = |it: f64| it.max(0.0) as u64;
    match outcome {
        Outcome::Vector(series) => {
            series.into_iter().map(|it| (it.metric, it.value.map_or(0, |it| count(it.0.1)))).collect()
        }
        Outcome::Matrix(series) => series
            .into_iter()
            .map(|it| (it.metric, it.values.iter().map(|it| count(it.1)).max().unwrap_or(0)))
            .collect(),
        _ => Vec::new(),
    }
}
