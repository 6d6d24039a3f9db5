//! A machine for one test: a home, a system folder, a repository.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may fail")]

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use config::{Config, Surroundings};
use tempfile::TempDir;

pub(crate) struct Estate {
    folder: TempDir,
    pub(crate) surroundings: Surroundings,
}

pub(crate) fn estate() -> Estate {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("work/Web Shop/.git")).unwrap();
    fs::create_dir_all(root.join("work/Web Shop/src")).unwrap();
    fs::create_dir_all(root.join("home")).unwrap();
    let surroundings = Surroundings {
        variables: [("HOME".to_owned(), root.join("home").to_str().unwrap().to_owned())].into(),
        current_folder: root.to_owned(),
        system_folder: root.join("etc/bailiwick"),
        os_user: "alice".to_owned(),
    };
    Estate { folder, surroundings }
}

impl Estate {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.surroundings.variables.insert(variable.to_owned(), value.to_owned());
    }

    pub(crate) fn stand_in(&mut self, folder: &str) {
        self.surroundings.current_folder = self.path(folder);
    }

    pub(crate) fn load(&self) -> Result<Config, String> {
        Config::load(None, &self.surroundings).map_err(|it| self.plain(&it.to_string()))
    }

    /// Loads a text as the user's configuration.
    pub(crate) fn load_text(&self, text: &str) -> Result<Config, String> {
        self.write("home/.config/bailiwick/bailiwick.toml", text);
        self.load()
    }

    pub(crate) fn notes(&self, config: &Config) -> String {
        self.plain(&config.notes.join("\n"))
    }

    /// The same text on every machine.
    pub(crate) fn plain(&self, text: &str) -> String {
        let canonical = self.folder.path().canonicalize().unwrap();
        text.replace(canonical.to_str().unwrap(), "DIR").replace(self.folder.path().to_str().unwrap(), "DIR")
    }
}
