//! Observability: is something wrong, since when, and where? Metrics from Prometheus, alerts from Alertmanager.
//!
//! * **Invariant:** PromQL is parsed here before anything leaves, and every selector of it carries the connection's
//!   forced matchers when it does: only a `promql::Confined` query is sent, and only `Forced::confine` makes one.
//! * **Invariant:** what a system warns of is told with whatever it answered.
//! * **Invariant:** what a query would cost is asked before the query is.
//! * **Invariant:** no silence is without an equality on `alertname`, and none is longer than 24 hours.
//! * **Invariant:** only [`tools::all`]'s writes reach a writing method of a backend: each takes a [`tool::Leave`].
//!
//! A connection of kind `prometheus` is whatever answers `/api/v1/query`. What differs where it is no Prometheus, as
//! `tests/stores.rs` holds it for VictoriaMetrics; answers say it in their notes where it matters:
//!
//! | asked for | Prometheus | VictoriaMetrics |
//! | --- | --- | --- |
//! | types and help of metrics | told by targets | unknown: `find_metrics` has no help, kinds come from names; `find_signals` finds the same by names |
//! | rules and their alerts | evaluated by itself | by vmalert, where the store is started with `-vmalert.proxyURL` and the address has no path `/prometheus`; every alert then has the label `alertgroup`. Without, `explain_alert` knows the past alone, from the series `ALERTS` |
//! | scrape targets | told with their errors | empty where samples are pushed: `list_targets` reads the series `up`, which know no errors |
//! | a series that ends | is there for five minutes more | is gone after its usual distance of samples: `find_signals` tells it earlier |
//! | values, courses, burn rates | | the same |

mod backends;
mod cost;
mod expression;
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
