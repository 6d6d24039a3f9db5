//! Where was a file before, when a commit's parent does not have its path? Among what the commit removed.

use std::ops::ControlFlow;

use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    diff::tree::{
        Recorder, State, Visit,
        visit::{Action, Change as Visited},
    },
    objs::TreeRefIter,
};

use super::{Opened, Stop, Touched, files::PATHS_BYTES_MAX, touched::Side};

/// What is known of a file in a parent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// It was there, under this path and with this content.
    At(String, ObjectId),
    /// It surely was not.
    Nowhere,
    /// There was too much to look at, or no time.
    Unknown,
}

/// Removed files with other content that are compared.
const FILES_MAX: usize = 2_000;
/// A few small trees that hold each other can stand for billions of files.
const ENTRIES_MAX: u64 = 1_000_000;

impl Opened<'_> {
    /// Where a file of the new tree was in the old one, which does not have its path: what was removed with the same
    /// content, however much was, else what was removed and is much the same.
    pub(super) fn before(&self, old: ObjectId, new: ObjectId, path: &str, here: Side, stop: &Stop) -> Before {
        let Some(gone) = self.gone(old, new, here.id, stop) else { return Before::Unknown };
        let said = |path: &BString, id: ObjectId| match path.to_str() {
            Ok(path) => Before::At(path.to_owned(), id),
            Err(_) => Before::Unknown,
        };
        if let Some(same) = &gone.same {
            return said(same, here.id);
        }
        let (mut files, is_more) = (gone.files, gone.is_more);
        if files.is_empty() && !is_more {
            return Before::Nowhere;
        }
        files.push(Touched { path: path.into(), from: None, before: None, after: Some(here) });
        let (files, is_partial) = self.join_similar(files, stop);
        let joined = files.into_iter().find(|it| it.path == path).and_then(|it| Some((it.from?, it.before?)));
        match joined {
            Some((from, before)) => said(&from, before.id),
            None if is_more || is_partial => Before::Unknown,
            None => Before::Nowhere,
        }
    }

    /// What one tree has and another has not; none when a tree cannot be read.
    fn gone(&self, old: ObjectId, new: ObjectId, same: ObjectId, stop: &Stop) -> Option<Gone> {
        let (old, new) = (self.git.find_tree(old).ok()?, self.git.find_tree(new).ok()?);
        let mut seeking = Seeking {
            paths: Recorder::default(),
            wanted: same,
            gone: Gone::default(),
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
            &mut seeking,
        );
        let gone = seeking.gone;
        (ended.is_ok() || gone.is_more || gone.same.is_some()).then_some(gone)
    }
}

/// What was removed.
#[derive(Default)]
struct Gone {
    /// The first that held what is sought.
    same: Option<BString>,
    files: Vec<Touched>,
    /// Whether there are more.
    is_more: bool,
}

/// Looks for one content among all that is removed, and keeps the first of the others.
struct Seeking<'a> {
    paths: Recorder,
    wanted: ObjectId,
    gone: Gone,
    entries: u64,
    /// Of the paths of folders, which wait to be looked into.
    bytes: usize,
    stop: &'a Stop,
}

impl Visit for Seeking<'_> {
    fn pop_front_tracked_path_and_set_current(&mut self) {
        self.paths.pop_front_tracked_path_and_set_current();
    }

    fn push_back_tracked_path_component(&mut self, component: &BStr) {
        self.paths.push_back_tracked_path_component(component);
        self.bytes += self.paths.path().len();
    }

    fn push_path_component(&mut self, component: &BStr) {
        self.paths.push_path_component(component);
    }

    fn pop_path_component(&mut self) {
        self.paths.pop_path_component();
    }

    fn visit(&mut self, change: Visited) -> Action {
        self.entries += 1;
        if self.entries > ENTRIES_MAX || self.bytes > PATHS_BYTES_MAX || self.stop.is_reached() {
            self.gone.is_more = true;
            return ControlFlow::Break(());
        }
        let Visited::Deletion { oid, entry_mode, .. } = change else { return ControlFlow::Continue(()) };
        if !entry_mode.is_blob() {
            return ControlFlow::Continue(());
        }
        if oid == self.wanted {
            self.gone.same = Some(self.paths.path_clone());
            return ControlFlow::Break(());
        }
        if self.gone.files.len() < FILES_MAX {
            let before = Some(Side { id: oid, mode: entry_mode });
            let path = self.paths.path_clone();
            self.bytes += path.len();
            self.gone.files.push(Touched { path, from: None, before, after: None });
        } else {
            self.gone.is_more = true;
        }
        ControlFlow::Continue(())
    }
}
