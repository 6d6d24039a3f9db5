//! Which world is it going to be?

use jiff::{SignedDuration, Timestamp};

use crate::{Fault, random::Draw};

/// Hours of history where nobody says otherwise.
const HOURS: u32 = 6;
/// Seconds between two scrapes where nobody says otherwise.
const STEP_S: u32 = 30;

/// Everything that a world follows from: two worlds of equal plans are equal, sample by sample.
///
/// Faults, services and numbers follow from the seed alone; `until` only moves them in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(crate) seed: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) hours: u32,
    pub(crate) step_s: u32,
    pub(crate) until: Timestamp,
}

impl Plan {
    /// The seed chooses the fault.
    pub fn drawn(seed: u64) -> Plan {
        let fault = *Draw::of(seed, "fault").one_of(&Fault::ALL);
        Plan::with(seed, fault)
    }

    /// Nothing goes wrong.
    pub fn healthy(seed: u64) -> Plan {
        let until = whole_second(Timestamp::now());
        Plan { seed, fault: None, hours: HOURS, step_s: STEP_S, until }
    }

    /// This goes wrong; the seed chooses where and when.
    pub fn with(seed: u64, fault: Fault) -> Plan {
        Plan { fault: Some(fault), ..Plan::healthy(seed) }
    }

    /// History ends here (otherwise: now), in whole seconds.
    pub fn until(self, until: Timestamp) -> Plan {
        Plan { until: whole_second(until), ..self }
    }

    /// History is this long, at least 4 and at most 72 hours (otherwise: 6). The fault stays where it is, near the end.
    pub fn hours(self, hours: u32) -> Plan {
        Plan { hours: hours.clamp(4, 72), ..self }
    }

    /// A scrape every so many seconds, from 15 to 60 (otherwise: 30).
    pub fn step(self, seconds: u32) -> Plan {
        Plan { step_s: seconds.clamp(15, 60), ..self }
    }

    /// The number that everything else follows from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What goes wrong.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// First moment of history.
    pub fn from(&self) -> Timestamp {
        self.until - SignedDuration::from_hours(self.hours.into())
    }

    /// Last moment of history; [`crate::World::tick`] goes on from there.
    pub fn to(&self) -> Timestamp {
        self.until
    }

    /// Seconds between two scrapes.
    pub fn step_s(&self) -> u32 {
        self.step_s
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("it was a timestamp before")
}
