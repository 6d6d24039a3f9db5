//! Which files are there, and what did they hold at that moment?

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files under a folder, sorted; folders named `target` or `.git` are left out.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|it| panic!("{}: {it}", folder.display()));
        for entry in entries.flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a listed file has a type"));
            if kind.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Copies a folder as it stands, even while others write in it: a file that vanishes meanwhile is left out.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let copied = match entry.file_type()? {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            kind if kind.is_file() => fs::copy(entry.path(), &target).map(|_| ()),
            _ => Ok(()),
        };
        match copied {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
