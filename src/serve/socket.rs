//! Where is a server that other users of this machine reach, and who may? A socket in a folder that is the server's own.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use rustix::{
    fs::Mode,
    process::{geteuid, umask},
};

/// What the command line says about it.
#[derive(Args)]
pub(crate) struct Options {
    /// Listen on this socket instead; callers are the users of the processes that connect to it
    #[arg(long, value_name = "PATH", conflicts_with = "http")]
    socket: Option<PathBuf>,
    /// Who may connect: 600 its owner, 660 its group too, 666 everybody; 660 with --socket-group, else 600
    #[arg(long, value_name = "MODE", requires = "socket", value_parser = mode)]
    socket_mode: Option<u32>,
    /// Group of the socket
    #[arg(long, value_name = "GROUP", requires = "socket")]
    socket_group: Option<String>,
}

/// Where a socket is to be, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: PathBuf,
    mode: u32,
    group: Option<u32>,
}

/// A socket that is listened on; gone when this is dropped.
pub(crate) struct Bound {
    place: Place,
    /// Device and number of the socket, so that nobody else's is removed.
    made: (u64, u64),
    /// Held by whoever listens: the system lets go of it when the process ends, however it does.
    _lock: File,
}

impl Options {
    /// What is wanted, if a socket is.
    pub(crate) fn place(&self) -> anyhow::Result<Option<Place>> {
        let Some(path) = self.socket.clone() else { return Ok(None) };
        let group = self.socket_group.as_deref().map(group).transpose()?;
        let mode = self.socket_mode.unwrap_or(if group.is_some() { 0o660 } else { 0o600 });
        Ok(Some(Place { path: std::path::absolute(path)?, mode, group }))
    }
}

impl Place {
    /// As people write it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens there, if nobody else does and nobody else could put a socket of theirs in its place.
    pub(crate) fn bind(self) -> anyhow::Result<(UnixListener, Bound)> {
        let folder = self.path.parent().context("a socket has a folder")?;
        check(folder)?;
        let lock = self.lock(folder)?;
        self.make_room()?;
        // Nobody connects before it has the group and the mode that it is to have.
        let before = umask(Mode::from_raw_mode(0o077));
        let bound = UnixListener::bind(&self.path);
        umask(before);
        let listener = bound.with_context(|| format!("{} cannot be listened on", self.path.display()))?;
        let metadata = fs::symlink_metadata(&self.path)?;
        let made = (metadata.dev(), metadata.ino());
        let bound = Bound { place: self, made, _lock: lock };
        let path = &bound.place.path;
        if let Some(group) = bound.place.group {
            chown(path, None, Some(group)).with_context(|| {
                format!("{} cannot be given its group; be a member of it", path.display())
            })?;
        }
        fs::set_permissions(path, Permissions::from_mode(bound.place.mode))?;
        listener.set_nonblocking(true)?;
        Ok((listener, bound))
    }

    /// Two that start at once do not both take a dead socket for their own.
    fn lock(&self, folder: &Path) -> anyhow::Result<File> {
        let name = self.path.file_name().context("a socket has a name")?;
        let path = folder.join(format!(".{}.lock", name.to_string_lossy()));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => anyhow::bail!("another server listens on {} already", self.path.display()),
        }
    }

    /// Removes a socket that nobody listens on, and nothing else.
    fn make_room(&self) -> anyhow::Result<()> {
        let path = self.path.display();
        let found = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.with_context(|| path.to_string())?,
        };
        anyhow::ensure!(
            found.file_type().is_socket(),
            "{path} is no socket; name another path, or remove it"
        );
        match UnixStream::connect(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error).with_context(|| format!("{path}: who listens there?")),
            Ok(_) => anyhow::bail!("somebody listens on {path} already"),
        }
        fs::remove_file(&self.path).with_context(|| path.to_string())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let path = &self.place.path;
        if fs::symlink_metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == self.made) {
            // Left behind, it is replaced by the next one.
            let _stays = fs::remove_file(path);
        }
    }
}

/// Refuses a folder in which, or above which, another user could put something else in the place of the socket.
fn check(folder: &Path) -> anyhow::Result<()> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    let folder = folder.canonicalize().with_context(|| {
        format!(
            "{}: the folder of the socket has to be there, such as RuntimeDirectory= of systemd makes it",
            folder.display()
        )
    })?;
    let us = geteuid().as_raw();
    for (above, it) in folder.ancestors().enumerate() {
        let metadata = fs::metadata(it).with_context(|| it.display().to_string())?;
        let (owner, mode, place) = (metadata.uid(), metadata.mode(), it.display());
        let is_ours = owner == us || above > 0 && owner == 0;
        anyhow::ensure!(
            is_ours,
            "{place} belongs to another user, who could replace the socket; use a folder of our own"
        );
        // In a folder such as /tmp nobody moves what belongs to others; the socket's own is not shared at all.
        let is_kept = mode & OTHERS_WRITE == 0 || above > 0 && mode & STICKY != 0;
        anyhow::ensure!(
            is_kept,
            "{place} can be written by others, who could replace the socket; run `chmod go-w` on it"
        );
    }
    Ok(())
}

/// Reads `--socket-mode`.
fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ (0o600 | 0o660 | 0o666)) => Ok(mode),
        _ => Err("expected 600, 660 or 666".to_owned()),
    }
}

/// The number of a group that `/etc/group` names.
fn group(name: &str) -> anyhow::Result<u32> {
    let groups = fs::read_to_string("/etc/group").context("/etc/group")?;
    let entry = groups.lines().map(|it| it.split(':').collect::<Vec<_>>());
    let named = entry.filter(|it| it.first() == Some(&name)).find_map(|it| it.get(2)?.parse().ok());
    named.with_context(|| format!("--socket-group {name}: /etc/group names no such group"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: PathBuf) -> Place {
        Place { path, mode: 0o600, group: None }
    }

    fn refused(place: Place) -> String {
        place.bind().map(|_| ()).expect_err("refused").to_string()
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced_and_one_that_somebody_does_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).expect("ours"));
        let (listener, bound) = place(path.clone()).bind().expect("nobody listens");
        assert!(refused(place(path.clone())).contains("another server listens"));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        drop((listener, bound));
        assert!(!path.exists(), "it goes with its server");
        // Of one that knows nothing of our lock.
        let theirs = UnixListener::bind(&path).expect("ours");
        assert!(refused(place(path.clone())).contains("somebody listens"));
        drop(theirs);
        fs::remove_file(&path).expect("ours");
        fs::write(&path, "notes").expect("ours");
        assert!(refused(place(path.clone())).contains("is no socket"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "notes");
    }

    #[test]
    fn what_took_the_place_of_a_socket_is_not_removed_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let (_listener, bound) = place(path.clone()).bind().expect("nobody listens");
        fs::remove_file(&path).expect("ours");
        let _theirs = UnixListener::bind(&path).expect("ours");
        drop(bound);
        assert!(path.exists());
    }

    #[test]
    fn a_folder_in_which_others_could_replace_it_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("ours");
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
        for (outer_mode, inner_mode, right) in [
            (0o755, 0o755, true),
            (0o1777, 0o755, true),
            (0o755, 0o775, false),
            (0o755, 0o757, false),
            (0o755, 0o1777, false),
            (0o777, 0o755, false),
            (0o775, 0o700, false),
        ] {
            set(folder.path(), outer_mode);
            set(&inner, inner_mode);
            let bound = place(inner.join("s")).bind();
            assert_eq!(bound.is_ok(), right, "{outer_mode:o} {inner_mode:o}");
        }
        assert!(refused(place(folder.path().join("nowhere/s"))).contains("has to be there"));
    }

    #[test]
    fn a_group_is_given_before_anybody_can_connect() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let ours = rustix::process::getegid().as_raw();
        let place = Place { path: path.clone(), mode: 0o660, group: Some(ours) };
        let _bound = place.bind().expect("nobody listens");
        let found = fs::metadata(&path).expect("there");
        assert_eq!((found.mode() & 0o777, found.gid()), (0o660, ours));
        assert_eq!(group("root").expect("every machine has it"), 0);
        assert!(group("no such group").expect_err("refused").to_string().contains("names no such group"));
    }

    #[test]
    fn a_mode_lets_nobody_in_by_accident() {
        assert_eq!(["600", "660", "666"].map(mode), [Ok(0o600), Ok(0o660), Ok(0o666)]);
        for wrong in ["777", "0", "640", "rw", "1660", ""] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
