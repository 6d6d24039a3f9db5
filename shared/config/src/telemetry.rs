//! Where do traces and metrics go?

use crate::{
    ConfigError, Http, address,
    document::Excerpt,
    interpret::Reading,
    table::{HttpTable, TelemetryTable},
};

/// A receiver of traces and metrics.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// How it is reached; `v1/traces` and `v1/metrics` are appended to the path.
    pub http: Http,
    /// What we are called there.
    pub service_name: String,
    /// What else is said of us, by name.
    pub attributes: Vec<(String, String)>,
}

/// Unless told.
const SERVICE_NAME: &str = "bailiwick";
/// Longest wait for a receiver.
const TIMEOUT_MS: u64 = 5_000;
/// Most bytes of a name or a value.
const BYTES_MAX: usize = 256;
/// Attributes of the resource that are not for a file to say.
const OURS: [&str; 3] = ["service.name", "service.version", "service.instance.id"];

impl Reading<'_, '_> {
    pub(crate) fn telemetry(&mut self, table: TelemetryTable) -> Result<Telemetry, ConfigError> {
        let wrong =
            |key: &str, problem: &str| self.document.wrong(&["telemetry", key], problem, Excerpt::HidesValue);
        let url = address::base(&table.otlp).map_err(|problem| wrong("otlp", &problem))?;
        if address::is_overheard(&url) && !table.plain {
            let problem = "plain HTTP stays on this machine: expected https://…; `plain = true` lets it cross the network";
            return Err(wrong("otlp", problem));
        }
        if ["/v1/traces", "/v1/metrics"].iter().any(|it| url.path().trim_end_matches('/').ends_with(it)) {
            return Err(wrong(
                "otlp",
                "`/v1/traces` and `/v1/metrics` are appended; give what stands before them",
            ));
        }
        let service_name = table.service_name.unwrap_or_else(|| SERVICE_NAME.to_owned());
        if !is_text(&service_name) {
            return Err(wrong("service_name", "expected 1 to 256 characters"));
        }
        for (name, value) in &table.attributes {
            let at = ["telemetry", "attributes", name];
            if OURS.contains(&name.as_str()) {
                let problem =
                    "this attribute is set here and cannot be configured; service_name names the service";
                return Err(self.document.wrong_key(&at, problem));
            }
            if !is_text(name) || !is_text(value) {
                return Err(self
                    .document
                    .wrong_key(&at, "expected a name and a value of 1 to 256 characters"));
            }
        }
        let reach = HttpTable {
            url: table.otlp,
            environment: None,
            region: None,
            team: None,
            tier: None,
            bearer: table.bearer,
            basic: table.basic,
            headers: table.headers,
            client_certificate: table.client_certificate,
            ca_file: table.ca_file,
            timeout_ms: Some(TIMEOUT_MS),
            matchers: Vec::new(),
            trust_labels: false,
        };
        let http = self.http(&["telemetry"], reach)?;
        Ok(Telemetry { http, service_name, attributes: table.attributes.into_iter().collect() })
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= BYTES_MAX && !text.contains(char::is_control)
}
