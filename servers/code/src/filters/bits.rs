//! Which three bytes stand side by side in a content? Kept as a Bloom filter: of what is not there it may say yes, of what
//! is there never no.

/// Three bytes of one line, the first the highest; ASCII letters in lower case.
pub(super) type Gram = u32;

/// Of a filter, for each different gram.
const BITS_EACH: usize = 5;
/// Larger filters are not kept: what has so many different grams is hardly text.
const BYTES_MAX: usize = 32 * 1024;
/// Odd, and without a pattern: one for each bit that a gram sets.
const SPREAD: [u32; 3] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D];
const GRAMS: usize = 1 << 24;

/// Makes filters, one after the other, with the memory that it takes to tell new grams from old ones.
pub(super) struct Maker {
    seen: Vec<u64>,
    found: Vec<Gram>,
}

impl Maker {
    pub(super) fn new() -> Maker {
        Maker { seen: vec![0; GRAMS / 64], found: Vec::new() }
    }

    /// A content's filter; nothing where one that is of use would be too large.
    pub(super) fn bits(&mut self, content: &[u8]) -> Option<Vec<u8>> {
        for gram in grams(content) {
            let (word, bit) = (&mut self.seen[gram as usize / 64], 1 << (gram % 64));
            if *word & bit == 0 {
                *word |= bit;
                self.found.push(gram);
            }
        }
        let bytes = (self.found.len() * BITS_EACH).div_ceil(8).max(1);
        let bits = (bytes <= BYTES_MAX).then(|| {
            let mut bits = vec![0; bytes];
            for gram in &self.found {
                places(*gram, bytes).for_each(|it| bits[it / 8] |= 1 << (it % 8));
            }
            bits
        });
        self.found.drain(..).for_each(|it| self.seen[it as usize / 64] = 0);
        bits
    }
}

/// Whether a content with these bits may hold a gram. Without any bits it may hold anything.
pub(super) fn may_hold(bits: &[u8], gram: Gram) -> bool {
    bits.is_empty() || places(gram, bits.len()).all(|it| bits[it / 8] & (1 << (it % 8)) != 0)
}

/// The grams of a content, in order. None reaches over the end of a line, because no match does.
pub(super) fn grams(content: &[u8]) -> impl Iterator<Item = Gram> {
    let mut last: Gram = 0;
    let mut length = 0;
    content.iter().filter_map(move |byte| {
        last = (last << 8 | Gram::from(byte.to_ascii_lowercase())) & 0x00FF_FFFF;
        length = if *byte == b'\n' { 0 } else { length + 1 };
        (length >= 3).then_some(last)
    })
}

fn places(gram: Gram, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = bytes as u64 * 8;
    SPREAD.into_iter().map(move |it| ((u64::from(gram.wrapping_mul(it)) * bits) >> 32) as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_of_eight_that_are_not_there_passes_at_most() {
        let text: String =
            (0..700).map(|it| format!("value_{} = retry({it});\n", it * 7919 % 1_000)).collect();
        let bits = Maker::new().bits(text.as_bytes()).expect("small");
        let there: HashSet<Gram> = grams(text.as_bytes()).collect();
        let (mut passed, mut absent) = (0, 0);
        for gram in (0..GRAMS as Gram).step_by(97).filter(|it| !there.contains(it)) {
            absent += 1;
            passed += u32::from(may_hold(&bits, gram));
        }
        assert!(passed * 8 <= absent, "{passed} of {absent}");
    }

    #[test]
    fn a_content_of_countless_grams_has_no_filter_and_leaves_no_trace() {
        let mut maker = Maker::new();
        let noise: Vec<u8> =
            (0..400_000_u32).flat_map(|it| it.wrapping_mul(0x9E37_79B1).to_be_bytes()).collect();
        assert_eq!(maker.bits(&noise), None);
        assert_eq!(maker.bits(b"one line"), Maker::new().bits(b"one line"));
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_denied(content in proptest::collection::vec(any::<u8>(), 0..600), fold in any::<bool>()) {
            let bits = Maker::new().bits(&content).expect("small");
            let asked = if fold { content.to_ascii_uppercase() } else { content.clone() };
            for three in asked.windows(3).filter(|it| !it.contains(&b'\n')) {
                for gram in grams(three) {
                    prop_assert!(may_hold(&bits, gram), "{three:?}");
                }
            }
        }
    }
}
