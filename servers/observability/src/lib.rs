//! Observability: is something wrong, since when, and where? Metrics from Prometheus, alerts from Alertmanager.
//!
//! * **Invariant:** PromQL is parsed here before anything leaves, and every selector of it carries the connection's
//!   forced matchers when it does.
//! * **Invariant:** what a query would cost is asked before the query is.
//! * **Invariant:** no silence is without an equality on `alertname`, and none is longer than 24 hours.
//! * **Invariant:** only [`tools::all`]'s writes reach a writing method of a backend: each takes a [`tool::Leave`].

mod backends;
mod cost;
mod figure;
#[cfg(test)]
mod fixture;
mod grid;
mod groups;
mod labels;
mod matcher;
mod promql;
pub mod signals;
mod statistics;
pub mod tools;

pub use backends::{Backends, BackendsError};
