//! `search_code`: where does a revision say this?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Body, Column, Context, Effect, Next, Row, Table, Target, Tool, ToolError,
    args::{MaxTokens, Slug, Text},
};

use super::{Skip, clip, passed};
use crate::{
    Backends,
    arguments::{GLOBS_MAX, Glob, Globs, Revision},
    backends::{Files, Matched, Opened, Resolved, Searched, Stop},
    filters::Wanted,
    pattern::Pattern,
    purpose::Purpose,
};

/// Search a git revision by regex: lines by file, definitions first, generated and vendored last.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchCode {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// Regex within a line: `fn retry\(`.
    pattern: Text<1, 500>,
    /// Any case.
    #[serde(default)]
    ignore_case: bool,
    /// `src/`, `*.rs`, `!tests/`; else all.
    #[serde(default)]
    paths: Vec<Glob>,
    /// Else HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// Pass over so many files, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    skip: Option<Skip>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What was searched.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct SearchFacts {
    /// Commit that was searched.
    revision: String,
    /// Lines that match, in all files.
    matches: u64,
    /// Files with matches.
    files: u64,
    /// Files that were searched.
    searched: u64,
}

/// No row takes fewer tokens, nor does a line.
const ROW_TOKENS_MIN: u64 = 20;
const LINE_TOKENS: u64 = 40;
/// Lines shown of one file, at least and at most.
const LINES_SHOWN: (usize, usize) = (2, 40);
const PATH_MAX: usize = 200;

impl Tool for SearchCode {
    const NAME: &'static str = "search_code";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "grep, ripgrep, find usages, references, symbol, function, string";
    type Backends = Backends;
    type Facts = SearchFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![json!({ "pattern": "fn \\w+" }), json!({ "pattern": "timeout", "paths": ["src/", "!*.md"] })]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<SearchFacts>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let asked = self.clone();
        backends.read(context, repository, move |opened, stop| asked.look(opened, stop)).await
    }
}

impl SearchCode {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(&self, opened: &Opened<'_>, stop: &Stop) -> Result<Answer<SearchFacts>, ToolError> {
        let invalid = |argument, problem| ToolError::Invalid { argument, problem };
        let pattern = Pattern::new(&self.pattern, self.ignore_case).map_err(|it| invalid("pattern", it))?;
        if self.paths.len() > GLOBS_MAX {
            return Err(invalid("paths", format!("expected at most {GLOBS_MAX}, got {}", self.paths.len())));
        }
        let globs = Globs::of(&self.paths);
        let at = opened.resolve(&self.revision.clone().unwrap_or_else(Revision::head), stop)?;
        let mut listed = opened.files(at.tree, stop, |path| globs.matches(path));
        if listed.files.is_empty() && !self.paths.is_empty() && listed.left.is_none() {
            let problem =
                "no file of this revision matches them; `src/` is a folder, `*.rs` matches anywhere";
            return Err(invalid("paths", problem.to_owned()));
        }
        // What is searched last is what is left when time runs out.
        listed.files.sort_by_cached_key(|it| tier(Purpose::of(&it.path.to_string())));
        let filters = opened.repository.filters();
        let wanted = Wanted::of(&self.pattern, self.ignore_case);
        let said = filters.and_then(|it| it.say(&wanted, &listed.files));
        let mut searched = opened.search(&listed.files, &pattern, said.as_ref(), stop);
        if let Some(filters) = filters {
            let (blobs, bytes) = std::mem::take(&mut searched.unfiltered);
            filters.make(blobs, bytes);
        }
        searched.matched.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.path.cmp(&b.path)));
        let facts = SearchFacts {
            revision: at.commit.to_string(),
            matches: searched.matched.iter().map(|it| it.count).sum(),
            files: searched.matched.len() as u64,
            searched: searched.files,
        };
        let not_looked_at = missing(&listed, &searched);
        let skip = usize::try_from(passed(self.skip)).unwrap_or(usize::MAX);
        let rest = searched.matched.get(skip..).unwrap_or_default();
        Ok(Answer { facts, body: Body::Table(self.table(rest, &at)), not_looked_at, plot: None })
    }

    fn table(&self, rest: &[Matched], at: &Resolved) -> Table {
        let tokens = self.max_tokens.get();
        let rows_max = usize::try_from(tokens / ROW_TOKENS_MIN + 1).unwrap_or(usize::MAX);
        let lines = usize::try_from(tokens / LINE_TOKENS).unwrap_or(usize::MAX) / rest.len().max(1);
        let lines = lines.clamp(LINES_SHOWN.0, LINES_SHOWN.1);
        let has_other = rest.iter().take(rows_max).any(|it| it.purpose != Purpose::Source);
        let mut columns = vec![
            Column::untrusted("path"),
            Column::new("purpose"),
            Column::new("matches"),
            Column::untrusted("lines"),
        ];
        let mut rows: Vec<Vec<Value>> = rest.iter().take(rows_max).map(|it| cells(it, lines)).collect();
        if !has_other {
            columns.remove(1);
            rows.iter_mut().for_each(|it| drop(it.remove(1)));
        }
        Table {
            columns,
            rows: rows.into_iter().map(|cells| Row { cells, target: None }).collect(),
            seen: rest.len() as u64,
            noun: "files",
            next: Some(self.next(at, rest.len())),
        }
    }

    /// How to ask for what follows, at the same commit.
    fn next(&self, at: &Resolved, left: usize) -> Next {
        let mut arguments = serde_json::to_value(self).expect("arguments are plain data");
        arguments["revision"] = json!(at.commit.to_string());
        let skip = passed(self.skip);
        Box::new(move |count| {
            let mut arguments = arguments.clone();
            arguments["skip"] = json!(skip + count as u64);
            (count > 0 && count < left).then_some(arguments)
        })
    }
}

/// Files of one tier stand together, whatever they hold.
fn tier(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Test => 1,
        Purpose::Documentation => 2,
        Purpose::LockFile | Purpose::Generated => 3,
        Purpose::Vendored => 4,
        _ => 0,
    }
}

/// The file that says most comes first: where it is defined, then where it is used most.
fn rank(matched: &Matched) -> (u8, bool, u64) {
    let defines = matched.lines.iter().any(|it| it.is_definition);
    (tier(matched.purpose), !defines, u64::MAX - matched.count)
}

fn cells(matched: &Matched, most: usize) -> Vec<Value> {
    let mut chosen: Vec<usize> = (0..matched.lines.len()).collect();
    chosen.sort_by_key(|it| (!matched.lines[*it].is_definition, *it));
    chosen.truncate(most);
    chosen.sort_unstable();
    let mut lines: Vec<String> =
        chosen.iter().map(|it| &matched.lines[*it]).map(|it| format!("{}: {}", it.number, it.text)).collect();
    let more = matched.count - lines.len() as u64;
    if more > 0 {
        lines.push(format!("+{more} more"));
    }
    let purpose = match matched.purpose {
        Purpose::Source => Value::Null,
        other => json!(other.word()),
    };
    vec![json!(clip(&matched.path, PATH_MAX)), purpose, json!(matched.count), json!(lines)]
}

/// What was passed over, and why.
fn missing(listed: &Files, searched: &Searched) -> Vec<String> {
    let mut said = Vec::new();
    let left = listed.files.len() as u64 - searched.files;
    if let Some(why) = listed.left {
        said.push(format!("folders after the first {} files: {why}", listed.files.len()));
    }
    if left > 0 {
        said.push(format!("{left} files, tests and vendored ones among the last: the time of the call was used up; narrow `paths`"));
    }
    if searched.cut > 0 {
        let cut = searched.cut;
        said.push(format!(
            "the rest of {cut} files: the time of the call was used up; give a plainer `pattern`"
        ));
    }
    for (count, what) in [
        (searched.closed, "secret files: closed to everyone"),
        (searched.key_lines, "lines of private keys: closed to everyone"),
        (searched.binary, "binary files"),
        (searched.large, "files of more than 8 MiB"),
        (searched.long_lines, "lines of more than 256 KiB"),
        (searched.unreadable + listed.unreadable, "files or folders that cannot be read"),
        (listed.others, "symbolic links and submodules: not followed"),
    ] {
        if count > 0 {
            said.push(format!("{count} {what}"));
        }
    }
    said
}
