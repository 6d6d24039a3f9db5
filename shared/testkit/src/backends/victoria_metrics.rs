//! A real VictoriaMetrics with a past: another store that speaks the API of Prometheus.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{fmt::Display, fs, net::SocketAddr, process::Command};

use tempfile::TempDir;

use crate::{
    http,
    process::{DEADLINE, Running, free_address, start_server, wait_until},
};

/// A VictoriaMetrics on a free loopback port; ended when dropped.
pub struct VictoriaMetrics {
    address: SocketAddr,
    running: Vec<Running>,
    folder: TempDir,
}

impl VictoriaMetrics {
    /// Starts one whose past is `history`: a [`crate::backends::History`] or OpenMetrics text, of at least one sample.
    pub fn start(history: impl Display) -> VictoriaMetrics {
        VictoriaMetrics::behind(history, None)
    }

    /// The same with rules, in YAML. It evaluates none itself: a vmalert does, and it passes questions about rules on to
    /// that. Returns once they have been evaluated.
    pub fn with_rules(history: impl Display, rules: &str) -> VictoriaMetrics {
        let evaluates = free_address();
        let mut store = VictoriaMetrics::behind(history, Some(evaluates));
        let path = store.folder.path().join("rules.yml");
        fs::write(&path, rules).expect("a temporary folder is writable");
        let mut command = Command::new("vmalert");
        command
            .arg(format!("-rule={}", path.display()))
            .arg(format!("-httpListenAddr={evaluates}"))
            .args(["-evaluationInterval=1s", "-loggerLevel=FATAL"]);
        // Alerts are told to nobody: the store takes none, and that is no concern here.
        for part in ["datasource", "remoteRead", "remoteWrite", "notifier"] {
            command.arg(format!("-{part}.url={}", store.url()));
        }
        let mut running = Running::start(&mut command, &store.folder.path().join("rules.txt"));
        wait_until("the rules to be evaluated", DEADLINE, || {
            assert!(!running.ended(), "vmalert ended by itself:\n{}", running.output());
            let told = http::get(store.address, "/api/v1/rules").ok()?.body;
            let evaluated =
                told.contains("\"health\":\"ok\"") && !told.contains("\"lastEvaluation\":\"0001-");
            evaluated.then_some(())
        });
        store.running.push(running);
        store
    }

    fn behind(history: impl Display, rules: Option<SocketAddr>) -> VictoriaMetrics {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let command = |address: SocketAddr| {
            let mut command = Command::new("victoria-metrics");
            command
                .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
                .arg(format!("-httpListenAddr={address}"))
                .args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-loggerLevel=WARN"])
                .args(rules.map(|it| format!("-vmalert.proxyURL=http://{it}")));
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
        VictoriaMetrics { address, running: vec![running], folder }
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
