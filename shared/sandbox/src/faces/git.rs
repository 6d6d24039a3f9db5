//! What does the repository of the estate hold, and who changed what in it?
//!
//! A real git repository, made on the spot from the world's changes: a commit for each, a little before it reached
//! production, among what people commit on any day and after months of older history. It is bare, as on a server.

mod history;
mod material;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gix::{
    ObjectId,
    actor::Signature,
    date::Time,
    objs::{Commit, tree::EntryKind},
    open::Options,
    refs::transaction::PreviousValue,
};
use jiff::{SignedDuration, Timestamp};

use crate::{Change, ChangeKind, Person, SandboxError, World, random::Draw};

/// The repository, and how far it has come.
#[derive(Debug)]
pub struct GitFace {
    folder: PathBuf,
    /// What stands in it now: text by path.
    texts: BTreeMap<String, String>,
    head: Option<(ObjectId, ObjectId)>,
    /// When the last commit was made: later ones are not older.
    last: Timestamp,
    seed: u64,
    /// How many of the world's changes are in it.
    followed: usize,
    /// Commit by the id of its change.
    commits: BTreeMap<String, String>,
}

/// A commit to make.
#[derive(Debug)]
struct Step {
    at: Timestamp,
    author: Person,
    message: String,
    /// Paths and what stands there from now on; none takes the file away.
    writes: Vec<(String, Option<String>)>,
}

/// Commits before the history of the metrics begins.
const OLDER: usize = 320;
/// Commits within it that no deploy follows.
const CHORES: usize = 9;
const BRANCH: &str = "refs/heads/main";

impl GitFace {
    /// Makes the repository in a folder that is empty or does not exist, up to the world's last change.
    pub fn make(folder: &Path, world: &World) -> Result<GitFace, SandboxError> {
        let create = gix::create::Options::default();
        gix::ThreadSafeRepository::init_opts(folder, gix::create::Kind::Bare, create, Options::isolated())
            .map_err(failed)?;
        let mut face = GitFace {
            folder: folder.to_owned(),
            texts: BTreeMap::new(),
            head: None,
            last: Timestamp::MIN,
            seed: world.plan().seed(),
            followed: 0,
            commits: BTreeMap::new(),
        };
        let mut pending = history::up_to_now(world);
        let git = face.open()?;
        for change in world.changes() {
            let due = change.at - lead(face.seed, change);
            while let Some(step) = pending.next_if(|it| it.at <= due) {
                face.commit(&git, step)?;
            }
            face.take(&git, change)?;
        }
        for step in pending {
            face.commit(&git, step)?;
        }
        face.publish(&git)?;
        Ok(face)
    }

    /// Adds a commit for each change that the world has seen since, and says how many.
    pub fn follow(&mut self, world: &World) -> Result<usize, SandboxError> {
        let missing = world.changes().len() - self.followed;
        if missing > 0 {
            let git = self.open()?;
            for change in &world.changes()[self.followed..] {
                self.take(&git, change)?;
            }
            self.publish(&git)?;
        }
        Ok(missing)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The commit of a change, in full; none where the change touched no file.
    pub fn commit_of(&self, change: &str) -> Option<&str> {
        self.commits.get(change).map(String::as_str)
    }

    fn open(&self) -> Result<gix::Repository, SandboxError> {
        gix::open_opts(&self.folder, Options::isolated()).map_err(failed)
    }

    /// Commits one change of the world.
    fn take(&mut self, git: &gix::Repository, change: &Change) -> Result<(), SandboxError> {
        self.followed += 1;
        if change.edits.is_empty() {
            return Ok(());
        }
        let mut writes: BTreeMap<&str, String> = BTreeMap::new();
        for edit in &change.edits {
            let before = writes.get(edit.path.as_str()).or_else(|| self.texts.get(&edit.path)).cloned();
            let after = match (before, edit.before.as_str()) {
                (None, "") => Some(edit.after.clone()),
                (Some(text), before) if !before.is_empty() && text.matches(before).count() == 1 => {
                    Some(text.replacen(before, &edit.after, 1))
                }
                _ => None,
            };
            let problem = || format!("the edit of {} in {} does not apply", edit.path, change.id);
            writes.insert(&edit.path, after.ok_or_else(|| SandboxError::Git { problem: problem() })?);
        }
        let writes =
            writes.into_iter().map(|(path, text)| (path.to_owned(), (!text.is_empty()).then_some(text)));
        let step = Step {
            at: change.at - lead(self.seed, change),
            author: change.author,
            message: message(&change.title, &change.body),
            writes: writes.collect(),
        };
        let id = self.commit(git, step)?;
        self.commits.insert(change.id.clone(), id.to_string());
        Ok(())
    }

    /// Writes a commit. No reference knows it before [`GitFace::publish`].
    fn commit(&mut self, git: &gix::Repository, step: Step) -> Result<ObjectId, SandboxError> {
        let before = self.head.map_or_else(|| git.empty_tree().id, |it| it.1);
        let mut tree = git.edit_tree(before).map_err(failed)?;
        for (path, text) in step.writes {
            match text {
                Some(text) => {
                    let blob = git.write_blob(&text).map_err(failed)?;
                    tree.upsert(path.as_str(), EntryKind::Blob, blob).map_err(failed)?;
                    self.texts.insert(path, text);
                }
                None => {
                    tree.remove(path.as_str()).map_err(failed)?;
                    self.texts.remove(&path);
                }
            }
        }
        let tree = tree.write().map_err(failed)?.detach();
        self.last = self.last.max(step.at);
        let signature = Signature {
            name: step.author.name.into(),
            email: step.author.email.into(),
            time: Time::new(self.last.as_second(), 0),
        };
        let commit = Commit {
            tree,
            parents: self.head.iter().map(|it| it.0).collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: step.message.into(),
            extra_headers: Vec::new(),
        };
        let id = git.write_object(commit).map_err(failed)?.detach();
        self.head = Some((id, tree));
        Ok(id)
    }

    /// Moves the branch to the last commit.
    fn publish(&self, git: &gix::Repository) -> Result<(), SandboxError> {
        let Some((head, _)) = self.head else { return Ok(()) };
        git.reference(BRANCH, head, PreviousValue::Any, "deployed").map(drop).map_err(failed)
    }
}

/// How long before it reaches production a change is committed: the time that a pipeline takes.
fn lead(seed: u64, change: &Change) -> SignedDuration {
    let number = change.id.bytes().fold(0_u64, |sum, it| sum.wrapping_mul(31).wrapping_add(it.into()));
    let mut draw = Draw::of(seed, "pipeline").at(number);
    let seconds = match change.kind {
        ChangeKind::Deploy | ChangeKind::Migration => draw.whole(240, 660),
        ChangeKind::Config | ChangeKind::Certificate => draw.whole(60, 240),
        // Done by hand, in a hurry.
        ChangeKind::RollBack => draw.whole(1, 5),
    };
    SignedDuration::from_secs(seconds.cast_signed())
}

fn message(title: &str, body: &str) -> String {
    match body.trim() {
        "" => format!("{title}\n"),
        body => format!("{title}\n\n{body}\n"),
    }
}

fn failed(error: impl std::fmt::Display) -> SandboxError {
    SandboxError::Git { problem: error.to_string() }
}

#[cfg(test)]
mod tests;
