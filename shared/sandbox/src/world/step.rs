//! What happens between two scrapes?
//!
//! In this order: pods start and stop; requests run down the calls, callers before whom they call; answers run back
//! up; then nodes and probes look at what came of it. Retries go by what failed in the step before, so that the two
//! passes need no fixed point.

use super::{
    World,
    answer::{Pass, Surroundings},
    curve::Times,
    pod::{Answer, Due, Running},
};
use crate::{
    estate::{Dependency, NODE_CORES, NODES},
    fault::Strain,
    random::Draw,
};

/// Seconds from the start of a pod until it is as fast as the others.
const COLD_S: i64 = 60;

/// The moment at whose end a scrape takes place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Unix seconds.
    pub(super) now_s: i64,
    /// Seconds since the end of history; negative before.
    pub(super) since_s: i64,
    /// Seconds since the last scrape.
    pub(super) step_s: i64,
}

impl Moment {
    pub(super) fn step(self) -> f64 {
        self.step_s as f64
    }
}

impl World {
    /// Everything up to the next scrape.
    pub(super) fn step(&mut self, moment: Moment) {
        let strain = match &self.course {
            Some(course) => course.strain(&self.estate, moment.now_s),
            None => Strain::none(&self.estate),
        };
        self.start_and_stop(moment);
        self.send(moment, &strain);
        self.answer(moment, &strain);
        self.look_at_nodes(moment, &strain);
        self.probe(moment);
    }

    fn start_and_stop(&mut self, moment: Moment) {
        for (service, pods) in self.pods.iter_mut().enumerate() {
            let killed = self.noise.killed(service, pods.len(), moment.since_s, moment.step_s);
            for (index, pod) in pods.iter_mut().enumerate() {
                pod.down = pod.full || killed == Some(index);
                if pod.down {
                    self.board[pod.slots.restarts] += 1.0;
                }
                let mut starts = pod.down;
                while pod.due.first().is_some_and(|it| it.0 <= moment.now_s) {
                    let (_, due) = pod.due.remove(0);
                    if let Due::Release(release) = due {
                        pod.release = release;
                    }
                    starts = true;
                }
                if starts {
                    pod.started_s = moment.now_s;
                    (pod.full, pod.kept_bytes, pod.kept_connections) = (false, 0.0, 0.0);
                    self.board.empty(pod.process.clone());
                    self.board.empty(pod.container.clone());
                }
            }
        }
    }

    /// Requests run down the calls.
    fn send(&mut self, moment: Moment, strain: &Strain) {
        let mut arriving = vec![0_u64; self.estate.services.len()];
        arriving[0] = self.entering(moment, strain);
        for (index, service) in self.estate.services.iter().enumerate() {
            let mut left = arriving[index];
            let mut awake = self.pods[index].iter().filter(|it| !it.down).count();
            for pod in &mut self.pods[index] {
                let mut draw = self.noise.draw("send", moment.since_s).at(pod.number);
                (pod.arrived, left, awake) = match pod.down {
                    true => (0, left, awake),
                    false => {
                        let arrived = draw.share(left, 1.0 / awake as f64);
                        (arrived, left - arrived, awake - 1)
                    }
                };
                let served = served(pod, self.estate.builds[index].workers, moment);
                for (call, calls) in service.calls.iter().zip(&mut pod.calls) {
                    let upstream = self.estate.position(call.upstream);
                    calls.attempts = attempts(&mut draw, served, call, calls.failing);
                    let broken = upstream.map_or(0.0, |it| strain.handshakes[it]);
                    calls.broken = draw.share(calls.attempts, broken);
                    if let Some(upstream) = upstream {
                        arriving[upstream] += calls.attempts - calls.broken;
                    }
                }
            }
        }
    }

    /// Requests that come from outside.
    fn entering(&self, moment: Moment, strain: &Strain) -> u64 {
        let noise = 1.0
            + 0.025 * self.noise.slow("crowd", 0, moment.since_s, 2_400)
            + 0.015 * self.noise.slow("crowd", 1, moment.since_s, 420)
            + 0.012 * self.noise.draw("crowd", moment.since_s).normal();
        let per_s = self.estate.peak_per_s * self.noise.of_the_day(moment.since_s) * strain.crowd * noise;
        self.noise.draw("entering", moment.since_s).count(per_s * moment.step())
    }

    /// Answers run back up.
    fn answer(&mut self, moment: Moment, strain: &Strain) {
        // Whom nobody answers for is not there.
        let gone = Answer { times: Times { mean_ms: 1.0, spread: 0.3 }, failing: 1.0 };
        let mut answers: Vec<Vec<Answer>> = vec![vec![gone]; self.estate.services.len()];
        for index in (0..self.estate.services.len()).rev() {
            let surroundings = Surroundings {
                estate: &self.estate,
                noise: self.noise,
                strain,
                answers: &answers,
                service: index,
            };
            for pod in self.pods[index].iter_mut().filter(|it| !it.down) {
                let cold =
                    moment.now_s < pod.started_s + COLD_S && pod.started_s > self.plan.from().as_second();
                Pass { surroundings: &surroundings, moment, board: &mut self.board, cold }.answer(pod);
            }
            let awake: Vec<Answer> =
                self.pods[index].iter().filter(|it| !it.down).map(|it| it.answer).collect();
            if !awake.is_empty() {
                answers[index] = awake;
            }
        }
    }

    fn look_at_nodes(&mut self, moment: Moment, strain: &Strain) {
        let mut used = [0.0; NODES.len()];
        for pod in self.pods.iter().flatten() {
            used[pod.node] += pod.cpu_s;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let mut draw = self.noise.draw("node", moment.since_s).at(index as u64);
            let all = NODE_CORES * moment.step();
            let steal = all * (strain.steal[index] + 0.004 * draw.unit());
            let system = all * draw.between(0.02, 0.03);
            let waiting = all * draw.between(0.004, 0.01);
            let user = (used[index] + all * draw.between(0.03, 0.04)).min(all - steal - system - waiting);
            let idle = all - steal - system - waiting - user;
            for (slot, seconds) in node.modes.iter().zip([idle, user, system, waiting, steal]) {
                self.board[*slot] += seconds;
            }
            self.board[node.up] = 1.0;
        }
    }

    fn probe(&mut self, moment: Moment) {
        for (index, probe) in self.probes.iter().enumerate() {
            let awake = self.pods[index].iter().any(|it| !it.down);
            // A probe opens a new connection each time: it sees an expiry at once.
            let used = probe.certificates.iter().rfind(|it| it.0 <= moment.now_s);
            let expiry_s = used.map_or(0, |it| it.1);
            self.board[probe.success] = f64::from(u8::from(awake && expiry_s > moment.now_s));
            self.board[probe.expiry] = expiry_s as f64;
        }
    }
}

/// Requests that a pod works on in this step: what arrived, or what its workers get done of the queue.
fn served(pod: &mut Running, workers: f64, moment: Moment) -> u64 {
    if workers == 0.0 {
        return pod.arrived;
    }
    let room = workers * moment.step() * 1_000.0 / pod.message_ms;
    pod.backlog += pod.arrived;
    let served = pod.backlog.min(room as u64);
    pod.backlog -= served;
    if pod.down { 0 } else { served }
}

/// Calls that so many requests make, retries included.
fn attempts(draw: &mut Draw, requests: u64, call: &Dependency, failing: f64) -> u64 {
    let first = draw.share(requests, call.per_request);
    let mut attempts = first;
    let mut last = first;
    for _ in 0..call.retries {
        last = draw.share(last, failing);
        attempts += last;
    }
    attempts
}
