//! `query_metrics`: what does a PromQL expression come to, now or over a window?

use jiff::Timestamp;
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Next, Target, Tool, ToolError, Window,
    args::{MaxTokens, Number, Slug, Text},
};

use super::series;
use crate::{
    Backends,
    backends::prometheus::{Answered, Counts, Outcome, Prometheus, When},
    cost::Cost,
    figure::Figure,
    grid::{Grid, Moment, utc},
    labels::{Labels, text},
    promql::{Query, Selector},
};

/// Ask Prometheus in PromQL: values now, or per-series statistics over a window with what moved most first.
///
/// Aggregate first (`sum by (service) (rate(x[5m]))`): what selects too much is refused with a cheaper query.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryMetrics {
    /// Which Prometheus, if several.
    connection: Option<Slug>,
    /// PromQL.
    query: Text<1, 4096>,
    /// `1h`, `now-3h/now-1h`, `FROM/TO` or `around=TIME±30m`; else one moment.
    window: Option<Window>,
    /// That moment, RFC 3339; else now.
    at: Option<Moment>,
    /// Else chosen.
    step_seconds: Option<Number<1, 86_400>>,
    /// Points, not statistics.
    #[serde(default)]
    points: bool,
    /// Series.
    #[serde(default)]
    limit: Limit,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Most rows.
type Limit = super::series::Limit;

/// What all rows have in common, most important first: the last are left out when there is no room.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct MetricsFacts {
    connection: String,
    /// The resolved moment or window, UTC.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    common_labels: Option<String>,
    /// Of all values, also those of rows not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Tool for QueryMetrics {
    const NAME: &'static str = "query_metrics";
    const EFFECT: Effect = Effect::Read;
    type Backends = Backends;
    type Facts = MetricsFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.prometheus(self.connection.as_ref())?.connection().whole("metrics")])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "query": "topk(5, process_resident_memory_bytes)" }),
            json!({ "query": "sum by (service, code) (rate(http_requests_total[5m]))", "window": "6h" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<MetricsFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl QueryMetrics {
    /// Checks, counts, asks, sums up.
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<MetricsFacts>, ToolError> {
        let invalid = |argument| move |problem| ToolError::Invalid { argument, problem };
        let query = Query::parse(&self.query).map_err(invalid("query"))?;
        let query = prometheus.confine(query).map_err(invalid("query"))?;
        let when = self.when(now)?;
        let selectors = query.selectors();
        let counts = prometheus.count(&query, &selectors, when, deadline).await?;
        self.refuse_costly(&query, &selectors, &counts, when)?;
        let answered = prometheus.query(&query, when, deadline).await?;
        let mut answer = self.sum_up(&query, answered, when);
        answer.facts.connection = prometheus.connection().name.clone();
        if answer.facts.series == Some(0) {
            let hint = self.why_empty(prometheus, &selectors, &counts, when, deadline).await;
            answer.facts.notes.insert(0, hint);
        }
        if !prometheus.forced().is_empty() {
            let forced = prometheus.forced().selector("").unwrap_or_default();
            answer.facts.notes.push(format!("every selector was kept within {forced}"));
        }
        Ok(answer)
    }

    fn when(&self, now: Timestamp) -> Result<When, ToolError> {
        let invalid = |argument, problem: &str| Err(ToolError::Invalid { argument, problem: problem.to_owned() });
        match (&self.window, &self.at) {
            (Some(_), Some(_)) => invalid("at", "give `window` or `at`, not both"),
            (None, at) if self.step_seconds.is_none() => Ok(When::At(at.as_ref().map_or(now, Moment::at))),
            (None, _) => invalid("step_seconds", "needs a `window`"),
            (Some(window), None) => {
                let span = window.at(now).map_err(|problem| ToolError::Invalid { argument: "window", problem })?;
                let step = self.step_seconds.and_then(|it| i64::try_from(it.get()).ok());
                let grid = Grid::over(span, step);
                Ok(When::Over(grid.map_err(|problem| ToolError::Invalid { argument: "step_seconds", problem })?))
            }
        }
    }

    fn refuse_costly(
        &self,
        query: &Query,
        selectors: &[Selector],
        counts: &Counts,
        when: When,
    ) -> Result<(), ToolError> {
        let (points, end) = match when {
            When::At(at) => (1, at),
            When::Over(grid) => (grid.points(), Timestamp::from_second(grid.to).unwrap_or_default()),
        };
        let selected = selectors.iter().zip(counts.selected.iter().copied()).collect();
        let cost = Cost { selected, result: counts.result.unwrap_or(1), points };
        let Some(excess) = cost.excess(query.text()) else { return Ok(()) };
        let next = excess.instead.filter(|it| it.chars().count() <= 4096).map(|cheaper| {
            let mut arguments = json!({ "query": cheaper, "at": utc(end) });
            if let Some(connection) = &self.connection {
                arguments["connection"] = json!(connection);
            }
            json!({ "tool": Self::NAME, "arguments": arguments })
        });
        Err(ToolError::TooCostly { problem: excess.problem, next })
    }

    fn sum_up(&self, query: &Query, answered: Answered, when: When) -> Answer<MetricsFacts> {
        let (time, step_seconds) = match when {
            When::At(at) => (utc(at), None),
            When::Over(grid) => {
                let end = |it| utc(Timestamp::from_second(it).unwrap_or_default());
                (format!("{}/{}", end(grid.from), end(grid.to)), Some(grid.step))
            }
        };
        let facts = MetricsFacts {
            time,
            step_seconds,
            unit: query.unit(),
            notes: answered.remarks.into_iter().take(3).map(|it| crate::labels::short(&it, 200)).collect(),
            ..MetricsFacts::default()
        };
        let shown = match answered.outcome {
            Outcome::Scalar(sample) => return Self::single(facts, Figure(sample.0.1).to_string()),
            Outcome::String((_, text)) => return Self::single(facts, text),
            Outcome::Vector(found) => series::instant(found, self.limit, query.is_ordered()),
            Outcome::Matrix(found) => {
                let grid = if let When::Over(grid) = when { Some(grid) } else { None };
                series::range(found, self.limit, grid, self.points)
            }
        };
        let mut facts = facts;
        facts.series = Some(shown.count);
        facts.common_labels =
            (!shown.common.is_empty()).then(|| text(&shown.common, &Labels::new()));
        facts.distribution = shown.distribution;
        facts.groups = shown.groups;
        facts.notes.extend(shown.notes);
        Answer::table(facts, tool::Table { next: self.next(), ..shown.table })
    }

    fn single(mut facts: MetricsFacts, value: String) -> Answer<MetricsFacts> {
        facts.value = Some(value);
        Answer::facts(facts)
    }

    /// The same with more room, as long as there is more to have.
    fn next(&self) -> Option<Next> {
        let most = Limit::default().most();
        if self.max_tokens.get() >= 8_000 && self.limit.get() >= most {
            return None;
        }
        let mut arguments = serde_json::to_value(self).ok()?;
        let fields = arguments.as_object_mut()?;
        fields.retain(|_, value| !value.is_null() && *value != json!(false));
        fields.insert("limit".to_owned(), json!(most));
        fields.insert("max_tokens".to_owned(), json!(8_000));
        Some(Box::new(move |_| Some(arguments.clone())))
    }

    /// Which step of the way from name to labels to values came up empty. Best effort: the answer stands without it.
    async fn why_empty(
        &self,
        prometheus: &Prometheus,
        selectors: &[Selector],
        counts: &Counts,
        when: When,
        deadline: Deadline,
    ) -> String {
        let end = match when {
            When::At(at) => at,
            When::Over(grid) => Timestamp::from_second(grid.to).unwrap_or_default(),
        };
        let empty = selectors.iter().zip(&counts.selected).find(|it| *it.1 == 0).map(|it| it.0);
        let Some(selector) = empty else {
            return "every selector has series: a comparison or a join leaves none".to_owned();
        };
        let Some(metric) = &selector.metric else {
            return format!("no series match `{}` at that time", selector.text);
        };
        match prometheus.series_of(metric, end, deadline).await {
            Ok(0) => {}
            Ok(count) => return format!("`{metric}` has {count} series, but none with all of these labels"),
            Err(_) => return format!("no series match `{}` at that time", selector.text),
        }
        let names = prometheus.metrics(end, deadline).await.unwrap_or_default();
        let mut near: Vec<(f64, &String)> = names
            .iter()
            .map(|it| (strsim::jaro_winkler(it, metric), it))
            .filter(|it| it.0 > 0.8)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<&str> = near.iter().take(3).map(|it| it.1.as_str()).collect();
        match near.is_empty() {
            true => format!("no metric `{metric}` at that time, and none is named alike"),
            false => format!("no metric `{metric}` at that time; near: {}", near.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
