//! A small production in one process, to rehearse on.

mod change;
mod error;
mod estate;
mod faces;
mod fault;
mod metrics;
mod plan;
mod production;
mod promql;
mod random;
mod rules;
mod sandbox;
mod store;
mod world;

pub use change::{Change, ChangeKind, Edit, Person};
pub use error::SandboxError;
pub use estate::{Dependency, Pod, Service};
pub use faces::git::GitFace;
pub use fault::Fault;
pub use metrics::{METRICS, Metric, MetricKind, Sample, Series};
pub use plan::Plan;
pub use sandbox::Sandbox;
pub use world::{Truth, World};
