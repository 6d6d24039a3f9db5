//! A server on loopback that answers as badly as it is told to, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// What a peer does with a request once it has read it.
#[derive(Clone)]
pub(super) enum Manner {
    /// Writes these bytes and closes.
    Say(Vec<u8>),
    /// Says that so many MiB of JSON follow, without a length, and sends them for as long as anybody reads.
    Flood(usize),
    /// Never answers.
    Hang,
    /// Closes without a word.
    HangUp,
}

pub(super) struct Peer {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Peer {
    pub(super) async fn start(manner: Manner) -> Peer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(answer(stream, manner.clone(), log.clone()));
            }
        });
        Peer { port, asked, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far, in full.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with a status line, headers and a body.
pub(super) fn say(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Manner {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    Manner::Say([head.as_bytes(), body].concat())
}

pub(super) fn json(status: &str, body: &str) -> Manner {
    say(status, "Content-Type: application/json\r\n", body)
}

async fn answer(mut stream: TcpStream, manner: Manner, log: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !complete(&request) {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
    }
    log.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match manner {
        Manner::Say(bytes) => {
            let _closed_early = stream.write_all(&bytes).await;
        }
        Manner::Flood(mebibytes) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\"";
            let _closed_early = stream.write_all(head.as_bytes()).await;
            let block = vec![b'x'; 1 << 20];
            for _ in 0..mebibytes {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
            }
        }
        Manner::Hang => std::future::pending().await,
        Manner::HangUp => {}
    }
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |it| it.parse().unwrap())
}

/// A gzip stream that holds `size` bytes of `a` in about a thousandth of that: one deflate block with the fixed codes,
/// a literal and then copies of length 258 from distance 1. Its checksum is missing; nobody should get that far.
pub(super) fn gzip_bomb(size: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let code = |value: u32, length: u32| (0..length).rev().map(move |at| value >> at & 1 == 1);
    bits.extend(code(0x30 + u32::from(b'a'), 8));
    for _ in 0..size / 258 {
        bits.extend(code(0b1100_0101, 8));
        bits.extend(code(0, 5));
    }
    bits.extend(code(0, 7));
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let packed = bits.chunks(8).map(|it| it.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
    head.into_iter().chain(packed).collect()
}
