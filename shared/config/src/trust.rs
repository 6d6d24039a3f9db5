//! Which files in repositories did a person trust? Their digests, in the user's own folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use policy::{Lists, Source};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    ConfigError, PolicySettings, Surroundings,
    document::Document,
    file,
    narrow::{Narrowing, is_candidate},
    words,
};

/// A file in a repository as it is now, ready to be trusted.
#[derive(Debug)]
pub struct Pin {
    /// Where it is, links resolved.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// What its lists take away.
    pub lists: Lists,
    /// The file itself, if it is a Cedar file.
    pub source: Option<Source>,
    /// Whether exactly this content is trusted already.
    pub known: bool,
}

/// Digests of trusted files.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    files: BTreeMap<String, String>,
}

/// `trusted.toml`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
struct PinsTable {
    files: BTreeMap<String, String>,
}

const FILE: &str = "trusted.toml";
const HEADER: &str = "# Files in repositories that may narrow what is allowed, by the SHA-256 of their content.\n\
                      # Written by `bailiwick trust PATH`; remove a line to trust that file no longer.\n\n[files]\n";

impl Pin {
    /// Reads a file and checks that it can only narrow.
    pub fn of(path: &Path, surroundings: &Surroundings) -> Result<Pin, ConfigError> {
        let path = surroundings.current_folder.join(path);
        let canonical = path.canonicalize().map_err(|error| file::unreadable(&path, &error))?;
        let untrustable = |problem: &str| ConfigError::Untrustable {
            path: words::path(&canonical),
            problem: problem.to_owned(),
        };
        // What is never looked at would narrow nothing, whoever trusts it.
        if !is_candidate(&path, surroundings) {
            return Err(untrustable(
                "expected a bailiwick.toml, or a .toml or .cedar file in a .bailiwick folder",
            ));
        }
        let name = canonical.to_str().ok_or_else(|| untrustable("its path is not UTF-8"))?;
        let bytes = file::bytes(&canonical)?;
        let sha256 = digest(&bytes);
        let mut narrowing = Narrowing::default();
        narrowing.add(&canonical, bytes)?;
        let pins = Pins::load(surroundings, &mut Vec::new())?;
        let known = pins.files.get(name) == Some(&sha256);
        let source = narrowing.sources.pop();
        Ok(Pin { path: canonical, sha256, lists: narrowing.lists, source, known })
    }

    /// Adds what the file takes away to what holds, to see whether it loads.
    pub fn apply(&self, policy: &mut PolicySettings) {
        let sources = self.source.iter().cloned().collect();
        Narrowing { lists: self.lists.clone(), sources }.apply(policy);
    }

    /// Records that a person trusts exactly this content. Returns where that is remembered.
    pub fn record(&self, surroundings: &Surroundings) -> Result<PathBuf, ConfigError> {
        let place = pins_file(surroundings).ok_or(ConfigError::NoUserFolder)?;
        let mut pins = Pins::load(surroundings, &mut Vec::new())?;
        pins.files.insert(self.path.to_string_lossy().into_owned(), self.sha256.clone());
        let mut text = HEADER.to_owned();
        for (path, sha256) in pins.files {
            text += &format!("{} = \"{sha256}\"\n", toml::Value::String(path));
        }
        file::replace(&place, &text, 0o600)?;
        Ok(place)
    }
}

impl Pins {
    pub(crate) fn load(surroundings: &Surroundings, notes: &mut Vec<String>) -> Result<Pins, ConfigError> {
        let Some(place) = pins_file(surroundings).filter(|it| file::exists(it)) else {
            return Ok(Pins::default());
        };
        let text = file::trusted_text(&place, notes)?;
        let table: PinsTable = Document::parse(words::path(&place), &text)?.read()?;
        Ok(Pins { files: table.files })
    }

    /// Content of a file, if it is what a person trusted; else a note says what to do.
    pub(crate) fn admit(&self, path: &Path, notes: &mut Vec<String>) -> Option<Vec<u8>> {
        let shown = words::path(path);
        let command = format!("bailiwick trust {}", shell(path));
        let Some(trusted) = path.to_str().and_then(|it| self.files.get(it)) else {
            notes.push(format!(
                "{shown} is ignored, since a repository does not decide what is allowed in it; to let it narrow \
                 that, read it and run `{command}`"
            ));
            return None;
        };
        match file::bytes(path) {
            Ok(bytes) if digest(&bytes) == *trusted => Some(bytes),
            Ok(_) => {
                notes.push(format!(
                    "{shown} is ignored, since it changed after it was trusted; read it and run `{command}`"
                ));
                None
            }
            Err(error) => {
                notes.push(format!("{shown} is trusted and yet ignored: {error}"));
                None
            }
        }
    }

    /// A trusted file that was removed narrows nothing any more, which somebody should know.
    pub(crate) fn note_gone(&self, root: &Path, notes: &mut Vec<String>) {
        let Ok(root) = root.canonicalize() else { return };
        let below = self.files.keys().map(Path::new).filter(|it| it.starts_with(&root));
        for path in below.filter(|it| !it.exists()) {
            notes.push(format!("{} was trusted to narrow what is allowed, and is gone", words::path(path)));
        }
    }
}

fn pins_file(surroundings: &Surroundings) -> Option<PathBuf> {
    surroundings.user_folder().map(|it| it.join(FILE))
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = words::path(path);
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-+@:,".contains(it);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
