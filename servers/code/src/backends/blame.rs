//! Which commit wrote a line? Followed back from commit to commit, through merges and renames, as far as there is time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use gix::ObjectId;
use tool::ToolError;

use super::{Commit, Edit, Opened, Stop, gone::Before};

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
    /// This commit or an older one: there was too much to look at, or no time.
    Left(ObjectId),
}

/// Origins by the index of what was asked and the line.
pub(crate) type Origins = BTreeMap<(usize, u64), Origin>;

/// One file as one commit has it, with the lines that are looked for: what was asked, and where it stands here.
type Wanted = Vec<((usize, u64), u64)>;

/// Larger files are not followed further.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

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
            trail.want(self.commit(from)?, &it.path, lines);
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
    fn want(&mut self, commit: Commit, path: &str, lines: Wanted) {
        if lines.is_empty() {
            return;
        }
        let id = commit.id;
        if !self.wanted.contains_key(&id) {
            self.order += 1;
            self.waiting.push((commit.seconds, Reverse(self.order), id));
            self.commits.insert(id, commit);
        }
        self.wanted.entry(id).or_default().entry(path.to_owned()).or_default().extend(lines);
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
        let mut parents = Vec::new();
        for id in &commit.parents {
            if stop.is_reached() {
                self.end(lines, Origin::Left(commit.id));
                return Ok(());
            }
            // A parent that is missing ends the trail here, as the start of a shallow clone does.
            let Ok(parent) = opened.commit(*id) else {
                self.end(lines, Origin::Shallow(commit.id));
                return Ok(());
            };
            if opened.is_same_at(commit.tree, parent.tree, path) {
                self.want(parent, path, lines);
                return Ok(());
            }
            parents.push(parent);
        }
        let Some(here) = opened.side_at(commit.tree, path) else {
            self.end(lines, Origin::Left(commit.id));
            return Ok(());
        };
        let mut left = lines;
        // What is not surely written here must not be blamed on this commit.
        let mut is_sure = commit.more_parents == 0;
        let mut after = None;
        for parent in parents {
            if left.is_empty() {
                break;
            }
            let there = opened.side_at(parent.tree, path).filter(|it| it.mode.is_blob());
            let before = match there {
                _ if stop.is_reached_now() => Before::Unknown,
                Some(there) => Before::At(path.to_owned(), there.id),
                None => opened.before(parent.tree, commit.tree, path, here, stop),
            };
            let (path_there, id_there) = match before {
                Before::At(path, id) if is_small([id, here.id], opened) => (path, id),
                Before::Nowhere => continue,
                Before::At(..) | Before::Unknown => {
                    is_sure = false;
                    continue;
                }
            };
            let after = match &after {
                Some(after) => after,
                None => after.insert(opened.content(Some(here.id))?),
            };
            let kept = handed_on(&opened.content(Some(id_there))?, after, &mut left);
            self.want(parent, &path_there, kept);
        }
        self.end(left, if is_sure { Origin::Commit(commit.id) } else { Origin::Left(commit.id) });
        Ok(())
    }
}

/// Takes the lines that the content before has, and gives where they stand there.
fn handed_on(before: &[u8], after: &[u8], lines: &mut Wanted) -> Wanted {
    let mut kept: Wanted = Vec::new();
    let Some(edit) = Edit::between(before, after) else { return kept };
    lines.retain(|(asked, line)| match edit.line_before(*line) {
        Some(before) => {
            kept.push((*asked, before));
            false
        }
        None => true,
    });
    kept
}

/// Whether both can be read and are not too large to compare.
fn is_small(ends: [ObjectId; 2], opened: &Opened<'_>) -> bool {
    opened.sizes(ends.map(Some)).is_some_and(|it| it.iter().all(|it| *it <= FILE_BYTES_MAX))
}
