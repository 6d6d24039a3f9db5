//! `read_file`: what does a file say, at a revision?

mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Body, Context, Effect, Lines, Next, Target, Tool, ToolError,
    args::{MaxTokens, Slug},
};

use crate::{
    Backends,
    arguments::{LineRange, RepositoryPath, Revision},
    backends::{Entry, Filter, Found, KIND, Listed, Opened, Resolved, Stop, Walk},
    closed,
};
use text::{Content, Decoded};

/// Lines of a file in a git repository, with its owners and last change. Secret files are closed.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFile {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// From the repository's root: `src/main.rs`.
    path: RepositoryPath,
    /// Branch, tag, sha or `HEAD~2`; else HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// `120` or `120-180`; else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<LineRange>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What the file is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct FileFacts {
    /// Commit it was read at.
    revision: String,
    /// Of the whole file.
    size_bytes: u64,
    /// `text` and what to know when reading it, or what else it is; only text is shown.
    kind: String,
    /// By CODEOWNERS.
    #[serde(skip_serializing_if = "Option::is_none")]
    owners: Option<String>,
    /// Commit that changed it last, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change: Option<String>,
}

/// Larger files are read by `lines` only.
const WHOLE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Larger files are not read.
const BYTES_MAX: u64 = 50 * 1024 * 1024;
/// Commits looked through for the last change.
const HISTORY_MAX: u64 = 1_000;

impl Tool for ReadFile {
    const NAME: &'static str = "read_file";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "show, cat, open, view, source code, content, older version";
    const UNTRUSTED_FACTS: &'static [&'static str] = &["owners"];
    type Backends = Backends;
    type Facts = FileFacts;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "path": "README.md" }),
            json!({ "path": "src/main.rs", "revision": "HEAD", "lines": "1-40" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<FileFacts>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let asked = self.clone();
        backends.read(context, repository, move |opened, stop| asked.look(opened, stop)).await
    }
}

impl ReadFile {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(&self, opened: &Opened<'_>, stop: &Stop) -> Result<Answer<FileFacts>, ToolError> {
        let path = self.path.text();
        // Before anything is looked up, so that the refusal does not say whether the file exists.
        if let Some(rule) = closed::by_name(path) {
            return Err(rule.refuse(path));
        }
        let at = opened.resolve(&self.revision.clone().unwrap_or_else(Revision::head), stop)?;
        let entry = self.entry(opened, &at, stop)?;
        self.refuse_huge(entry.size_bytes)?;
        let content =
            opened.git.find_blob(entry.id).map_err(|_| opened.damaged("file", entry.id))?.take_data();
        if let Some(rule) = closed::by_content(path, &content) {
            return Err(rule.refuse(path));
        }
        let (kind, body) = match text::decode(&content) {
            Content::Other(kind) => (kind.to_owned(), Body::None),
            Content::Text(decoded) => (decoded.kind(), Body::Lines(self.lines(&decoded, &at)?)),
        };
        let mut not_looked_at = Vec::new();
        let owners = opened.owners(at.tree).unwrap_or_else(|problem| {
            not_looked_at.push(problem);
            None
        });
        let mut facts = FileFacts {
            revision: at.commit.to_string(),
            size_bytes: entry.size_bytes,
            kind,
            owners: owners.map(|it| it.of(path).join(" ")).filter(|it| !it.is_empty()),
            last_change: None,
        };
        match last_change(opened, &at, path, stop)? {
            Ok(last) => facts.last_change = Some(last.describe(opened)),
            Err(why) => not_looked_at.push(format!("its last change: {why}")),
        }
        Ok(Answer { facts, body, not_looked_at, plot: None })
    }

    /// The file at the path, or what stands there instead.
    fn entry(&self, opened: &Opened<'_>, at: &Resolved, stop: &Stop) -> Result<Entry, ToolError> {
        let asked = self.path.text();
        let other = |name: String, suggestions| ToolError::NotFound { kind: KIND, name, suggestions };
        match opened.find(at.tree, asked)? {
            Found::File(entry) => Ok(entry),
            Found::Folder(folder) => {
                let (count, entries) = opened.entries(folder, asked)?;
                let name = format!("{asked}: it is a folder with {count} entries; read one of its files");
                Err(other(name, entries))
            }
            Found::Link { path, to } => Err(self.link(opened, &path, &to)),
            Found::Submodule { path, commit } => {
                let problem = format!(
                    "`{path}` is a submodule at commit {commit}; its files are in another repository"
                );
                Err(ToolError::Invalid { argument: "path", problem })
            }
            Found::Nothing => {
                let near = opened.near_files(at.tree, asked, stop);
                Err(other(format!("{asked} at {}", opened.short(at.commit)), near))
            }
        }
    }

    /// Links are not followed, so that policy sees the path that is read. Where it leads is said.
    fn link(&self, opened: &Opened<'_>, link: &str, to: &str) -> ToolError {
        let beyond = self.path.text().strip_prefix(link).unwrap_or_default();
        let above = link.rsplit_once('/').map_or("", |it| it.0);
        let led = format!("{above}/{to}{beyond}");
        let led = if to.starts_with('/') { None } else { resolved(&led) };
        if let Some(rule) = closed::by_name(led.as_deref().unwrap_or(to)).or_else(|| closed::by_name(to)) {
            return rule.refuse(self.path.text());
        }
        match led.filter(|it| RepositoryPath::parse(it).is_ok()) {
            Some(led) => ToolError::NotFound {
                kind: KIND,
                name: format!(
                    "{}: `{link}` is a symbolic link, which is not followed; it leads to `{led}`",
                    self.path.text()
                ),
                suggestions: vec![opened.suggest(led)],
            },
            None => ToolError::Invalid {
                argument: "path",
                problem: format!(
                    "`{link}` is a symbolic link that leads out of the repository; it is not followed"
                ),
            },
        }
    }

    fn refuse_huge(&self, size_bytes: u64) -> Result<(), ToolError> {
        let path = self.path.text();
        let next = match size_bytes {
            BYTES_MAX.. => None,
            WHOLE_BYTES_MAX.. if self.lines.is_none() => {
                let mut arguments = serde_json::to_value(self).expect("arguments are plain data");
                arguments["lines"] = json!("1-200");
                Some(json!({ "tool": Self::NAME, "arguments": arguments }))
            }
            _ => return Ok(()),
        };
        let most = if next.is_some() { "without `lines`, at most" } else { "at most" };
        let limit = if next.is_some() { WHOLE_BYTES_MAX } else { BYTES_MAX };
        let problem = format!("`{path}` is {size_bytes} bytes; {most} {limit} are read");
        Err(ToolError::TooCostly { problem, next })
    }

    fn lines(&self, decoded: &Decoded, at: &Resolved) -> Result<Lines, ToolError> {
        let seen = decoded.count() as u64;
        let (first, last) = self.lines.map_or((1, seen), |it| (it.first, it.last.min(seen)));
        if first > seen && self.lines.is_some() {
            let problem = format!("`{first}` is beyond the end; the file has {seen} lines");
            return Err(ToolError::Invalid { argument: "lines", problem });
        }
        let lines = decoded.lines(first, last);
        Ok(Lines { lines, first, seen, next: Some(self.next(first, last, at)) })
    }

    /// How to ask for what follows: at the same commit, whatever is pushed meanwhile.
    fn next(&self, first: u64, last: u64, at: &Resolved) -> Next {
        let mut arguments = serde_json::to_value(self).expect("arguments are plain data");
        arguments["revision"] = json!(at.commit.to_string());
        Box::new(move |count| {
            let first = first + count as u64;
            let mut arguments = arguments.clone();
            arguments["lines"] = json!(LineRange { first, last }.to_string());
            (first <= last).then_some(arguments)
        })
    }
}

/// The newest commit that changed the path, or why it is not known.
fn last_change(
    opened: &Opened<'_>,
    at: &Resolved,
    path: &str,
    stop: &Stop,
) -> Result<Result<Listed, String>, ToolError> {
    let filter = Filter { path: Some(path.to_owned()), ..Filter::default() };
    Ok(Walk::new(opened, at.commit, None)?.at_most(HISTORY_MAX).first(&filter, stop))
}

/// A path with its `.` and `..` gone; none when it leads out of the root.
fn resolved(path: &str) -> Option<String> {
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            _ => components.push(component),
        }
    }
    Some(components.join("/"))
}
