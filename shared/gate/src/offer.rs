//! Which tools are there, and for whom?

use policy::{Caller, Denial, Policy};
use tool::{Bound, Definition, Tool};

use crate::{
    AwaitApproval, Gate, Refusal, RunApproved,
    trail::{NAME_BYTES_MAX, bounded},
};

impl Gate {
    /// Whether a caller is shown a tool: it may show too much, never too little. What waits for people is shown where a rule
    /// asks for people.
    pub fn offers(&self, caller: &Caller, name: &str) -> bool {
        offer(&self.policy(), caller, name).is_ok()
    }

    /// Whether a caller must not learn that there is such a tool.
    pub fn hides(&self, caller: &Caller, name: &str) -> bool {
        self.hidden(caller, name).is_some()
    }

    /// What a caller is told of a tool that policy hides from them.
    pub(crate) fn hidden(&self, caller: &Caller, name: &str) -> Option<Refusal> {
        let policy = self.policy();
        if !policy.hides() {
            return None;
        }
        let denial = offer(&policy, caller, name).err()?;
        let Refusal::UnknownTool { name, known, .. } = self.unknown_tool(caller, name) else { return None };
        Some(Refusal::UnknownTool { name, known, elsewhere: None, hidden: Some(denial) })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&(String, Bound)> {
        self.offered().find(|(_, it)| it.definition.name == name)
    }

    pub(crate) fn unknown_tool(&self, caller: &Caller, name: &str) -> Refusal {
        let policy = self.policy();
        let told = |it: &str| !policy.hides() || offer(&policy, caller, it).is_ok();
        let known = self.offered().map(|(_, it)| it.definition.name).filter(|it| told(it)).collect();
        let elsewhere = self.tools.iter().find(|(_, it)| it.definition.name == name && told(name));
        let elsewhere = elsewhere.map(|(_, it)| it.definition.profile);
        Refusal::UnknownTool { name: bounded(name, NAME_BYTES_MAX), known, elsewhere, hidden: None }
    }

    /// What is known of every tool that is offered, in the order in which clients see them.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.offered().map(|(_, it)| &it.definition)
    }

    fn offered(&self) -> impl Iterator<Item = &(String, Bound)> {
        self.tools.iter().filter(|(_, it)| self.profile.offers(it.definition.profile))
    }
}

/// Whether a caller is shown a tool, or why not.
pub(crate) fn offer(policy: &Policy, caller: &Caller, name: &str) -> Result<(), Denial> {
    let unasked = || Denial { policy: None, reason: "no rule asks people".to_owned(), instead: None };
    match name {
        RunApproved::NAME | AwaitApproval::NAME if !policy.asks_people() => Err(unasked()),
        RunApproved::NAME => Ok(()),
        _ => policy.offer(caller, name),
    }
}
