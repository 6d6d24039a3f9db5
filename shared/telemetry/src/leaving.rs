//! What is told of a request that goes out while another is carried out.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span>: method, host and status. Neither path nor query
//! leave, which hold arguments.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};

use crate::telemetry::On;

/// What a span needs that stands below another.
type Above = (Arc<On>, Context);

tokio::task_local! {
    /// What is carried out here; none where nobody is told.
    static ABOVE: Option<Above>;
}

/// One request on its way out; answered or not, it ends when this is dropped.
pub struct Leaving(Option<Context>);

/// Carries out something below a span. Without a block of its own, which would hold the work twice.
pub(crate) fn below<F: Future>(
    above: Option<Above>,
    carrying_out: F,
) -> impl Future<Output = F::Output> + use<F> {
    ABOVE.scope(above, carrying_out)
}

/// The same work, for the same request, in another task.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    below(ABOVE.try_with(Clone::clone).ok().flatten(), work)
}

/// A request to a configured connection leaves. Nothing is told of one that is for nobody's call.
pub fn leaving(connection: &str, method: &str, host: Option<&str>, port: Option<u16>) -> Leaving {
    let begin = |(on, above): &Above| {
        let text = |key: &'static str, it: &str| KeyValue::new(key, it.to_owned());
        let mut attributes =
            vec![text("http.request.method", method), text("bailiwick.connection", connection)];
        attributes.extend(host.map(|it| text("server.address", it)));
        attributes.extend(port.map(|it| KeyValue::new("server.port", i64::from(it))));
        let builder = on.tracer.span_builder(method.to_owned()).with_kind(SpanKind::Client);
        let span = on.tracer.build_with_context(builder.with_attributes(attributes), above);
        Context::new().with_span(span)
    };
    Leaving(ABOVE.try_with(|it| it.as_ref().map(begin)).ok().flatten())
}

impl Leaving {
    /// What the system behind is told, so that its own spans stand below: `traceparent`, which holds two random numbers. What a
    /// client wrote into `tracestate` or `baggage` goes no further.
    pub fn traceparent(&self) -> Option<String> {
        let span = self.0.as_ref()?.span();
        let context = span.span_context();
        let flags = context.trace_flags().to_u8();
        Some(format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
    }

    /// It was answered, with this status of HTTP.
    pub fn answered(&mut self, status: u16) {
        let Some(span) = self.0.take() else { return };
        let span = span.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 400 {
            span.set_attribute(KeyValue::new("error.type", status.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            let span = span.span();
            span.set_attribute(KeyValue::new("error.type", "no_answer"));
            span.set_status(Status::error(""));
            span.end();
        }
    }
}
