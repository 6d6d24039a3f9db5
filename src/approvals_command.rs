//! `bailiwick approvals`, `stop`, `resume` and `break-glass`: what waits for people, and what people say to it.
//!
//! Here the store is opened as whoever runs this: that confirms, denies and revokes. Another person's approval takes a token,
//! so it goes through a server.

mod glass;
mod print;
mod remote;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use approval::{ActionScope, Request, State, Voter};
use clap::{Args, Subcommand};
use config::{Config, Surroundings};
use gate::{AgreeRefused, Gate, Person, Say};
use jiff::Timestamp;
use policy::Channel;
use serde_json::json;
use tool::Profile;

pub(crate) use self::glass::{BreakGlass, run as break_glass};
use self::{
    print::{line, print_all, print_one, print_stops},
    remote::Server,
};
use crate::{UNUSABLE, USAGE, notify, open, say};

/// What waits for people to agree, and what they say to it
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick approvals list\n  \
                        bailiwick approvals show apr-k3v9m2q7x4c8r5tz\n  \
                        bailiwick approvals confirm apr-k3v9m2q7x4c8r5tz\n  \
                        bailiwick approvals deny apr-k3v9m2q7x4c8r5tz --comment 'not during the sale'\n  \
                        bailiwick approvals revoke apr-k3v9m2q7x4c8r5tz\n  \
                        bailiwick approvals approve apr-k3v9m2q7x4c8r5tz --server https://bailiwick.example.com\n  \
                        bailiwick approvals watch\n\n\
                        Whoever can run this against the store of the agent can confirm what policy asks the person at the\n\
                        keyboard about, and deny or revoke. What needs other people they approve at a server: with a token in\n\
                        BAILIWICK_TOKEN, or by a code to enter in a browser, for this command alone.\n\n\
                        Exit codes: 0 done, 2 bad usage, 3 refused, 5 not recorded or store unusable.")]
pub(crate) struct Approvals {
    /// Decide at this server instead, as whoever the token in BAILIWICK_TOKEN names, or a browser, e.g. https://bailiwick.example.com
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Subcommand)]
enum ApprovalsCommand {
    /// Print what waits, newest first
    List(List),
    /// Print one request whole: what would be done, who asked, who agreed
    Show {
        /// E.g. apr-k3v9m2q7x4c8r5tz
        approval: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Agree as another person: takes a token, so it works at a server only
    Approve(Approve),
    /// Agree as the person at the keyboard
    Confirm(Word),
    /// Say no, for good
    Deny(Word),
    /// Take back what you asked for or agreed to
    Revoke(Word),
    /// Print what happens to requests as it happens, until interrupted
    Watch,
}

#[derive(Args)]
struct List {
    /// Closed ones too
    #[arg(long)]
    all: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Word {
    /// E.g. apr-k3v9m2q7x4c8r5tz
    approval: String,
    /// Why, for the record
    #[arg(long, default_value = "")]
    comment: String,
}

#[derive(Args)]
struct Approve {
    #[command(flatten)]
    word: Word,
    /// Alone, by the glass that you broke (bailiwick break-glass open): whoever asked for it, and whatever number policy wants
    #[arg(long)]
    break_glass: bool,
}

/// Refuse every effect at once, on every replica, and void what waits
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick stop --reason 'the agent silences everything'\n  \
                        bailiwick stop --reason 'migration' --environment production --team checkout\n  \
                        bailiwick stop --list\n  \
                        bailiwick resume stop-k3v9m2q7x4c8r5tz   # as another person")]
pub(crate) struct Stop {
    /// Why, for everybody who is refused
    #[arg(long, required_unless_present = "list")]
    reason: Option<String>,
    /// Only this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only this environment, and whatever is mapped to none
    #[arg(long)]
    environment: Option<String>,
    /// Only this team's, and whatever is mapped to none
    #[arg(long)]
    team: Option<String>,
    /// Only this connection
    #[arg(long)]
    connection: Option<String>,
    /// Print what is stopped instead
    #[arg(long, conflicts_with = "reason")]
    list: bool,
    /// At this server instead, as whoever the token in BAILIWICK_TOKEN names, or a browser
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// Lift an order to stop that another person gave
#[derive(Args)]
#[command(after_help = "Examples:\n  bailiwick stop --list\n  bailiwick resume stop-k3v9m2q7x4c8r5tz")]
pub(crate) struct Resume {
    /// As `bailiwick stop --list` prints it
    stop: String,
    /// At this server instead, as whoever the token in BAILIWICK_TOKEN names, or a browser
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// Exit code for what policy, the store or separation of duties refuses.
const REFUSED: u8 = 3;
/// Most requests that are listed.
const LISTED_MAX: u32 = 200;
/// How often the store is asked by who watches.
const WATCH: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: Approvals, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(server) = &arguments.server {
        return at_server(server, config, async |server| decide_at(server, &arguments.command).await);
    }
    with_gate(config, async move |gate: Arc<Gate>, person| match arguments.command {
        ApprovalsCommand::List(it) => list(&gate, &it).await,
        ApprovalsCommand::Show { approval, json } => show(&gate, &approval, json).await,
        ApprovalsCommand::Approve(it) => {
            let say = if it.break_glass { Say::BreakGlass } else { Say::Approve };
            tell(&gate, &person, say, &it.word).await
        }
        ApprovalsCommand::Confirm(it) => tell(&gate, &person, Say::Confirm, &it).await,
        ApprovalsCommand::Deny(it) => tell(&gate, &person, Say::Deny, &it).await,
        ApprovalsCommand::Revoke(it) => tell(&gate, &person, Say::Revoke, &it).await,
        ApprovalsCommand::Watch => watch(&gate).await,
    })
}

pub(crate) fn stop(arguments: Stop, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(server) = arguments.server.clone() {
        return at_server(&server, config, async |server| stop_at(server, arguments).await);
    }
    with_gate(config, async move |gate: Arc<Gate>, person| {
        let Some(reason) = arguments.reason else { return stopped(&gate).await };
        let Stop { tool, agent, environment, team, connection, .. } = arguments;
        let scope = ActionScope { tool, agent, environment, team, connection };
        let (stop, voided) = gate.stop(&person, scope, &reason).await?;
        say::line(&stop.id)?;
        say::note(&format!("stopped: {}; {} open requests are void", stop.scope.described(), voided.len()));
        say::note(&format!("another person lifts it: bailiwick resume {}", stop.id));
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn resume(arguments: Resume, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(server) = &arguments.server {
        return at_server(server, config, async |server| {
            Ok(match server.post(&["stops", &arguments.stop, "resume"], json!({})).await? {
                Ok(_) => {
                    say::note(&format!("resumed: {}", say::clean(&arguments.stop)));
                    ExitCode::SUCCESS
                }
                Err(code) => code,
            })
        });
    }
    with_gate(config, async move |gate: Arc<Gate>, person| {
        match gate.resume(&person, &arguments.stop).await? {
            true => {
                say::note(&format!("resumed: {}", say::clean(&arguments.stop)));
                Ok(ExitCode::SUCCESS)
            }
            false => {
                let name = &person.voter.name;
                say::note(&format!(
                    "bailiwick: `{}` is no order that holds, or `{name}` gave it: another person lifts it (bailiwick stop --list)",
                    say::clean(&arguments.stop)
                ));
                Ok(ExitCode::from(REFUSED))
            }
        }
    })
}

fn at_server(
    address: &str,
    config: Option<&Path>,
    work: impl AsyncFnOnce(&Server) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { work(&Server::at(address, config).await?).await })
}

async fn decide_at(server: &Server, command: &ApprovalsCommand) -> anyhow::Result<ExitCode> {
    let (answer, as_json) = match command {
        ApprovalsCommand::List(it) => {
            let path = if it.all { "/approvals?all=true" } else { "/approvals" };
            return Ok(match server.get(path).await? {
                Ok(said) => print_all(said["approvals"].as_array().map_or(&[], Vec::as_slice), it.json)?,
                Err(code) => code,
            });
        }
        ApprovalsCommand::Show { approval, json } => (server.show(approval).await?, *json),
        ApprovalsCommand::Approve(Approve { word: it, break_glass }) => {
            let word = if *break_glass { "break-glass" } else { "approve" };
            (server.tell(&it.approval, word, &it.comment).await?, false)
        }
        ApprovalsCommand::Deny(it) => (server.tell(&it.approval, "deny", &it.comment).await?, false),
        ApprovalsCommand::Revoke(it) => (server.tell(&it.approval, "revoke", &it.comment).await?, false),
        ApprovalsCommand::Confirm(_) | ApprovalsCommand::Watch => {
            say::note("bailiwick: only without --server: the person at the keyboard is where the agent runs");
            return Ok(ExitCode::from(USAGE));
        }
    };
    Ok(match answer {
        Ok(said) => print_one(&said, as_json)?,
        Err(code) => code,
    })
}

async fn stop_at(server: &Server, arguments: Stop) -> anyhow::Result<ExitCode> {
    let Some(reason) = arguments.reason else {
        return Ok(match server.get("/stops").await? {
            Ok(said) => print_stops(said["stops"].as_array().map_or(&[], Vec::as_slice))?,
            Err(code) => code,
        });
    };
    let Stop { tool, agent, environment, team, connection, .. } = arguments;
    let scope = ActionScope { tool, agent, environment, team, connection };
    Ok(match server.post(&["stops"], json!({ "reason": reason, "scope": scope })).await? {
        Ok(said) => {
            say::line(said["stop"].as_str().unwrap_or_default())?;
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}

/// Opens policy, log and store without any tool, as whoever runs this.
fn with_gate(
    config: Option<&Path>,
    work: impl AsyncFnOnce(Arc<Gate>, Person) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let person = local(&config, Surroundings::from_process()?.os_user);
    let code = runtime.block_on(async {
        let policy = open::in_force(&config)?;
        let gate = open::gate(&config, &policy, &[], Profile::All, Channel::Cli)?;
        gate.tell_settled().await?;
        let code = work(gate.clone(), person).await;
        notify::briefly(&config, &gate).await;
        gate.drain(Duration::from_secs(10)).await;
        code
    });
    runtime.shutdown_background();
    code
}

/// Whoever runs this, as the operating system says: the configuration's word for a person is not asked.
fn local(config: &Config, user: String) -> Person {
    let caller = open::caller(config);
    let assurance = policy::Assurance::OsUser;
    let name = if caller.assurance == assurance {
        caller.on_behalf_of.unwrap_or(user.clone())
    } else {
        user.clone()
    };
    let voter = Voter { name, issuer: "os".to_owned(), subject: user, assurance, channel: Channel::Cli };
    Person { voter, teams: Vec::new(), client: None, authenticated_seconds: None }
}

async fn list(gate: &Gate, arguments: &List) -> anyhow::Result<ExitCode> {
    let open = [State::Pending, State::Approved, State::Reserved];
    let states = if arguments.all { &State::ALL[..] } else { &open[..] };
    let requests = gate.requests(states, LISTED_MAX).await?;
    print_all(&requests.iter().map(Request::facts).collect::<Vec<_>>(), arguments.json)
}

async fn show(gate: &Gate, id: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(approvals) = gate.approvals() else { anyhow::bail!("no approvals are kept here") };
    let Some(request) = approvals.store().await?.request(id, Timestamp::now()).await? else {
        say::note(&format!(
            "bailiwick: no request `{}`; bailiwick approvals list shows those there are",
            say::clean(id)
        ));
        return Ok(ExitCode::from(USAGE));
    };
    print_one(&request.facts(), as_json)
}

async fn tell(gate: &Gate, person: &Person, word: Say, arguments: &Word) -> anyhow::Result<ExitCode> {
    match gate.say(person, &arguments.approval, word, &arguments.comment).await {
        Ok(request) => {
            say::line(&say::clean(&line(&request.facts())))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => {
            say::note(&format!("bailiwick: {}", say::clean(&refused.to_string())));
            Ok(ExitCode::from(match refused {
                AgreeRefused::Unrecorded(_) | AgreeRefused::NoStore => UNUSABLE,
                _ => REFUSED,
            }))
        }
    }
}

/// A line for each request whenever its state changes.
async fn watch(gate: &Gate) -> anyhow::Result<ExitCode> {
    let mut known: std::collections::BTreeMap<String, (State, usize)> = Default::default();
    loop {
        let mut requests = gate.requests(&State::ALL, LISTED_MAX).await?;
        requests.reverse();
        for request in requests {
            let now = (request.state, request.votes.len());
            if known.insert(request.id.clone(), now) != Some(now) {
                say::line(&say::clean(&line(&request.facts())))?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = crate::serve::asked_to_stop() => return Ok(ExitCode::SUCCESS),
        }
    }
}

async fn stopped(gate: &Gate) -> anyhow::Result<ExitCode> {
    let Some(approvals) = gate.approvals() else { anyhow::bail!("no approvals are kept here") };
    let stops = approvals.store().await?.stops().await?;
    print_stops(&stops.iter().map(approval::Stop::facts).collect::<Vec<_>>())
}
