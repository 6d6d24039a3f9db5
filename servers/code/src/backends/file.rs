//! What stands at a path? Found in a tree, never on the disk.

use gix::{ObjectId, bstr::ByteSlice, objs::Kind, objs::tree::EntryKind};
use tool::{Suggestion, ToolError};

use super::{Opened, Stop, files::PATH_BYTES_MAX};

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found {
    File(Entry),
    Folder(ObjectId),
    /// Symbolic link, at `path`, which is the one asked for or a folder above it. What it says, untrusted.
    Link {
        path: String,
        to: String,
    },
    /// Commit of another repository.
    Submodule {
        path: String,
        commit: ObjectId,
    },
    Nothing,
}

/// A file in a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) id: ObjectId,
    pub(crate) size_bytes: u64,
}

/// What a suggestion is of, in errors.
pub(crate) const KIND: &str = "path";

const LINK_BYTES_MAX: u64 = 4096;
/// Entries looked through for near names.
const ENTRIES_MAX: usize = 20_000;
const SUGGESTIONS_MAX: usize = 5;
const FOLDER_SHOWN_MAX: usize = 50;

impl Opened<'_> {
    /// Follows a path through a tree.
    pub(crate) fn find(&self, tree: ObjectId, path: &str) -> Result<Found, ToolError> {
        let mut folder = tree;
        let mut end = 0;
        loop {
            let rest = &path[end..];
            let length = rest.find('/').unwrap_or(rest.len());
            let (name, is_last) = (&rest[..length], length == rest.len());
            let entries = self.git.find_tree(folder).map_err(|_| self.damaged("tree", folder))?;
            let Some(entry) = entries.find_entry(name) else { return Ok(Found::Nothing) };
            let (kind, id) = (entry.kind(), entry.object_id());
            let here = path[..end + length].to_owned();
            match kind {
                EntryKind::Link => return Ok(Found::Link { path: here, to: self.link(id)? }),
                EntryKind::Commit => return Ok(Found::Submodule { path: here, commit: id }),
                EntryKind::Tree if is_last => return Ok(Found::Folder(id)),
                EntryKind::Tree => folder = id,
                EntryKind::Blob | EntryKind::BlobExecutable if is_last => {
                    let header = self.git.find_header(id).map_err(|_| self.damaged("file", id))?;
                    return match header.kind() {
                        Kind::Blob => Ok(Found::File(Entry { id, size_bytes: header.size() })),
                        _ => Err(self.damaged("file", id)),
                    };
                }
                EntryKind::Blob | EntryKind::BlobExecutable => return Ok(Found::Nothing),
            }
            end += length + 1;
        }
    }

    /// What a symbolic link says.
    fn link(&self, id: ObjectId) -> Result<String, ToolError> {
        let damaged = || self.damaged("symbolic link", id);
        let header = self.git.find_header(id).map_err(|_| damaged())?;
        if header.size() > LINK_BYTES_MAX {
            return Err(damaged());
        }
        let blob = self.git.find_blob(id).map_err(|_| damaged())?;
        Ok(blob.data.to_str_lossy().into_owned())
    }

    /// What a folder holds: how many entries, and the first of them as paths to write.
    pub(crate) fn entries(
        &self,
        folder: ObjectId,
        path: &str,
    ) -> Result<(usize, Vec<Suggestion>), ToolError> {
        let tree = self.git.find_tree(folder).map_err(|_| self.damaged("tree", folder))?;
        let entries = tree.decode().map_err(|_| self.damaged("tree", folder))?.entries;
        let shown = entries.iter().take(FOLDER_SHOWN_MAX);
        let shown = shown.map(|it| self.suggest(format!("{path}/{}", it.filename.to_str_lossy()))).collect();
        Ok((entries.len(), shown))
    }

    /// Files whose names are near, the nearest first.
    pub(crate) fn near_files(&self, tree: ObjectId, wanted: &str, stop: &Stop) -> Vec<Suggestion> {
        const NEAR: f64 = 0.75;
        let name_of = |path: &str| path.rsplit('/').next().unwrap_or_default().to_lowercase();
        let name = name_of(wanted);
        let mut near: Vec<(f64, String)> = Vec::new();
        let (mut folders, mut looked_at) = (vec![(tree, String::new())], 0);
        while let Some((folder, above)) = folders.pop() {
            let Ok(tree) = self.git.find_tree(folder) else { continue };
            for entry in tree.iter().filter_map(Result::ok) {
                looked_at += 1;
                if looked_at > ENTRIES_MAX || stop.is_reached() {
                    folders.clear();
                    break;
                }
                if above.len() + entry.filename().len() > PATH_BYTES_MAX {
                    continue;
                }
                let path = format!("{above}{}", entry.filename().to_str_lossy());
                if entry.mode().is_tree() {
                    folders.push((entry.object_id(), format!("{path}/")));
                    continue;
                }
                let by_name = strsim::jaro_winkler(&name_of(&path), &name);
                if by_name >= NEAR {
                    // The whole path decides among files of one name, as `mod.rs` and `index.ts` are.
                    near.push((by_name + strsim::jaro_winkler(&path, wanted) / 10.0, path));
                }
            }
        }
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        near.into_iter().take(SUGGESTIONS_MAX).map(|(_, it)| self.suggest(it)).collect()
    }
}
