use std::collections::BTreeMap;

use proptest::{collection, prelude::*};
use tlog_tiles::{TileHashReader, TileReader, tlog};

use super::*;

/// A published tree in memory.
#[derive(Clone, Default)]
struct Shelf(BTreeMap<String, Vec<u8>>);

impl Shelf {
    /// Everything that a tree over these leaves is published as.
    fn of(leaves: &[Vec<u8>]) -> (Shelf, Edge) {
        let (mut shelf, mut edge) = (Shelf::default(), Edge::default());
        for leaf in leaves {
            shelf.0.extend(edge.push(leaf));
        }
        shelf.0.extend(edge.partials());
        (shelf, edge)
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, ()> {
        Ok(self.0.get(path).cloned())
    }
}

/// The oracle's paths hold the height of its tiles as well.
fn without_height(path: &str) -> String {
    path.replacen("tile/8/", "tile/", 1)
}

impl TileReader for Shelf {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        Ok(tiles.iter().map(|it| self.0[&without_height(&it.path())].clone()).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|it| format!("leaf {it}").into_bytes()).collect()
}

fn root_of(leaves: &[Vec<u8>]) -> Digest {
    let mut tree = Tree::default();
    leaves.iter().for_each(|it| tree.push(leaf_hash(it)));
    tree.root()
}

fn oracle(leaves: &[Vec<u8>]) -> ct_merkle::RootHash<sha2_for_oracles::Sha256> {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::new();
    leaves.iter().for_each(|it| tree.push(it.clone()));
    tree.root()
}

#[test]
fn numbers_become_paths_as_the_specification_shows() {
    assert_eq!(digits(0), "000");
    assert_eq!(digits(67), "067");
    assert_eq!(digits(1_234_067), "x001/x234/067");
    assert_eq!(Part::Tile(2).path(1000, 17), "tile/2/x001/000.p/17");
    assert_eq!(Part::Entries.path(5, WIDTH), "tile/entries/005");
}

#[test]
fn the_files_of_seventy_thousand_records_are_those_of_the_specification() {
    let all: Vec<_> = partials(70_000).collect();
    assert_eq!(
        all,
        [(Part::Tile(0), 273, 112), (Part::Tile(1), 1, 17), (Part::Tile(2), 0, 1), (Part::Entries, 273, 112)]
    );
    let of = |wanted| full(0, 70_000).filter(|(part, _)| *part == wanted).count();
    assert_eq!(
        [of(Part::Tile(0)), of(Part::Tile(1)), of(Part::Tile(2)), of(Part::Entries)],
        [273, 1, 0, 273]
    );
    assert_eq!(partials(256).collect::<Vec<_>>(), [(Part::Tile(1), 0, 1)]);
}

#[test]
fn a_tree_of_three_levels_is_read_by_the_oracle() {
    let leaves = leaves(66_000);
    let (shelf, edge) = Shelf::of(&leaves);
    let root = edge.tree().root();
    assert_eq!(root, root_of(&leaves));
    let reader = TileHashReader::new(66_000, tlog::Hash(root), &shelf);
    for index in [0, 255, 256, 65_535, 65_536, 65_999] {
        let proof = tlog::prove_record(66_000, index, &reader).unwrap();
        let hash = tlog::record_hash(&leaves[index as usize]);
        tlog::check_record(&proof, 66_000, tlog::Hash(root), index, hash).unwrap();
    }
}

#[test]
fn a_bundle_that_was_cut_is_none() {
    let (shelf, _) = Shelf::of(&leaves(256));
    let bundle = &shelf.0["tile/entries/000"];
    assert_eq!(entries(bundle).unwrap().len(), 256);
    assert!(entries(&bundle[..bundle.len() - 1]).is_none());
    let mut sealed = Vec::new();
    (0..256).for_each(|it| put_payload(&mut sealed, &vec![1; it]));
    assert_eq!(payloads(&sealed).unwrap()[200], vec![1; 200]);
    assert!(payloads(&sealed[..sealed.len() - 1]).is_none());
    assert!(payloads(&[]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tiles_prove_to_two_oracles_what_the_tree_says(
        sizes in (1usize..1200, 1usize..1200).prop_map(|(a, b)| (a.min(b), a.max(b))),
        at in any::<prop::sample::Index>(),
    ) {
        let (old, new) = sizes;
        let leaves = leaves(new);
        let (shelf, edge) = Shelf::of(&leaves);
        let root = edge.tree().root();
        let old_root = root_of(&leaves[..old]);
        prop_assert_eq!(root, root_of(&leaves));
        prop_assert_eq!(root.to_vec(), oracle(&leaves).as_bytes().to_vec());
        prop_assert_eq!(old_root.to_vec(), oracle(&leaves[..old]).as_bytes().to_vec());
        prop_assert_eq!(tree_at(old as u64, new as u64, |it| shelf.get(it)).unwrap().unwrap().root(), old_root);
        let (old, new) = (old as u64, new as u64);
        let reader = TileHashReader::new(new, tlog::Hash(root), &shelf);
        let index = at.index(leaves.len());
        let proof = tlog::prove_record(new, index as u64, &reader).unwrap();
        let hash = tlog::record_hash(&leaves[index]);
        tlog::check_record(&proof, new, tlog::Hash(root), index as u64, hash).unwrap();
        let proof = proof.into_iter().map(|it| it.0.into());
        let proof: Vec<ct_merkle::digest::Output<sha2_for_oracles::Sha256>> = proof.collect();
        let proof = ct_merkle::InclusionProof::from_digests(&proof);
        oracle(&leaves).verify_inclusion(&leaves[index], index as u64, &proof).unwrap();
        let proof = tlog::prove_tree(new, old, &reader).unwrap();
        tlog::check_tree(&proof, new, tlog::Hash(root), old, tlog::Hash(old_root)).unwrap();
        let proof = proof.into_iter().map(|it| it.0.into());
        let proof: Vec<ct_merkle::digest::Output<sha2_for_oracles::Sha256>> = proof.collect();
        let proof = ct_merkle::ConsistencyProof::from_digests(&proof);
        let before = oracle(&leaves[..old as usize]);
        oracle(&leaves).verify_consistency(&before, &proof).unwrap();
    }

    #[test]
    fn every_file_that_the_oracle_wants_is_there_and_no_other(old in 0u64..1500, more in 0u64..1500) {
        let new = old + more;
        let leaves = leaves(new as usize);
        let (mut shelf, mut edge) = (Shelf::default(), Edge::default());
        for leaf in &leaves[..old as usize] {
            edge.push(leaf);
        }
        for leaf in &leaves[old as usize..] {
            shelf.0.extend(edge.push(leaf));
        }
        shelf.0.extend(edge.partials());
        let mut wanted: Vec<_> = tlog_tiles::Tile::new_tiles(8, old, new)
            .iter().map(|it| without_height(&it.path())).collect();
        // The oracle lists no partial tile that did not change.
        let ours: Vec<_> = full(old, new).map(|(part, number)| part.path(number, WIDTH))
            .chain(partials(new).map(|(part, number, width)| part.path(number, width))).collect();
        prop_assert!(wanted.iter().all(|it| ours.contains(it)), "{:?} {:?}", wanted, ours);
        wanted.sort();
        let mut made: Vec<_> = shelf.0.keys().cloned().collect();
        let mut ours = ours;
        made.sort();
        ours.sort();
        prop_assert_eq!(made, ours);
    }

    #[test]
    fn an_edge_is_read_back_and_goes_on_as_if_it_had_never_stopped(
        first in collection::vec(collection::vec(any::<u8>(), 0..20), 0..600),
        then in collection::vec(collection::vec(any::<u8>(), 0..20), 0..300),
    ) {
        let (mut shelf, edge) = Shelf::of(&first);
        let mut again = Edge::read(first.len() as u64, |it| shelf.get(it)).unwrap().unwrap();
        prop_assert_eq!(again.tree(), edge.tree());
        for leaf in &then {
            shelf.0.extend(again.push(leaf));
        }
        shelf.0.extend(again.partials());
        let all = [first, then].concat();
        let (whole, _) = Shelf::of(&all);
        prop_assert!(whole.0.iter().all(|(path, bytes)| shelf.0.get(path) == Some(bytes)));
        let changed = whole.0.keys().next().cloned();
        if let Some(path) = changed.filter(|it| it.contains(".p/")) {
            let mut spoilt = whole.clone();
            spoilt.0.remove(&path);
            prop_assert!(Edge::read(all.len() as u64, |it| spoilt.get(it)).unwrap().is_none());
        }
    }

    #[test]
    fn an_edge_is_found_in_the_files_of_a_larger_tree(
        leaves in collection::vec(collection::vec(any::<u8>(), 0..20), 0..700),
        at in 0usize..700,
    ) {
        let at = at % (leaves.len() + 1);
        let ((shelf, _), (_, edge)) = (Shelf::of(&leaves), Shelf::of(&leaves[..at]));
        let found = Edge::at(at as u64, leaves.len() as u64, |it| shelf.get(it)).unwrap().unwrap();
        prop_assert_eq!((found.tree(), found.partials()), (edge.tree(), edge.partials()));
    }

    #[test]
    fn arbitrary_bytes_are_no_more_than_no_bundle(bytes in collection::vec(any::<u8>(), 0..400)) {
        let _ = entries(&bytes);
        let _ = payloads(&bytes);
    }
}
