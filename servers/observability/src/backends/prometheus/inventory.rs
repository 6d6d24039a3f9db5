//! What does a Prometheus hold: which metrics, of what kind, how many series, which labels?

use std::collections::BTreeMap;

use jiff::Timestamp;
use outbound::Deadline;
use serde::Deserialize;
use tool::ToolError;

use super::{Envelope, Moments, Outcome, Prometheus, RangeSeries};
use crate::{grid::Grid, labels::Labels, matcher::LabelMatcher};

/// Most labels whose values are counted.
const LABELS_MAX: usize = 40;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    text: String,
}

impl Scope {
    /// As it stands in a query.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Prometheus {
    /// Series that meet all matchers; without any, all series.
    pub(crate) fn scope(&self, matchers: &[LabelMatcher]) -> Scope {
        let mut given: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        // A selector needs one condition that what has no such label does not meet.
        let selective = |it: &LabelMatcher| it.compiled().is_ok_and(|it| !it.is_match(""));
        if !matchers.iter().chain(self.forced.matchers()).any(selective) {
            given.push("__name__!=\"\"".to_owned());
        }
        Scope { text: self.forced.selector(&given.join(",")).unwrap_or_default() }
    }

    /// Names of metrics with their series, as many as there are at once at any of three moments.
    pub(crate) async fn families(
        &self,
        scope: &Scope,
        grid: Grid,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, u64>, ToolError> {
        let query = format!("count by (__name__) ({})", scope.text);
        let outcome = self.evaluate(&query, Moments::Over(grid.sparse()), deadline).await?.outcome;
        let named = |(labels, count): (Labels, u64)| Some((labels.get("__name__")?.clone(), count));
        Ok(super::count::highest(outcome).into_iter().filter_map(named).collect())
    }

    /// What targets say of their metrics: `/api/v1/metadata`. It takes no matchers: look up only what a scope has.
    pub(crate) async fn described(
        &self,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, Vec<Described>>, ToolError> {
        let path = ["api", "v1", "metadata"];
        let found: Envelope<BTreeMap<String, Vec<Described>>> =
            self.endpoint.get_json(&path, &[("limit_per_metric", "1")], deadline).await?;
        Ok(found.data)
    }

    /// Values over a grid of an expression made of scopes.
    pub(crate) async fn values(
        &self,
        expression: &str,
        grid: Grid,
        deadline: Deadline,
    ) -> Result<Vec<RangeSeries>, ToolError> {
        match self.evaluate(expression, Moments::Over(grid), deadline).await?.outcome {
            Outcome::Matrix(series) => Ok(series),
            _ => Ok(Vec::new()),
        }
    }

    /// Series of an expression made of scopes at one moment.
    pub(crate) async fn series_at(
        &self,
        expression: &str,
        at: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Labels>, ToolError> {
        match self.evaluate(expression, Moments::At(at), deadline).await?.outcome {
            Outcome::Vector(series) => Ok(series.into_iter().map(|it| it.metric).collect()),
            _ => Ok(Vec::new()),
        }
    }

    /// Series with a sample within a stretch of time, as their labels: `/api/v1/series`.
    pub(crate) async fn series(
        &self,
        scope: &Scope,
        from: Timestamp,
        to: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Labels>, ToolError> {
        let (from, to) = (from.as_second().to_string(), to.as_second().to_string());
        let query = [("match[]", scope.text.as_str()), ("start", from.as_str()), ("end", to.as_str())];
        let found: Envelope<Vec<Labels>> =
            self.endpoint.get_json(&["api", "v1", "series"], &query, deadline).await?;
        Ok(found.data)
    }

    /// How many values each label of a scope's series has: `/api/v1/labels`, then one question for all of them.
    pub(crate) async fn label_counts(
        &self,
        scope: &Scope,
        from: Timestamp,
        to: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<(String, usize)>, ToolError> {
        let (start, end) = (from.as_second().to_string(), to.as_second().to_string());
        let query = [("match[]", scope.text.as_str()), ("start", start.as_str()), ("end", end.as_str())];
        let found: Envelope<Vec<String>> =
            self.endpoint.get_json(&["api", "v1", "labels"], &query, deadline).await?;
        let plain =
            |it: &String| it != "__name__" && it.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
        let names: Vec<String> = found.data.into_iter().filter(plain).take(LABELS_MAX).collect();
        let counts: Vec<String> =
            names.iter().map(|it| format!("count(count by ({it}) ({}))", scope.text)).collect();
        let counted = self.counts(&counts, Moments::At(to), deadline).await?;
        let count = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        Ok(names.into_iter().zip(counted.into_iter().map(count)).collect())
    }
}
