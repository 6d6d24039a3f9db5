//! How many tokens will a text take? At most this many, at the price of one look at each character.
//!
//! A tokenizer's vocabulary would take more memory than everything else here. What is known instead is which three letters
//! follow one another in frequent words: where they do, letters share a token; where they do not, as in keys and digests,
//! they seldom do. The prices were fitted to two vocabularies (`o200k_base`, `cl100k_base`) over prose, code, answers of
//! tools and random texts of every alphabet, so that the sum is above the real count for all, and below 1.6 times of it for
//! what tools answer. Outside of ASCII, the bytes are counted, which no tokenizer exceeds.

/// Prices in hundredths of a token.
mod price {
    /// Short texts vary more than long ones.
    pub(super) const TEXT: u64 = 1400;
    pub(super) const WORD: u64 = 104;
    pub(super) const WORD_AFTER_OTHER: u64 = 94;
    pub(super) const FREQUENT: u64 = 13;
    pub(super) const RARE: u64 = 60;
    pub(super) const CAPITAL_AFTER_CAPITAL: u64 = 64;
    pub(super) const CAPITAL_AFTER_SMALL: u64 = 116;
    pub(super) const SMALL_AFTER_CAPITALS: u64 = 164;
    /// Of up to three.
    pub(super) const DIGITS: u64 = 124;
    pub(super) const BLANK_BEFORE_DIGITS: u64 = 100;
    pub(super) const BLANKS: u64 = 61;
    pub(super) const BLANK_MORE: u64 = 3;
    pub(super) const MARK: u64 = 62;
    pub(super) const MARK_AFTER_BLANK: u64 = 82;
    pub(super) const MARK_AGAIN: u64 = 53;
    pub(super) const MARK_OF_PAIR: u64 = 31;
    pub(super) const MARK_OTHER: u64 = 88;
    pub(super) const LINE_FEED: u64 = 92;
    pub(super) const LINE_FEED_MORE: u64 = 31;
    pub(super) const TAB: u64 = 130;
    pub(super) const BYTE: u64 = 100;
    /// Of dashes, quotation marks, boxes and bars, which are two tokens at most.
    pub(super) const DRAWING: u64 = 200;
    /// Of any one byte: a first digit behind a blank.
    pub(super) const MOST: u64 = DIGITS + BLANK_BEFORE_DIGITS;
}

/// Frequent words and parts of words, one a line.
const WORDS: &[u8] = include_bytes!("tokens/words.txt");
/// Which triples of letters occur in them; the first may be the start of a word.
static TRIPLES: [u64; 308] = triples(WORDS);
/// Marks that share a token with the one before.
const PAIRS: &[u8] =
    b"!! != \"\" \"> ## $( ${ '' (\" (' () ** ++ += -- -= -> .. .( // := :: ); << <= == => >= >> ?. [\" [' [] \"] \"} \": \", ', '] ') \") }, }} ]] ], ){ {\" {} \\\" __ && || </ />";

/// At least as many tokens as common byte-pair tokenizers make of the text.
pub fn upper_bound(text: &str) -> u64 {
    (price::TEXT + hundredths(text)).div_ceil(100)
}

/// At least [`upper_bound`] of any text of so many bytes.
pub(crate) fn ceiling(bytes: usize) -> u64 {
    (price::TEXT + price::MOST * bytes as u64).div_ceil(100)
}

/// The price of a text as a part of another.
pub(crate) fn hundredths(text: &str) -> u64 {
    Prices::of(text).map(|(_, price)| price).sum()
}

/// How many bytes from the start take at most so many tokens more than no text takes, to one token.
pub(crate) fn prefix(text: &str, tokens: u64) -> usize {
    let mut left = tokens * 100;
    for (at, price) in Prices::of(text) {
        match left.checked_sub(price) {
            Some(less) => left = less,
            None => return text.floor_char_boundary(at),
        }
    }
    text.len()
}

/// The price of each byte, given those before it.
struct Prices<'a> {
    bytes: &'a [u8],
    at: usize,
    before: [u8; 2],
    digits: u32,
}

impl<'a> Prices<'a> {
    fn of(text: &'a str) -> Prices<'a> {
        Prices { bytes: text.as_bytes(), at: 0, before: [b' ', b' '], digits: 0 }
    }

    fn price(&self, it: u8) -> u64 {
        let last = self.before[1];
        match it {
            b'a'..=b'z' | b'A'..=b'Z' => self.letter(it),
            b'0'..=b'9' => {
                let first = if self.digits % 3 == 1 { price::DIGITS } else { 0 };
                let blank = last == b' ' && self.digits == 1 && self.at > 0;
                first + if blank { price::BLANK_BEFORE_DIGITS } else { 0 }
            }
            b' ' if last == b' ' && self.at > 0 => price::BLANK_MORE,
            b' ' if self.bytes.get(self.at + 1).is_none_or(|it| *it == b' ') => price::BLANKS,
            // It shares a token with a word or marks, but not with every letter there is.
            b' ' if self.bytes.get(self.at + 1).is_some_and(|it| !it.is_ascii() || it.is_ascii_control()) => {
                price::BYTE
            }
            b' ' => 0,
            b'\n' if last == b'\n' => price::LINE_FEED_MORE,
            b'\n' => price::LINE_FEED,
            b'\t' | b'\r' => price::TAB,
            it if it.is_ascii_punctuation() => match last {
                _ if !last.is_ascii_punctuation() && last != b' ' => price::MARK,
                b' ' => price::MARK_AFTER_BLANK,
                _ if last == it => price::MARK_AGAIN,
                _ if PAIRS.windows(2).any(|pair| pair == [last, it]) => price::MARK_OF_PAIR,
                _ => price::MARK_OTHER,
            },
            _ => match [self.before[0], last, it, self.bytes.get(self.at + 1).copied().unwrap_or_default()] {
                [_, _, 0xE2, next] if draws(next) => price::DRAWING,
                [_, 0xE2, it, _] | [0xE2, it, ..] if draws(it) => 0,
                _ => price::BYTE,
            },
        }
    }

    fn letter(&self, it: u8) -> u64 {
        let [earlier, last] = self.before;
        match (last.is_ascii_alphabetic(), last.is_ascii_uppercase(), it.is_ascii_uppercase()) {
            (false, ..) if last == b' ' => price::WORD,
            (false, ..) => price::WORD_AFTER_OTHER,
            (true, false, true) => price::CAPITAL_AFTER_SMALL,
            (true, true, true) => price::CAPITAL_AFTER_CAPITAL,
            (true, true, false) if earlier.is_ascii_uppercase() => price::SMALL_AFTER_CAPITALS,
            (true, last_is_capital, false) => {
                let earlier = if last_is_capital { b' ' } else { earlier };
                let triple = triple(earlier, last, it);
                let frequent = TRIPLES[triple / 64] >> (triple % 64) & 1 == 1;
                if frequent { price::FREQUENT } else { price::RARE }
            }
        }
    }
}

impl Iterator for Prices<'_> {
    type Item = (usize, u64);

    fn next(&mut self) -> Option<(usize, u64)> {
        let it = *self.bytes.get(self.at)?;
        self.digits = if it.is_ascii_digit() { self.digits + 1 } else { 0 };
        let priced = (self.at, self.price(it));
        self.before = [self.before[1], it];
        self.at += 1;
        Some(priced)
    }
}

/// Whether a character starts with 0xE2 and this: U+2000 to U+203F, U+2500 to U+25FF.
fn draws(it: u8) -> bool {
    matches!(it, 0x80 | 0x94..=0x97)
}

const fn triples(words: &[u8]) -> [u64; 308] {
    let mut found = [0; 308];
    let (mut earlier, mut last, mut at) = (b' ', b' ', 0);
    while at < words.len() {
        let it = words[at];
        if it.is_ascii_alphabetic() {
            if last.is_ascii_alphabetic() {
                let triple = triple(earlier, last, it);
                found[triple / 64] |= 1 << (triple % 64);
            }
            (earlier, last) = (last, it);
        } else {
            (earlier, last) = (b' ', b' ');
        }
        at += 1;
    }
    found
}

const fn triple(earlier: u8, last: u8, it: u8) -> usize {
    (number(earlier) * 27 + number(last)) * 27 + number(it)
}

/// 1 to 26 for a letter, 0 for everything else.
const fn number(it: u8) -> usize {
    if it.is_ascii_alphabetic() { (it.to_ascii_lowercase() - b'a' + 1) as usize } else { 0 }
}

/// The tokenizers that the bound is held against.
#[cfg(test)]
pub(crate) mod real {
    use tiktoken_rs::{cl100k_base_singleton, o200k_base_singleton};

    /// The most tokens that one of them makes of the text.
    pub(crate) fn tokens(text: &str) -> u64 {
        let counts =
            [o200k_base_singleton(), cl100k_base_singleton()].map(|it| it.encode_ordinary(text).len());
        counts.into_iter().max().unwrap_or_default() as u64
    }
}

#[cfg(test)]
mod tests;
