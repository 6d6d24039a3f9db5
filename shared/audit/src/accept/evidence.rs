//! Is what was put aside still what it was? One digest over a folder, which anybody can compute again:
//! `find . -type f ! -path ./lock | LC_ALL=C sort | xargs sha256sum | sha256sum`.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{AuditError, Digest, error::At};

/// Folders within folders, of which a log has few.
const DEPTH_MAX: usize = 16;

/// SHA-256 over one line per file, in the order of their paths: its SHA-256, two spaces, `./` and its path. The lock says nothing.
pub(crate) fn digest_of_folder(folder: &Path) -> Result<Digest, AuditError> {
    let mut files = Vec::new();
    list(folder, Path::new("."), DEPTH_MAX, &mut files)?;
    files.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut all = Sha256::new();
    for file in files.into_iter().filter(|it| it != Path::new("./lock")) {
        let digest = hex::encode(digest_of_file(&folder.join(&file))?);
        all.update(format!("{digest}  "));
        all.update(file.as_os_str().as_encoded_bytes());
        all.update("\n");
    }
    Ok(all.finalize().into())
}

fn list(folder: &Path, below: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), AuditError> {
    let path = folder.join(below);
    for entry in fs::read_dir(&path).at("list", &path)? {
        let entry = entry.at("list", &path)?;
        let kind = entry.file_type().at("read", entry.path())?;
        let below = below.join(entry.file_name());
        if kind.is_dir() && depth > 0 {
            list(folder, &below, depth - 1, found)?;
        } else if kind.is_file() {
            found.push(below);
        }
    }
    Ok(())
}

fn digest_of_file(path: &Path) -> Result<Digest, AuditError> {
    let mut file = File::open(path).at("open", path)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let got = file.read(&mut block).at("read", path)?;
        if got == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&block[..got]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_common_tools_and_the_lock_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tlog")).unwrap();
        fs::write(folder.path().join("journal"), "a").unwrap();
        fs::write(folder.path().join("tlog/checkpoint"), "").unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        let lines = format!("{a}  ./journal\n{empty}  ./tlog/checkpoint\n");
        let expected: Digest = Sha256::digest(lines).into();
        assert_eq!(digest_of_folder(folder.path()).unwrap(), expected);
        fs::write(folder.path().join("lock"), "").unwrap();
        assert_eq!(digest_of_folder(folder.path()).unwrap(), expected);
        fs::write(folder.path().join("journal"), "b").unwrap();
        assert_ne!(digest_of_folder(folder.path()).unwrap(), expected);
    }
}
