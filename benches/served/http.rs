//! What does it cost to be governed over HTTP? `cargo bench --bench served -- http`, and `-- http quick` to see that it runs.

pub(crate) mod bare;
mod client;
pub(crate) mod gated;
mod issuer;
mod load;
mod sessions;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};

use self::issuer::Issuer;
use crate::{start::this_program, table::Table};

/// What asks for this part.
pub(crate) const WORD: &str = "http";
/// What asks for it to be short.
pub(crate) const QUICK: &str = "quick";
/// What this program was started as.
pub(crate) const BARE: &str = "serve-bare-http";
pub(crate) const GATED: &str = "serve-gated-http";
/// Where both are served.
const PATH: &str = "/echo/mcp";

/// How much is measured.
struct Extent {
    rounds: usize,
    /// How long each side is asked in each round.
    lasting: Duration,
    /// How many sessions are opened.
    sessions: usize,
    /// How many tokens are checked, one after the other, in each round.
    tokens: usize,
}

const FULL: Extent = Extent { rounds: 15, lasting: Duration::from_millis(500), sessions: 1000, tokens: 2000 };
const SHORT: Extent = Extent { rounds: 3, lasting: Duration::from_millis(100), sessions: 50, tokens: 100 };

pub(crate) fn measure(quick: bool) -> anyhow::Result<()> {
    let extent = if quick { SHORT } else { FULL };
    let mut table = Table::default();
    let issuer = Issuer::start()?;
    issuer.measure(&extent, &mut table)?;
    load::measure(&extent, &issuer, &mut table)?;
    sessions::measure(&extent, &issuer, &mut table)?;
    crate::told(&table);
    Ok(())
}

/// A started server; killed by its own id when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Open for as long as it is to serve.
    _input: Option<ChildStdin>,
}

impl Server {
    /// The protocol library and nothing around it.
    fn bare() -> anyhow::Result<Server> {
        Server::start(&mut this_program(BARE)?)
    }

    /// The same tool behind tokens, policy and log.
    fn gated(state: &Path, issuer: &Issuer) -> anyhow::Result<Server> {
        Server::start(this_program(GATED)?.arg(state).arg(issuer.url()))
    }

    /// Waits until it says where it listens.
    fn start(command: &mut Command) -> anyhow::Result<Server> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("its output is piped")?);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the server left before it listened");
        Ok(Server { child, address: line.trim().parse()?, _input: input })
    }

    /// Resident memory, in MB.
    fn memory_mb(&self) -> anyhow::Result<f64> {
        crate::client::memory_mb(self.child.id(), "VmRSS")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already; `wait` then only collects it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
