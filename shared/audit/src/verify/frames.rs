//! Which bytes of a journal hang together? `[length u32][crc32 u32][kind u8][content]`, little-endian, one frame in memory at a
//! time; and what stands where no frame does.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey as PublicKey;

use super::signed;
use crate::error::{At, AuditError};

/// Longest content of a frame.
const CONTENT_MAX: usize = 320 * 1024;
/// Bytes in front of a content.
pub(crate) const FRONT: usize = 9;

/// What a frame holds, by its byte.
pub(crate) const HEADER: u8 = 1;
/// Canonical JSON.
pub(crate) const LEAF: u8 = 2;
/// Sealed payload of the leaf before it.
pub(crate) const PAYLOAD: u8 = 3;
/// Signed note.
pub(crate) const CHECKPOINT: u8 = 4;

/// Frames of one file, one after the other.
pub(crate) struct Frames {
    file: BufReader<File>,
    path: PathBuf,
    offset: u64,
    content: Vec<u8>,
}

impl Frames {
    /// Kind of a frame that ends a commit.
    pub(crate) const CHECKPOINT: u8 = CHECKPOINT;

    pub(crate) fn open(path: &Path) -> Result<Frames, AuditError> {
        let file = File::open(path).at("open", path)?;
        let file = BufReader::with_capacity(256 * 1024, file);
        Ok(Frames { file, path: path.to_owned(), offset: 0, content: Vec::new() })
    }

    /// Where the next frame begins; after the last one, what is no frame.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What the last frame held.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The kind of the next frame; none where there is no whole frame with the right check. Nothing can be read after that.
    pub(crate) fn next(&mut self) -> Result<Option<u8>, AuditError> {
        let frame = read(&mut self.file, &mut self.content).at("read", &self.path)?;
        self.offset += if frame.is_some() { (FRONT + self.content.len()) as u64 } else { 0 };
        Ok(frame)
    }
}

/// Reads one frame. A length above the bound is not believed, so nobody can have us reserve more than that.
pub(crate) fn read(input: &mut impl Read, content: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut front = [0; FRONT];
    if !fill(input, &mut front)? {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = front;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > CONTENT_MAX || !(HEADER..=CHECKPOINT).contains(&kind) {
        return Ok(None);
    }
    content.resize(length, 0);
    if !fill(input, content)? {
        return Ok(None);
    }
    let mut check = crc32fast::Hasher::new();
    check.update(&[l0, l1, l2, l3, kind]);
    check.update(content);
    Ok((check.finalize() == u32::from_le_bytes([c0, c1, c2, c3])).then_some(kind))
}

/// Whether there was as much as the buffer takes.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

/// What stands behind the last commit of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Bytes up to the last one that is not zero.
    pub(crate) bytes: u64,
    /// Whether a checkpoint that one of the keys signed is among them.
    pub(crate) signed: bool,
}

/// Looks at everything from a place to the end of a file, wherever frames may begin there.
pub(crate) fn behind(path: &Path, from: u64, keys: &[PublicKey]) -> Result<Behind, AuditError> {
    /// A frame with the longest note, so that blocks overlap by it.
    const LAP: usize = FRONT + signed::NOTE_BYTES_MAX;
    let file = File::open(path).at("open", path)?;
    let mut block = vec![0; 8 * LAP];
    let (mut offset, mut it) = (from, Behind { bytes: 0, signed: false });
    loop {
        let got = file.read_at(&mut block, offset).at("read", path)?;
        let here = &block[..got];
        if let Some(last) = here.iter().rposition(|it| *it != 0) {
            it.bytes = offset + last as u64 + 1 - from;
        }
        it.signed = it.signed || holds_checkpoint(here, keys);
        if got <= LAP {
            return Ok(it);
        }
        offset += (got - LAP) as u64;
    }
}

fn holds_checkpoint(block: &[u8], keys: &[PublicKey]) -> bool {
    const BEGIN: &[u8] = b"bailiwick/";
    let mut content = Vec::new();
    let starts = (FRONT..block.len()).filter(|at| block[*at] == BEGIN[0] && block[*at..].starts_with(BEGIN));
    starts.into_iter().any(|at| {
        // Only a kind of frame that can be a note is worth its check.
        block[at - 1] == CHECKPOINT
            && matches!(read(&mut &block[at - FRONT..], &mut content), Ok(Some(CHECKPOINT)))
            && signed::open(&content, keys).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;
    use crate::frame::{Kind, put};

    proptest! {
        #[test]
        fn frames_of_the_writer_are_read(contents in collection::vec(collection::vec(any::<u8>(), 0..300), 0..8)) {
            let mut bytes = Vec::new();
            contents.iter().for_each(|it| put(&mut bytes, Kind::Leaf, it));
            bytes.extend([0; 20]);
            let (mut input, mut content) = (bytes.as_slice(), Vec::new());
            for it in &contents {
                prop_assert_eq!(read(&mut input, &mut content).unwrap(), Some(LEAF));
                prop_assert_eq!(&content, it);
            }
            prop_assert_eq!(read(&mut input, &mut content).unwrap(), None);
        }

        #[test]
        fn arbitrary_bytes_take_no_room(bytes in collection::vec(any::<u8>(), 0..100)) {
            let mut content = Vec::new();
            let _ = read(&mut bytes.as_slice(), &mut content);
            prop_assert!(content.capacity() <= 2 * CONTENT_MAX);
        }
    }
}
