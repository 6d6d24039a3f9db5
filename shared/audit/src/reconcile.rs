//! Did everything go through the gate? The log beside a system's own audit trail, both ways: what the system did for our
//! identities and we have no record of, and what we recorded and the system did not see.
//!
//! An event of the system and an effect of ours belong together when
//!
//! 1. the event's time lies between the effect's intent and its outcome, give or take the skew of the clocks; a read has one
//!    record, at its end, and began at most a minute before;
//! 2. both change something, or both only read;
//! 3. they name the same object, where both say one: a name in the event is a part of the id of a target. Where the payload is
//!    erased, or a target is the whole connection, time alone decides, and the report counts such matches.
//!
//! One effect may be many events, so whoever uses our identity on the same object within those seconds is not told apart.

mod cloudtrail;
mod github;
mod kubernetes;
mod ours;
mod report;

use std::{path::Path, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::AuditError;
use ours::Deed;
pub use report::{Around, Reconciliation, Unseen};

/// Whose trail it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Events of `audit.k8s.io/v1`.
    Kubernetes,
    /// CloudTrail's records.
    CloudTrail,
    /// GitHub's audit log, or its events.
    Github,
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Whose trail it is.
    pub system: System,
    /// Who we are there; one that ends in `*` is the beginning of a name. Empty: every event of the trail is ours.
    pub identities: Vec<String>,
    /// Effects on these connections are expected in the trail; empty: every effect.
    pub connections: Vec<String>,
    /// From when to when; none: what the trail spans.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How far the clocks may differ.
    pub skew: SignedDuration,
    /// Whether reads are compared too.
    pub reads: bool,
}

/// What a system says it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    time: Timestamp,
    /// Every name of who did it.
    identities: Vec<String>,
    /// In the system's own word.
    verb: String,
    /// Whether it changes something, if it is done.
    changes: bool,
    /// Whether it was done; what was refused or tried out changed nothing.
    done: bool,
    /// Names of the objects, in lower case.
    names: Vec<String>,
    /// The objects as a person reads them.
    resource: String,
    id: String,
}

/// What a value of a trail is.
enum Told {
    Event(Box<Event>),
    /// A part of an event that another value tells whole.
    Part,
    /// None of this system's.
    Strange,
}

impl System {
    fn told(self, value: &Value) -> Told {
        let event = match self {
            System::Kubernetes if kubernetes::is_part(value) => return Told::Part,
            System::Kubernetes => kubernetes::event(value),
            System::CloudTrail => cloudtrail::event(value),
            System::Github => github::event(value),
        };
        event.map_or(Told::Strange, |it| Told::Event(Box::new(it)))
    }
}

/// Compares the logs of a state folder with the text of a trail: a JSON value per line, an array of them, or an object with
/// `Records` or `items`. What cannot be read in it is counted, because it may hide something.
pub fn reconcile(state: &Path, trail: &str, scope: &Scope) -> Result<Reconciliation, AuditError> {
    let mut report = Reconciliation::new(scope);
    let mut events = Vec::new();
    let mut span: Option<(Timestamp, Timestamp)> = None;
    each_value(trail, &mut |value| match value.map(|it| scope.system.told(it)) {
        Some(Told::Event(it)) => {
            let (from, to) = span.unwrap_or((it.time, it.time));
            span = Some((from.min(it.time), to.max(it.time)));
            report.read += 1;
            if scope.is_ours(&it) && (it.changes || scope.reads) {
                events.push(*it);
            }
        }
        Some(Told::Part) => {}
        Some(Told::Strange) | None => report.unreadable += 1,
    });
    let Some((from, to)) = scope.span.or(span) else { return Ok(report) };
    (report.from, report.to) = (Some(from), Some(to));
    let deeds = ours::read(state, scope, (from, to), &mut report.closed)?;
    events.retain(|it| (from..=to).contains(&it.time));
    compare(&events, &deeds, (from, to), scope, &mut report);
    Ok(report)
}

fn compare(
    events: &[Event],
    deeds: &[Deed],
    (from, to): (Timestamp, Timestamp),
    scope: &Scope,
    report: &mut Reconciliation,
) {
    let mut seen = vec![false; deeds.len()];
    for event in events {
        let mut explained = false;
        for (deed, seen) in deeds.iter().zip(&mut seen) {
            if let Some(by_name) = deed.matches(event, scope.skew) {
                // A refused event explains nothing that was done, and needs no explanation.
                *seen = *seen || event.done || !deed.is_done();
                explained = true;
                report.by_time_only += u64::from(!by_name);
            }
        }
        report.events += 1;
        if !explained && event.done {
            report.around.push(Around::new(event));
        }
    }
    for (deed, seen) in deeds.iter().zip(seen) {
        // What may have happened just outside is not held against anybody.
        let inside = deed.began >= from && deed.ended <= to && deed.is_expected();
        report.effects += u64::from(inside);
        if inside && deed.is_done() && !seen {
            report.unseen.push(Unseen::new(deed));
        }
    }
}

/// Visits the values of a trail; none for what is no JSON.
fn each_value(trail: &str, visit: &mut impl FnMut(Option<&Value>)) {
    let mut lines = trail.lines().map(str::trim).filter(|it| !it.is_empty());
    let by_line = lines.clone().next().is_none_or(|it| serde_json::from_str::<Value>(it).is_ok());
    let mut open = |value: &Value| match value {
        Value::Array(items) => items.iter().for_each(|it| visit(Some(it))),
        Value::Object(fields) => {
            let list = ["Records", "items"].iter().find_map(|it| fields.get(*it)?.as_array());
            match list {
                Some(items) => items.iter().for_each(|it| visit(Some(it))),
                None => visit(Some(value)),
            }
        }
        _ => visit(Some(value)),
    };
    if by_line {
        let mut broken = 0;
        lines.by_ref().for_each(|line| match serde_json::from_str(line) {
            Ok(value) => open(&value),
            Err(_) => broken += 1,
        });
        (0..broken).for_each(|_| visit(None));
        return;
    }
    let mut broken = false;
    for value in serde_json::Deserializer::from_str(trail).into_iter() {
        match value {
            Ok(value) => open(&value),
            Err(_) => broken = true,
        }
    }
    if broken {
        visit(None);
    }
}

impl Scope {
    fn is_ours(&self, event: &Event) -> bool {
        let fits = |pattern: &String, name: &String| match pattern.strip_suffix('*') {
            Some(begins) => name.starts_with(begins),
            None => name == pattern,
        };
        self.identities.is_empty()
            || event.identities.iter().any(|name| self.identities.iter().any(|it| fits(it, name)))
    }
}

impl FromStr for System {
    type Err = String;

    fn from_str(text: &str) -> Result<System, String> {
        match text {
            "kubernetes" => Ok(System::Kubernetes),
            "cloudtrail" => Ok(System::CloudTrail),
            "github" => Ok(System::Github),
            _ => Err(format!("`{text}` is none of kubernetes, cloudtrail, github")),
        }
    }
}

/// The text at a path of a value.
fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str().filter(|it| !it.is_empty())
}
