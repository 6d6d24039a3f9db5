//! Receivers of OpenTelemetry that run beside a test: one that tells what it took as JSON, and a collector.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::process::{Running, free_address, start_server, wait_until};

/// `oteltap`: takes spans and metrics over HTTP, and writes each down.
pub struct OtlpTap {
    address: SocketAddr,
    process: Running,
    _folder: TempDir,
}

/// `rotel`, a collector that writes down what it would pass on.
pub struct OtlpCollector {
    address: SocketAddr,
    process: Running,
    _folder: TempDir,
}

/// A span as it was received.
#[derive(Clone, Debug)]
pub struct Span(Value);

/// One series of a metric as it was received.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name of the metric.
    pub name: String,
    /// How often, of a histogram; how many, of a counter.
    pub count: u64,
    /// Upper bounds, of a histogram.
    pub bounds: Vec<f64>,
    attributes: Map<String, Value>,
}

/// Longest wait for what leaves within a second.
const SOON: Duration = Duration::from_secs(20);

impl OtlpTap {
    /// Starts it on a port of its own.
    pub fn start() -> OtlpTap {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let command = |address: SocketAddr| {
            let mut command = Command::new(python());
            command.env_clear().args(["-u", "-m", "oteltap", "--port", &address.port().to_string()]);
            command
        };
        let (process, address) = start_server(&folder.path().join("output"), command, listens);
        OtlpTap { address, process, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Span> {
        self.lines().into_iter().filter(|it| it["spanId"].is_string()).map(Span).collect()
    }

    /// Waits for a span that is looked for.
    pub fn span(&self, what: &str, found: impl Fn(&Span) -> bool) -> Span {
        wait_until(&format!("the span {what}"), SOON, || self.spans().into_iter().find(&found))
    }

    /// The latest points of a metric.
    pub fn points(&self, name: &str) -> Vec<Point> {
        let lines = self.lines();
        let latest = lines.iter().rev().find(|it| it["name"] == name && it["spanId"].is_null());
        let of = |kind: &str| latest.and_then(|it| it[kind]["dataPoints"].as_array().cloned());
        let points = of("histogram").or_else(|| of("sum")).unwrap_or_default();
        points.iter().map(|it| Point::read(name, it)).collect()
    }

    fn lines(&self) -> Vec<Value> {
        self.process.output().lines().filter_map(|it| serde_json::from_str(it).ok()).collect()
    }
}

impl OtlpCollector {
    /// Starts it on ports of its own.
    pub fn start() -> OtlpCollector {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let program = agent();
        let command = |address: SocketAddr| {
            let mut command = Command::new(&program);
            command.env_clear().args([
                "start",
                "--exporter",
                "blackhole",
                "--debug-log-verbosity",
                "detailed",
            ]);
            command.args(["--debug-log", "traces", "--debug-log", "metrics"]);
            command.args(["--otlp-http-endpoint", &address.to_string()]);
            command.args(["--otlp-grpc-endpoint", &free_address().to_string()]);
            command
        };
        let (process, address) = start_server(&folder.path().join("output"), command, listens);
        OtlpCollector { address, process, _folder: folder }
    }

    /// Base address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it has written down a text.
    pub fn wait_for(&self, text: &str) {
        wait_until(&format!("the collector to tell of {text}"), SOON, || {
            self.process.output().contains(text).then_some(())
        });
    }
}

impl Span {
    /// E.g. `tools/call list_commits`.
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// In hex.
    pub fn id(&self) -> &str {
        self.0["spanId"].as_str().unwrap_or_default()
    }

    /// In hex; empty where it has none.
    pub fn parent(&self) -> &str {
        self.0["parentSpanId"].as_str().unwrap_or_default()
    }

    /// In hex.
    pub fn trace(&self) -> &str {
        self.0["traceId"].as_str().unwrap_or_default()
    }

    /// What the client said of the trace.
    pub fn state(&self) -> &str {
        self.0["traceState"].as_str().unwrap_or_default()
    }

    /// Whether it is of kind SERVER; else CLIENT.
    pub fn is_server(&self) -> bool {
        match self.0["kind"].as_u64() {
            Some(2) => true,
            Some(3) => false,
            other => panic!("{other:?} is neither SERVER nor CLIENT: {}", self.0),
        }
    }

    /// Whether its status is an error.
    pub fn failed(&self) -> bool {
        self.0["status"]["code"] == 2
    }

    /// What an attribute says; null where there is none.
    pub fn attribute(&self, name: &str) -> Value {
        attributes(&self.0).remove(name).unwrap_or_default()
    }
}

impl Point {
    fn read(name: &str, point: &Value) -> Point {
        let number = |it: &Value| it.as_str().and_then(|it| it.parse().ok()).or_else(|| it.as_u64());
        let count = number(&point["count"]).or_else(|| number(&point["asInt"])).unwrap_or_default();
        let bounds = point["explicitBounds"].as_array().into_iter().flatten();
        Point {
            name: name.to_owned(),
            count,
            bounds: bounds.filter_map(Value::as_f64).collect(),
            attributes: attributes(point),
        }
    }

    /// What an attribute says; null where there is none.
    pub fn attribute(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or_default()
    }
}

/// Attributes by name, each as the JSON that it means.
fn attributes(of: &Value) -> Map<String, Value> {
    let listed = of["attributes"].as_array().into_iter().flatten();
    listed.map(|it| (it["key"].as_str().unwrap_or_default().to_owned(), plain(&it["value"]))).collect()
}

fn plain(value: &Value) -> Value {
    if let Some(values) = value["arrayValue"]["values"].as_array() {
        return values.iter().map(plain).collect();
    }
    let number = |it: &Value| it.as_str().and_then(|it| it.parse::<i64>().ok());
    match number(&value["intValue"]) {
        Some(number) => number.into(),
        None => value["stringValue"].clone(),
    }
}

fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn python() -> PathBuf {
    let python = std::env::var("BAILIWICK_TEST_PYTHON");
    python
        .expect("BAILIWICK_TEST_PYTHON names a Python with oteltap and rotel; tests/run installs them")
        .into()
}

/// The program that the package brings.
fn agent() -> PathBuf {
    let asked = Command::new(python())
        .args(["-c", "import rotel; print(rotel.__file__)"])
        .output()
        .expect("tests/run installs a Python");
    let module = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    Path::new(&module).with_file_name("rotel-agent")
}
