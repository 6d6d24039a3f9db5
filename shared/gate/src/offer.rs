//! Which tools are there, and for whom?

use policy::Caller;
use tool::{Bound, Tool};

use crate::{
    AwaitApproval, Gate, Refusal, RunApproved,
    trail::{NAME_BYTES_MAX, bounded},
};

impl Gate {
    /// Whether a caller is shown a tool: it may show too much, never too little. What waits for people is shown where a rule
    /// asks for people.
    pub fn offers(&self, caller: &Caller, name: &str) -> bool {
        let policy = self.policy();
        match name {
            RunApproved::NAME => policy.asks_people(),
            AwaitApproval::NAME => policy.asks_people() && policy.offers(caller, name),
            _ => policy.offers(caller, name),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&(String, Bound)> {
        self.offered().find(|(_, it)| it.definition.name == name)
    }

    pub(crate) fn unknown_tool(&self, name: &str) -> Refusal {
        let known = self.offered().map(|(_, it)| it.definition.name).collect();
        let elsewhere = self.tools.iter().find(|(_, it)| it.definition.name == name);
        let elsewhere = elsewhere.map(|(_, it)| it.definition.profile);
        Refusal::UnknownTool { name: bounded(name, NAME_BYTES_MAX), known, elsewhere }
    }

    fn offered(&self) -> impl Iterator<Item = &(String, Bound)> {
        self.tools.iter().filter(|(_, it)| self.profile.offers(it.definition.profile))
    }
}
