//! From `[telemetry]` to what is told there, by the one way out.

use std::sync::Arc;

use config::{Config, Telemetry as Settings};
use outbound::{Endpoint, Undelivered};
use telemetry::{Exporting, Origin, Post, Signal, Telemetry, Unsent};

/// What errors and lines call the receiver.
const NAME: &str = "telemetry";
/// <https://opentelemetry.io/docs/specs/otlp/#binary-protobuf-encoding>
const PROTOBUF: &str = "application/x-protobuf";

/// Begins, where a receiver is configured; else nothing is there.
pub(crate) fn start(config: &Config) -> anyhow::Result<(Telemetry, Option<Exporting>)> {
    let Some(settings) = &config.telemetry else { return Ok((Telemetry::default(), None)) };
    let receiver = Arc::new(Endpoint::new(NAME, &settings.http)?);
    let origin = Origin {
        service: settings.service_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        instance: instance()?,
        attributes: settings.attributes.clone(),
    };
    let post: Post = Arc::new(move |signal, message| {
        let receiver = receiver.clone();
        Box::pin(async move { told(receiver.tell(path(signal), PROTOBUF, message).await) })
    });
    let (telemetry, exporting) = Telemetry::start(origin, post);
    Ok((telemetry, Some(exporting)))
}

/// Tells a receiver nothing, to see whether it takes that: an empty message is one.
pub(crate) async fn knock(settings: &Settings) -> Result<(), String> {
    let receiver = Endpoint::new(NAME, &settings.http).map_err(|it| it.to_string())?;
    let told = receiver.tell(path(Signal::Metrics), PROTOBUF, Vec::new()).await;
    told.map_err(|it| it.to_string())
}

fn path(signal: Signal) -> &'static [&'static str] {
    match signal {
        Signal::Traces => &["v1", "traces"],
        Signal::Metrics => &["v1", "metrics"],
    }
}

fn told(sent: Result<(), Undelivered>) -> Result<(), Unsent> {
    sent.map_err(|it| match it {
        Undelivered::Later { problem, .. } => Unsent { problem, again: true },
        Undelivered::Never { problem } => Unsent { problem, again: false },
    })
}

/// Another one in each process: random, since replicas may share every name.
fn instance() -> anyhow::Result<String> {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(random.iter().map(|it| format!("{it:02x}")).collect())
}
