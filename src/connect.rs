//! `bailiwick connect`: standard input and output, carried to the socket of a server that another user runs. Nothing is
//! decided here, and nothing is read that passes.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use clap::Args;

use crate::{UNUSABLE, family::Server, say};

/// Reach a server on a socket from a client that starts its servers itself
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        claude mcp add code -- bailiwick connect /run/bailiwick/mcp.sock code\n  \
                        bailiwick connect /run/bailiwick/mcp.sock     # where it serves one server only\n\n\
                        The server knows the user that this runs as from the operating system. Policy, credentials and log are\n\
                        its own: bailiwick serve --socket.")]
pub(crate) struct Connect {
    /// Socket of the server
    socket: PathBuf,
    /// Which server, where it serves several
    #[arg(value_enum)]
    server: Option<Server>,
}

/// Longest that a server may say before there are lines.
const HEAD_BYTES_MAX: usize = 8 << 10;

pub(crate) fn run(arguments: &Connect) -> anyhow::Result<ExitCode> {
    let place = arguments.socket.display();
    let mut stream = UnixStream::connect(&arguments.socket).with_context(|| {
        format!("nobody is reached at {place}; is `bailiwick serve --socket` running there?")
    })?;
    let path = arguments.server.map_or("/lines".to_owned(), |it| format!("/{}/lines", it.word()));
    let asked = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: {}\r\n\r\n",
        mcp::UPGRADE
    );
    let head = head(&mut stream, &asked).with_context(|| format!("no server of ours is at {place}"))?;
    if !head.starts_with("HTTP/1.1 101 ") {
        // An answer that says why; it ends where the connection does, or somewhat before.
        stream.shutdown(Shutdown::Write)?;
        let mut why = String::new();
        stream.take(HEAD_BYTES_MAX as u64).read_to_string(&mut why)?;
        let status = head.lines().next().unwrap_or_default();
        anyhow::bail!("{place} does not let us in: {status} {why}");
    }
    let left = Arc::new(AtomicBool::new(false));
    let (mut to, leaving) = (stream.try_clone()?, left.clone());
    thread::spawn(move || {
        let ended = carry(&mut io::stdin().lock(), &mut to);
        leaving.store(true, Ordering::Relaxed);
        // The server hears that the client has left, and still says what it has to say.
        ended.and_then(|()| to.shutdown(Shutdown::Write))
    });
    carry(&mut stream, &mut io::stdout().lock())?;
    if left.load(Ordering::Relaxed) {
        return Ok(ExitCode::SUCCESS);
    }
    say::note(&format!("bailiwick: the server at {place} has left"));
    Ok(ExitCode::from(UNUSABLE))
}

/// Asks, and hears the answer up to the empty line and not a byte further: what follows is the client's.
fn head(stream: &mut UnixStream, asked: &str) -> anyhow::Result<String> {
    stream.write_all(asked.as_bytes())?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < HEAD_BYTES_MAX, "it says more than any head holds");
        stream.read_exact(&mut byte).context("it closed the connection")?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Everything, as it comes.
fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&piece[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
