//! `compare_revisions`: what is another between two revisions, the riskiest first?

mod ends;
mod rank;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Body, Column, Context, Effect, Lines, Next, Row, Table, Target, Tool, ToolError,
    args::{MaxTokens, Slug},
};

use super::{Skip, clip, passed};
use crate::{
    Backends,
    arguments::{LineRange, RepositoryPath, RevisionRange},
    backends::{Edit, Found, KIND, Opened, Stop},
    closed,
};
use ends::Ends;
use rank::{Ranked, Ranking};

/// What differs between two git revisions: files, riskiest first (migrations, infrastructure, flags, configuration,
/// dependencies), or a file's diff.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompareRevisions {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// From and to: `v1.2..main`.
    revisions: RevisionRange,
    /// File: its diff. Folder: its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<RepositoryPath>,
    /// Of the diff: `120-180`.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<LineRange>,
    /// Pass over so many files, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    skip: Option<Skip>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What was compared.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct Comparison {
    /// By commit ids.
    revisions: String,
    /// That differ.
    files: u64,
    /// Lines, in all files.
    added: u64,
    /// Lines, in all files.
    removed: u64,
    /// How many files of which purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    purposes: Option<String>,
    /// What happened to the one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    /// Commits that only the first has: what they did shows backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_before: Option<u64>,
}

/// No row takes fewer tokens.
const ROW_TOKENS_MIN: u64 = 15;
const PATH_MAX: usize = 200;
/// Larger files have no diff.
const DIFF_BYTES_MAX: u64 = 4 * 1024 * 1024;

impl Tool for CompareRevisions {
    const NAME: &'static str = "compare_revisions";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "changelog, release, deploy, pull request, review, branches, tags, risk";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["change"];
    type Backends = Backends;
    type Facts = Comparison;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "revisions": "HEAD~1..HEAD" }),
            json!({ "revisions": "v1.2..main", "path": "config/app.yaml" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<Comparison>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let asked = self.clone();
        backends.read(context, repository, move |opened, stop| asked.look(opened, stop)).await
    }
}

impl CompareRevisions {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(&self, opened: &Opened<'_>, stop: &Stop) -> Result<Answer<Comparison>, ToolError> {
        if let Some(rule) = self.path.as_ref().and_then(|it| closed::by_name(it.text())) {
            return Err(rule.refuse(self.path.as_ref().map_or("", RepositoryPath::text)));
        }
        let (Some(since), until) = opened.resolve_range(&self.revisions, stop)? else {
            let problem = format!("`{0}` is one revision; write from and to: `{0}~1..{0}`", self.revisions);
            return Err(ToolError::Invalid { argument: "revisions", problem });
        };
        let ends = Ends { since, until };
        let Some(path) = &self.path else { return self.list(opened, &ends, None, stop) };
        match ends.at(opened, path.text())? {
            Found::Folder(_) => self.list(opened, &ends, Some(path.text()), stop),
            Found::Nothing => {
                let near = opened.near_files(ends.until.tree, path.text(), stop);
                let name = format!("{} in {}", path.text(), self.revisions);
                Err(ToolError::NotFound { kind: KIND, name, suggestions: near })
            }
            Found::File(_) | Found::Link { .. } | Found::Submodule { .. } => {
                self.diff(opened, &ends, path.text(), stop)
            }
        }
    }

    /// Which files are another.
    fn list(
        &self,
        opened: &Opened<'_>,
        ends: &Ends,
        folder: Option<&str>,
        stop: &Stop,
    ) -> Result<Answer<Comparison>, ToolError> {
        let mut not_looked_at = Vec::new();
        let (touched, count) = ends.touched(opened, folder, stop, &mut not_looked_at)?;
        let ranking = Ranking::of(opened, touched, stop);
        ranking.say_what_is_missing(&mut not_looked_at);
        let skip = usize::try_from(passed(self.skip)).unwrap_or(usize::MAX);
        let rest = ranking.files.get(skip..).unwrap_or_default();
        let rows = rest.iter().take(self.rows_max()).map(row).collect();
        let facts = Comparison {
            revisions: ends.text(),
            files: count,
            added: ranking.added,
            removed: ranking.removed,
            purposes: ranking.purposes(),
            change: None,
            only_before: ends.only_before(opened, stop, &mut not_looked_at)?,
        };
        let table = Table {
            columns: vec![
                Column::untrusted("path"),
                Column::new("purpose"),
                Column::untrusted("change"),
                Column::new("added"),
                Column::new("removed"),
                Column::untrusted("lines"),
            ],
            rows,
            seen: rest.len() as u64,
            noun: "files",
            next: Some(self.next_files(ends, rest.len())),
        };
        Ok(Answer { facts, body: Body::Table(table), not_looked_at, plot: None })
    }

    /// What is another in one file.
    fn diff(
        &self,
        opened: &Opened<'_>,
        ends: &Ends,
        path: &str,
        stop: &Stop,
    ) -> Result<Answer<Comparison>, ToolError> {
        let mut not_looked_at = Vec::new();
        let mut facts = Comparison { revisions: ends.text(), ..Comparison::default() };
        let Some(it) = ends.change_of(opened, path, stop, &mut not_looked_at)? else {
            facts.change = Some("none".to_owned());
            return Ok(Answer { facts, body: Body::None, not_looked_at, plot: None });
        };
        let it = &it;
        if let Some(rule) = rank::closed_by_name(it) {
            return Err(rule.refuse(path));
        }
        facts.files = 1;
        facts.change = Some(clip(&rank::change(it), PATH_MAX * 2));
        let Some((before, after)) = it.blobs() else {
            return Ok(Answer { not_looked_at, ..Answer::facts(facts) });
        };
        let sizes = opened.sizes([before, after]).ok_or_else(|| opened.repository.unavailable("damaged"))?;
        if sizes.iter().any(|it| *it > DIFF_BYTES_MAX) {
            let problem = format!(
                "`{path}` has {} and {} bytes; at most {DIFF_BYTES_MAX} are compared",
                sizes[0], sizes[1]
            );
            return Err(ToolError::TooCostly { problem, next: None });
        }
        let (before, after) = (opened.content(before)?, opened.content(after)?);
        if let Some(rule) = rank::closed_by_content(it, [&before, &after]) {
            return Err(rule.refuse(path));
        }
        let Some(edit) = Edit::between(&before, &after) else {
            facts.change = facts.change.map(|it| format!("{it}, binary"));
            return Ok(Answer { not_looked_at, ..Answer::facts(facts) });
        };
        (facts.added, facts.removed) = edit.counts();
        let body = Body::Lines(self.lines(edit.unified(), ends)?);
        Ok(Answer { facts, body, not_looked_at, plot: None })
    }

    fn lines(&self, diff: Vec<String>, ends: &Ends) -> Result<Lines, ToolError> {
        let seen = diff.len() as u64;
        let (first, last) = self.lines.map_or((1, seen), |it| (it.first, it.last.min(seen)));
        if first > seen && self.lines.is_some() {
            let problem = format!("`{first}` is beyond the end; the diff has {seen} lines");
            return Err(ToolError::Invalid { argument: "lines", problem });
        }
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(diff.len());
        let lines = diff.get(at(first.saturating_sub(1))..at(last)).unwrap_or_default().to_vec();
        let arguments = self.pinned(ends);
        let next: Next = Box::new(move |count| {
            let mut arguments = arguments.clone();
            let first = first + count as u64;
            arguments["lines"] = json!(LineRange { first, last }.to_string());
            (first <= last).then_some(arguments)
        });
        Ok(Lines { lines, first, seen, next: Some(next) })
    }

    fn rows_max(&self) -> usize {
        usize::try_from(self.max_tokens.get() / ROW_TOKENS_MIN + 1).unwrap_or(usize::MAX)
    }

    fn next_files(&self, ends: &Ends, left: usize) -> Next {
        let (arguments, skip) = (self.pinned(ends), passed(self.skip));
        Box::new(move |count| {
            let mut arguments = arguments.clone();
            arguments["skip"] = json!(skip + count as u64);
            (count > 0 && count < left).then_some(arguments)
        })
    }

    /// The same question, by ids that no later push moves.
    fn pinned(&self, ends: &Ends) -> Value {
        let mut arguments = serde_json::to_value(self).expect("arguments are plain data");
        arguments["revisions"] = json!(ends.text());
        arguments
    }
}

fn row(file: &Ranked) -> Row {
    let changed: Vec<String> = file.changed.clone();
    let cells = vec![
        json!(clip(&file.path, PATH_MAX)),
        json!(file.purpose.word()),
        json!(clip(&file.change, PATH_MAX + 20)),
        json!(file.lines.map(|it| it.0)),
        json!(file.lines.map(|it| it.1)),
        if changed.is_empty() { Value::Null } else { json!(changed) },
    ];
    Row { cells, target: None }
}
