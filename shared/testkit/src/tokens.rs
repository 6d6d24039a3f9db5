//! How many tokens is that, really?

/// Tokens of a text by the o200k vocabulary.
pub fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()
}
