//! How do bytes stand in a journal? Frames of `[length u32][crc32 u32][kind u8][bytes]`, integers little-endian, the check
//! over length, kind and bytes. Zeros where no frame begins are room that was reserved ahead.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

/// Bytes before a frame's content.
pub(crate) const HEAD_BYTES: usize = 9;
/// Most bytes in a frame: a payload at its bound, its seal, and room to spare.
pub(crate) const CONTENT_MAX: usize = 320 * 1024;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Journal format and origin; the first frame.
    Header = 1,
    /// Canonical JSON: what the tree commits to.
    Leaf = 2,
    /// Sealed payload of the leaf before it.
    Payload = 3,
    /// Signed note over everything before it; ends a commit.
    Checkpoint = 4,
}

/// What stands at a place in a journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole frame, its content in [`Frames::content`].
    Frame(Kind),
    /// The end of the file, or zeros.
    End,
    /// Something else.
    Broken(&'static str),
}

/// Reads frames one after the other, one in memory at a time.
pub(crate) struct Frames<R> {
    input: R,
    offset: u64,
    content: Vec<u8>,
}

/// Appends one frame.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, content: &[u8]) {
    debug_assert!(content.len() <= CONTENT_MAX, "bounded by whoever made it");
    let length = (content.len() as u32).to_le_bytes();
    out.extend(length);
    out.extend(check(length, kind as u8, content).to_le_bytes());
    out.push(kind as u8);
    out.extend(content);
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Header, Kind::Leaf, Kind::Payload, Kind::Checkpoint].into_iter().find(|it| *it as u8 == byte)
    }
}

impl<R: Read> Frames<R> {
    /// Reads from `input`, which stands at `offset` of the journal.
    pub(crate) fn new(input: R, offset: u64) -> Frames<R> {
        Frames { input, offset, content: Vec::new() }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Content of the last frame.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Steps over one frame. After anything but a frame the offset stays, and nothing more can be read.
    pub(crate) fn step(&mut self) -> io::Result<Next> {
        let mut head = [0; HEAD_BYTES];
        let got = fill(&mut self.input, &mut head)?;
        if head == [0; HEAD_BYTES] {
            return Ok(Next::End);
        }
        if got < HEAD_BYTES {
            return Ok(Next::Broken("the file ends within a frame"));
        }
        let (length, rest) = head.split_first_chunk::<4>().expect("nine bytes");
        let (crc, kind) = rest.split_first_chunk::<4>().expect("five bytes");
        let size = u32::from_le_bytes(*length) as usize;
        let Some(known) = Kind::from_byte(kind[0]) else { return Ok(Next::Broken("no known kind of frame")) };
        if size > CONTENT_MAX {
            return Ok(Next::Broken("a frame longer than any can be"));
        }
        self.content.resize(size, 0);
        if fill(&mut self.input, &mut self.content)? < size {
            return Ok(Next::Broken("the file ends within a frame"));
        }
        if check(*length, kind[0], &self.content) != u32::from_le_bytes(*crc) {
            return Ok(Next::Broken("a frame whose checksum is wrong"));
        }
        self.offset += (HEAD_BYTES + size) as u64;
        Ok(Next::Frame(known))
    }
}

/// Where the last byte that is not zero ends, at or after `from`; none when there is none.
pub(crate) fn last_written(file: &File, from: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; 64 * 1024];
    let (mut offset, mut last) = (from, None);
    loop {
        let got = file.read_at(&mut block, offset)?;
        if got == 0 {
            return Ok(last);
        }
        if let Some(position) = block[..got].iter().rposition(|it| *it != 0) {
            last = Some(offset + position as u64 + 1);
        }
        offset += got as u64;
    }
}

fn check(length: [u8; 4], kind: u8, content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(&[kind]);
    crc.update(content);
    crc.finalize()
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn frames_read_back(contents in collection::vec(collection::vec(any::<u8>(), 0..300), 0..8), room in 0usize..40) {
            let mut bytes = Vec::new();
            for content in &contents {
                put(&mut bytes, Kind::Leaf, content);
            }
            let end = bytes.len() as u64;
            bytes.extend(vec![0; room]);
            let mut frames = Frames::new(bytes.as_slice(), 0);
            for content in &contents {
                prop_assert_eq!(frames.step().unwrap(), Next::Frame(Kind::Leaf));
                prop_assert_eq!(frames.content(), content.as_slice());
            }
            prop_assert_eq!(frames.step().unwrap(), Next::End);
            prop_assert_eq!(frames.offset(), end);
        }

        #[test]
        fn a_changed_byte_breaks_its_frame(content in collection::vec(any::<u8>(), 0..100), at in 0usize..200, flip in 1u8..) {
            let mut bytes = Vec::new();
            put(&mut bytes, Kind::Leaf, &content);
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let step = Frames::new(bytes.as_slice(), 0).step().unwrap();
            prop_assert!(matches!(step, Next::Broken(_)), "{:?}", step);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in collection::vec(any::<u8>(), 0..400)) {
            let mut frames = Frames::new(bytes.as_slice(), 0);
            while let Next::Frame(_) = frames.step().unwrap() {}
        }
    }
}
