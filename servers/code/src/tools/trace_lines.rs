//! `trace_lines`: which commit wrote these lines, and what else did it do?

mod places;
mod written;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tool::{
    Answer, Column, Context, Effect, Row, Table, Target, Tool, ToolError,
    args::{MaxTokens, Slug},
};

use crate::{
    Backends,
    arguments::{Place, Revision},
    backends::{Opened, Stop},
};
use places::Places;
use written::Written;

/// Blame for lines or a pasted stack trace: commit, author, owners, age, what else the commit touched, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceLines {
    /// Which repository, if several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    connection: Option<Slug>,
    /// `src/pay.rs:120`, `src/pay.rs:10-20` or a stack trace.
    at: Place,
    /// What ran: branch, tag, sha; else HEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// Of the answer.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What was traced.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = super::plain)]
pub(crate) struct Traced {
    /// Commit that lines are numbered by.
    revision: String,
    /// Lines that were asked for.
    lines: u64,
    /// Of the pasted trace, those in this repository or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<u64>,
}

impl Tool for TraceLines {
    const NAME: &'static str = "trace_lines";
    const EFFECT: Effect = Effect::Read;
    const SEARCH: &'static str = "annotate, traceback, exception, crash, panic, error, who wrote, culprit";
    type Backends = Backends;
    type Facts = Traced;

    fn targets(&self, backends: &Backends) -> Result<Vec<Target>, ToolError> {
        backends.target(self.connection.as_ref()).map(|it| vec![it])
    }

    fn max_tokens(&self) -> u64 {
        self.max_tokens.get()
    }

    fn examples() -> Vec<Value> {
        vec![
            json!({ "at": "src/main.rs:1-20" }),
            json!({ "at": "File \"/app/shop/pay.py\", line 42, in pay", "revision": "v1.2" }),
        ]
    }

    async fn run(&self, backends: &Backends, context: &Context) -> Result<Answer<Traced>, ToolError> {
        let repository = backends.repository(self.connection.as_ref())?;
        let (asked, now) = (self.clone(), context.now());
        backends.read(context, repository, move |opened, stop| asked.look(opened, now, stop)).await
    }
}

impl TraceLines {
    /// The whole of it, on a blocking thread.
    pub(crate) fn look(
        &self,
        opened: &Opened<'_>,
        now: Timestamp,
        stop: &Stop,
    ) -> Result<Answer<Traced>, ToolError> {
        let at = opened.resolve(&self.revision.clone().unwrap_or_else(Revision::head), stop)?;
        let Places { asked, contents, frames, mut not_looked_at } = match &self.at {
            Place::Lines(path, lines) => Places::of_lines(opened, &at, path, *lines, stop)?,
            Place::Trace(text) => Places::of_trace(opened, &at, text, stop)?,
        };
        let origins = opened.blame(at.commit, &asked, stop)?;
        let owners = opened.owners(at.tree).unwrap_or_else(|problem| {
            not_looked_at.push(problem);
            None
        });
        let lines = origins.len() as u64;
        let mut written = Written::new(opened, &asked, &contents, owners, now);
        let mut rows = written.rows(origins, stop)?;
        not_looked_at.extend(written.missing());
        let mut columns = vec![
            Column::untrusted("at"),
            Column::new("commit"),
            Column::new("committed"),
            Column::new("age_days"),
            Column::untrusted("author"),
            Column::untrusted("subject"),
            Column::untrusted("touched"),
            Column::untrusted("owners"),
            Column::untrusted("line"),
        ];
        const OWNERS: usize = 7;
        if rows.iter().all(|it| it[OWNERS].is_null()) {
            columns.remove(OWNERS);
            rows.iter_mut().for_each(|it| drop(it.remove(OWNERS)));
        }
        let seen = rows.len() as u64;
        let rows = rows.into_iter().map(|cells| Row { cells, target: None }).collect();
        let facts = Traced { revision: at.commit.to_string(), lines, frames };
        let table = Table { columns, rows, seen, noun: "places", next: None };
        Ok(Answer { not_looked_at, ..Answer::table(facts, table) })
    }
}
