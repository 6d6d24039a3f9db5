//! Connections to the backends of a test, and what a tool's answer costs.

use config::{Connection, Http, System};
use serde_json::{Value, json};
use tool::{Answer, Body};

pub(crate) fn http(url: &str) -> Http {
    Http { timeout_ms: 10_000, ..Http::plain(url.parse().unwrap()) }
}

pub(crate) fn connection(name: &str, system: System) -> Connection {
    let unknown = || "unknown".to_owned();
    Connection {
        name: name.to_owned(),
        environment: "production".to_owned(),
        region: unknown(),
        team: "platform".to_owned(),
        tier: unknown(),
        system,
    }
}

/// An answer as plain JSON: facts, columns and rows.
pub(crate) fn shown<F: serde::Serialize>(answer: &Answer<F>) -> Value {
    let mut shown = serde_json::to_value(&answer.facts).unwrap();
    if let Body::Table(table) = &answer.body {
        shown["seen"] = json!(table.seen);
        shown["columns"] = json!(table.columns.iter().map(|it| it.name).collect::<Vec<_>>());
        shown["rows"] = json!(table.rows.iter().map(|it| &it.cells).collect::<Vec<_>>());
    }
    shown
}

/// The same with as many rows as fit into a budget of tokens.
pub(crate) fn within(answer: &Value, budget: usize) -> Value {
    let mut cut = answer.clone();
    while testkit::tokens(&cut.to_string()) > budget {
        let rows = cut["rows"].as_array_mut().expect("rows to leave out");
        rows.pop().expect("the facts alone fit");
    }
    cut
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(arguments: Value) -> T {
    serde_json::from_value(arguments).unwrap()
}
