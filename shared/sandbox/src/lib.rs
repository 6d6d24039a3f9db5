//! A small production in one process, to rehearse on.
//!
//! A [`Plan`] makes a [`World`]: services with a call graph, traffic, changes and a fault. What it measures goes into a
//! store in memory, rules are evaluated over it as over a real one's, and [`Sandbox`] has its faces listen on loopback:
//! each speaks a system's own API so closely that the production client cannot tell. Add a face in `faces.rs`.
//!
//! What it costs: a sample takes 16 bytes, so that six hours of 1,200 series at 30 seconds are 13 MB;
//! up to 2,000 series at 15 seconds stay below 100 MB.
//!
//! * **Invariant:** faces listen on 127.0.0.1 only, and no longer than their sandbox lives.
//! * **Invariant:** a query comes to what Prometheus makes of it, or is refused; tests compare with a real one.
//! * **Invariant:** a face shows what was measured, never the world's truth.
//! * **Invariant:** locks are taken in one order (world, samples, silences; then the repository), none across an await.

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
