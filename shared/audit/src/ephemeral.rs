//! Does this disk last? Only what is certain counts: memory, and the layer of a container that goes with it.

use std::path::Path;

use rustix::fs::statfs;

/// File systems whose content goes with a machine or a container, by their number in `statfs(2)`.
const VANISHING: [(u32, &str); 3] = [
    (0x0102_1994, "tmpfs, which is memory"),
    (0x8584_58f6, "ramfs, which is memory"),
    (0x794c_7630, "overlay, which goes with its container"),
];

/// What a folder, or the one that it will be made in, stands on, if that does not last.
pub fn vanishing(folder: &Path) -> Option<&'static str> {
    let found = folder.ancestors().find_map(|it| statfs(it).ok())?;
    // Of another width on other machines; the numbers have 32 bits.
    let kind = found.f_type as u32;
    VANISHING.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_last_and_a_folder_that_is_not_made_yet_is_where_it_will_be() {
        if Path::new("/dev/shm").is_dir() {
            assert_eq!(vanishing(Path::new("/dev/shm/not/made/yet")), Some("tmpfs, which is memory"));
        }
        assert_eq!(vanishing(Path::new("/proc/self")), None);
    }
}
