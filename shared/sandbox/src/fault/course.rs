//! Where does a fault strike, from when on, and how hard?

use super::Fault;
use crate::{
    estate::{Estate, NODES},
    random::Draw,
    world::Truth,
};

const MINUTE_S: f64 = 60.0;
const NO_KIN: &[&str] = &[];

/// One fault of one world.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    fault: Fault,
    /// Position of the service that it strikes, or at which it shows first.
    pub(crate) service: usize,
    node: usize,
    provider: usize,
    /// Unix seconds.
    pub(crate) onset_s: i64,
    /// How far it goes; what that means depends on the fault.
    strength: f64,
    /// How long it takes to get there.
    pace_s: f64,
}

/// What a fault does to the world at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Strain {
    /// Requests from outside, for each that would come otherwise.
    pub(crate) crowd: f64,
    /// Share of a node's processor time that goes elsewhere.
    pub(crate) steal: [f64; NODES.len()],
    /// By position of the provider: its response time, for each second that it would take otherwise.
    pub(crate) providers: Vec<f64>,
    /// By position of the service: share of connections to it that cannot be made.
    pub(crate) handshakes: Vec<f64>,
    /// What pods that run the guilty change suffer.
    pub(crate) guilty: Guilt,
}

/// What a guilty change does to a pod that runs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Guilt {
    /// Share of requests that fail.
    pub(crate) failing: f64,
    /// Time of its own, for each second that a request would take otherwise.
    pub(crate) slowness: f64,
    /// Bytes that a request keeps.
    pub(crate) kept_bytes: f64,
    /// Connections that a request keeps.
    pub(crate) kept_connections: f64,
}

impl Guilt {
    pub(crate) const NONE: Guilt =
        Guilt { failing: 0.0, slowness: 1.0, kept_bytes: 0.0, kept_connections: 0.0 };
}

impl Strain {
    /// Nothing is wrong.
    pub(crate) fn none(estate: &Estate) -> Strain {
        Strain {
            crowd: 1.0,
            steal: [0.0; NODES.len()],
            providers: vec![1.0; estate.providers.len()],
            handshakes: vec![0.0; estate.services.len()],
            guilty: Guilt::NONE,
        }
    }
}

impl Course {
    pub(crate) fn drawn(seed: u64, fault: Fault, estate: &Estate, until_s: i64) -> Course {
        let mut draw = Draw::of(seed, "course");
        let provider = draw.whole(0, estate.providers.len() as u64 - 1) as usize;
        let candidates: Vec<usize> =
            (0..estate.services.len()).filter(|&it| strikes(fault, estate, it, provider)).collect();
        let service = *draw.one_of(&candidates);
        let node = draw.whole(0, NODES.len() as u64 - 1) as usize;
        // Minutes before the end, so that there is enough to see and not yet too much. A leak pages nobody before the
        // memory is nearly full: for it, minutes since it would have been full at the traffic of the busiest hour.
        let (latest, earliest) = match fault {
            Fault::MemoryLeak => (4.0, 10.0),
            Fault::BadConfiguration => (32.0, 50.0),
            _ => (20.0, 40.0),
        };
        let mut before = draw.between(latest, earliest);
        let (low, high) = match fault {
            Fault::BadDeploy => (0.12, 0.35),
            Fault::BadConfiguration => (2.5, 4.5),
            Fault::MemoryLeak | Fault::PoolSaturation => (0.9, 1.1),
            Fault::SlowDependency => (5.0, 9.0),
            Fault::TrafficSurge => (0.9, 1.3),
            Fault::NoisyNeighbour => (0.42, 0.6),
            Fault::ExpiredCertificate => (0.95, 0.99),
        };
        let strength = draw.between(low, high);
        let minutes = match fault {
            Fault::BadDeploy | Fault::NoisyNeighbour => 0.0,
            Fault::BadConfiguration => 30.0,
            Fault::MemoryLeak => draw.between(35.0, 55.0),
            Fault::PoolSaturation => draw.between(9.0, 16.0),
            Fault::SlowDependency => 2.0,
            Fault::TrafficSurge | Fault::ExpiredCertificate => 4.0,
        };
        if fault == Fault::MemoryLeak {
            before += minutes / strength;
        }
        let onset_s = until_s - (before * MINUTE_S) as i64;
        Course { fault, service, node, provider, onset_s, strength, pace_s: minutes * MINUTE_S }
    }

    /// What it does at this moment.
    pub(crate) fn strain(&self, estate: &Estate, now_s: i64) -> Strain {
        let mut strain = Strain::none(estate);
        if now_s < self.onset_s {
            return strain;
        }
        let since_s = (now_s - self.onset_s) as f64;
        let ramp = match self.pace_s > 0.0 {
            true => (since_s / self.pace_s).min(1.0),
            false => 1.0,
        };
        let build = &estate.builds[self.service];
        let guilty = &mut strain.guilty;
        match self.fault {
            Fault::BadDeploy => guilty.failing = self.strength,
            // It goes on beyond its pace: nobody purges what slows it down.
            Fault::BadConfiguration => {
                guilty.slowness = 1.0 + self.strength * (since_s / self.pace_s).min(2.0);
            }
            // At the traffic of the busiest hour it is full after its pace.
            Fault::MemoryLeak => {
                let room = build.memory_limit - build.memory;
                guilty.kept_bytes = self.strength * room / (self.pace_s * build.peak_per_s);
            }
            Fault::PoolSaturation => {
                let connections = f64::from(build.connections);
                guilty.kept_connections = self.strength * connections / (self.pace_s * build.peak_per_s);
            }
            Fault::SlowDependency => strain.providers[self.provider] = 1.0 + (self.strength - 1.0) * ramp,
            Fault::TrafficSurge => strain.crowd = 1.0 + self.strength * ramp,
            Fault::NoisyNeighbour => strain.steal[self.node] = self.strength,
            // Connections that were open when it expired live on for a while.
            Fault::ExpiredCertificate => strain.handshakes[self.service] = self.strength * ramp,
        }
        strain
    }

    /// When the certificate of the service that it strikes expires, Unix seconds.
    pub(crate) fn expiry_s(&self, service: usize) -> Option<i64> {
        (self.fault == Fault::ExpiredCertificate && service == self.service).then_some(self.onset_s)
    }

    /// What a diagnosis of it has to say.
    pub(crate) fn truth(&self, estate: &Estate, change: Option<String>) -> Truth {
        let service = estate.services[self.service].name;
        let (place, family, kin) = match self.fault {
            Fault::BadDeploy => (service, "http_requests_total", NO_KIN),
            Fault::BadConfiguration => (service, "http_request_duration_seconds", NO_KIN),
            Fault::MemoryLeak => {
                (service, "process_resident_memory_bytes", &["container_memory_working_set_bytes"][..])
            }
            Fault::PoolSaturation => (service, "db_pool_connections_in_use", NO_KIN),
            Fault::SlowDependency => (service, "http_client_request_duration_seconds", NO_KIN),
            Fault::TrafficSurge => (service, "http_requests_total", NO_KIN),
            Fault::NoisyNeighbour => (NODES[self.node], "node_cpu_seconds_total", NO_KIN),
            Fault::ExpiredCertificate => (
                service,
                "probe_success",
                &["probe_ssl_earliest_cert_expiry", "http_client_requests_total"][..],
            ),
        };
        let provider = (self.fault == Fault::SlowDependency).then(|| estate.providers[self.provider].0);
        let onset = jiff::Timestamp::from_second(self.onset_s).expect("it lies within history");
        Truth { fault: Some(self.fault), place: place.to_owned(), family, kin, provider, change, onset }
    }
}

/// Whether a fault can strike this service.
fn strikes(fault: Fault, estate: &Estate, service: usize, provider: usize) -> bool {
    let calls = &estate.services[service].calls;
    match fault {
        Fault::BadDeploy | Fault::MemoryLeak => true,
        // Where waiting for others hides what it does itself, nobody would look at response times first.
        Fault::BadConfiguration => estate.builds[service].own_ms > 0.4 * estate.usual_ms(service),
        Fault::PoolSaturation => estate.builds[service].connections > 0,
        Fault::SlowDependency => calls.iter().any(|it| it.upstream == estate.providers[provider].0),
        // Where people come in.
        Fault::TrafficSurge => service == 0,
        // A node, not a service; see its truth.
        Fault::NoisyNeighbour => true,
        // Somebody of ours has to call it: a customer's failed connection is measured nowhere.
        Fault::ExpiredCertificate => service != 0,
    }
}
