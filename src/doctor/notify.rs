//! Would people hear of what waits for them, and did they?

use approval::{Outbox, Place, Store, StoreError};
use config::Config;

use super::Check;
use crate::{notify::Told, open};

/// Whether everybody who is to be told can be, and has been. Nothing is sent.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for told in Told::all(config) {
        let label = told.label();
        checks.push(match (told.check(), outbox(config, told.name()).await) {
            (Err(problem), _) => Check::broken(
                "notify",
                format!("{label}: {problem}"),
                "correct it; until then nobody hears there of what waits, and a server tries again for a day",
            ),
            (Ok(()), Err(problem)) => {
                Check::broken("notify", format!("{label}: {problem}"), "see what the store lacks")
            }
            (Ok(()), Ok(it)) => judged(&label, &it),
        });
    }
    checks
}

fn judged(label: &str, outbox: &Outbox) -> Check {
    let Outbox { waiting, given_up, problem } = outbox;
    let last = if problem.is_empty() { String::new() } else { format!("; the last problem: {problem}") };
    let found = format!("{label}: {waiting} to be told, {given_up} never delivered{last}");
    match given_up {
        0 => Check::well("notify", found),
        _ => Check::broken(
            "notify",
            found,
            "see whether its address is right and somebody listens there; what was never delivered stands in bailiwick \
             approvals list --all",
        ),
    }
}

/// What there is to tell, where anything was put down yet.
async fn outbox(config: &Config, name: &str) -> Result<Outbox, String> {
    let place = open::place(config).map_err(|it| it.to_string())?;
    if matches!(&place, Place::File(path) if !path.exists()) {
        return Ok(Outbox::default());
    }
    let ask = async || -> Result<Outbox, StoreError> { Store::look(&place).await?.outbox(name).await };
    ask().await.map_err(|it| it.to_string())
}
