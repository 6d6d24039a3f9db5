//! One plain HTTP request to a loopback server, blocking.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Response {
    /// Value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// Asks for a path.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    send(address, "GET", path, "")
}

/// Sends JSON to a path.
pub fn post(address: SocketAddr, path: &str, json: &str) -> io::Result<Response> {
    send(address, "POST", path, json)
}

/// Sends one request.
pub fn send(address: SocketAddr, method: &str, path: &str, json: &str) -> io::Result<Response> {
    send_with(address, method, path, &[("Content-Type", "application/json")], json.as_bytes())
}

/// Sends one request with headers. HTTP/1.0, so that the answer ends where the connection does. A header `Host` stands in
/// for the right one.
pub fn send_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    read(open(address, method, path, headers, body)?)
}

/// Sends one request with headers and does not wait for what comes back.
pub fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<TcpStream> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A server that has heard enough answers and closes before all of a body has left.
    let _ = stream.write_all(body);
    Ok(stream)
}

/// What a server answers, up to where it closes the connection.
pub fn read(mut stream: impl Read) -> io::Result<Response> {
    let (mut answer, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {answer:.80}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|it| it.split(' ').nth(1)?.parse().ok()).ok_or_else(wrong)?;
    let headers = lines.filter_map(|it| it.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Ok(Response { status, headers: headers.collect(), body: body.to_owned() })
}
