//! Machines that share a system of record and, where told, a store of approvals.

#![allow(dead_code, reason = "each test file uses its part")]

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, Postgres, Recorder},
    cli::{Ended, Home},
};

const STORE: &str = "APPROVALS_DATABASE_URL";

/// Where approvals are kept.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    /// In the state folder.
    InAFile,
    /// At an address.
    InPostgresql(String),
}

/// One machine: its own configuration, state and log.
pub(crate) struct Machine {
    pub(crate) home: Home,
}

impl Kept {
    /// Somewhere in the PostgreSQL that the tests of a process share.
    pub(crate) fn in_postgresql() -> Kept {
        Kept::InPostgresql(Postgres::shared().schema())
    }
}

impl Machine {
    /// One with a policy.
    pub(crate) fn new(policy: &str, backend: &Recorder, kept: &Kept) -> Machine {
        let store = match kept {
            Kept::InAFile => String::new(),
            Kept::InPostgresql(_) => format!("[approvals]\nstore = {{ env = \"{STORE}\" }}\n"),
        };
        let home = Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&format!(
            "{policy}\n{store}[connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\ntimeout_ms = 60000\n",
            backend.url()
        ));
        match kept {
            Kept::InAFile => Machine { home },
            Kept::InPostgresql(url) => Machine { home }.with_store(url),
        }
    }

    /// One whose person confirms silences.
    pub(crate) fn asking(backend: &Recorder, kept: &Kept) -> Machine {
        let rules = "[policy]\nallow = [\"list_*\", \"await_approval\", \"silence_alert\"]\nask = [\"silence_alert\"]";
        Machine::new(rules, backend, kept)
    }

    /// One that silences without a question.
    pub(crate) fn allowing(backend: &Recorder, kept: &Kept) -> Machine {
        Machine::new("[policy]\nallow = [\"list_*\", \"silence_alert\"]", backend, kept)
    }

    /// The same with its approvals at another address.
    pub(crate) fn with_store(self, url: &str) -> Machine {
        Machine { home: self.home.variable(STORE, url) }
    }

    pub(crate) fn silence(&self, minutes: u64) -> Ended {
        self.home.call("observability", "silence_alert", &silence(minutes))
    }

    /// Asks for a silence and says under which id it waits.
    pub(crate) fn asked(&self, minutes: u64) -> String {
        let asked = self.silence(minutes).expect(4).json();
        asked["error"]["approval"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
    }

    /// How the doctor ends, and what it says of the store.
    pub(crate) fn doctor(&self) -> (Option<i32>, Value) {
        let ended = self.home.run(["doctor", "--json"]);
        let checks = ended.json()["checks"].clone();
        let store = checks.as_array().into_iter().flatten().find(|it| it["kind"] == "approvals").cloned();
        (ended.code, store.unwrap_or_else(|| panic!("{ended:?}")))
    }

    pub(crate) fn run(&self, id: &str) -> Ended {
        self.home.call("observability", "run_approved", &json!({ "approval": id }))
    }

    /// How a request stands.
    pub(crate) fn shown(&self, id: &str) -> Value {
        self.home.run(["approvals", "show", id, "--json"]).expect(0).json()
    }
}

/// A system that takes silences and remembers who asked.
pub(crate) fn alerts() -> Recorder {
    let backend = Recorder::alone();
    backend.on("GET", "/", Behaviour::json(200, "[]"));
    backend.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
    backend
}

/// How often it was told to change something.
pub(crate) fn effects(backend: &Recorder) -> usize {
    backend.requests().iter().filter(|it| it.method == "POST").count()
}

pub(crate) fn silence(minutes: u64) -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": minutes,
        "reason": "rolling back checkout, its errors are known",
    })
}
