//! Who calls from here, and who is logged in until when?

use config::Config;
use identity::{Logins, Presence};
use policy::{Assurance, Caller};

use super::Check;
use crate::{login, open};

/// The caller as calls would have it, and the login behind it where people log in.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    let unproven = open::caller(config);
    if !login::is_offered(config) {
        return vec![caller(unproven)];
    }
    let presence = match Logins::new(&config.issuers, &config.state) {
        // Looked at only: whoever checks changes nothing, so what has ended is renewed by the next call.
        Ok(logins) => logins.look().await.map_err(|it| it.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let nobody = "bailiwick login proves who calls from here, and of which teams";
    match presence {
        Ok(Presence::Proven(proven)) => {
            let proven_caller = Caller { agent: config.identity.agent.clone(), ..proven.caller().clone() };
            let found = login::told(&proven_caller, &proven);
            vec![caller(proven_caller), Check::well("login", found)]
        }
        Ok(Presence::Nobody) => {
            vec![caller(unproven), Check::well("login", "nobody is logged in".to_owned()).with(nobody)]
        }
        Ok(Presence::Lapsed(why)) => {
            let instead = "the next call renews it if its issuer allows that; else run bailiwick login";
            vec![caller(unproven), Check::well("login", format!("it counts no more: {why}")).with(instead)]
        }
        Err(problem) => {
            let instead = "bailiwick logout, then bailiwick login; until then every call is refused";
            vec![caller(unproven), Check::broken("login", problem, instead)]
        }
    }
}

fn caller(caller: Caller) -> Check {
    let person = caller.on_behalf_of.map(|it| format!(" for {it}")).unwrap_or_default();
    let teams = match caller.teams.as_slice() {
        [] => String::new(),
        teams => format!(" of {}", teams.join(", ")),
    };
    let found = format!("agent {}{person}{teams} ({})", caller.agent, caller.assurance.word());
    let check = Check::well("caller", found);
    match caller.assurance < Assurance::Token && !caller.teams.is_empty() {
        true => check
            .with("teams that no token says are only declared: they permit no effect outside development"),
        false => check,
    }
}
