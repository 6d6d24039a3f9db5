//! `show_slo`: is the error budget being used up too fast, and how much of it is left?

mod burn;
mod counted;
mod ratios;
mod recorded;

use std::borrow::Cow;

use jiff::Timestamp;
use outbound::Deadline;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Target, Tool, ToolError,
    args::{Number, Slug, Text},
};

use self::{
    counted::Counters,
    ratios::{Asking, Found},
};
use crate::{
    Backends,
    backends::prometheus::{Inquiry, Prometheus},
    grid::utc,
    labels::{Labels, is_plain_name, short, text},
    promql::Query,
};

/// Error budgets: how fast each burns over 5m to 3d, whether to page, what is left. From recorded ratios (Sloth, Pyrra), or
/// from `good`, `total` and `objective`.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowSlo {
    /// Prometheus, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Part of a recorded SLO's labels.
    #[schemars(with = "Option<String>")]
    slo: Option<Text<1, 100>>,
    /// Counter of good events: `x{code!~"5.."}`.
    #[schemars(with = "Option<String>")]
    good: Option<Text<1, 1000>>,
    /// Counter of all.
    #[schemars(with = "Option<String>")]
    total: Option<Text<1, 1000>>,
    /// Percent, e.g. `99.9`.
    objective: Option<Percent>,
    /// Label: one SLO for each value.
    #[schemars(with = "Option<String>")]
    by: Option<Text<1, 100>>,
    /// Of the budget.
    #[serde(default = "month")]
    days: Number<1, 90>,
}

/// More than 0 and less than 100 percent, as text: `99.95`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Percent(String);

/// When was looked, and what the numbers mean.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct SloFacts {
    /// When it was evaluated; UTC.
    time: String,
    /// How to read the rows.
    meaning: String,
    /// What was not found or cannot be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

const SLOS_MAX: usize = 200;

impl Tool for ShowSlo {
    const NAME: &'static str = "show_slo";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "sli, sla, service level, availability, reliability, uptime, burn rate";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = SloFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.prometheus(self.connection.as_ref())?.connection().whole("metrics")])
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({}),
            json!({
                "good": "http_requests_total{code!~\"5..\"}", "total": "http_requests_total",
                "objective": "99.9", "by": "service",
            }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<SloFacts>, ToolError> {
        let prometheus = backends.prometheus(self.connection.as_ref())?;
        self.answer(prometheus, context.now(), Some(context.deadline())).await
    }
}

impl ShowSlo {
    async fn answer(
        &self,
        prometheus: &Prometheus,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<SloFacts>, ToolError> {
        let days = self.days.get();
        let inquiry = Inquiry::until(deadline);
        let asking = Asking { prometheus, now, days, inquiry: &inquiry };
        let objective = self.objective.as_ref().map(Percent::share);
        let invalid = |argument, problem: &str| ToolError::Invalid { argument, problem: problem.to_owned() };
        let mut found = match (&self.good, &self.total, objective) {
            (Some(_), None, _) => return Err(invalid("total", "missing: what are `good` events a part of?")),
            (None, Some(_), _) => return Err(invalid("good", "missing: which of `total` are good?")),
            (Some(_), Some(_), None) => return Err(invalid("objective", "missing: e.g. `99.9`")),
            (Some(_), Some(_), Some(_)) if self.slo.is_some() => {
                return Err(invalid("slo", "picks recorded ones: leave it out beside `good` and `total`"));
            }
            (Some(good), Some(total), Some(objective)) => {
                let (good, total) = (&plain_selector("good", good)?, &plain_selector("total", total)?);
                let counters = Counters { good, total, by: self.label()?, objective };
                asking.counted(&counters).await?
            }
            (None, None, _) if self.by.is_some() => {
                return Err(invalid("by", "goes with `good` and `total`"));
            }
            (None, None, objective) => asking.recorded(objective).await?,
        };
        if found.slos.is_empty() && found.not_looked_at.is_empty() {
            found.notes.push(self.why_none());
        }
        self.keep_wanted(&mut found);
        found.not_looked_at.extend(inquiry.warnings());
        if !prometheus.forced().is_empty() {
            let forced = prometheus.forced().selector("").unwrap_or_default();
            found.notes.push(format!("every selector was kept within {forced}"));
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 90")]
        let days = days as f64;
        let facts = SloFacts { time: utc(now), meaning: burn::meaning(days), notes: found.notes };
        let seen = found.slos.len() as u64;
        let (columns, mut rows) = burn::table(found.slos, days);
        rows.truncate(SLOS_MAX);
        let table = tool::Table { columns, rows, seen, noun: "objectives", next: None };
        Ok(Answer { not_looked_at: found.not_looked_at, ..Answer::table(facts, table) })
    }

    /// Of recorded ones those whose labels hold the text asked for.
    fn keep_wanted(&self, found: &mut Found) {
        let Some(wanted) = self.slo.as_ref().map(|it| it.to_ascii_lowercase()) else { return };
        let all: Vec<String> = found.slos.iter().map(|it| text(&it.labels, &Labels::new())).collect();
        found.slos.retain(|it| text(&it.labels, &Labels::new()).to_ascii_lowercase().contains(&wanted));
        if found.slos.is_empty() && !all.is_empty() {
            let near: Vec<String> = all.iter().take(5).map(|it| short(it, 100)).collect();
            found.notes.push(format!(
                "no recorded SLO has `{wanted}` in its labels; there are: {}",
                near.join("; ")
            ));
        }
    }

    fn why_none(&self) -> String {
        match self.good {
            Some(_) => "nothing happened: `total` has no events in any of these windows".to_owned(),
            None => {
                "no recorded error ratios (…error…ratio_rate5m, …burnrate5m) with an objective; give `good`, \
                     `total` and `objective`"
                    .to_owned()
            }
        }
    }

    fn label(&self) -> Result<Option<&str>, ToolError> {
        let Some(label) = &self.by else { return Ok(None) };
        match is_plain_name(label) {
            true => Ok(Some(label)),
            false => Err(ToolError::Invalid {
                argument: "by",
                problem: format!("expected the name of one label, got `{}`", short(label, 40)),
            }),
        }
    }
}

/// A selector and nothing around it: `rate` and sums are put around it here.
fn plain_selector(argument: &'static str, text: &str) -> Result<Query, ToolError> {
    let invalid = |problem| ToolError::Invalid { argument, problem };
    let query = Query::parse(text).map_err(invalid)?;
    match query.is_plain_selector() {
        true => Ok(query),
        false => Err(invalid("expected a counter's selector, such as `x_total{code!~\"5..\"}`".to_owned())),
    }
}

fn month() -> Number<1, 90> {
    Number::new(30).expect("within its bounds")
}

impl Percent {
    /// From 0 to 1.
    fn share(&self) -> f64 {
        self.0.parse::<f64>().unwrap_or(f64::NAN) / 100.0
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let text = text.trim().trim_end_matches('%').trim_end();
        let plain = text.len() <= 12 && text.chars().all(|it| it.is_ascii_digit() || it == '.');
        match text.parse::<f64>() {
            Ok(number) if plain && number > 0.0 && number < 100.0 => Ok(Percent(text.to_owned())),
            _ => Err(D::Error::custom("expected a percentage of more than 0 and less than 100, e.g. `99.9`")),
        }
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests;
