//! A real Alertmanager with the alerts one gives it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fs, net::SocketAddr, process::Command};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{
    http,
    process::{Running, start_server},
};

/// An Alertmanager on a free loopback port; ended when dropped.
pub struct Alertmanager {
    address: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

/// An alert as Prometheus would send it. It fires for an hour from now on.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Names and values; `alertname` among them.
    pub labels: Vec<(String, String)>,
    /// Names and texts, e.g. `summary`.
    pub annotations: Vec<(String, String)>,
    /// RFC 3339; none means now.
    pub since: Option<String>,
}

impl Alert {
    /// An alert with a name and no other label.
    pub fn new(name: &str) -> Alert {
        Alert { labels: Vec::new(), annotations: Vec::new(), since: None }.label("alertname", name)
    }

    /// Adds a label.
    pub fn label(mut self, name: &str, value: impl Into<String>) -> Alert {
        self.labels.push((name.to_owned(), value.into()));
        self
    }

    /// Adds an annotation.
    pub fn annotation(mut self, name: &str, text: impl Into<String>) -> Alert {
        self.annotations.push((name.to_owned(), text.into()));
        self
    }

    /// Has it fire since then (RFC 3339).
    pub fn since(mut self, at: impl Into<String>) -> Alert {
        self.since = Some(at.into());
        self
    }

    fn json(&self) -> Value {
        let object = |pairs: &[(String, String)]| -> Map<String, Value> {
            pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        let mut alert = json!({ "labels": object(&self.labels), "annotations": object(&self.annotations) });
        if let Some(since) = &self.since {
            alert["startsAt"] = json!(since);
        }
        alert
    }
}

impl Alertmanager {
    /// Enough configuration for alerts that go nowhere and stay for an hour.
    pub const CONFIG: &str = "\
route: { receiver: nobody, group_by: [alertname], group_wait: 1s }
receivers: [{ name: nobody }]
global: { resolve_timeout: 1h }
";

    /// Starts one; `config` is its YAML, e.g. [`Self::CONFIG`] with inhibit rules after it.
    pub fn start(config: &str) -> Alertmanager {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("alertmanager.yml");
        fs::write(&file, config).expect("a temporary folder is writable");
        let command = |address: SocketAddr| {
            let mut command = Command::new("prometheus-alertmanager");
            command
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.path={}", folder.path().join("storage").display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--cluster.listen-address=", "--log.level=warn"]);
            command
        };
        let ready = |address| http::get(address, "/-/ready").is_ok_and(|it| it.status == 200);
        let (running, address) = start_server(&folder.path().join("log.txt"), command, ready);
        Alertmanager { address, _running: running, _folder: folder }
    }

    /// Has alerts fire. They show in its API when this returns.
    pub fn push(&self, alerts: &[Alert]) {
        let body = Value::from(alerts.iter().map(Alert::json).collect::<Vec<_>>()).to_string();
        let answer = http::post(self.address, "/api/v2/alerts", &body).expect("Alertmanager answers");
        assert_eq!(answer.status, 200, "Alertmanager: {}", answer.body);
    }

    /// Its silences, as its API gives them: what really happened.
    pub fn silences(&self) -> Vec<Value> {
        let answer = http::get(self.address, "/api/v2/silences").expect("Alertmanager answers");
        serde_json::from_str(&answer.body).expect("Alertmanager answers JSON")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pushed_alert_fires_at_once() {
        let alertmanager = Alertmanager::start(Alertmanager::CONFIG);
        let alert = Alert::new("HighErrorRate").label("service", "checkout-api").annotation("summary", "5xx");
        alertmanager.push(&[alert.since("2026-01-31T10:00:00Z")]);
        let answer = http::get(alertmanager.address(), "/api/v2/alerts").expect("answers");
        let alerts: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(alerts[0]["labels"]["service"], "checkout-api");
        assert_eq!(alerts[0]["startsAt"], "2026-01-31T10:00:00.000Z");
        assert!(alertmanager.silences().is_empty());
    }
}
