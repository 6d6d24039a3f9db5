//! Opening a git repository that may mean harm.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use config::Connection;
use gix::{ObjectId, config::Source, odb::pack::cache::lru::MemoryCappedHashmap, open::Options, sec::Trust};
use policy::Target;
use tool::{Suggestion, ToolError};

use super::{file::Found, odd::Plain};
use crate::{
    filters::{Filters, Least},
    owners::{self, Owners},
};

/// A configured repository, not yet open.
pub(crate) struct Repository {
    connection: Connection,
    path: PathBuf,
    /// The last `CODEOWNERS` read, by its content's id.
    owners: Mutex<Option<(ObjectId, Arc<Owners>)>>,
    plain: Plain,
    /// Where filters of searches are used.
    filters: Option<Filters>,
}

/// An open repository, for one call on one thread. Opening costs about a millisecond and sees the repository as it is
/// now, whatever was fetched or replaced since the last call.
pub(crate) struct Opened<'a> {
    pub(crate) git: gix::Repository,
    pub(crate) repository: &'a Repository,
}

/// No object larger than this is ever unpacked, so that a small file cannot fill the memory.
const OBJECT_BYTES_MAX: u64 = 64 * 1024 * 1024;
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Unpacked bases of deltas: without them, each tree of a long history would be unpacked from its first version on.
const DELTA_CACHE_BYTES: usize = 16 * 1024 * 1024;
impl Repository {
    pub(crate) fn new(connection: Connection, path: PathBuf) -> Repository {
        Repository { connection, path, owners: Mutex::new(None), plain: Plain::default(), filters: None }
    }

    /// The same with filters of searches below a cache folder.
    pub(crate) fn filtering(&self, cache: &Path, busy: &Arc<AtomicBool>, least: Least) -> Repository {
        let (connection, path) = (self.connection.clone(), self.path.clone());
        let filters = Filters::new(connection.clone(), path.clone(), cache, busy.clone(), least);
        Repository { filters: Some(filters), ..Repository::new(connection, path) }
    }

    pub(crate) fn filters(&self) -> Option<&Filters> {
        self.filters.as_ref()
    }

    pub(crate) fn name(&self) -> &str {
        &self.connection.name
    }

    /// What reading it touches: all of it. A path is part of the policy's question through the arguments.
    pub(crate) fn target(&self) -> Target {
        self.connection.whole("repository")
    }

    /// Opens it with nothing trusted but its objects and references.
    ///
    /// Its configuration is read for the storage format alone. Trust is reduced whoever owns the folder: a person named
    /// the path, not its content. Nothing of the system's or the user's configuration counts, includes are not
    /// followed, no variable of the environment is asked. Replacement references, which show one object under the id of
    /// another, are off, and so is the commit graph, a cache that could tell another history than the commits. Borrowed
    /// objects (`alternates`) are read: clones with `--shared` need them, and who can write that file can write the
    /// objects themselves.
    pub(crate) fn open(&self) -> Result<Opened<'_>, ToolError> {
        self.plain.refuse_odd(&self.path).map_err(|problem| self.unavailable(&problem))?;
        let options = Options::isolated()
            .with(Trust::Reduced)
            .filter_config_section(|section| section.source == Source::Api)
            .config_overrides([
                "core.useReplaceRefs=false".to_owned(),
                "core.commitGraph=false".to_owned(),
                format!("gitoxide.objects.allocLimit={OBJECT_BYTES_MAX}"),
            ]);
        let opened = options.open(self.path.clone()).map_err(|_| {
            self.unavailable(match self.path.exists() {
                true => "its configured path is no git repository, or of a format that is not supported",
                false => "its configured path does not exist",
            })
        })?;
        let mut git = opened.to_thread_local();
        git.object_cache_size(CACHE_BYTES);
        git.objects.set_pack_cache(|| Box::new(MemoryCappedHashmap::new(DELTA_CACHE_BYTES)));
        Ok(Opened { git, repository: self })
    }

    pub(crate) fn unavailable(&self, problem: &str) -> ToolError {
        ToolError::Unavailable { backend: self.name().to_owned(), problem: problem.to_owned() }
    }
}

impl Opened<'_> {
    /// An object that should be there and is not, or makes no sense. What exactly was wrong is not told: it may quote
    /// what is stored.
    pub(crate) fn damaged(&self, what: &str, id: ObjectId) -> ToolError {
        let problem =
            format!("{what} {id} cannot be read; the repository is incomplete or damaged (`git fsck`)");
        self.repository.unavailable(&problem)
    }

    /// Something to write instead, hidden where policy hides the repository.
    pub(crate) fn suggest(&self, text: impl Into<String>) -> Suggestion {
        Suggestion { text: text.into(), target: Some(self.repository.target()) }
    }

    /// The first digits of an id, at least nine, that no other object shares.
    pub(crate) fn short(&self, id: ObjectId) -> String {
        let candidate = gix::odb::store::prefix::disambiguate::Candidate::new(id, 9).ok();
        let prefix = candidate.and_then(|it| self.git.objects.disambiguate_prefix(it).ok().flatten());
        prefix.map_or_else(|| id.to_string(), |it| it.to_string())
    }

    /// The rules of ownership in a tree. A file that cannot be used is named with the reason.
    pub(crate) fn owners(&self, tree: ObjectId) -> Result<Option<Arc<Owners>>, String> {
        for place in owners::PLACES {
            let Ok(Found::File(entry)) = self.find(tree, place) else { continue };
            if entry.size_bytes > owners::BYTES_MAX {
                return Err(format!("owners: {place} is larger than {} bytes", owners::BYTES_MAX));
            }
            let mut last = self.repository.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((id, owners)) = last.as_ref()
                && *id == entry.id
            {
                return Ok(Some(owners.clone()));
            }
            let blob = self.git.find_blob(entry.id).map_err(|_| format!("owners: {place} cannot be read"))?;
            let owners = Owners::parse(&String::from_utf8_lossy(&blob.data))
                .map_err(|problem| format!("owners: {place} is not used: {problem}"))?;
            let owners = Arc::new(owners);
            *last = Some((entry.id, owners.clone()));
            return Ok(Some(owners));
        }
        Ok(None)
    }
}
