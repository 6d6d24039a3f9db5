//! `list_commits`: what changed, when, by whom, how much, and whose code is it?

use std::{collections::BTreeSet, sync::Arc};

use gix::ObjectId;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Effect, Next, Row, Span, Table, Target, Tool, ToolError, Window,
    args::{MaxTokens, Slug},
};

use super::clip;
use crate::{
    Backends,
    arguments::{Part, RepositoryPath, RevisionRange, Sha},
    backends::{Budget, Filter, Listed, Opened, Stop, Walk, Walked},
    excerpt,
    owners::Owners,
};

/// Commits of a git repository, newest first: who changed what, how much, whose code it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListCommits {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Branch, tag, sha or `v1.2..main`; else HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<RevisionRange>,
    /// `6h`, `FROM/TO`, `around=TIME±30m`; else 7d, or all of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    window: Option<Window>,
    /// File or folder that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<RepositoryPath>,
    /// Part of the author's name or e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<Part>,
    /// Continue after this sha.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Sha>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What was looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct History {
    /// The commit it starts from and its branch, or `since..until`.
    revision: String,
    /// As resolved, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    /// Different ones, of all commits seen.
    authors: u64,
}

/// When neither a window nor a range is given.
const WINDOW: &str = "7d";
/// No row takes fewer tokens, so no answer holds more rows than this allows; the rest need not be diffed.
const ROW_TOKENS_MIN: u64 = 25;
const SUBJECT_MAX: usize = 120;
const NAME_MAX: usize = 60;
const PLACE_MAX: usize = 160;
const OWNERS_MAX: usize = 4;

impl Tool for ListCommits {
    const NAME: &'static str = "list_commits";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "log, history, recent changes, merges, shipped, deployed, last release";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["revision"];
    type Backends = Backends;
    type Facts = History;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "window": "365d" }), json!({ "window": "365d", "path": "src", "revision": "HEAD" })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<History>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let (asked, now) = (self.clone(), context.now());
        backends.read(context, repository, move |opened, stop| asked.look(opened, now, stop)).await
    }
}

impl ListCommits {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(
        &self,
        opened: &Opened<'_>,
        now: Timestamp,
        stop: &Stop,
    ) -> Result<Answer<History>, ToolError> {
        let range = self.revision.clone().unwrap_or_else(RevisionRange::head);
        let span = self.span(&range, now)?;
        let (since, until) = opened.resolve_range(&range, stop)?;
        let filter = Filter {
            span,
            path: self.path.as_ref().map(|it| it.text().to_owned()),
            author: self.author.as_ref().map(|it| it.text().to_lowercase()),
        };
        let walk = Walk::new(opened, until.commit, since.as_ref().map(|it| it.commit))?;
        let mut walked = walk.list(&filter, stop);
        let owners = opened.owners(until.tree).unwrap_or_else(|problem| {
            walked.not_looked_at.push(problem);
            None
        });
        let first = self.first(&walked)?;
        if let Some(last) = walked.before.filter(|_| walked.listed.is_empty()) {
            let last = last.describe(opened);
            walked.not_looked_at.push(format!("before the window, where the last match is {last}"));
        }
        let pinned = Pinned { since: since.map(|it| it.commit), until: until.commit, span };
        let facts = History {
            revision: match &until.branch {
                Some(branch) if pinned.since.is_none() => format!("{} {branch}", until.commit),
                _ => pinned.revision(),
            },
            window: span.map(|it| it.to_string()),
            authors: walked.authors,
        };
        let rest = walked.listed.get(first..).unwrap_or_default();
        let shown = &rest[..rest.len().min(self.rows_max())];
        let mut sized =
            Sized { opened, owners, budget: Budget::default(), large: 0, unreadable: 0, late: 0, stop };
        let mut rows: Vec<(Vec<Value>, bool)> = Vec::with_capacity(shown.len());
        for commit in shown {
            if stop.is_reached() && !rows.is_empty() {
                break;
            }
            rows.push(sized.row(*commit)?);
        }
        sized.say_what_is_missing(&mut walked.not_looked_at);
        let seen = rest.len() as u64;
        let next = self.next(&pinned, shown, rest.len());
        let table = table(rows, seen, sized.owners.is_some(), next);
        Ok(Answer { facts, body: tool::Body::Table(table), not_looked_at: walked.not_looked_at, plot: None })
    }

    fn span(&self, range: &RevisionRange, now: Timestamp) -> Result<Option<Span>, ToolError> {
        let invalid = |problem| ToolError::Invalid { argument: "window", problem };
        let usual = || Window::parse(WINDOW).expect("the usual window parses");
        let window = self.window.clone().or_else(|| range.since.is_none().then(usual));
        window.map(|it| it.at(now).map_err(invalid)).transpose()
    }

    /// Where this answer starts among the commits listed.
    fn first(&self, walked: &Walked) -> Result<usize, ToolError> {
        let Some(after) = &self.after else { return Ok(0) };
        let digits = after.text();
        let found = walked.listed.iter().position(|it| it.id.to_string().starts_with(digits));
        found.map(|it| it + 1).ok_or_else(|| ToolError::Invalid {
            argument: "after",
            problem: format!(
                "`{digits}` is not among the commits that the other arguments select; send them unchanged"
            ),
        })
    }

    fn rows_max(&self) -> usize {
        usize::try_from(self.max_tokens.get() / ROW_TOKENS_MIN + 1).unwrap_or(usize::MAX)
    }

    /// How to ask for what follows: the same commits, by ids and times that no later push moves.
    fn next(&self, pinned: &Pinned, shown: &[Listed], left: usize) -> Option<Next> {
        let ids: Vec<ObjectId> = shown.iter().map(|it| it.id).collect();
        let mut arguments = serde_json::to_value(self).expect("arguments are plain data");
        arguments["revision"] = json!(pinned.revision());
        if let Some(span) = pinned.span {
            arguments["window"] = json!(span.to_string());
        }
        Some(Box::new(move |count| {
            let last = ids.get(count.checked_sub(1)?).filter(|_| count < left)?;
            let mut arguments = arguments.clone();
            arguments["after"] = json!(last.to_string());
            Some(arguments)
        }))
    }
}

/// What the list was made from.
struct Pinned {
    since: Option<ObjectId>,
    until: ObjectId,
    span: Option<Span>,
}

impl Pinned {
    fn revision(&self) -> String {
        match self.since {
            Some(since) => format!("{since}..{}", self.until),
            None => self.until.to_string(),
        }
    }
}

/// Makes rows of commits.
struct Sized<'a> {
    opened: &'a Opened<'a>,
    owners: Option<Arc<Owners>>,
    budget: Budget,
    /// Commits whose lines were not counted, by the reason.
    large: u64,
    unreadable: u64,
    late: u64,
    stop: &'a Stop,
}

impl Sized<'_> {
    /// Cells of a commit, and whether it is a merge.
    fn row(&mut self, listed: Listed) -> Result<(Vec<Value>, bool), ToolError> {
        let commit = self.opened.commit(listed.id)?;
        let parent = commit.parents.first().map(|it| self.opened.commit(*it).map(|it| it.tree));
        let change = match parent {
            Some(Err(_)) => None,
            Some(Ok(tree)) => self.opened.change(Some(tree), commit.tree, &mut self.budget, self.stop),
            None => self.opened.change(None, commit.tree, &mut self.budget, self.stop),
        };
        let lines = change.as_ref().and_then(|it| it.lines);
        match &change {
            _ if lines.is_some() => {}
            _ if self.stop.is_reached_now() => self.late += 1,
            None => self.unreadable += 1,
            Some(_) => self.large += 1,
        }
        let files = change.as_ref().map(|it| match it.is_more {
            true => json!(format!("{}+", it.files)),
            false => json!(it.files),
        });
        let mut cells = vec![
            json!(self.opened.short(commit.id)),
            json!(listed.committed()),
            json!(clip(&commit.author, NAME_MAX)),
            json!(excerpt::beginning(commit.subject.as_bytes(), SUBJECT_MAX)),
            json!(files),
            json!(lines.map(|it| it.0)),
            json!(lines.map(|it| it.1)),
            json!(change.as_ref().and_then(|it| it.place()).map(|it| clip(&it, PLACE_MAX))),
        ];
        let is_merge = commit.parents.len() > 1;
        cells.push(if is_merge { json!(true) } else { Value::Null });
        if let Some(owners) = &self.owners {
            let paths = change.iter().flat_map(|it| &it.paths);
            let names: BTreeSet<&str> = paths.flat_map(|it| owners.of(it)).map(String::as_str).collect();
            let more = names.len().saturating_sub(OWNERS_MAX);
            let mut said = names.into_iter().take(OWNERS_MAX).collect::<Vec<_>>().join(" ");
            if more > 0 {
                said.push_str(&format!(" +{more}"));
            }
            cells.push(if said.is_empty() { Value::Null } else { json!(said) });
        }
        Ok((cells, is_merge))
    }
}

impl Sized<'_> {
    fn say_what_is_missing(&self, not_looked_at: &mut Vec<String>) {
        for (count, why) in [
            (self.large, "large commits: not counted"),
            (self.unreadable, "commits that cannot be read in full: not counted"),
            (self.late, "commits: the time of the call was used up"),
        ] {
            if count > 0 {
                not_looked_at.push(format!("lines of {count} {why}"));
            }
        }
    }
}

/// The column of merges only stands where there are any.
fn table(rows: Vec<(Vec<Value>, bool)>, seen: u64, has_owners: bool, next: Option<Next>) -> Table {
    const MERGE: usize = 8;
    let mut columns = vec![
        Column::new("sha"),
        Column::new("committed"),
        Column::untrusted("author"),
        Column::untrusted("subject"),
        Column::new("files"),
        Column::new("added"),
        Column::new("removed"),
        Column::untrusted("where"),
        Column::new("merge"),
    ];
    if has_owners {
        columns.push(Column::untrusted("owners"));
    }
    let has_merges = rows.iter().any(|it| it.1);
    if !has_merges {
        columns.remove(MERGE);
    }
    let row = |(mut cells, _): (Vec<Value>, bool)| {
        if !has_merges {
            cells.remove(MERGE);
        }
        Row { cells, target: None }
    };
    Table { columns, rows: rows.into_iter().map(row).collect(), seen, noun: "commits", next }
}
