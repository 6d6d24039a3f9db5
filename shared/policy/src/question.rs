//! The question put to a policy: may this caller have this effect on these targets?

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// SHA-256 of one canonical call: server, tool, arguments, targets, caller.
pub type Digest = [u8; 32];

/// Word for an environment, region, team or tier that the configuration does not map.
pub const UNKNOWN: &str = "unknown";

/// Who is calling, as the transport and the configuration established it. Never from an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The agent, e.g. `claude-code`.
    pub agent: String,
    /// The person it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Teams of the agent or the person.
    pub teams: Vec<String>,
    /// How well the above is proven.
    pub assurance: Assurance,
}

/// A person who could approve a call, as an identity provider established it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    /// E.g. `alice@example.com`.
    pub person: String,
    /// Teams of that person.
    pub teams: Vec<String>,
    /// How well the above is proven.
    pub assurance: Assurance,
    /// How long ago they last proved to be there, in seconds; none where the provider does not say.
    pub authenticated_seconds: Option<u64>,
}

/// How well a caller's identity is proven, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// The configuration says so.
    Declared,
    /// The operating system says so.
    OsUser,
    /// A verified token says so.
    Token,
}

/// How a call arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// MCP over standard input and output.
    Stdio,
    /// `bailiwick call`.
    Cli,
    /// MCP over HTTP.
    Http,
}

/// What a tool does to the world, from harmless to irreversible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes running production within bounds, and declares its undo.
    Mitigate,
    /// Creates something that a person later accepts.
    Propose,
    /// Cannot be undone.
    Destroy,
}

/// One of the things a call touches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is, e.g. `repository`, `metrics`, `alerts`.
    pub kind: Cow<'static, str>,
    /// Which one, within its connection; the connection's own name when it is the whole connection.
    pub id: String,
    /// Configured system of record, e.g. `prod-eu`.
    pub connection: String,
    /// From the configuration, or `unknown`.
    pub environment: String,
    /// From the configuration, or `unknown`.
    pub region: String,
    /// From the configuration, or `unknown`.
    pub team: String,
    /// From the configuration, or `unknown`.
    pub tier: String,
}

/// A call reduced to what a policy needs to know about it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Tool name.
    pub tool: &'a str,
    /// Arguments after defaults, without nulls.
    pub input: &'a serde_json::Map<String, serde_json::Value>,
    /// 1 to [`Target::MAX`] things it touches.
    pub targets: &'a [Target],
    /// Binds the answer to this call.
    pub digest: Digest,
    /// What surrounds the call.
    pub circumstances: Circumstances,
}

/// What surrounds a call: the part of a policy's context that arguments do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// How the call arrived.
    pub channel: Channel,
    /// When; the policy's configured zone turns it into `weekday` and `minute_of_day`.
    pub now: jiff::Timestamp,
    /// Authenticated other people who approved exactly this call.
    pub approvals: u8,
    /// Whether the person at the keyboard confirmed it.
    pub confirmed: bool,
    /// How long ago a witness has cosigned the log last, in seconds; none where none has.
    pub witnessed_seconds: Option<u64>,
    /// What the caller has done lately; none where nobody counted. A rule that looks at it then cannot be evaluated, so that a
    /// limit forbids. Only needed where [`crate::Policy::looks_at_usage`].
    pub usage: Option<Usage>,
    /// The change ticket that the call names, once its system has said what state it is in; none where no ticket was checked.
    /// Only needed where [`crate::Policy::looks_at_change`].
    pub change: Option<Change>,
}

/// How often a caller has called, this call among them. What was refused does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls of any tool within an hour.
    pub calls_hour: u64,
    /// Calls of any tool within a day.
    pub calls_day: u64,
    /// Calls within an hour that changed running production; dry runs change nothing.
    pub mitigations_hour: u64,
    /// Calls of this tool within an hour.
    pub tool_hour: u64,
    /// Calls of this tool within a day.
    pub tool_day: u64,
}

/// A change ticket, as the system that keeps it described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// E.g. `CHG0030045`.
    pub id: String,
    /// The system's own word for how far it is, e.g. `Implement`.
    pub state: String,
    /// Whether the configuration counts that state as approved.
    pub approved: bool,
}

impl Circumstances {
    /// A call that arrives now; nobody agreed to it, nobody witnessed the log, nobody counted and nobody checked a ticket.
    pub fn of(channel: Channel, now: jiff::Timestamp) -> Circumstances {
        Circumstances {
            channel,
            now,
            approvals: 0,
            confirmed: false,
            witnessed_seconds: None,
            usage: None,
            change: None,
        }
    }
}

impl Usage {
    /// Of the first call that somebody makes.
    pub const FIRST: Usage =
        Usage { calls_hour: 1, calls_day: 1, mitigations_hour: 1, tool_hour: 1, tool_day: 1 };

    /// Attributes as policies name them.
    pub(crate) fn attributes(&self) -> [(&'static str, u64); 5] {
        let Usage { calls_hour, calls_day, mitigations_hour, tool_hour, tool_day } = *self;
        [
            ("calls_hour", calls_hour),
            ("calls_day", calls_day),
            ("mitigations_hour", mitigations_hour),
            ("tool_hour", tool_hour),
            ("tool_day", tool_day),
        ]
    }
}

impl Target {
    /// Most targets one call may name; more are the whole connection.
    pub const MAX: usize = 64;
}

impl Effect {
    /// Every effect, harmless first.
    pub const ALL: [Effect; 4] = [Effect::Read, Effect::Mitigate, Effect::Propose, Effect::Destroy];

    /// The word in policies, logs and lists.
    pub fn word(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Mitigate => "mitigate",
            Effect::Propose => "propose",
            Effect::Destroy => "destroy",
        }
    }
}

impl Assurance {
    /// The word in policies and logs.
    pub fn word(self) -> &'static str {
        match self {
            Assurance::Declared => "declared",
            Assurance::OsUser => "os_user",
            Assurance::Token => "token",
        }
    }
}

impl Channel {
    /// The word in policies and logs.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Stdio => "stdio",
            Channel::Cli => "cli",
            Channel::Http => "http",
        }
    }
}

/// What `weekday` can hold, Monday first.
pub(crate) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Attributes of every context beside the arguments, with all that each can hold where that is a closed set.
pub(crate) fn words() -> [(&'static str, Option<Vec<&'static str>>); 6] {
    let assurances = [Assurance::Declared, Assurance::OsUser, Assurance::Token].map(Assurance::word);
    let channels = [Channel::Stdio, Channel::Cli, Channel::Http].map(Channel::word);
    [
        ("assurance: String", Some(assurances.to_vec())),
        ("channel: String", Some(channels.to_vec())),
        ("now: datetime", None),
        ("weekday: String", Some(WEEKDAYS.to_vec())),
        ("minute_of_day: Long", None),
        ("witnessed_seconds?: Long", None),
    ]
}
