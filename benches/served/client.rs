//! Who asks? A client of lines over pipes that does next to nothing, the same for every server.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

/// A started server; killed by its own id when dropped.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: Vec<u8>,
    sent: Vec<u8>,
    last_id: u64,
}

/// A request up to its id and after it, so that sending one is copying bytes.
pub(crate) struct Prepared {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Prepared {
    pub(crate) fn new(method: &str, params: &Value) -> Prepared {
        let tail = format!(",\"method\":{},\"params\":{params}}}\n", json!(method));
        Prepared { head: br#"{"jsonrpc":"2.0","id":"#.to_vec(), tail: tail.into_bytes() }
    }

    pub(crate) fn call(tool: &str, arguments: &Value) -> Prepared {
        Prepared::new("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }
}

impl Peer {
    /// Starts a server. What it says on standard error is shown.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Peer> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("its output is piped")?;
        let output = BufReader::with_capacity(64 << 10, output);
        Ok(Peer { child, input, output, line: Vec::new(), sent: Vec::new(), last_id: 0 })
    }

    /// `initialize`, and the word that it was answered.
    pub(crate) fn greet(&mut self) -> anyhow::Result<()> {
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "bench", "version": "1" },
        });
        self.ask(&Prepared::new("initialize", &hello))?;
        self.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
    }

    /// Sends a request and waits for its answer, which has to be a good one.
    pub(crate) fn ask(&mut self, request: &Prepared) -> anyhow::Result<()> {
        self.ask_any(request)?;
        self.good()
    }

    /// Sends a request and waits for its answer, whatever it is.
    pub(crate) fn ask_any(&mut self, request: &Prepared) -> anyhow::Result<()> {
        self.queue(request);
        self.flush()?;
        self.receive()
    }

    /// The last answer.
    pub(crate) fn answer(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.line)?)
    }

    /// Keeps a number of requests in flight for a while, and gives answers per second.
    pub(crate) fn flood(
        &mut self,
        request: &Prepared,
        in_flight: u64,
        lasting: Duration,
    ) -> anyhow::Result<f64> {
        let started = Instant::now();
        for _ in 0..in_flight {
            self.queue(request);
        }
        self.flush()?;
        let mut answered = 0;
        while started.elapsed() < lasting {
            self.receive()?;
            self.good()?;
            answered += 1;
            self.queue(request);
            // What has arrived together is answered together, as any client does that reads what is there.
            if !self.output.buffer().contains(&b'\n') {
                self.flush()?;
            }
        }
        let rate = answered as f64 / started.elapsed().as_secs_f64();
        self.flush()?;
        for _ in 0..in_flight {
            self.receive()?;
            self.good()?;
        }
        Ok(rate)
    }

    /// A line of `/proc/<pid>/status`, in MB.
    pub(crate) fn memory_mb(&self, name: &str) -> anyhow::Result<f64> {
        memory_mb(self.child.id(), name)
    }

    /// Leaves as a client does, and waits until the server has ended.
    pub(crate) fn leave(mut self) -> anyhow::Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    fn queue(&mut self, request: &Prepared) {
        self.last_id += 1;
        self.sent.extend_from_slice(&request.head);
        self.sent.extend_from_slice(self.last_id.to_string().as_bytes());
        self.sent.extend_from_slice(&request.tail);
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let sent = std::mem::take(&mut self.sent);
        self.write(&sent)?;
        self.sent = sent;
        self.sent.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.input
            .as_mut()
            .context("its input is piped")?
            .write_all(bytes)
            .context("the server does not listen")
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        let read = self.output.read_until(b'\n', &mut self.line)?;
        ensure!(read > 0, "the server left before it answered");
        Ok(())
    }

    /// Neither a protocol error nor a tool's: told by the bytes, since parsing would cost as much as answering.
    fn good(&self) -> anyhow::Result<()> {
        let has = |part: &[u8]| memchr::memmem::find(&self.line, part).is_some();
        if has(br#""isError":true"#) || !has(br#""result":"#) {
            let said: String = String::from_utf8_lossy(&self.line).chars().take(2000).collect();
            bail!("the call failed: {said}");
        }
        Ok(())
    }
}

/// A line of `/proc/<pid>/status`, in MB.
pub(crate) fn memory_mb(process: u32, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(':'));
    let amount = line.and_then(|it| it.split_whitespace().next()).with_context(|| format!("no {name}"))?;
    Ok(amount.parse::<f64>()? / 1024.0)
}

impl Drop for Peer {
    fn drop(&mut self) {
        // An error means that it has ended already; `wait` then only collects it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
