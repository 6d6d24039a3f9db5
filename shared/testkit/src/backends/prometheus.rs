//! A real Prometheus with a past.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fmt::Display, fs, net::SocketAddr, process::Command, time::SystemTime};

use tempfile::TempDir;

use crate::{
    http,
    process::{Running, start_server},
};

/// A Prometheus on a free loopback port; ended when dropped.
pub struct Prometheus {
    address: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one whose past is `history`: a [`crate::backends::History`] or OpenMetrics text that ends with `# EOF`.
    pub fn start(history: impl Display) -> Prometheus {
        Prometheus::configured(history, "global: { scrape_interval: 1h }\n", "")
    }

    /// The same with a configuration (`prometheus.yml`) and a file of rules, either in YAML.
    pub fn configured(history: impl Display, config: &str, rules: &str) -> Prometheus {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (past, blocks) = (folder.path().join("history.txt"), folder.path().join("blocks"));
        fs::write(&past, history.to_string()).expect("a temporary folder is writable");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&past, &blocks])
            .output()
            .unwrap_or_else(|it| panic!("cannot start `promtool`: {it}; tests/run installs it"));
        assert!(made.status.success(), "promtool: {}", String::from_utf8_lossy(&made.stderr));
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a temporary folder is writable");
            path
        };
        let mut told = config.to_owned();
        if !rules.is_empty() {
            told.push_str(&format!("rule_files: [{}]\n", write("rules.yml", rules).display()));
        }
        let config = write("prometheus.yml", &told);
        let command = |address: SocketAddr| {
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", blocks.display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--storage.tsdb.retention.time=100y", "--log.level=warn"]);
            command
        };
        let ready = |address| http::get(address, "/-/ready").is_ok_and(|it| it.status == 200);
        let (running, address) = start_server(&folder.path().join("log.txt"), command, ready);
        Prometheus { address, _running: running, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Seconds since 1970: where a history ends that instant queries shall see.
    pub fn now() -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.ok().and_then(|it| i64::try_from(it.as_secs()).ok()).expect("the clock is past 1970")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::incident_history;

    #[test]
    fn the_incident_shows_in_what_prometheus_answers() {
        let prometheus = Prometheus::start(incident_history(Prometheus::now()));
        let query =
            "sum%20by%20(service)%20(rate(http_requests_total%7Bcode%3D%22500%22%7D%5B5m%5D))%20%3E%201";
        let answer =
            http::get(prometheus.address(), &format!("/api/v1/query?query={query}")).expect("answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("checkout-api"), "{}", answer.body);
        assert!(!answer.body.contains("cart-api"), "{}", answer.body);
    }
}
