//! What does it cost to be governed? Start, memory, throughput and time per call beside a bare server of the same
//! protocol library, and tokens per definition. `cargo bench --bench served`; `benches/README.md` says how to read it.
//!
//! * **Invariant:** whatever is compared runs in turns in the same run, so that a ratio holds where a time does not.
//! * **Invariant:** a call that fails ends the run with an error; a slow one never does.
//!
//! The servers that only measure (the bare one, and a gate around a tool that does no work) are this program, started
//! again with another argument. `cargo bench --bench served -- http` measures the same over HTTP.

#![expect(clippy::print_stdout, reason = "the table is what stdout is for")]

mod bare;
mod budget;
mod client;
mod echo;
mod gated;
mod http;
mod load;
mod rules;
mod start;
mod table;

use std::path::PathBuf;

use table::Table;

/// As the real binary has it; the bare server has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What this program was started as.
const BARE: &str = "serve-bare";
const GATED: &str = "serve-gated";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == BARE => return bare::serve(),
        Some(word) if word == GATED => {
            let state = arguments.next().ok_or_else(|| anyhow::anyhow!("{GATED} needs a state folder"))?;
            return gated::serve(&PathBuf::from(state));
        }
        Some(word) if word == http::BARE => return http::bare::serve(),
        Some(word) if word == http::GATED => return http::gated::serve(arguments),
        Some(word) if word == http::WORD => {
            return http::measure(arguments.next().is_some_and(|it| it == http::QUICK));
        }
        // `cargo bench` passes arguments that mean something to the standard harness only.
        _ => {}
    }
    let mut table = Table::default();
    start::measure(&mut table)?;
    load::throughput(&mut table)?;
    load::added(&mut table)?;
    told(&table);
    told(&budget::measure()?);
    Ok(())
}

/// Figures, or where a server that only measures listens.
fn told(what: &impl std::fmt::Display) {
    println!("{what}");
}
