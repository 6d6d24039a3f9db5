//! Is it alive, is it ready, what does it count? For orchestrators and Prometheus; nothing here names a caller.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use audit::Standing;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use gate::Gate;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::answer;
use crate::Metrics;

/// Asks every system behind whether it answers.
pub type Reach = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Reached> + Send>> + Send + Sync>;

/// How many systems answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Of these.
    pub asked: usize,
    /// So many.
    pub answered: usize,
}

/// What the three pages look at.
pub(crate) struct Health {
    gates: Vec<(String, Arc<Gate>)>,
    reach: Reach,
    lately: Mutex<Option<(Instant, Reached)>>,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
}

/// Whoever may ask must not make us ask everybody each time.
const KEPT: Duration = Duration::from_secs(10);
/// Longest that a page waits for a count.
const COUNTED: Duration = Duration::from_secs(1);

impl Health {
    pub(crate) fn new(
        gates: Vec<(String, Arc<Gate>)>,
        reach: Reach,
        stop: CancellationToken,
        metrics: Arc<Metrics>,
    ) -> Health {
        Health { gates, reach, lately: Mutex::default(), stop, metrics }
    }

    async fn reached(&self) -> Reached {
        // Held across the asking on purpose: whoever comes meanwhile waits for the same answer.
        let mut lately = self.lately.lock().await;
        match *lately {
            Some((at, reached)) if at.elapsed() < KEPT => reached,
            _ => {
                let reached = (self.reach)().await;
                *lately = Some((Instant::now(), reached));
                reached
            }
        }
    }

    /// Whether a policy that was to replace the one in force was refused.
    fn keeps_policy(&self) -> bool {
        self.gates.iter().any(|(_, gate)| gate.in_force().is_kept())
    }

    /// How many break-glasses have ended and wait for another person's look; none where nobody knows right now.
    async fn unreviewed(&self) -> Option<u64> {
        let store = self.gates.iter().find_map(|(_, gate)| gate.approvals()?.opened())?;
        let counted = tokio::time::timeout(COUNTED, store.unreviewed_glasses(Timestamp::now())).await;
        counted.ok()?.ok()
    }

    /// A line for each thing that must hold, and whether all do.
    async fn checks(&self) -> (bool, String) {
        let mut ready = !self.stop.is_cancelled();
        let mut lines = vec![format!("serving: {}", if ready { "yes" } else { "no, stopping" })];
        for (word, gate) in &self.gates {
            let standing = match gate.log().standing() {
                Standing::Open => "open",
                Standing::ReadsOnly { .. } => "reads only",
                Standing::Closed { .. } => "closed",
            };
            ready &= standing != "closed";
            lines.push(format!("log of {word}: {standing}"));
        }
        // A gate has a policy from the start: what does not load does not serve, and replaces nothing.
        lines.push(match self.keeps_policy() {
            false => "policy: loaded".to_owned(),
            true => "policy: loaded; the last change of it was refused, see the log".to_owned(),
        });
        let reached = self.reached().await;
        // One system that is down is no reason to take away the tools of all others.
        ready &= reached.asked == 0 || reached.answered > 0;
        lines.push(format!("backends: {} of {} answer", reached.answered, reached.asked));
        (ready, lines.join("\n") + "\n")
    }
}

/// `/healthz`: the process answers.
pub(crate) async fn alive() -> Response {
    answer::text(StatusCode::OK, PLAIN, "alive\n")
}

/// `/readyz`: calls would be carried out.
pub(crate) async fn ready(State(health): State<Arc<Health>>) -> Response {
    let (ready, lines) = health.checks().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::text(status, PLAIN, lines)
}

/// `/metrics`, as Prometheus reads it. A page in somebody's browser may not.
pub(crate) async fn metrics(State(health): State<Arc<Health>>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::ORIGIN) {
        return answer::text(StatusCode::FORBIDDEN, PLAIN, "not for pages\n");
    }
    let mut page = health.metrics.page();
    page.push_str("# HELP bailiwick_log_writable Whether the log takes records of effects.\n");
    page.push_str("# TYPE bailiwick_log_writable gauge\n");
    for (word, gate) in &health.gates {
        let open = u8::from(gate.log().standing() == Standing::Open);
        page.push_str(&format!("bailiwick_log_writable{{server=\"{word}\"}} {open}\n"));
    }
    page.push_str(
        "# HELP bailiwick_policy_change_refused Whether the last change of the policy was refused.\n",
    );
    page.push_str("# TYPE bailiwick_policy_change_refused gauge\n");
    page.push_str(&format!("bailiwick_policy_change_refused {}\n", u8::from(health.keeps_policy())));
    if let Some(unreviewed) = health.unreviewed().await {
        page.push_str(
            "# HELP bailiwick_break_glass_unreviewed Break-glasses that wait for another person's review.\n",
        );
        page.push_str("# TYPE bailiwick_break_glass_unreviewed gauge\n");
        page.push_str(&format!("bailiwick_break_glass_unreviewed {unreviewed}\n"));
    }
    answer::text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
}

const PLAIN: &str = "text/plain; charset=utf-8";
