//! The frames of a journal, read and written here a second time, from the description of the format.

/// One frame.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) content: Vec<u8>,
}

/// Every frame up to the first zeros.
pub(crate) fn frames(mut journal: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    while journal.len() > 9 && journal[8] != 0 {
        let length = u32::from_le_bytes(journal[..4].try_into().unwrap()) as usize;
        all.push(Frame { kind: journal[8], content: journal[9..9 + length].to_vec() });
        journal = &journal[9 + length..];
    }
    all
}

/// A journal of these frames, with right checksums and room behind.
pub(crate) fn rebuild(frames: &[Frame]) -> Vec<u8> {
    let mut journal = Vec::new();
    for Frame { kind, content } in frames {
        let length = (content.len() as u32).to_le_bytes();
        let checked = [length.as_slice(), &[*kind], content].concat();
        journal.extend(length);
        journal.extend(crc32fast::hash(&checked).to_le_bytes());
        journal.push(*kind);
        journal.extend(content);
    }
    journal.extend([0; 4096]);
    journal
}
