//! Who answers for an agent?

use std::collections::BTreeMap;

use crate::{ConfigError, document::Excerpt, interpret::Reading, table::AgentTable, words};

impl Reading<'_, '_> {
    /// Owners by the names of their agents: a name that no token can hold would be nobody's.
    pub(crate) fn owners(
        &self,
        tables: BTreeMap<String, AgentTable>,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        const RIGHT: &str = "expected 1 to 128 ASCII letters, digits and . _ - @ + : /";
        for (agent, AgentTable { owner }) in &tables {
            if !words::is_caller(agent) {
                return Err(self.document.wrong_key(&["agents", agent], RIGHT));
            }
            if !words::is_caller(owner) {
                return Err(self.document.wrong(&["agents", agent, "owner"], RIGHT, Excerpt::ShowsValue));
            }
        }
        Ok(tables.into_iter().map(|(agent, it)| (agent, it.owner)).collect())
    }
}
