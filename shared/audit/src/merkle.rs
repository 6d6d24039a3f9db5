//! What commits to every record so far? The RFC 6962 tree, kept as its frontier.

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// A tree of `size` leaves: the roots of its full subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    frontier: Vec<Digest>,
}

impl Tree {
    /// The tree with this frontier; none when the number of subtrees does not fit the size.
    pub(crate) fn from_frontier(size: u64, frontier: Vec<Digest>) -> Option<Tree> {
        (frontier.len() == size.count_ones() as usize).then_some(Tree { size, frontier })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn frontier(&self) -> &[Digest] {
        &self.frontier
    }

    /// Adds a leaf by its hash.
    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Every trailing one of the size is a full subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            let left = self.frontier.pop().expect("as many subtrees as ones in the size");
            node = node_hash(&left, &node);
        }
        self.frontier.push(node);
        self.size += 1;
    }

    /// The root hash; of an empty tree the hash of nothing.
    pub(crate) fn root(&self) -> Digest {
        let mut subtrees = self.frontier.iter().rev();
        match subtrees.next() {
            None => Sha256::digest([]).into(),
            Some(smallest) => subtrees.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}

/// Hash of a leaf's bytes.
pub(crate) fn leaf_hash(bytes: &[u8]) -> Digest {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// Hash of two subtrees.
pub(crate) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    /// RFC 6962, section 2.1, as it is written there.
    fn naive(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Sha256::digest([]).into(),
            [only] => leaf_hash(only),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&naive(&leaves[..split]), &naive(&leaves[split..]))
            }
        }
    }

    proptest! {
        #[test]
        fn the_root_is_that_of_rfc_6962(leaves in collection::vec(collection::vec(any::<u8>(), 0..8), 0..70)) {
            let mut tree = Tree::default();
            for (count, leaf) in leaves.iter().enumerate() {
                prop_assert_eq!(tree.root(), naive(&leaves[..count]));
                tree.push(leaf_hash(leaf));
            }
            prop_assert_eq!(tree.root(), naive(&leaves));
            let again = Tree::from_frontier(tree.size(), tree.frontier().to_vec());
            prop_assert_eq!(again, Some(tree));
        }
    }

    #[test]
    fn a_frontier_that_does_not_fit_its_size_is_no_tree() {
        assert_eq!(Tree::from_frontier(3, vec![[0; 32]]), None);
    }

    #[test]
    fn known_roots_are_reproduced() {
        let hex = |tree: &Tree| hex::encode(tree.root());
        let mut tree = Tree::default();
        assert_eq!(hex(&tree), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        tree.push(leaf_hash(b""));
        assert_eq!(hex(&tree), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        tree.push(leaf_hash(&[0]));
        assert_eq!(hex(&tree), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    }
}
