//! `plot_metrics`: what does a PromQL expression look like over a window?

use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Plot, Profile, Target, Tool, ToolError, Window,
    args::{MaxTokens, Number, Slug, Text},
};

use super::{
    query_metrics::{Asked, MetricsFacts, QueryMetrics},
    series,
};
use crate::{
    Backends,
    backends::prometheus::{Moments, Outcome, Prometheus},
    grid::When,
    labels::{Labels, text},
};

/// A picture (PNG) for a person to look at: PromQL over a window, the 8 series that moved most. To reason, use
/// query_metrics.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlotMetrics {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// PromQL, e.g. `sum by (service) (rate(x[5m]))`.
    #[schemars(with = "String")]
    query: Text<1, 4096>,
    /// `6h`, `FROM/TO`, `around=TIME±30m`.
    #[serde(default = "hour")]
    #[schemars(with = "String")]
    window: Window,
    /// Of the points; else chosen by the window.
    step_seconds: Option<Number<1, 86_400>>,
}

/// Most lines that an eye tells apart.
const LINES_MAX: usize = 8;

fn hour() -> Window {
    Window::parse("1h").expect("an hour is a window")
}

impl Tool for PlotMetrics {
    const NAME: &'static str = "plot_metrics";
    const EFFECT: Effect = Effect::Read;
    const PROFILE: Profile = Profile::All;
    const SEARCH: &'static str = "graph, chart, draw, image, visualize, dashboard, grafana";
    const UNTRUSTED_FACTS: &'static [&'static str] = QueryMetrics::UNTRUSTED_FACTS;
    type Backends = Backends;
    type Facts = MetricsFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.prometheus(self.connection.as_ref())?.connection().whole("metrics")])
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "query": "sum by (service) (rate(http_requests_total{code=~\"5..\"}[5m]))", "window": "6h" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<MetricsFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl PlotMetrics {
    /// Asks as `query_metrics` does, within the same limits, and describes what is to be drawn.
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: jiff::Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<MetricsFacts>, ToolError> {
        let question = QueryMetrics {
            connection: self.connection.clone(),
            query: self.query.clone(),
            window: Some(When::Over(self.window.clone())),
            step_seconds: self.step_seconds,
            max_tokens: MaxTokens::default(),
        };
        let Asked { query, when, outcome, mut notes, forced, warnings } =
            question.ask(prometheus, now, deadline).await?;
        let (Moments::Over(grid), Outcome::Matrix(found)) = (when, outcome) else {
            let problem = "comes to no series over time; query_metrics shows what it comes to".to_owned();
            return Err(ToolError::Invalid { argument: "query", problem });
        };
        let (shown, lines) = series::drawn(found, LINES_MAX, grid);
        notes.extend(shown.notes);
        notes.extend(forced);
        let facts = MetricsFacts {
            time: grid.to_string(),
            unit: query.unit(),
            common_labels: (!shown.common.is_empty()).then(|| text(&shown.common, &Labels::new())),
            notes,
        };
        let plot = Plot {
            title: self.query.to_string(),
            unit: query.unit().unwrap_or_default(),
            from: grid.from,
            to: grid.to,
            step: grid.step,
            lines,
        };
        Ok(Answer { plot: Some(plot), not_looked_at: warnings, ..Answer::table(facts, shown.table) })
    }
}

#[cfg(test)]
mod tests;
