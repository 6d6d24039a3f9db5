//! One plain HTTP request to a loopback server, blocking.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Asks for a path.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    send(address, "GET", path, "")
}

/// Sends JSON to a path.
pub fn post(address: SocketAddr, path: &str, json: &str) -> io::Result<Response> {
    send(address, "POST", path, json)
}

/// Sends one request. HTTP/1.0, so that the answer ends where the connection does.
pub fn send(address: SocketAddr, method: &str, path: &str, json: &str) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = json.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {answer:.80}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
    Ok(Response { status, body: body.to_owned() })
}
