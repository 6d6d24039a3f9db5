//! `show_authority`: what may this caller do here, and what stands in the way?

use std::collections::BTreeSet;

use policy::{Circumstances, Denial, Effect, NeedsApproval, Standing, Target, UNKNOWN, Vocabulary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Row, Suggestion, Table, Tool, ToolError,
    args::{MaxTokens, Slug, Text},
};

use crate::{InForce, offer::offer};

/// What `show_authority` looks at.
pub struct Authority {
    /// The policy in force, whichever that is when it is asked about.
    pub policy: InForce,
    /// How calls arrive.
    pub channel: policy::Channel,
    /// Every connection of this process.
    pub places: Vec<Place>,
    /// Every tool of this process: server, name, effect.
    pub tools: Vec<(String, &'static str, Effect)>,
    /// Environments and teams that there are: about others nothing true could be said.
    pub vocabulary: Vocabulary,
}

/// One connection and the server whose tools reach it.
pub struct Place {
    /// Server word.
    pub server: String,
    /// The connection as a whole.
    pub whole: Target,
}

/// What you may do, what needs approval and by whom, what is denied and by which rule. Ask before planning a change.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowAuthority {
    /// Only this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<Slug>,
    /// Only this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool: Option<Text<1, 40>>,
    /// As if it were in this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Text<1, 63>>,
    /// As if it were this team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<Text<1, 63>>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
pub struct Standings {
    /// The agent.
    agent: String,
    /// The person it acts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    /// Teams that count.
    teams: Vec<String>,
    /// How well that is proven.
    assurance: String,
}

const COLUMNS: [Column; 6] = [
    Column::new("connection"),
    Column::new("environment"),
    Column::new("standing"),
    Column::new("tools"),
    Column::new("rule"),
    Column::new("way_forward"),
];

impl Tool for ShowAuthority {
    const NAME: &'static str = "show_authority";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "permissions, access, policy, allowed, rights, role, whoami, forbidden";
    type Backends = Authority;
    type Facts = Standings;

    fn targets(&self, authority: &Authority) -> Result<Vec<Target>, ToolError> {
        // Of a tool that is hidden nobody hears here, since it is not known yet who asks.
        if !authority.policy.policy().hides() {
            self.is_tool(authority.tools.iter().map(|it| it.1))?;
        }
        self.places(authority)?;
        known("environment", self.environment.as_deref(), &authority.vocabulary.environments)?;
        known("team", self.team.as_deref(), &authority.vocabulary.teams)?;
        Ok(vec![own()])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({}), json!({ "tool": "show_authority" })]
    }

    async fn run(&self, authority: &Authority, context: &Context) -> Result<Answer<Standings>, ToolError> {
        let caller = context.caller();
        let policy = authority.policy.policy();
        let circumstances = Circumstances {
            witnessed_seconds: context.witnessed_seconds(),
            ..Circumstances::of(authority.channel, context.now())
        };
        let told = |name: &str| !policy.hides() || offer(&policy, caller, name).is_ok();
        let tools: Vec<_> = authority.tools.iter().filter(|it| told(it.1)).collect();
        self.is_tool(tools.iter().map(|it| it.1))?;
        let mut groups: Vec<Group> = Vec::new();
        for place in self.places(authority)? {
            let target = self.as_if(&place.whole);
            for (server, name, effect) in &tools {
                let elsewhere = *server != place.server && *server != FAMILY;
                if elsewhere || self.tool.as_ref().is_some_and(|it| **it != **name) {
                    continue;
                }
                let standing = policy.standing(caller, name, &target, &circumstances);
                Group::add(&mut groups, &target, name, *effect, &Verdict::of(standing));
            }
        }
        groups.sort_by_key(|it| it.verdict.rank);
        let rows: Vec<Row> = groups.into_iter().map(Group::row).collect();
        let facts = Standings {
            agent: caller.agent.clone(),
            on_behalf_of: caller.on_behalf_of.clone(),
            teams: caller.teams.clone(),
            assurance: caller.assurance.word().to_owned(),
        };
        let seen = rows.len() as u64;
        let table = Table { columns: COLUMNS.to_vec(), rows, seen, noun: "standings", next: None };
        Ok(Answer::table(facts, table))
    }
}

/// Server word of tools that belong to every server.
pub(crate) const FAMILY: &str = "bailiwick";

/// What asking touches, whatever is asked about: an argument never says where a call is.
pub(crate) fn own() -> Target {
    let unknown = || UNKNOWN.to_owned();
    Target {
        kind: "authority".into(),
        id: FAMILY.to_owned(),
        connection: FAMILY.to_owned(),
        environment: unknown(),
        region: unknown(),
        team: unknown(),
        tier: unknown(),
    }
}

/// Refuses a word that no target has, naming the nearest that some have.
fn known(kind: &'static str, word: Option<&str>, words: &BTreeSet<String>) -> Result<(), ToolError> {
    let Some(name) = word.filter(|it| *it != UNKNOWN && !words.contains(*it)) else { return Ok(()) };
    let mut near: Vec<&str> = words.iter().map(String::as_str).chain([UNKNOWN]).collect();
    near.sort_by(|a, b| strsim::jaro_winkler(b, name).total_cmp(&strsim::jaro_winkler(a, name)));
    // Policy hides the name of what it hides.
    let with = |word: &str| match kind {
        "team" => Target { team: word.to_owned(), ..own() },
        _ => Target { environment: word.to_owned(), ..own() },
    };
    let suggest = |it: &&str| Suggestion { text: (*it).to_owned(), target: Some(with(it)) };
    let suggestions = near.iter().take(NEAR_MAX).map(suggest).collect();
    Err(ToolError::NotFound { kind, name: name.to_owned(), suggestions })
}

/// Most words that are named in place of one that is not known.
const NEAR_MAX: usize = 5;

impl ShowAuthority {
    /// Whether the tool that is asked about is one of these.
    fn is_tool(&self, names: impl Iterator<Item = &'static str> + Clone) -> Result<(), ToolError> {
        let missing = |tool: &&Text<1, 40>| !names.clone().any(|it| ***tool == *it);
        let Some(tool) = self.tool.as_ref().filter(missing) else { return Ok(()) };
        let suggestions = names.map(|it| Suggestion { text: it.to_owned(), target: None }).collect();
        Err(ToolError::NotFound { kind: "tool", name: tool.to_string(), suggestions })
    }

    fn places<'a>(&self, authority: &'a Authority) -> Result<Vec<&'a Place>, ToolError> {
        let wanted = |it: &&Place| self.connection.as_ref().is_none_or(|name| it.whole.connection == **name);
        let places: Vec<&Place> = authority.places.iter().filter(wanted).collect();
        match (places.is_empty(), &self.connection) {
            (true, Some(name)) => Err(ToolError::NotFound {
                kind: "connection",
                name: name.to_string(),
                suggestions: authority
                    .places
                    .iter()
                    .map(|it| Suggestion {
                        text: it.whole.connection.clone(),
                        target: Some(it.whole.clone()),
                    })
                    .collect(),
            }),
            _ => Ok(places),
        }
    }

    fn as_if(&self, whole: &Target) -> Target {
        let mut target = whole.clone();
        if let Some(environment) = &self.environment {
            target.environment = environment.to_string();
        }
        if let Some(team) = &self.team {
            target.team = team.to_string();
        }
        target
    }
}

/// What is told of rules that look at arguments.
const PER_CALL: &str = "conditions of these rules decide per call";
/// What is told of teams that no token proves.
const DECLARED: &str = "Your teams are only declared: what they alone permit is denied here, but for dry runs, until a person runs `bailiwick login`";

/// Tools that stand alike on one connection.
struct Group {
    connection: String,
    environment: String,
    tools: BTreeSet<String>,
    verdict: Verdict,
}

#[derive(Clone, PartialEq)]
struct Verdict {
    rank: u8,
    word: &'static str,
    rule: String,
    way_forward: String,
}

impl Group {
    fn add(groups: &mut Vec<Group>, target: &Target, tool: &str, effect: Effect, verdict: &Verdict) {
        let tool = format!("{tool} ({})", effect.word());
        let alike = |it: &&mut Group| it.connection == target.connection && it.verdict == *verdict;
        match groups.iter_mut().find(alike) {
            Some(group) => drop(group.tools.insert(tool)),
            None => groups.push(Group {
                connection: target.connection.clone(),
                environment: target.environment.clone(),
                tools: BTreeSet::from([tool]),
                verdict: verdict.clone(),
            }),
        }
    }

    fn row(self) -> Row {
        let tools = self.tools.into_iter().collect::<Vec<_>>().join(", ");
        let Verdict { word, rule, way_forward, .. } = self.verdict;
        let cells = [self.connection, self.environment, word.to_owned(), tools, rule, way_forward];
        Row { cells: cells.map(Value::from).to_vec(), target: None }
    }
}

impl Verdict {
    fn of(standing: Standing) -> Verdict {
        match standing {
            Standing::Denied(Denial { policy, reason, instead }) => Verdict {
                rank: 0,
                word: "denied",
                rule: policy.unwrap_or_else(|| "default".to_owned()),
                way_forward: instead.map_or(reason.clone(), |it| format!("{reason}. {it}")),
            },
            Standing::NeedsApproval(needed) => Verdict::needs(needed),
            Standing::Depends { policies, declared } => Verdict {
                rank: 3,
                word: "depends",
                rule: policies.join(", "),
                way_forward: match declared {
                    false => PER_CALL.to_owned(),
                    true => format!("{PER_CALL}. {DECLARED}"),
                },
            },
            Standing::Allowed { policies } => {
                Verdict { rank: 4, word: "allowed", rule: policies.join(", "), way_forward: String::new() }
            }
        }
    }

    fn needs(needed: NeedsApproval) -> Verdict {
        let rule = needed.policies.join(", ");
        let who = match needed.who.as_slice() {
            [] => "nobody, since no policy permits Action::\"approve\" here".to_owned(),
            who => who.join(", "),
        };
        let (rank, word, how) = match needed.approvals {
            0 => (2, "asks", "the person at the keyboard confirms".to_owned()),
            1 => (1, "needs_approval", format!("one other person approves: {who}")),
            more => (1, "needs_approval", format!("{more} other people approve: {who}")),
        };
        // Why, then how, then what the rule says of it.
        let parts: Vec<String> = needed.reason.into_iter().chain([how]).chain(needed.instead).collect();
        Verdict { rank, word, rule, way_forward: parts.join(". ") }
    }
}
