//! Does the policy load, and is it the one that servers hold callers to?

use config::Config;

use super::Check;
use crate::{
    history::{Age, History, hex},
    open,
};

pub(super) fn check(config: &Config) -> Check {
    let policy = match open::policy(config) {
        Ok(policy) => policy,
        Err(error) => {
            let instead = "correct it; until it loads nothing starts, and servers that run keep the one before (bailiwick \
                           policy check)";
            return Check::broken("policy", format!("{error:#}"), instead);
        }
    };
    let from = if config.policy.is_silent() { ", the built-in read-only policy" } else { "" };
    let digest = hex(&policy.digest());
    let found = format!("{} rules{from}, digest {}", policy.rules().len(), &digest[..16]);
    let known = History::of(config).and_then(|it| it.map(|it| it.age(&policy.digest())).transpose());
    match known {
        Err(error) => Check::broken("policy", format!("{found}\n{error:#}"), "until then no server starts"),
        Ok(Some(Age::Older)) => Check::well("policy", format!("{found}\na later one has replaced it here"))
            .with("no server takes it again, unless it is started with --allow-rollback"),
        Ok(Some(Age::New)) => Check::well("policy", format!("{found}\nno server has taken it yet"))
            .with("send those that run SIGHUP, and the log and their /readyz say what came of it"),
        Ok(Some(Age::First | Age::Same) | None) => Check::well("policy", found),
    }
}
