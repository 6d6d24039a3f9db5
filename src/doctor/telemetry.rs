//! Would a receiver hear of what is served?

use config::{Config, Telemetry};

use super::Check;
use crate::telemetry;

/// Whether the receiver takes a message, where there is one.
pub(super) async fn check(config: &Config) -> Option<Check> {
    let settings = config.telemetry.as_ref()?;
    Some(judged(settings, telemetry::knock(settings).await))
}

fn judged(settings: &Telemetry, told: Result<(), String>) -> Check {
    let url = &settings.http.url;
    match told {
        Ok(()) => Check::well("telemetry", format!("{url} takes traces and metrics")),
        Err(problem) => Check::broken(
            "telemetry",
            format!("{url}: {problem}"),
            "correct [telemetry] otlp, or the secret beside it; calls go on, and nobody hears of them there",
        ),
    }
}
