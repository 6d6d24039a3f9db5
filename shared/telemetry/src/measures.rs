//! What is measured. Attributes are closed words only, so that there are few series.
//! <https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md#metrics>

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use crate::{Called, Transport, operation::told_transport};

/// Instruments of one process.
pub(crate) struct Measures {
    operations: Histogram<f64>,
    sessions: Histogram<f64>,
    calls: Counter<u64>,
}

/// Upper bounds in seconds, as the conventions advise.
const BOUNDS: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

impl Measures {
    pub(crate) fn new(meter: &Meter) -> Measures {
        let histogram = |name: &'static str, what: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(BOUNDS.to_vec()).build()
        };
        Measures {
            operations: histogram(
                "mcp.server.operation.duration",
                "From the arrival of an MCP request to its answer.",
            ),
            sessions: histogram(
                "mcp.server.session.duration",
                "From the beginning of an MCP session to its end.",
            ),
            calls: meter
                .u64_counter("bailiwick.calls")
                .with_unit("{call}")
                .with_description("Tool calls by how they were decided and how they ended.")
                .build(),
        }
    }

    pub(crate) fn operation(&self, took: Duration, attributes: &[KeyValue]) {
        self.operations.record(took.as_secs_f64(), attributes);
    }

    pub(crate) fn session(&self, transport: Transport, lasted: Duration) {
        self.sessions.record(lasted.as_secs_f64(), &told_transport(transport));
    }

    pub(crate) fn call(&self, tool: &str, called: &Called) {
        let attributes = [
            KeyValue::new("bailiwick.server", called.server.clone()),
            KeyValue::new("gen_ai.tool.name", tool.to_owned()),
            KeyValue::new("bailiwick.decision", called.decision),
            KeyValue::new("bailiwick.ended", called.ended),
        ];
        self.calls.add(1, &attributes);
    }
}
