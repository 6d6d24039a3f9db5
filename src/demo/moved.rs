//! What moved, where, and since when? The agent looks at what is measured of every service, and compares it with before.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    agent::Agent,
    cause,
    table::{cell, clock, figure, label, rows},
    tell::{Step, Tone},
};
use crate::family::Server;

/// Something that is not as it was before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moved {
    /// What is measured: `failed requests`.
    pub(super) what: &'static str,
    /// A service, a node, or somebody outside.
    pub(super) place: String,
    pub(super) onset: Timestamp,
    pub(super) before: f64,
    pub(super) after: f64,
    pub(super) nature: Nature,
}

/// Which way a movement spreads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// From whoever is called to whoever calls: errors and slowness.
    Trouble,
    /// From whoever calls to whoever is called: requests.
    Load,
}

/// What moved, and what stands on what.
pub(super) struct Picture {
    /// Earliest first.
    pub(super) moved: Vec<Moved>,
    /// A service, and one that it calls or a node that it runs on.
    pub(super) calls: Vec<(String, String)>,
    /// The movement that no other explains.
    pub(super) first: Moved,
}

/// One thing that is measured everywhere.
struct Measure {
    what: &'static str,
    query: &'static str,
    /// Label that says where.
    at: &'static str,
    /// Smallest change that counts, and the smallest part of what it was before.
    least: (f64, f64),
    nature: Nature,
}

const WINDOW: &str = "2h";
const STEP_S: i64 = 90;
const SHOWN: usize = 6;
/// Points that a movement has to last.
const LASTS: usize = 3;
/// Points right after its beginning of which most are away too: a spike shortly before is not its beginning.
const SOON: usize = 5;

const MEASURES: [Measure; 8] = [
    Measure {
        what: "failed requests",
        query: r#"sum by (service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (service) (rate(http_requests_total[2m]))"#,
        at: "service",
        least: (0.01, 1.0),
        nature: Nature::Trouble,
    },
    Measure {
        what: "response time",
        query: "sum by (service) (rate(http_request_duration_seconds_sum[2m])) / sum by (service) (rate(http_request_duration_seconds_count[2m]))",
        at: "service",
        least: (0.01, 0.25),
        nature: Nature::Trouble,
    },
    Measure {
        what: "bytes of memory",
        query: "max by (service) (container_memory_working_set_bytes)",
        at: "service",
        least: (8e6, 0.12),
        nature: Nature::Trouble,
    },
    Measure {
        what: "connections of their maximum",
        query: "max by (service) (db_pool_connections_in_use / db_pool_connections_max)",
        at: "service",
        least: (0.25, 0.4),
        nature: Nature::Trouble,
    },
    Measure {
        what: "requests a second",
        query: "sum by (service) (rate(http_requests_total[2m]))",
        at: "service",
        least: (1.0, 0.3),
        nature: Nature::Load,
    },
    Measure {
        what: "time of calls to it",
        query: "sum by (upstream) (rate(http_client_request_duration_seconds_sum[2m])) / sum by (upstream) (rate(http_client_request_duration_seconds_count[2m]))",
        at: "upstream",
        least: (0.02, 0.5),
        nature: Nature::Trouble,
    },
    Measure {
        what: "stolen processor time",
        query: r#"sum by (node) (rate(node_cpu_seconds_total{mode="steal"}[2m])) / sum by (node) (rate(node_cpu_seconds_total[2m]))"#,
        at: "node",
        least: (0.05, 1.0),
        nature: Nature::Trouble,
    },
    Measure {
        what: "new connections that succeed",
        query: "min by (service) (probe_success)",
        at: "service",
        least: (0.5, 0.5),
        nature: Nature::Trouble,
    },
];
/// What a service stands on: whom it calls, and where it runs. Query, and the label that says so.
const STANDS_ON: [(&str, &str); 2] = [
    ("sum by (service, upstream) (rate(http_client_requests_total[5m]))", "upstream"),
    ("count by (service, node) (container_memory_working_set_bytes)", "node"),
];

impl Agent<'_> {
    /// Step: what moved, and which movement came first.
    pub(super) async fn what_moved(&mut self) -> anyhow::Result<Picture> {
        let mut step = Step::new("moved", "What moved, and what moved first?");
        let mut moved = Vec::new();
        for measure in &MEASURES {
            let arguments = json!({
                "query": measure.query, "window": WINDOW, "step_seconds": STEP_S, "max_tokens": 8_000,
            });
            let answer = self.read(&mut step, Server::Observability, "query_metrics", arguments).await?;
            moved.extend(rows(&answer).iter().filter_map(|it| measure.moved(it)));
        }
        moved.sort_by(|a, b| (a.onset, &a.place, a.what).cmp(&(b.onset, &b.place, b.what)));
        let calls = self.calls(&mut step).await?;
        let first = cause::first(&moved, &calls);
        let first = first.ok_or_else(|| step.broken("something that moved", "nothing"))?.clone();
        step.line(Tone::Key, format!("{}  <- first", first.told()));
        for it in moved.iter().filter(|it| **it != first).take(SHOWN) {
            step.line(Tone::Fact, it.told());
        }
        if moved.len() > SHOWN + 1 {
            step.line(Tone::Quiet, format!("and {} more", moved.len() - SHOWN - 1));
        }
        step.found(json!({ "moved": moved.len(), "first": { "place": first.place, "what": first.what, "onset": first.onset } }));
        self.teller.tell(step).await?;
        Ok(Picture { moved, calls, first })
    }

    /// What each service stands on.
    async fn calls(&mut self, step: &mut Step) -> anyhow::Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for (query, on) in STANDS_ON {
            let asked = json!({ "query": query, "max_tokens": 4_000 });
            let answer = self.read(step, Server::Observability, "query_metrics", asked).await?;
            all.extend(rows(&answer).iter().map(|row| {
                let labels = cell(row, "labels");
                (label(&labels, "service").to_owned(), label(&labels, on).to_owned())
            }));
        }
        Ok(all)
    }
}

impl Moved {
    /// `03:58  checkout  failed requests 0.001 -> 0.21`
    pub(super) fn told(&self) -> String {
        let Moved { what, place, onset, before, after, .. } = self;
        format!("{}  {place:<14} {what} {} -> {}", clock(*onset), figure(*before), figure(*after))
    }
}

impl Measure {
    /// Whether one row of points moved.
    fn moved(&self, row: &serde_json::Map<String, Value>) -> Option<Moved> {
        let labels = cell(row, "labels");
        let place = label(&labels, self.at).to_owned();
        let values = row.get("values")?.as_array()?;
        let points: Vec<f64> = values.iter().map(|it| it.as_f64().unwrap_or(f64::NAN)).collect();
        let (index, before, after) = onset(&points, self.least)?;
        let first_s = row.get("first_at_s")?.as_i64()?;
        let onset = Timestamp::from_second(first_s + STEP_S * i64::try_from(index).ok()?).ok()?;
        Some(Moved { what: self.what, place, onset, before, after, nature: self.nature })
    }
}

/// First point from which on values stay away from what the first third was, with the usual value before and after.
fn onset(points: &[f64], (least, part): (f64, f64)) -> Option<(usize, f64, f64)> {
    let before = median(&points[..points.len() / 3])?;
    let deviations: Vec<f64> = points[..points.len() / 3].iter().map(|it| (it - before).abs()).collect();
    let usual = median(&deviations)?;
    let far = least.max(part * before.abs()).max(6.0 * usual);
    let is_away = |it: &f64| (it - before).abs() > far;
    let lasts = |at: &usize| {
        let rest: Vec<&f64> = points[*at..].iter().filter(|it| it.is_finite()).collect();
        let away = rest.iter().filter(|it| is_away(it)).count();
        let soon = rest.iter().take(SOON).filter(|it| is_away(it)).count();
        is_away(&points[*at])
            && rest.len() >= LASTS
            && away * 10 >= rest.len() * 8
            && soon * 10 > rest.len().min(SOON) * 7
    };
    let mut at = (points.len() / 3..points.len()).find(lasts)?;
    // Where it left what is usual, not only where it was far away.
    while at > 1 && (points[at - 1] - before).abs() > far / 3.0 {
        at -= 1;
    }
    Some((at, before, median(&points[points.len() - LASTS..])?))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_and_a_climb_are_found_where_they_begin() {
        let mut jump = vec![1.0; 30];
        jump.extend([5.0; 15]);
        assert_eq!(onset(&jump, (0.1, 0.2)), Some((30, 1.0, 5.0)));
        let climb: Vec<f64> = (0..45).map(|it| 1.0 + f64::from((it - 25).max(0)) * 0.1).collect();
        let (at, ..) = onset(&climb, (0.1, 0.3)).expect("it climbs");
        assert!((26..=29).contains(&at), "{at}");
    }

    #[test]
    fn noise_and_what_is_over_are_no_movement() {
        let noise: Vec<f64> = (0..45).map(|it| 1.0 + f64::from(it % 3) * 0.01).collect();
        assert_eq!(onset(&noise, (0.1, 0.2)), None);
        let mut over = vec![1.0; 20];
        over.extend([9.0; 5]);
        over.extend([1.0; 20]);
        assert_eq!(onset(&over, (0.1, 0.2)), None);
        let mut spike = vec![1.0; 33];
        spike[28] = 9.0;
        spike.extend([5.0; 20]);
        assert_eq!(onset(&spike, (0.1, 0.2)), Some((33, 1.0, 5.0)), "a spike shortly before");
        assert_eq!(onset(&[f64::NAN; 9], (0.1, 0.2)), None);
        assert_eq!(onset(&[], (0.1, 0.2)), None);
    }
}
