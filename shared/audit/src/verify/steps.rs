//! Do the steps of what is no call fit together? Each transition by the table in `FORMAT.md`; and those of one approval by each other:
//! what was approved once runs once.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    leaf::Fields,
    report::{Findings, LogReport},
};
use crate::TRANSITIONS;

/// Approvals of one log that are paired; beyond them it says that it did not look.
const APPROVALS_MAX: usize = 100_000;

/// What every transition says.
const ALWAYS: [&str; 12] = [
    "assurance",
    "call",
    "channel",
    "commitment",
    "event",
    "index",
    "policy",
    "step",
    "subject",
    "time",
    "v",
    "what",
];
/// What one may say besides.
const SOMETIMES: [&str; 2] = ["omitted_bytes", "reference"];
/// What nothing else says.
const ONLY: [&str; 3] = ["reference", "step", "what"];

/// A step of something that is no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) step: String,
    pub(crate) reference: Option<String>,
}

/// What the approvals of one log went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Approvals {
    by_id: BTreeMap<String, Approval>,
    /// Whether there were more than are paired.
    too_many: bool,
}

/// What one approval went through, by the records that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Approval {
    /// Reserved for an effect, and nothing says yet what became of it.
    reserved: Option<(u64, Timestamp)>,
    /// Whether the process that reserved it is gone.
    left: bool,
    /// When something said last what became of it.
    told: Option<Timestamp>,
    /// The first record after which it could not run any more, and its step.
    ended: Option<(u64, String)>,
    consumed: Option<u64>,
    unknown: bool,
}

impl Step {
    /// The step that a leaf records; none where it is no transition.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Step>, String> {
        if fields.text("event") != Some("transition") {
            return match fields.names().find(|it| ONLY.contains(it)) {
                Some(name) => Err(format!("it has `{name}`, which only a transition has")),
                None => Ok(None),
            };
        }
        if let Some(name) = ALWAYS.iter().find(|it| !fields.names().any(|name| name == **it)) {
            return Err(format!("a transition that lacks `{name}`"));
        }
        if let Some(name) = fields.names().find(|it| !ALWAYS.contains(it) && !SOMETIMES.contains(it)) {
            return Err(format!("a transition with `{name}`, which is of a call"));
        }
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        let it = Step {
            what: text("what"),
            step: text("step"),
            reference: fields.text("reference").map(str::to_owned),
        };
        let steps = TRANSITIONS.iter().find(|(what, _)| *what == it.what).map(|(_, steps)| steps);
        match steps {
            None => Err(format!("its `what` is {}, of which nothing is recorded", it.what)),
            Some(steps) if !steps.contains(&it.step.as_str()) => {
                Err(format!("its `step` is {}, which {} does not have", it.step, it.what))
            }
            Some(_) if it.what == "approval" && it.reference.is_none() => {
                Err("a transition of an approval that lacks `reference`".to_owned())
            }
            Some(_) => Ok(Some(it)),
        }
    }
}

impl Approvals {
    /// Takes the next step, and says what does not fit those before it.
    pub(super) fn step(&mut self, (index, time): (u64, Timestamp), it: &Step) -> Option<String> {
        let id = it.reference.as_ref().filter(|_| it.what == "approval")?;
        if self.by_id.len() >= APPROVALS_MAX && !self.by_id.contains_key(id) {
            let first = !std::mem::replace(&mut self.too_many, true);
            return first
                .then(|| format!("from record {index} on there are more approvals than can be paired"));
        }
        let approval = self.by_id.entry(id.clone()).or_default();
        let found = approval.contradicts(&it.step);
        approval.take((index, time), &it.step);
        found.map(|why| format!("record {index}: approval {id} is {}, {why}", it.step))
    }

    /// The process that wrote so far is gone: what it had reserved, it left.
    pub(super) fn process_ended(&mut self) {
        self.by_id.values_mut().filter(|it| it.reserved.is_some()).for_each(|it| it.left = true);
    }

    /// Those of which a record says that nobody knows whether their effect happened.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.by_id.iter().filter(|(_, it)| it.unknown).map(|(id, _)| id.clone()).collect()
    }
}

impl Approval {
    /// Why this step cannot follow those before it.
    fn contradicts(&self, step: &str) -> Option<String> {
        if !["reserved", "consumed"].contains(&step) {
            return None;
        }
        match (&self.ended, self.reserved) {
            (Some((at, ended)), _) => Some(format!("which was {ended} in record {at}")),
            (None, Some((at, _))) if step == "reserved" => {
                Some(format!("which was reserved in record {at} and not released since"))
            }
            (None, None) if step == "consumed" => Some("which no record before it reserves".to_owned()),
            _ => None,
        }
    }

    fn take(&mut self, (index, time): (u64, Timestamp), step: &str) {
        match step {
            "reserved" => (self.reserved, self.left) = (Some((index, time)), false),
            "consumed" | "released" | "unknown" => (self.reserved, self.told) = (None, Some(time)),
            _ => {}
        }
        match step {
            "consumed" => drop(self.consumed.get_or_insert(index)),
            "unknown" => self.unknown = true,
            _ => {}
        }
        if ["consumed", "unknown", "denied", "revoked", "expired", "void"].contains(&step) {
            self.ended.get_or_insert_with(|| (index, step.to_owned()));
        }
    }
}

/// Compares the approvals of logs that share them: says what was used in more than one, and tells each log of those that it left.
pub(super) fn compare(logs: &mut [LogReport]) -> Vec<String> {
    let mut consumed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut told: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for log in logs.iter() {
        for (id, it) in &log.approvals.by_id {
            let at = it.consumed.map(|at| format!("{}:{at}", log.log));
            at.into_iter().for_each(|at| consumed.entry(id).or_default().push(at));
            if let Some(time) = it.told {
                let last = told.entry(id).or_insert(time);
                *last = time.max(*last);
            }
        }
    }
    let left: Vec<Vec<String>> = logs.iter().map(|log| left(log, &told)).collect();
    let twice = consumed.into_iter().filter(|(_, at)| at.len() > 1);
    let mut findings = Findings::default();
    twice.for_each(|(id, at)| {
        findings.add(|| format!("approval {id} is consumed in more than one log: {}", at.join(", ")))
    });
    logs.iter_mut().zip(left).for_each(|(log, left)| log.findings.extend(left));
    findings.into_vec()
}

/// What a log reserved, and neither it nor another says since what became of it.
fn left(log: &LogReport, told: &BTreeMap<&str, Timestamp>) -> Vec<String> {
    let mut left = Findings::default();
    let by_id = log.approvals.by_id.iter().filter(|_| log.altered.is_none());
    for (id, it) in by_id.filter(|(_, it)| it.left || !log.running) {
        let since = |time: Timestamp| told.get(id.as_str()).is_some_and(|told| *told > time);
        if let Some((at, _)) = it.reserved.filter(|(_, time)| !since(*time)) {
            left.add(|| {
                format!("approval {id} was reserved in record {at} and its process ended: state unknown")
            });
        }
    }
    left.into_vec()
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*, sample::select};

    use super::*;

    const STEPS: &[&str] = &["asked", "approved", "reserved", "released", "consumed", "unknown", "expired"];

    fn step(step: &str) -> Step {
        Step { what: "approval".to_owned(), step: step.to_owned(), reference: Some("a1".to_owned()) }
    }

    fn taken(steps: &[&str]) -> (Approvals, Vec<String>) {
        let mut approvals = Approvals::default();
        let at = |index: usize| (index as u64, Timestamp::from_second(index as i64).unwrap());
        let found =
            steps.iter().enumerate().filter_map(|(index, it)| approvals.step(at(index), &step(it))).collect();
        (approvals, found)
    }

    fn log(name: &str, approvals: Approvals) -> LogReport {
        LogReport { log: name.to_owned(), approvals, ..LogReport::default() }
    }

    #[test]
    fn an_approval_that_is_used_as_it_should_be_is_no_finding() {
        for steps in [
            &["asked", "joined", "approved", "reserved", "consumed"][..],
            &["asked", "approved", "reserved", "released", "reserved", "consumed"],
            &["asked", "approved", "reserved", "unknown"],
            &["asked", "denied"],
            &["asked", "approved", "expired"],
        ] {
            let (approvals, found) = taken(steps);
            assert_eq!(found, Vec::<String>::new(), "{steps:?}");
            let mut logs = [log("code/0", approvals)];
            assert_eq!(compare(&mut logs), Vec::<String>::new());
            assert_eq!(logs[0].findings, Vec::<String>::new(), "{steps:?}");
        }
    }

    #[test]
    fn an_approval_runs_once_and_only_after_it_was_reserved() {
        let found = |steps| taken(steps).1.join("; ");
        let twice = found(&["reserved", "consumed", "consumed"]);
        assert_eq!(twice, "record 2: approval a1 is consumed, which was consumed in record 1");
        assert!(found(&["approved", "consumed"]).contains("no record before it reserves"));
        assert!(found(&["reserved", "reserved"]).contains("reserved in record 0 and not released since"));
        assert!(
            found(&["reserved", "unknown", "reserved"]).contains("unknown in record 1"),
            "it is never tried again"
        );
        assert!(found(&["denied", "reserved"]).contains("denied in record 0"));
        assert!(found(&["reserved", "released", "consumed"]).contains("no record before it reserves"));
    }

    #[test]
    fn what_another_log_says_of_an_approval_counts() {
        let (left, _) = taken(&["approved", "reserved"]);
        let mut alone = [log("code/0", left.clone())];
        compare(&mut alone);
        assert!(alone[0].findings[0].contains("a1 was reserved in record 1"), "{:?}", alone[0].findings);
        let (later, _) = taken(&["asked", "joined", "unknown"]);
        let mut both = [log("code/0", left.clone()), log("code/1", later)];
        compare(&mut both);
        assert_eq!(both[0].findings, Vec::<String>::new());
        let (before, _) = taken(&["released"]);
        let mut both = [log("code/0", left), log("code/1", before)];
        compare(&mut both);
        assert_eq!(both[0].findings.len(), 1, "it was reserved again since");
        let used = || taken(&["reserved", "consumed"]).0;
        let mut both = [log("code/0", used()), log("code/1", used())];
        assert_eq!(compare(&mut both), ["approval a1 is consumed in more than one log: code/0:1, code/1:1"]);
    }

    #[test]
    fn what_a_running_process_has_reserved_is_not_left_until_it_ends() {
        let (mut approvals, _) = taken(&["reserved"]);
        let running = |approvals: &Approvals| LogReport { running: true, ..log("code/0", approvals.clone()) };
        let mut logs = [running(&approvals)];
        compare(&mut logs);
        assert_eq!(logs[0].findings, Vec::<String>::new());
        approvals.process_ended();
        let mut logs = [running(&approvals)];
        compare(&mut logs);
        assert_eq!(logs[0].findings.len(), 1, "another process holds the log now");
    }

    proptest! {
        #[test]
        fn steps_fit_exactly_if_every_use_was_reserved_before_and_nothing_follows_an_end(
            steps in collection::vec(select(STEPS), 0..8),
        ) {
            // Said another way: a line of words that this pattern matches.
            let (mut held, mut over, mut fits) = (false, false, true);
            for it in &steps {
                fits &= match *it {
                    "reserved" => !held && !over,
                    "consumed" => held && !over,
                    _ => true,
                };
                held = *it == "reserved" || (held && !["consumed", "released", "unknown"].contains(it));
                over |= ["consumed", "unknown", "expired"].contains(it);
            }
            let (approvals, found) = taken(&steps);
            prop_assert_eq!(found.is_empty(), fits, "{:?}", found);
            let mut logs = [log("code/0", approvals)];
            compare(&mut logs);
            prop_assert_eq!(!logs[0].findings.is_empty(), held);
        }
    }
}
