//! What does the binary answer over HTTP? A client without a library, so that tests can send what no library would.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::ExitStatus,
};

use serde_json::{Map, Value, json};

use crate::{
    cli::Home,
    http::{self, Response as Answer},
    mcp::{Response, Session, Version},
    process::{DEADLINE, wait_until},
};

/// The binary listening on a loopback port; killed by its own id when dropped.
pub struct Served {
    process: Session,
    address: SocketAddr,
}

/// One client of one server.
pub struct Remote {
    address: SocketAddr,
    path: String,
    version: Version,
    session: Option<String>,
    token: Option<String>,
    capabilities: Value,
    last_id: u64,
}

impl Served {
    /// Starts `bailiwick serve … --http 127.0.0.1:0 …` and waits until it listens.
    pub fn start(home: &Home, servers: &[&str], options: &[&str]) -> Served {
        let mut arguments = vec!["serve"];
        arguments.extend(servers);
        arguments.extend(["--http", "127.0.0.1:0"]);
        arguments.extend(options);
        let mut process = Session::start(&mut home.command(arguments));
        let address = wait_until("the binary to listen", DEADLINE, || {
            let told = process.errors();
            assert!(!process.ended(), "it ended by itself: {told}");
            let (_, rest) = told.split_once(" is served at ")?;
            let (_, rest) = rest.split_once("://")?;
            rest.split_once('/')?.0.parse().ok()
        });
        Served { process, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a server, e.g. `http://127.0.0.1:4711/code/mcp`.
    pub fn url(&self, server: &str) -> String {
        format!("http://{}/{server}/mcp", self.address)
    }

    /// A client that has said nothing yet.
    pub fn client(&self, server: &str, version: Version) -> Remote {
        let path = format!("/{server}/mcp");
        let (address, capabilities) = (self.address, json!({}));
        Remote { address, path, version, session: None, token: None, capabilities, last_id: 0 }
    }

    /// A client that has done what it does first.
    pub fn greeted(&self, server: &str, version: Version) -> Remote {
        let mut client = self.client(server, version);
        client.greet();
        client
    }

    /// Asks it to stop, as an orchestrator does.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by name, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        self.process.wait()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// What it has written to standard error so far.
    pub fn errors(&self) -> String {
        self.process.errors()
    }
}

impl Remote {
    /// The same client with a token in each request.
    pub fn bearing(mut self, token: &str) -> Remote {
        self.token = Some(token.to_owned());
        self
    }

    /// The same client with other capabilities than none, from its greeting on.
    pub fn declaring(mut self, capabilities: Value) -> Remote {
        self.capabilities = capabilities;
        self
    }

    /// Does what a client of this revision does first, and gives the server's answer.
    pub fn greet(&mut self) -> Value {
        if self.version == Version::V2026_07_28 {
            return self.request("server/discover", json!({})).result();
        }
        let client = json!({ "name": "testkit", "version": "1" });
        let capabilities = &self.capabilities;
        let hello = json!({
            "protocolVersion": self.version.word(), "capabilities": capabilities, "clientInfo": client
        });
        let (answer, said) = self.exchange("initialize", hello);
        self.session = answer.header("mcp-session-id").map(str::to_owned);
        assert!(self.session.is_some(), "a session begins: {answer:?}");
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&ready, &[]).status, 202);
        said.expect("an answer").result()
    }

    /// Sends a request and gives its response.
    pub fn request(&mut self, method: &str, params: Value) -> Response {
        let (answer, said) = self.exchange(method, params);
        said.unwrap_or_else(|| panic!("no message: {answer:?}"))
    }

    /// Calls a tool.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Response {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Sends a request and gives the HTTP answer, and the message in it.
    pub fn exchange(&mut self, method: &str, params: Value) -> (Answer, Option<Response>) {
        let message = self.message(method, params);
        let answer = self.post(&message, &[]);
        let said = messages(&answer).into_iter().find(|it| it["id"] == message["id"]).map(Response);
        (answer, said)
    }

    /// A request as this client would send it.
    pub fn message(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut params = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        if let Some(meta) = self.version.meta_with(&self.capabilities) {
            params.entry("_meta").or_insert(meta);
        }
        json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params })
    }

    /// Sends a message with the headers that belong to it, some of them replaced, or left out where the value is empty.
    pub fn post(&self, message: &Value, replaced: &[(&str, &str)]) -> Answer {
        let headers = self.headers(message, replaced);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = message.to_string();
        let answer = http::send_with(self.address, "POST", &self.path, &headers, body.as_bytes());
        answer.unwrap_or_else(|it| panic!("no answer to {body}: {it}"))
    }

    /// Sends a message, and gives what comes back message by message, as a stream of events brings it.
    pub fn begin(&self, message: &Value) -> impl Iterator<Item = Value> + use<> {
        let headers = self.headers(message, &[]);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = message.to_string();
        let stream = http::open(self.address, "POST", &self.path, &headers, body.as_bytes());
        let lines = BufReader::new(stream.expect("it listens")).lines().map_while(Result::ok);
        lines.filter_map(|it| serde_json::from_str(it.strip_prefix("data:")?.trim()).ok())
    }

    /// Sends anything else to the path.
    pub fn send(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::send_with(self.address, method, &self.path, headers, body).expect("an answer")
    }

    /// The session, where there is one.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Headers of a message, by name in lower case.
    pub fn headers(&self, message: &Value, replaced: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::from(
            [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let mut set = |name: &str, value: &str| drop(headers.insert(name.to_owned(), value.to_owned()));
        let method = message["method"].as_str().unwrap_or_default();
        if method != "initialize" {
            set("mcp-protocol-version", self.version.word());
        }
        if self.version == Version::V2026_07_28 {
            set("mcp-method", method);
            if let Some(name) = message["params"]["name"].as_str() {
                set("mcp-name", name);
            }
        }
        if let Some(session) = &self.session {
            set("mcp-session-id", session);
        }
        if let Some(token) = &self.token {
            set("authorization", &format!("Bearer {token}"));
        }
        for (name, value) in replaced {
            set(&name.to_ascii_lowercase(), value);
        }
        headers.retain(|_, value| !value.is_empty());
        headers
    }
}

/// The messages of an answer, whether it is JSON or a stream of events.
pub fn messages(answer: &Answer) -> Vec<Value> {
    let stream = answer.header("content-type").is_some_and(|it| it.starts_with("text/event-stream"));
    let parse = |text: &str| serde_json::from_str(text.trim()).ok();
    match stream {
        false => parse(&answer.body).into_iter().collect(),
        true => answer.body.lines().filter_map(|it| it.strip_prefix("data:")).filter_map(parse).collect(),
    }
}
