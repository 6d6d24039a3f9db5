//! What does a commit say of itself? As much as is told of it: a commit may be far larger than any that people write.

use gix::{ObjectId, bstr::ByteSlice, objs::Kind};
use tool::ToolError;

use super::Opened;

/// What a commit says of itself.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: ObjectId,
    /// The first of them.
    pub(crate) parents: Vec<ObjectId>,
    /// How many more there are, which nothing follows.
    pub(crate) more_parents: usize,
    /// When it was committed, in seconds since 1970: when it came to be in this history, whenever it was written.
    pub(crate) seconds: i64,
    pub(crate) author: String,
    pub(crate) email: String,
    /// First line of its message.
    pub(crate) subject: String,
}

/// Larger ones are not read. The largest in public histories have some ten thousand bytes.
const BYTES_MAX: u64 = 1024 * 1024;
/// A walk keeps thousands of commits; each takes no more than this.
pub(crate) const PARENTS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 320;
const SUBJECT_BYTES_MAX: usize = 500;

impl Opened<'_> {
    pub(crate) fn commit(&self, id: ObjectId) -> Result<Commit, ToolError> {
        let damaged = || self.damaged("commit", id);
        let header = self.git.find_header(id).map_err(|_| damaged())?;
        if header.kind() != Kind::Commit {
            return Err(damaged());
        }
        if header.size() > BYTES_MAX {
            let problem = format!("commit {id} has {} bytes; at most {BYTES_MAX} are read", header.size());
            return Err(self.repository.unavailable(&problem));
        }
        let found = self.git.find_commit(id).map_err(|_| damaged())?;
        let commit = found.decode().map_err(|_| damaged())?;
        let author = commit.author().map(|it| it.trim()).ok();
        let subject = commit.message.lines().find(|it| !it.trim_ascii().is_empty()).unwrap_or_default();
        let mut parents = commit.parents();
        Ok(Commit {
            id,
            tree: commit.tree(),
            parents: parents.by_ref().take(PARENTS_MAX).collect(),
            more_parents: parents.count(),
            seconds: commit.committer().map_or(0, |it| it.seconds()),
            author: author.map(|it| text(it.name, NAME_BYTES_MAX)).unwrap_or_default(),
            email: author.map(|it| text(it.email, NAME_BYTES_MAX)).unwrap_or_default(),
            subject: text(subject, SUBJECT_BYTES_MAX),
        })
    }
}

/// The start of a text, in a string of its own size.
fn text(bytes: &[u8], most: usize) -> String {
    match bytes.len() > most {
        true => crate::excerpt::beginning(bytes, most),
        false => bytes.to_str_lossy().into_owned(),
    }
}
