//! How much has this caller done lately? Asked only where a rule looks, and before it is decided: of calls at once each knows
//! its place.

use approval::StoreError;
use policy::Effect;

use crate::{Gate, Hindrance, Refusal, trail::Trail};

/// A call's place among those of its caller.
pub(crate) struct Counted {
    caller: String,
    tool: &'static str,
    effect: &'static str,
    at: jiff::Timestamp,
}

impl Gate {
    /// Reserves a call's place. Without a store there is nothing to count by, and a limit forbids.
    pub(crate) async fn count(&self, trail: &mut Trail) -> Result<(), Refusal> {
        let tool = trail.tool_name();
        let Some(approvals) = self.approvals.as_ref().filter(|_| trail.policy.looks_at_usage(tool)) else {
            return Ok(());
        };
        let caller = &trail.request.caller;
        // Whom an agent acts for is part of who it is, and no name holds this.
        let caller = format!("{}\u{1f}{}", caller.agent, caller.on_behalf_of.as_deref().unwrap_or_default());
        let effect = if trail.acts() { trail.effect().word() } else { Effect::Read.word() };
        let counted = Counted { caller, tool, effect, at: trail.now };
        let count = async || -> Result<_, StoreError> {
            approvals.store().await?.count_call(&counted.caller, tool, effect, counted.at).await
        };
        // On the heap, as all that only some calls do: what is not there does not make every call larger.
        trail.usage = Some(Box::pin(count()).await.map_err(Hindrance::from)?);
        trail.counted = Some(counted);
        Ok(())
    }

    /// Gives the place of a call back that did not begin: what was refused does not count.
    pub(crate) async fn uncount(&self, counted: Option<Counted>) {
        let (Some(approvals), Some(Counted { caller, tool, effect, at })) = (&self.approvals, counted) else {
            return;
        };
        let uncount = async || -> Result<(), StoreError> {
            approvals.store().await?.uncount_call(&caller, tool, effect, at).await
        };
        if let Err(error) = Box::pin(uncount()).await {
            tracing::warn!(%error, "a refused call stays counted");
        }
    }
}
