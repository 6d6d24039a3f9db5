//! Which policies were in force here before? A history for each configuration, in the state folder: what was replaced by a
//! later one does not come back by itself.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

use anyhow::Context as _;
use config::{Config, Surroundings};
use policy::{ListEntry, Scope};
use serde::{Deserialize, Serialize};

/// The policies of one configuration, in the order in which they came into force.
pub(crate) struct History {
    /// Below the state folder.
    folder: PathBuf,
    /// Which configuration it is.
    set: String,
}

/// How a policy stands to those that were in force before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// None was in force here before.
    First,
    /// It is the last one.
    Same,
    /// It never was in force.
    New,
    /// It was, and a later one took its place.
    Older,
}

/// The file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    v: u8,
    /// Digests in hex, the last one last, by configuration.
    sets: BTreeMap<String, Vec<String>>,
}

/// Below the state folder.
const FOLDER: &str = "policy";
const FILE: &str = "history.json";
const DRAFT: &str = ".history.json.draft";
const LOCK: &str = ".lock";
/// Format of the file.
const VERSION: u8 = 1;
/// Most digests that are kept of one configuration; what came into force before so many others is forgotten.
const KEPT_MAX: usize = 1000;

impl History {
    /// The history of a configuration that is a file; what is merely found has no versions.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Option<History>> {
        // As it was named: where a mounted folder is replaced whole, each version of a file lies somewhere else.
        let Some(path) = config.origin.file() else { return Ok(None) };
        let mut set = path.display().to_string();
        let narrow = |it: &ListEntry| it.narrow;
        let lists = &config.policy.lists;
        let narrowed = config.policy.sources.iter().any(|it| it.scope == Scope::Narrow)
            || [&lists.ask, &lists.approve, &lists.deny].into_iter().flatten().any(narrow);
        if narrowed {
            // The same file with what one repository takes away and with what another does are two sets, in force by turns.
            let surroundings = Surroundings::from_process()?;
            let root = surroundings.repository().unwrap_or(&surroundings.current_folder);
            set += &format!(" narrowed in {}", root.display());
        }
        Ok(Some(History { folder: config.state.join(FOLDER), set }))
    }

    /// How a policy stands to those that were in force before.
    pub(crate) fn age(&self, digest: &policy::Digest) -> anyhow::Result<Age> {
        let document = self.read()?;
        let known = document.sets.get(&self.set).map(Vec::as_slice).unwrap_or_default();
        let digest = hex(digest);
        Ok(match known.split_last() {
            None => Age::First,
            Some((last, _)) if *last == digest => Age::Same,
            Some((_, before)) if before.contains(&digest) => Age::Older,
            Some(_) => Age::New,
        })
    }

    /// Notes that a policy comes into force; durable when it returns. Nothing happens where it is the last one already.
    pub(crate) fn note(&self, digest: &policy::Digest) -> anyhow::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).with_context(|| self.named())?;
        let lock = private().truncate(false).open(self.folder.join(LOCK)).with_context(|| self.named())?;
        // Others of this state folder note theirs too; dropping the file unlocks it.
        lock.lock().with_context(|| self.named())?;
        let mut document = self.read()?;
        let known = document.sets.entry(self.set.clone()).or_default();
        let digest = hex(digest);
        if known.last() == Some(&digest) {
            return Ok(());
        }
        known.push(digest);
        known.drain(..known.len().saturating_sub(KEPT_MAX));
        let text = serde_json::to_string_pretty(&document)?;
        self.replace(&text).with_context(|| self.named())
    }

    /// A crash leaves the old file or the new one, and at worst a draft that the next writer removes.
    fn replace(&self, text: &str) -> io::Result<()> {
        let draft = self.folder.join(DRAFT);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private().create_new(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        // The folder itself may be new.
        self.folder.parent().map_or(Ok(()), |it| File::open(it)?.sync_all())
    }

    fn read(&self) -> anyhow::Result<Document> {
        let text = match fs::read_to_string(self.folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Document { v: VERSION, sets: BTreeMap::new() });
            }
            Err(error) => return Err(error).with_context(|| self.named()),
        };
        let advice = "put it back, or remove it: then nothing is known of earlier policies";
        let document: Document =
            serde_json::from_str(&text).with_context(|| format!("{}; {advice}", self.named()))?;
        anyhow::ensure!(
            document.v == VERSION,
            "{} is of format {}; this program knows format {VERSION}",
            self.named(),
            document.v
        );
        Ok(document)
    }

    fn named(&self) -> String {
        format!("the history of policies {}", self.folder.join(FILE).display())
    }
}

/// For the owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// A digest as people and records have it.
pub(crate) fn hex(digest: &policy::Digest) -> String {
    digest.map(|it| format!("{it:02x}")).concat()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;

    fn history(state: &Path, set: &str) -> History {
        History { folder: state.join(FOLDER), set: set.to_owned() }
    }

    fn age(history: &History, byte: u8) -> Age {
        history.age(&[byte; 32]).expect("readable")
    }

    #[test]
    fn what_was_replaced_is_older_and_stays_so() {
        let state = tempfile::tempdir().expect("a folder");
        let history = history(state.path(), "a");
        assert_eq!(age(&history, 1), Age::First);
        for byte in [1, 1, 2, 3] {
            history.note(&[byte; 32]).expect("writable");
        }
        assert_eq!([1, 2, 3, 4].map(|it| age(&history, it)), [Age::Older, Age::Older, Age::Same, Age::New]);
        history.note(&[1; 32]).expect("writable");
        assert_eq!([1, 2, 3].map(|it| age(&history, it)), [Age::Same, Age::Older, Age::Older]);
    }

    #[test]
    fn each_configuration_has_a_history_of_its_own() {
        let state = tempfile::tempdir().expect("a folder");
        let (one, other) = (history(state.path(), "one"), history(state.path(), "other"));
        for (history, byte) in [(&one, 1), (&other, 2), (&one, 2), (&other, 1)] {
            history.note(&[byte; 32]).expect("writable");
        }
        assert_eq!((age(&one, 1), age(&one, 2)), (Age::Older, Age::Same));
        assert_eq!((age(&other, 1), age(&other, 2)), (Age::Same, Age::Older));
    }

    #[test]
    fn it_is_for_its_owner_alone_and_a_crash_in_between_is_no_hindrance() {
        let state = tempfile::tempdir().expect("a folder");
        let history = history(state.path(), "a");
        history.note(&[1; 32]).expect("writable");
        fs::write(history.folder.join(DRAFT), "{\"v\": 1, \"se").expect("ours");
        assert_eq!(age(&history, 1), Age::Same);
        history.note(&[2; 32]).expect("writable");
        assert_eq!((age(&history, 1), age(&history, 2)), (Age::Older, Age::Same));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&history.folder), 0o700);
        assert_eq!(mode(&history.folder.join(FILE)), 0o600);
        assert!(!history.folder.join(DRAFT).exists());
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_taken_for_nothing() {
        let state = tempfile::tempdir().expect("a folder");
        let history = history(state.path(), "a");
        history.note(&[1; 32]).expect("writable");
        for text in ["", "{}", "{\"v\": 2, \"sets\": {}}", "{\"v\": 1, \"sets\": {}, \"more\": 1}"] {
            fs::write(history.folder.join(FILE), text).expect("ours");
            assert!(history.age(&[1; 32]).is_err(), "{text}");
            assert!(history.note(&[1; 32]).is_err(), "{text}");
        }
    }

    #[test]
    fn several_at_once_lose_none() {
        let state = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for byte in 0..16 {
                let folder = state.path();
                scope.spawn(move || history(folder, "a").note(&[byte; 32]).expect("writable"));
            }
        });
        let history = history(state.path(), "a");
        let known = (0..16).filter(|it| matches!(age(&history, *it), Age::Older | Age::Same)).count();
        assert_eq!(known, 16);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let state = tempfile::tempdir().expect("a folder");
        let history = history(state.path(), "a");
        let mut document = history.read().expect("readable");
        let many = (0..KEPT_MAX).map(|it| format!("{it:064x}")).collect();
        document.sets.insert("a".to_owned(), many);
        fs::create_dir(&history.folder).expect("ours");
        fs::write(history.folder.join(FILE), serde_json::to_string(&document).expect("plain")).expect("ours");
        history.note(&[1; 32]).expect("writable");
        assert_eq!(history.read().expect("readable").sets["a"].len(), KEPT_MAX);
        assert_eq!((age(&history, 0), age(&history, 1)), (Age::New, Age::Same));
    }
}
