//! `query_metrics`: what does a PromQL expression come to, now or over a window?

use jiff::{SignedDuration, Timestamp};
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Next, Target, Tool, ToolError,
    args::{MaxTokens, Number, Slug, Text},
};

use super::series;
use crate::{
    Backends,
    backends::prometheus::{Answered, Inquiry, Moments, Outcome, Prometheus},
    cost::Cost,
    figure::Figure,
    grid::{Grid, When, utc},
    labels::{Labels, text},
    promql::{Confined, Query, Selector},
};

/// Prometheus: values now, or statistics per series over a window, most moved first. Aggregate: too much is refused with
/// a cheaper query.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryMetrics {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    pub(super) connection: Option<Slug>,
    /// PromQL, e.g. `sum by (service) (rate(x[5m]))`.
    #[schemars(with = "String")]
    pub(super) query: Text<1, 4096>,
    /// `6h`, `FROM/TO`, `around=TIME±30m`, or one TIME; else now.
    #[schemars(with = "Option<String>")]
    pub(super) window: Option<When>,
    /// Raw points at this step, not statistics.
    pub(super) step_seconds: Option<Number<1, 86_400>>,
    /// Of the answer.
    #[serde(default)]
    pub(super) max_tokens: MaxTokens,
}

/// What all rows have in common, most important first: the last are left out when there is no room.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct MetricsFacts {
    /// The resolved moment, or window and step; UTC.
    pub(super) time: String,
    /// Of the values, where the query tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<&'static str>,
    /// What all series have; the rows leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) common_labels: Option<String>,
    /// What went wrong or was left out; of many series the distribution of their values and the groups that explain it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// What a query came to, and what is to be said of it.
pub(super) struct Asked {
    pub(super) query: Confined,
    pub(super) when: Moments,
    pub(super) outcome: Outcome,
    /// Why there is nothing, and the system's remarks.
    pub(super) notes: Vec<String>,
    /// Which matchers were forced on the query.
    pub(super) forced: Option<String>,
    /// What the system warned of.
    pub(super) warnings: Vec<String>,
}

/// Most rows that any budget shows.
const ROWS_MAX: usize = 200;
/// Names are looked up from this long before a moment.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Tool for QueryMetrics {
    const NAME: &'static str = "query_metrics";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "promql, cpu, memory, latency, error rate, traffic, saturation, monitoring";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["common_labels", "notes", "not_looked_at"];
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
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<MetricsFacts>, ToolError> {
        self.ask(prometheus, now, deadline).await.map(|it| self.sum_up(it))
    }

    /// Checks, counts, asks; says why there is nothing where there is nothing.
    pub(super) async fn ask(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Asked, ToolError> {
        let invalid = |argument| move |problem| ToolError::Invalid { argument, problem };
        let query = Query::parse(&self.query).map_err(invalid("query"))?;
        let query = prometheus.confine(query).map_err(invalid("query"))?;
        let when = self.moments(now)?;
        let inquiry = Inquiry::until(deadline);
        let selectors = query.selectors();
        // What is too much for a single series is refused before anything is asked.
        self.refuse_costly(&query, &selectors, &vec![1; selectors.len()], 1, when)?;
        // Counting the result evaluates the query: first the selectors are counted, which is cheap whatever stands around.
        let selected = prometheus.count_selectors(&selectors, when, &inquiry).await?;
        self.refuse_costly(&query, &selectors, &selected, 1, when)?;
        let result = prometheus.count_result(&query, when, &inquiry).await?.unwrap_or(1);
        self.refuse_costly(&query, &selectors, &selected, result, when)?;
        let Answered { outcome, remarks } = prometheus.query(&query, when, &inquiry).await?;
        let mut notes = Vec::new();
        if outcome.is_empty() {
            notes.push(self.why_empty(prometheus, &selectors, &selected, when, &inquiry).await);
        }
        notes.extend(remarks.into_iter().take(3).map(|it| crate::labels::short(&it, 200)));
        let forced = prometheus.forced().selector("").filter(|_| !prometheus.forced().is_empty());
        let forced = forced.map(|it| format!("every selector was kept within {it}"));
        Ok(Asked { query, when, outcome, notes, forced, warnings: inquiry.warnings() })
    }

    fn moments(&self, now: Timestamp) -> Result<Moments, ToolError> {
        let step = self.step_seconds.and_then(|it| i64::try_from(it.get()).ok());
        let invalid = |argument| move |problem| ToolError::Invalid { argument, problem };
        match &self.window {
            Some(When::Over(window)) => {
                let span = window.at(now).map_err(invalid("window"))?;
                Grid::over(span, step).map(Moments::Over).map_err(invalid("step_seconds"))
            }
            _ if step.is_some() => Err(invalid("step_seconds")("needs a `window`".to_owned())),
            Some(When::At(moment)) => Ok(Moments::At(moment.at())),
            None => Ok(Moments::At(now)),
        }
    }

    fn refuse_costly(
        &self,
        query: &Query,
        selectors: &[Selector],
        selected: &[u64],
        result: u64,
        when: Moments,
    ) -> Result<(), ToolError> {
        let (points, end, seconds) = match when {
            Moments::At(at) => (1, at, 0.0),
            Moments::Over(grid) => {
                let end = Timestamp::from_second(grid.to).unwrap_or_default();
                (grid.points(), end, (grid.to - grid.from) as f64)
            }
        };
        let selected = selectors.iter().zip(selected.iter().copied()).collect();
        let cost = Cost { selected, result, points, evaluations: query.evaluations(), seconds };
        let Some(excess) = cost.excess(query.text()) else { return Ok(()) };
        let next = excess.instead.filter(|it| it.chars().count() <= 4096).map(|cheaper| {
            let mut arguments = json!({ "query": cheaper, "window": utc(end) });
            if let Some(connection) = &self.connection {
                arguments["connection"] = json!(connection);
            }
            json!({ "tool": Self::NAME, "arguments": arguments })
        });
        Err(ToolError::TooCostly { problem: excess.problem, next })
    }

    fn sum_up(&self, asked: Asked) -> Answer<MetricsFacts> {
        let Asked { query, when, outcome, notes, forced, warnings } = asked;
        let time = match when {
            Moments::At(at) => utc(at),
            Moments::Over(grid) => grid.to_string(),
        };
        let shown = match outcome {
            Outcome::Scalar(sample) => series::single(Figure(sample.0.1).cell()),
            Outcome::String((_, text)) => series::single(Value::String(text)),
            Outcome::Vector(found) => series::instant(found, ROWS_MAX, query.is_ordered()),
            Outcome::Matrix(found) => {
                let grid = if let Moments::Over(grid) = when { Some(grid) } else { None };
                series::range(found, ROWS_MAX, grid, self.step_seconds.is_some())
            }
        };
        let facts = MetricsFacts {
            time,
            unit: query.unit(),
            common_labels: (!shown.common.is_empty()).then(|| text(&shown.common, &Labels::new())),
            notes: notes.into_iter().chain(shown.notes).chain(forced).collect(),
        };
        let table = tool::Table { next: self.next(), ..shown.table };
        Answer { not_looked_at: warnings, ..Answer::table(facts, table) }
    }

    /// The same with more room, as long as there is more to have.
    fn next(&self) -> Option<Next> {
        if self.max_tokens.get() >= 8_000 {
            return None;
        }
        let mut arguments = serde_json::to_value(self).ok()?;
        let fields = arguments.as_object_mut()?;
        fields.retain(|_, value| !value.is_null());
        fields.insert("max_tokens".to_owned(), json!(8_000));
        Some(Box::new(move |shown| (shown < ROWS_MAX).then(|| arguments.clone())))
    }

    /// Which step of the way from name to labels to values came up empty. Best effort: the answer stands without it.
    async fn why_empty(
        &self,
        prometheus: &Prometheus,
        selectors: &[Selector],
        selected: &[u64],
        when: Moments,
        inquiry: &Inquiry,
    ) -> String {
        // Selectors are counted at these moments only.
        let (from, end, then) = match when {
            Moments::At(at) => (at.checked_sub(HOUR).unwrap_or(at), at, "at that time"),
            Moments::Over(grid) => {
                let at = |it| Timestamp::from_second(it).unwrap_or_default();
                (at(grid.from), at(grid.to), "at the start, middle and end of that time")
            }
        };
        let empty = selectors.iter().zip(selected).find(|it| *it.1 == 0).map(|it| it.0);
        let Some(selector) = empty else {
            return "every selector has series: a comparison or a join leaves none".to_owned();
        };
        let Some(metric) = &selector.metric else {
            return format!("no series match `{}` {then}", selector.text);
        };
        match prometheus.series_of(metric, end, inquiry).await {
            Ok(0) => {}
            Ok(count) => return format!("`{metric}` has {count} series, but none with all of these labels"),
            Err(_) => return format!("no series match `{}` {then}", selector.text),
        }
        let names = prometheus.metrics(from, end, inquiry).await.unwrap_or_default();
        if names.contains(metric) {
            return format!("no series match `{}` {then}, though `{metric}` had some near it", selector.text);
        }
        let mut near: Vec<(f64, &String)> =
            names.iter().map(|it| (strsim::jaro_winkler(it, metric), it)).filter(|it| it.0 > 0.8).collect();
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
