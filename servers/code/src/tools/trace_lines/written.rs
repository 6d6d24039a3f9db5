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
    backends::{Asked, Budget, Commit, Listed, Opened, Origin, Stop},
    closed, excerpt,
    owners::Owners,
    tools::clip,
};

/// Makes rows of lines and their origins.
pub(super) struct Written<'a> {
    opened: &'a Opened<'a>,
    asked: &'a [Asked],
    /// Of each file asked for, its lines as they stand.
    texts: Vec<HashMap<u64, String>>,
    owners: Option<Arc<Owners>>,
    now: Timestamp,
    commits: HashMap<ObjectId, Arc<Commit>>,
    /// Of each commit, what it touched.
    touched: HashMap<ObjectId, Option<String>>,
    budget: Budget,
    shallow: u64,
    left: u64,
    untold: usize,
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
/// Rows that are still made when the time of the call is used up.
const LATE_ROWS_MAX: usize = 200;

impl<'a> Written<'a> {
    pub(super) fn new(
        opened: &'a Opened<'a>,
        asked: &'a [Asked],
        contents: &[Vec<u8>],
        owners: Option<Arc<Owners>>,
        now: Timestamp,
    ) -> Written<'a> {
        Written {
            opened,
            asked,
            texts: asked.iter().zip(contents).map(|(asked, content)| texts(asked, content)).collect(),
            owners,
            now,
            commits: HashMap::new(),
            touched: HashMap::new(),
            budget: Budget::default(),
            shallow: 0,
            left: 0,
            untold: 0,
        }
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
                    let seconds = self.commit(id_of(origin))?.seconds;
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
        let mut rows = Vec::new();
        for run in &runs {
            if rows.len() >= LATE_ROWS_MAX && stop.is_reached_now() {
                self.untold = runs.len() - rows.len();
                break;
            }
            rows.push(self.row(run, stop)?);
        }
        Ok(rows)
    }

    fn commit(&mut self, id: ObjectId) -> Result<Arc<Commit>, ToolError> {
        if let Some(commit) = self.commits.get(&id) {
            return Ok(commit.clone());
        }
        let commit = Arc::new(self.opened.commit(id)?);
        self.commits.insert(id, commit.clone());
        Ok(commit)
    }

    fn row(&mut self, run: &Run, stop: &Stop) -> Result<Vec<Value>, ToolError> {
        let path = &self.asked[run.file].path;
        let lines =
            if run.first == run.last { run.first.to_string() } else { format!("{}-{}", run.first, run.last) };
        let at = json!(format!("{}:{lines}", clip(path, PATH_MAX)));
        let text = self.texts[run.file].get(&run.first).cloned();
        let owners = self.owners.as_ref().map(|it| it.of(path).join(" ")).filter(|it| !it.is_empty());
        let Origin::Commit(id) = run.origin else {
            let short = self.opened.short(id_of(run.origin));
            let mut cells = vec![Value::Null; 9];
            (cells[0], cells[1]) = (at, json!(format!("{short} or older")));
            (cells[7], cells[8]) = (json!(owners), json!(text));
            return Ok(cells);
        };
        let commit = self.commit(id)?;
        let age_days = (self.now.as_second() - commit.seconds).max(0) / SECONDS_A_DAY;
        let touched = self.touched(id, stop)?;
        Ok(vec![
            at,
            json!(self.opened.short(id)),
            json!(Listed { id, seconds: commit.seconds }.committed()),
            json!(age_days),
            json!(clip(&commit.author, NAME_MAX)),
            json!(excerpt::beginning(commit.subject.as_bytes(), SUBJECT_MAX)),
            json!(touched),
            json!(owners),
            json!(text),
        ])
    }

    /// What else a commit touched: how many files, and where.
    fn touched(&mut self, id: ObjectId, stop: &Stop) -> Result<Option<String>, ToolError> {
        if let Some(said) = self.touched.get(&id) {
            return Ok(said.clone());
        }
        let commit = self.commit(id)?;
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
            let left = self.left;
            said.push(format!("{left} lines are of the commits named or older ones: no time, or too much changed at once, to follow them"));
        }
        let unknown = self.touched.values().filter(|it| it.is_none()).count();
        if unknown > 0 {
            said.push(format!("what {unknown} commits touched: too much to read, or no time"));
        }
        if self.untold > 0 {
            said.push(format!("{} more places: the time of the call was used up", self.untold));
        }
        if self.shallow > 0 {
            said.push(format!("{} lines are from the start of this shallow clone, or older", self.shallow));
        }
        said
    }
}

/// The lines that are asked for, in one pass over the file.
fn texts(asked: &Asked, content: &[u8]) -> HashMap<u64, String> {
    let closed = closed::key_lines(content);
    let mut wanted = asked.lines.iter().copied().peekable();
    let mut texts = HashMap::new();
    for (index, line) in content.split(|it| *it == b'\n').enumerate() {
        let Some(next) = wanted.peek().copied() else { break };
        if index as u64 + 1 == next {
            wanted.next();
            texts.insert(
                next,
                match closed::is_within(&closed, index) {
                    true => closed::CLOSED_LINE.to_owned(),
                    false => excerpt::beginning(line.trim_ascii(), LINE_MAX),
                },
            );
        }
    }
    texts
}

fn id_of(origin: Origin) -> ObjectId {
    match origin {
        Origin::Commit(id) | Origin::Shallow(id) | Origin::Left(id) => id,
    }
}
