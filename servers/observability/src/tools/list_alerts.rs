//! `list_alerts`: what fires, since when, and who is told?

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

use super::alerts::{self, Group, State};
use crate::{
    Backends,
    backends::{
        alertmanager::{Alert, Alertmanager},
        prometheus::{Inquiry, Values},
    },
    grid::utc,
    labels::Labels,
    matcher::LabelMatchers,
};

/// Firing alerts by name and severity, critical first; silenced and inhibited ones marked.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAlerts {
    /// Which; else all.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// All must hold: `severity="critical"`, `team=~"a|b"`.
    #[serde(default)]
    filter: LabelMatchers<0, 8>,
    /// Which alerts.
    #[serde(default)]
    state: Wanted,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Which alerts are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Wanted {
    #[default]
    All,
    Active,
    Silenced,
    Inhibited,
}

/// Where and when was looked. No totals: they would count what policy hides, and the rows say it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct AlertsFacts {
    /// Those that answered.
    connections: Vec<String>,
    /// When it was asked; UTC.
    time: String,
    /// Said when nothing fires.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Tool for ListAlerts {
    const NAME: &'static str = "list_alerts";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "alertmanager, incident, on-call, page, pager, what is broken now";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["notes", "not_looked_at"];
    type Backends = Backends;
    type Facts = AlertsFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        let asked = backends.alertmanagers(self.connection.as_ref())?;
        let mut targets: Vec<Target> = Vec::new();
        for alertmanager in asked {
            targets.push(alertmanager.connection().whole("alerts"));
            targets.extend(backends.values_for(alertmanager).map(|it| it.connection().whole("alerts")));
        }
        targets.sort_by(|a, b| a.connection.cmp(&b.connection));
        targets.dedup();
        Ok(targets)
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({}), json!({ "filter": ["severity=\"critical\""], "state": "active" })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<AlertsFacts>, ToolError> {
        self.answer(backends, context.now(), Some(context.deadline())).await
    }
}

impl ListAlerts {
    async fn answer(
        &self,
        backends: &Backends,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Answer<AlertsFacts>, ToolError> {
        let asked = backends.alertmanagers(self.connection.as_ref())?;
        let looks = asked.iter().map(|it| self.look(backends, it, deadline));
        let mut groups: Vec<Group> = Vec::new();
        let (mut connections, mut not_looked_at, mut failed) = (Vec::new(), Vec::new(), None);
        let mut bounds = Vec::new();
        for (alertmanager, look) in asked.iter().zip(join_all(looks).await) {
            let name = &alertmanager.connection().name;
            match look {
                Ok((alerts, values, warnings)) => {
                    connections.push(name.clone());
                    let forced = alertmanager.forced();
                    let within = forced.selector("").filter(|_| !forced.is_empty());
                    bounds.extend(within.map(|it| format!("{name}: only alerts within {it}")));
                    not_looked_at
                        .extend(warnings.into_iter().map(|it| format!("values of {name}'s alerts: {it}")));
                    not_looked_at
                        .extend(values.as_ref().err().map(|it| format!("values of {name}'s alerts: {it}")));
                    let value = |it: &Labels| values.as_ref().ok()?.as_ref()?.find(it);
                    alerts::group(alerts, |it| backends.alert_target(alertmanager, it), value, &mut groups);
                }
                Err(error) => {
                    not_looked_at.push(format!("connection {name}: {error}"));
                    failed = Some(error);
                }
            }
        }
        let partly = failed.is_some();
        if let (true, Some(error)) = (connections.is_empty(), failed) {
            return Err(error);
        }
        alerts::sort(&mut groups);
        let of = partly.then(|| connections.join(", "));
        let nothing = groups.is_empty().then(|| self.nothing(of.as_deref()));
        let notes = nothing.into_iter().chain(bounds).collect();
        let seen = groups.len() as u64;
        let (columns, rows) = alerts::table(groups, asked.len() > 1);
        let facts = AlertsFacts { connections, time: utc(now), notes };
        let table = tool::Table { columns, rows, seen, noun: "groups of alerts", next: self.next() };
        Ok(Answer { not_looked_at, ..Answer::table(facts, table) })
    }

    /// The alerts of one Alertmanager, and their values from the Prometheus beside it, if there is one.
    async fn look(
        &self,
        backends: &Backends,
        alertmanager: &Alertmanager,
        deadline: Deadline,
    ) -> Result<(Vec<Alert>, Result<Option<Values>, ToolError>, Vec<String>), ToolError> {
        let inquiry = Inquiry::until(deadline);
        let values = async {
            match backends.values_for(alertmanager) {
                Some(peer) => peer.rule_alerts(&inquiry).await.map(|it| Some(Values::of(it))),
                None => Ok(None),
            }
        };
        let (alerts, values) = tokio::join!(alertmanager.alerts(self.filter.as_slice(), deadline), values);
        let mut alerts = alerts?;
        alerts.retain(|it| self.state.takes(State::of(it)));
        Ok((alerts, values, inquiry.warnings()))
    }

    /// That nothing fires, and where that is known; of a system that did not answer it is not.
    fn nothing(&self, of: Option<&str>) -> String {
        let narrowed = !self.filter.as_slice().is_empty() || self.state != Wanted::All;
        let of = of.map_or_else(String::new, |it| format!(" in {it}"));
        let narrowed = if narrowed { " that meets `filter` and `state`" } else { "" };
        format!("nothing fires{of}{narrowed}")
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

impl Wanted {
    fn takes(self, state: State) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Active => state == State::Active,
            Wanted::Silenced => state == State::Silenced,
            Wanted::Inhibited => state == State::Inhibited,
        }
    }
}

#[cfg(test)]
mod tests;
