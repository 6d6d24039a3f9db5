//! A git repository made on the spot by the real git, the same in every run.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A repository with a work tree on branch `main`; gone when dropped.
pub struct GitRepository {
    folder: TempDir,
    commits: i64,
}

/// One commit to make.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// `Name <address>`.
    pub author: &'a str,
    /// Subject, and a body after an empty line.
    pub message: &'a str,
    /// RFC 3339; none means a minute after the commit before.
    pub at: Option<&'a str>,
    /// Paths and what stands in them from now on; none removes the file.
    pub files: &'a [(&'a str, Option<&'a [u8]>)],
}

impl GitRepository {
    /// When the first commit is made, unless said otherwise: 2026-01-31T10:00:00Z.
    pub const FIRST_S: i64 = 1_769_853_600;

    /// An empty one.
    pub fn new() -> GitRepository {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let repository = GitRepository { folder, commits: 0 };
        fs::create_dir(repository.path()).expect("a temporary folder is writable");
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]);
        repository
    }

    /// A small shop with four commits by two people, a tag `v1.0.0` at the second, and owners for `checkout/`.
    pub fn shop() -> GitRepository {
        let mut shop = GitRepository::new();
        shop.write("README.md", "The shop.\n", "Alice Example <alice@example.com>", "Say what this is");
        shop.commit(&Commit {
            author: "Bob Example <bob@example.com>",
            message: "Add the checkout",
            at: None,
            files: &[
                ("CODEOWNERS", Some(b"* @shop/platform\n/checkout/ @shop/checkout alice@example.com\n")),
                ("checkout/pay.rs", Some(b"pub fn pay() {}\n")),
            ],
        });
        shop.git(&["tag", "v1.0.0"]);
        let retry = "pub fn pay() {\n    retry(3);\n}\n";
        shop.write(
            "checkout/pay.rs",
            retry,
            "Alice Example <alice@example.com>",
            "Retry payments\n\nThree times.",
        );
        shop.write(
            "catalog/list.rs",
            "pub fn list() {}\n",
            "Bob Example <bob@example.com>",
            "List the catalog",
        );
        shop
    }

    /// Its work tree.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Makes a commit and gives its full id.
    pub fn commit(&mut self, commit: &Commit<'_>) -> String {
        for (path, content) in commit.files {
            let path = self.path().join(path);
            match content {
                Some(content) => {
                    let parent = path.parent().expect("a file in the work tree has a folder");
                    fs::create_dir_all(parent).expect("a temporary folder is writable");
                    fs::write(&path, content).expect("a temporary folder is writable");
                }
                None => fs::remove_file(&path).expect("only what is there can be removed"),
            }
        }
        self.git(&["add", "--all", "--force", "."]);
        self.commit_index(commit.author, commit.message, commit.at)
    }

    /// Commits one text file.
    pub fn write(&mut self, path: &str, content: &str, author: &str, message: &str) -> String {
        self.commit(&Commit { author, message, at: None, files: &[(path, Some(content.as_bytes()))] })
    }

    /// Commits what stands in the index, e.g. what `git update-index` put there.
    pub fn commit_index(&mut self, author: &str, message: &str, at: Option<&str>) -> String {
        let (name, address) = author.split_once(" <").expect("an author is `Name <address>`");
        let address = address.trim_end_matches('>');
        let next = format!("{} +0000", Self::FIRST_S + 60 * self.commits);
        let at = at.unwrap_or(&next);
        self.commits += 1;
        let mut command = command(&self.path(), self.folder.path());
        command.args(["commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "-m", message]);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), name);
            command.env(format!("GIT_{who}_EMAIL"), address);
            command.env(format!("GIT_{who}_DATE"), at);
        }
        run(&mut command);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree and gives what it prints, without the line end.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(command(&self.path(), self.folder.path()).args(arguments))
    }
}

impl Default for GitRepository {
    fn default() -> GitRepository {
        GitRepository::new()
    }
}

/// Git as if nobody had ever configured it.
fn command(work: &Path, home: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    command.envs(std::env::var_os("PATH").map(|it| ("PATH", it)));
    command
        .current_dir(work)
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", home)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("TZ", "UTC")
        .args(["-c", "gc.auto=0", "-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null"]);
    command
}

fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|it| panic!("cannot start `git`: {it}; tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_commits_have_the_same_ids_in_every_run() {
        let (one, other) = (GitRepository::shop(), GitRepository::shop());
        let head = one.git(&["rev-parse", "HEAD"]);
        assert_eq!(head, other.git(&["rev-parse", "HEAD"]));
        let second = GitRepository::FIRST_S + 60;
        assert_eq!(one.git(&["show", "-s", "--format=%an %at", "v1.0.0"]), format!("Bob Example {second}"));
    }
}
