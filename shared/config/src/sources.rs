//! Which Cedar files are there? Read from disk, with how far each may reach.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use policy::{Scope, Source};

use crate::{ConfigError, file, words};

/// Cedar files that were read, and where.
#[derive(Default)]
pub(crate) struct Sources {
    pub sources: Vec<Source>,
    /// As the system knows them.
    pub paths: Vec<PathBuf>,
}

/// Most files in all.
const MAX_FILES: usize = 1000;

impl Sources {
    /// Reads one file; people know it as `name`.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        name: &Path,
        scope: Scope,
        notes: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        let canonical = path.canonicalize().map_err(|error| file::unreadable(path, &error))?;
        if self.paths.contains(&canonical) {
            return Err(refused(path, "is named twice"));
        }
        if self.paths.len() == MAX_FILES {
            return Err(refused(path, "is one too many: at most 1000 policy files"));
        }
        let text = file::trusted_text(path, notes)?;
        self.sources.push(Source { name: words::path(name), text, scope });
        self.paths.push(canonical);
        Ok(())
    }

    /// Reads a folder with one subfolder per team. What lies in the wrong place is refused: it may be a rule that
    /// somebody relies on.
    pub(crate) fn add_teams(
        &mut self,
        folder: &Path,
        name: &Path,
        notes: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        file::check_folder(folder)?;
        for team in entries(folder)? {
            let path = folder.join(&team);
            if !path.is_dir() {
                match is_cedar(&path) {
                    true => return Err(refused(&path, "belongs into the subfolder of a team")),
                    false => continue,
                }
            }
            if !words::is_word(&team) {
                return Err(refused(&path, "is no team's name: letters, digits, `.`, `_` and `-`"));
            }
            file::check_folder(&path)?;
            for entry in entries(&path)? {
                let file = path.join(&entry);
                if file.is_dir() {
                    return Err(refused(&file, "is a folder within a team's, and none is read"));
                }
                if is_cedar(&file) {
                    let name = name.join(&team).join(&entry);
                    self.add(&file, &name, Scope::Team(team.clone()), notes)?;
                }
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, problem: &str) -> ConfigError {
    ConfigError::Unsafe { path: words::path(path), problem: problem.to_owned() }
}

fn is_cedar(path: &Path) -> bool {
    path.extension().is_some_and(|it| it == "cedar")
}

/// Names of a folder in order, but for hidden ones.
fn entries(folder: &Path) -> Result<Vec<String>, ConfigError> {
    let unreadable = |error: io::Error| file::unreadable(folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(name) = name.to_str() else {
            return Err(refused(&folder.join(&name), "has a name that is not UTF-8"));
        };
        if !name.starts_with('.') {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
