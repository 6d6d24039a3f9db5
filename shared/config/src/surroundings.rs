//! What do we take from the process we run in? Read here, once, and nowhere else.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::words;

/// What a process stands in: environment variables, folders, the user.
#[derive(Clone)]
pub struct Surroundings {
    /// Those of [`Surroundings::VARIABLES`] that are set and not empty.
    pub variables: BTreeMap<String, String>,
    /// Where the process was started.
    pub current_folder: PathBuf,
    /// Configuration for everyone on this machine.
    pub system_folder: PathBuf,
    /// Name of the user that the operating system runs us as.
    pub os_user: String,
}

impl Surroundings {
    /// Environment variables that matter.
    pub const VARIABLES: [&str; 8] = [
        "HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "PROMETHEUS_URL",
        "ALERTMANAGER_URL",
        "RUNNER_ENVIRONMENT",
        "CI_DISPOSABLE_ENVIRONMENT",
    ];

    /// Reads them from this process.
    pub fn from_process() -> io::Result<Surroundings> {
        let variables = Self::VARIABLES.into_iter().filter_map(|name| {
            let value = variable(name)?.to_string_lossy().into_owned();
            (!value.is_empty()).then(|| (name.to_owned(), value))
        });
        Ok(Surroundings {
            variables: variables.collect(),
            current_folder: std::env::current_dir()?,
            system_folder: PathBuf::from("/etc/bailiwick"),
            // $USER is whatever the caller likes; the user id is not.
            os_user: user_name(rustix::process::getuid().as_raw()),
        })
    }

    /// Folder of the user's own configuration.
    pub fn user_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CONFIG_HOME", ".config")
    }

    /// Folder for what can be made again.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CACHE_HOME", ".cache")
    }

    /// Folder for state, unless the configuration names one.
    pub fn state_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_STATE_HOME", ".local/state")
    }

    /// Root of the git repository that the process was started in.
    pub fn repository(&self) -> Option<&Path> {
        self.current_folder.ancestors().find(|it| it.join(".git").exists())
    }

    /// What says that this machine is thrown away when its job is done: GitHub's own runners, GitLab's disposable ones.
    pub(crate) fn disposable(&self) -> Option<String> {
        let github = self.variable("RUNNER_ENVIRONMENT").filter(|it| *it == "github-hosted");
        let gitlab = self.variable("CI_DISPOSABLE_ENVIRONMENT").filter(|it| *it == "true");
        let said = |name: &str, it: &str| format!("{name}={it}");
        github
            .map(|it| said("RUNNER_ENVIRONMENT", it))
            .or(gitlab.map(|it| said("CI_DISPOSABLE_ENVIRONMENT", it)))
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|it| !it.is_empty())
    }

    /// A relative path in an XDG variable is invalid and must be ignored, says the XDG specification.
    fn folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let absolute = |it: &str| Some(PathBuf::from(it)).filter(|it| it.is_absolute());
        let given = self.variable(variable).and_then(absolute);
        let base = given.or_else(|| Some(self.variable("HOME").and_then(absolute)?.join(below_home)))?;
        Some(base.join("bailiwick"))
    }
}

impl fmt::Debug for Surroundings {
    /// An address in a variable may hold a password, so values are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("variables", &self.variables.keys())
            .field("current_folder", &self.current_folder)
            .field("system_folder", &self.system_folder)
            .field("os_user", &self.os_user)
            .finish()
    }
}

/// One variable of this process. It may hold a secret: whoever asks keeps no text of it.
pub fn variable(name: &str) -> Option<OsString> {
    // The standard library panics at such names in some versions.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    std::env::var_os(name)
}

/// Name of a user of this machine, or e.g. `uid-1000` where `/etc/passwd` has none.
pub fn user_name(uid: u32) -> String {
    os_user(uid, &std::fs::read_to_string("/etc/passwd").unwrap_or_default())
}

/// Name of a user id as `/etc/passwd` has it, else `uid-1000`.
fn os_user(uid: u32, passwd: &str) -> String {
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named = entry.filter(|it| it.get(2).and_then(|it| it.parse().ok()) == Some(uid));
    let names = named.filter_map(|it| it.first().copied());
    names
        .filter(|it| words::is_principal(it))
        .map(str::to_owned)
        .next()
        .unwrap_or_else(|| format!("uid-{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_who_the_user_id_says() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(os_user(1000, passwd), "alice");
        assert_eq!(os_user(1001, passwd), "uid-1001");
        assert_eq!(os_user(0, "ro ot:x:0:0::/:/bin/sh"), "uid-0");
    }

    #[test]
    fn debug_shows_no_value_of_a_variable() {
        let variables = [("PROMETHEUS_URL".to_owned(), "http://u:hunter2@host".to_owned())].into();
        let it = Surroundings {
            variables,
            current_folder: "/".into(),
            system_folder: "/etc/bailiwick".into(),
            os_user: "alice".into(),
        };
        assert!(!format!("{it:?}").contains("hunter2"));
    }
}
