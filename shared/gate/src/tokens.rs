//! How many tokens will a text take? At most this many.

/// At least as many tokens as any byte-pair tokenizer makes of the text.
pub fn upper_bound(text: &str) -> u64 {
    text.len() as u64
}

/// How many bytes from the start take at most so many tokens.
pub(crate) fn prefix(text: &str, tokens: u64) -> usize {
    text.floor_char_boundary(usize::try_from(tokens).unwrap_or(usize::MAX).min(text.len()))
}
