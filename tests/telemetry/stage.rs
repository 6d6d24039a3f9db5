//! A server with something behind it, and a client of it over either transport.

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, GitRepository, Recorder},
    cli::Home,
    mcp::{Response, Session, Version},
    remote::{Remote, Served},
};

/// Commits of the shop lie in it.
pub(crate) const WINDOW: &str = "2026-01-01T00:00:00Z/2026-03-01T00:00:00Z";

/// What is served, and what stands behind it.
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) prometheus: Recorder,
    _alerts: Recorder,
    _shop: GitRepository,
}

/// A client, and with it the server where that is its own.
pub(crate) enum Client {
    Lines(Session),
    Http(Remote),
}

impl Stage {
    /// `telemetry` is what the configuration holds of it.
    pub(crate) fn new(telemetry: &str) -> Stage {
        let (shop, prometheus, alerts) = (GitRepository::shop(), Recorder::alone(), Recorder::alone());
        alerts.on("GET", "/", Behaviour::json(200, "[]"));
        let broken = json!({ "status": "error", "errorType": "internal", "error": "disk hunter2 is full" });
        prometheus.on("*", "/", Behaviour::json(500, broken.to_string()));
        let config = format!(
            "{telemetry}\n[identity]\nagent = \"claude-code\"\nperson = \"alice@example.com\"\n\
             [policy]\nallow = [\"list_*\", \"query_metrics\", \"find_owners\"]\ndeny = [\"read_file\"]\n\
             approve = [\"silence_alert\"]\n\
             [connections.shop]\nkind = \"git\"\npath = {:?}\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n\
             [connections.prom]\nkind = \"prometheus\"\nurl = \"{}\"\n",
            shop.path(),
            alerts.url(),
            prometheus.url()
        );
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config);
        Stage { home, prometheus, _alerts: alerts, _shop: shop }
    }

    /// Sets a variable for everything started from now on.
    pub(crate) fn variable(self, name: &str, value: impl Into<String>) -> Stage {
        Stage { home: self.home.variable(name, value), ..self }
    }

    /// Serves both servers on lines.
    pub(crate) fn lines(&self, version: Version) -> Client {
        Client::Lines(self.home.serve(&["code", "observability"], version))
    }

    /// Serves both servers over HTTP.
    pub(crate) fn served(&self) -> Served {
        Served::start(&self.home, &["code", "observability"], &["--unproven"])
    }
}

impl Client {
    /// Calls a tool, as part of a trace where there is one.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value, trace: Option<&Value>) -> Response {
        let mut params = json!({ "name": tool, "arguments": arguments });
        if let Some(trace) = trace {
            params["_meta"] = trace.clone();
        }
        self.request("tools/call", params)
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Response {
        match self {
            Client::Lines(session) => session.request(method, params),
            Client::Http(remote) => remote.request(method, params),
        }
    }

    /// Leaves, and with it the server where that is its own.
    pub(crate) fn leave(self) {
        if let Client::Lines(session) = self {
            assert!(session.leave().success());
        }
    }
}
