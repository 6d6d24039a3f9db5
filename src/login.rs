//! `bailiwick login` and `bailiwick logout`: a person proves who they are, and with them every call over standard input and
//! output and from the command line.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use config::Config;
use identity::{LoginError, Logins, Presence, Prompt, Proven};
use mcp::Starter;
use policy::Caller;
use tokio::sync::watch;

use crate::{USAGE, open, say};

/// Log in, so that calls from here are proven to be yours: a code to enter in a browser, on this machine or another
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick login\n  \
                        bailiwick login --issuer company\n\n\
                        The issuer stands in bailiwick.toml: [issuers.company] with url, audiences and login = { client_id = \"…\" }.\n\
                        What it gives is kept in the state folder, readable by you alone, verified at every start and\n\
                        renewed where the issuer allows it. Until then teams are only declared, and permit no effect\n\
                        outside development. `bailiwick doctor` says who is logged in and until when.\n\n\
                        Exit codes: 0 logged in, 1 the issuer gave nothing that counts, 2 bad usage, 3 denied in the browser.")]
pub(crate) struct Login {
    /// By which of the configured issuers, where there are several
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
}

/// Log out: remove what `bailiwick login` keeps
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick logout\n\n\
                        Calls from here are again those of [identity], and servers that run know it within seconds. What the\n\
                        issuer gave ends by itself: nothing is revoked there.")]
pub(crate) struct Logout {}

/// Exit code where no login came about.
const NOT_LOGGED_IN: u8 = 1;
/// Exit code where the person said no.
const DENIED: u8 = 3;
/// How often a server looks whether its caller is still logged in, or somebody is by now.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) fn run(login: &Login, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let logins = Logins::new(&config.issuers, &config.state)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(logins.begin(login.issuer.as_deref(), tell)) {
        Ok(proven) => {
            let Starter { caller, .. } = proven_starter(&config, &proven);
            say::line(&format!("logged in as {}", told(&caller, &proven)))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            say::note(&format!("bailiwick: not logged in: {}", say::clean(&error.to_string())));
            Ok(ExitCode::from(match error {
                LoginError::NoWay | LoginError::Several(_) | LoginError::Unknown { .. } => USAGE,
                LoginError::Denied => DENIED,
                _ => NOT_LOGGED_IN,
            }))
        }
    }
}

pub(crate) fn run_out(config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let was = Logins::new(&config.issuers, &config.state)?.end()?;
    say::line(if was { "logged out" } else { "nobody was logged in" })?;
    Ok(ExitCode::SUCCESS)
}

/// Tells a person what to do.
pub(crate) fn tell(prompt: &Prompt) {
    let minutes = prompt.lasts().as_secs().div_ceil(60);
    say::note(&format!(
        "Open {} in a browser and enter the code {} within {minutes} min.\nWaiting; ctrl-c gives up.",
        prompt.address(),
        prompt.user_code()
    ));
}

/// Who is logged in, and until when.
pub(crate) fn told(caller: &Caller, proven: &Proven) -> String {
    let person = caller.on_behalf_of.as_deref().unwrap_or_default();
    let teams = match caller.teams.as_slice() {
        [] => "of no team".to_owned(),
        teams => format!("of {}", teams.join(", ")),
    };
    let expires = i64::try_from(proven.expires()).ok().and_then(|it| jiff::Timestamp::from_second(it).ok());
    let until = expires.map_or_else(|| "for ever".to_owned(), |it| format!("until {it}"));
    format!("{person} {teams}, by {}, {until}", proven.issuer())
}

/// Whether people log in under a configuration.
pub(crate) fn is_offered(config: &Config) -> bool {
    config.issuers.iter().any(|it| it.login.is_some())
}

/// Whoever calls over standard input and output or from the command line: whom a login proves; else whom the
/// configuration or the operating system names, which is less. A login that is not believed is an error.
pub(crate) async fn starter(config: &Config) -> anyhow::Result<Starter> {
    if !is_offered(config) {
        return Ok(Starter::unproven(open::caller(config)));
    }
    starter_by(config, &Logins::new(&config.issuers, &config.state)?).await
}

async fn starter_by(config: &Config, logins: &Logins) -> anyhow::Result<Starter> {
    let unproven = Starter::unproven(open::caller(config));
    Ok(match logins.present().await? {
        Presence::Nobody => unproven,
        Presence::Proven(proven) => proven_starter(config, &proven),
        Presence::Lapsed(why) => {
            tracing::warn!("{}", lapsed(&unproven.caller, &why));
            unproven
        }
    })
}

/// The same for as long as a server runs: a token is renewed before it ends, one that has ended counts no more, and whoever
/// logs in meanwhile is known within [`EVERY`].
pub(crate) async fn watched(config: Arc<Config>) -> anyhow::Result<watch::Receiver<Starter>> {
    if !is_offered(&config) {
        return Ok(Starter::unproven(open::caller(&config)).fixed());
    }
    let logins = Logins::new(&config.issuers, &config.state)?;
    let (sender, receiver) = watch::channel(starter_by(&config, &logins).await?);
    tokio::spawn(keep_watching(config, logins, sender));
    Ok(receiver)
}

async fn keep_watching(config: Arc<Config>, logins: Logins, sender: watch::Sender<Starter>) {
    let unproven = Starter::unproven(open::caller(&config));
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = sender.closed() => return,
        }
        let (now, why) = match logins.present().await {
            Ok(Presence::Proven(proven)) => (proven_starter(&config, &proven), None),
            Ok(Presence::Nobody) => (unproven.clone(), Some("somebody logged out".to_owned())),
            Ok(Presence::Lapsed(why)) => (unproven.clone(), Some(why)),
            Err(error) => (unproven.clone(), Some(error.to_string())),
        };
        let is_other = sender.send_if_modified(|it| {
            let is_other = *it != now;
            *it = now;
            is_other
        });
        match why.filter(|_| is_other) {
            Some(why) => tracing::warn!("{}", lapsed(&unproven.caller, &why)),
            None if is_other => tracing::info!("the login of the caller is another"),
            None => {}
        }
    }
}

fn proven_starter(config: &Config, proven: &Proven) -> Starter {
    // Which agent acts is the configuration's word: the token was given to a person.
    let caller = Caller { agent: config.identity.agent.clone(), ..proven.caller().clone() };
    Starter { caller, scopes: proven.scopes() }
}

/// What is said where a login counts no more.
fn lapsed(unproven: &Caller, why: &str) -> String {
    let person = unproven.on_behalf_of.as_deref().map(|it| format!(" for {it}")).unwrap_or_default();
    format!(
        "the login counts no more: {why}. Calls are those of agent {}{person} ({}), which proves less, until a person runs \
         `bailiwick login`",
        unproven.agent,
        unproven.assurance.word()
    )
}
