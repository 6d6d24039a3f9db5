//! How does a recorded backend answer: as it would, late, wrong, or not at all?

use std::{
    fmt,
    io::{self, Write},
    net::TcpStream,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::recorder::Recorded;

/// What a [`super::Recorder`] does with a request. The default is [`Behaviour::Pass`].
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The backend answers.
    Pass,
    /// Something is looked at while the request waits; then the backend answers.
    Observe(Observer),
    /// The request waits until it is released; then the backend answers.
    Hold(Hold),
    /// The request waits this long; then the backend answers.
    Slow(Duration),
    /// A fixed answer; the backend is not asked.
    Answer {
        /// HTTP status.
        status: u16,
        /// E.g. `text/html`.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// A JSON text of this many bytes; the backend is not asked.
    Huge(u64),
    /// A body that comes byte by byte, ten a second, and never ends; the backend is not asked.
    Trickle,
    /// A redirect to this address; the backend is not asked.
    Redirect(String),
    /// The connection is closed without an answer; the backend is not asked.
    Drop,
    /// The backend does as asked, but its answer never arrives.
    DropAnswer,
}

/// Looks at something while a request waits, e.g. at what is durable at that moment.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Recorded) + Send + Sync>);

/// Keeps requests waiting, until it is released or its last copy is dropped with the recorder.
#[derive(Clone, Debug, Default)]
pub struct Hold {
    held: Arc<(Mutex<Held>, Condvar)>,
}

#[derive(Debug, Default)]
struct Held {
    arrived: usize,
    released: bool,
}

impl Behaviour {
    /// A login page, as a proxy in front of a backend might answer.
    pub fn html() -> Behaviour {
        let body = "<!doctype html><html><body>Please sign in</body></html>".to_owned();
        Behaviour::Answer { status: 200, content_type: "text/html", body }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<String>) -> Behaviour {
        Behaviour::Answer { status, content_type: "application/json", body: body.into() }
    }

    /// Looks at something while the request waits.
    pub fn observe(look: impl Fn(&Recorded) + Send + Sync + 'static) -> Behaviour {
        Behaviour::Observe(Observer(Arc::new(look)))
    }
}

impl Observer {
    pub(super) fn look(&self, request: &Recorded) {
        (self.0)(request);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Hold {
    /// Waits until a request is held, and panics after `deadline`.
    pub fn wait_arrived(&self, deadline: Duration) {
        let (held, changed) = &*self.held;
        let state = held.lock().expect("nobody panics while holding it");
        let (state, _) = changed
            .wait_timeout_while(state, deadline, |it| it.arrived == 0)
            .expect("nobody panics while holding it");
        assert!(state.arrived > 0, "waited {deadline:?} in vain for a request to arrive");
    }

    /// Lets all requests go, now and later.
    pub fn release(&self) {
        self.state().released = true;
        self.held.1.notify_all();
    }

    pub(super) fn wait(&self) {
        let (held, changed) = &*self.held;
        let mut state = held.lock().expect("nobody panics while holding it");
        state.arrived += 1;
        changed.notify_all();
        drop(changed.wait_while(state, |it| !it.released).expect("nobody panics while holding it"));
    }

    fn state(&self) -> MutexGuard<'_, Held> {
        self.held.0.lock().expect("nobody panics while holding it")
    }
}

/// Writes an answer that the backend did not give.
pub(super) fn write_answer(
    client: &mut TcpStream,
    status: u16,
    content_type: &str,
    body: &str,
) -> io::Result<()> {
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status} Made up\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Sends the client elsewhere.
pub(super) fn write_redirect(client: &mut TcpStream, to: &str) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 307 Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Writes a JSON text of so many bytes.
pub(super) fn write_huge(client: &mut TcpStream, size_bytes: u64) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size_bytes}\r\nConnection: close\r\n\r\n\""
    )?;
    let chunk = [b'x'; 65_536];
    let mut left = size_bytes.saturating_sub(2);
    while left > 0 {
        let part = usize::try_from(left).map_or(chunk.len(), |it| it.min(chunk.len()));
        client.write_all(&chunk[..part])?;
        left -= part as u64;
    }
    client.write_all(b"\"")
}

/// Writes a byte now and then until the client gives up or `stopped` says so.
pub(super) fn trickle(client: &mut TcpStream, stopped: &Stopped) -> io::Result<()> {
    write!(client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")?;
    while !stopped.within(Duration::from_millis(100)) {
        client.write_all(b" ")?;
    }
    Ok(())
}

/// Whether the recorder is being dropped.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopped {
    pub(super) fn stop(&self) {
        *self.stopped.lock().expect("nobody panics while holding it") = true;
        self.changed.notify_all();
    }

    pub(super) fn now(&self) -> bool {
        *self.stopped.lock().expect("nobody panics while holding it")
    }

    /// Waits so long, or until stopped: then true.
    pub(super) fn within(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut stopped = self.stopped.lock().expect("nobody panics while holding it");
        while !*stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            stopped = self.changed.wait_timeout(stopped, left).expect("nobody panics while holding it").0;
        }
        true
    }
}
