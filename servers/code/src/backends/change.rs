//! How large is a change, and what does it touch? A commit's tree against that of its first parent.

use gix::{
    ObjectId,
    bstr::ByteSlice,
    diff::blob::{Algorithm, Diff, InternedInput},
    objs::Kind,
};

use super::{
    Opened, Stop,
    touched::{Side, Touched},
};

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

impl Opened<'_> {
    /// What changed from one tree to another; from nothing when there is none before. None when a tree cannot be read.
    pub(crate) fn change(
        &self,
        before: Option<ObjectId>,
        after: ObjectId,
        budget: &mut Budget,
        stop: &Stop,
    ) -> Option<Change> {
        let touched = self.touched(before, after, FILES_MAX, stop)?;
        let is_all = !touched.is_more && touched.count <= FILES_MAX as u64;
        let lines = is_all.then(|| self.count_lines(&touched.files, budget, stop)).flatten();
        let paths = touched.files.iter().map(|it| it.path.to_str_lossy().into_owned()).collect();
        Some(Change { files: touched.count, is_more: touched.is_more, lines, paths })
    }

    fn count_lines(&self, touched: &[Touched], budget: &mut Budget, stop: &Stop) -> Option<(u64, u64)> {
        let mut bytes = 0;
        let edited = || touched.iter().filter(|it| it.is_edited());
        for id in edited().flat_map(|it| [it.before, it.after]).flatten().map(|it| it.id) {
            let header = self.git.find_header(id).ok()?;
            bytes += header.size();
            if header.kind() != Kind::Blob || header.size() > FILE_BYTES_MAX || bytes > COMMIT_BYTES_MAX {
                return None;
            }
        }
        budget.bytes = budget.bytes.checked_sub(bytes)?;
        let (mut added, mut removed) = (0, 0);
        for it in edited() {
            if stop.is_reached() {
                return None;
            }
            let content = |side: Option<Side>| match side {
                Some(side) => self.git.find_blob(side.id).ok().map(|mut it| it.take_data()),
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
    memchr::memchr(0, &content[..content.len().min(BINARY_WITHIN)]).is_some()
}
