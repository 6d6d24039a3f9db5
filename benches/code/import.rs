//! Large repositories made on the spot, the same in every run.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// A bare repository that is being filled.
pub(crate) struct Import {
    pub(crate) folder: TempDir,
    git: Child,
    /// What `git fast-import` reads.
    pub(crate) stream: BufWriter<ChildStdin>,
}

/// The same numbers in every run (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Import {
    pub(crate) fn start() -> anyhow::Result<Import> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let bare = folder.path().join("bare.git");
        let made = git(folder.path())
            .args(["init", "--quiet", "--bare", "--initial-branch=main", "bare.git"])
            .status()?;
        ensure!(made.success(), "git cannot make a repository");
        // Packing hard would take most of the run and change little of what is measured.
        let mut git = git(&bare)
            .args(["-c", "core.compression=1", "fast-import", "--quiet", "--done"])
            .stdin(Stdio::piped())
            .spawn()
            .context("git is installed")?;
        let stream = BufWriter::with_capacity(1 << 20, git.stdin.take().context("its input is a pipe")?);
        Ok(Import { folder, git, stream })
    }

    /// Ends the import and gives where the repository stands.
    pub(crate) fn finish(self) -> anyhow::Result<(TempDir, PathBuf)> {
        let Import { folder, mut git, mut stream } = self;
        stream.write_all(b"done\n")?;
        drop(stream.into_inner().map_err(|it| it.into_error())?);
        ensure!(git.wait()?.success(), "git fast-import failed");
        let bare = folder.path().join("bare.git");
        Ok((folder, bare))
    }
}

impl Numbers {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }
}

/// Git as if nobody had ever configured it.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("HOME", folder);
    git
}
