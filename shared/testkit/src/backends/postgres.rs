//! A real PostgreSQL, as a team's replicas share it.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs::{self, File},
    io::Write,
    net::{SocketAddr, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

use crate::process::{DEADLINE, free_address, wait_until};

/// A PostgreSQL on a free loopback port; ended when dropped, and with the process that started it at the latest.
pub struct Postgres {
    address: SocketAddr,
    folder: PathBuf,
    keeper: Child,
    orders: Option<ChildStdin>,
}

/// Who may use it.
const USER: &str = "bailiwick";
/// Who runs it where a test runs as root, which it refuses: the Debian package brings the name.
const SYSTEM_USER: &str = "postgres";
/// Keeps the server, whose command follows, and ends it and its folder with whoever holds the other end of the pipe.
const KEEPER: &str = "trap '' INT HUP TERM\n\
    \"$@\" & server=$!\n\
    while read -r order; do\n\
      case $order in\n\
        crash) kill -QUIT \"$server\"; wait \"$server\"; server='' ;;\n\
        start) \"$@\" & server=$! ;;\n\
      esac\n\
    done\n\
    [ -z \"$server\" ] || kill -QUIT \"$server\"; wait; rm -rf \"$0\"";

impl Postgres {
    /// Whose password only tests know; to look for in what is told.
    pub const PASSWORD: &str = "only-for-this-test";

    /// Starts one.
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let programs = programs();
        own(folder.path());
        initialize(folder.path(), &programs);
        for _ in 0..5 {
            if let Some(postgres) = serve(folder.path(), &programs) {
                // From here on its keeper removes the folder.
                let _kept: PathBuf = TempDir::keep(folder);
                return postgres;
            }
        }
        panic!("five free ports in a row were taken by others")
    }

    /// The one that all tests of a process share, each with a [`Postgres::schema`] of its own.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address for a configuration, with the password in it.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@{}/postgres", Self::PASSWORD, self.address)
    }

    /// Address of a place in it where nothing is yet.
    pub fn schema(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.query(&format!("CREATE SCHEMA {name}"));
        format!("{}?options=-c%20search_path%3D{name}", self.url())
    }

    /// What it answers to a statement.
    pub fn query(&self, sql: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        command.args(["--dbname", &self.url(), "--command", sql]).stdin(Stdio::null());
        ran(command.output(), "psql").trim().to_owned()
    }

    /// Ends it as a loss of power would: nothing is finished, and every connection breaks.
    pub fn crash(&mut self) {
        self.order("crash");
        let down = || TcpStream::connect(self.address).is_err().then_some(());
        wait_until("PostgreSQL to be down", DEADLINE, down);
    }

    /// Starts it again where it was, after [`Postgres::crash`].
    pub fn restart(&mut self) {
        self.order("start");
        wait_until("PostgreSQL to be up again", DEADLINE, || is_ready(&self.folder).then_some(()));
    }

    fn order(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("taken only when it is dropped");
        writeln!(orders, "{word}").expect("its keeper reads orders");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Ends once the server has.
        let _ = self.keeper.wait();
    }
}

/// Makes an empty database. What it writes is not waited for: only the server's own changes have to last.
fn initialize(folder: &Path, programs: &Path) {
    let password = folder.join("password");
    fs::write(&password, Postgres::PASSWORD).expect("a temporary folder is writable");
    own(&password);
    let mut command = as_server(&programs.join("initdb"));
    command.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", USER]);
    command.arg("--pwfile").arg(&password).arg("--pgdata").arg(folder.join("data"));
    ran(command.stdin(Stdio::null()).output(), "initdb");
}

/// Starts the server; none where somebody else took the port meanwhile.
fn serve(folder: &Path, programs: &Path) -> Option<Postgres> {
    let address = free_address();
    let log = folder.join("log.txt");
    let output = File::create(&log).expect("a temporary folder is writable");
    let errors = output.try_clone().expect("a file handle can be doubled");
    let mut command = as_server(Path::new("sh"));
    command.args(["-c", KEEPER]).arg(folder).arg(programs.join("postgres"));
    command.arg("-D").arg(folder.join("data"));
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    command.args(["-c", &format!("port={}", address.port()), "-c", "max_connections=200"]);
    let keeper = command.stdin(Stdio::piped()).stdout(output).stderr(errors).spawn();
    let mut keeper = keeper.unwrap_or_else(|it| panic!("cannot start `sh`: {it}"));
    let orders = keeper.stdin.take();
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let up = wait_until("PostgreSQL to be ready", DEADLINE, || {
        match read().contains("database system is shut down") {
            true => Some(false),
            false => is_ready(folder).then_some(true),
        }
    });
    if up {
        return Some(Postgres { address, folder: folder.to_owned(), keeper, orders });
    }
    let output = read();
    assert!(output.contains("Address already in use"), "PostgreSQL ended by itself:\n{output}");
    // Its keeper would take the folder along.
    let _ = keeper.kill();
    let _ = keeper.wait();
    None
}

/// Whether it says that it takes connections.
fn is_ready(folder: &Path) -> bool {
    let said = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
    said.lines().last().is_some_and(|it| it.trim() == "ready")
}

/// Where its programs are: Debian puts them beside those of other versions, and most of them on no path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |it: &Path| it.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = versions.map(|it| it.path()).filter(|it| it.join("bin/postgres").exists());
    let newest = installed.max_by_key(|it| version(it)).map(|it| it.join("bin"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&paths).find(|it| it.join("initdb").exists());
    newest.or_else(on_path).expect("no PostgreSQL here: install the package `postgresql`; tests/run does")
}

/// A command as whoever may run the server.
fn as_server(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args([
            &format!("--reuid={SYSTEM_USER}"),
            &format!("--regid={SYSTEM_USER}"),
            "--clear-groups",
        ]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    // It need not reach where the test stands.
    command
        .current_dir("/")
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Gives a file to whoever runs the server.
fn own(path: &Path) {
    if is_root() {
        let mut command = Command::new("chown");
        ran(command.arg(format!("{SYSTEM_USER}:{SYSTEM_USER}")).arg(path).output(), "chown");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// What a program wrote that has to succeed.
fn ran(output: std::io::Result<Output>, name: &str) -> String {
    let output = output.unwrap_or_else(|it| panic!("cannot start `{name}`: {it}; tests/run installs it"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_committed_outlives_a_crash_and_nothing_outlives_the_test() {
        let mut postgres = Postgres::start();
        postgres.query("CREATE TABLE kept (word TEXT); INSERT INTO kept VALUES ('still here')");
        postgres.crash();
        postgres.restart();
        assert_eq!(postgres.query("SELECT word FROM kept"), "still here");
        assert_eq!(postgres.query("SHOW fsync"), "on");
        let (address, folder) = (postgres.address, postgres.folder.clone());
        drop(postgres);
        assert!(TcpStream::connect(address).is_err() && !folder.exists());
    }
}
