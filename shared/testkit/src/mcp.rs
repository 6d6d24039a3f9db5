//! What does the binary answer on its standard output, byte for byte?
//!
//! A client without a library, so that tests can send what no library would.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::process::{DEADLINE, wait_until};

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `initialize`, then sessions.
    V2025_06_18,
    /// The same, with elicitation.
    V2025_11_25,
    /// Stateless: every request says in `_meta` what it speaks.
    V2026_07_28,
}

/// A started server and the pipes to it; killed by its own id when dropped.
pub struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    version: Version,
    capabilities: Value,
    last_id: u64,
    waiting: Vec<Value>,
}

/// A JSON-RPC response.
#[derive(Clone, Debug)]
pub struct Response(
    /// The message as it came.
    pub Value,
);

impl Version {
    /// Every revision that is served, oldest first.
    pub const ALL: [Version; 3] = [Version::V2025_06_18, Version::V2025_11_25, Version::V2026_07_28];

    /// As the protocol writes it.
    pub fn word(self) -> &'static str {
        match self {
            Version::V2025_06_18 => "2025-06-18",
            Version::V2025_11_25 => "2025-11-25",
            Version::V2026_07_28 => "2026-07-28",
        }
    }

    /// `_meta` of every request in this revision; nothing before 2026-07-28.
    pub fn meta(self) -> Option<Value> {
        self.meta_with(&json!({}))
    }

    /// The same of a client with these capabilities.
    pub(crate) fn meta_with(self, capabilities: &Value) -> Option<Value> {
        (self == Version::V2026_07_28).then(|| {
            json!({
                "io.modelcontextprotocol/protocolVersion": self.word(),
                "io.modelcontextprotocol/clientInfo": client(),
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            })
        })
    }
}

impl Session {
    /// Starts a command with pipes to it. Nothing is said yet.
    pub fn start(command: &mut Command) -> Session {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|it| panic!("cannot start {command:?}: {it}"));
        let (send, lines) = channel();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let stdout = thread::spawn(move || {
            let mut stdout = BufReader::new(stdout.expect("its output is piped"));
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|it| it > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                line.clear();
                if send.send(text).is_err() {
                    break;
                }
            }
        });
        let said = errors.clone();
        let stderr = thread::spawn(move || {
            let mut stderr = stderr.expect("its errors are piped");
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk) {
                said.lock().expect("nobody panics while holding it").extend_from_slice(&chunk[..read]);
            }
        });
        let readers = vec![stdout, stderr];
        let version = Version::V2025_11_25;
        let capabilities = json!({});
        Session {
            child,
            stdin,
            lines,
            errors,
            readers,
            version,
            capabilities,
            last_id: 0,
            waiting: Vec::new(),
        }
    }

    /// The same client with other capabilities than none, from its greeting on.
    pub fn declaring(mut self, capabilities: Value) -> Session {
        self.capabilities = capabilities;
        self
    }

    /// Does what a client of this revision does first, and gives the server's answer: to `initialize`, or to
    /// `server/discover`.
    pub fn greet(&mut self, version: Version) -> Value {
        self.version = version;
        if version == Version::V2026_07_28 {
            return self.request("server/discover", json!({})).result();
        }
        let hello = json!({
            "protocolVersion": version.word(), "capabilities": self.capabilities, "clientInfo": client()
        });
        let answer = self.request("initialize", hello).result();
        assert_eq!(answer["protocolVersion"], version.word(), "{answer}");
        self.send_json(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    /// Sends a request and waits for its response.
    pub fn request(&mut self, method: &str, params: Value) -> Response {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Calls a tool and waits for the response.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Response {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Calls a tool, does not wait, and gives the request's id.
    pub fn start_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Sends a request and gives its id.
    pub fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let mut params = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        if let Some(meta) = self.version.meta_with(&self.capabilities) {
            params.entry("_meta").or_insert(meta);
        }
        self.send_json(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Tells the server that nobody waits for a request any more.
    pub fn cancel(&mut self, id: u64) {
        let params = json!({ "requestId": id, "reason": "the test lost interest" });
        self.send_json(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    }

    /// Waits for the response to a request; what comes before it is kept for later.
    pub fn answer(&mut self, id: u64) -> Response {
        let started = Instant::now();
        loop {
            if let Some(place) =
                self.waiting.iter().position(|it| it["id"] == id && it.get("method").is_none())
            {
                return Response(self.waiting.remove(place));
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            let message = self
                .message(left)
                .unwrap_or_else(|| panic!("no answer to request {id}; standard error:\n{}", self.errors()));
            self.waiting.push(message);
        }
    }

    /// The next message of any kind; none when none comes in time or the server has closed its output.
    pub fn message(&mut self, wait: Duration) -> Option<Value> {
        let line = self.line(wait)?;
        let message: Result<Value, _> = serde_json::from_str(&line);
        Some(message.unwrap_or_else(|it| panic!("standard output carries messages only ({it}): {line}")))
    }

    /// The next line as it came.
    pub fn line(&mut self, wait: Duration) -> Option<String> {
        self.lines.recv_timeout(wait).ok()
    }

    /// Sends one message as a line.
    pub fn send_json(&mut self, message: &Value) {
        let mut line = message.to_string();
        line.push('\n');
        let sent = self.send(line.as_bytes());
        sent.unwrap_or_else(|it| {
            panic!("the server does not listen ({it}); standard error:\n{}", self.errors())
        });
    }

    /// Sends bytes as they are: half a line, no JSON, anything.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(bytes)?;
        stdin.flush()
    }

    /// Closes the server's standard input, as a client that leaves does.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends the server at once, with no chance to tidy up (SIGKILL).
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill(); // it may have ended already
        self.child.wait().expect("our own child can be waited for")
    }

    /// Waits until the server ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_until("the server to end", DEADLINE, || child.try_wait().expect("our own child can be asked"))
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("our own child can be asked").is_some()
    }

    /// Leaves as a client does, and waits until the server has ended.
    pub fn leave(mut self) -> ExitStatus {
        self.close_stdin();
        self.wait()
    }

    /// Sends it a signal by name, e.g. `HUP`.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(told.is_ok_and(|it| it.success()), "a process of our own can be told");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.lock().expect("nobody panics while holding it")).into_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.kill();
        for reader in self.readers.drain(..) {
            let _ = reader.join(); // its pipe is closed; a panic there has been seen as a missing answer
        }
    }
}

impl Response {
    /// The result; panics when it is a protocol error.
    pub fn result(&self) -> Value {
        self.0.get("result").cloned().unwrap_or_else(|| panic!("a protocol error: {}", self.0))
    }

    /// Code of the protocol error, if it is one.
    pub fn error_code(&self) -> Option<i64> {
        self.0["error"]["code"].as_i64()
    }

    /// Whether the tool, or the gate before it, refused.
    pub fn is_error(&self) -> bool {
        self.result()["isError"] == true
    }

    /// What programs and some models read.
    pub fn structured(&self) -> Value {
        self.result()["structuredContent"].clone()
    }

    /// What other models and people read.
    pub fn text(&self) -> String {
        let result = self.result();
        let blocks = result["content"].as_array().cloned().unwrap_or_default();
        blocks.iter().filter_map(|it| it["text"].as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Proof of the record: log, index and leaf.
    pub fn receipt(&self) -> Value {
        self.result()["_meta"]["io.bailiwick/receipt"].clone()
    }
}

fn client() -> Value {
    json!({ "name": "testkit", "version": "1" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server in two lines of shell: a notification and an answer for each line, and a word to standard error.
    fn server() -> Session {
        let script = r#"id=0; while read -r line; do id=$((id + 1)); echo heard >&2
            echo '{"jsonrpc":"2.0","method":"notifications/message"}'
            echo '{"jsonrpc":"2.0","id":'$id',"result":{"isError":false}}'; done; exit 3"#;
        Session::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn an_answer_is_found_behind_other_messages() {
        let mut session = server();
        session.version = Version::V2026_07_28;
        let (first, second) = (session.start_call("a_b", json!({})), session.start_call("c_d", json!({})));
        assert!(!session.answer(second).is_error());
        assert_eq!(session.answer(first).error_code(), None);
        wait_until("what it says", DEADLINE, || session.errors().contains("heard").then_some(()));
    }

    #[test]
    fn a_server_whose_client_leaves_ends_by_itself() {
        assert_eq!(server().leave().code(), Some(3));
    }

    #[test]
    fn a_killed_server_says_nothing_more() {
        let mut session = server();
        assert_eq!(session.kill().code(), None);
        assert_eq!(session.message(DEADLINE), None);
    }
}
