//! `expire_silence`: have people told again.

use jiff::Timestamp;
use outbound::Deadline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Suggestion, Target, Tool, ToolError, Undo,
    args::{Change, Slug, Text},
};

use super::alerts;
use crate::{
    Backends,
    backends::alertmanager::{Alert, Alertmanager, Silence},
    grid::utc,
    labels::short,
    matcher::LabelMatcher,
};

/// End a silence before its time: people are told again of what it hides. Try `dry_run` first.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpireSilence {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Its id.
    #[schemars(with = "String")]
    silence: Text<1, 100>,
    /// Why.
    reason: Text<10, 500>,
    /// Ticket it is under, e.g. `OPS-12`.
    #[schemars(with = "Option<String>")]
    change: Option<Change>,
    /// Only list what it hides.
    #[serde(default)]
    dry_run: bool,
}

/// What the silence was, and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct ExpiredFacts {
    /// What was done or would be.
    outcome: String,
    /// The call that silences the same for the time that was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<Value>,
    /// Of the silence.
    matchers: String,
    /// Who made it and why.
    origin: String,
    /// When it ended or would have; UTC.
    ends_at: String,
    /// Alerts that people are told of again.
    unhides: usize,
    /// Alerts that something else goes on hiding.
    #[serde(skip_serializing_if = "is_zero")]
    still_hidden: usize,
}

/// A silence, and the alerts that it hides.
struct Plan {
    silence: Silence,
    unhidden: Vec<Alert>,
    still_hidden: usize,
}

const SUGGESTIONS_MAX: usize = 8;
const TEXT_MAX: usize = 200;

impl Tool for ExpireSilence {
    const NAME: &'static str = "expire_silence";
    const EFFECT: Effect = Effect::Mitigate;
    const SEARCH: &'static str =
        "unmute, unsilence, remove, delete, lift, resume notifications, alertmanager";
    /// Not exact: silencing the same again makes another silence, and whoever was told meanwhile was told.
    const UNDO: Option<Undo> = Some(Undo::Compensating);
    const UNTRUSTED_FACTS: &'static [&'static str] = &["undo", "matchers", "origin"];
    type Backends = Backends;
    type Facts = ExpiredFacts;

    /// Arguments name no alert: only the Alertmanager knows what the silence hides.
    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        Ok(vec![backends.alertmanager(self.connection.as_ref())?.connection().whole("alerts")])
    }

    /// What the silence hides or may come to hide. A silence keeps its matchers for life, so what is decided on here is
    /// what is ended later.
    async fn resolve(&self, backends: &Backends) -> Result<Option<Vec<Target>>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        let silence = self.find(backends, alertmanager, None).await?;
        let mut targets = backends.silence_targets(alertmanager, &matchers(&silence));
        if alertmanager.trusts_labels() {
            for alert in alertmanager.alerts(&matchers(&silence), None).await? {
                let target = backends.alert_target(alertmanager, &alert.labels);
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        Ok(Some(targets))
    }

    /// People agree to the end of the silence as it stands: whoever prolongs it meanwhile still needs it.
    async fn before(&self, backends: &Backends) -> Result<Option<String>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        let silence = self.find(backends, alertmanager, None).await?;
        let updated = silence.updated_at.map(utc).unwrap_or_default();
        Ok(Some(format!("{} until {} ({updated})", silence.status.state, utc(silence.ends_at))))
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    fn examples() -> Vec<Value> {
        vec![json!({
            "silence": "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
            "reason": "checkout-api is rolled back and healthy again",
            "dry_run": true,
        })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<ExpiredFacts>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        let deadline = Some(context.deadline());
        let plan = self.plan(backends, alertmanager, deadline).await?;
        let outcome = match (plan.is_over(), self.dry_run, context.leave()) {
            (true, ..) => format!("nothing to do: it ended at {}", utc(plan.silence.ends_at)),
            (false, true, _) => "dry run: would tell people again of the alerts below".to_owned(),
            (false, false, Some(leave)) => {
                alertmanager.expire_silence(leave, &plan.silence.id, deadline).await?;
                "expired: people are told again of the alerts below".to_owned()
            }
            (false, false, None) => {
                return Err(ToolError::Closed {
                    problem:
                        "ending a silence needs a recorded intent, and this call has none; use `dry_run`"
                            .to_owned(),
                });
            }
        };
        Ok(plan.told(backends, alertmanager, outcome, context.now()))
    }
}

impl ExpireSilence {
    /// The silence, or those there are instead.
    async fn find(
        &self,
        backends: &Backends,
        alertmanager: &Alertmanager,
        deadline: Deadline,
    ) -> Result<Silence, ToolError> {
        let mut all = alertmanager.silences(deadline).await?;
        if let Some(at) = all.iter().position(|it| it.id == *self.silence) {
            return Ok(all.swap_remove(at));
        }
        all.retain(|it| it.status.state != "expired");
        all.sort_by(|a, b| a.ends_at.cmp(&b.ends_at).then_with(|| a.id.cmp(&b.id)));
        let suggestion = |it: &Silence| {
            let mut targets = backends.silence_targets(alertmanager, &matchers(it));
            // Policy is asked about one target: a silence of several is offered to nobody.
            let target = if targets.len() == 1 { targets.pop() } else { None }?;
            let text =
                format!("{} ({}, until {})", it.id, short(&written(it), TEXT_MAX / 2), utc(it.ends_at));
            Some(Suggestion { text, target: Some(target) })
        };
        let suggestions = all.iter().filter_map(suggestion).take(SUGGESTIONS_MAX).collect();
        Err(ToolError::NotFound { kind: "silence", name: self.silence.to_string(), suggestions })
    }

    async fn plan(
        &self,
        backends: &Backends,
        alertmanager: &Alertmanager,
        deadline: Deadline,
    ) -> Result<Plan, ToolError> {
        let silence = self.find(backends, alertmanager, deadline).await?;
        let mut hidden = alertmanager.alerts(&matchers(&silence), deadline).await?;
        hidden.retain(|it| it.status.silenced_by.contains(&silence.id));
        let all = hidden.len();
        hidden.retain(|it| it.status.silenced_by.len() == 1 && it.status.inhibited_by.is_empty());
        Ok(Plan { silence, still_hidden: all - hidden.len(), unhidden: hidden })
    }
}

impl Plan {
    fn is_over(&self) -> bool {
        self.silence.status.state == "expired"
    }

    fn told(
        self,
        backends: &Backends,
        alertmanager: &Alertmanager,
        outcome: String,
        now: Timestamp,
    ) -> Answer<ExpiredFacts> {
        let Plan { silence, unhidden, still_hidden } = &self;
        let undo = if self.is_over() { None } else { undo(alertmanager, silence, now) };
        let facts = ExpiredFacts {
            outcome,
            undo,
            matchers: written(silence),
            origin: short(&format!("{}: {}", silence.created_by, silence.comment), TEXT_MAX),
            ends_at: utc(silence.ends_at),
            unhides: unhidden.len(),
            still_hidden: *still_hidden,
        };
        let mut groups = Vec::new();
        alerts::group(self.unhidden, |it| backends.alert_target(alertmanager, it), |_| None, &mut groups);
        alerts::sort(&mut groups);
        let seen = groups.len() as u64;
        let (columns, rows) = alerts::table(groups, false);
        Answer::table(facts, tool::Table { columns, rows, seen, noun: "groups of alerts", next: None })
    }
}

/// The call that makes the same silence again, where `silence_alert` could make it.
fn undo(alertmanager: &Alertmanager, silence: &Silence, now: Timestamp) -> Option<Value> {
    let matchers = matchers(silence);
    let minutes = (silence.ends_at.as_second() - now.as_second()) / 60;
    matchers.iter().find_map(|it| it.pins("alertname"))?;
    ((1..=1_440).contains(&minutes) && matchers.len() <= 8).then(|| {
        json!({ "tool": "silence_alert", "arguments": {
            "connection": alertmanager.connection().name,
            "matchers": matchers,
            "duration_minutes": minutes,
            "reason": "undoes the end of an earlier silence",
        }})
    })
}

fn matchers(silence: &Silence) -> Vec<LabelMatcher> {
    silence.matchers.iter().map(crate::backends::alertmanager::SilenceMatcher::as_argument).collect()
}

fn written(silence: &Silence) -> String {
    let all: Vec<String> = matchers(silence).iter().map(ToString::to_string).collect();
    short(&all.join(","), TEXT_MAX)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests;
