//! Which commits are asked for? A walk through history, newest first, that ends as soon as it can.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use gix::ObjectId;
use tool::{Span, ToolError};

use super::{Commit, Opened, Stop, commit::PARENTS_MAX};

/// What a commit must be to be listed.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) span: Option<Span>,
    /// It changed this file or folder, against each of its parents.
    pub(crate) path: Option<String>,
    /// Part of its author's name or e-mail address, in lower case.
    pub(crate) author: Option<String>,
}

/// A commit that passes the filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) id: ObjectId,
    pub(crate) seconds: i64,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Newest first.
    pub(crate) listed: Vec<Listed>,
    /// How many people wrote them.
    pub(crate) authors: u64,
    /// The newest commit before the window that passes the rest of the filter, when one was come by.
    pub(crate) before: Option<Listed>,
    /// Commits read, which tests hold down.
    #[cfg(test)]
    pub(crate) read: u64,
    pub(crate) not_looked_at: Vec<String>,
}

/// A walk from one commit, leaving out all that another has.
pub(crate) struct Walk<'a> {
    opened: &'a Opened<'a>,
    seen: HashMap<ObjectId, Seen>,
    waiting: BinaryHeap<Waiting>,
    /// Of those waiting, how many may be listed.
    wanted: usize,
    read: u64,
    unreadable: u64,
    /// Parents beyond those that are followed.
    more_parents: usize,
    /// Commits whose parents a shallow clone does not have.
    shallow: HashSet<ObjectId>,
    reached_shallow: bool,
    entries: HashMap<ObjectId, Option<(ObjectId, u16)>>,
    path: Option<String>,
    most: u64,
}

#[derive(Clone, Copy)]
struct Seen {
    tree: ObjectId,
    is_excluded: bool,
    is_waiting: bool,
}

struct Waiting {
    order: (i64, Reverse<u64>),
    commit: Commit,
}

/// Commits that one call reads at most.
const COMMITS_MAX: u64 = 50_000;
/// Commits read beyond the point where clocks say that no more can match. Clocks lie.
const SLACK: u64 = 64;
/// The same, to find the last match before an empty window.
const SEARCH: u64 = 1_000;

impl<'a> Walk<'a> {
    /// Starts at `until` and leaves out `since` and all before it.
    pub(crate) fn new(
        opened: &'a Opened<'a>,
        until: ObjectId,
        since: Option<ObjectId>,
    ) -> Result<Walk<'a>, ToolError> {
        let unreadable = || opened.repository.unavailable("its list of shallow commits cannot be read");
        let shallow = opened.git.shallow_commits().map_err(|_| unreadable())?;
        let mut walk = Walk {
            opened,
            seen: HashMap::new(),
            waiting: BinaryHeap::new(),
            wanted: 0,
            read: 0,
            unreadable: 0,
            more_parents: 0,
            shallow: shallow.iter().flat_map(|it| it.iter().copied()).collect(),
            reached_shallow: false,
            entries: HashMap::new(),
            path: None,
            most: COMMITS_MAX,
        };
        walk.mark(until, false);
        since.into_iter().for_each(|it| walk.mark(it, true));
        Ok(walk)
    }

    /// Reads no more commits than these.
    pub(crate) fn at_most(mut self, commits: u64) -> Walk<'a> {
        self.most = commits;
        self
    }

    /// The newest commit that passes, or why it is not known.
    pub(crate) fn first(mut self, filter: &Filter, stop: &Stop) -> Result<Listed, String> {
        self.path.clone_from(&filter.path);
        while let Some((commit, _)) = self.next() {
            if stop.is_reached() {
                return Err("the time of the call was used up".to_owned());
            }
            if self.read > self.most {
                return Err(format!("not in the newest {} commits", self.most));
            }
            if self.passes(&commit, filter) {
                return Ok(Listed { id: commit.id, seconds: commit.seconds });
            }
        }
        Err(match self.unreadable {
            0 if self.reached_shallow => "before the start of this shallow clone".to_owned(),
            _ => "among commits that cannot be read".to_owned(),
        })
    }

    /// Walks until nothing more can match, `stop` is reached or too much was read, and says which.
    pub(crate) fn list(mut self, filter: &Filter, stop: &Stop) -> Walked {
        let mut walked = Walked::default();
        let mut authors: HashMap<ObjectId, String> = HashMap::new();
        let (mut older, mut excluded) = (0_u64, 0_u64);
        self.path.clone_from(&filter.path);
        while let Some((commit, is_excluded)) = self.next() {
            if let Some(why) = self.too_much(stop) {
                let at = Listed { id: commit.id, seconds: commit.seconds }.committed().unwrap_or_default();
                walked.not_looked_at.push(format!("commits before about {at}: {why}"));
                break;
            }
            if is_excluded {
                excluded += u64::from(self.wanted == 0);
                if excluded > SLACK {
                    break;
                }
                continue;
            }
            let listed = Listed { id: commit.id, seconds: commit.seconds };
            let span = filter.span.map(|it| (it.from.as_second(), it.to.as_second()));
            match span {
                Some((_, to)) if commit.seconds > to => {}
                Some((from, _)) if commit.seconds < from => {
                    older += 1;
                    if walked.before.is_none() && self.passes(&commit, filter) {
                        walked.before = Some(listed);
                    }
                    let is_answered = walked.before.is_some() || !walked.listed.is_empty();
                    if older > if is_answered { SLACK } else { SEARCH } {
                        break;
                    }
                }
                _ => {
                    older = 0;
                    if self.passes(&commit, filter) {
                        walked.listed.push(listed);
                        authors.insert(commit.id, commit.email);
                    }
                }
            }
        }
        walked.listed.retain(|it| self.seen.get(&it.id).is_some_and(|it| !it.is_excluded));
        let people = walked.listed.iter().filter_map(|it| authors.get(&it.id)).collect::<HashSet<_>>();
        walked.authors = people.len() as u64;
        #[cfg(test)]
        {
            walked.read = self.read;
        }
        self.say_what_is_missing(&mut walked.not_looked_at);
        walked
    }

    /// The newest commit that waits, its parents now waiting too, and whether it is left out.
    fn next(&mut self) -> Option<(Commit, bool)> {
        let Waiting { commit, .. } = self.waiting.pop()?;
        let seen = self.seen.get_mut(&commit.id)?;
        seen.is_waiting = false;
        let is_excluded = seen.is_excluded;
        self.wanted -= usize::from(!is_excluded);
        if self.shallow.contains(&commit.id) {
            self.reached_shallow = true;
        } else {
            self.more_parents += commit.more_parents;
            commit.parents.iter().for_each(|it| self.mark(*it, is_excluded));
        }
        Some((commit, is_excluded))
    }

    /// Lets a commit wait. One that turns out to be left out after it was passed waits again, so that what is before it
    /// is left out too.
    fn mark(&mut self, id: ObjectId, is_excluded: bool) {
        match self.seen.get_mut(&id) {
            Some(seen) if !is_excluded || seen.is_excluded => return,
            Some(seen) => {
                seen.is_excluded = true;
                if std::mem::replace(&mut seen.is_waiting, true) {
                    self.wanted -= 1;
                    return;
                }
            }
            None => {}
        }
        let Ok(commit) = self.opened.commit(id) else {
            self.unreadable += 1;
            return;
        };
        self.read += 1;
        self.seen.insert(id, Seen { tree: commit.tree, is_excluded, is_waiting: true });
        self.wanted += usize::from(!is_excluded);
        self.waiting.push(Waiting { order: (commit.seconds, Reverse(self.read)), commit });
    }

    fn too_much(&self, stop: &Stop) -> Option<String> {
        if stop.is_reached() {
            return Some("the time of the call was used up".to_owned());
        }
        let most = self.most;
        (self.read > most).then(|| format!("{most} commits were read; narrow `window` or `revision`"))
    }

    fn passes(&mut self, commit: &Commit, filter: &Filter) -> bool {
        let by_author = filter.author.as_deref().is_none_or(|part| {
            commit.author.to_lowercase().contains(part) || commit.email.to_lowercase().contains(part)
        });
        by_author && (self.path.is_none() || self.changed(commit))
    }

    /// Whether the path is another than in every parent. Compares ids on the way down to the path; nothing is diffed. Of a
    /// commit with a parent that is not there, as where a shallow clone starts, it is not known, and nothing is made up.
    fn changed(&mut self, commit: &Commit) -> bool {
        let here = self.entry(commit.tree);
        let parents: Option<Vec<ObjectId>> =
            commit.parents.iter().map(|it| self.seen.get(it).map(|it| it.tree)).collect();
        match parents {
            None => false,
            Some(parents) if parents.is_empty() => here.is_some(),
            Some(parents) => parents.into_iter().all(|it| self.entry(it) != here),
        }
    }

    fn entry(&mut self, tree: ObjectId) -> Option<(ObjectId, u16)> {
        let Walk { opened, entries, path, .. } = self;
        *entries.entry(tree).or_insert_with(|| {
            let path = path.as_deref()?.split('/').map(str::as_bytes);
            let entry = opened.git.find_tree(tree).ok()?.lookup_entry(path).ok()??;
            Some((entry.object_id(), entry.mode().value()))
        })
    }

    fn say_what_is_missing(&self, not_looked_at: &mut Vec<String>) {
        if self.reached_shallow {
            not_looked_at.push("commits before the start of this shallow clone".to_owned());
        }
        if self.more_parents > 0 {
            let more = self.more_parents;
            not_looked_at.push(format!("{more} parents of merges, beyond the first {PARENTS_MAX} of each"));
        }
        if self.unreadable > 0 {
            not_looked_at
                .push(format!("{} commits that cannot be read, and those before them", self.unreadable));
        }
    }
}

impl Listed {
    /// Its id, shortly, and when it was committed.
    pub(crate) fn describe(self, opened: &Opened<'_>) -> String {
        format!("{} {}", opened.short(self.id), self.committed().unwrap_or_default())
    }

    /// When it was committed, in UTC; none when it gives a time that no calendar has.
    pub(crate) fn committed(self) -> Option<String> {
        jiff::Timestamp::from_second(self.seconds).map(|it| it.to_string()).ok()
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}
