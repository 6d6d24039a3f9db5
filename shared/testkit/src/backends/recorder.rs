//! What was a backend really asked, and when? A loopback proxy that keeps a log and can misbehave.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::answer::{self, Behaviour, Hold, Stopped};

/// A proxy in front of one backend; ended when dropped.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// E.g. `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it is text.
    pub body: String,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// When it had arrived whole.
    pub at: Instant,
    /// Whether it was passed on to the backend.
    pub passed_on: bool,
}

struct Shared {
    backend: Option<SocketAddr>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Recorded>>,
    clients: Mutex<Vec<TcpStream>>,
    stopped: Stopped,
}

/// Closes a connection when its thread is done with it, even by a panic: another handle to it is still open.
struct Closing(TcpStream);

struct Rule {
    method: String,
    path: String,
    behaviour: Behaviour,
}

impl Recorder {
    /// Stands in front of a backend.
    pub fn before(backend: SocketAddr) -> Recorder {
        Recorder::start((Ipv4Addr::LOCALHOST, 0).into(), Some(backend))
    }

    /// Stands in front of a backend, at an address where nobody listens.
    pub fn at(address: SocketAddr, backend: SocketAddr) -> Recorder {
        Recorder::start(address, Some(backend))
    }

    /// Stands alone, answers `{}` to everything, and remembers who asked: for addresses that nobody may reach.
    pub fn alone() -> Recorder {
        Recorder::start((Ipv4Addr::LOCALHOST, 0).into(), None)
    }

    fn start(address: SocketAddr, backend: Option<SocketAddr>) -> Recorder {
        let listener = TcpListener::bind(address).expect("nobody else listens there");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            backend,
            rules: Mutex::default(),
            log: Mutex::default(),
            clients: Mutex::default(),
            stopped: Stopped::default(),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Recorder { address, shared, accepting: Some(accepting) }
    }

    /// Base address for a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, behaves so to requests of this method (`*` for any) whose path starts so. The latest rule that
    /// matches holds.
    pub fn on(&self, method: &str, path: &str, behaviour: Behaviour) {
        let rule = Rule { method: method.to_owned(), path: path.to_owned(), behaviour };
        self.shared.rules.lock().expect("nobody panics while holding it").push(rule);
    }

    /// From now on, holds such requests.
    pub fn hold(&self, method: &str, path: &str) -> Hold {
        let hold = Hold::default();
        self.on(method, path, Behaviour::Hold(hold.clone()));
        hold
    }

    /// Passes everything on again.
    pub fn behave(&self) {
        let rules = std::mem::take(&mut *self.shared.rules.lock().expect("nobody panics while holding it"));
        release(&rules);
    }

    /// All requests so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log.lock().expect("nobody panics while holding it").clone()
    }

    /// Requests so far of this method whose path starts so.
    pub fn requests_to(&self, method: &str, path: &str) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(|it| it.method == method && it.path.starts_with(path));
        requests
    }
}

impl Recorded {
    /// Value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopped.stop();
        release(&self.shared.rules.lock().expect("nobody panics while holding it"));
        for client in self.shared.clients.lock().expect("nobody panics while holding it").drain(..) {
            let _ = client.shutdown(Shutdown::Both); // it may be closed already
        }
        let _ = TcpStream::connect(self.address); // wakes the accepting thread, which then sees that it is over
        if let Some(accepting) = self.accepting.take() {
            let joined = accepting.join();
            assert!(joined.is_ok() || thread::panicking(), "the recorder panicked");
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both); // the client may have closed it
    }
}

fn release(rules: &[Rule]) {
    for rule in rules {
        if let Behaviour::Hold(hold) = &rule.behaviour {
            hold.release();
        }
    }
}

impl Shared {
    /// Serves each connection on a thread of its own, and ends when all of them have.
    fn accept(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            for client in listener.incoming() {
                if self.stopped.now() {
                    break;
                }
                let Ok(client) = client else { continue };
                let Ok(handle) = client.try_clone() else { continue };
                self.clients.lock().expect("nobody panics while holding it").push(handle);
                // A client that goes away in the middle is what tests are for: not an error here.
                scope.spawn(move || drop(self.serve(&mut Closing(client).0)));
            }
        });
    }

    /// One request and its answer; every connection carries one.
    fn serve(&self, client: &mut TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        let request = read_request(client)?;
        let place = {
            let mut log = self.log.lock().expect("nobody panics while holding it");
            log.push(request.clone());
            log.len() - 1
        };
        match self.behaviour(&request) {
            Behaviour::Pass => {}
            Behaviour::Observe(observer) => observer.look(&request),
            Behaviour::Hold(hold) => hold.wait(),
            Behaviour::Slow(wait) => drop(self.stopped.within(wait)),
            Behaviour::Answer { status, content_type, body } => {
                return answer::write_answer(client, status, content_type, &body);
            }
            Behaviour::Huge(size_bytes) => return answer::write_huge(client, size_bytes),
            Behaviour::Trickle => return answer::trickle(client, &self.stopped),
            Behaviour::Redirect(to) => return answer::write_redirect(client, &to),
            Behaviour::Drop => return client.shutdown(Shutdown::Both),
            Behaviour::DropAnswer => {
                self.pass_on(&request, place)?;
                return client.shutdown(Shutdown::Both);
            }
        }
        if self.stopped.now() {
            return Ok(());
        }
        match self.backend {
            Some(_) => client.write_all(&self.pass_on(&request, place)?),
            None => answer::write_answer(client, 200, "application/json", "{}"),
        }
    }

    fn behaviour(&self, request: &Recorded) -> Behaviour {
        let rules = self.rules.lock().expect("nobody panics while holding it");
        let fits = |it: &&Rule| {
            (it.method == "*" || it.method == request.method) && request.path.starts_with(&it.path)
        };
        rules.iter().rev().find(fits).map_or(Behaviour::Pass, |it| it.behaviour.clone())
    }

    /// Has the backend answer, and gives its answer as it came.
    fn pass_on(&self, request: &Recorded, place: usize) -> io::Result<Vec<u8>> {
        let Some(backend) = self.backend else { return Ok(Vec::new()) };
        let mut stream = TcpStream::connect(backend)?;
        let Recorded { method, path, headers, bytes, .. } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {backend}\r\nConnection: close\r\n");
        for (name, value) in headers {
            if !matches!(name.as_str(), "host" | "connection" | "content-length" | "transfer-encoding") {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", bytes.len()));
        self.log.lock().expect("nobody panics while holding it")[place].passed_on = true;
        stream.write_all(text.as_bytes())?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

fn read_request(client: &mut TcpStream) -> io::Result<Recorded> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(wrong("no request line"));
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Ok(0), |(_, it)| it.parse::<usize>()).map_err(|_| wrong("content-length"))?;
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Recorded { method, path, headers, body, bytes, at: Instant::now(), passed_on: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEADLINE, http};

    #[test]
    fn what_is_asked_is_passed_on_and_remembered() {
        let backend = Recorder::alone();
        let recorder = Recorder::before(backend.address());
        let answer = http::post(recorder.address(), "/write?now=1", "{\"a\":1}").expect("answers");
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
        let [request] = recorder.requests_to("POST", "/write").try_into().expect("one request");
        assert!(request.passed_on);
        assert_eq!(backend.requests()[0].body, "{\"a\":1}");
        assert_eq!(backend.requests()[0].header("content-type"), Some("application/json"));
    }

    #[test]
    fn a_held_request_reaches_the_backend_only_when_released() {
        let backend = Recorder::alone();
        let recorder = Recorder::before(backend.address());
        let hold = recorder.hold("POST", "/write");
        let address = recorder.address();
        let asking = thread::spawn(move || http::post(address, "/write", "{}"));
        hold.wait_arrived(DEADLINE);
        assert!(backend.requests().is_empty());
        hold.release();
        assert_eq!(asking.join().expect("no panic").expect("answers").status, 200);
        assert_eq!(backend.requests().len(), 1);
    }

    #[test]
    fn a_misbehaving_backend_is_not_asked() {
        let backend = Recorder::alone();
        let recorder = Recorder::before(backend.address());
        recorder.on("GET", "/html", Behaviour::html());
        recorder.on("GET", "/huge", Behaviour::Huge(1_000_000));
        recorder.on("GET", "/drop", Behaviour::Drop);
        recorder.on("GET", "/trickle", Behaviour::Trickle);
        let get = |path| http::get(recorder.address(), path);
        assert!(get("/html").expect("answers").body.contains("sign in"));
        let huge = get("/huge").expect("answers").body;
        assert_eq!(huge.len(), 1_000_000);
        assert!(huge.starts_with('"') && huge.ends_with('"'));
        assert!(get("/drop").is_err());
        assert!(backend.requests().is_empty());
        recorder.behave();
        assert_eq!(get("/html").expect("answers").body, "{}");
    }

    #[test]
    fn a_lost_answer_leaves_the_effect() {
        let backend = Recorder::alone();
        let recorder = Recorder::before(backend.address());
        recorder.on("POST", "/", Behaviour::DropAnswer);
        assert!(http::post(recorder.address(), "/write", "{}").is_err());
        assert_eq!(backend.requests().len(), 1);
    }
}
