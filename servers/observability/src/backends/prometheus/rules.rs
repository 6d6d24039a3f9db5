//! Which alerting rules are there, and how did each come out?

use jiff::Timestamp;
use serde::Deserialize;
use tool::ToolError;

use super::{Inquiry, Prometheus, RuleAlert};
use crate::labels::Labels;

/// An alerting rule, and what it came to when it was last evaluated.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) query: String,
    /// Seconds for which it must hold before it fires.
    #[serde(default)]
    pub(crate) duration: f64,
    /// Seconds for which it goes on firing once it no longer holds.
    #[serde(default)]
    pub(crate) keep_firing_for: f64,
    #[serde(default)]
    pub(crate) labels: Labels,
    #[serde(default)]
    pub(crate) annotations: Labels,
    #[serde(default)]
    pub(crate) alerts: Vec<RuleAlert>,
    #[serde(default)]
    pub(crate) state: RuleState,
    /// Why it could not be evaluated, in the system's own words.
    #[serde(default)]
    pub(crate) last_error: String,
    pub(crate) last_evaluation: Option<Timestamp>,
    /// The group it stands in.
    #[serde(skip)]
    pub(crate) group: String,
    /// Seconds between evaluations.
    #[serde(skip)]
    pub(crate) interval: f64,
}

/// How far a rule or an alert of it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub(crate) enum RuleState {
    #[default]
    Inactive,
    Pending,
    Firing,
}

/// An error may quote what lies outside of the forced matchers.
const ERROR_NOT_TOLD: &str =
    "the error is not told, because it may name series that this connection does not show";

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    interval: f64,
    rules: Vec<AnyRule>,
}

/// Some stores list recording rules whatever they are asked for.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum AnyRule {
    Alerting(Box<Rule>),
    #[serde(other)]
    Other,
}

impl RuleState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            RuleState::Inactive => "inactive",
            RuleState::Pending => "pending",
            RuleState::Firing => "firing",
        }
    }
}

impl Rule {
    /// What the rule says of itself is of all its series: what is within the forced matchers is told by the alerts that
    /// are, and an error quotes the labels of any.
    fn keep_within(&mut self) {
        self.state = self.alerts.iter().map(|it| it.state).max().unwrap_or_default();
        if !self.last_error.is_empty() {
            ERROR_NOT_TOLD.clone_into(&mut self.last_error);
        }
    }
}

impl From<String> for RuleState {
    fn from(word: String) -> RuleState {
        [RuleState::Firing, RuleState::Pending].into_iter().find(|it| it.word() == word).unwrap_or_default()
    }
}

impl Prometheus {
    /// Every alerting rule with the alerts it has now, within the forced matchers: `/api/v1/rules`. A rule whose own
    /// labels contradict them is left out.
    pub(crate) async fn rules(&self, inquiry: &Inquiry) -> Result<Vec<Rule>, ToolError> {
        let found: Groups = self.read(&["rules"], &[("type", "alert")], inquiry).await?;
        let mut rules = Vec::new();
        for group in found.groups {
            for rule in group.rules {
                let AnyRule::Alerting(mut rule) = rule else { continue };
                if !self.forced.allows(&rule.labels) {
                    continue;
                }
                rule.alerts.retain(|it| self.forced.admits(&it.labels));
                if !self.forced.is_empty() {
                    rule.keep_within();
                }
                rule.group.clone_from(&group.name);
                rule.interval = group.interval;
                rules.push(*rule);
            }
        }
        Ok(rules)
    }
}
