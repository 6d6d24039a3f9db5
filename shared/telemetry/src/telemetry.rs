//! From what is configured to what is exported, and its end.

use std::{sync::Arc, time::Duration};

use opentelemetry::{KeyValue, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Operation, Post, Transport,
    exporter::{self, Queue},
    measures::Measures,
    operation::Asked,
};

/// Traces and metrics of what is served; off unless started.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<On>>);

/// What is there while it is on.
pub(crate) struct On {
    pub(crate) tracer: SdkTracer,
    pub(crate) measures: Measures,
}

/// Who exports.
#[derive(Clone, Debug)]
pub struct Origin {
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: &'static str,
    /// `service.instance.id`: another one in each process.
    pub instance: String,
    /// Further attributes of the resource.
    pub attributes: Vec<(String, String)>,
}

/// What exports, until it is ended.
pub struct Exporting {
    task: JoinHandle<()>,
    stop: CancellationToken,
    /// Both are kept: what is theirs ends when they are dropped.
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

/// How often metrics leave.
const INTERVAL: Duration = Duration::from_secs(30);
/// Longest that whoever ends still exports.
const LAST: Duration = Duration::from_secs(3);
/// Scope of what is exported.
const SCOPE: &str = "bailiwick";

impl Telemetry {
    /// Begins to export by `post`. Belongs into a runtime, where it runs in a task of its own.
    pub fn start(origin: Origin, post: Post) -> (Telemetry, Exporting) {
        let resource = resource(origin);
        let (queue, work) = Queue::new(&resource);
        let traces = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_span_processor(queue.clone())
            // What a caller traces and whatever nobody began; said, since the environment would be asked else.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_span_limits(SpanLimits::default())
            .build();
        let reader = PeriodicReader::builder(queue).with_interval(INTERVAL).build();
        let metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).build();
        let on = On { tracer: traces.tracer(SCOPE), measures: Measures::new(&metrics.meter(SCOPE)) };
        let stop = CancellationToken::new();
        let task = tokio::spawn(exporter::export(work, post, stop.clone()));
        (Telemetry(Some(Arc::new(on))), Exporting { task, stop, traces, metrics })
    }

    /// Whether anybody is told.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span of a request, where anybody is told.
    pub fn asked(&self, asked: impl FnOnce() -> Asked) -> Operation {
        Operation::begin(self.0.as_ref().map(|on| (on.clone(), asked())))
    }

    /// A session ended, after so long.
    pub fn session_ended(&self, transport: Transport, lasted: Duration) {
        if let Some(on) = &self.0 {
            on.measures.session(transport, lasted);
        }
    }
}

impl Exporting {
    /// Exports what is there by now, for a moment.
    pub async fn end(self) {
        let Exporting { mut task, stop, traces, metrics } = self;
        let all = async {
            // It waits for the thread that reads them.
            let _read = tokio::task::spawn_blocking(move || metrics.shutdown()).await;
            stop.cancel();
            (&mut task).await
        };
        if timeout(LAST, all).await.is_err() {
            task.abort();
            tracing::warn!("left before all telemetry was exported");
        }
        drop(traces);
    }
}

/// Built from nothing but this: the SDK would look into the environment.
fn resource(origin: Origin) -> Resource {
    let own = [
        KeyValue::new("service.name", origin.service),
        KeyValue::new("service.version", origin.version),
        KeyValue::new("service.instance.id", origin.instance),
    ];
    let further = origin.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
    Resource::builder_empty().with_attributes(own.into_iter().chain(further)).build()
}
