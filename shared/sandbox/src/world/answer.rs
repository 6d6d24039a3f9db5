//! How does a pod answer in one step, and what does it count?

use super::{
    curve::{Times, overload, shed, waiting},
    noise::Noise,
    pod::{Answer, BOUNDS, Running},
    step::Moment,
};
use crate::{
    estate::{Build, Dependency, Estate},
    fault::{Guilt, Strain},
    metrics::board::Board,
    random::Draw,
};

/// Requests that a pod computes at a time.
const THREADS: f64 = 4.0;
/// Longest wait for a thread, and for a database connection, in milliseconds.
const THREAD_WAIT_MS: f64 = 600.0;
const CONNECTION_WAIT_MS: f64 = 1_500.0;
/// Share of its memory limit above which a process spends its time looking for memory.
const TIGHT: f64 = 0.88;
const MIB: f64 = 1_048_576.0;

/// What a pod finds when it answers.
pub(super) struct Surroundings<'a> {
    pub(super) estate: &'a Estate,
    pub(super) noise: Noise,
    pub(super) strain: &'a Strain,
    /// By service, of those that answered already.
    pub(super) answers: &'a [Vec<Answer>],
    /// Position of the pod's own service.
    pub(super) service: usize,
}

/// One pod in one step.
pub(super) struct Pass<'a, 'b> {
    pub(super) surroundings: &'a Surroundings<'b>,
    pub(super) moment: Moment,
    pub(super) board: &'a mut Board,
    /// It has just started.
    pub(super) cold: bool,
}

/// Time and failures that calls add to a request.
struct Called {
    mean_ms: f64,
    failing: f64,
}

/// What became of one attempt to call.
struct Attempt {
    mean_ms: f64,
    timed_out: f64,
    failed: f64,
}

/// What a pod's own work comes to.
struct Work {
    own_ms: f64,
    /// Share that is turned away.
    shed: f64,
    failing: f64,
    /// Processor seconds.
    cpu_s: f64,
    /// Share of its processor limit that it asks for.
    busy: f64,
}

/// What its database pool comes to.
struct Pool {
    wait_ms: f64,
    shed: f64,
    in_use: f64,
    waiting: f64,
}

impl Pass<'_, '_> {
    pub(super) fn answer(mut self, pod: &mut Running) {
        let mut draw = self.surroundings.noise.draw("answer", self.moment.since_s).at(pod.number);
        let guilt = match pod.release.guilty {
            true => self.surroundings.strain.guilty,
            false => Guilt::NONE,
        };
        let per_s = pod.arrived as f64 / self.moment.step();
        let slowness = self.slowness(&mut draw, pod, guilt);
        let work = self.work(pod, per_s, slowness, guilt);
        let pool = self.pool(&mut draw, pod, per_s, slowness, guilt);
        let called = self.call(&mut draw, pod);
        let build = self.build();
        let waits = if build.workers > 0.0 { 0.0 } else { called.mean_ms };
        let times = Times { mean_ms: work.own_ms + pool.wait_ms + waits, spread: build.spread };
        let turned_away = 1.0 - (1.0 - work.shed) * (1.0 - pool.shed);
        let failing = 1.0 - (1.0 - work.failing) * (1.0 - called.failing);
        pod.answer = Answer { times, failing: 1.0 - (1.0 - turned_away) * (1.0 - failing) };
        pod.message_ms = work.own_ms + called.mean_ms;
        pod.cpu_s = work.cpu_s;
        self.count_requests(&mut draw, pod, turned_away, failing);
        self.measure(&mut draw, pod, &work, &pool, guilt);
    }

    fn build(&self) -> Build {
        self.surroundings.estate.builds[self.surroundings.service]
    }

    /// Time of its own, for each second that a request takes on a good day.
    fn slowness(&self, draw: &mut Draw, pod: &Running, guilt: Guilt) -> f64 {
        let (noise, service) = (self.surroundings.noise, self.surroundings.service as u64);
        let since_s = self.moment.since_s;
        let mut slowness = 1.0
            + 0.02 * noise.slow("pace", service, since_s, 900)
            + 0.02 * Draw::of(0, "skew").at(pod.number).normal()
            + 0.015 * draw.normal();
        if let Some(spike) = noise.spike(self.surroundings.service, since_s) {
            slowness *= spike.slowness;
        }
        if self.cold {
            slowness *= 1.3;
        }
        slowness * guilt.slowness * (1.0 + 2.0 * self.tightness(pod))
    }

    /// Between 0 where there is memory enough and 1 at the limit.
    fn tightness(&self, pod: &Running) -> f64 {
        let build = self.build();
        let used = (build.memory + pod.kept_bytes) / build.memory_limit;
        ((used - TIGHT) / (1.0 - TIGHT)).clamp(0.0, 1.0)
    }

    fn work(&self, pod: &Running, per_s: f64, slowness: f64, guilt: Guilt) -> Work {
        let build = self.build();
        // What is stolen is not there to use.
        let cores = build.cpu_limit * (1.0 - self.surroundings.strain.steal[pod.node]);
        let cpu_ms = build.cpu_ms * (1.0 + 2.0 * self.tightness(pod));
        let busy = per_s * cpu_ms / 1_000.0 / cores;
        let idle_ms = (build.own_ms - build.cpu_ms) * slowness;
        let computing_ms = cpu_ms * slowness * build.cpu_limit / cores;
        let wait_ms = computing_ms * waiting(busy, THREADS) + THREAD_WAIT_MS * overload(busy);
        let spike = self.surroundings.noise.spike(self.surroundings.service, self.moment.since_s);
        let used = (0.012 + per_s * cpu_ms / 1_000.0).min(cores);
        Work {
            own_ms: idle_ms + computing_ms + wait_ms,
            shed: shed(busy),
            failing: build.failing + guilt.failing + spike.map_or(0.0, |it| it.failing),
            cpu_s: used * self.moment.step(),
            busy,
        }
    }

    fn pool(&self, draw: &mut Draw, pod: &mut Running, per_s: f64, slowness: f64, guilt: Guilt) -> Pool {
        let build = self.build();
        if build.connections == 0 {
            return Pool { wait_ms: 0.0, shed: 0.0, in_use: 0.0, waiting: 0.0 };
        }
        let all = f64::from(build.connections);
        pod.kept_connections = (pod.kept_connections + guilt.kept_connections * pod.arrived as f64)
            .min(all - build.busy_connections);
        let beside = build.busy_connections + if draw.chance(0.3) { 1.0 } else { 0.0 };
        let left = (all - beside.floor() - pod.kept_connections.floor()).max(1.0);
        let hold_ms = build.database_ms * slowness;
        let wanted = per_s * hold_ms / 1_000.0;
        let busy = wanted / left;
        let wait_ms = hold_ms * waiting(busy, left) + CONNECTION_WAIT_MS * overload(busy);
        let in_use = (all - left + draw.count(wanted.min(left)) as f64).min(all);
        Pool { wait_ms, shed: shed(busy), in_use, waiting: draw.count(per_s * wait_ms / 1_000.0) as f64 }
    }

    /// Calls everybody whom a request calls.
    fn call(&mut self, draw: &mut Draw, pod: &mut Running) -> Called {
        let service = &self.surroundings.estate.services[self.surroundings.service];
        let mut called = Called { mean_ms: 0.0, failing: 0.0 };
        for (index, call) in service.calls.iter().enumerate() {
            let attempt = self.attempt(call);
            self.count_calls(draw, pod, index, &attempt);
            let calls = &mut pod.calls[index];
            let broken = calls.broken as f64 / calls.attempts.max(1) as f64;
            let failing = broken + (1.0 - broken) * (attempt.timed_out + attempt.failed);
            let tries: f64 = (0..=call.retries).map(|it| failing.powi(it as i32)).sum();
            called.mean_ms += call.per_request * tries * (1.0 - broken) * attempt.mean_ms;
            if call.needed {
                let lost = call.per_request * failing.powi(call.retries as i32 + 1);
                called.failing = 1.0 - (1.0 - called.failing) * (1.0 - lost);
            }
            calls.failing = failing;
        }
        called
    }

    /// What one attempt to call comes to, over all pods that may answer it.
    fn attempt(&self, call: &Dependency) -> Attempt {
        let limit_ms = f64::from(call.timeout_ms);
        let provider;
        let answers = match self.surroundings.estate.position(call.upstream) {
            Some(upstream) => self.surroundings.answers[upstream].as_slice(),
            None => {
                provider = [self.provider(call.upstream)];
                &provider
            }
        };
        let mean = |of: &dyn Fn(&Answer) -> f64| answers.iter().map(of).sum::<f64>() / answers.len() as f64;
        let timed_out = mean(&|it| 1.0 - it.times.within(limit_ms));
        Attempt {
            mean_ms: 0.6 + mean(&|it| it.times.mean_up_to(limit_ms)),
            timed_out,
            failed: (1.0 - timed_out) * mean(&|it| it.failing),
        }
    }

    fn provider(&self, name: &str) -> Answer {
        let providers = &self.surroundings.estate.providers;
        let index = providers.iter().position(|it| it.0 == name).expect("who is no service is a provider");
        let noise = self.surroundings.noise.slow("provider", index as u64, self.moment.since_s, 1_200);
        let mean_ms = providers[index].1 * (1.0 + 0.03 * noise) * self.surroundings.strain.providers[index];
        Answer { times: Times { mean_ms, spread: 0.35 }, failing: 0.001 }
    }

    fn count_calls(&mut self, draw: &mut Draw, pod: &Running, index: usize, attempt: &Attempt) {
        let (calls, slots) = (pod.calls[index], &pod.slots.calls[index]);
        let made = calls.attempts - calls.broken;
        let timed_out = draw.share(made, attempt.timed_out);
        let failed = draw.share(made - timed_out, attempt.failed / (1.0 - attempt.timed_out).max(1e-9));
        self.board[slots.fine] += (made - timed_out - failed) as f64;
        self.board[slots.failed] += failed as f64;
        self.board[slots.timed_out] += timed_out as f64;
        self.board[slots.broken] += calls.broken as f64;
        let scatter = 1.0 + 0.3 * draw.normal() / (made.max(9) as f64).sqrt();
        self.board[slots.sum] +=
            (made as f64 * attempt.mean_ms * scatter + calls.broken as f64 * 2.0) / 1_000.0;
        self.board[slots.count] += calls.attempts as f64;
    }

    fn count_requests(&mut self, draw: &mut Draw, pod: &Running, turned_away: f64, failing: f64) {
        let (slots, all) = (&pod.slots, pod.arrived);
        let away = draw.share(all, turned_away);
        let refused = draw.share(all - away, self.build().refused);
        let failed = draw.share(all - away - refused, failing);
        self.board[slots.turned_away] += away as f64;
        self.board[slots.refused] += refused as f64;
        self.board[slots.failed] += failed as f64;
        self.board[slots.fine] += (all - away - refused - failed) as f64;
        // A sample of so many scatters by so much around its distribution.
        let scatter = 1.0 + pod.answer.times.spread * draw.normal() / (all.max(4) as f64).sqrt();
        let times = Times { mean_ms: pod.answer.times.mean_ms * scatter.max(0.3), ..pod.answer.times };
        let rounding = draw.unit();
        let below = BOUNDS.map(|(limit_ms, _)| (all as f64 * times.within(limit_ms) + rounding).floor());
        for (slot, below) in slots.buckets.iter().zip(below.into_iter().chain([all as f64])) {
            self.board[*slot] += below.min(all as f64);
        }
        self.board[slots.sum] += all as f64 * times.mean_ms / 1_000.0;
        self.board[slots.count] += all as f64;
    }

    /// What is looked at rather than counted.
    fn measure(&mut self, draw: &mut Draw, pod: &mut Running, work: &Work, pool: &Pool, guilt: Guilt) {
        let build = self.build();
        pod.kept_bytes += guilt.kept_bytes * pod.arrived as f64;
        let load = pod.arrived as f64 / self.moment.step() / build.peak_per_s;
        // Garbage piles up until it is collected, each pod in its own time.
        let period_s = 380 + 37 * (pod.number as i64 % 7);
        let garbage = (self.moment.now_s - pod.started_s).rem_euclid(period_s) as f64 / period_s as f64;
        let memory =
            build.memory * (0.97 + 0.05 * load + 0.05 * garbage + 0.004 * draw.normal()) + pod.kept_bytes;
        let slots = &pod.slots;
        self.board[slots.up] = 1.0;
        let working_set = memory * 1.03 + 6.0 * MIB;
        pod.full = working_set >= build.memory_limit;
        self.board[slots.memory] = memory.min(build.memory_limit).round();
        self.board[slots.working_set] = working_set.min(build.memory_limit).round();
        let in_flight = pod.arrived as f64 / self.moment.step() * pod.answer.times.mean_ms / 1_000.0;
        self.board[slots.goroutines] = 42.0 + 2.0 * draw.count(in_flight + 1.0) as f64;
        if let Some([in_use, all, waiting]) = slots.pool {
            self.board[in_use] = pool.in_use;
            self.board[all] = f64::from(build.connections);
            self.board[waiting] = pool.waiting;
        }
        if let Some(queue) = slots.queue {
            self.board[queue] = pod.backlog as f64;
        }
        self.board[slots.cpu] += work.cpu_s * (1.0 + 0.01 * draw.normal());
        let throttled = ((work.busy - 0.55) / 0.45).clamp(0.0, 1.0).powi(2);
        self.board[slots.throttled] += throttled * self.moment.step() * 0.4;
        self.board[slots.cpu_limit] = build.cpu_limit;
        self.board[slots.memory_limit] = build.memory_limit;
    }
}
