//! How long until it answers, and how much memory does it take?

use std::{process::Command, time::Instant};

use serde_json::json;
use testkit::{backends::GitRepository, cli::Home};

use crate::{
    BARE,
    client::{Peer, Prepared},
    echo, rules,
    table::Table,
};

/// Starts of each server.
const STARTS: usize = 41;
/// Starts of each server whose memory is looked at.
const LOOKS: usize = 5;
const TOOLS: [&str; 6] =
    ["query_metrics", "list_alerts", "silence_alert", "list_commits", "read_file", "show_authority"];

/// Times since the start of the process, in milliseconds.
#[derive(Default)]
struct Times {
    initialize: Vec<f64>,
    list: Vec<f64>,
    call: Vec<f64>,
}

/// Resident memory, in MB.
#[derive(Default)]
struct Memory {
    list: Vec<f64>,
    call: Vec<f64>,
    peak: Vec<f64>,
}

/// One machine with one repository and 200 rules, on which the real program is started again and again.
pub(crate) struct Machine {
    home: Home,
    _shop: GitRepository,
}

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    let machine = Machine::new();
    // Tools that both list, and a call that reads two commits, or does no work at all.
    let call = Prepared::call("list_commits", &json!({ "revision": "v1.0.0..main" }));
    let (mut real, mut bare) = (Times::default(), Times::default());
    // The first start makes the keys; programs come from the disk.
    Times::default().add(&mut machine.serve(&["code"]), &call)?;
    Times::default().add(&mut bare_server()?, &echo::request())?;
    for _ in 0..STARTS {
        real.add(&mut machine.serve(&["code"]), &call)?;
        bare.add(&mut bare_server()?, &echo::request())?;
    }
    table.compared("start to initialize answered", "ms", &real.initialize, &bare.initialize, "ratio ≤ 2");
    table.compared("start to tools/list answered", "ms", &real.list, &bare.list, "≤ 100 ms");
    table.compared("start to first call answered", "ms", &real.call, &bare.call, "≤ 100 ms");

    let (mut real, mut bare) = (Memory::default(), Memory::default());
    for _ in 0..LOOKS {
        real.add(machine.start(&["code"])?, &call)?;
        bare.add(Peer::start(&mut bare_server()?)?, &echo::request())?;
    }
    table.compared("RSS after tools/list, all loaded", "MB", &real.list, &bare.list, "≤ 25 MB");
    table.compared("RSS after the first call", "MB", &real.call, &bare.call, "");
    table.compared("RSS at its peak until then", "MB", &real.peak, &bare.peak, "");
    Ok(())
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let shop = GitRepository::shop();
        let teams: Vec<_> = rules::teams().into_iter().collect();
        let config = format!(
            "[identity]\nagent = \"claude-code\"\nperson = \"alice\"\nteams = [\"team-7\"]\n\
             [policy]\nfiles = [\"rules.cedar\"]\n\
             [vocabulary]\nenvironments = [\"production\"]\nteams = {teams:?}\n\
             [connections.shop]\nkind = \"git\"\npath = {:?}\nenvironment = \"production\"\nteam = \"team-7\"\n\
             [connections.metrics]\nkind = \"prometheus\"\nurl = \"http://127.0.0.1:9\"\n\
             [connections.alerts]\nkind = \"alertmanager\"\nurl = \"http://127.0.0.1:9\"\n",
            shop.path().display().to_string()
        );
        // A refusal that is asked for below is no news.
        let home =
            Home::new(env!("CARGO_BIN_EXE_bailiwick")).config(&config).variable("BAILIWICK_LOG", "error");
        home.file("rules.cedar", &rules::text(&TOOLS));
        Machine { home, _shop: shop }
    }

    fn serve(&self, servers: &[&str]) -> Command {
        self.home.command(["serve"].iter().chain(servers))
    }

    pub(crate) fn start(&self, servers: &[&str]) -> anyhow::Result<Peer> {
        Peer::start(&mut self.serve(servers))
    }
}

impl Times {
    fn add(&mut self, command: &mut Command, call: &Prepared) -> anyhow::Result<()> {
        let list = Prepared::new("tools/list", &json!({}));
        let started = Instant::now();
        let since = || started.elapsed().as_secs_f64() * 1e3;
        let mut peer = Peer::start(command)?;
        peer.greet()?;
        self.initialize.push(since());
        peer.ask(&list)?;
        self.list.push(since());
        peer.ask(call)?;
        self.call.push(since());
        // The next start finds a quiet machine and a closed log.
        peer.leave()
    }
}

impl Memory {
    fn add(&mut self, mut peer: Peer, call: &Prepared) -> anyhow::Result<()> {
        peer.greet()?;
        peer.ask(&Prepared::new("tools/list", &json!({})))?;
        // Refused, but only once policy and log are loaded: until then there would be less to see.
        peer.ask_any(&Prepared::call("no_such_tool", &json!({})))?;
        self.list.push(peer.memory_mb("VmRSS")?);
        peer.ask(call)?;
        self.call.push(peer.memory_mb("VmRSS")?);
        self.peak.push(peer.memory_mb("VmHWM")?);
        peer.leave()
    }
}

/// This program as the bare server.
pub(crate) fn bare_server() -> anyhow::Result<Command> {
    this_program(BARE)
}

/// Names what is loaded before a program's own libraries.
const PRELOADED: &str = "LD_PRELOAD";

/// This program as something else, with as little of the surrounding shell as the real one gets.
#[expect(clippy::disallowed_methods, reason = "a bench starts servers")]
pub(crate) fn this_program(word: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(word).env_clear();
    // What makes a disk slow makes it slow for all: see `benches/slow_disk.sh`.
    command.envs(std::env::var_os(PRELOADED).map(|it| (PRELOADED, it)));
    Ok(command)
}
