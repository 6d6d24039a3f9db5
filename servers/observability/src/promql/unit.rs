//! In which unit is a result, as far as names tell?

use promql_parser::parser::Expr;

/// Suffixes that Prometheus' naming rules give units: <https://prometheus.io/docs/practices/naming/>
const UNITS: [(&str, &str); 10] = [
    ("_seconds", "seconds"),
    ("_milliseconds", "milliseconds"),
    ("_bytes", "bytes"),
    ("_ratio", "ratio"),
    ("_percent", "percent"),
    ("_celsius", "celsius"),
    ("_volts", "volts"),
    ("_amperes", "amperes"),
    ("_joules", "joules"),
    ("_meters", "meters"),
];
const PER_SECOND: [(&str, &str); 3] =
    [("seconds", "seconds per second"), ("bytes", "bytes per second"), ("", "per second")];

/// The unit, when names and functions leave no doubt.
pub(super) fn guess(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::VectorSelector(it) => it.name.as_deref().and_then(of_name),
        Expr::MatrixSelector(it) => it.vs.name.as_deref().and_then(of_name),
        Expr::Paren(it) => guess(&it.expr),
        Expr::Unary(it) => guess(&it.expr),
        Expr::Subquery(it) => guess(&it.expr),
        Expr::Aggregate(it) => match it.op.to_string().as_str() {
            "sum" | "avg" | "min" | "max" | "topk" | "bottomk" | "quantile" | "stddev" => guess(&it.expr),
            _ => None,
        },
        Expr::Call(call) => {
            let inner = || call.args.args.last().and_then(|it| guess(it));
            match call.func.name {
                "rate" | "irate" | "deriv" => {
                    let unit = inner().unwrap_or_default();
                    PER_SECOND.iter().find(|it| it.0 == unit).map(|it| it.1)
                }
                "histogram_quantile" => call.args.args.last().and_then(|it| bucket(it)),
                "increase" | "delta" | "idelta" | "abs" | "sort" | "sort_desc" => inner(),
                "avg_over_time" | "max_over_time" | "min_over_time" | "last_over_time" => inner(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn of_name(name: &str) -> Option<&'static str> {
    let bare = ["_total", "_sum"].iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name);
    UNITS.iter().find(|it| bare.ends_with(it.0)).map(|it| it.1)
}

/// The unit of the buckets inside a quantile, through whatever sums and rates stand around them.
fn bucket(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::VectorSelector(it) => of_name(it.name.as_deref()?.strip_suffix("_bucket")?),
        Expr::MatrixSelector(it) => of_name(it.vs.name.as_deref()?.strip_suffix("_bucket")?),
        Expr::Aggregate(it) => bucket(&it.expr),
        Expr::Paren(it) => bucket(&it.expr),
        Expr::Call(call) => call.args.args.last().and_then(|it| bucket(it)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Query;

    #[test]
    fn a_unit_is_guessed_only_where_names_leave_no_doubt() {
        for (query, unit) in [
            ("process_resident_memory_bytes", Some("bytes")),
            ("sum by (a) (rate(http_requests_total[5m]))", Some("per second")),
            ("rate(node_network_receive_bytes_total[5m])", Some("bytes per second")),
            ("histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))", Some("seconds")),
            ("avg_over_time(disk_used_ratio[1h])", Some("ratio")),
            ("a_seconds / b_seconds", None),
            ("count(a_bytes)", None),
            ("up", None),
            ("time()", None),
        ] {
            assert_eq!(Query::parse(query).expect(query).unit(), unit, "{query}");
        }
    }
}
