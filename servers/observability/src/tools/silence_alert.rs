//! `silence_alert`: keep an alert from telling people for a while.

use jiff::{SignedDuration, Timestamp};
use outbound::Deadline;
use policy::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Context, Effect, Leave, Target, Tool, ToolError, Undo,
    args::{Change, Number, Slug, Text},
};

use super::alerts;
use crate::{
    Backends,
    backends::alertmanager::{Alert, Alertmanager, NewSilence, SilenceMatcher},
    grid::utc,
    matcher::LabelMatchers,
};

/// Silence an alert for at most a day: it goes on firing, nobody is told. Try `dry_run` first.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceAlert {
    /// Which, if several.
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// `alertname="NAME"`, always; more narrow it, e.g. `service=~"a|b"`.
    matchers: LabelMatchers<1, 8>,
    /// How long.
    duration_minutes: Number<1, 1440>,
    /// Why.
    reason: Text<10, 500>,
    /// Ticket it is under, e.g. `OPS-12`.
    #[schemars(with = "Option<String>")]
    change: Option<Change>,
    /// Only list what it hides.
    #[serde(default)]
    dry_run: bool,
}

/// The silence, or what it would be.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(super) struct SilenceFacts {
    /// What was done or would be, and how to undo it.
    outcome: String,
    /// Its id, once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    silence: Option<String>,
    /// UTC.
    ends_at: String,
    /// Alerts that fire now and match.
    hides: usize,
}

/// What a call would do, as far as reading tells.
struct Plan {
    matchers: Vec<SilenceMatcher>,
    forced: Vec<String>,
    ends: Timestamp,
    hidden: Vec<Alert>,
    existing: Option<(String, Timestamp)>,
}

const SILENCED: &str = "silenced; to undo, `expire_silence`; it ends by itself";

impl Tool for SilenceAlert {
    const NAME: &'static str = "silence_alert";
    const EFFECT: Effect = Effect::Mitigate;
    const SEARCH: &'static str =
        "mute, snooze, suppress, quiet, notifications, pager, alertmanager, maintenance";
    /// Not exact: expiring the silence has people told again, but not of what began and ended meanwhile.
    const UNDO: Option<Undo> = Some(Undo::Compensating);
    type Backends = Backends;
    type Facts = SilenceFacts;

    /// The alert that the matchers name, of every team that they let through.
    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        self.alert()?;
        let targets = backends.silence_targets(alertmanager, self.matchers.as_slice());
        match targets.len() > Target::MAX {
            true => Err(ToolError::Invalid {
                argument: "matchers",
                problem: format!(
                    "they reach the alerts of more than {} teams: say whose, e.g. `team=\"NAME\"`",
                    Target::MAX
                ),
            }),
            false => Ok(targets),
        }
    }

    /// Adds what fires and matches, as Alertmanager itself reads the matchers.
    async fn resolve(&self, backends: &Backends) -> Result<Option<Vec<Target>>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        let mut targets = self.targets(backends)?;
        if !alertmanager.trusts_labels() {
            return Ok(None);
        }
        for alert in alertmanager.alerts(self.matchers.as_slice(), None).await? {
            let target = backends.alert_target(alertmanager, &alert.labels);
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.len() > Target::MAX {
            targets = vec![alertmanager.connection().whole("alerts")];
        }
        Ok(Some(targets))
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    fn examples() -> Vec<Value> {
        vec![json!({
            "matchers": ["alertname=\"HighErrorRate\"", "service=\"checkout-api\""],
            "duration_minutes": 30,
            "reason": "rolling back checkout-api, errors are known",
            "dry_run": true,
        })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<SilenceFacts>, ToolError> {
        let alertmanager = backends.alertmanager(self.connection.as_ref())?;
        let deadline = Some(context.deadline());
        let plan = self.plan(alertmanager, context.now(), deadline).await?;
        match (self.dry_run, context.leave()) {
            (true, _) => Ok(self.rehearse(backends, alertmanager, plan)),
            (false, Some(leave)) => self.carry_out(leave, context, backends, alertmanager, plan).await,
            (false, None) => Err(ToolError::Closed {
                problem: "a silence needs a recorded intent, and this call has none; use `dry_run`"
                    .to_owned(),
            }),
        }
    }
}

impl SilenceAlert {
    /// The alert's name, without which a silence could hide everything.
    fn alert(&self) -> Result<&str, ToolError> {
        self.matchers.as_slice().iter().find_map(|it| it.pins("alertname")).ok_or_else(|| {
            ToolError::Invalid {
                argument: "matchers",
                problem: "one must be an equality on the alert's name, e.g. `alertname=\"HighErrorRate\"`"
                    .to_owned(),
            }
        })
    }

    /// Reads what would be hidden, and whether it already is.
    async fn plan(
        &self,
        alertmanager: &Alertmanager,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Plan, ToolError> {
        self.alert()?;
        let confined = alertmanager.confine(self.matchers.as_slice());
        let matchers: Vec<SilenceMatcher> = confined.iter().map(SilenceMatcher::from).collect();
        let minutes = i64::try_from(self.duration_minutes.get()).unwrap_or(1);
        let out_of_range = |_| ToolError::Invalid {
            argument: "duration_minutes",
            problem: "ends after the end of time".to_owned(),
        };
        let ends = now.checked_add(SignedDuration::from_mins(minutes)).map_err(out_of_range)?;
        // A minute of grace: the same call sent again a moment later finds its own silence.
        let enough = ends.checked_sub(SignedDuration::from_mins(1)).unwrap_or(ends);
        let (hidden, existing) = tokio::join!(
            alertmanager.alerts(self.matchers.as_slice(), deadline),
            alertmanager.silence_until(&matchers, enough, deadline),
        );
        let forced = confined[self.matchers.as_slice().len()..].iter().map(ToString::to_string).collect();
        let existing = existing?.map(|it| (it.id, it.ends_at));
        Ok(Plan { matchers, forced, ends, hidden: hidden?, existing })
    }

    fn rehearse(&self, backends: &Backends, alertmanager: &Alertmanager, plan: Plan) -> Answer<SilenceFacts> {
        let outcome = match &plan.existing {
            Some((id, _)) => format!("dry run: nothing to do, silence {id} hides the same for as long"),
            None => "dry run: would hide the alerts below, and those that begin to fire and match".to_owned(),
        };
        Self::told(backends, alertmanager, plan, outcome, None)
    }

    async fn carry_out(
        &self,
        leave: Leave<'_>,
        context: &Context,
        backends: &Backends,
        alertmanager: &Alertmanager,
        mut plan: Plan,
    ) -> Result<Answer<SilenceFacts>, ToolError> {
        if let Some((id, ends)) = plan.existing.take() {
            plan.ends = ends;
            let outcome = "nothing done: this silence hides the same for as long".to_owned();
            return Ok(Self::told(backends, alertmanager, plan, outcome, Some(id)));
        }
        let receipt = format!("{}:{}", leave.intent().log(), leave.intent().index());
        let silence = self.silence(&plan, context.caller(), &receipt, context.now());
        let id = alertmanager.create_silence(leave, &silence, Some(context.deadline())).await?;
        Ok(Self::told(backends, alertmanager, plan, SILENCED.to_owned(), Some(id)))
    }

    /// What is sent: who asked for it and where that is recorded stand in it for people who look there.
    fn silence(&self, plan: &Plan, caller: &Caller, receipt: &str, now: Timestamp) -> NewSilence {
        let created_by = match &caller.on_behalf_of {
            Some(person) => format!("{} for {person}", caller.agent),
            None => caller.agent.clone(),
        };
        let comment = format!("{} (bailiwick {receipt})", &*self.reason);
        NewSilence::new(plan.matchers.clone(), now, plan.ends, created_by, comment)
    }

    fn told(
        backends: &Backends,
        alertmanager: &Alertmanager,
        plan: Plan,
        outcome: String,
        silence: Option<String>,
    ) -> Answer<SilenceFacts> {
        let mut groups = Vec::new();
        let hides = plan.hidden.len();
        alerts::group(plan.hidden, |it| backends.alert_target(alertmanager, it), |_| None, &mut groups);
        alerts::sort(&mut groups);
        let outcome = match plan.forced.is_empty() {
            true => outcome,
            false => {
                format!("{outcome}; only within {}, which this connection forces", plan.forced.join(", "))
            }
        };
        let facts = SilenceFacts { outcome, silence, ends_at: utc(plan.ends), hides };
        let seen = groups.len() as u64;
        let (columns, rows) = alerts::table(groups, false);
        Answer::table(facts, tool::Table { columns, rows, seen, noun: "groups of alerts", next: None })
    }
}

#[cfg(test)]
mod tests;
