//! A real VictoriaMetrics with a past: another store that speaks the API of Prometheus.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fmt::Display, net::SocketAddr, process::Command};

use tempfile::TempDir;

use crate::{
    http,
    process::{DEADLINE, Running, start_server, wait_until},
};

/// A VictoriaMetrics on a free loopback port; ended when dropped.
pub struct VictoriaMetrics {
    address: SocketAddr,
    _running: Running,
    _folder: TempDir,
}

impl VictoriaMetrics {
    /// Starts one whose past is `history`: a [`crate::backends::History`] or OpenMetrics text, of at least one sample.
    pub fn start(history: impl Display) -> VictoriaMetrics {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let command = |address: SocketAddr| {
            let mut command = Command::new("victoria-metrics");
            command
                .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
                .arg(format!("-httpListenAddr={address}"))
                .args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-loggerLevel=WARN"]);
            command
        };
        let ready = |address| http::get(address, "/health").is_ok_and(|it| it.status == 200);
        let (running, address) = start_server(&folder.path().join("log.txt"), command, ready);
        let lines = in_milliseconds(&history.to_string());
        let taken =
            http::post(address, "/api/v1/import/prometheus", &lines).expect("VictoriaMetrics answers");
        assert_eq!(taken.status, 204, "VictoriaMetrics: {}", taken.body);
        wait_until("the history to be found", DEADLINE, || {
            http::get(address, "/internal/force_flush").ok()?;
            let names = http::get(address, "/api/v1/label/__name__/values?start=1").ok()?.body;
            (!names.contains("\"data\":[]")).then_some(())
        });
        VictoriaMetrics { address, _running: running, _folder: folder }
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

/// The samples of an OpenMetrics text as this store takes them: without comments, times in milliseconds.
fn in_milliseconds(text: &str) -> String {
    let samples = text.lines().filter(|it| !it.starts_with('#'));
    samples.map(|it| format!("{it}000\n")).collect()
}
