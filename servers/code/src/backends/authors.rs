//! Who changed a place lately, and how much is theirs? Counted by commits, a newer one for more.

use std::collections::HashMap;

use gix::{ObjectId, bstr::ByteSlice};
use jiff::Timestamp;
use tool::ToolError;

use super::{Listed, Opened, Side, Stop};
use crate::arguments::{Glob, Globs};

/// Places whose authors are asked for.
pub(crate) struct Places<'a> {
    opened: &'a Opened<'a>,
    places: Vec<Place>,
    entries: HashMap<(usize, ObjectId), Option<Side>>,
    /// Commits by programs, which nobody can ask.
    pub(crate) by_bots: u64,
}

/// Someone who changed a place.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    pub(crate) name: String,
    pub(crate) commits: u64,
    pub(crate) last: Listed,
    weight: f64,
}

struct Place {
    glob: Glob,
    globs: Globs,
    authors: HashMap<String, Author>,
}

/// A commit this much older counts for half.
const HALF_LIFE_DAYS: f64 = 90.0;
const SECONDS_A_DAY: f64 = 86_400.0;
/// Files of one commit that a pattern is held against.
const FILES_MAX: usize = 2_000;

impl Opened<'_> {
    /// What stands at a path of a tree; at an empty path, the tree itself. None also when a tree cannot be read.
    pub(crate) fn side_at(&self, tree: ObjectId, path: &str) -> Option<Side> {
        self.side_in(tree, path).ok().flatten()
    }

    /// The same, where what cannot be read must not pass for what is not there.
    pub(crate) fn side_in(&self, tree: ObjectId, path: &str) -> Result<Option<Side>, ToolError> {
        if path.is_empty() {
            return Ok(Some(Side { id: tree, mode: gix::objs::tree::EntryKind::Tree.into() }));
        }
        let damaged = || self.damaged("tree", tree);
        let found = self.git.find_tree(tree).map_err(|_| damaged())?;
        let entry = found.lookup_entry(path.split('/').map(str::as_bytes)).map_err(|_| damaged())?;
        Ok(entry.map(|it| Side { id: it.object_id(), mode: it.mode() }))
    }

    /// Whether two trees hold the same at a path. They are read side by side only as far down as they differ: of two
    /// neighbours in a history that is seldom far. No where a tree cannot be read.
    pub(crate) fn is_same_at(&self, one: ObjectId, other: ObjectId, path: &str) -> bool {
        let (mut one, mut other) = (one, other);
        for name in path.split('/') {
            if one == other {
                return true;
            }
            let below = |tree: ObjectId| {
                let tree = self.git.find_tree(tree).ok()?;
                let entry = tree.find_entry(name)?;
                Some(entry.object_id())
            };
            match (below(one), below(other)) {
                (Some(next), Some(beside)) => (one, other) = (next, beside),
                _ => return false,
            }
        }
        one == other
    }
}

impl<'a> Places<'a> {
    pub(crate) fn new(opened: &'a Opened<'a>, globs: &[Glob]) -> Places<'a> {
        let place = |it: &Glob| Place {
            globs: Globs::of(std::slice::from_ref(it)),
            glob: it.clone(),
            authors: HashMap::new(),
        };
        Places { opened, places: globs.iter().map(place).collect(), entries: HashMap::new(), by_bots: 0 }
    }

    /// Counts commits, newest first; gives how many there was time for. Merges change nothing themselves.
    pub(crate) fn count(
        &mut self,
        listed: &[Listed],
        now: Timestamp,
        stop: &Stop,
    ) -> Result<usize, ToolError> {
        for (index, it) in listed.iter().enumerate() {
            if stop.is_reached() {
                return Ok(index);
            }
            let commit = self.opened.commit(it.id)?;
            if commit.parents.len() > 1 {
                continue;
            }
            // Before the start of a shallow clone nothing is known to have changed.
            let parent = match commit.parents.first() {
                None => None,
                Some(parent) => match self.opened.commit(*parent) {
                    Ok(parent) => Some(parent.tree),
                    Err(_) => continue,
                },
            };
            let touched: Vec<usize> =
                (0..self.places.len()).filter(|at| self.touches(*at, parent, commit.tree, stop)).collect();
            if touched.is_empty() {
                continue;
            }
            if is_bot(&commit.author, &commit.email) {
                self.by_bots += 1;
                continue;
            }
            let age_days = (now.as_second() - it.seconds).max(0) as f64 / SECONDS_A_DAY;
            let weight = (-age_days / HALF_LIFE_DAYS).exp2();
            for at in touched {
                let author = self.places[at].authors.entry(commit.email.to_lowercase());
                let author = author.or_insert_with(|| Author {
                    name: commit.author.clone(),
                    commits: 0,
                    last: *it,
                    weight: 0.0,
                });
                author.commits += 1;
                author.weight += weight;
            }
        }
        Ok(listed.len())
    }

    /// Authors of a place by weight, with their shares in percent.
    pub(crate) fn authors(&self, at: usize) -> Vec<(Author, u64)> {
        let mut authors: Vec<Author> = self.places[at].authors.values().cloned().collect();
        authors.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
        let all: f64 = authors.iter().map(|it| it.weight).sum();
        authors
            .into_iter()
            .map(|it| (((it.weight / all) * 100.0).round() as u64, it))
            .map(|(share, it)| (it, share))
            .collect()
    }

    fn touches(&mut self, at: usize, before: Option<ObjectId>, after: ObjectId, stop: &Stop) -> bool {
        let root = self.places[at].glob.root().to_owned();
        let old = before.and_then(|it| self.side(at, it, &root));
        let new = self.side(at, after, &root);
        if old == new {
            return false;
        }
        let place = &self.places[at];
        if place.glob.is_plain() {
            return true;
        }
        // Only folders are looked into; a pattern's root is one, or nothing is there.
        let folder = |it: Option<Side>| it.filter(|it| it.mode.is_tree()).map(|it| it.id);
        let (old, new) = (folder(old), folder(new));
        let new = new.unwrap_or_else(|| self.opened.git.empty_tree().id);
        let Some(touches) = self.opened.touched(old, new, FILES_MAX, stop) else { return false };
        touches.files.iter().any(|it| {
            let path = it.path.to_str_lossy();
            let path = if root.is_empty() { path.into_owned() } else { format!("{root}/{path}") };
            place.globs.matches(&path)
        })
    }

    fn side(&mut self, at: usize, tree: ObjectId, root: &str) -> Option<Side> {
        let opened = self.opened;
        *self.entries.entry((at, tree)).or_insert_with(|| opened.side_at(tree, root))
    }
}

fn is_bot(name: &str, email: &str) -> bool {
    let (name, email) = (name.to_lowercase(), email.to_lowercase());
    name.ends_with("[bot]") || email.contains("[bot]@") || name == "dependabot" || name == "renovate"
}
