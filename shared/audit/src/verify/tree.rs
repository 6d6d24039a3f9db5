//! Which root do these leaves have, and does a proof lead to it? RFC 6962, section 2.1, and RFC 9162, sections 2.1.3.2 and
//! 2.1.4.2, written without a look at what the writer does.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Most hashes in a proof: a tree of 2^64 leaves is no deeper.
pub(crate) const PROOF_MAX: usize = 64;

/// A tree that grows leaf by leaf, kept as the roots of its complete parts, largest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growing {
    size: u64,
    parts: Vec<Part>,
}

/// A complete subtree of `1 << height` leaves.
#[derive(Clone, Copy, Debug)]
struct Part {
    height: u32,
    root: Digest,
}

impl Growing {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete parts, largest first.
    pub(crate) fn parts(&self) -> Vec<Digest> {
        self.parts.iter().map(|it| it.root).collect()
    }

    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut part = Part { height: 0, root: leaf };
        while let Some(left) = self.parts.pop_if(|it| it.height == part.height) {
            part = Part { height: part.height + 1, root: node(&left.root, &part.root) };
        }
        self.parts.push(part);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Digest {
        let root = self.parts.iter().rev().map(|it| it.root).reduce(|right, left| node(&left, &right));
        root.unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// Hash of a leaf.
pub(crate) fn leaf(bytes: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0x00]);
    hash.update(bytes);
    hash.finalize().into()
}

/// Hash over two subtrees.
pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The leaves under every hash of the inclusion proof of a leaf, from its sibling upwards.
pub(crate) fn path(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut low, mut high, mut beside) = (0, size, Vec::new());
    while high - low > 1 {
        let split = low + half(high - low);
        if index < split {
            beside.push(split..high);
            high = split;
        } else {
            beside.push(low..split);
            low = split;
        }
    }
    beside.reverse();
    beside
}

/// The leaves under every hash of the consistency proof from a size to a larger one.
pub(crate) fn extension(from: u64, size: u64) -> Vec<Range<u64>> {
    let (mut low, mut high, mut beside) = (0, size, Vec::new());
    if from == 0 || from == size {
        return beside;
    }
    while from < high {
        let split = low + half(high - low);
        if from <= split {
            beside.push(split..high);
            high = split;
        } else {
            beside.push(low..split);
            low = split;
        }
    }
    // The old tree itself is known to whoever asks; a part of it is not.
    if low > 0 {
        beside.push(low..high);
    }
    beside.reverse();
    beside
}

/// The largest power of two below a size of at least two.
fn half(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Whether a proof leads from a leaf at its place to the root.
pub(crate) fn includes(index: u64, hash: &Digest, proof: &[Digest], size: u64, root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut node_here) = (index, size - 1, *hash);
    for beside in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            node_here = node(beside, &node_here);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            node_here = node(&node_here, beside);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && node_here == *root
}

/// Whether a proof shows that the tree of `size` leaves begins with the one of `from` leaves.
pub(crate) fn extends(from: u64, before: &Digest, proof: &[Digest], size: u64, after: &Digest) -> bool {
    if from > size {
        return false;
    }
    if from == size {
        return proof.is_empty() && before == after;
    }
    if from == 0 {
        // Every tree begins with the empty one.
        return proof.is_empty() && *before == Growing::default().root();
    }
    let whole = from.is_power_of_two().then_some(*before);
    let mut proof = whole.into_iter().chain(proof.iter().copied());
    let Some(first) = proof.next() else { return false };
    let (mut place, mut last) = (from - 1, size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (first, first);
    for beside in proof {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            old = node(&beside, &old);
            new = node(&beside, &new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new = node(&new, &beside);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && old == *before && new == *after
}

/// Roots of ranges of leaves, found in one pass over all of them.
pub(crate) struct Ranges {
    wanted: Vec<(Range<u64>, Growing)>,
}

impl Ranges {
    pub(crate) fn new(wanted: Vec<Range<u64>>) -> Ranges {
        Ranges { wanted: wanted.into_iter().map(|it| (it, Growing::default())).collect() }
    }

    pub(crate) fn see(&mut self, index: u64, leaf: Digest) {
        for (_, tree) in self.wanted.iter_mut().filter(|(range, _)| range.contains(&index)) {
            tree.push(leaf);
        }
    }

    /// The roots, in the order they were asked for; none unless every leaf was seen.
    pub(crate) fn roots(self) -> Option<Vec<Digest>> {
        let root = |(range, tree): (Range<u64>, Growing)| {
            (tree.size == range.end - range.start).then(|| tree.root())
        };
        self.wanted.into_iter().map(root).collect()
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
    use proptest::{prelude::*, sample::Index};
    use sha2_for_oracles::Sha256 as Oracle;

    use super::*;

    fn leaves(count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|it| it.to_be_bytes().to_vec()).collect()
    }

    fn grown(leaves: &[Vec<u8>]) -> Growing {
        let mut tree = Growing::default();
        leaves.iter().for_each(|it| tree.push(leaf(it)));
        tree
    }

    fn proof(leaves: &[Vec<u8>], ranges: Vec<Range<u64>>) -> Vec<Digest> {
        let mut ranges = Ranges::new(ranges);
        leaves.iter().enumerate().for_each(|(index, it)| ranges.see(index as u64, leaf(it)));
        ranges.roots().unwrap()
    }

    fn oracle(leaves: &[Vec<u8>]) -> MemoryBackedTree<Oracle, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        leaves.iter().for_each(|it| tree.push(it.clone()));
        tree
    }

    fn oracle_root(leaves: &[Vec<u8>]) -> RootHash<Oracle> {
        RootHash::new(grown(leaves).root().into(), leaves.len() as u64)
    }

    proptest! {
        #[test]
        fn another_implementation_accepts_our_roots_and_inclusion_proofs(size in 1u64..300, at: Index) {
            let leaves = leaves(size);
            let index = at.index(size as usize);
            let ours = proof(&leaves, path(index as u64, size));
            let theirs = oracle(&leaves);
            let (their_root, their_proof) = (theirs.root(), theirs.prove_inclusion(index));
            prop_assert_eq!(their_root.as_bytes().as_slice(), grown(&leaves).root());
            prop_assert_eq!(their_proof.as_bytes(), ours.concat());
            let theirs = InclusionProof::<Oracle>::try_from_bytes(ours.concat()).unwrap();
            let root = oracle_root(&leaves);
            prop_assert!(root.verify_inclusion(&leaves[index], index as u64, &theirs).is_ok());
        }

        #[test]
        fn another_implementation_accepts_our_consistency_proofs(size in 2u64..300, at: Index) {
            let leaves = leaves(size);
            let from = at.index(size as usize - 1) + 1;
            let ours = proof(&leaves, extension(from as u64, size));
            let theirs = ConsistencyProof::<Oracle>::try_from_bytes(ours.concat()).unwrap();
            let (before, after) = (oracle_root(&leaves[..from]), oracle_root(&leaves));
            prop_assert!(after.verify_consistency(&before, &theirs).is_ok());
            let theirs = oracle(&leaves).prove_consistency(leaves.len() - from);
            prop_assert_eq!(theirs.as_bytes(), ours.concat());
        }

        #[test]
        fn a_third_implementation_checks_both(size in 1u64..200, at: Index, before: Index) {
            use tlog_tiles::{Hash, check_record, check_tree};
            let leaves = leaves(size);
            let hash = |it: Digest| Hash(it);
            let index = at.index(size as usize) as u64;
            let ours = proof(&leaves, path(index, size)).into_iter().map(hash).collect();
            let root = hash(grown(&leaves).root());
            let here = hash(leaf(&leaves[index as usize]));
            prop_assert!(check_record(&ours, size, root, index, here).is_ok());
            let from = before.index(size as usize) as u64 + 1;
            let ours = proof(&leaves, extension(from, size)).into_iter().map(hash).collect();
            let old = hash(grown(&leaves[..from as usize]).root());
            prop_assert!(check_tree(&ours, size, root, from, old).is_ok());
        }

        #[test]
        fn proofs_hold_for_what_they_prove_and_for_nothing_else(
            size in 1u64..200, at: Index, before: Index, spoil: Index, bit in 0usize..256,
        ) {
            let leaves = leaves(size);
            let root = grown(&leaves).root();
            let index = at.index(size as usize) as u64;
            let hash = leaf(&leaves[index as usize]);
            let inclusion = proof(&leaves, path(index, size));
            prop_assert!(includes(index, &hash, &inclusion, size, &root));
            let other = spoil.index(size as usize) as u64;
            prop_assert!(other == index || !includes(other, &hash, &inclusion, size, &root));
            prop_assert!(!includes(index, &flip(hash, bit), &inclusion, size, &root));
            prop_assert!(!includes(index, &hash, &inclusion, size, &flip(root, bit)));
            let from = before.index(size as usize) as u64 + 1;
            let old = grown(&leaves[..from as usize]).root();
            let consistency = proof(&leaves, extension(from, size));
            prop_assert!(extends(from, &old, &consistency, size, &root));
            prop_assert!(!extends(from, &flip(old, bit), &consistency, size, &root));
            prop_assert!(!extends(from, &old, &consistency, size, &flip(root, bit)));
            for spoilt in [spoil_one(&inclusion, &spoil, bit), shorter(&inclusion), longer(&inclusion)] {
                prop_assert!(spoilt == inclusion || !includes(index, &hash, &spoilt, size, &root));
            }
            for spoilt in [spoil_one(&consistency, &spoil, bit), shorter(&consistency), longer(&consistency)] {
                prop_assert!(spoilt == consistency || !extends(from, &old, &spoilt, size, &root));
            }
        }

        #[test]
        fn arbitrary_proofs_neither_panic_nor_hold(
            index: u64, size: u64, proof in proptest::collection::vec(any::<Digest>(), 0..70), root: Digest,
        ) {
            prop_assert!(!includes(index, &[7; 32], &proof, size, &root));
            let same = index == size && proof.is_empty() && root == [7; 32];
            prop_assert!(same || !extends(index, &[7; 32], &proof, size, &root));
        }
    }

    fn flip(mut hash: Digest, bit: usize) -> Digest {
        hash[bit / 8] ^= 1 << (bit % 8);
        hash
    }

    fn spoil_one(proof: &[Digest], at: &Index, bit: usize) -> Vec<Digest> {
        let mut proof = proof.to_vec();
        if !proof.is_empty() {
            let at = at.index(proof.len());
            proof[at] = flip(proof[at], bit);
        }
        proof
    }

    fn shorter(proof: &[Digest]) -> Vec<Digest> {
        proof[..proof.len().saturating_sub(1)].to_vec()
    }

    fn longer(proof: &[Digest]) -> Vec<Digest> {
        [proof, &[[0; 32]]].concat()
    }
}
