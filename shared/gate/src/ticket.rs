//! Which state is the change ticket in that a call names? Asked only where a rule about the tool looks at it, and of whoever was
//! given to the gate: what cannot be found out is no ticket.

use std::{fmt, future::Future, pin::Pin};

use policy::{Change, Denial};
use serde_json::{Map, Value, json};

use crate::{Gate, trail::Trail};

/// The argument by which tools are told.
const ARGUMENT: &str = "change";

/// What looks a ticket up by its id.
type Look = dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Change, String>> + Send>> + Send + Sync;

/// Where change tickets are looked up.
pub struct Tickets(Box<Look>);

impl Tickets {
    /// Looks tickets up so. The error says in our own words why nobody knows its state; a caller reads it.
    pub fn new<F>(look: impl Fn(String) -> F + Send + Sync + 'static) -> Tickets
    where
        F: Future<Output = Result<Change, String>> + Send + 'static,
    {
        Tickets(Box::new(move |id| Box::pin(look(id))))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tickets")
    }
}

impl Gate {
    /// The same gate, which looks change tickets up here.
    pub fn with_tickets(mut self, tickets: Tickets) -> Gate {
        self.tickets = Some(tickets);
        self
    }

    /// Looks up the ticket that a call names. Read-only.
    pub(crate) async fn look_up(&self, trail: &mut Trail) {
        let Some(id) = trail.input.get(ARGUMENT).and_then(Value::as_str) else { return };
        if !trail.policy.looks_at_change(trail.tool_name()) {
            return;
        }
        let looked = match &self.tickets {
            Some(Tickets(look)) => look(id.to_owned()).await,
            None => Err("no [change] in the configuration says where tickets are".to_owned()),
        };
        match looked {
            Ok(change) => trail.change = Some(change),
            Err(why) => trail.unchecked = Some(format!("{ARGUMENT} {id} counts as none: {why}")),
        }
    }
}

impl Trail {
    /// The ticket, as it was when the call was decided.
    pub(crate) fn tell_ticket(&self, payload: &mut Map<String, Value>) {
        if let Some(change) = &self.change {
            payload.insert(ARGUMENT.to_owned(), json!(change));
        }
    }

    /// A denial that may come of a ticket nobody could look up says so.
    pub(crate) fn with_ticket(&self, denial: Denial) -> Denial {
        match &self.unchecked {
            Some(why) => Denial { reason: format!("{} ({why})", denial.reason), ..denial },
            None => denial,
        }
    }
}
