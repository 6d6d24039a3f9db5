//! What does one pod do, and where do its numbers stand?

use std::ops::Range;

use super::curve::Times;
use crate::{
    estate::{Pod, Service},
    metrics::board::{Board, Labels, Slot},
};

/// Upper bounds of the buckets of response times, in milliseconds and as labels.
pub(super) const BOUNDS: [(f64, &str); 8] = [
    (10.0, "0.01"),
    (25.0, "0.025"),
    (50.0, "0.05"),
    (100.0, "0.1"),
    (250.0, "0.25"),
    (500.0, "0.5"),
    (1_000.0, "1"),
    (2_500.0, "2.5"),
];

/// A pod as it runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// Among all pods of the world.
    pub(super) number: u64,
    /// Position of its node.
    pub(super) node: usize,
    pub(super) release: Release,
    /// What is still to come, in order of time.
    pub(super) due: Vec<(i64, Due)>,
    /// Versions that it ran or will run, each with its series.
    pub(super) versions: Vec<(String, Slot)>,
    /// Unix seconds.
    pub(super) started_s: i64,
    /// Does not answer in this step.
    pub(super) down: bool,
    /// Reached its memory limit: it will not live to the next step.
    pub(super) full: bool,
    /// Bytes that a leak keeps.
    pub(super) kept_bytes: f64,
    /// Connections that are not given back.
    pub(super) kept_connections: f64,
    /// Messages in its queue.
    pub(super) backlog: u64,
    /// Milliseconds that a message took in the last step.
    pub(super) message_ms: f64,
    /// Processor seconds of this step.
    pub(super) cpu_s: f64,
    /// Requests of this step.
    pub(super) arrived: u64,
    /// Calls of this step, in the order of the service's dependencies.
    pub(super) calls: Vec<Calls>,
    /// How it answers in this step.
    pub(super) answer: Answer,
    pub(super) slots: Slots,
    /// Series that its process counts itself.
    pub(super) process: Range<usize>,
    /// Series that its node counts for its container.
    pub(super) container: Range<usize>,
    /// Series that the cluster counts.
    pub(super) cluster: Range<usize>,
}

/// What a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) version: String,
    /// Whether the guilty change is in it.
    pub(super) guilty: bool,
}

/// What happens to a pod at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Starts again with what it runs.
    Restart,
    /// Starts again with this.
    Release(Release),
}

/// Calls of one pod to one upstream in one step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    /// Retries included.
    pub(super) attempts: u64,
    /// Of them those whose connection could not be made.
    pub(super) broken: u64,
    /// Share of attempts that failed in the last step: what this step retries by.
    pub(super) failing: f64,
}

/// How a pod answers those who call it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) times: Times,
    /// Share that ends in a status of 500 or more.
    pub(super) failing: f64,
}

/// Where the numbers of a pod stand.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    pub(super) up: Slot,
    pub(super) fine: Slot,
    pub(super) refused: Slot,
    pub(super) failed: Slot,
    pub(super) turned_away: Slot,
    pub(super) buckets: Vec<Slot>,
    pub(super) sum: Slot,
    pub(super) count: Slot,
    pub(super) calls: Vec<CallSlots>,
    pub(super) memory: Slot,
    pub(super) goroutines: Slot,
    /// In use, maximum, waiting; none without a database.
    pub(super) pool: Option<[Slot; 3]>,
    pub(super) queue: Option<Slot>,
    pub(super) cpu: Slot,
    pub(super) throttled: Slot,
    pub(super) working_set: Slot,
    pub(super) cpu_limit: Slot,
    pub(super) memory_limit: Slot,
    pub(super) restarts: Slot,
}

/// Where the numbers of calls to one upstream stand.
#[derive(Clone, Debug)]
pub(super) struct CallSlots {
    pub(super) fine: Slot,
    pub(super) failed: Slot,
    pub(super) timed_out: Slot,
    pub(super) broken: Slot,
    pub(super) sum: Slot,
    pub(super) count: Slot,
}

/// What of a pod is measured beyond what every pod is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) database: bool,
    pub(super) queue: bool,
}

/// Labels that say which pod it is, as seen by one job.
pub(super) fn labels(job: &'static str, service: &Service, pod: &Pod) -> Labels {
    vec![
        ("instance", pod.instance.clone()),
        ("job", job.to_owned()),
        ("node", pod.node.to_owned()),
        ("service", service.name.to_owned()),
        ("team", service.team.to_owned()),
    ]
}

impl Slots {
    /// Declares every series of a pod; also their ranges of process, container and cluster.
    pub(super) fn declare(
        board: &mut Board,
        service: &Service,
        pod: &Pod,
        parts: Parts,
    ) -> (Slots, [Range<usize>; 3]) {
        let (app, container, cluster) = (
            labels("app", service, pod),
            labels("cadvisor", service, pod),
            labels("kube-state-metrics", service, pod),
        );
        let from = board.len();
        let up = board.declare("up", &app, &[]);
        let mut code = |code| board.declare("http_requests_total", &app, &[("code", code)]);
        let [fine, refused, failed, turned_away] = ["200", "400", "500", "503"].map(&mut code);
        let bounds = BOUNDS.iter().map(|it| it.1).chain(["+Inf"]);
        let buckets = bounds
            .map(|bound| board.declare("http_request_duration_seconds_bucket", &app, &[("le", bound)]))
            .collect();
        let sum = board.declare("http_request_duration_seconds_sum", &app, &[]);
        let count = board.declare("http_request_duration_seconds_count", &app, &[]);
        let calls = service.calls.iter().map(|it| CallSlots::declare(board, &app, it.upstream)).collect();
        let memory = board.declare("process_resident_memory_bytes", &app, &[]);
        let goroutines = board.declare("go_goroutines", &app, &[]);
        let pool = parts.database.then(|| {
            ["db_pool_connections_in_use", "db_pool_connections_max", "db_pool_connections_waiting"]
                .map(|it| board.declare(it, &app, &[]))
        });
        let queue = parts.queue.then(|| board.declare("queue_length", &app, &[]));
        let process = from..board.len();
        let cpu = board.declare("container_cpu_usage_seconds_total", &container, &[]);
        let throttled = board.declare("container_cpu_cfs_throttled_seconds_total", &container, &[]);
        let working_set = board.declare("container_memory_working_set_bytes", &container, &[]);
        let cpu_limit = board.declare("container_spec_cpu_limit_cores", &container, &[]);
        let memory_limit = board.declare("container_spec_memory_limit_bytes", &container, &[]);
        let (container, from) = (process.end..board.len(), board.len());
        let restarts = board.declare("kube_pod_container_status_restarts_total", &cluster, &[]);
        let ranges = [process, container, from..board.len()];
        let slots = Slots {
            up,
            fine,
            refused,
            failed,
            turned_away,
            buckets,
            sum,
            count,
            calls,
            memory,
            goroutines,
            pool,
            queue,
            cpu,
            throttled,
            working_set,
            cpu_limit,
            memory_limit,
            restarts,
        };
        (slots, ranges)
    }
}

impl CallSlots {
    fn declare(board: &mut Board, app: &Labels, upstream: &str) -> CallSlots {
        let mut ended = |code| {
            board.declare("http_client_requests_total", app, &[("upstream", upstream), ("code", code)])
        };
        let [fine, failed, timed_out, broken] = ["200", "500", "timeout", "tls_error"].map(&mut ended);
        let mut time = |name| board.declare(name, app, &[("upstream", upstream)]);
        let sum = time("http_client_request_duration_seconds_sum");
        let count = time("http_client_request_duration_seconds_count");
        CallSlots { fine, failed, timed_out, broken, sum, count }
    }
}
