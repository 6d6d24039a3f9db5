//! What does a comparison of log and trail say?

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Event, Scope, ours::Deed};

/// What comparing log and trail found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// From when: the given span, or that of the trail; none where the trail is empty.
    pub from: Option<Timestamp>,
    /// To when.
    pub to: Option<Timestamp>,
    /// Who we are in the system; empty: every event was taken for ours.
    pub identities: Vec<String>,
    /// Events in the trail, of anybody.
    pub read: u64,
    /// Of them, ours within the span that were compared.
    pub events: u64,
    /// Effects (and reads) of our log within the span that were compared.
    pub effects: u64,
    /// Matches without a name on both sides.
    pub by_time_only: u64,
    /// Effects whose payload cannot be opened here: they explain events by their time, and are expected in no trail.
    pub closed: u64,
    /// Values of the trail that are no event of this system: each may hide one.
    pub unreadable: u64,
    /// What the system did for our identities, and our log does not have: it went around the gate.
    pub around: Vec<Around>,
    /// What our log says was done, and the system did not see.
    pub unseen: Vec<Unseen>,
}

/// An event that no effect of ours explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Around {
    /// When.
    pub time: Timestamp,
    /// Who did it, by the system's first name for them.
    pub identity: String,
    /// What, in the system's word.
    pub verb: String,
    /// To what.
    pub resource: String,
    /// The system's id of the event.
    pub id: String,
}

/// An effect of ours that no event shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// `<server>/<n>:<index>`.
    pub record: String,
    /// When it began.
    pub time: Timestamp,
    /// What.
    pub tool: String,
    /// To what.
    pub targets: Vec<String>,
}

impl Reconciliation {
    pub(super) fn new(scope: &Scope) -> Reconciliation {
        Reconciliation {
            from: None,
            to: None,
            identities: scope.identities.clone(),
            read: 0,
            events: 0,
            effects: 0,
            by_time_only: 0,
            closed: 0,
            unreadable: 0,
            around: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// Exit code of a program: 0 both say the same, 3 they do not, or something could not be compared.
    pub fn exit_code(&self) -> u8 {
        let same =
            self.around.is_empty() && self.unseen.is_empty() && self.unreadable == 0 && self.from.is_some();
        if same { 0 } else { 3 }
    }
}

impl Around {
    pub(super) fn new(event: &Event) -> Around {
        Around {
            time: event.time,
            identity: event.identities.first().cloned().unwrap_or_default(),
            verb: event.verb.clone(),
            resource: event.resource.clone(),
            id: event.id.clone(),
        }
    }
}

impl Unseen {
    pub(super) fn new(deed: &Deed) -> Unseen {
        Unseen {
            record: format!("{}:{}", deed.log, deed.index),
            time: deed.began,
            tool: deed.tool.clone(),
            targets: deed.targets.clone(),
        }
    }
}

impl fmt::Display for Reconciliation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = if self.exit_code() == 0 { "log and trail agree" } else { "log and trail DIFFER" };
        let Reconciliation { effects, events, read, .. } = self;
        writeln!(out, "{same}: {effects} effects in the log, {events} events of ours among {read}")?;
        match (self.from, self.to) {
            (Some(from), Some(to)) => writeln!(out, "  from {from} to {to}")?,
            _ => writeln!(out, "  the trail holds no event, so nothing could be compared")?,
        }
        if self.identities.is_empty() {
            writeln!(out, "  no identity was given: every event of the trail was taken for ours")?;
        }
        for it in &self.around {
            let Around { time, identity, verb, resource, id } = it;
            writeln!(out, "  around the gate: {time} {identity} {verb} {resource} ({id})")?;
        }
        for it in &self.unseen {
            let Unseen { record, time, tool, targets } = it;
            writeln!(out, "  not seen by the system: {record} {time} {tool} {}", targets.join(", "))?;
        }
        if self.unreadable > 0 {
            writeln!(out, "  {} values of the trail are no event of this system", self.unreadable)?;
        }
        if self.by_time_only > 0 {
            writeln!(out, "  {} matches are by time only: one side names no object", self.by_time_only)?;
        }
        if self.closed > 0 {
            writeln!(out, "  {} effects have payloads that cannot be opened here", self.closed)?;
        }
        Ok(())
    }
}
