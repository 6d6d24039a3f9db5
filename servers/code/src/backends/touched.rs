//! Which files are another in one tree than in another? Read from the trees alone.

use std::{collections::HashMap, ops::ControlFlow};

use gix::{
    ObjectId,
    bstr::{BStr, BString},
    diff::tree::{
        Recorder, State, Visit,
        visit::{Action, Change as Visited},
    },
    objs::{TreeRefIter, tree::EntryMode},
};

use super::{
    Opened, Stop,
    files::{PATH_BYTES_MAX, PATHS_BYTES_MAX},
};

/// One file before and after; none where it was or is not.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    /// As it is after, or was when it is gone.
    pub(crate) path: BString,
    /// Where it was, when it was renamed.
    pub(crate) from: Option<BString>,
    pub(crate) before: Option<Side>,
    pub(crate) after: Option<Side>,
}

/// What stands at a path in one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) id: ObjectId,
    pub(crate) mode: EntryMode,
}

/// What two trees differ in.
#[derive(Debug, Default)]
pub(crate) struct Touches {
    /// The first of them, by path; a file that was only renamed is one.
    pub(crate) files: Vec<Touched>,
    /// How many there are.
    pub(crate) count: u64,
    /// Whether there are more than were counted.
    pub(crate) is_more: bool,
}

const FILES_COUNTED_MAX: u64 = 20_000;
/// Folders count here too: a few small trees that hold each other can stand for billions of empty folders.
const ENTRIES_MAX: u64 = 100_000;

impl Opened<'_> {
    /// What changed from one tree to another, from nothing when there is none before; at most `kept` files are kept. None
    /// when a tree cannot be read.
    pub(crate) fn touched(
        &self,
        before: Option<ObjectId>,
        after: ObjectId,
        kept: usize,
        stop: &Stop,
    ) -> Option<Touches> {
        let tree = |id| self.git.find_tree(id).ok();
        let (old, new) = (before.map_or_else(|| Some(self.git.empty_tree()), tree)?, tree(after)?);
        let mut visit = Visiting {
            paths: Recorder::default(),
            kept,
            touches: Touches::default(),
            entries: 0,
            bytes: 0,
            stop,
        };
        let kind = self.git.object_hash();
        let ended = gix::diff::tree(
            TreeRefIter::from_bytes(&old.data, kind),
            TreeRefIter::from_bytes(&new.data, kind),
            State::default(),
            &self.git.objects,
            &mut visit,
        );
        let mut touches = visit.touches;
        if ended.is_err() && !touches.is_more {
            return None;
        }
        let all = touches.files.len();
        touches.files = join_renames(touches.files);
        touches.count -= (all - touches.files.len()) as u64;
        Some(touches)
    }
}

impl Touched {
    /// Whether what it holds is another, and not only its name or mode.
    pub(crate) fn is_edited(&self) -> bool {
        self.before.map(|it| it.id) != self.after.map(|it| it.id)
    }

    /// Turns paths from a folder on into paths from the root on.
    pub(crate) fn move_below(&mut self, folder: &str) {
        for path in std::iter::once(&mut self.path).chain(&mut self.from) {
            *path = BString::from([folder.as_bytes(), b"/", path.as_slice()].concat());
        }
    }

    /// Both ends as plain files; none when one of them is a link or a commit of another repository.
    pub(crate) fn blobs(&self) -> Option<(Option<ObjectId>, Option<ObjectId>)> {
        let plain = |it: Option<Side>| it.is_none_or(|it| it.mode.is_blob());
        let id = |it: Option<Side>| it.map(|it| it.id);
        (plain(self.before) && plain(self.after)).then(|| (id(self.before), id(self.after)))
    }
}

/// Makes one of a file that is gone and one that is new with the same content.
fn join_renames(touched: Vec<Touched>) -> Vec<Touched> {
    let mut gone: HashMap<ObjectId, Vec<usize>> = HashMap::new();
    for (index, it) in touched.iter().enumerate().rev() {
        if let (Some(before), None) = (it.before, it.after) {
            gone.entry(before.id).or_default().push(index);
        }
    }
    let mut joined: HashMap<usize, usize> = HashMap::new();
    for (index, it) in touched.iter().enumerate() {
        if let (None, Some(after)) = (it.before, it.after)
            && let Some(from) = gone.get_mut(&after.id).and_then(Vec::pop)
        {
            joined.insert(index, from);
        }
    }
    join(touched, &joined)
}

/// Joins what is new with what is gone: index of the new to index of the gone.
pub(crate) fn join(mut touched: Vec<Touched>, joined: &HashMap<usize, usize>) -> Vec<Touched> {
    for (new, gone) in joined {
        let (from, before) = (touched[*gone].path.clone(), touched[*gone].before);
        touched[*new].from = Some(from);
        touched[*new].before = before;
    }
    let mut left: Vec<bool> = vec![true; touched.len()];
    joined.values().for_each(|it| left[*it] = false);
    let mut left = left.into_iter();
    touched.retain(|_| left.next().unwrap_or(true));
    touched
}

/// Keeps the first files of a diff, counts the others, and ends it when there are too many.
struct Visiting<'a> {
    paths: Recorder,
    kept: usize,
    touches: Touches,
    /// Files and folders.
    entries: u64,
    /// Of their paths.
    bytes: usize,
    stop: &'a Stop,
}

impl Visiting<'_> {
    fn keep(&mut self, before: Option<Side>, after: Option<Side>) {
        let is_file = |it: &Side| !it.mode.is_tree();
        let (before, after) = (before.filter(is_file), after.filter(is_file));
        if before.is_none() && after.is_none() {
            return;
        }
        self.touches.count += 1;
        if self.touches.files.len() < self.kept {
            self.touches.files.push(Touched { path: self.paths.path_clone(), from: None, before, after });
        }
    }
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
        let side = |id, mode| Some(Side { id, mode });
        let (before, after) = match change {
            Visited::Addition { oid, entry_mode, .. } => (None, side(oid, entry_mode)),
            Visited::Deletion { oid, entry_mode, .. } => (side(oid, entry_mode), None),
            Visited::Modification { previous_entry_mode, previous_oid, entry_mode, oid } => {
                (side(previous_oid, previous_entry_mode), side(oid, entry_mode))
            }
        };
        self.entries += 1;
        let length = self.paths.path().len();
        self.bytes += length;
        let is_long = length > PATH_BYTES_MAX || self.bytes > PATHS_BYTES_MAX;
        let is_full = is_long || self.touches.count >= FILES_COUNTED_MAX || self.entries >= ENTRIES_MAX;
        if is_full || self.stop.is_reached() {
            self.touches.is_more = true;
            return ControlFlow::Break(());
        }
        self.keep(before, after);
        ControlFlow::Continue(())
    }
}
