//! How many calls over HTTP?

use audit::Log;

use super::{Extent, Issuer, Server, client::Crowd};
use crate::{
    load::{append, disk, memory_disk},
    rules,
    table::Table,
};

/// Connections, and writers on the bare log.
const CONNECTIONS: usize = 64;

/// 64 connections to the gate beside as many to the bare server, and beside as many writers on the bare log of the same disk.
pub(super) fn measure(extent: &Extent, issuer: &Issuer, table: &mut Table) -> anyhow::Result<()> {
    let (served, written, memory) = (disk()?, disk()?, memory_disk()?);
    let servers =
        [Server::gated(memory.path(), issuer)?, Server::gated(served.path(), issuer)?, Server::bare()?];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let token = issuer.token()?;
    let connect = |server: &Server| runtime.block_on(Crowd::connect(server.address, CONNECTIONS, &token));
    let [mut in_memory, mut on_disk, mut bare] =
        [connect(&servers[0])?, connect(&servers[1])?, connect(&servers[2])?];
    let (log, _) = Log::open(written.path(), "echo", audit::Options::default())?;
    let mut rates = [const { Vec::new() }; 4];
    // The first round warms everything up.
    for round in 0..=extent.rounds {
        let measured = [
            in_memory.flood(&runtime, extent.lasting)?,
            bare.flood(&runtime, extent.lasting)?,
            on_disk.flood(&runtime, extent.lasting)?,
            append(&runtime, &log, CONNECTIONS as u64, extent.lasting)?,
        ];
        for (rates, rate) in rates.iter_mut().zip(measured).filter(|_| round > 0) {
            rates.push(rate);
        }
    }
    runtime.block_on(log.close("end of bench"))?;
    let [in_memory, bare, on_disk, log] = &rates;
    let figure = format!(
        "{CONNECTIONS} connections, {} rules, token, log on a memory disk; floor: bare server",
        rules::COUNT
    );
    table.compared(&figure, "/s", in_memory, bare, "ratio ≥ 0.3");
    let figure = format!("the same, log on the disk; floor: {CONNECTIONS} writers on the bare log");
    table.compared(&figure, "/s", on_disk, log, "ratio ≥ 0.6");
    table.compared("the same; floor: bare server", "/s", on_disk, bare, "");
    Ok(())
}
