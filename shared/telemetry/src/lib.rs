//! What hears an OpenTelemetry receiver of what is served? Spans and metrics by the conventions for MCP, over OTLP.
//!
//! Of a request that is served there is one [`Operation`]: a span of kind SERVER and a measurement. What goes out to a system
//! behind while it is carried out is a span of kind CLIENT below it ([`leaving`]).
//!
//! * **Invariant:** nothing runs and nothing is kept where no receiver is configured: [`Telemetry::default`] is off, and
//!   everything here does nothing then.
//! * **Invariant:** what leaves is chosen here, one by one: no argument, no result, no reason, no person, no token. Of what a
//!   client writes only ids of bounded form do ([`Asked`]).
//! * **Invariant:** no call waits for a receiver. What does not fit the queue is dropped, counted and said.
//! * **Invariant:** the environment has no say: neither `OTEL_…` names a receiver, nor does it change what one is sent.
//! * **Invariant:** only this crate knows OpenTelemetry.

mod exporter;
mod leaving;
mod measures;
mod operation;
mod telemetry;

pub use exporter::{Post, Signal, Unsent};
pub use leaving::{Leaving, carried, leaving};
pub use operation::{Asked, Called, Failure, Operation, Transport};
pub use telemetry::{Exporting, Origin, Telemetry};
