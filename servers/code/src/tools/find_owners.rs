//! `find_owners`: whom can one ask about a file?

use std::collections::BTreeMap;

use gix::bstr::ByteSlice;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Effect, Row, Span, Table, Target, Tool, ToolError, Window,
    args::{MaxTokens, Slug},
};

use super::clip;
use crate::{
    Backends,
    arguments::{GLOBS_MAX, Glob, Globs, Revision},
    backends::{Author, Filter, KIND, Opened, Places, Resolved, Stop, Walk},
    owners::Owners,
};

/// Owners of files in a git repository by CODEOWNERS, and who changed them lately, by weight.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindOwners {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Files, folders or globs: `src/pay.rs`, `src/`, `*.tf`.
    paths: Vec<Glob>,
    /// Branch, tag, sha; else HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// Of changes: `90d`; else 365d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    window: Option<Window>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What the answer rests on.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct Ownership {
    /// Commit whose CODEOWNERS and files count.
    revision: String,
    /// Of the changes that weigh, in UTC.
    window: String,
    /// Seen in the window, by whomever.
    commits: u64,
}

/// When no window is given.
const WINDOW: &str = "365d";
const AUTHORS_MAX: usize = 5;
const OWNERS_MAX: usize = 5;
const NAME_MAX: usize = 60;

impl Tool for FindOwners {
    const NAME: &'static str = "find_owners";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "maintainer, team, responsible, reviewer, whom to ask, contact, expert";
    type Backends = Backends;
    type Facts = Ownership;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "paths": ["src/"] }), json!({ "paths": ["*.rs", "README.md"], "window": "90d" })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<Ownership>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let (asked, now) = (self.clone(), context.now());
        backends.read(context, repository, move |opened, stop| asked.look(opened, now, stop)).await
    }
}

impl FindOwners {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(
        &self,
        opened: &Opened<'_>,
        now: Timestamp,
        stop: &Stop,
    ) -> Result<Answer<Ownership>, ToolError> {
        let span = self.span(now)?;
        let at = opened.resolve(&self.revision.clone().unwrap_or_else(Revision::head), stop)?;
        self.refuse_missing(opened, &at, stop)?;
        let mut not_looked_at = Vec::new();
        let owners = opened.owners(at.tree).unwrap_or_else(|problem| {
            not_looked_at.push(problem);
            None
        });
        if owners.is_none() && not_looked_at.is_empty() {
            not_looked_at.push("owners: this revision has no CODEOWNERS".to_owned());
        }
        // Before history, which may take all the time there is.
        let owned = self.owned(opened, &at, owners.as_deref(), stop, &mut not_looked_at);
        let filter = Filter { span: Some(span), ..Filter::default() };
        let walked = Walk::new(opened, at.commit, None)?.list(&filter, stop);
        not_looked_at.extend(walked.not_looked_at);
        let mut places = Places::new(opened, &self.paths);
        let counted = places.count(&walked.listed, now, stop)?;
        if let Some(left) = walked.listed.get(counted) {
            let from = left.describe(opened);
            not_looked_at.push(format!("authors before {from}: the time of the call was used up"));
        }
        if places.by_bots > 0 {
            not_looked_at.push(format!("{} commits by bots: not counted", places.by_bots));
        }
        let row = |(index, glob): (usize, &Glob)| {
            let (owners, files) = &owned[index];
            let authors: Vec<String> = places.authors(index).iter().map(said).collect();
            let authors = clipped(authors, AUTHORS_MAX);
            Row { cells: vec![json!(glob.text()), json!(files), some(owners), some(&authors)], target: None }
        };
        let rows: Vec<Row> = self.paths.iter().enumerate().map(row).collect();
        let commits = walked.listed.len() as u64;
        let facts = Ownership { revision: at.commit.to_string(), window: span.to_string(), commits };
        let columns = vec![
            Column::new("path"),
            Column::new("files"),
            Column::untrusted("owners"),
            Column::untrusted("authors"),
        ];
        let table = Table { columns, seen: rows.len() as u64, rows, noun: "paths", next: None };
        Ok(Answer { not_looked_at, ..Answer::table(facts, table) })
    }

    /// The window of changes, once it is sure that the paths can be asked for.
    fn span(&self, now: Timestamp) -> Result<Span, ToolError> {
        let invalid = |argument, problem| ToolError::Invalid { argument, problem };
        let count = self.paths.len();
        if !(1..=GLOBS_MAX).contains(&count) || self.paths.iter().any(Glob::is_unwanted) {
            let problem = format!("expected 1 to {GLOBS_MAX} paths or globs, none with `!`; got {count}");
            return Err(invalid("paths", problem));
        }
        let usual = || Window::parse(WINDOW).expect("the usual window parses");
        self.window.clone().unwrap_or_else(usual).at(now).map_err(|it| invalid("window", it))
    }

    /// A path without a pattern must be there.
    fn refuse_missing(&self, opened: &Opened<'_>, at: &Resolved, stop: &Stop) -> Result<(), ToolError> {
        let missing = |it: &&Glob| it.is_plain() && opened.side_at(at.tree, it.root()).is_none();
        match self.paths.iter().find(missing) {
            None => Ok(()),
            Some(glob) => Err(ToolError::NotFound {
                kind: KIND,
                name: format!("{} at {}", glob.text(), opened.short(at.commit)),
                suggestions: opened.near_files(at.tree, glob.root(), stop),
            }),
        }
    }

    /// For each path: owners of what it matches, those of most files first, and how many files that are.
    fn owned(
        &self,
        opened: &Opened<'_>,
        at: &Resolved,
        owners: Option<&Owners>,
        stop: &Stop,
        not_looked_at: &mut Vec<String>,
    ) -> Vec<(Vec<String>, u64)> {
        let globs: Vec<Globs> = self.paths.iter().map(|it| Globs::of(std::slice::from_ref(it))).collect();
        let listed = opened.files(at.tree, stop, |path| globs.iter().any(|it| it.matches(path)));
        not_looked_at.extend(listed.left.map(|why| format!("some files: {why}")));
        let mut counts: Vec<(BTreeMap<String, u64>, u64)> = vec![(BTreeMap::new(), 0); globs.len()];
        for (counted, file) in listed.files.iter().enumerate() {
            if stop.is_reached() {
                let left = listed.files.len() - counted;
                not_looked_at.push(format!("owners of {left} files: the time of the call was used up"));
                break;
            }
            let path = file.path.to_str_lossy();
            let names = owners.map(|it| it.of(&path)).unwrap_or_default();
            for (index, _) in globs.iter().enumerate().filter(|(_, it)| it.matches(&path)) {
                counts[index].1 += 1;
                let by_owner = &mut counts[index].0;
                let mut count = |name: &str| match by_owner.get_mut(name) {
                    Some(count) => *count += 1,
                    None => drop(by_owner.insert(name.to_owned(), 1)),
                };
                match names {
                    [] if owners.is_some() => count("nobody"),
                    names => names.iter().for_each(|it| count(it)),
                }
            }
        }
        counts
            .into_iter()
            .map(|(by_owner, files)| {
                let mut by_owner: Vec<(String, u64)> = by_owner.into_iter().collect();
                by_owner.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                let say = |(name, count): (String, u64)| {
                    if count == files { name } else { format!("{name} ({count} files)") }
                };
                (clipped(by_owner.into_iter().map(say).collect(), OWNERS_MAX), files)
            })
            .collect()
    }
}

/// An author with a share in percent.
fn said((author, share): &(Author, u64)) -> String {
    let (name, commits) = (clip(&author.name, NAME_MAX), author.commits);
    let last = author.last.committed().unwrap_or_default();
    format!("{name} {share}% ({commits} commits, last {})", last.get(..10).unwrap_or(&last))
}

/// The first few, and how many more there are.
fn clipped(mut said: Vec<String>, most: usize) -> Vec<String> {
    if said.len() > most {
        let more = said.len() - most;
        said.truncate(most);
        said.push(format!("+{more} more"));
    }
    said
}

fn some(said: &[String]) -> Value {
    if said.is_empty() { Value::Null } else { json!(said) }
}
