//! What does a reader hear of an alert beside its conditions?

use schemars::JsonSchema;
use serde::Serialize;

/// What an alert is and how it stands, most important first.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(transform = crate::tools::plain)]
pub(in crate::tools) struct AlertFacts {
    /// How it stands and why.
    pub(in crate::tools) verdict: String,
    /// Those of the rule now, with labels and values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::tools) alerts: Vec<String>,
    /// How often and how long it fired within the window; whether it flaps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::tools) history: Vec<String>,
    /// Address of the instructions, by the annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tools) runbook: Option<String>,
    /// PromQL of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tools) expression: Option<String>,
    /// How the parts are joined, by their numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tools) logic: Option<String>,
    /// Group, interval, `for`, labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tools) rule: Option<String>,
    /// By the annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::tools) summary: Option<String>,
    /// What could not be asked, and other rules of the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::tools) notes: Vec<String>,
    /// As resolved, in UTC.
    pub(in crate::tools) window: String,
}
