//! How does a log show a witness that it only grew? With the hashes of RFC 6962, section 2.1.2, from its published tiles: as
//! many reads as the tree is deep.

use std::ops::Range;

use crate::{
    Digest,
    merkle::{Tree, node_hash},
    tiles::{Part, WIDTH},
    verify::tree,
};

/// The consistency proof from one size of a tree to the one that its tiles are of; none where they are not whole.
pub(crate) fn growth<E>(
    from: u64,
    size: u64,
    mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<Digest>>, E> {
    let mut hashes = Vec::new();
    for range in tree::extension(from, size) {
        let Some(hash) = root(range, size, &mut read)? else { return Ok(None) };
        hashes.push(hash);
    }
    Ok(Some(hashes))
}

/// The root over a range of leaves that is a node of the tree, or its right edge.
fn root<E>(
    range: Range<u64>,
    size: u64,
    read: &mut impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Digest>, E> {
    let width = range.end - range.start;
    if !width.is_power_of_two() {
        let split = range.start + (1 << width.ilog2());
        let Some(left) = root(range.start..split, size, read)? else { return Ok(None) };
        let right = root(split..range.end, size, read)?;
        return Ok(right.map(|right| node_hash(&left, &right)));
    }
    let level = width.ilog2() / 8;
    let (first, count) = (range.start >> (8 * level), (width >> (8 * level)) as usize);
    let hashes = size >> (8 * level);
    let number = first / WIDTH;
    let wide = if hashes / WIDTH > number { WIDTH } else { hashes % WIDTH };
    let mut bytes = read(&Part::Tile(level).path(number, wide))?;
    if bytes.is_none() {
        // It has become full meanwhile.
        bytes = read(&Part::Tile(level).path(number, WIDTH))?;
    }
    let bytes = bytes.unwrap_or_default();
    let (hashes, _) = bytes.as_chunks::<32>();
    let first = (first % WIDTH) as usize;
    let Some(hashes) = hashes.get(first..first + count) else { return Ok(None) };
    let mut subtree = Tree::default();
    hashes.iter().for_each(|it| subtree.push(*it));
    Ok(Some(subtree.root()))
}
