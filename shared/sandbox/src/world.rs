//! What happens in production, and what would its metrics have shown?

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    Change, Fault, Plan, Sample, SandboxError, Series, Service,
    estate::Estate,
    metrics::board::{Board, Slot},
    random::Draw,
};

/// A small production, from its plan's first moment on. Time only goes forward.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    estate: Estate,
    changes: Vec<Change>,
    truth: Truth,
    board: Board,
    requests: Vec<(Slot, Slot)>,
    /// Unix seconds of the next scrape.
    next_s: i64,
}

/// What really goes on: for whoever checks a diagnosis, never for whoever makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// What goes wrong; none in a healthy world.
    pub fault: Option<Fault>,
    /// Where it shows first: a service, for a noisy neighbour a node, in a healthy world empty.
    pub place: String,
    /// Metric that moves first there, without the suffix of its parts.
    pub family: &'static str,
    /// Provider outside of the estate that is slow.
    pub provider: Option<&'static str>,
    /// The change that brought it about. None: no change of ours did.
    pub change: Option<String>,
    /// When it begins.
    pub onset: Timestamp,
}

impl World {
    /// The world of a plan, before its first moment.
    pub fn new(plan: Plan) -> World {
        let estate = Estate::drawn(plan.seed);
        let mut board = Board::default();
        let mut requests = Vec::new();
        for service in &estate.services {
            for pod in &service.pods {
                let labels = vec![
                    ("job", "app".to_owned()),
                    ("service", service.name.to_owned()),
                    ("team", service.team.to_owned()),
                    ("instance", pod.instance.clone()),
                    ("node", pod.node.to_owned()),
                ];
                let up = board.declare("up", &labels, &[]);
                requests.push((up, board.declare("http_requests_total", &labels, &[("code", "200")])));
            }
        }
        let truth = Truth {
            fault: plan.fault,
            place: String::new(),
            family: "http_requests_total",
            provider: None,
            change: None,
            onset: plan.until,
        };
        World { next_s: plan.from().as_second(), plan, estate, changes: Vec::new(), truth, board, requests }
    }

    /// Every sample up to the end of the plan's history.
    pub fn history(&mut self, sink: &mut dyn FnMut(Sample)) {
        self.tick(self.plan.until, sink);
    }

    /// Every sample since the last one, up to this moment.
    pub fn tick(&mut self, at: Timestamp, sink: &mut dyn FnMut(Sample)) {
        while self.next_s <= at.as_second() {
            let mut draw = Draw::of(self.plan.seed, "requests").at(self.next_s as u64);
            for &(up, requests) in &self.requests {
                self.board[up] = 1.0;
                self.board[requests] += draw.count(100.0) as f64;
            }
            self.board.emit(0..self.board.len(), self.next_s * 1_000, sink);
            self.next_s += i64::from(self.plan.step_s);
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

    /// Every series that there is.
    pub fn series(&self) -> &[Arc<Series>] {
        self.board.series()
    }

    /// Version that a service runs now.
    pub fn version(&self, service: &str) -> Result<String, SandboxError> {
        Ok(self.service(service)?.version.clone())
    }

    /// What was changed up to now, oldest first, what acts did included.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The repository before the first change: text by path. Every change's edits apply to it, in order.
    pub fn repository(&self) -> std::collections::BTreeMap<String, String> {
        Default::default()
    }

    /// What really goes on.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Restarts every pod of a service, one after the other, beginning with the next scrape.
    pub fn restart(&mut self, service: &str) -> Result<(), SandboxError> {
        self.service(service).map(|_| ())
    }

    /// Takes back the last change of a service that still stands, and says which.
    pub fn roll_back(&mut self, service: &str) -> Result<Change, SandboxError> {
        let service = self.service(service)?.name.to_owned();
        Err(SandboxError::NothingToRollBack { service })
    }

    /// Takes back one change, by its id.
    pub fn revert(&mut self, change: &str) -> Result<Change, SandboxError> {
        Err(SandboxError::UnknownChange { change: change.to_owned() })
    }

    fn service(&self, name: &str) -> Result<&Service, SandboxError> {
        let known = || self.estate.services.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
        let found = self.estate.services.iter().find(|it| it.name == name);
        found.ok_or_else(|| SandboxError::UnknownService { service: name.to_owned(), known: known() })
    }
}
