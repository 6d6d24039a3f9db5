//! What may the agent do, what does somebody else decide, and what is forbidden?

use serde_json::json;

use super::{
    agent::{Agent, Alerts},
    table::{cell, rows},
    tell::{Step, Tone},
};
use crate::family::Server;

/// Minutes that somebody needs to look.
const WHILE_LOOKING: u64 = 60;
/// Minutes until tomorrow, roughly.
const TILL_TOMORROW: u64 = 720;

impl Agent<'_> {
    /// Step: the authority over everything in reach.
    pub(super) async fn what_may_i_do(&mut self) -> anyhow::Result<()> {
        let mut step = Step::new("authority", "What may I do here?");
        let mut found = Vec::new();
        for server in Server::ALL {
            let answer = self.read(&mut step, server, "show_authority", json!({})).await?;
            for row in rows(&answer) {
                let [standing, named, rule, forward] =
                    ["standing", "tools", "rule", "way_forward"].map(|it| cell(&row, it));
                // What only reads needs no word of its own.
                let entry = (standing, named.replace(" (read)", ""), rule, forward);
                if !found.contains(&entry) {
                    found.push(entry);
                }
            }
        }
        // `allowed`, `asks`, `denied`: from the most that it may to the least.
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (standing, named, rule, forward) in &found {
            let tone = if standing == "allowed" { Tone::Good } else { Tone::Key };
            step.line(tone, format!("{standing:<8}  {named}"));
            if !forward.is_empty() {
                step.line(Tone::Quiet, format!("          {forward} ({rule})"));
            }
        }
        let standings: Vec<&str> = found.iter().map(|it| it.0.as_str()).collect();
        let both = standings.contains(&"allowed") && standings.iter().any(|it| *it != "allowed");
        step.expect(both, "something allowed and something that is not", standings.join(", "))?;
        step.found(json!({ "standings": standings }));
        self.teller.tell(step).await
    }

    /// Step: a silence that a person has to confirm. The agent is alone, so nothing is silenced.
    pub(super) async fn silence_for_now(&mut self, alerts: &Alerts) -> anyhow::Result<()> {
        let mut step = Step::new("confirmation", "Silence the alert while somebody looks?");
        let said =
            self.silence(&mut step, alerts, WHILE_LOOKING, "the team looks into it, see the finding").await?;
        let fields = ["error", "how", "reason"].map(|it| said[it].as_str().unwrap_or_default().to_owned());
        let [error, how, reason] = fields;
        step.expect(error == "approval_required", "`approval_required`", &said)?;
        step.line(Tone::Refused, format!("{error}: {reason}"));
        step.line(Tone::Fact, format!("way forward: {how}"));
        let answer = self
            .read(&mut step, Server::Observability, "list_alerts", json!({ "state": "silenced" }))
            .await?;
        step.expect(answer["seen"] == 0, "nothing silenced", &answer["seen"])?;
        step.line(Tone::Good, "nobody confirmed, and nothing is silenced");
        step.found(json!({ "error": error, "how": how, "policies": said["policies"] }));
        self.teller.tell(step).await
    }

    /// Step: a silence that a rule forbids, whoever would confirm it.
    pub(super) async fn silence_till_tomorrow(&mut self, alerts: &Alerts) -> anyhow::Result<()> {
        let mut step = Step::new("denial", "Silence it until tomorrow, then?");
        let said =
            self.silence(&mut step, alerts, TILL_TOMORROW, "it is late, and it goes on firing").await?;
        let fields = ["error", "policy", "reason", "instead"]
            .map(|it| said[it].as_str().unwrap_or_default().to_owned());
        let [error, policy, reason, instead] = fields;
        step.expect(error == "denied" && !policy.is_empty(), "`denied`, by a rule", &said)?;
        step.expect(!instead.is_empty(), "a way forward", "none")?;
        step.line(Tone::Refused, format!("{error} by {policy}: {reason}"));
        step.line(Tone::Fact, format!("way forward: {instead}"));
        step.found(json!({ "error": error, "policy": policy, "instead": instead }));
        self.teller.tell(step).await
    }

    /// Asks for a silence that has to be refused, and gives the refusal.
    async fn silence(
        &mut self,
        step: &mut Step,
        alerts: &Alerts,
        minutes: u64,
        reason: &str,
    ) -> anyhow::Result<serde_json::Value> {
        let matcher = format!("alertname={:?}", alerts.name);
        let arguments = json!({ "matchers": [matcher], "duration_minutes": minutes, "reason": reason });
        let said = self.ask(step, Server::Observability, "silence_alert", arguments).await?;
        step.expect(said.refused, "a refusal", &said.text)?;
        Ok(said.structured)
    }
}
