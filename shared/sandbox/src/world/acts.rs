//! What can be done to the world?
//!
//! An act reaches the pods one after the other, beginning with the next scrape; what it heals follows from the
//! physics, not from here.

use jiff::Timestamp;

use super::{
    World,
    pod::{Due, Release},
    start::{ROLL_OUT_S, rolls_out},
};
use crate::{Change, ChangeKind, Edit, Person, SandboxError};

/// Who rolls back.
const ON_CALL: Person = Person { name: "On-call", email: "on-call@example.com" };

impl World {
    /// Restarts every pod of a service, one after the other.
    pub fn restart(&mut self, service: &str) -> Result<(), SandboxError> {
        let service = self.position(service)?;
        self.schedule(service, &Due::Restart);
        Ok(())
    }

    /// Takes back the last change of a service that still stands, and says what was done.
    pub fn roll_back(&mut self, service: &str) -> Result<Change, SandboxError> {
        let name = self.estate.services[self.position(service)?].name;
        let last = self.changes.iter().rev().find(|it| it.service == name && self.stands(it));
        let last = last.map(|it| it.id.clone());
        self.revert(&last.ok_or_else(|| SandboxError::NothingToRollBack { service: name.to_owned() })?)
    }

    /// Takes back one change, by its id, and says what was done. Migrations and certificates stay.
    pub fn revert(&mut self, change: &str) -> Result<Change, SandboxError> {
        let found = self.changes.iter().find(|it| it.id == change && self.stands(it));
        let found =
            found.cloned().ok_or_else(|| SandboxError::UnknownChange { change: change.to_owned() })?;
        self.undone.push(found.id.clone());
        let service = self.position(&found.service)?;
        let release = Release { version: self.version_without(&found), guilty: self.guilt_stands(service) };
        let record = Change {
            id: format!("chg-{}", 1_001 + self.changes.len()),
            service: found.service.clone(),
            kind: ChangeKind::RollBack,
            at: self.now(),
            version: release.version.clone(),
            author: ON_CALL,
            title: format!("Revert \"{}\"", found.title),
            body: format!("Takes back {} of {}.", found.id, found.at),
            edits: found.edits.iter().rev().map(reversed).collect(),
        };
        for (pod, running) in self.estate.services[service].pods.iter().zip(&mut self.pods[service]) {
            running.knows(&mut self.board, &self.estate.services[service], pod, &release.version);
        }
        self.schedule(service, &Due::Release(release));
        self.changes.push(record.clone());
        Ok(record)
    }

    /// Whether a change is in production and could be taken back.
    fn stands(&self, change: &Change) -> bool {
        change.kind != ChangeKind::RollBack
            && rolls_out(change.kind)
            && change.at <= self.now()
            && !self.undone.contains(&change.id)
    }

    fn guilt_stands(&self, service: usize) -> bool {
        let guilty = self.changes.iter().find(|it| Some(&it.id) == self.truth.change.as_ref());
        guilty.is_some_and(|it| self.stands(it) && it.service == self.estate.services[service].name)
    }

    /// Version of a service once this change is taken back: what ran before it, or what runs now without it.
    fn version_without(&self, change: &Change) -> String {
        let mut standing =
            self.changes.iter().rev().filter(|it| it.service == change.service && self.stands(it));
        let at_first = || self.estate.services.iter().find(|it| it.name == change.service);
        match standing.next() {
            Some(last) if last.at > change.at => format!("{}-without-{}", last.version, change.id),
            Some(last) => last.version.clone(),
            None => at_first().map_or_else(String::new, |it| it.version.clone()),
        }
    }

    /// The last scrape, or the first moment before there was one.
    fn now(&self) -> Timestamp {
        let before_s = self.next_s - i64::from(self.plan.step_s);
        Timestamp::from_second(before_s).unwrap_or(self.plan.until).max(self.plan.from())
    }

    fn schedule(&mut self, service: usize, due: &Due) {
        for (index, pod) in self.pods[service].iter_mut().enumerate() {
            pod.due.push((self.next_s + ROLL_OUT_S * index as i64, due.clone()));
            pod.due.sort_by_key(|it| it.0);
        }
    }
}

/// What takes an edit back. A file that the change made is left empty.
fn reversed(edit: &Edit) -> Edit {
    Edit { path: edit.path.clone(), before: edit.after.clone(), after: edit.before.clone() }
}
