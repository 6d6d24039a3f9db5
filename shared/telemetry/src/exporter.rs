//! How does what is told reach a receiver? Through a queue that is never waited for, and one task behind it.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry_proto::{
    tonic::collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{Span, SpanData, SpanProcessor},
};
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To `/v1/traces`.
    Traces,
    /// To `/v1/metrics`.
    Metrics,
}

/// Why it did not arrive. Holds nothing of what was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Unsent {
    /// What was wrong.
    pub problem: String,
    /// Whether it may work later.
    pub again: bool,
}

/// Sends one message to the receiver, under a deadline of its own.
pub type Post = Arc<dyn Fn(Signal, Vec<u8>) -> Sending + Send + Sync>;
type Sending = Pin<Box<dyn Future<Output = Result<(), Unsent>> + Send>>;

/// Where spans and metrics are put down. Putting down never waits.
#[derive(Clone)]
pub(crate) struct Queue {
    spans: mpsc::Sender<SpanData>,
    metrics: mpsc::Sender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// The other end of the queue.
pub(crate) struct Work {
    spans: mpsc::Receiver<SpanData>,
    metrics: mpsc::Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    resource: ResourceAttributesWithSchema,
}

/// What is on its way, and what did not arrive.
struct Sender {
    post: Post,
    stop: CancellationToken,
    /// How long it waits before it tries again for the first time.
    wait: Duration,
    /// Spans that were given up since it was said last.
    lost: u64,
    said: Option<Instant>,
}

/// Most spans that wait.
const SPANS_MAX: usize = 2048;
/// Most spans in a message.
const BATCH_MAX: usize = 512;
/// How long spans wait for others.
const GATHER: Duration = Duration::from_secs(1);
/// Waits between attempts grow from this.
const WAIT: Duration = Duration::from_secs(2);
/// Attempts to send the same spans; in all they take half a minute.
const ATTEMPTS: u32 = 5;
/// How often it is said that something is lost.
const SAY: Duration = Duration::from_secs(60);

impl Queue {
    pub(crate) fn new(resource: &Resource) -> (Queue, Work) {
        let (spans, waiting) = mpsc::channel(SPANS_MAX);
        // What is read later holds what was read before.
        let (metrics, read) = mpsc::channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let work =
            Work { spans: waiting, metrics: read, dropped: dropped.clone(), resource: resource.into() };
        (Queue { spans, metrics, dropped }, work)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        let sampled = span.span_context.is_sampled();
        if sampled && self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl PushMetricExporter for Queue {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let message = ExportMetricsServiceRequest::from(metrics).encode_to_vec();
        // While the one before is still on its way, this one is left out: its counts stand in the next.
        let _put_down = self.metrics.try_send(message);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// Sends what is put down until `stop` fires, and then what is left, once.
pub(crate) async fn export(mut work: Work, post: Post, stop: CancellationToken) {
    let mut sender = Sender { post, stop: stop.clone(), wait: WAIT, lost: 0, said: None };
    let mut batch = Vec::new();
    while !stop.is_cancelled() {
        tokio::select! {
            Some(message) = work.metrics.recv() => sender.metrics(message).await,
            more = gather(&mut work.spans, &mut batch) => {
                sender.spans(std::mem::take(&mut batch), &work.resource).await;
                if !more {
                    break;
                }
            }
            () = stop.cancelled() => {}
        }
        sender.say(work.dropped.swap(0, Ordering::Relaxed), false);
    }
    while let Ok(message) = work.metrics.try_recv() {
        sender.metrics(message).await;
    }
    loop {
        batch.extend(std::iter::from_fn(|| work.spans.try_recv().ok()).take(BATCH_MAX));
        if batch.is_empty() {
            break;
        }
        sender.spans(std::mem::take(&mut batch), &work.resource).await;
    }
    sender.say(work.dropped.swap(0, Ordering::Relaxed), true);
}

/// Waits for spans that end at about the same time; `false` once there are no more. May be dropped at any await: what was
/// taken is in the batch.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) -> bool {
    if batch.is_empty() && spans.recv_many(batch, BATCH_MAX).await == 0 {
        return false;
    }
    let end = Instant::now() + GATHER;
    while batch.len() < BATCH_MAX {
        match timeout_at(end, spans.recv_many(batch, BATCH_MAX)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    true
}

impl Sender {
    /// Metrics are cumulative: what is lost stands in the next message, so it is not sent again.
    async fn metrics(&mut self, message: Vec<u8>) {
        if let Err(unsent) = (self.post)(Signal::Metrics, message).await {
            tracing::debug!(%unsent, "metrics were not exported");
        }
    }

    /// Sends spans, again where that may help; what does not arrive is given up, and what ends meanwhile waits in the queue.
    async fn spans(&mut self, batch: Vec<SpanData>, resource: &ResourceAttributesWithSchema) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        for attempt in 1..=ATTEMPTS {
            let Err(unsent) = (self.post)(Signal::Traces, message.clone()).await else { return };
            if !unsent.again || attempt == ATTEMPTS || self.stop.is_cancelled() {
                tracing::debug!(%unsent, "spans were not exported");
                break;
            }
            tokio::select! {
                () = sleep(self.wait * (1 << (attempt - 1))) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.lost += count;
    }

    /// Says once in a while what was lost, and at the end whatever was not said yet.
    fn say(&mut self, dropped: u64, last: bool) {
        self.lost += dropped;
        let due = self.said.is_none_or(|it| it.elapsed() >= SAY);
        if self.lost > 0 && (due || last) {
            tracing::warn!(
                spans = self.lost,
                "telemetry was lost: the receiver does not take it, or not fast enough"
            );
            (self.lost, self.said) = (0, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// A queue with spans in it, and its other end.
    fn filled(spans: usize) -> (Queue, Work) {
        let (queue, work) = Queue::new(&Resource::builder_empty().build());
        let tracer = SdkTracerProvider::builder().with_span_processor(queue.clone()).build().tracer("test");
        (0..spans).for_each(|_| drop(tracer.start("a span")));
        (queue, work)
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_and_nobody_waits() {
        let (queue, mut work) = filled(SPANS_MAX + 7);
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 7);
        let mut batch = Vec::new();
        assert!(gather(&mut work.spans, &mut batch).await);
        assert_eq!(batch.len(), BATCH_MAX);
    }

    #[tokio::test]
    async fn the_rest_leaves_at_the_end_in_messages_of_bounded_size() {
        let (_queue, work) = filled(BATCH_MAX + 1);
        let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = sizes.clone();
        let post: Post = Arc::new(move |signal, message| {
            let request = ExportTraceServiceRequest::decode(message.as_slice()).expect("our own message");
            let spans = request.resource_spans.iter().flat_map(|it| &it.scope_spans).map(|it| it.spans.len());
            assert_eq!(signal, Signal::Traces);
            seen.lock().expect("nobody panics while holding it").push(spans.sum());
            Box::pin(async { Ok(()) })
        });
        let stop = CancellationToken::new();
        stop.cancel();
        export(work, post, stop).await;
        assert_eq!(*sizes.lock().expect("nobody panics while holding it"), [BATCH_MAX, 1]);
    }

    #[tokio::test]
    async fn spans_are_sent_again_for_a_while_and_then_given_up() {
        let (_queue, mut work) = filled(3);
        let tries = Arc::new(AtomicU64::new(0));
        let counted = tries.clone();
        let post: Post = Arc::new(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Unsent { problem: "it answered HTTP 503".to_owned(), again: true }) })
        });
        let mut sender =
            Sender { post, stop: CancellationToken::new(), wait: Duration::ZERO, lost: 0, said: None };
        let mut batch = Vec::new();
        gather(&mut work.spans, &mut batch).await;
        sender.spans(batch, &work.resource).await;
        assert_eq!((tries.load(Ordering::Relaxed), sender.lost), (u64::from(ATTEMPTS), 3));
        sender.say(4, false);
        assert_eq!(sender.lost, 0, "it was said");
        sender.say(2, false);
        assert_eq!(sender.lost, 2, "and not again a moment later");
        sender.say(0, true);
        assert_eq!(sender.lost, 0, "but at the end");
    }

    #[tokio::test]
    async fn what_would_be_refused_again_is_sent_once() {
        let (_queue, mut work) = filled(1);
        let tries = Arc::new(AtomicU64::new(0));
        let counted = tries.clone();
        let post: Post = Arc::new(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Unsent { problem: "it refused what was sent".to_owned(), again: false }) })
        });
        let mut sender =
            Sender { post, stop: CancellationToken::new(), wait: Duration::ZERO, lost: 0, said: None };
        let mut batch = Vec::new();
        gather(&mut work.spans, &mut batch).await;
        sender.spans(batch, &work.resource).await;
        assert_eq!((tries.load(Ordering::Relaxed), sender.lost), (1, 1));
    }
}
