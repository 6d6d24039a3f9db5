//! What does a Prometheus hold: which metrics, of what kind, how many series, which labels?

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use tool::ToolError;

use super::{Inquiry, Moments, Outcome, Prometheus, RangeSeries};
use crate::{
    grid::Grid,
    labels::{Labels, is_plain_name},
    matcher::{LabelMatcher, Relation},
    promql::{Confined, Query},
};

/// Most labels whose values are counted.
const LABELS_MAX: usize = 40;
/// Most series that counting the values of a metric's labels may touch: each label touches all of them.
const COUNTED_MAX: u64 = 500_000;
/// Most metrics that are looked for between the moments at which series are counted, and most in one question.
const BETWEEN_MAX: usize = 300;
const NAMES_MAX: usize = 60;

/// What targets say of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Described {
    /// `counter`, `gauge`, `histogram`, `summary`; other words and none are possible.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// What a person reads about it; untrusted.
    #[serde(default)]
    pub(crate) help: String,
}

/// Conditions on series, within the forced matchers of the connection that made it.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    matchers: Vec<LabelMatcher>,
    selector: Confined,
}

impl Scope {
    /// As it stands in a query.
    pub(crate) fn text(&self) -> &str {
        self.selector.text()
    }
}

impl Prometheus {
    /// Series that meet all matchers; without any, all series. What does not come to one selector is refused: a label's
    /// name may be anything that a target wrote.
    pub(crate) fn scope(&self, matchers: &[LabelMatcher]) -> Result<Scope, ToolError> {
        let mut given: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        // A selector needs one condition that what has no such label does not meet.
        let selective = |it: &LabelMatcher| it.compiled().is_ok_and(|it| !it.is_match(""));
        if !matchers.iter().chain(self.forced.matchers()).any(selective) {
            given.push("__name__!=\"\"".to_owned());
        }
        let text = self.forced.selector(&given.join(",")).unwrap_or_default();
        let invalid = |problem| ToolError::Invalid { argument: "scope", problem };
        let query = Query::composed(&text).map_err(invalid)?;
        if !query.is_plain_selector() {
            return Err(invalid(format!(
                "not the conditions of one selector: {}",
                crate::labels::short(&text, 100)
            )));
        }
        Ok(Scope { matchers: matchers.to_vec(), selector: self.confine(query).map_err(invalid)? })
    }

    /// Names of metrics with their series, as many as there are at once at any of three moments; of metrics that were
    /// there between these only, as many as there were in all.
    pub(crate) async fn families(
        &self,
        scope: &Scope,
        grid: Grid,
        inquiry: &Inquiry,
    ) -> Result<BTreeMap<String, u64>, ToolError> {
        let count = self.compose(&format!("count by (__name__) ({})", scope.text()))?;
        let (names, counted) = tokio::join!(
            self.names(Some(scope.text()), grid.from, grid.to, inquiry),
            self.query(&count, Moments::Over(grid.sparse()), inquiry),
        );
        let mut families = named(counted?.outcome);
        let between: Vec<String> = names?.into_iter().filter(|it| !families.contains_key(it)).collect();
        // Stores list names by the blocks in which they keep samples, which reach beyond the stretch.
        let (plain, other): (Vec<String>, Vec<String>) =
            between.into_iter().partition(|it| is_plain_metric(it));
        families.extend(other.into_iter().map(|it| (it, 1)));
        for (at, names) in plain.chunks(NAMES_MAX).enumerate() {
            let found = match at * NAMES_MAX < BETWEEN_MAX {
                true => self.between(scope, names, grid, inquiry).await.ok(),
                false => None,
            };
            families.extend(found.unwrap_or_else(|| names.iter().map(|it| (it.clone(), 1)).collect()));
        }
        Ok(families)
    }

    /// How many series of these metrics there were at any time of a stretch.
    async fn between(
        &self,
        scope: &Scope,
        names: &[String],
        grid: Grid,
        inquiry: &Inquiry,
    ) -> Result<BTreeMap<String, u64>, ToolError> {
        let length = (grid.to - grid.from).max(1);
        let mut matchers = scope.matchers.clone();
        matchers.push(LabelMatcher {
            name: "__name__".to_owned(),
            relation: Relation::Matches,
            value: names.join("|"),
        });
        let selector = self.scope(&matchers)?;
        let count = format!("count by (__name__) (last_over_time({}[{length}s]))", selector.text());
        let at = Timestamp::from_second(grid.to).unwrap_or_default();
        Ok(named(self.query(&self.compose(&count)?, Moments::At(at), inquiry).await?.outcome))
    }

    /// Names of metrics with a sample in a stretch of time or near it, within the forced matchers:
    /// `/api/v1/label/__name__/values`.
    pub(crate) async fn metrics(
        &self,
        from: Timestamp,
        to: Timestamp,
        inquiry: &Inquiry,
    ) -> Result<Vec<String>, ToolError> {
        let forced = self.forced.selector("");
        self.names(forced.as_deref(), from.as_second(), to.as_second(), inquiry).await
    }

    async fn names(
        &self,
        within: Option<&str>,
        from: i64,
        to: i64,
        inquiry: &Inquiry,
    ) -> Result<Vec<String>, ToolError> {
        let (from, to) = (from.to_string(), to.to_string());
        let mut query = vec![("start", from.as_str()), ("end", to.as_str())];
        query.extend(within.map(|it| ("match[]", it)));
        self.read(&["label", "__name__", "values"], &query, inquiry).await
    }

    /// What targets say of their metrics: `/api/v1/metadata`. It takes no matchers: look up only what a scope has.
    pub(crate) async fn described(
        &self,
        inquiry: &Inquiry,
    ) -> Result<BTreeMap<String, Vec<Described>>, ToolError> {
        self.read(&["metadata"], &[("limit_per_metric", "1")], inquiry).await
    }

    /// Values of an expression over a grid.
    pub(crate) async fn values(
        &self,
        expression: &Confined,
        grid: Grid,
        inquiry: &Inquiry,
    ) -> Result<Vec<RangeSeries>, ToolError> {
        match self.query(expression, Moments::Over(grid), inquiry).await?.outcome {
            Outcome::Matrix(series) => Ok(series),
            _ => Ok(Vec::new()),
        }
    }

    /// Series of an expression at one moment.
    pub(crate) async fn series_at(
        &self,
        expression: &Confined,
        at: Timestamp,
        inquiry: &Inquiry,
    ) -> Result<Vec<Labels>, ToolError> {
        match self.query(expression, Moments::At(at), inquiry).await?.outcome {
            Outcome::Vector(series) => Ok(series.into_iter().map(|it| it.metric).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// Series with a sample within a stretch of time, as their labels: `/api/v1/series`.
    pub(crate) async fn series(
        &self,
        scope: &Scope,
        grid: Grid,
        inquiry: &Inquiry,
    ) -> Result<Vec<Labels>, ToolError> {
        let (from, to) = (grid.from.to_string(), grid.to.to_string());
        let query = [("match[]", scope.text()), ("start", from.as_str()), ("end", to.as_str())];
        self.read(&["series"], &query, inquiry).await
    }

    /// How many values each label of a scope's series has, as far as that can be paid for: `/api/v1/labels`, then one
    /// question for all of them.
    pub(crate) async fn label_counts(
        &self,
        scope: &Scope,
        series: u64,
        grid: Grid,
        inquiry: &Inquiry,
    ) -> Result<Vec<(String, Option<usize>)>, ToolError> {
        let (from, to) = (grid.from.to_string(), grid.to.to_string());
        let query = [("match[]", scope.text()), ("start", from.as_str()), ("end", to.as_str())];
        let mut names: Vec<String> = self.read(&["labels"], &query, inquiry).await?;
        names.retain(|it| it != "__name__");
        // What cannot be written in a query is not counted.
        names.sort_by_key(|it| !is_plain_name(it));
        let plain = names.iter().filter(|it| is_plain_name(it)).count();
        let paid =
            usize::try_from(COUNTED_MAX / series.max(1)).unwrap_or(usize::MAX).min(LABELS_MAX).min(plain);
        let counts: Vec<String> =
            names[..paid].iter().map(|it| format!("count(count by ({it}) ({}))", scope.text())).collect();
        let at = Timestamp::from_second(grid.to).unwrap_or_default();
        let counted = self.counts(&counts, Moments::At(at), inquiry).await?;
        let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        let counted = counted.into_iter().map(|it| Some(count(it))).chain(std::iter::repeat(None));
        Ok(names.into_iter().zip(counted).collect())
    }
}

/// Whether a metric of this name can be part of a regular expression as it is.
pub(crate) fn is_plain_metric(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | ':'))
}

/// Counts by the name of the metric.
fn named(outcome: Outcome) -> BTreeMap<String, u64> {
    let counted = super::count::highest(outcome).into_iter();
    counted.filter_map(|(labels, count)| Some((labels.get("__name__")?.clone(), count))).collect()
}

#[cfg(test)]
mod tests {
    use config::System;

    use super::*;
    use crate::fixture::{connection, http};

    #[test]
    fn a_scope_is_one_selector_or_none() {
        let forced = ["team=\"a\"".to_owned()];
        let place = connection("prod", System::Prometheus(http("http://127.0.0.1:9")));
        let forced = crate::promql::Forced::parse(&forced).expect("a matcher");
        let prometheus = Prometheus::new(&place, &http("http://127.0.0.1:9"), forced).expect("a client");
        let scope = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            prometheus.scope(&[LabelMatcher { name, relation: Relation::Equal, value }])
        };
        let said = |it: Result<Scope, ToolError>| it.map(|it| it.text().to_owned());
        assert_eq!(said(scope("a", "b\"} or {c=\"d")).expect("one"), r#"{a="b\"} or {c=\"d",team="a"}"#);
        for name in ["x=\"1\"} or {y", "x=\"1\"}[5m] or {y", "x=\"1\" or y", "a b", "ä-"] {
            let error = said(scope(name, "b")).expect_err(name).to_string();
            assert!(error.starts_with("scope: "), "{error}");
        }
    }
}
