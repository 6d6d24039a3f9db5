//! Which metrics are there?

use super::{Metric, MetricKind};

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, help, unit }
}

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, help, unit }
}

/// Every metric that a world measures.
pub const METRICS: &[Metric] = &[
    gauge("up", "", "Whether the last scrape of the target succeeded."),
    gauge("app_build_info", "", "1 for the version that runs."),
    counter("http_requests_total", "", "Requests answered, by status code."),
    Metric {
        name: "http_request_duration_seconds",
        kind: MetricKind::Histogram,
        help: "Time to answer a request.",
        unit: "seconds",
    },
    counter(
        "http_client_requests_total",
        "",
        "Calls to another service or provider, by what came back: a status code, `timeout` or `tls_error`.",
    ),
    Metric {
        name: "http_client_request_duration_seconds",
        kind: MetricKind::Summary,
        help: "Time that a call to another service or provider took.",
        unit: "seconds",
    },
    gauge("process_resident_memory_bytes", "bytes", "Resident memory of the process."),
    gauge("go_goroutines", "", "Goroutines that exist."),
    gauge("db_pool_connections_in_use", "", "Database connections in use."),
    gauge("db_pool_connections_max", "", "Database connections that the pool may open."),
    gauge("db_pool_connections_waiting", "", "Requests that wait for a database connection."),
    gauge("queue_length", "", "Messages that wait to be worked off."),
    counter("container_cpu_usage_seconds_total", "seconds", "Processor time used."),
    counter(
        "container_cpu_cfs_throttled_seconds_total",
        "seconds",
        "Time for which the container was throttled.",
    ),
    gauge("container_spec_cpu_limit_cores", "", "Processor cores that the container may use."),
    gauge("container_memory_working_set_bytes", "bytes", "Memory that cannot be reclaimed."),
    gauge("container_spec_memory_limit_bytes", "bytes", "Memory at which the container is killed."),
    counter(
        "kube_pod_container_status_restarts_total",
        "",
        "Restarts of the container, other than by a roll-out.",
    ),
    counter("node_cpu_seconds_total", "seconds", "Processor time of the node, by mode."),
    gauge("probe_success", "", "Whether a new connection to the service could be made."),
    gauge(
        "probe_ssl_earliest_cert_expiry",
        "seconds",
        "When the first certificate of the chain expires, Unix time.",
    ),
];
