//! Which services are there, who owns them, and whom do they call?

mod blueprint;
mod people;

use blueprint::{BLUEPRINTS, Blueprint, PROVIDERS};

use crate::{Person, random::Draw};

/// A service of the estate.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `checkout`.
    pub name: &'static str,
    /// Team that owns it: `payments`.
    pub team: &'static str,
    /// How much it matters, 1 most.
    pub tier: u8,
    /// Whom to ask.
    pub owner: Person,
    /// What it is there for, in a line.
    pub purpose: &'static str,
    /// Whom it calls.
    pub calls: Vec<Dependency>,
    /// Where it runs.
    pub pods: Vec<Pod>,
    /// Version at the start of history; see [`crate::World::version`] for now.
    pub version: String,
}

/// A call that one service makes to another, or to a provider outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// Name of the service or provider.
    pub upstream: &'static str,
    /// Whether it is a provider outside of the estate.
    pub external: bool,
    /// Calls for each request, on average.
    pub per_request: f64,
    /// Milliseconds after which the caller gives up.
    pub timeout_ms: u32,
    /// How often a failed call is made again.
    pub retries: u32,
    /// Whether a request fails when the call does.
    pub needed: bool,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `checkout-1`: the label `instance` of its series.
    pub instance: String,
    /// `node-2`: the label `node`.
    pub node: &'static str,
}

/// Everything about the estate that does not change while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Estate {
    pub(crate) services: Vec<Service>,
    /// Beside each service what only the physics ask.
    pub(crate) builds: Vec<Build>,
    /// Milliseconds of a call to each provider.
    pub(crate) providers: Vec<(&'static str, f64)>,
    /// Requests a second that come from outside at the busiest hour.
    pub(crate) peak_per_s: f64,
}

/// How a service is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    /// Milliseconds of its own for a request.
    pub(crate) own_ms: f64,
    /// Deviation of the logarithm of a response time.
    pub(crate) spread: f64,
    /// Milliseconds for which a request holds a database connection.
    pub(crate) database_ms: f64,
    /// Connections in the pool of a pod; 0 without a database.
    pub(crate) connections: u32,
    /// Of them those that work beside requests keeps busy: listeners, periodic jobs.
    pub(crate) busy_connections: f64,
    /// Processor milliseconds for a request.
    pub(crate) cpu_ms: f64,
    /// Cores that a pod may use.
    pub(crate) cpu_limit: f64,
    /// Bytes of a pod after its start.
    pub(crate) memory: f64,
    /// Bytes at which a pod is killed.
    pub(crate) memory_limit: f64,
    /// Share of requests that fail on a good day.
    pub(crate) failing: f64,
    /// Share of requests that are refused as malformed.
    pub(crate) refused: f64,
    /// Messages that a pod works on at a time; 0 where requests are answered at once.
    pub(crate) workers: f64,
    /// Requests a second of a pod at the busiest hour.
    pub(crate) peak_per_s: f64,
}

/// Where pods run.
pub(crate) const NODES: [&str; 5] = ["node-1", "node-2", "node-3", "node-4", "node-5"];
/// Cores of a node.
pub(crate) const NODE_CORES: f64 = 8.0;
const MIB: f64 = 1_048_576.0;

impl Estate {
    pub(crate) fn drawn(seed: u64) -> Estate {
        let peak_per_s = Draw::of(seed, "peak").between(320.0, 560.0);
        let mut services: Vec<Service> = Vec::new();
        let mut slot = Draw::of(seed, "node").whole(0, 4) as usize;
        for (index, blueprint) in BLUEPRINTS.iter().enumerate() {
            let draw = Draw::of(seed, "service").at(index as u64);
            services.push(service(draw, blueprint, &mut slot));
        }
        let load = peak_load(&services, peak_per_s);
        let builds = BLUEPRINTS.iter().enumerate().map(|(index, blueprint)| {
            build(Draw::of(seed, "build").at(index as u64), blueprint, load[index] / blueprint.pods as f64)
        });
        Estate { builds: builds.collect(), services, providers: PROVIDERS.to_vec(), peak_per_s }
    }

    pub(crate) fn position(&self, service: &str) -> Option<usize> {
        self.services.iter().position(|it| it.name == service)
    }

    /// Milliseconds of a request when nothing is wrong, those of its calls included.
    pub(crate) fn usual_ms(&self, service: usize) -> f64 {
        let calls = self.services[service].calls.iter().map(|call| {
            let provider = || self.providers.iter().find(|it| it.0 == call.upstream).map(|it| it.1);
            let upstream = self.position(call.upstream).map(|it| self.usual_ms(it));
            call.per_request * upstream.or_else(provider).unwrap_or(0.0)
        });
        self.builds[service].own_ms + calls.sum::<f64>()
    }

    /// People of the team that owns a service.
    pub(crate) fn people(&self, service: usize) -> &'static [Person] {
        people::people(self.services[service].team)
    }
}

fn service(mut draw: Draw, blueprint: &Blueprint, slot: &mut usize) -> Service {
    let calls = blueprint.calls.iter().map(|wire| Dependency {
        upstream: wire.upstream,
        external: PROVIDERS.iter().any(|it| it.0 == wire.upstream),
        per_request: (wire.per_request * draw.between(0.88, 1.08) * 100.0).round().min(98.0) / 100.0,
        timeout_ms: wire.timeout_ms,
        retries: wire.retries,
        needed: wire.needed,
    });
    let calls = calls.collect();
    let pods = (1..=blueprint.pods).map(|number| {
        *slot += 1;
        Pod { instance: format!("{}-{number}", blueprint.name), node: NODES[*slot % NODES.len()] }
    });
    let pods = pods.collect();
    let version = format!("v{}.{}.{}", draw.whole(1, 4), draw.whole(2, 40), draw.whole(0, 6));
    let owner = people::people(blueprint.team)[0];
    let Blueprint { name, team, tier, purpose, .. } = *blueprint;
    Service { name, team, tier, owner, purpose, calls, pods, version }
}

/// Requests a second of each service at the busiest hour. Callers stand before whom they call.
fn peak_load(services: &[Service], peak_per_s: f64) -> Vec<f64> {
    let mut load = vec![0.0; services.len()];
    load[0] = peak_per_s;
    for (index, service) in services.iter().enumerate() {
        for call in &service.calls {
            if let Some(upstream) = services.iter().position(|it| it.name == call.upstream) {
                debug_assert!(upstream > index, "a caller stands before whom it calls");
                load[upstream] += load[index] * call.per_request;
            }
        }
    }
    load
}

/// Sized as its operators would: about half used at the busiest hour.
fn build(mut draw: Draw, blueprint: &Blueprint, per_s: f64) -> Build {
    let own_ms = blueprint.own_ms * draw.between(0.85, 1.25);
    let cpu_ms = own_ms * draw.between(0.35, 0.6);
    let cores = per_s * cpu_ms / 1_000.0 / draw.between(0.38, 0.5);
    let database_ms = own_ms * blueprint.database_share;
    let busy = per_s * database_ms / 1_000.0;
    let connections = match database_ms > 0.0 {
        true => ((busy * 8.0 / 5.0).ceil() as u32 * 5).max(15) + 5 * draw.whole(0, 2) as u32,
        false => 0,
    };
    let busy_connections = draw.between(2.5, 4.5);
    let memory = blueprint.memory_mib * draw.between(0.9, 1.15) * MIB;
    Build {
        own_ms,
        spread: draw.between(0.4, 0.55),
        database_ms,
        connections,
        busy_connections,
        cpu_ms,
        cpu_limit: (cores * 20.0).ceil().max(2.0) / 20.0,
        memory,
        memory_limit: (memory * draw.between(2.3, 2.9) / MIB / 64.0).ceil() * 64.0 * MIB,
        failing: draw.between(0.000_5, 0.002),
        refused: draw.between(0.004, 0.02),
        // A message takes about as long as the providers do.
        workers: if blueprint.queue { (per_s * 0.1 / 0.4).ceil() } else { 0.0 },
        peak_per_s: per_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_a_service_run_on_different_nodes() {
        for service in Estate::drawn(3).services {
            let mut nodes: Vec<_> = service.pods.iter().map(|it| it.node).collect();
            nodes.sort_unstable();
            nodes.dedup();
            assert_eq!(nodes.len(), service.pods.len(), "{}", service.name);
        }
    }

    #[test]
    fn a_caller_stands_before_whom_it_calls() {
        let estate = Estate::drawn(3);
        for (index, service) in estate.services.iter().enumerate() {
            for call in &service.calls {
                match estate.position(call.upstream) {
                    Some(upstream) => assert!(upstream > index && !call.external),
                    None => assert!(call.external, "{}", call.upstream),
                }
            }
        }
    }

    #[test]
    fn another_seed_is_another_estate() {
        let (one, other) = (Estate::drawn(1), Estate::drawn(2));
        assert_eq!(one.services, Estate::drawn(1).services);
        assert_ne!(one.services, other.services);
        assert_ne!(one.peak_per_s, other.peak_per_s);
    }
}
