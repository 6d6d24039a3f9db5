//! Messages on standard input and output, one a line, and what becomes of lines that are none.
//!
//! The SDK's own transport drops such lines without a word. Here each is answered (-32700 for what is not JSON, -32600
//! for what is no message or too long) and recorded before it is answered.

mod call;

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, PoisonError},
};

use policy::Channel;
use rmcp::{
    RoleServer,
    model::JsonRpcMessage,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde::Serialize;
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
    output: Arc<Output<W>>,
    opening: Opening,
    stop: CancellationToken,
    /// The recording and answering of a bad line. `receive` may be dropped at any await, so it is kept here.
    answering: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
}

/// Where messages leave. What is sent while another is being written leaves with one write, and the reader wakes up once.
struct Output<W> {
    waiting: std::sync::Mutex<Vec<u8>>,
    way: Mutex<Way<W>>,
}

struct Way<W> {
    out: W,
    /// Whether a write failed: nothing that was sent with it or later has arrived.
    broken: bool,
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
            output: Arc::new(Output::new(output)),
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
            let end = memchr::memchr(b'\n', available);
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
        let message = match call::read(line) {
            Some(call) => call,
            None => serde_json::from_slice(line).map_err(|error| bad(line, &error))?,
        };
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
            output.queue(&json!({ "jsonrpc": "2.0", "id": bad.id, "error": error }))?;
            output.write().await
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
        // Now, and not when the future is first polled: what is sent in one go leaves in one.
        let queued = self.output.queue(&message);
        let output = self.output.clone();
        async move {
            queued?;
            output.write().await
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
        // What was sent and not written yet goes first.
        let written = self.output.write().await;
        self.output.way.lock().await.out.shutdown().await.and(written)
    }
}

impl<W: AsyncWrite + Unpin> Output<W> {
    fn new(out: W) -> Output<W> {
        Output { waiting: std::sync::Mutex::default(), way: Mutex::new(Way { out, broken: false }) }
    }

    /// Puts a message where the next write takes it.
    fn queue(&self, message: &impl Serialize) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = waiting.len();
        serde_json::to_writer(&mut *waiting, message).inspect_err(|_| waiting.truncate(whole))?;
        waiting.push(b'\n');
        Ok(())
    }

    /// Returns once what was queued before has left, by whoever's write.
    async fn write(&self) -> io::Result<()> {
        let mut way = self.way.lock().await;
        let lines = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if way.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if lines.is_empty() {
            return Ok(());
        }
        // Whoever stops halfway leaves half a line.
        way.broken = true;
        way.out.write_all(&lines).await?;
        way.out.flush().await?;
        way.broken = false;
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use super::*;

    /// Keeps each write apart, and takes so many of them.
    struct Pipe {
        written: Vec<String>,
        room: usize,
    }

    impl AsyncWrite for Pipe {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.written.len() == self.room {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            self.written.push(String::from_utf8_lossy(bytes).into_owned());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_waits_leaves_together_and_in_order_and_whoever_comes_after_a_failure_is_told() {
        let output = Output::new(Pipe { written: Vec::new(), room: 2 });
        for number in [1, 2] {
            output.queue(&number).unwrap();
        }
        assert!(output.write().await.is_ok() && output.write().await.is_ok());
        output.queue(&3).unwrap();
        assert!(output.write().await.is_ok());
        assert_eq!(output.way.lock().await.out.written, ["1\n2\n", "3\n"]);
        output.queue(&4).unwrap();
        output.queue(&5).unwrap();
        // The second was to leave by the write of the first.
        assert!(output.write().await.is_err() && output.write().await.is_err());
        output.way.lock().await.out.room = usize::MAX;
        output.queue(&6).unwrap();
        assert!(output.write().await.is_err(), "nobody knows what has arrived");
        assert_eq!(output.way.lock().await.out.written.len(), 2);
    }

    #[tokio::test]
    async fn a_message_that_has_no_json_form_leaves_nothing_behind() {
        let output = Output::new(Pipe { written: Vec::new(), room: 1 });
        output.queue(&[1]).unwrap();
        // Fails halfway: the key of an object has to be a text.
        assert!(output.queue(&(1, std::collections::BTreeMap::from([([1], 1)]))).is_err());
        assert!(output.write().await.is_ok());
        assert_eq!(output.way.lock().await.out.written, ["[1]\n"]);
    }
}
