//! How large is a change, and what does it touch? A commit's tree against that of its first parent.

use std::{collections::HashMap, ops::ControlFlow};

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    diff::{
        blob::{Algorithm, Diff, InternedInput},
        tree::{
            Recorder, State, Visit,
            visit::{Action, Change as Visited},
        },
    },
    objs::{Kind, TreeRefIter},
};

use super::{Opened, Stop};

/// What a commit did.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Files touched; a renamed file counts once.
    pub(crate) files: u64,
    /// Whether there are more files than were counted.
    pub(crate) is_more: bool,
    /// Lines added and removed; none when counting them would cost too much.
    pub(crate) lines: Option<(u64, u64)>,
    /// The first paths touched, as they are after it.
    pub(crate) paths: Vec<String>,
}

/// What counting lines may still cost within one call.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
}

const FILES_COUNTED_MAX: u64 = 20_000;
/// Folders count here too: a few small trees that hold each other can stand for billions of empty folders.
const ENTRIES_MAX: u64 = 100_000;
/// Files whose lines are counted and whose paths are kept, per commit.
const FILES_MAX: usize = 500;
const FILE_BYTES_MAX: u64 = 1024 * 1024;
const COMMIT_BYTES_MAX: u64 = 8 * 1024 * 1024;
const CALL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Where git looks for a NUL byte to tell binary files.
const BINARY_WITHIN: usize = 8000;

impl Default for Budget {
    fn default() -> Budget {
        Budget { bytes: CALL_BYTES_MAX }
    }
}

/// One file before and after; none where it was or is not.
struct Touched {
    path: BString,
    before: Option<ObjectId>,
    after: Option<ObjectId>,
}

impl Opened<'_> {
    /// What changed from one tree to another; from nothing when there is none before. None when a tree cannot be read.
    pub(crate) fn change(
        &self,
        before: Option<ObjectId>,
        after: ObjectId,
        budget: &mut Budget,
        stop: &Stop,
    ) -> Option<Change> {
        let tree = |id| self.git.find_tree(id).ok();
        let (old, new) = (before.map_or_else(|| Some(self.git.empty_tree()), tree)?, tree(after)?);
        let entries = |it: &gix::Tree<'_>| it.data.clone();
        let (old, new) = (entries(&old), entries(&new));
        let mut visit = Visiting {
            paths: Recorder::default(),
            touched: Vec::new(),
            files: 0,
            entries: 0,
            is_more: false,
            stop,
        };
        let kind = self.git.object_hash();
        let ended = gix::diff::tree(
            TreeRefIter::from_bytes(&old, kind),
            TreeRefIter::from_bytes(&new, kind),
            State::default(),
            &self.git.objects,
            &mut visit,
        );
        if ended.is_err() && !visit.is_more {
            return None;
        }
        let Visiting { touched, mut files, is_more, .. } = visit;
        let is_all = !is_more && files <= FILES_MAX as u64;
        let all = touched.len();
        let touched = join_renames(touched);
        files -= (all - touched.len()) as u64;
        let lines = is_all.then(|| self.count_lines(&touched, budget, stop)).flatten();
        let paths = touched.iter().map(|it| it.path.to_str_lossy().into_owned()).collect();
        Some(Change { files, is_more, lines, paths })
    }

    fn count_lines(&self, touched: &[Touched], budget: &mut Budget, stop: &Stop) -> Option<(u64, u64)> {
        let mut bytes = 0;
        for id in
            touched.iter().filter(|it| it.before != it.after).flat_map(|it| [it.before, it.after]).flatten()
        {
            let header = self.git.find_header(id).ok()?;
            bytes += header.size();
            if header.kind() != Kind::Blob || header.size() > FILE_BYTES_MAX || bytes > COMMIT_BYTES_MAX {
                return None;
            }
        }
        budget.bytes = budget.bytes.checked_sub(bytes)?;
        let (mut added, mut removed) = (0, 0);
        for it in touched.iter().filter(|it| it.before != it.after) {
            if stop.is_reached() {
                return None;
            }
            let content = |id: Option<ObjectId>| match id {
                Some(id) => self.git.find_blob(id).ok().map(|mut it| it.take_data()),
                None => Some(Vec::new()),
            };
            let (before, after) = (content(it.before)?, content(it.after)?);
            if is_binary(&before) || is_binary(&after) {
                continue;
            }
            let lines = InternedInput::new(before.as_slice(), after.as_slice());
            let diff = Diff::compute(Algorithm::Histogram, &lines);
            added += u64::from(diff.count_additions());
            removed += u64::from(diff.count_removals());
        }
        Some((added, removed))
    }
}

impl Change {
    /// Where it happened, shortly: the file, the folder that holds all of it, or the first few at the root.
    pub(crate) fn place(&self) -> Option<String> {
        const ROOTS_MAX: usize = 3;
        let first = self.paths.first()?;
        if self.paths.len() == 1 {
            return Some(first.clone());
        }
        let shared = self.paths.iter().fold(first.as_str(), |shared, path| {
            let same = shared.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
            &shared[..shared.as_bytes()[..same].iter().rposition(|it| *it == b'/').map_or(0, |it| it + 1)]
        });
        if !shared.is_empty() {
            return Some(shared.to_owned());
        }
        let mut roots: Vec<&str> = Vec::new();
        for path in &self.paths {
            let root = &path[..path.find('/').map_or(path.len(), |it| it + 1)];
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let more = if roots.len() > ROOTS_MAX { ", …" } else { "" };
        roots.truncate(ROOTS_MAX);
        Some(format!("{}{more}", roots.join(", ")))
    }
}

/// Whether git would call it binary.
pub(crate) fn is_binary(content: &[u8]) -> bool {
    content.iter().take(BINARY_WITHIN).any(|it| *it == 0)
}

/// Makes one of a file that is gone and one that is new with the same content. Renames with edits stay two files.
fn join_renames(touched: Vec<Touched>) -> Vec<Touched> {
    let mut gone: HashMap<ObjectId, usize> = HashMap::new();
    for it in touched.iter().filter(|it| it.after.is_none()) {
        *gone.entry(it.before.unwrap_or_else(|| ObjectId::null(gix::hash::Kind::Sha1))).or_default() += 1;
    }
    let mut joined: HashMap<ObjectId, usize> = HashMap::new();
    let mut kept: Vec<Touched> = Vec::with_capacity(touched.len());
    for mut it in touched {
        if let (None, Some(after)) = (it.before, it.after)
            && let Some(left) = gone.get_mut(&after).filter(|it| **it > 0)
        {
            *left -= 1;
            *joined.entry(after).or_default() += 1;
            it.before = Some(after);
        }
        kept.push(it);
    }
    kept.retain(|it| match (it.before, it.after) {
        (Some(before), None) => match joined.get_mut(&before).filter(|it| **it > 0) {
            Some(left) => {
                *left -= 1;
                false
            }
            None => true,
        },
        _ => true,
    });
    kept
}

/// Keeps the first files of a diff, counts the others, and ends it when there are too many.
struct Visiting<'a> {
    paths: Recorder,
    touched: Vec<Touched>,
    files: u64,
    /// Files and folders.
    entries: u64,
    is_more: bool,
    stop: &'a Stop,
}

impl Visit for Visiting<'_> {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.paths.pop_front_tracked_path_and_set_current();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.paths.push_back_tracked_path_component(component);
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.paths.push_path_component(component);
    }

    fn pop_path_component(&mut self) {
        self.paths.pop_path_component();
    }

    fn visit(&mut self, change: Visited) -> Action {
        let (before, after) = match change {
            Visited::Addition { oid, .. } => (None, Some(oid)),
            Visited::Deletion { oid, .. } => (Some(oid), None),
            Visited::Modification { previous_oid, oid, .. } => (Some(previous_oid), Some(oid)),
        };
        self.entries += 1;
        if self.files >= FILES_COUNTED_MAX || self.entries >= ENTRIES_MAX || self.stop.is_reached() {
            self.is_more = true;
            return ControlFlow::Break(());
        }
        if !change.entry_mode().is_tree() {
            self.files += 1;
            if self.touched.len() < FILES_MAX {
                self.touched.push(Touched { path: self.paths.path_clone(), before, after });
            }
        }
        ControlFlow::Continue(())
    }
}
