//! Which actions is it about: an order to stop, or a glass that was broken?

use policy::Target;
use serde::{Deserialize, Serialize};

/// Some actions. Whatever is not named is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionScope {
    /// Only this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Only this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Only this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Only this team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Only this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}

impl ActionScope {
    /// Whether any of an action may fall under it: what is mapped to no environment or team may be in every one. For what
    /// forbids.
    pub fn covers(&self, agent: &str, tool: &str, targets: &[Target]) -> bool {
        let mapped = |wanted: &Option<String>, it: &str| is(wanted, it) || it == policy::UNKNOWN;
        let target = |it: &Target| {
            mapped(&self.environment, &it.environment)
                && mapped(&self.team, &it.team)
                && is(&self.connection, &it.connection)
        };
        is(&self.tool, tool) && is(&self.agent, agent) && targets.iter().any(target)
    }

    /// Whether all of an action certainly falls under it: what is mapped to no environment or team is in no named one. For
    /// what permits.
    pub fn holds_all(&self, agent: &str, tool: &str, targets: &[Target]) -> bool {
        let target = |it: &Target| {
            is(&self.environment, &it.environment)
                && is(&self.team, &it.team)
                && is(&self.connection, &it.connection)
        };
        is(&self.tool, tool) && is(&self.agent, agent) && !targets.is_empty() && targets.iter().all(target)
    }

    /// What a person reads.
    pub fn described(&self) -> String {
        let parts = [
            ("tool", &self.tool),
            ("agent", &self.agent),
            ("environment", &self.environment),
            ("team", &self.team),
            ("connection", &self.connection),
        ];
        let named: Vec<String> =
            parts.iter().filter_map(|(name, it)| Some(format!("{name}={}", it.as_deref()?))).collect();
        if named.is_empty() { "everything".to_owned() } else { named.join(", ") }
    }
}

fn is(wanted: &Option<String>, it: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == it)
}
