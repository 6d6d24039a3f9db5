//! What may stand in `[telemetry]`?

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{BasicTable, CertificateTable, HeaderTable, SecretTable};

/// Where traces and metrics of `bailiwick serve` go: over OTLP, as HTTP with protocol buffers. The environment (`OTEL_…`) has no say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table { otlp }")]
#[schemars(rename = "Telemetry")]
pub(crate) struct TelemetryTable {
    /// Address of the receiver, without `/v1/traces` and `/v1/metrics`, e.g. `https://otlp.example.com` or `http://127.0.0.1:4318`.
    pub otlp: String,
    /// Whether plain HTTP may go beyond this machine; false unless told.
    #[serde(default)]
    pub plain: bool,
    /// `service.name`; `bailiwick` unless told.
    pub service_name: Option<String>,
    /// Further attributes of the resource, e.g. `{ "deployment.environment.name" = "production" }`.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Token for `Authorization: Bearer`, e.g. `{ env = "OTLP_TOKEN" }`.
    pub bearer: Option<SecretTable>,
    /// User name and password.
    pub basic: Option<BasicTable>,
    /// Further headers; a secret one from `{ env = "NAME" }` or `{ file = "PATH" }`.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderTable>,
    /// What we show to a receiver that asks for a certificate (mTLS).
    pub client_certificate: Option<CertificateTable>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}
