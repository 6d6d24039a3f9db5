//! What is another between two commits: in all, below a folder, at one path?

use tool::ToolError;

use crate::backends::{Filter, Found, KIND, Opened, Resolved, Side, Stop, Touched, Walk};

/// The two commits.
pub(super) struct Ends {
    pub(super) since: Resolved,
    pub(super) until: Resolved,
}

/// Files compared at most.
const FILES_MAX: usize = 20_000;
/// Commits looked through for those that only the first revision has.
const HISTORY_MAX: u64 = 2_000;

impl Ends {
    pub(super) fn text(&self) -> String {
        format!("{}..{}", self.since.commit, self.until.commit)
    }

    /// What stands at a path now, or stood there before.
    pub(super) fn at(&self, opened: &Opened<'_>, path: &str) -> Result<Found, ToolError> {
        match opened.find(self.until.tree, path)? {
            Found::Nothing => opened.find(self.since.tree, path),
            found => Ok(found),
        }
    }

    /// What differs between the two trees or below a folder of theirs, and how many files that are.
    pub(super) fn touched(
        &self,
        opened: &Opened<'_>,
        folder: Option<&str>,
        stop: &Stop,
        not_looked_at: &mut Vec<String>,
    ) -> Result<(Vec<Touched>, u64), ToolError> {
        let unreadable = || {
            opened.repository.unavailable("a tree cannot be read; the repository is incomplete or damaged")
        };
        let (before, after) = (self.since.tree, self.until.tree);
        let mut touches = opened.touched(Some(before), after, FILES_MAX, stop).ok_or_else(unreadable)?;
        let mut is_below_only = false;
        if let (Some(folder), true) = (folder, touches.is_more) {
            // What was counted may be elsewhere: the folder alone, without what moved into it or out of it.
            is_below_only = true;
            let tree = |it: Option<Side>| it.filter(|it| it.mode.is_tree()).map(|it| it.id);
            let (before, after) = (opened.side_in(before, folder)?, opened.side_in(after, folder)?);
            let after = tree(after).unwrap_or_else(|| opened.git.empty_tree().id);
            touches = opened.touched(tree(before), after, FILES_MAX, stop).ok_or_else(unreadable)?;
            touches.files.iter_mut().for_each(|it| it.move_below(folder));
            not_looked_at
                .push(format!("moves into and out of {folder}: such files show as added or deleted"));
        }
        if touches.is_more {
            let why = if stop.is_reached() {
                "the time of the call was used up"
            } else {
                "too many; compare revisions that are nearer"
            };
            not_looked_at.push(format!("files after the first {}: {why}", touches.count));
        }
        let known = touches.files.len();
        let (mut files, is_partial) = opened.join_similar(touches.files, stop);
        if is_partial {
            not_looked_at
                .push("renames with edits among many files: such files show as deleted and added".to_owned());
        }
        let mut count = touches.count - (known - files.len()) as u64;
        if let (Some(folder), false) = (folder, is_below_only) {
            files.retain(|it| is_below(it, folder));
            count = files.len() as u64;
        }
        Ok((files, count))
    }

    /// What happened to the file at a path; none when both trees have the same there.
    pub(super) fn change_of(
        &self,
        opened: &Opened<'_>,
        path: &str,
        stop: &Stop,
        not_looked_at: &mut Vec<String>,
    ) -> Result<Option<Touched>, ToolError> {
        let side = |tree| Ok(opened.side_in(tree, path)?.filter(|it| !it.mode.is_tree()));
        let (before, after): (Option<Side>, Option<Side>) = (side(self.since.tree)?, side(self.until.tree)?);
        match (before, after) {
            (Some(before), Some(after)) if before == after => return Ok(None),
            (None, None) => {
                let name = format!("{path}: what stands above it is no folder; links are not followed");
                return Err(ToolError::NotFound { kind: KIND, name, suggestions: Vec::new() });
            }
            (Some(_), Some(_)) => {}
            // It is at one end only: the other half of a rename is wherever it is.
            _ => {
                let mut said = Vec::new();
                let (touched, _) = self.touched(opened, None, stop, &mut said)?;
                let is_meant =
                    |it: &Touched| it.path == path || it.from.as_ref().is_some_and(|it| it == path);
                let meant = touched.into_iter().find(is_meant);
                if said.is_empty() || meant.as_ref().is_some_and(|it| it.from.is_some()) {
                    return Ok(meant);
                }
                not_looked_at.push("whether it was renamed: too much changed, or no time".to_owned());
            }
        }
        Ok(Some(Touched { path: path.into(), from: None, before, after }))
    }

    /// Commits that the first revision has and the second has not; none when there are none. Where it is not known, that is
    /// said.
    pub(super) fn only_before(
        &self,
        opened: &Opened<'_>,
        stop: &Stop,
        not_looked_at: &mut Vec<String>,
    ) -> Result<Option<u64>, ToolError> {
        let walk = Walk::new(opened, self.since.commit, Some(self.until.commit))?.at_most(HISTORY_MAX);
        let walked = walk.list(&Filter::default(), stop);
        if let Some(why) = walked.not_looked_at.first() {
            not_looked_at.push(format!("how many commits only the first has: {why}"));
            return Ok(None);
        }
        Ok(Some(walked.listed.len() as u64).filter(|it| *it > 0))
    }
}

fn is_below(touched: &Touched, folder: &str) -> bool {
    let below = |path: &[u8]| path.strip_prefix(folder.as_bytes()).is_some_and(|it| it.starts_with(b"/"));
    below(&touched.path) || touched.from.as_ref().is_some_and(|it| below(it))
}
