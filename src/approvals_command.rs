//! `bailiwick approvals`, `stop` and `resume`: what waits for people, and what people say to it.
//!
//! Here the store is opened as whoever runs this: that confirms, denies and revokes. Another person's approval takes a token,
//! so it goes through a server.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use approval::{Request, State, StopScope, Voter};
use clap::{Args, Subcommand};
use config::{Config, Surroundings};
use gate::{AgreeRefused, Gate, Person, Say};
use jiff::Timestamp;
use policy::Channel;
use tool::Profile;

use crate::{UNUSABLE, USAGE, open, say};

/// What waits for people to agree, and what they say to it
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        bailiwick approvals list\n  \
                        bailiwick approvals show apr-k3v9m2q7x4c8r5tz\n  \
                        bailiwick approvals confirm apr-k3v9m2q7x4c8r5tz\n  \
                        bailiwick approvals deny apr-k3v9m2q7x4c8r5tz --comment 'not during the sale'\n  \
                        bailiwick approvals watch\n\n\
                        Whoever can run this against the store of the agent can confirm what policy asks the person at the\n\
                        keyboard about, and deny or revoke. What needs other people they approve at a server, with a token.\n\n\
                        Exit codes: 0 done, 2 bad usage, 3 refused, 5 not recorded or store unusable.")]
pub(crate) struct Approvals {
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
    Approve(Word),
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
}

/// Lift an order to stop that another person gave
#[derive(Args)]
pub(crate) struct Resume {
    /// As `bailiwick stop --list` prints it
    stop: String,
}

/// Exit code for what policy, the store or separation of duties refuses.
const REFUSED: u8 = 3;
/// Most requests that are listed.
const LISTED_MAX: u32 = 200;
/// How often the store is asked by who watches.
const WATCH: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: Approvals, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    with_gate(config, async move |gate: Arc<Gate>, person| match arguments.command {
        ApprovalsCommand::List(it) => list(&gate, &it).await,
        ApprovalsCommand::Show { approval, json } => show(&gate, &approval, json).await,
        ApprovalsCommand::Approve(it) => tell(&gate, &person, Say::Approve, &it).await,
        ApprovalsCommand::Confirm(it) => tell(&gate, &person, Say::Confirm, &it).await,
        ApprovalsCommand::Deny(it) => tell(&gate, &person, Say::Deny, &it).await,
        ApprovalsCommand::Revoke(it) => tell(&gate, &person, Say::Revoke, &it).await,
        ApprovalsCommand::Watch => watch(&gate).await,
    })
}

pub(crate) fn stop(arguments: Stop, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    with_gate(config, async move |gate: Arc<Gate>, person| {
        let Some(reason) = arguments.reason else { return stopped(&gate).await };
        let Stop { tool, agent, environment, team, connection, .. } = arguments;
        let scope = StopScope { tool, agent, environment, team, connection };
        let (stop, voided) = gate.stop(&person, scope, &reason).await?;
        say::line(&stop.id)?;
        say::note(&format!("stopped: {}; {} open requests are void", stop.scope.described(), voided.len()));
        say::note(&format!("another person lifts it: bailiwick resume {}", stop.id));
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn resume(arguments: Resume, config: Option<&Path>) -> anyhow::Result<ExitCode> {
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
        let code = work(gate.clone(), person).await;
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
    if arguments.json {
        say::json(&requests.iter().map(Request::facts).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    for request in &requests {
        say::line(&say::clean(&line(request)))?;
    }
    if requests.is_empty() {
        say::note("nothing waits for anybody");
    }
    if requests.len() >= LISTED_MAX as usize {
        say::note(&format!("only the newest {LISTED_MAX} are shown"));
    }
    Ok(ExitCode::SUCCESS)
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
    match as_json {
        true => say::json(&request.facts())?,
        false => say::line(&say::clean(&told(&request)))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn tell(gate: &Gate, person: &Person, word: Say, arguments: &Word) -> anyhow::Result<ExitCode> {
    match gate.say(person, &arguments.approval, word, &arguments.comment).await {
        Ok(request) => {
            say::line(&say::clean(&line(&request)))?;
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
                say::line(&say::clean(&line(&request)))?;
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
    for stop in &stops {
        let text = format!(
            "{}  {:.0}  {}  by {}: {}",
            stop.id,
            stop.at,
            stop.scope.described(),
            stop.by,
            stop.reason
        );
        say::line(&say::clean(&text))?;
    }
    if stops.is_empty() {
        say::note("nothing is stopped");
    }
    Ok(ExitCode::SUCCESS)
}

/// One line on a request.
fn line(request: &Request) -> String {
    let Request { id, state, sealed, approvals, confirm, asked_at, .. } = request;
    let mut needs = Vec::new();
    if *approvals > 0 {
        needs.push(format!("{} of {approvals} approved", request.approved()));
    }
    if *confirm {
        needs.push(if request.confirmed() { "confirmed".to_owned() } else { "to be confirmed".to_owned() });
    }
    let agent = &sealed.caller.agent;
    format!(
        "{id}  {:<8}  {asked_at:.0}  {} on {}  by {agent}  {}",
        state.word(),
        sealed.tool,
        sealed.places(),
        needs.join(", ")
    )
}

/// All of a request, for a person.
fn told(request: &Request) -> String {
    let mut text = format!("{}\n\n{}", line(request), request.sealed.described());
    for vote in &request.votes {
        let comment = if vote.comment.is_empty() { String::new() } else { format!(": {}", vote.comment) };
        text.push_str(&format!(
            "{} by {} ({}, {}) at {:.0}{comment}\n",
            vote.kind.word(),
            vote.name,
            vote.assurance,
            vote.channel,
            vote.at
        ));
    }
    if !request.note.is_empty() {
        text.push_str(&format!("{}: {}\n", request.state.word(), request.note));
    }
    text.push_str(&format!(
        "to agree until {:.0}; to carry out until {:.0}",
        request.approve_by, request.until
    ));
    text
}
