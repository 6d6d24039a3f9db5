//! How long does one wait for answers about large repositories? A search of 1 GB beside ripgrep over the same files and git
//! over the same packs, and lists and traces in a history of 200,000 commits. `cargo bench --bench code`; `benches/README.md` says how to read it.
//!
//! * **Invariant:** what is compared runs in turns in the same run, with everything in the page cache for both.
//! * **Invariant:** an answer that misses what it was asked for ends the run with an error; a slow one never does.
//!
//! Answers come through the whole gate: policy, log on the disk, and shaping are part of every time, and so is opening
//! them, because each call has a gate of its own.

#![expect(clippy::print_stdout, reason = "the table is what stdout is for")]
#![expect(clippy::disallowed_methods, reason = "a bench starts git and ripgrep")]

mod history;
mod import;
mod source;

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, bail};
use code::Backends;
use config::{Connection, Git, System};
use serde_json::{Map, Value};

/// The tools of the server over one repository.
pub(crate) struct Asked {
    runtime: tokio::runtime::Runtime,
    backends: Arc<Backends>,
}

impl Asked {
    pub(crate) fn of(path: &Path) -> anyhow::Result<Asked> {
        let unknown = || "unknown".to_owned();
        let connection = Connection {
            name: "large".to_owned(),
            environment: unknown(),
            region: unknown(),
            team: unknown(),
            tier: unknown(),
            system: System::Git(Git { path: path.to_owned() }),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Asked { runtime, backends: Arc::new(Backends::new(&[connection])?) })
    }

    /// The same, as a process serves it that keeps filters of searches below this folder.
    pub(crate) fn filtering(path: &Path, cache: &Path) -> anyhow::Result<Asked> {
        let Asked { runtime, backends } = Asked::of(path)?;
        let backends = Arc::into_inner(backends).context("nobody else has it yet")?.filtering(cache);
        Ok(Asked { runtime, backends: Arc::new(backends) })
    }

    /// One call: its answer, and how long it took in milliseconds.
    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> anyhow::Result<(Map<String, Value>, f64)> {
        let calling = testkit::call_through(code::all(), self.backends.clone(), tool, arguments.clone());
        let started = Instant::now();
        let reply = self.runtime.block_on(calling);
        let taken = started.elapsed().as_secs_f64() * 1e3;
        if reply.refusal.is_some() {
            bail!("{tool} {arguments}: {}", reply.shaped.text);
        }
        Ok((reply.shaped.structured, taken))
    }
}

/// The middle one.
pub(crate) fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn main() -> anyhow::Result<()> {
    println!("| figure | measured | floor | ratio | aim |\n| --- | --- | --- | --- | --- |");
    history::measure()?;
    source::measure()
}
