//! Messages on standard input and output, one a line, and what becomes of lines that are none.
//!
//! The SDK's own transport drops such lines without a word. Here each is answered (-32700 for what is not JSON, -32600
//! for what is no message or too long) and recorded before it is answered.

use std::{future::Future, io, pin::Pin, sync::Arc};

use policy::Channel;
use rmcp::{
    RoleServer,
    model::JsonRpcMessage,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

use crate::server::Opening;

/// Longest line.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// A transport of lines.
pub(crate) struct Wire<R, W> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Whether the rest of a line that was too long is being skipped.
    skipping: bool,
    /// Whether a request has arrived: until then the SDK takes anything else for a reason to leave.
    begun: bool,
    output: Arc<Mutex<W>>,
    opening: Opening,
    stop: CancellationToken,
    /// The recording and answering of a bad line. `receive` may be dropped at any await, so it is kept here.
    answering: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
}

/// Why a line is no message.
pub(crate) struct Bad {
    pub(crate) code: i32,
    pub(crate) problem: String,
    pub(crate) id: Value,
}

enum Line {
    Whole,
    TooLong,
    End,
}

impl<R, W> Wire<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(crate) fn new(input: R, output: W, opening: Opening, stop: CancellationToken) -> Wire<R, W> {
        Wire {
            input: BufReader::with_capacity(64 << 10, input),
            line: Vec::new(),
            skipping: false,
            begun: false,
            output: Arc::new(Mutex::new(output)),
            opening,
            stop,
            answering: None,
        }
    }

    /// Reads up to the next line end. Cancel-safe: between `fill_buf` and `consume` nothing waits.
    async fn read_line(&mut self) -> io::Result<Line> {
        loop {
            let available = tokio::select! {
                available = self.input.fill_buf() => available?,
                () = self.stop.cancelled() => return Ok(Line::End),
            };
            if available.is_empty() {
                // Whoever closes without a line end has said something all the same.
                return Ok(match (std::mem::take(&mut self.skipping), self.line.is_empty()) {
                    (true, _) => Line::TooLong,
                    (false, false) => Line::Whole,
                    (false, true) => Line::End,
                });
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(available.len(), |at| at + 1);
            let fits = !self.skipping && self.line.len() + take <= LINE_BYTES_MAX;
            if fits {
                self.line.extend_from_slice(&available[..take]);
            }
            self.input.consume(take);
            match (end, fits) {
                (Some(_), true) => return Ok(Line::Whole),
                (Some(_), false) => {
                    self.skipping = false;
                    self.line.clear();
                    return Ok(Line::TooLong);
                }
                (None, true) => {}
                (None, false) => {
                    self.skipping = true;
                    self.line.clear();
                }
            }
        }
    }

    /// A message, nothing (an empty line, or one that means nothing yet), or why it is neither.
    fn parse(&mut self) -> Result<Option<RxJsonRpcMessage<RoleServer>>, Bad> {
        let line = self.line.trim_ascii();
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        if line.is_empty() {
            return Ok(None);
        }
        let message = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line)
            .map_err(|error| bad(line, &error))?;
        self.begun |= matches!(message, JsonRpcMessage::Request(_));
        Ok(self.begun.then_some(message))
    }

    /// Records a bad line, then answers it.
    fn answer(&mut self, bad: Bad) {
        let (output, opening) = (self.output.clone(), self.opening.clone());
        self.answering = Some(Box::pin(async move {
            if let Ok(opened) = opening.wait().await {
                let caller = opened.caller.borrow().caller.clone();
                opened.gate.reject(&caller, Channel::Stdio, &bad.problem).await;
            }
            let error = json!({ "code": bad.code, "message": bad.problem });
            let mut line = json!({ "jsonrpc": "2.0", "id": bad.id, "error": error }).to_string();
            line.push('\n');
            let mut output = output.lock().await;
            output.write_all(line.as_bytes()).await?;
            output.flush().await
        }));
    }
}

impl<R, W> Transport<RoleServer> for Wire<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            let mut output = output.lock().await;
            output.write_all(&line).await?;
            output.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            if let Some(answering) = self.answering.as_mut() {
                let answered = answering.await;
                self.answering = None;
                answered.ok()?;
            }
            match self.read_line().await.ok()? {
                Line::End => return None,
                Line::TooLong => self.answer(Bad {
                    code: -32600,
                    problem: format!("line longer than {LINE_BYTES_MAX} bytes; send less"),
                    id: Value::Null,
                }),
                Line::Whole => {
                    let parsed = self.parse();
                    self.line.clear();
                    match parsed {
                        Ok(Some(message)) => return Some(message),
                        Ok(None) => {}
                        Err(bad) => self.answer(bad),
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.output.lock().await.shutdown().await
    }
}

/// Whether a line is no JSON at all, or JSON that is no message; with its id where it has one.
pub(crate) fn bad(line: &[u8], error: &serde_json::Error) -> Bad {
    match serde_json::from_slice::<Value>(line) {
        Err(_) => Bad { code: -32700, problem: format!("not JSON: {error}"), id: Value::Null },
        Ok(value) => {
            let id = value.get("id").filter(|it| it.is_string() || it.is_i64() || it.is_u64());
            let what = match &value {
                Value::Array(_) => "batches are not supported; send one message a line",
                _ => "expected {\"jsonrpc\": \"2.0\", \"id\", \"method\", \"params\"}",
            };
            Bad {
                code: -32600,
                problem: format!("no JSON-RPC message: {what}"),
                id: id.cloned().unwrap_or_default(),
            }
        }
    }
}
