//! Which files does a tree hold? Read from the trees alone, folder by folder.

use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    objs::tree::EntryKind,
};

use super::{Opened, Stop};

/// A file of a tree.
#[derive(Clone, Debug)]
pub(crate) struct TreeFile {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
}

/// Plain files of a tree.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Those that were wanted, as the tree has them.
    pub(crate) files: Vec<TreeFile>,
    /// Symbolic links and submodules passed over.
    pub(crate) others: u64,
    /// Folders that cannot be read.
    pub(crate) unreadable: u64,
    /// Why not all were listed.
    pub(crate) left: Option<&'static str>,
}

/// A few small trees that hold each other can stand for billions of files.
const ENTRIES_MAX: u64 = 1_000_000;
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// Of all paths together: a few small trees with long names can stand for gigabytes.
pub(super) const PATHS_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Opened<'_> {
    /// The files whose paths are wanted.
    pub(crate) fn files(&self, tree: ObjectId, stop: &Stop, wanted: impl Fn(&str) -> bool) -> Files {
        let mut found = Files::default();
        let mut folders = vec![(tree, BString::default())];
        let (mut entries, mut bytes) = (0, 0);
        while let Some((folder, above)) = folders.pop() {
            let Ok(tree) = self.git.find_tree(folder) else {
                found.unreadable += 1;
                continue;
            };
            let first = folders.len();
            for entry in tree.iter().filter_map(Result::ok) {
                entries += 1;
                let is_full = entries > ENTRIES_MAX || bytes > PATHS_BYTES_MAX;
                if is_full || stop.is_reached() {
                    let why = if is_full { "too many files" } else { "the time of the call was used up" };
                    found.left = Some(why);
                    return found;
                }
                if above.len() + entry.filename().len() > PATH_BYTES_MAX {
                    found.unreadable += 1;
                    continue;
                }
                let mut path = above.clone();
                path.extend_from_slice(entry.filename());
                match entry.mode().kind() {
                    EntryKind::Tree => {
                        path.push(b'/');
                        bytes += path.len();
                        folders.push((entry.object_id(), path));
                    }
                    EntryKind::Blob | EntryKind::BlobExecutable => {
                        if wanted(&path.to_str_lossy()) {
                            bytes += path.len();
                            found.files.push(TreeFile { path, id: entry.object_id() });
                        }
                    }
                    EntryKind::Link | EntryKind::Commit => {
                        found.others += u64::from(wanted(&path.to_str_lossy()));
                    }
                }
            }
            // The first folder comes off the pile first.
            folders[first..].reverse();
        }
        found
    }
}
