//! Every tool of this server, in the order clients see them.

mod alerts;
mod list_alerts;
mod query_metrics;
mod series;
mod silence_alert;

use tool::{Listing, define};

use crate::Backends;

/// The list. A new tool is a file, a `mod` above and a line here.
pub fn all() -> Vec<Listing<Backends>> {
    vec![
        define::<query_metrics::QueryMetrics>(),
        define::<list_alerts::ListAlerts>(),
        define::<silence_alert::SilenceAlert>(),
    ]
}
