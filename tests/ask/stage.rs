//! A system of record that remembers who asked, a policy in front of it, and clients that show forms.

use serde_json::{Value, json};
use testkit::{
    backends::{Behaviour, Recorder},
    cli::Home,
    mcp::{Response, Session, Version},
    remote::{Remote, Served},
};

/// The person at the keyboard confirms silences.
pub(crate) const ASK: &str = "[policy]\nallow = [\"list_*\", \"await_approval\", \"silence_alert\", \"expire_silence\"]\nask = [\"silence_alert\"]";
/// Another person approves them.
pub(crate) const APPROVE: &str = "[policy]\nallow = [\"list_*\", \"await_approval\", \"silence_alert\"]\nfiles = [\"who.cedar\"]\napprove = [\"silence_alert\"]";

pub(crate) struct Stage {
    pub(crate) home: Home,
    identity: String,
    backend: Recorder,
}

/// A client of either transport.
pub(crate) enum Client {
    Lines(Box<Session>),
    Http { remote: Box<Remote>, served: Box<Served> },
}

impl Stage {
    pub(crate) fn new(policy: &str) -> Stage {
        Stage::as_agent("agent = \"claude-code\"\nperson = \"alice\"", policy)
    }

    pub(crate) fn as_agent(identity: &str, policy: &str) -> Stage {
        let backend = Recorder::alone();
        backend.on("GET", "/", Behaviour::json(200, "[]"));
        backend.on("POST", "/", Behaviour::json(200, "{\"silenceID\": \"1\"}"));
        let home = crate::home();
        home.file(
            "who.cedar",
            "@id(\"who.sre\") @reason(\"the SREs approve\")\n\
             permit (principal is User in Team::\"sre\", action == Action::\"approve\", resource);",
        );
        Stage { home, identity: identity.to_owned(), backend }.under(policy)
    }

    /// The same, under another policy.
    pub(crate) fn under(self, policy: &str) -> Stage {
        let Stage { home, identity, backend } = self;
        let home = home.config(&format!(
            "[identity]\n{identity}\n{policy}\n[vocabulary]\nteams = [\"sre\"]\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"{}\"\n",
            backend.url()
        ));
        Stage { home, identity, backend }
    }

    /// The same, for another caller.
    pub(crate) fn called_by(self, identity: &str, policy: &str) -> Stage {
        Stage { identity: identity.to_owned(), ..self }.under(policy)
    }

    /// A client over standard input and output.
    pub(crate) fn session(&self, version: Version, capabilities: Value) -> Session {
        let mut session = self.home.start(&["observability"]).declaring(capabilities);
        session.greet(version);
        session
    }

    pub(crate) fn served(&self) -> Served {
        Served::start(&self.home, &["observability"], &["--unproven"])
    }

    /// A client that shows forms.
    pub(crate) fn client(&self, over_http: bool, version: Version) -> Client {
        if !over_http {
            return Client::Lines(Box::new(self.session(version, forms())));
        }
        let served = self.served();
        let mut client = served.client("observability", version).declaring(forms());
        client.greet();
        Client::Http { remote: Box::new(client), served: Box::new(served) }
    }

    /// How often the system was told to change something.
    pub(crate) fn effects(&self) -> usize {
        self.backend.requests().iter().filter(|it| it.method != "GET").count()
    }

    /// Steps of requests in the logs, oldest first.
    pub(crate) fn steps(&self) -> Vec<String> {
        let records = self.records();
        records.iter().filter_map(|it| it["leaf"]["step"].as_str().map(str::to_owned)).collect()
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        let lines = self.home.run(["audit", "tail", "--json", "-n", "1000"]).expect(0).stdout;
        lines.lines().map(|it| serde_json::from_str(it).expect("a record a line")).collect()
    }

    /// The one request that there is, whole.
    pub(crate) fn only_request(&self) -> Value {
        let all = self.home.run(["approvals", "list", "--all", "--json"]).expect(0).json();
        let [only] = all.as_array().expect("a list").as_slice() else { panic!("one request: {all}") };
        only.clone()
    }
}

impl Client {
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Response {
        match self {
            Client::Lines(session) => session.request(method, params),
            Client::Http { remote, .. } => remote.request(method, params),
        }
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Response {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Ends the server, and waits until it has.
    pub(crate) fn leave(self) {
        let ended = match self {
            Client::Lines(session) => session.leave(),
            Client::Http { served, .. } => served.stop(),
        };
        assert!(ended.success());
    }

    /// Calls again with the state of a question and an answer to it.
    pub(crate) fn come_back(
        &mut self,
        tool: &str,
        arguments: Value,
        asked: &Value,
        answer: Value,
    ) -> Response {
        let state = asked["requestState"].as_str().unwrap_or_else(|| panic!("a state: {asked}"));
        let params = json!({
            "name": tool, "arguments": arguments, "requestState": state, "inputResponses": { "confirm": answer },
        });
        self.request("tools/call", params)
    }
}

pub(crate) fn silence(minutes: u64) -> Value {
    json!({
        "matchers": ["alertname=\"HighErrorRate\""],
        "duration_minutes": minutes,
        "reason": "rolling back checkout, its errors are known",
    })
}

/// What a client that shows forms declares.
pub(crate) fn forms() -> Value {
    json!({ "elicitation": { "form": {} } })
}

pub(crate) fn yes() -> Value {
    json!({ "action": "accept", "content": { "confirm": true } })
}

/// The form of a question.
pub(crate) fn form(asked: &Value) -> Value {
    let request = &asked["inputRequests"]["confirm"];
    assert_eq!(request["method"], "elicitation/create", "{asked}");
    assert_eq!(request["params"]["mode"], "form", "{asked}");
    request["params"].clone()
}
