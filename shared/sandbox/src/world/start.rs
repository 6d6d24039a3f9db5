//! How does a world begin?

use super::{
    NodeSlots, Probe, Truth, World,
    curve::Times,
    noise::Noise,
    pod::{Answer, Calls, Due, Parts, Release, Running, Slots, labels},
};
use crate::{
    Change, ChangeKind, Plan,
    change::timeline,
    estate::{Build, Estate, NODES, Pod, Service},
    fault::Course,
    metrics::board::Board,
    random::Draw,
};

const DAY_S: i64 = 86_400;
/// Seconds from one pod to the next when a change is rolled out.
pub(super) const ROLL_OUT_S: i64 = 30;

impl World {
    /// The world of a plan, before its first moment.
    pub fn new(plan: Plan) -> World {
        let estate = Estate::drawn(plan.seed);
        let until_s = plan.until.as_second();
        let course = plan.fault.map(|it| Course::drawn(plan.seed, it, &estate, until_s));
        let (changes, guilty) = timeline(&plan, &estate, course.as_ref());
        let mut board = Board::default();
        let mut pods: Vec<Vec<Running>> = Vec::new();
        for (service, build) in estate.services.iter().zip(&estate.builds) {
            let before: usize = pods.iter().map(Vec::len).sum();
            let releases = releases(service, &changes, guilty.as_deref());
            let running = service.pods.iter().enumerate().map(|(index, pod)| Running {
                number: (before + index) as u64,
                started_s: plan.from().as_second(),
                ..running(&mut board, service, build, pod, index, &releases)
            });
            pods.push(running.collect());
        }
        let nodes = NODES.map(|it| node(&mut board, it)).to_vec();
        let services = estate.services.iter().enumerate();
        let probes = services
            .map(|(index, it)| {
                let expired_s = course.as_ref().and_then(|course| course.expiry_s(index));
                let renewed =
                    |change: &&Change| change.kind == ChangeKind::Certificate && change.service == it.name;
                let renewed_s = changes.iter().find(renewed).map(|it| it.at.as_second());
                let mut draw = Draw::of(plan.seed, "certificate").at(index as u64);
                probe(&mut board, &mut draw, it, until_s, expired_s, renewed_s)
            })
            .collect();
        let truth = match &course {
            Some(course) => course.truth(&estate, guilty),
            None => healthy(&plan),
        };
        World {
            noise: Noise::drawn(plan.seed),
            next_s: plan.from().as_second(),
            undone: Vec::new(),
            plan,
            estate,
            course,
            changes,
            truth,
            board,
            pods,
            nodes,
            probes,
        }
    }
}

/// Nothing is to be found, so nothing is to be accused.
fn healthy(plan: &Plan) -> Truth {
    Truth {
        fault: None,
        place: String::new(),
        family: "",
        kin: &[],
        provider: None,
        change: None,
        onset: plan.until,
    }
}

/// What a service runs over the history, and from when on.
fn releases(service: &Service, changes: &[Change], guilty: Option<&str>) -> Vec<(i64, Release)> {
    let mut standing = false;
    let of_it = changes.iter().filter(|it| it.service == service.name && rolls_out(it.kind));
    of_it
        .map(|it| {
            standing |= guilty == Some(it.id.as_str());
            (it.at.as_second(), Release { version: it.version.clone(), guilty: standing })
        })
        .collect()
}

/// Whether pods start again to take such a change.
pub(super) fn rolls_out(kind: ChangeKind) -> bool {
    match kind {
        ChangeKind::Deploy | ChangeKind::Config | ChangeKind::RollBack => true,
        ChangeKind::Migration | ChangeKind::Certificate => false,
    }
}

fn running(
    board: &mut Board,
    service: &Service,
    build: &Build,
    pod: &Pod,
    index: usize,
    releases: &[(i64, Release)],
) -> Running {
    let parts = Parts { database: build.connections > 0, queue: build.workers > 0.0 };
    let (slots, [process, container, cluster]) = Slots::declare(board, service, pod, parts);
    let mut running = Running {
        number: 0,
        node: NODES.iter().position(|it| *it == pod.node).expect("pods run on our nodes"),
        release: Release { version: service.version.clone(), guilty: false },
        due: Vec::new(),
        versions: Vec::new(),
        started_s: 0,
        down: false,
        full: false,
        kept_bytes: 0.0,
        kept_connections: 0.0,
        backlog: 0,
        message_ms: 100.0,
        cpu_s: 0.0,
        arrived: 0,
        calls: vec![Calls::default(); service.calls.len()],
        answer: Answer { times: Times { mean_ms: 1.0, spread: build.spread }, failing: 0.0 },
        slots,
        process,
        container,
        cluster,
    };
    running.knows(board, service, pod, &service.version);
    for (at_s, release) in releases {
        running.knows(board, service, pod, &release.version);
        running.due.push((at_s + ROLL_OUT_S * index as i64, Due::Release(release.clone())));
    }
    running
}

impl Running {
    /// Declares the series of a version, if it has none yet.
    pub(super) fn knows(&mut self, board: &mut Board, service: &Service, pod: &Pod, version: &str) {
        if self.versions.iter().all(|it| it.0 != version) {
            let cluster = labels("kube-state-metrics", service, pod);
            let slot = board.declare("app_build_info", &cluster, &[("version", version)]);
            board[slot] = 1.0;
            self.versions.push((version.to_owned(), slot));
        }
    }
}

fn node(board: &mut Board, node: &str) -> NodeSlots {
    let labels = ["instance", "node"].map(|it| (it, node.to_owned())).into_iter();
    let labels = labels.chain([("job", "node".to_owned())]).collect();
    let up = board.declare("up", &labels, &[]);
    let modes = ["idle", "user", "system", "iowait", "steal"]
        .map(|mode| board.declare("node_cpu_seconds_total", &labels, &[("mode", mode)]));
    NodeSlots { up, modes }
}

fn probe(
    board: &mut Board,
    draw: &mut Draw,
    service: &Service,
    until_s: i64,
    expired_s: Option<i64>,
    renewed_s: Option<i64>,
) -> Probe {
    let labels = vec![
        ("instance", format!("https://{}.internal.example.com", service.name)),
        ("job", "blackbox".to_owned()),
        ("service", service.name.to_owned()),
        ("team", service.team.to_owned()),
    ];
    let ahead_s = draw.whole(16, 80) as i64 * DAY_S + draw.whole(0, 86_000) as i64;
    let certificates = match (expired_s, renewed_s) {
        // Renewed long before, and for too short a time.
        (Some(expiry_s), _) => vec![(i64::MIN, expiry_s)],
        (None, Some(renewed_s)) => {
            vec![(i64::MIN, renewed_s + 3 * DAY_S), (renewed_s, renewed_s + 90 * DAY_S)]
        }
        (None, None) => vec![(i64::MIN, until_s + ahead_s)],
    };
    let success = board.declare("probe_success", &labels, &[]);
    let expiry = board.declare("probe_ssl_earliest_cert_expiry", &labels, &[]);
    Probe { success, expiry, certificates }
}
