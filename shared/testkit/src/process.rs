//! Which programs run, and who ends them?

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Longest that a test waits for something that should be there at once; generous, because test machines are slow.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something, and panics after `deadline`, saying what was waited for.
pub fn wait_until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A program started by a test and killed, by its own id, when this is dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program whose output goes to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Running {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).expect("a temporary folder is writable");
        let errors = output.try_clone().expect("a file handle can be doubled");
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.unwrap_or_else(|it| panic!("cannot start `{name}`: {it}; tests/run installs it"));
        Running { child, log: log.to_owned() }
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("our own child can be asked").is_some()
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already; `wait` then only collects it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server on a free loopback port and waits until `ready` holds for it. The port is only free when it is
/// looked up, so a server that ends because somebody else took it meanwhile is started again on another.
pub(crate) fn start_server(
    log: &Path,
    command: impl Fn(SocketAddr) -> Command,
    ready: impl Fn(SocketAddr) -> bool,
) -> (Running, SocketAddr) {
    for _ in 0..5 {
        let address = free_address();
        let mut command = command(address);
        let name = command.get_program().to_string_lossy().into_owned();
        let mut running = Running::start(&mut command, log);
        let alive = wait_until(&format!("`{name}` to be ready"), DEADLINE, || match running.ended() {
            true => Some(false),
            false => (ready(address) && !running.ended()).then_some(true),
        });
        if alive {
            return (running, address);
        }
        let output = running.output();
        assert!(output.contains("address already in use"), "`{name}` ended by itself:\n{output}");
    }
    panic!("five free ports in a row were taken by others")
}

/// A loopback address where nobody listens, given once: to start a server there, or for one that is down.
///
/// It lies outside the ports that Linux gives to those who ask for any free one, so that neither another test of this
/// process nor a connection gets it meanwhile.
pub fn free_address() -> SocketAddr {
    const PORTS: Range<u32> = 10_000..32_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        // Processes that test side by side begin at different places.
        let port =
            PORTS.start + (process::id().wrapping_mul(61).wrapping_add(given)) % (PORTS.end - PORTS.start);
        let address =
            SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).expect("the range is of ports")));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("every loopback port of {PORTS:?} is taken");
}
