//! Which commit wrote a line? Followed back from commit to commit, through merges and renames, as far as there is time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use gix::{ObjectId, bstr::ByteSlice};
use tool::ToolError;

use super::{Edit, Opened, Stop, walk::Commit};

/// Lines whose commits are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// From 1, in order.
    pub(crate) lines: Vec<u64>,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This commit wrote it.
    Commit(ObjectId),
    /// This commit, where a shallow clone starts, or an older one.
    Shallow(ObjectId),
    /// This commit or an older one: there was no time to look further.
    Left(ObjectId),
}

/// Origins by the index of what was asked and the line.
pub(crate) type Origins = BTreeMap<(usize, u64), Origin>;

/// One file as one commit has it, with the lines that are looked for: what was asked, and where it stands here.
type Wanted = Vec<((usize, u64), u64)>;

/// Larger files are not followed further.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files of one commit among which a renamed one is looked for.
const FILES_MAX: usize = 2_000;

struct Trail<'a> {
    opened: &'a Opened<'a>,
    waiting: BinaryHeap<(i64, Reverse<u64>, ObjectId)>,
    wanted: HashMap<ObjectId, BTreeMap<String, Wanted>>,
    commits: HashMap<ObjectId, Commit>,
    shallow: HashSet<ObjectId>,
    order: u64,
    origins: Origins,
}

impl Opened<'_> {
    /// Finds where lines come from, as seen from a commit.
    pub(crate) fn blame(&self, from: ObjectId, asked: &[Asked], stop: &Stop) -> Result<Origins, ToolError> {
        let unreadable = || self.repository.unavailable("its list of shallow commits cannot be read");
        let shallow = self.git.shallow_commits().map_err(|_| unreadable())?;
        let mut trail = Trail {
            opened: self,
            waiting: BinaryHeap::new(),
            wanted: HashMap::new(),
            commits: HashMap::new(),
            shallow: shallow.iter().flat_map(|it| it.iter().copied()).collect(),
            order: 0,
            origins: BTreeMap::new(),
        };
        for (index, it) in asked.iter().enumerate() {
            let lines = it.lines.iter().map(|line| ((index, *line), line - 1)).collect();
            trail.want(from, &it.path, lines)?;
        }
        while let Some((_, _, id)) = trail.waiting.pop() {
            let Some(files) = trail.wanted.remove(&id) else { continue };
            let Some(commit) = trail.commits.remove(&id) else { continue };
            for (path, lines) in files {
                match stop.is_reached_now() {
                    true => trail.end(lines, Origin::Left(id)),
                    false => trail.step(&commit, &path, lines, stop)?,
                }
            }
        }
        Ok(trail.origins)
    }
}

impl Trail<'_> {
    /// Lets lines of a file be looked for in a commit.
    fn want(&mut self, id: ObjectId, path: &str, lines: Wanted) -> Result<(), ToolError> {
        if lines.is_empty() {
            return Ok(());
        }
        if !self.wanted.contains_key(&id) {
            let commit = self.opened.commit(id)?;
            self.order += 1;
            self.waiting.push((commit.seconds, Reverse(self.order), id));
            self.commits.insert(id, commit);
        }
        self.wanted.entry(id).or_default().entry(path.to_owned()).or_default().extend(lines);
        Ok(())
    }

    fn end(&mut self, lines: Wanted, origin: Origin) {
        self.origins.extend(lines.into_iter().map(|(asked, _)| (asked, origin)));
    }

    /// Hands lines to the parents that have them; what none has, this commit wrote.
    fn step(&mut self, commit: &Commit, path: &str, lines: Wanted, stop: &Stop) -> Result<(), ToolError> {
        if self.shallow.contains(&commit.id) {
            self.end(lines, Origin::Shallow(commit.id));
            return Ok(());
        }
        let opened = self.opened;
        let Some(here) = opened.side_at(commit.tree, path) else {
            self.end(lines, Origin::Left(commit.id));
            return Ok(());
        };
        let mut parents = Vec::new();
        for id in &commit.parents {
            // A parent that is missing ends the trail here, as the start of a shallow clone does.
            let Ok(parent) = opened.commit(*id) else {
                self.end(lines, Origin::Shallow(commit.id));
                return Ok(());
            };
            let there = opened.side_at(parent.tree, path);
            if there.is_some_and(|it| it.id == here.id) {
                return self.want(*id, path, lines);
            }
            parents.push((parent, there));
        }
        let mut left = lines;
        let mut after = None;
        for (parent, there) in parents {
            if left.is_empty() {
                break;
            }
            let (path_there, id_there) = match there.filter(|it| it.mode.is_blob()) {
                Some(there) => (path.to_owned(), there.id),
                None => match self.renamed(&parent, commit, path, stop) {
                    Some(found) => found,
                    None => continue,
                },
            };
            let sizes = opened.sizes([Some(id_there), Some(here.id)]);
            if sizes.is_none_or(|it| it.iter().any(|it| *it > FILE_BYTES_MAX)) {
                continue;
            }
            let before = opened.content(Some(id_there))?;
            let after = match &after {
                Some(after) => after,
                None => after.insert(opened.content(Some(here.id))?),
            };
            let Some(edit) = Edit::between(&before, after) else { continue };
            let mut kept: Wanted = Vec::new();
            left.retain(|(asked, line)| match edit.line_before(*line) {
                Some(before) => {
                    kept.push((*asked, before));
                    false
                }
                None => true,
            });
            self.want(parent.id, &path_there, kept)?;
        }
        self.end(left, Origin::Commit(commit.id));
        Ok(())
    }

    /// What the file was called in a parent that does not have its path.
    fn renamed(
        &self,
        parent: &Commit,
        commit: &Commit,
        path: &str,
        stop: &Stop,
    ) -> Option<(String, ObjectId)> {
        let touches = self.opened.touched(Some(parent.tree), commit.tree, FILES_MAX, stop)?;
        let (files, _) = self.opened.join_similar(touches.files, stop);
        let file = files.into_iter().find(|it| it.path == path)?;
        Some((file.from?.to_str().ok()?.to_owned(), file.before?.id))
    }
}
