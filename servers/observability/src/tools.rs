//! Every tool of this server, in the order clients see them.

mod alerts;
mod expire_silence;
mod explain_alert;
mod find_metrics;
mod find_signals;
mod list_alerts;
mod list_targets;
mod plot_metrics;
mod query_metrics;
mod series;
mod show_slo;
mod silence_alert;

use schemars::Schema;
use serde_json::Value;
use tool::{Listing, define};

use crate::Backends;

/// The list. A new tool is a file, a `mod` above and a line here.
pub fn all() -> Vec<Listing<Backends>> {
    vec![
        define::<find_signals::FindSignals>(),
        define::<query_metrics::QueryMetrics>(),
        define::<find_metrics::FindMetrics>(),
        define::<list_alerts::ListAlerts>(),
        define::<silence_alert::SilenceAlert>(),
        define::<explain_alert::ExplainAlert>(),
        define::<expire_silence::ExpireSilence>(),
        define::<list_targets::ListTargets>(),
        define::<show_slo::ShowSlo>(),
        define::<plot_metrics::PlotMetrics>(),
    ]
}

/// Leaves out of a schema of facts what no reader needs and every request pays for: which facts are always there, and
/// that a count is not negative.
fn plain(schema: &mut Schema) {
    schema.remove("required");
    if let Some(Value::Object(facts)) = schema.get_mut("properties") {
        facts.values_mut().filter_map(Value::as_object_mut).for_each(|it| {
            it.remove("minimum");
        });
    }
}
