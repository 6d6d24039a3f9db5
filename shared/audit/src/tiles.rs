//! How is the tree cut into files? In tiles of 256 hashes and bundles of 256 entries, as C2SP tlog-tiles says.

use crate::{
    Digest,
    merkle::{Tree, leaf_hash, node_hash},
    record::LEAF_BYTES_MAX,
};

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const WIDTH: u64 = 256;

/// An entry's length stands in 16 bits.
const _: () = assert!(LEAF_BYTES_MAX < u16::MAX as usize);

/// A file of a published tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A hash tile of this level.
    Tile(u32),
    /// An entry bundle.
    Entries,
}

/// The right edge of a tree: the hashes of the last tile of each level and the last entries, as many as are not in full
/// ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Digest>>,
    /// The last entries as they stand in a bundle.
    entries: Vec<u8>,
}

impl Part {
    /// Where it stands below the prefix: `tile/0/x001/067`, and for one that is not full `tile/entries/002.p/17`.
    pub(crate) fn path(self, number: u64, width: u64) -> String {
        let folder = match self {
            Part::Tile(level) => format!("tile/{level}"),
            Part::Entries => "tile/entries".to_owned(),
        };
        match width {
            WIDTH => format!("{folder}/{}", digits(number)),
            _ => format!("{folder}/{}.p/{width}", digits(number)),
        }
    }
}

/// A number as elements of a path: `067`, `x001/x234/067`.
pub(crate) fn digits(number: u64) -> String {
    let mut text = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Every file, with number and width, that a tree of this size has at its right edge and that are not full.
pub(crate) fn partials(size: u64) -> impl Iterator<Item = (Part, u64, u64)> {
    let levels = (0..8).map(move |level| (level, size >> (8 * level)));
    let tiles = levels.map(|(level, hashes)| (Part::Tile(level), hashes / WIDTH, hashes % WIDTH));
    let all = tiles.chain([(Part::Entries, size / WIDTH, size % WIDTH)]);
    all.filter(|(_, _, width)| *width > 0)
}

/// Every full file that a tree of `to` has and one of `from` has not.
pub(crate) fn full(from: u64, to: u64) -> impl Iterator<Item = (Part, u64)> {
    let part = move |level: u32, part| {
        let height = 8 * (level + 1);
        (from >> height..to >> height).map(move |number| (part, number))
    };
    part(0, Part::Entries).chain((0..7).flat_map(move |level| part(level, Part::Tile(level))))
}

/// The root of a full subtree over so many hashes.
fn subtree(hashes: &[Digest]) -> Digest {
    match hashes {
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// The entries of a bundle; none when it is not whole.
pub(crate) fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        found.push(entry);
        bundle = rest;
    }
    Some(found)
}

/// The sealed payloads of a payload bundle; none when it is not whole.
pub(crate) fn payloads(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<4>()?;
        let (sealed, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        found.push(sealed);
        bundle = rest;
    }
    (found.len() as u64 == WIDTH).then_some(found)
}

/// Adds a payload, or that there is none, to a payload bundle.
pub(crate) fn put_payload(bundle: &mut Vec<u8>, sealed: &[u8]) {
    bundle.extend((sealed.len() as u32).to_be_bytes());
    bundle.extend(sealed);
}

/// The tree over the first `size` records of one of `of` records whose tiles can be read; none when they are not whole.
pub(crate) fn tree_at<E>(
    size: u64,
    of: u64,
    read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Tree>, E> {
    Ok(levels_at(size, of, read)?.and_then(|levels| Tree::from_frontier(size, frontier(&levels))))
}

/// Per level the last hashes, not of full tiles, that the first `size` of `of` records have.
fn levels_at<E>(
    size: u64,
    of: u64,
    mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
) -> Result<Option<Vec<Vec<Digest>>>, E> {
    let mut levels = vec![Vec::new(); 8];
    for (part, number, width) in partials(size) {
        let Part::Tile(level) = part else { continue };
        let Some(bytes) = read(&part.path(number, grown(level, number, of)))? else { return Ok(None) };
        let (hashes, _) = bytes.as_chunks::<32>();
        let Some(hashes) = hashes.get(..width as usize) else { return Ok(None) };
        levels[level as usize] = hashes.to_vec();
    }
    Ok(Some(levels))
}

/// How wide a tile of a level is in a tree of so many records: full, or as wide as that has it.
fn grown(level: u32, number: u64, of: u64) -> u64 {
    let hashes = of >> (8 * level);
    if hashes / WIDTH > number { WIDTH } else { hashes % WIDTH }
}

/// The full subtrees of a tree, largest first, from the hashes at its right edge, level by level.
fn frontier(levels: &[Vec<Digest>]) -> Vec<Digest> {
    let mut frontier = Vec::new();
    for level in levels.iter().rev() {
        let mut rest = level.as_slice();
        while !rest.is_empty() {
            // The largest full subtree that the hashes from here on begin with.
            let (first, after) = rest.split_at(1 << rest.len().ilog2());
            frontier.push(subtree(first));
            rest = after;
        }
    }
    frontier
}

impl Edge {
    /// The edge that these files make; none when they are not those of a tree of this size. `read` gives a file's bytes.
    pub(crate) fn read<E>(
        size: u64,
        mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Edge>, E> {
        let mut edge = Edge { size, levels: Vec::new(), entries: Vec::new() };
        let levels = (u64::BITS - size.leading_zeros()).div_ceil(8);
        edge.levels.resize(levels as usize, Vec::new());
        for (part, number, width) in partials(size) {
            let Some(bytes) = read(&part.path(number, width))? else { return Ok(None) };
            match part {
                Part::Tile(level) => {
                    let (hashes, rest) = bytes.as_chunks::<32>();
                    if hashes.len() as u64 != width || !rest.is_empty() {
                        return Ok(None);
                    }
                    edge.levels[level as usize] = hashes.to_vec();
                }
                Part::Entries => edge.entries = bytes,
            }
        }
        let leaves = entries(&edge.entries).map(|all| all.into_iter().map(leaf_hash).collect::<Vec<_>>());
        let hashed = edge.levels.first().cloned().unwrap_or_default();
        Ok((leaves == Some(hashed)).then_some(edge))
    }

    /// The edge behind the first `size` of `of` records, from the files of the larger tree; none when they are not whole. Whose records
    /// they are is said by its tree.
    pub(crate) fn at<E>(
        size: u64,
        of: u64,
        mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Option<Edge>, E> {
        let Some(mut levels) = levels_at(size, of, &mut read)? else { return Ok(None) };
        levels.truncate((u64::BITS - size.leading_zeros()).div_ceil(8) as usize);
        let (number, width) = (size / WIDTH, (size % WIDTH) as usize);
        let mut edge = Edge { size, levels, entries: Vec::new() };
        if width == 0 {
            return Ok(Some(edge));
        }
        let Some(bundle) = read(&Part::Entries.path(number, grown(0, number, of)))? else { return Ok(None) };
        let all = entries(&bundle).unwrap_or_default();
        let Some(ours) = all.get(..width) else { return Ok(None) };
        let hashes: Vec<Digest> = ours.iter().map(|it| leaf_hash(it)).collect();
        let bytes: usize = ours.iter().map(|it| 2 + it.len()).sum();
        edge.entries = bundle[..bytes].to_vec();
        Ok((edge.levels.first() == Some(&hashes)).then_some(edge))
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The tree whose edge it is.
    pub(crate) fn tree(&self) -> Tree {
        Tree::from_frontier(self.size, frontier(&self.levels))
            .expect("a level has as many hashes as the size says")
    }

    /// Adds an entry. Gives every file that it completes.
    pub(crate) fn push(&mut self, leaf: &[u8]) -> Vec<(String, Vec<u8>)> {
        let length = u16::try_from(leaf.len()).expect("a leaf is bounded far below");
        self.entries.extend(length.to_be_bytes());
        self.entries.extend(leaf);
        self.size += 1;
        let mut complete = Vec::new();
        let mut hash = leaf_hash(leaf);
        for level in 0.. {
            if level as usize == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level as usize];
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                break;
            }
            let number = (self.size >> (8 * (level + 1))) - 1;
            if level == 0 {
                let entries = std::mem::take(&mut self.entries);
                complete.push((Part::Entries.path(number, WIDTH), entries));
            }
            hash = subtree(hashes);
            complete.push((Part::Tile(level).path(number, WIDTH), hashes.concat()));
            hashes.clear();
        }
        complete
    }

    /// The files that are not full, as they stand now.
    pub(crate) fn partials(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = |part| match part {
            Part::Tile(level) => self.levels[level as usize].concat(),
            Part::Entries => self.entries.clone(),
        };
        partials(self.size).map(|(part, number, width)| (part.path(number, width), bytes(part))).collect()
    }
}

#[cfg(test)]
mod tests;
