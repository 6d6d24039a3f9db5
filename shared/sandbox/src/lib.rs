//! A small production in one process, to rehearse on.
//!
//! A [`World`] follows from a [`Plan`]: a dozen services that call each other, hours of their metrics, what people
//! changed meanwhile, and at most one [`Fault`]. It goes on living, and what is done to it (a restart, a roll back)
//! changes what is measured next. Faces show it as production systems would.
//!
//! * **Invariant:** equal plans are equal worlds, sample by sample; `until` moves a world in time and changes nothing else.
//! * **Invariant:** nothing is marked. Metrics, changes and the repository hold only what production would show; what
//!   really goes on stands in [`World::truth`] alone.
//! * **Invariant:** what heals follows from the physics: the fault acts on whoever runs the guilty change, or on what
//!   nobody here can change.
//!
//! # How a fault comes about, and how to add one
//!
//! Requests run down the calls and answers run back up, once for every scrape (`world/step.rs`). A fault only bends what
//! that pass starts from, the `Strain` of the moment; slow callers, time-outs, retries and full queues follow by
//! themselves. So a fault is four small things, and the compiler asks for each:
//!
//! 1. a variant of [`Fault`] with its word, its title and what a person would see (`fault.rs`);
//! 2. in `fault/course.rs`, where it can strike, how hard, how fast, what `Strain` that is, and the metric that moves first;
//! 3. in `change/guilty.rs`, the change that brings it about, written like an innocent one, or none;
//! 4. nothing else: `tests/diagnosable.rs` then demands that its own metric moves first, that a plain rule finds it, and
//!    that a healthy world still accuses nobody.
//!
//! Four faults have no change of ours: a slow provider, a surge, a noisy neighbour and an expired certificate. For them
//! "what changed?" has the answer "nothing here", the truth names no change, and no innocent change of the place where
//! they show lies shortly before them; changes of other services do.
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
