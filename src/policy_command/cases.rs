//! `bailiwick policy test`: does the policy answer as people expect?

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use config::Config;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use policy::{
    Approver, Assurance, Caller, Case, CaseCall, CaseQuestion, Change, Channel, Circumstances, Expected,
    Target, Tested, UNKNOWN, Usage,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tool::Bound;

use crate::{
    USAGE,
    family::{self, Server},
    open, say,
};

#[derive(Args)]
#[command(after_help = "A file of cases:\n  \
                        caller = { agent = \"claude-code\", person = \"robin\", teams = [\"checkout\"], assurance = \"token\" }\n  \
                        when = \"2026-11-20T10:00\"                       # in the policy's time zone, or RFC 3339\n  \
                        targets = [{ environment = \"production\", team = \"checkout\" }]\n\n  \
                        [[case]]\n  \
                        name = \"a silence in production is confirmed\"\n  \
                        call = { tool = \"silence_alert\", arguments = { … } }\n  \
                        expect = \"ask\"                                  # allow, ask, approve:2, ask+approve:2, deny\n  \
                        rule = \"on-call:confirm\"                        # none: no rule permits it\n\n\
                        What stands above the cases holds for each that says nothing else. Without targets, the call's own are \
                        taken from the configuration, as `connection` and the like name them. A case may also say confirmed = true, \
                        approvals = 1, approve = { person = \"dana\", teams = [\"sre\"], assurance = \"token\", authenticated_seconds = 60 } (may dana \
                        approve the call?), break_glass = { person = \"dana\", minutes = 30, … } (may dana approve it alone? without a call: open \
                        it at all?), usage = { mitigations_hour = 11 } (else it is the caller's first call), \
                        change = { id = \"CHG1\", state = \"Implement\", approved = true }, or reveal = \"pii\" instead of a call.")]
pub(super) struct Test {
    /// Files of cases, in TOML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Cedar files to test instead of the configured policy
    #[arg(long = "policy", value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    caller: Option<CallerTable>,
    when: Option<String>,
    targets: Option<Vec<TargetTable>>,
    #[serde(rename = "case")]
    cases: Vec<toml::Spanned<CaseTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTable {
    name: String,
    caller: Option<CallerTable>,
    when: Option<String>,
    targets: Option<Vec<TargetTable>>,
    call: Option<CallTable>,
    approve: Option<ApproverTable>,
    break_glass: Option<BreakerTable>,
    reveal: Option<String>,
    #[serde(default)]
    confirmed: bool,
    #[serde(default)]
    approvals: u8,
    /// Age of the last cosignature; none unless told.
    witnessed_seconds: Option<u64>,
    /// What the caller has done, this call among it; the first call of all unless told.
    usage: Option<UsageTable>,
    /// The change ticket; none unless told.
    change: Option<ChangeTable>,
    expect: Expected,
    rule: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerTable {
    agent: String,
    person: Option<String>,
    #[serde(default)]
    teams: Vec<String>,
    assurance: Option<Assurance>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproverTable {
    person: String,
    #[serde(default)]
    teams: Vec<String>,
    assurance: Option<Assurance>,
    authenticated_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerTable {
    person: String,
    #[serde(default)]
    teams: Vec<String>,
    assurance: Option<Assurance>,
    authenticated_seconds: Option<u64>,
    minutes: u64,
}

/// Counts with this call among them: 1 where nothing is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageTable {
    calls_hour: Option<u64>,
    calls_day: Option<u64>,
    mitigations_hour: Option<u64>,
    tool_hour: Option<u64>,
    tool_day: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeTable {
    id: String,
    state: String,
    approved: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallTable {
    tool: String,
    server: Option<String>,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// What a call touches. A connection of the configuration says the rest of itself; else, what is left out is `unknown`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    connection: Option<String>,
    kind: Option<String>,
    id: Option<String>,
    environment: Option<String>,
    region: Option<String>,
    team: Option<String>,
    tier: Option<String>,
}

pub(super) fn run(test: &Test, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = open::configuration(config)?;
    let rules = Arc::new(super::load(&test.policies, &config)?);
    let approvals = Arc::new(open::approvals(&config)?);
    let tools = family::bind(&Server::ALL, &config, rules.clone(), Channel::Cli, &approvals)?;
    let world = World { config: &config, tools: &tools };
    let mut cases = Vec::new();
    for path in &test.files {
        match world.read(path) {
            Ok(read) => cases.extend(read),
            Err(problem) => {
                say::note(&format!("bailiwick: {}", say::clean(&format!("{problem:#}"))));
                return Ok(ExitCode::from(USAGE));
            }
        }
    }
    let tested = rules.test(&cases);
    match test.json {
        true => say::json(&tested)?,
        false => say::line(&say::clean(&told(&tested)))?,
    }
    Ok(ExitCode::from(u8::from(!tested.failures.is_empty())))
}

fn told(tested: &Tested) -> String {
    let mut told = String::new();
    for failure in &tested.failures {
        told += &format!("FAILED  {}  ({})\n", failure.name, failure.place);
        told += &format!("  expected {}\n  got      {}", failure.expected, failure.answer);
        for rule in &failure.by {
            told += &format!(" by {} ({})", rule.id, rule.place);
        }
        let reason = failure.reason.as_deref().map(|it| format!(": {it}")).unwrap_or_default();
        told += &format!("{reason}\n");
    }
    for rule in &tested.unexercised {
        told += &format!("no case exercises  {}  ({})\n", rule.id, rule.place);
    }
    let exercised = tested.rules - tested.unexercised.len();
    told + &format!(
        "{} of {} cases as expected; they exercise {exercised} of {} rules",
        tested.cases - tested.failures.len(),
        tested.cases,
        tested.rules
    )
}

/// What cases speak of.
struct World<'a> {
    config: &'a Config,
    tools: &'a [(String, Bound)],
}

impl World<'_> {
    fn read(&self, path: &Path) -> anyhow::Result<Vec<Case>> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let file: CaseFile =
            toml::from_str(&text).map_err(|it| anyhow::anyhow!("{shown}: {}", it.to_string().trim_end()))?;
        ensure!(!file.cases.is_empty(), "{shown}: no [[case]]: there is nothing to test");
        let mut names = BTreeMap::new();
        let mut cases = Vec::new();
        for spanned in &file.cases {
            let line = text[..spanned.span().start].matches('\n').count() + 1;
            let place = format!("{shown}:{line}");
            let table = spanned.get_ref();
            if let Some(before) = names.insert(&table.name, place.clone()) {
                bail!("{place}: a second case `{}`; the first stands at {before}", table.name);
            }
            cases
                .push(self.case(&file, table, &place).with_context(|| format!("{place}: `{}`", table.name))?);
        }
        Ok(cases)
    }

    fn case(&self, file: &CaseFile, table: &CaseTable, place: &str) -> anyhow::Result<Case> {
        let caller = match table.caller.as_ref().or(file.caller.as_ref()) {
            None => open::caller(self.config),
            Some(it) => Caller {
                agent: it.agent.clone(),
                on_behalf_of: it.person.clone(),
                teams: self.teams(&it.teams)?,
                assurance: it.assurance.unwrap_or(Assurance::Declared),
            },
        };
        ensure!(table.approvals <= 3, "approvals = {}: expected 0 to 3", table.approvals);
        let now = match table.when.as_ref().or(file.when.as_ref()) {
            Some(when) => moment(when, &self.config.policy.zone)?,
            None => Timestamp::now(),
        };
        let circumstances = Circumstances {
            approvals: table.approvals,
            confirmed: table.confirmed,
            witnessed_seconds: table.witnessed_seconds,
            usage: Some(table.usage.as_ref().map_or(Usage::FIRST, UsageTable::usage)),
            change: table.change.as_ref().map(ChangeTable::change),
            ..Circumstances::of(Channel::Stdio, now)
        };
        let asked = self.asked(file, table)?;
        let (name, rule) = (table.name.clone(), table.rule.clone());
        Ok(Case { name, place: place.to_owned(), caller, circumstances, asked, expected: table.expect, rule })
    }

    fn asked(&self, file: &CaseFile, table: &CaseTable) -> anyhow::Result<CaseQuestion> {
        let targets = table.targets.as_ref().or(file.targets.as_ref());
        let call = || {
            let call = table.call.as_ref().context("`approve` is about a call: say which")?;
            self.call(call, targets)
        };
        Ok(match (&table.reveal, &table.approve, &table.break_glass, &table.call) {
            (Some(class), None, None, None) => CaseQuestion::Reveal(class.clone()),
            (None, Some(it), None, _) => {
                let assurance = it.assurance.unwrap_or(Assurance::Declared);
                let (person, teams) = (it.person.clone(), self.teams(&it.teams)?);
                let authenticated_seconds = it.authenticated_seconds;
                let approver = Approver { person, teams, assurance, authenticated_seconds };
                CaseQuestion::Approve(approver, call()?)
            }
            (None, None, Some(it), asked) => {
                let person = Approver {
                    person: it.person.clone(),
                    teams: self.teams(&it.teams)?,
                    assurance: it.assurance.unwrap_or(Assurance::Declared),
                    authenticated_seconds: it.authenticated_seconds,
                };
                let opened_for = targets.context("`break_glass` is about targets: say which")?;
                let opened_for =
                    opened_for.iter().map(|it| self.target(it)).collect::<anyhow::Result<_>>()?;
                let call = asked.as_ref().map(|_| call()).transpose()?;
                CaseQuestion::BreakGlass { person, minutes: it.minutes, call, targets: opened_for }
            }
            (None, None, None, Some(_)) => CaseQuestion::Call(call()?),
            _ => bail!(
                "expected a call, an `approve` with the call it is about, a `break_glass`, or `reveal` alone"
            ),
        })
    }

    fn call(&self, table: &CallTable, targets: Option<&Vec<TargetTable>>) -> anyhow::Result<CaseCall> {
        let found = self.tools.iter().find(|(_, it)| it.definition.name == table.tool);
        let (server, tool) = found.with_context(|| format!("no tool is called `{}`", table.tool))?;
        if let Some(named) = table.server.as_ref().filter(|it| *it != server) {
            bail!("`{}` is a tool of {server}, not of {named}", table.tool);
        }
        let parsed = tool.parse(table.arguments.clone()).with_context(|| table.tool.clone())?;
        let targets = match targets {
            Some(tables) => tables.iter().map(|it| self.target(it)).collect::<anyhow::Result<_>>()?,
            None => parsed.targets().context("say targets, or configure what the call means")?,
        };
        Ok(CaseCall { tool: table.tool.clone(), input: parsed.input(), targets })
    }

    fn target(&self, table: &TargetTable) -> anyhow::Result<Target> {
        let connection = table.connection.as_deref().and_then(|it| self.config.connection(it));
        if let (Some(name), None) = (&table.connection, connection) {
            let known: Vec<&str> = self.config.connections.iter().map(|it| it.name.as_str()).collect();
            bail!("unknown connection `{name}`; configured: {}", known.join(", "));
        }
        let words = &self.config.vocabulary;
        let of = |kind: &str, said: &Option<String>, known: &std::collections::BTreeSet<String>| {
            if let Some(word) = said.as_ref().filter(|it| *it != UNKNOWN && !known.contains(*it)) {
                let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                bail!("no {kind} is called `{word}`; configured: {known}");
            }
            Ok(said.clone())
        };
        let whole = connection.map(|it| it.whole("target"));
        let place = |said: Option<String>, own: fn(&Target) -> &String| {
            said.or_else(|| whole.as_ref().map(|it| own(it).clone())).unwrap_or_else(|| UNKNOWN.to_owned())
        };
        let name = table.connection.clone().unwrap_or_else(|| "any".to_owned());
        Ok(Target {
            // Each kind once and for the rest of this process, which ends with the answer.
            kind: table.kind.clone().map_or("target".into(), Into::into),
            id: table.id.clone().unwrap_or_else(|| name.clone()),
            environment: place(of("environment", &table.environment, &words.environments)?, |it| {
                &it.environment
            }),
            region: place(of("region", &table.region, &words.regions)?, |it| &it.region),
            team: place(of("team", &table.team, &words.teams)?, |it| &it.team),
            tier: place(of("tier", &table.tier, &words.tiers)?, |it| &it.tier),
            connection: name,
        })
    }

    /// Teams as they stand, when the configuration knows them: a misspelt one would be in none, and its case say nothing.
    fn teams(&self, teams: &[String]) -> anyhow::Result<Vec<String>> {
        let known = &self.config.vocabulary.teams;
        match teams.iter().find(|it| !known.contains(*it)) {
            Some(wrong) => {
                let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                bail!("no team is called `{wrong}`; configured: {known}")
            }
            None => Ok(teams.to_vec()),
        }
    }
}

impl UsageTable {
    fn usage(&self) -> Usage {
        let first = Usage::FIRST;
        Usage {
            calls_hour: self.calls_hour.unwrap_or(first.calls_hour),
            calls_day: self.calls_day.unwrap_or(first.calls_day),
            mitigations_hour: self.mitigations_hour.unwrap_or(first.mitigations_hour),
            tool_hour: self.tool_hour.unwrap_or(first.tool_hour),
            tool_day: self.tool_day.unwrap_or(first.tool_day),
        }
    }
}

impl ChangeTable {
    fn change(&self) -> Change {
        Change { id: self.id.clone(), state: self.state.clone(), approved: self.approved }
    }
}

/// A time as people write it: RFC 3339, or a date and a time of the policy's zone.
fn moment(text: &str, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local: DateTime = text.parse().map_err(|_| {
        anyhow::anyhow!("when = {text:?}: expected 2026-11-20T10:00, or with a zone 2026-11-20T10:00Z")
    })?;
    Ok(local.to_zoned(zone.clone()).with_context(|| format!("when = {text:?}"))?.timestamp())
}
