//! What share of events failed, over each window: as rules recorded it, or as two counters say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tool::ToolError;

use super::burn::Slo;
use crate::{
    backends::prometheus::{Inquiry, InstantSeries, Moments, Outcome, Prometheus},
    labels::Labels,
};

/// Questions to one Prometheus at one moment.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) prometheus: &'a Prometheus,
    pub(super) now: Timestamp,
    pub(super) days: u64,
    pub(super) inquiry: &'a Inquiry,
}

/// Objectives, and what there is to say about them.
#[derive(Default)]
pub(super) struct Found {
    pub(super) slos: Vec<Slo>,
    pub(super) notes: Vec<String>,
    pub(super) not_looked_at: Vec<String>,
}

/// Labels that only say which window it is.
const WINDOW_LABELS: [&str; 2] = ["sloth_window", "window"];

/// One value for each set of labels.
pub(super) type Values = BTreeMap<Labels, f64>;

impl Asking<'_> {
    /// The values of a query by labels, without those that name the window.
    pub(super) async fn ask(&self, text: &str) -> Result<Values, ToolError> {
        let query = self.prometheus.compose(text)?;
        let answered = self.prometheus.query(&query, Moments::At(self.now), self.inquiry).await?;
        let Outcome::Vector(series) = answered.outcome else { return Ok(Values::new()) };
        let value = |it: InstantSeries| {
            let mut labels = it.metric;
            labels.retain(|name, _| name != "__name__" && !WINDOW_LABELS.contains(&name.as_str()));
            Some((labels, it.value?.0.1)).filter(|it| it.1.is_finite())
        };
        Ok(series.into_iter().filter_map(value).collect())
    }
}
