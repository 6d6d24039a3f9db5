//! What may a repository say about its own supervision? Nothing, unless a person trusted it; and then only less.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use policy::{ListEntry, Lists, Scope, Source};

use crate::{
    Config, ConfigError, PolicySettings, Surroundings, document::Document, file, interpret::Reading,
    table::FileTable, trust::Pins, words,
};

/// What trusted files in the current repository take away.
#[derive(Debug, Default)]
pub(crate) struct Narrowing {
    pub lists: Lists,
    pub sources: Vec<Source>,
}

/// Folder of a repository with files beside its `bailiwick.toml`.
const FOLDER: &str = ".bailiwick";
/// Most files that are looked at below one `.bailiwick` folder.
const MAX_FILES: usize = 64;

impl Narrowing {
    /// Looks from the current folder up to the root of its repository. Every file that is found and not trusted is noted.
    pub(crate) fn find(
        surroundings: &Surroundings,
        used: &[PathBuf],
        notes: &mut Vec<String>,
    ) -> Result<Narrowing, ConfigError> {
        let mut narrowing = Narrowing::default();
        let pins = Pins::load(surroundings, notes)?;
        let mut seen = Vec::new();
        for path in candidates(surroundings, notes) {
            let Ok(canonical) = path.canonicalize() else { continue };
            if used.contains(&canonical) || seen.contains(&canonical) {
                continue;
            }
            if let Some(bytes) = pins.admit(&canonical, notes) {
                narrowing.add(&canonical, bytes)?;
            }
            seen.push(canonical);
        }
        let root = surroundings.repository().unwrap_or(&surroundings.current_folder);
        pins.note_gone(root, notes);
        Ok(narrowing)
    }

    /// Adds one file, or says what in it does anything but narrow.
    pub(crate) fn add(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), ConfigError> {
        let text = file::text(path, bytes)?;
        if is(path, "cedar") {
            // That it only forbids is the policy loader's to check.
            self.sources.push(Source { name: words::path(path), text, scope: Scope::Narrow });
            return Ok(());
        }
        let document = Document::parse(words::path(path), &text)?;
        check(&document)?;
        let table: FileTable = document.read()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let lists = Reading { document: &document, folder, notes: &mut Vec::new() }.lists(&table.policy)?;
        for (list, entries) in [
            (&mut self.lists.ask, lists.ask),
            (&mut self.lists.approve, lists.approve),
            (&mut self.lists.deny, lists.deny),
            (&mut self.lists.limits, lists.limits),
        ] {
            for entry in entries {
                let place = entry.place.map(|it| words::path(&folder.join(it)));
                push(list, ListEntry { place, narrow: true, ..entry });
            }
        }
        Ok(())
    }

    pub(crate) fn apply(self, policy: &mut PolicySettings) {
        policy.sources.extend(self.sources);
        policy.lists.ask.extend(self.lists.ask);
        policy.lists.approve.extend(self.lists.approve);
        policy.lists.deny.extend(self.lists.deny);
        policy.lists.limits.extend(self.lists.limits);
    }
}

/// Adds an entry; where two files of a repository say the same, the stricter stays, since an id names one rule.
fn push(list: &mut Vec<ListEntry>, entry: ListEntry) {
    let words = |it: &ListEntry| it.text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    match list.iter_mut().find(|it| words(it) == words(&entry)) {
        Some(same) => same.approvals = same.approvals.max(entry.approvals),
        None => list.push(entry),
    }
}

/// Refuses everything but the lists that take away.
fn check(document: &Document<'_>) -> Result<(), ConfigError> {
    let problem = "a file in a repository may only narrow: ask, approve, deny and limits under [policy], and nothing else";
    if let Some(key) = document.keys(&[]).iter().find(|it| *it != "policy") {
        return Err(document.wrong_key(&[key], problem));
    }
    let narrow = ["ask", "approve", "deny", "limits"];
    match document.keys(&["policy"]).iter().find(|it| !narrow.contains(&it.as_str())) {
        Some(key) => Err(document.wrong_key(&["policy", key], problem)),
        None => Ok(()),
    }
}

/// Whether a file could ever be looked at: by its own place, or by a link to it from the current folder up.
pub(crate) fn is_candidate(path: &Path, surroundings: &Surroundings) -> bool {
    let Some(parent) = path.parent() else { return false };
    let in_folder = |it: &Path| it.file_name().is_some_and(|it| it == FOLDER);
    let is_ours = path.file_name().is_some_and(|it| it == Config::FILE)
        || (is(path, "toml") || is(path, "cedar"))
            && (in_folder(parent) || parent.canonicalize().is_ok_and(|it| in_folder(&it)));
    let same =
        |it: PathBuf| path.canonicalize().is_ok_and(|path| it.canonicalize().is_ok_and(|it| it == path));
    is_ours || candidates(surroundings, &mut Vec::new()).into_iter().any(same)
}

/// Files that claim to configure us, nearest first.
fn candidates(surroundings: &Surroundings, notes: &mut Vec<String>) -> Vec<PathBuf> {
    let current = surroundings.current_folder.as_path();
    let root = surroundings.repository().unwrap_or(current);
    let mut paths = Vec::new();
    for folder in current.ancestors().take_while(|it| it.starts_with(root)) {
        paths.extend([folder.join(Config::FILE)].into_iter().filter(|it| it.exists()));
        let mut below: Vec<_> = fs::read_dir(folder.join(FOLDER))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|it| is(it, "toml") || is(it, "cedar"))
            .take(MAX_FILES + 1)
            .collect();
        if below.len() > MAX_FILES {
            let folder = words::path(&folder.join(FOLDER));
            notes.push(format!("{folder} is ignored: it holds more than {MAX_FILES} files"));
            continue;
        }
        below.sort();
        paths.extend(below);
    }
    paths
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|it| it == extension)
}
