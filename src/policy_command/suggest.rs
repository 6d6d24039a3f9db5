//! `bailiwick policy suggest`: what would have allowed what was denied?

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use audit::{Filter, Payload, Record};
use clap::Args;
use config::Config;
use jiff::Timestamp;
use policy::{
    Assurance, Caller, Channel, Circumstances, Form, Policy, Recorded, Scope, Setup, Suggested, Target, Usage,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use similar::TextDiff;
use tool::Window;

use crate::{USAGE, open, say};

#[derive(Args)]
#[command(
    after_help = "A suggestion is the narrowest rule that would have allowed a group of recorded denials: this agent, this tool, these \
                        targets. Where the policy is lists alone, it is an entry of `allow`, which is easier to read and holds for every \
                        caller. It is checked by loading it and asking the recorded questions again. What an explicit rule forbids is \
                        named with the way forward, and never suggested to be lifted. Nothing is written: apply the diff, or part of it."
)]
pub(super) struct Suggest {
    /// Only denials since then: 24h, 7d, now-3h/now
    #[arg(long, value_name = "WINDOW", default_value = "7d")]
    since: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where a suggestion would be written.
struct Place {
    form: Form,
    path: PathBuf,
    before: Option<String>,
    /// What a new file begins with.
    start: String,
    /// What else a person has to do.
    note: Option<String>,
}

/// What a payload says of a denied call.
#[derive(Deserialize)]
struct Denied {
    caller: CallerRecord,
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    targets: Vec<TargetRecord>,
}

#[derive(Deserialize)]
struct CallerRecord {
    agent: String,
    on_behalf_of: Option<String>,
    teams: Vec<String>,
    assurance: Assurance,
}

#[derive(Deserialize)]
struct TargetRecord {
    kind: String,
    id: String,
    connection: String,
    environment: String,
    region: String,
    team: String,
    tier: String,
}

/// What is said of the records, as JSON.
#[derive(Serialize)]
struct Said<'a> {
    denied: usize,
    /// Denials whose payload is erased, forged or too long to be kept.
    unread: &'a [String],
    #[serde(flatten)]
    suggested: &'a Suggested,
    diff: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

pub(super) fn run(arguments: &Suggest, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let since = Window::parse(&arguments.since).and_then(|it| it.at(Timestamp::now()));
    let since = match since {
        Ok(span) => span.from,
        Err(problem) => {
            say::note(&format!("bailiwick: --since: {problem}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let config = open::configuration(config)?;
    let filter = Filter { since: Some(since), verdict: Some("denied".to_owned()), ..Filter::default() };
    let records = audit::records(&config.state, &filter)?;
    let (mut recorded, mut unread) = (Vec::new(), Vec::new());
    for record in &records {
        match read(record) {
            Some(it) => recorded.push(it),
            None => unread.push(name(record)),
        }
    }
    let mut sources = config.policy.sources.clone();
    if config.policy.is_silent() {
        sources.push(Policy::read_only_source());
    }
    let setup = Setup {
        family: policy::FAMILY_SCHEMA,
        sources: &sources,
        lists: &config.policy.lists,
        vocabulary: &config.vocabulary,
        zone: config.policy.zone.clone(),
    };
    let place = Place::find(&config)?;
    let suggested = policy::suggest(&setup, &recorded, place.form)
        .map_err(|errors| anyhow::anyhow!("the policy does not load:\n{errors}"))?;
    let diff = place.diff(&suggested)?;
    let note = place.note.as_deref().filter(|_| !diff.is_empty());
    let said = Said { denied: records.len(), unread: &unread, suggested: &suggested, diff: &diff, note };
    match arguments.json {
        true => say::json(&said)?,
        false => say::line(&say::clean(&told(&said)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn name(record: &Record) -> String {
    format!("{}:{}", record.log, record.index)
}

/// The question behind a record, if its payload can be opened and is whole.
fn read(record: &Record) -> Option<Recorded> {
    let Payload::Opened(payload) = &record.payload else { return None };
    let it: Denied = serde_json::from_value(payload.clone()).ok()?;
    let leaf = |name: &str| record.leaf.get(name).and_then(Value::as_str);
    let channel = match leaf("channel")? {
        "stdio" => Channel::Stdio,
        "cli" => Channel::Cli,
        "http" => Channel::Http,
        _ => return None,
    };
    let CallerRecord { agent, on_behalf_of, teams, assurance } = it.caller;
    Some(Recorded {
        place: name(record),
        caller: Caller { agent, on_behalf_of, teams, assurance },
        tool: it.tool,
        input: it.arguments,
        targets: it.targets.into_iter().map(TargetRecord::target).collect(),
        circumstances: Circumstances {
            // A limit is no reason to allow more.
            usage: Some(Usage::FIRST),
            ..Circumstances::of(channel, leaf("time")?.parse().ok()?)
        },
    })
}

impl TargetRecord {
    fn target(self) -> Target {
        let TargetRecord { kind, id, connection, environment, region, team, tier } = self;
        // For the rest of this process, which ends with the answer.
        Target { kind: kind.into(), id, connection, environment, region, team, tier }
    }
}

impl Place {
    /// The last Cedar file that may say anything; else the list `allow`; else a new file beside the configuration.
    fn find(config: &Config) -> anyhow::Result<Place> {
        let folder = config.origin.file().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        if let Some(source) = config.policy.sources.iter().rfind(|it| it.scope == Scope::Full) {
            // Its name is as the configuration says it: beside the configuration, unless it is whole.
            let (path, before) = (folder.join(&source.name), Some(source.text.clone()));
            return Ok(Place { form: Form::Rule, path, before, start: String::new(), note: None });
        }
        if let (Some(path), false) = (config.origin.file(), config.policy.lists.allow.is_empty()) {
            let before = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let path = path.to_owned();
            return Ok(Place {
                form: Form::Entry,
                path,
                before: Some(before),
                start: String::new(),
                note: None,
            });
        }
        let path = folder.join("policies/suggested.cedar");
        let mut note =
            format!("name it under [policy] in bailiwick.toml: files = [{:?}]", "policies/suggested.cedar");
        let mut start = String::new();
        if config.policy.is_silent() {
            // Naming any file ends what holds where nothing is configured.
            start = Policy::read_only_source().text + "\n";
            note += "; it begins with the rules that hold now, which a configured policy replaces";
        }
        Ok(Place { form: Form::Rule, path, before: None, start, note: Some(note) })
    }

    /// The file with every suggestion in it, as a unified diff; empty when there is none.
    fn diff(&self, suggested: &Suggested) -> anyhow::Result<String> {
        let texts: Vec<&str> = suggested.suggestions.iter().map(|it| it.text.as_str()).collect();
        if texts.is_empty() {
            return Ok(String::new());
        }
        let before = self.before.clone().unwrap_or_default();
        let after = match self.form {
            Form::Rule => {
                let gap = if before.is_empty() { "" } else { "\n" };
                let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
                format!("{before}{end}{gap}{}{}", self.start, texts.join("\n"))
            }
            Form::Entry => with_entries(&before, &texts)
                .with_context(|| format!("{}: the list `allow` is not where it was", self.path.display()))?,
        };
        let shown = self.path.display().to_string();
        let old = if self.before.is_some() { shown.as_str() } else { "/dev/null" };
        let diff = TextDiff::from_lines(&before, &after);
        Ok(diff.unified_diff().context_radius(3).header(old, &shown).to_string())
    }
}

/// A configuration with more entries at the start of its list `allow`, each on a line of its own.
fn with_entries(text: &str, entries: &[&str]) -> Option<String> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let policy = document.get_ref().get("policy")?.get_ref().as_table()?;
    let allow = policy.get("allow")?.span();
    let open = allow.start + text.get(allow)?.find('[')? + 1;
    let lines: String = entries.iter().map(|it| format!("\n    {it:?},")).collect();
    let rest = text.get(open..)?;
    // What stood behind the bracket on its line goes on a line of its own.
    let gap =
        if rest.starts_with(['\n', '\r']) || rest.trim_start().starts_with('#') { "" } else { "\n    " };
    Some(format!("{}{lines}{gap}{}", text.get(..open)?, rest.trim_start_matches(' ')))
}

fn told(said: &Said<'_>) -> String {
    let Suggested { suggestions, kept, settled, unclear, left_out } = said.suggested;
    let mut told = said.diff.to_owned();
    let mut line = |text: String| told = format!("{told}{text}\n");
    for it in suggestions {
        let also = match it.also.as_slice() {
            [] => "no other recorded denial".to_owned(),
            also => format!("also {}", few(also)),
        };
        line(format!("{}: {} for {}; {also}", it.id, it.answer, few(&it.lifts)));
    }
    for it in kept {
        let instead = it.instead.as_deref().map(|it| format!("; instead: {it}")).unwrap_or_default();
        line(format!("{} stays: {} (denied {}){instead}", it.rule, it.reason, few(&it.denied)));
    }
    if !settled.is_empty() {
        line(format!("no longer denied: {}", few(settled)));
    }
    for (record, why) in unclear {
        line(format!("cannot be asked again: {record}: {why}"));
    }
    if !said.unread.is_empty() {
        line(format!("without a payload that can be read here: {}", few(said.unread)));
    }
    if *left_out > 0 {
        line(format!("{left_out} more groups of denials; narrow --since"));
    }
    if let Some(note) = said.note {
        line(format!("nothing was written; {note}"));
    } else if !said.diff.is_empty() {
        line("nothing was written; apply what you agree with".to_owned());
    }
    line(format!("{} denied calls", said.denied));
    told.trim_end().to_owned()
}

/// The first records, and how many more there are.
fn few(records: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = records.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match records.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
