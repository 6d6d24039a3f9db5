//! What happens in production, and what would its metrics have shown?

mod acts;
mod answer;
mod curve;
#[cfg(test)]
mod laws;
mod noise;
mod pod;
mod start;
mod step;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    Change, Fault, Plan, Sample, SandboxError, Series, Service,
    change::repository,
    estate::Estate,
    fault::Course,
    metrics::board::{Board, Slot},
};
use noise::Noise;
use pod::Running;
use step::Moment;

/// Seconds between two looks at what hardly changes: limits, versions, certificates.
const SLOW_S: i64 = 60;

/// A small production, from its plan's first moment on. Time only goes forward.
#[derive(Clone, Debug)]
pub struct World {
    plan: Plan,
    estate: Estate,
    noise: Noise,
    course: Option<Course>,
    changes: Vec<Change>,
    /// Ids of changes that were taken back.
    undone: Vec<String>,
    truth: Truth,
    board: Board,
    /// By service.
    pods: Vec<Vec<Running>>,
    nodes: Vec<NodeSlots>,
    /// By service.
    probes: Vec<Probe>,
    /// Unix seconds of the next scrape.
    next_s: i64,
}

/// What really goes on: for whoever checks a diagnosis, never for whoever makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// What goes wrong; none in a healthy world.
    pub fault: Option<Fault>,
    /// Where it shows first: a service (its label `service`), for a noisy neighbour a node (`node`), in a healthy world
    /// empty. A slow provider shows at the service that calls it.
    pub place: String,
    /// Metric that moves first there, without the suffix of its parts.
    pub family: &'static str,
    /// Metrics that show the same at the same moment.
    pub kin: &'static [&'static str],
    /// Provider outside of the estate that is slow (label `upstream`).
    pub provider: Option<&'static str>,
    /// The change that brought it about. None: no change of ours did.
    pub change: Option<String>,
    /// When it begins.
    pub onset: Timestamp,
}

/// Where the numbers of a node stand.
#[derive(Clone, Debug)]
struct NodeSlots {
    up: Slot,
    /// Idle, user, system, waiting for disks, stolen.
    modes: [Slot; 5],
}

/// What is known of a service from outside.
#[derive(Clone, Debug)]
struct Probe {
    success: Slot,
    expiry: Slot,
    /// Certificates, each with the moment from which it is used, and when it expires; Unix seconds.
    certificates: Vec<(i64, i64)>,
}

impl World {
    /// Every sample up to the end of the plan's history.
    pub fn history(&mut self, sink: &mut dyn FnMut(Sample)) {
        self.tick(self.plan.until, sink);
    }

    /// Every sample since the last one, up to this moment.
    pub fn tick(&mut self, at: Timestamp, sink: &mut dyn FnMut(Sample)) {
        while self.next_s <= at.as_second() {
            let step_s = i64::from(self.plan.step_s);
            let since_s = self.next_s - self.plan.until.as_second();
            self.step(Moment { now_s: self.next_s, since_s, step_s });
            self.scrape(sink);
            self.next_s += step_s;
        }
    }

    fn scrape(&self, sink: &mut dyn FnMut(Sample)) {
        let at_ms = self.next_s * 1_000;
        let slow = self.next_s.rem_euclid(SLOW_S) < i64::from(self.plan.step_s);
        for pod in self.pods.iter().flatten() {
            match pod.down {
                // All that is known of it is that it did not answer.
                true => self.board.emit(pod.process.start..pod.process.start + 1, at_ms, sink),
                false => {
                    self.board.emit(pod.process.clone(), at_ms, sink);
                    self.board.emit(pod.container.clone(), at_ms, sink);
                }
            }
            if slow {
                self.board.emit(pod.cluster.clone(), at_ms, sink);
                let version = pod.versions.iter().find(|it| it.0 == pod.release.version);
                if let Some((_, slot)) = version {
                    self.board.emit(slot.alone(), at_ms, sink);
                }
            }
        }
        for node in &self.nodes {
            self.board.emit(node.up.alone(), at_ms, sink);
            node.modes.iter().for_each(|it| self.board.emit(it.alone(), at_ms, sink));
        }
        for probe in self.probes.iter().filter(|_| slow) {
            self.board.emit(probe.success.alone(), at_ms, sink);
            self.board.emit(probe.expiry.alone(), at_ms, sink);
        }
    }

    /// What it was made from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Services, callers before whom they call.
    pub fn services(&self) -> &[Service] {
        &self.estate.services
    }

    /// Every series that there is, by its id. An act may add some.
    pub fn series(&self) -> &[Arc<Series>] {
        self.board.series()
    }

    /// Version that a service runs: that of its first pod.
    pub fn version(&self, service: &str) -> Result<String, SandboxError> {
        Ok(self.pods[self.position(service)?][0].release.version.clone())
    }

    /// What is changed in the plan's history, and what acts changed since; oldest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The repository before the first change: text by path. Edits of changes apply to it in their order.
    pub fn repository(&self) -> BTreeMap<String, String> {
        repository(&self.estate)
    }

    /// What really goes on.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    fn position(&self, service: &str) -> Result<usize, SandboxError> {
        self.estate.position(service).ok_or_else(|| SandboxError::UnknownService {
            service: service.to_owned(),
            known: self.estate.services.iter().map(|it| it.name).collect::<Vec<_>>().join(", "),
        })
    }
}
