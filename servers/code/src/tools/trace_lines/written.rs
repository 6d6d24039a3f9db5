//! What is known of the commits that wrote lines? One row for lines that stand together and come from one commit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use gix::ObjectId;
use jiff::Timestamp;
use serde_json::{Value, json};
use tool::ToolError;

use crate::{
    backends::{Asked, Budget, Listed, Opened, Origin, Stop},
    closed,
    owners::Owners,
    tools::clip,
};

/// Makes rows of lines and their origins.
pub(super) struct Written<'a> {
    opened: &'a Opened<'a>,
    asked: &'a [Asked],
    contents: &'a [Vec<u8>],
    owners: Option<Arc<Owners>>,
    now: Timestamp,
    /// Of each commit, what it touched.
    touched: HashMap<ObjectId, Option<String>>,
    budget: Budget,
    shallow: u64,
    left: u64,
}

/// Lines that stand together.
struct Run {
    file: usize,
    first: u64,
    last: u64,
    origin: Origin,
    seconds: i64,
}

const SUBJECT_MAX: usize = 100;
const NAME_MAX: usize = 60;
const LINE_MAX: usize = 100;
const PATH_MAX: usize = 160;
const SECONDS_A_DAY: i64 = 86_400;

impl<'a> Written<'a> {
    pub(super) fn new(
        opened: &'a Opened<'a>,
        asked: &'a [Asked],
        contents: &'a [Vec<u8>],
        owners: Option<Arc<Owners>>,
        now: Timestamp,
    ) -> Written<'a> {
        let (touched, budget) = (HashMap::new(), Budget::default());
        Written { opened, asked, contents, owners, now, touched, budget, shallow: 0, left: 0 }
    }

    /// Rows, what was written last before all else.
    pub(super) fn rows(
        &mut self,
        origins: BTreeMap<(usize, u64), Origin>,
        stop: &Stop,
    ) -> Result<Vec<Vec<Value>>, ToolError> {
        let mut runs: Vec<Run> = Vec::new();
        for ((file, line), origin) in origins {
            match origin {
                Origin::Commit(_) => {}
                Origin::Shallow(_) => self.shallow += 1,
                Origin::Left(_) => self.left += 1,
            }
            match runs.last_mut() {
                Some(run) if run.file == file && run.last + 1 == line && run.origin == origin => {
                    run.last = line
                }
                _ => {
                    let seconds = self.opened.commit(id_of(origin))?.seconds;
                    runs.push(Run { file, first: line, last: line, origin, seconds });
                }
            }
        }
        // What was not followed to its end comes last: nothing is known of it but that it is old.
        let known = |it: &Run| matches!(it.origin, Origin::Commit(_));
        runs.sort_by(|a, b| {
            known(b)
                .cmp(&known(a))
                .then(b.seconds.cmp(&a.seconds))
                .then((a.file, a.first).cmp(&(b.file, b.first)))
        });
        runs.iter().map(|it| self.row(it, stop)).collect()
    }

    fn row(&mut self, run: &Run, stop: &Stop) -> Result<Vec<Value>, ToolError> {
        let path = &self.asked[run.file].path;
        let lines =
            if run.first == run.last { run.first.to_string() } else { format!("{}-{}", run.first, run.last) };
        let at = json!(format!("{}:{lines}", clip(path, PATH_MAX)));
        let text = self.text(run);
        let owners = self.owners.as_ref().map(|it| it.of(path).join(" ")).filter(|it| !it.is_empty());
        let Origin::Commit(id) = run.origin else {
            let short = self.opened.short(id_of(run.origin));
            let mut cells = vec![Value::Null; 9];
            (cells[0], cells[1]) = (at, json!(format!("{short} or older")));
            (cells[7], cells[8]) = (json!(owners), json!(text));
            return Ok(cells);
        };
        let commit = self.opened.commit(id)?;
        let age_days = (self.now.as_second() - commit.seconds).max(0) / SECONDS_A_DAY;
        let touched = self.touched(id, stop)?;
        Ok(vec![
            at,
            json!(self.opened.short(id)),
            json!(Listed { id, seconds: commit.seconds }.committed()),
            json!(age_days),
            json!(clip(&commit.author, NAME_MAX)),
            json!(clip(&commit.subject, SUBJECT_MAX)),
            json!(touched),
            json!(owners),
            json!(text),
        ])
    }

    /// The first of the lines, as it stands.
    fn text(&self, run: &Run) -> String {
        let content = &self.contents[run.file];
        let index = usize::try_from(run.first - 1).unwrap_or(usize::MAX);
        if closed::is_within(&closed::key_lines(content), index) {
            return closed::CLOSED_LINE.to_owned();
        }
        let line = content.split(|it| *it == b'\n').nth(index).unwrap_or_default();
        clip(String::from_utf8_lossy(&line[..line.len().min(4 * LINE_MAX)]).trim(), LINE_MAX)
    }

    /// What else a commit touched: how many files, and where.
    fn touched(&mut self, id: ObjectId, stop: &Stop) -> Result<Option<String>, ToolError> {
        if let Some(said) = self.touched.get(&id) {
            return Ok(said.clone());
        }
        let commit = self.opened.commit(id)?;
        let parent = commit.parents.first().and_then(|it| self.opened.commit(*it).ok()).map(|it| it.tree);
        let change = self.opened.change(parent, commit.tree, &mut self.budget, stop);
        let said = change.map(|it| {
            let more = if it.is_more { "+" } else { "" };
            let place = it.place().map(|it| format!(" in {}", clip(&it, PATH_MAX))).unwrap_or_default();
            let lines = it.lines.map(|(added, removed)| format!(", +{added} -{removed}")).unwrap_or_default();
            match it.files {
                1 if it.paths.len() == 1 => format!("only this file{lines}"),
                files => format!("{files}{more} files{place}{lines}"),
            }
        });
        self.touched.insert(id, said.clone());
        Ok(said)
    }

    /// What was not followed to its end.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut said = Vec::new();
        if self.left > 0 {
            said.push(format!("{} lines are older than what there was time to follow", self.left));
        }
        let unknown = self.touched.values().filter(|it| it.is_none()).count();
        if unknown > 0 {
            said.push(format!("what {unknown} commits touched: too much to read, or no time"));
        }
        if self.shallow > 0 {
            said.push(format!("{} lines are from the start of this shallow clone, or older", self.shallow));
        }
        said
    }
}

fn id_of(origin: Origin) -> ObjectId {
    match origin {
        Origin::Commit(id) | Origin::Shallow(id) | Origin::Left(id) => id,
    }
}
