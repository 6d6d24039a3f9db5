//! THE RULES: on what does anybody get paged here?

/// One alerting rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// PromQL; whatever it returns is an alert.
    pub(crate) query: &'static str,
    /// Seconds for which it must hold before it fires.
    pub(crate) for_s: i64,
    /// Added to the series' own.
    pub(crate) labels: &'static [(&'static str, &'static str)],
    /// Templates.
    pub(crate) annotations: &'static [(&'static str, &'static str)],
}

const CRITICAL: &[(&str, &str)] = &[("severity", "critical")];
const WARNING: &[(&str, &str)] = &[("severity", "warning")];
/// Of what belongs to no service.
const PLATFORM: &[(&str, &str)] = &[("severity", "warning"), ("team", "platform")];

/// Rules by group, in the order of evaluation.
pub(crate) const GROUPS: &[(&str, &[Rule])] =
    &[("requests", REQUESTS), ("resources", RESOURCES), ("reachability", REACHABILITY)];

const REQUESTS: &[Rule] = &[
    Rule {
        name: "ErrorBudgetBurn",
        query: "sum by (service, team) (rate(http_requests_total{code=~\"5..\"}[1h])) \
                / sum by (service, team) (rate(http_requests_total[1h])) > 14.4 * 0.001 \
                and sum by (service, team) (rate(http_requests_total{code=~\"5..\"}[5m])) \
                / sum by (service, team) (rate(http_requests_total[5m])) > 14.4 * 0.001",
        for_s: 120,
        labels: CRITICAL,
        annotations: &[
            ("summary", "{{ $labels.service }} burns its error budget"),
            (
                "description",
                "{{ $value | humanizePercentage }} of the requests of the last hour failed: at this pace the budget of 30 days is gone in 2.",
            ),
            ("runbook_url", "https://runbooks.example.com/error-budget-burn"),
        ],
    },
    Rule {
        name: "ErrorRatioHigh",
        query: "sum by (service, team) (rate(http_requests_total{code=~\"5..\"}[5m])) \
                / sum by (service, team) (rate(http_requests_total[5m])) > 0.03",
        for_s: 120,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.service }} fails requests"),
            (
                "description",
                "{{ $value | humanizePercentage }} of its requests of the last 5 minutes failed.",
            ),
            ("runbook_url", "https://runbooks.example.com/error-ratio"),
        ],
    },
    Rule {
        name: "LatencyHigh",
        query: "histogram_quantile(0.99, sum by (service, team, le) (rate(http_request_duration_seconds_bucket[5m]))) > 2",
        for_s: 300,
        labels: CRITICAL,
        annotations: &[
            ("summary", "{{ $labels.service }} is slow"),
            ("description", "One request in a hundred takes longer than {{ $value | humanizeDuration }}."),
            ("runbook_url", "https://runbooks.example.com/latency"),
        ],
    },
    Rule {
        name: "LatencyRising",
        query: "histogram_quantile(0.99, sum by (service, team, le) (rate(http_request_duration_seconds_bucket[10m]))) \
                / histogram_quantile(0.99, sum by (service, team, le) (rate(http_request_duration_seconds_bucket[10m] offset 1h))) > 1.8",
        for_s: 300,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.service }} is slower than an hour ago"),
            (
                "description",
                "The slowest hundredth of requests takes {{ $value | humanize }} times as long as an hour ago.",
            ),
            ("runbook_url", "https://runbooks.example.com/latency"),
        ],
    },
    Rule {
        name: "TrafficSurge",
        query: "sum by (service, team) (rate(http_requests_total[5m])) \
                / sum by (service, team) (rate(http_requests_total[5m] offset 1h)) > 1.6",
        for_s: 300,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.service }} gets far more requests than an hour ago"),
            ("description", "{{ $value | humanize }} times the requests of an hour ago."),
            ("runbook_url", "https://runbooks.example.com/traffic"),
        ],
    },
];

const RESOURCES: &[Rule] = &[
    Rule {
        name: "MemoryNearLimit",
        query: "max by (service, team, instance) (container_memory_working_set_bytes) \
                / max by (service, team, instance) (container_spec_memory_limit_bytes) > 0.9",
        for_s: 120,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.instance }} is about to be killed for its memory"),
            ("description", "It uses {{ $value | humanizePercentage }} of its memory limit."),
            ("runbook_url", "https://runbooks.example.com/memory"),
        ],
    },
    Rule {
        name: "ContainerRestarted",
        query: "max by (service, team, instance) (increase(kube_pod_container_status_restarts_total[15m])) > 0.5",
        for_s: 0,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.instance }} was restarted"),
            ("description", "{{ $value | humanize }} restarts in 15 minutes that no roll-out explains."),
            ("runbook_url", "https://runbooks.example.com/restarts"),
        ],
    },
    Rule {
        name: "ConnectionPoolSaturated",
        query: "sum by (service, team) (db_pool_connections_in_use) / sum by (service, team) (db_pool_connections_max) > 0.9",
        for_s: 120,
        labels: CRITICAL,
        annotations: &[
            ("summary", "{{ $labels.service }} runs out of database connections"),
            (
                "description",
                "{{ $value | humanizePercentage }} of its connections are in use; requests wait for one.",
            ),
            ("runbook_url", "https://runbooks.example.com/connection-pool"),
        ],
    },
    Rule {
        name: "CPUThrottled",
        query: "sum by (service, team) (rate(container_cpu_cfs_throttled_seconds_total[5m])) \
                / sum by (service, team) (rate(container_cpu_usage_seconds_total[5m])) > 0.25",
        for_s: 300,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.service }} is throttled"),
            (
                "description",
                "For each second of processor time it is held back for {{ $value | humanizeDuration }}.",
            ),
            ("runbook_url", "https://runbooks.example.com/cpu-throttling"),
        ],
    },
    Rule {
        name: "NodeCPUStolen",
        query: "sum by (node) (rate(node_cpu_seconds_total{mode=\"steal\"}[5m])) / sum by (node) (rate(node_cpu_seconds_total[5m])) > 0.1",
        for_s: 180,
        labels: PLATFORM,
        annotations: &[
            ("summary", "{{ $labels.node }} gets less processor time than it pays for"),
            (
                "description",
                "{{ $value | humanizePercentage }} of its time goes to another tenant of the hardware.",
            ),
            ("runbook_url", "https://runbooks.example.com/node-steal"),
        ],
    },
];

const REACHABILITY: &[Rule] = &[
    Rule {
        name: "TargetDown",
        query: "up == 0",
        for_s: 120,
        labels: CRITICAL,
        annotations: &[
            ("summary", "{{ $labels.instance }} does not answer"),
            ("description", "It could not be scraped for 2 minutes."),
            ("runbook_url", "https://runbooks.example.com/target-down"),
        ],
    },
    Rule {
        name: "ProbeFailing",
        query: "probe_success == 0",
        for_s: 120,
        labels: CRITICAL,
        annotations: &[
            ("summary", "New connections to {{ $labels.service }} fail"),
            ("description", "The probe from outside has failed for 2 minutes."),
            ("runbook_url", "https://runbooks.example.com/probe"),
        ],
    },
    Rule {
        name: "CertificateExpires",
        query: "probe_ssl_earliest_cert_expiry - time() < 7 * 86400",
        for_s: 0,
        labels: WARNING,
        annotations: &[
            ("summary", "The certificate of {{ $labels.service }} expires or has expired"),
            ("description", "It is valid for another {{ $value | humanizeDuration }}."),
            ("runbook_url", "https://runbooks.example.com/certificates"),
        ],
    },
    Rule {
        name: "UpstreamSlow",
        query: "sum by (service, team, upstream) (rate(http_client_request_duration_seconds_sum[5m])) \
                / sum by (service, team, upstream) (rate(http_client_request_duration_seconds_count[5m])) \
                > 2 * sum by (service, team, upstream) (rate(http_client_request_duration_seconds_sum[5m] offset 1h)) \
                / sum by (service, team, upstream) (rate(http_client_request_duration_seconds_count[5m] offset 1h))",
        for_s: 180,
        labels: WARNING,
        annotations: &[
            ("summary", "{{ $labels.upstream }} answers {{ $labels.service }} slowly"),
            (
                "description",
                "A call takes {{ $value | humanizeDuration }} on average, more than twice as long as an hour ago.",
            ),
            ("runbook_url", "https://runbooks.example.com/upstream"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Parsed;

    #[test]
    fn every_rule_can_be_evaluated_and_says_what_to_do() {
        for rule in GROUPS.iter().flat_map(|it| it.1) {
            assert!(Parsed::new(rule.query).is_ok(), "{}", rule.name);
            assert!(rule.labels.iter().any(|it| it.0 == "severity"), "{}", rule.name);
            for name in ["summary", "description", "runbook_url"] {
                assert!(rule.annotations.iter().any(|it| it.0 == name), "{}: {name}", rule.name);
            }
        }
    }
}
