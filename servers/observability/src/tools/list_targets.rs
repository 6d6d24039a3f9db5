//! `list_targets`: is something wrong, or is only nobody looking?

mod jobs;

use futures::future::join_all;
use jiff::Timestamp;
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Next, Target, Tool, ToolError,
    args::{MaxTokens, Slug},
};

use crate::{
    Backends,
    backends::prometheus::{Inquiry, Prometheus, Scrapes, Vanished},
    grid::utc,
    matcher::LabelMatchers,
};

/// Is telemetry missing? Scrape targets by job, worst first: down with their error, vanished within the hour, stale, jobs
/// without any.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListTargets {
    /// Which; else all.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// All must hold: `job="node"`, `instance=~"10.*"`.
    #[serde(default)]
    filter: LabelMatchers<0, 8>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Where and when was looked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct TargetsFacts {
    /// Those that answered.
    connections: Vec<String>,
    /// When it was asked; UTC.
    time: String,
    /// How a store without scrapes was read; what was forced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Tool for ListTargets {
    const NAME: &'static str = "list_targets";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "prometheus, up, exporter, no data, gap, unreachable, monitoring health";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = TargetsFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        let asked = backends.prometheuses(self.connection.as_ref())?;
        Ok(asked.into_iter().map(|it| it.connection().whole("metrics")).collect())
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({}), json!({ "filter": ["job=\"node\""] })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<TargetsFacts>, ToolError> {
        self.answer(backends, context.now(), Some(context.deadline())).await
    }
}

impl ListTargets {
    async fn answer(
        &self,
        backends: &Backends,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<TargetsFacts>, ToolError> {
        let asked = backends.prometheuses(self.connection.as_ref())?;
        let inquiries: Vec<Inquiry> = asked.iter().map(|_| Inquiry::until(deadline)).collect();
        let looks = join_all(asked.iter().zip(&inquiries).map(|(it, inquiry)| look(it, now, inquiry))).await;
        let filter = self.filter.filter();
        let (mut groups, mut connections, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut not_looked_at, mut failed) = (Vec::new(), None);
        for ((prometheus, inquiry), look) in asked.iter().zip(&inquiries).zip(looks) {
            let name = &prometheus.connection().name;
            let (found, vanished) = match look {
                Ok(found) => found,
                Err(error) => {
                    not_looked_at.push(format!("connection {name}: {error}"));
                    failed = Some(error);
                    continue;
                }
            };
            connections.push(name.clone());
            notes.extend(
                found
                    .indirect
                    .as_ref()
                    .map(|why| format!("{name}: {why}; read from the series `up`, which know no errors")),
            );
            if !prometheus.forced().is_empty() {
                let forced = prometheus.forced().selector("").unwrap_or_default();
                notes.push(format!("{name}: every target was kept within {forced}"));
            }
            not_looked_at
                .extend(vanished.as_ref().err().map(|it| format!("targets of an hour ago of {name}: {it}")));
            not_looked_at
                .extend(found.empty.as_ref().err().map(|it| format!("jobs without targets of {name}: {it}")));
            not_looked_at.extend(inquiry.warnings().into_iter().map(|it| format!("{name}: {it}")));
            let target = prometheus.connection().whole("metrics");
            let vanished = vanished.unwrap_or_default();
            jobs::group(found, &vanished, |it| filter.meets(it), &target, now, &mut groups);
        }
        if connections.is_empty()
            && let Some(error) = failed
        {
            return Err(error);
        }
        if groups.is_empty() {
            let narrowed = if self.filter.as_slice().is_empty() { "" } else { " that meets `filter`" };
            // Of a system that did not answer nothing is known.
            let of = if failed.is_some() { format!(" of {}", connections.join(", ")) } else { String::new() };
            notes.push(format!("no target{of}{narrowed}: nothing is scraped"));
        }
        jobs::sort(&mut groups);
        let seen = groups.len() as u64;
        let (columns, rows) = jobs::table(groups, asked.len() > 1, now);
        let facts = TargetsFacts { connections, time: utc(now), notes };
        let table = tool::Table { columns, rows, seen, noun: "groups of targets", next: self.next() };
        Ok(Answer { not_looked_at, ..Answer::table(facts, table) })
    }

    /// The same with more room; after that, filters.
    fn next(&self) -> Option<Next> {
        if self.max_tokens.get() >= 8_000 {
            return None;
        }
        let mut arguments = serde_json::to_value(self).ok()?;
        let fields = arguments.as_object_mut()?;
        fields.retain(|_, value| !value.is_null());
        fields.insert("max_tokens".to_owned(), json!(8_000));
        Some(Box::new(move |_| Some(arguments.clone())))
    }
}

/// What one connection tells. Without its past it still tells what is there.
async fn look(
    prometheus: &Prometheus,
    now: Timestamp,
    inquiry: &Inquiry,
) -> Result<(Scrapes, Result<Vanished, ToolError>), ToolError> {
    let (found, vanished) = tokio::join!(prometheus.scrapes(now, inquiry), prometheus.vanished(now, inquiry));
    Ok((found?, vanished))
}

#[cfg(test)]
mod tests;
