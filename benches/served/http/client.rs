//! Who asks? Connections that are kept, each with one request under way, the same for every server.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    task::JoinSet,
};

use super::PATH;
use crate::echo::{self, EchoText};
use tool::Tool as _;

/// Connections that stay open over all rounds.
pub(super) struct Crowd {
    connections: Vec<Connection>,
    request: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Revision of the protocol without sessions.
const VERSION: &str = "2026-07-28";

impl Crowd {
    pub(super) async fn connect(address: SocketAddr, count: usize, token: &str) -> anyhow::Result<Crowd> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            connections.push(Connection { stream, received: Vec::new() });
        }
        Ok(Crowd { connections, request: request(address, token) })
    }

    /// Every connection asks for a while, one request after the other; answers per second.
    pub(super) fn flood(&mut self, runtime: &Runtime, lasting: std::time::Duration) -> anyhow::Result<f64> {
        runtime.block_on(async {
            let begun = Instant::now();
            let mut asking = JoinSet::new();
            for mut connection in self.connections.drain(..) {
                let request = self.request.clone();
                asking.spawn(async move {
                    let mut answered: u64 = 0;
                    while begun.elapsed() < lasting {
                        connection.ask(&request).await?;
                        answered += 1;
                    }
                    Ok::<_, anyhow::Error>((connection, answered))
                });
            }
            let mut answered = 0;
            while let Some(one) = asking.join_next().await {
                let (connection, by_one) = one??;
                answered += by_one;
                self.connections.push(connection);
            }
            Ok(answered as f64 / begun.elapsed().as_secs_f64())
        })
    }
}

impl Connection {
    /// Sends a request and waits for its answer, which has to be a good one.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let whole = loop {
            let read = self.stream.read_buf(&mut self.received).await?;
            ensure!(read > 0, "the server left before it answered");
            if let Some(whole) = length(&self.received)?
                && self.received.len() >= whole
            {
                break whole;
            }
        };
        let answer = &self.received[..whole];
        let has = |part: &[u8]| answer.windows(part.len()).any(|it| it == part);
        // Told by the bytes, since parsing would cost as much as answering.
        if !answer.starts_with(b"HTTP/1.1 200") || has(br#""isError":true"#) || !has(br#""result":"#) {
            let said: String = String::from_utf8_lossy(answer).chars().take(2000).collect();
            bail!("the call failed: {said}");
        }
        Ok(())
    }
}

/// Length of the answer whose beginning this is, once its head is there.
fn length(received: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = received.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end])?;
    let mut lines = head.lines().filter_map(|it| it.split_once(':'));
    let told = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, told) = told.with_context(|| format!("an answer without a length: {head}"))?;
    Ok(Some(end + 4 + told.trim().parse::<usize>()?))
}

/// The call that every server is asked, as a client of the newest revision sends it.
fn request(address: SocketAddr, token: &str) -> Vec<u8> {
    let params = json!({
        "name": EchoText::NAME,
        "arguments": echo::arguments(),
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": { "name": "bench", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nAuthorization: Bearer {token}\r\n\
         MCP-Protocol-Version: {VERSION}\r\nMcp-Method: tools/call\r\nMcp-Name: {}\r\nContent-Length: {}\r\n\r\n",
        EchoText::NAME,
        body.len(),
    );
    [head.into_bytes(), body.into_bytes()].concat()
}
