//! Real systems of record, made for one test and gone with it.

mod alertmanager;
mod answer;
mod git;
mod history;
mod hostile;
mod openid;
mod otlp;
mod postgres;
mod prometheus;
mod recorder;
mod store;
mod victoria_metrics;

pub use alertmanager::{Alert, Alertmanager};
pub use answer::{Behaviour, Hold, Observer};
pub use git::{Commit, GitRepository};
pub use history::{History, Series, incident_history};
pub use hostile::HostileRepository;
pub use openid::{Browser, OpenIdProvider};
pub use otlp::{OtlpCollector, OtlpTap, Point, Span};
pub use postgres::Postgres;
pub use prometheus::Prometheus;
pub use recorder::{Recorded, Recorder};
pub use store::ObjectStore;
pub use victoria_metrics::VictoriaMetrics;
