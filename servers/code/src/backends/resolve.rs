//! Which commit does a revision name?

use gix::{ObjectId, bstr::ByteSlice, hash::Prefix, objs::Kind};
use tool::{Suggestion, ToolError};

use super::{Commit, Opened, Stop, odd::refuse_odd_reference};
use crate::arguments::{Revision, RevisionRange, Step};

/// A commit, and how it was found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) commit: ObjectId,
    pub(crate) tree: ObjectId,
    /// The branch, when the revision is one or `HEAD` is on one.
    pub(crate) branch: Option<String>,
}

/// Names looked through for near ones.
const NAMES_MAX: usize = 20_000;
const SUGGESTIONS_MAX: usize = 5;
/// Where a short name is looked for.
const PLACES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/remotes/"];

impl Opened<'_> {
    /// Both ends of a range.
    pub(crate) fn resolve_range(
        &self,
        range: &RevisionRange,
        stop: &Stop,
    ) -> Result<(Option<Resolved>, Resolved), ToolError> {
        let since = range.since.as_ref().map(|it| self.resolve(it, stop)).transpose()?;
        Ok((since, self.resolve(&range.until, stop)?))
    }

    /// The commit that a revision names.
    pub(crate) fn resolve(&self, revision: &Revision, stop: &Stop) -> Result<Resolved, ToolError> {
        let (object, branch) = self.base(revision, stop)?;
        let mut commit = self.peel(object, revision)?;
        for step in &revision.steps {
            let (times, parent) = match *step {
                Step::Back(far) => (far, 1),
                Step::Parent(number) => (1, number),
            };
            for _ in 0..times {
                if stop.is_reached() {
                    return Err(self.repository.unavailable("the time of the call was used up"));
                }
                let Commit { parents, more_parents, .. } = self.commit(commit)?;
                commit = *parents.get((parent as usize).wrapping_sub(1)).ok_or_else(|| {
                    let short = self.short(commit);
                    let most = match more_parents {
                        0 => String::new(),
                        _ => format!("; the first {} can be asked for", parents.len()),
                    };
                    ToolError::NotFound {
                        kind: "revision",
                        name: format!(
                            "{revision}: {short} has {} parents{most}",
                            parents.len() + more_parents
                        ),
                        suggestions: vec![self.suggest(short)],
                    }
                })?;
            }
        }
        let tree = self.commit(commit)?.tree;
        Ok(Resolved { commit, tree, branch: branch.filter(|_| revision.steps.is_empty()) })
    }

    /// What stands before the steps: `HEAD`, a reference in full, an id in full, a short name, the first digits of an id.
    fn base(&self, revision: &Revision, stop: &Stop) -> Result<(ObjectId, Option<String>), ToolError> {
        let name = revision.base.as_str();
        if name == "HEAD" {
            return self.head(stop);
        }
        if PLACES.iter().any(|it| name.starts_with(it)) {
            let found = self.reference(name)?.ok_or_else(|| self.no_such_revision(name, stop))?;
            return Ok((found, name.strip_prefix(PLACES[0]).map(str::to_owned)));
        }
        if let Ok(id) = ObjectId::from_hex(name.as_bytes()) {
            return match self.git.has_object(id) {
                true => Ok((id, None)),
                false => Err(self.no_such_revision(name, stop)),
            };
        }
        let mut found: Vec<(String, ObjectId)> = Vec::new();
        for place in PLACES {
            let full = format!("{place}{name}");
            found.extend(self.reference(&full)?.map(|id| (full, id)));
        }
        // A tag that is called like a branch must not decide in silence what the branch's name means.
        match found.as_slice() {
            [] => self.by_digits(name, stop).map(|id| (id, None)),
            [(full, id), others @ ..] if others.iter().all(|it| it.1 == *id) => {
                Ok((*id, full.strip_prefix(PLACES[0]).map(str::to_owned)))
            }
            several => Err(ToolError::NotFound {
                kind: "revision",
                name: format!("{name}: it names {} different things", several.len()),
                suggestions: several.iter().map(|(full, _)| self.suggest(full)).collect(),
            }),
        }
    }

    fn head(&self, stop: &Stop) -> Result<(ObjectId, Option<String>), ToolError> {
        let unreadable = || self.repository.unavailable("its HEAD cannot be read");
        self.refuse_odd("HEAD").map_err(|()| unreadable())?;
        let head = self.git.head().map_err(|_| unreadable())?;
        let branch = head.referent_name().map(|it| it.shorten().to_str_lossy().into_owned());
        if head.is_unborn() {
            let branch = branch.unwrap_or_default();
            let mut suggestions = self.near(&branch, stop);
            suggestions.retain(|it| it.text != branch);
            let name = format!("HEAD: its branch {branch} has no commits yet");
            return Err(ToolError::NotFound { kind: "revision", name, suggestions });
        }
        let id = head.into_peeled_id().map_err(|_| unreadable())?;
        Ok((id.detach(), branch))
    }

    /// What a reference, given in full, leads to.
    fn reference(&self, full: &str) -> Result<Option<ObjectId>, ToolError> {
        let unreadable = || self.repository.unavailable("a reference cannot be read");
        let Ok(name) = gix::refs::FullName::try_from(full) else { return Ok(None) };
        self.refuse_odd(full).map_err(|()| unreadable())?;
        let found = self.git.try_find_reference(name.as_ref()).map_err(|_| unreadable())?;
        match found {
            None => Ok(None),
            Some(reference) => {
                reference.into_fully_peeled_id().map(|it| Some(it.detach())).map_err(|_| unreadable())
            }
        }
    }

    fn refuse_odd(&self, name: &str) -> Result<(), ()> {
        // Of a linked worktree, `HEAD` is in its own folder alone: that of the main one says nothing of it.
        let common = if name == "HEAD" { self.git.git_dir() } else { self.git.common_dir() };
        refuse_odd_reference(name, [self.git.git_dir(), common])
    }

    fn by_digits(&self, digits: &str, stop: &Stop) -> Result<ObjectId, ToolError> {
        let nothing = || self.no_such_revision(digits, stop);
        if !(4..40).contains(&digits.len()) {
            return Err(nothing());
        }
        let prefix = Prefix::from_hex(digits).map_err(|_| nothing())?;
        let mut candidates = Default::default();
        let found = self.git.objects.lookup_prefix(prefix, Some(&mut candidates));
        let is_commit = |id: &ObjectId| self.git.find_header(*id).is_ok_and(|it| it.kind() == Kind::Commit);
        match found.ok().flatten() {
            None => Err(nothing()),
            Some(Ok(id)) => Ok(id),
            Some(Err(())) => {
                let mut commits = candidates.into_iter().filter(is_commit);
                match (commits.next(), commits.next()) {
                    (Some(only), None) => Ok(only),
                    _ => Err(ToolError::NotFound {
                        kind: "revision",
                        name: format!("{digits}: several objects begin so; give more digits"),
                        suggestions: Vec::new(),
                    }),
                }
            }
        }
    }

    /// Follows tags to their commit.
    fn peel(&self, object: ObjectId, revision: &Revision) -> Result<ObjectId, ToolError> {
        let found = self.git.find_object(object).map_err(|_| self.damaged("object", object))?;
        let end = found.peel_tags_to_end().map_err(|_| self.damaged("tag", object))?;
        match end.kind {
            Kind::Commit => Ok(end.id),
            other => Err(ToolError::NotFound {
                kind: "revision",
                name: format!("{revision}: it is a {other}, not a commit"),
                suggestions: Vec::new(),
            }),
        }
    }

    fn no_such_revision(&self, name: &str, stop: &Stop) -> ToolError {
        ToolError::NotFound { kind: "revision", name: name.to_owned(), suggestions: self.near(name, stop) }
    }

    /// Branches and tags whose names are near.
    fn near(&self, wanted: &str, stop: &Stop) -> Vec<Suggestion> {
        let Ok(platform) = self.git.references() else { return Vec::new() };
        let Ok(all) = platform.all() else { return Vec::new() };
        let mut names: Vec<(f64, String)> = all
            .take(NAMES_MAX)
            .take_while(|_| !stop.is_reached())
            .filter_map(Result::ok)
            .filter_map(|it| {
                let full = it.name().as_bstr().to_str_lossy().into_owned();
                let short = PLACES.iter().find_map(|place| full.strip_prefix(place))?.to_owned();
                Some((strsim::jaro_winkler(&short.to_lowercase(), &wanted.to_lowercase()), short))
            })
            .filter(|it| it.1 != "origin/HEAD")
            .collect();
        names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        names.dedup_by(|a, b| a.1 == b.1);
        names.into_iter().take(SUGGESTIONS_MAX).map(|(_, it)| self.suggest(it)).collect()
    }
}
