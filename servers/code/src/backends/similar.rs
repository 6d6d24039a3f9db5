//! Which new file is an old one under another name, edited a little? Lines in common, weighed by their length.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use gix::ObjectId;

use super::{
    Opened, Stop,
    touched::{Touched, join},
};

/// Shares of the larger file that must be in both, in percent.
const SHARED_MIN: u64 = 50;
/// Larger and smaller files are not compared: nothing certain follows from a few bytes.
const BYTES_MIN: u64 = 32;
const BYTES_MAX: u64 = 512 * 1024;
/// Bytes that all comparisons of one call read.
const CALL_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files of each kind that are compared, and pairs of them.
const FILES_MAX: usize = 400;
const PAIRS_MAX: usize = 40_000;

/// A file's lines: hash of the line to the bytes it takes in all.
struct Sketch {
    index: usize,
    bytes: u64,
    lines: HashMap<u64, u64>,
}

impl Opened<'_> {
    /// Joins what is gone with what is new and much the same. Gives the files, and whether some were not compared.
    pub(crate) fn join_similar(&self, touched: Vec<Touched>, stop: &Stop) -> (Vec<Touched>, bool) {
        let mut left = CALL_BYTES_MAX;
        let mut is_all = true;
        let mut sketches = |is_gone: bool| {
            let of = touched.iter().enumerate().filter(|(_, it)| match is_gone {
                true => it.after.is_none(),
                false => it.before.is_none(),
            });
            let mut sketches: Vec<Sketch> = Vec::new();
            for (index, it) in of {
                let Some((before, after)) = it.blobs() else { continue };
                let Some(id) = before.or(after) else { continue };
                if sketches.len() >= FILES_MAX || stop.is_reached_now() {
                    is_all = false;
                    break;
                }
                sketches.extend(self.sketch(index, id, &mut left, &mut is_all));
            }
            sketches
        };
        let gone = sketches(true);
        if gone.is_empty() {
            return (touched, !is_all);
        }
        let new = sketches(false);
        let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
        for (count, (old, new)) in
            gone.iter().flat_map(|old| new.iter().map(move |new| (old, new))).enumerate()
        {
            if count >= PAIRS_MAX || stop.is_reached_now() {
                is_all = false;
                break;
            }
            let shared = shared_percent(old, new);
            if shared >= SHARED_MIN {
                pairs.push((shared, new.index, old.index));
            }
        }
        pairs.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        let (mut joined, mut taken) = (HashMap::new(), HashMap::new());
        for (_, new, old) in pairs {
            if !joined.contains_key(&new) && !taken.contains_key(&old) {
                joined.insert(new, old);
                taken.insert(old, new);
            }
        }
        (join(touched, &joined), !is_all)
    }

    fn sketch(&self, index: usize, id: ObjectId, left: &mut u64, is_all: &mut bool) -> Option<Sketch> {
        let size = self.git.find_header(id).ok()?.size();
        if !(BYTES_MIN..=BYTES_MAX).contains(&size) {
            return None;
        }
        let Some(rest) = left.checked_sub(size) else {
            *is_all = false;
            return None;
        };
        *left = rest;
        let content = self.git.find_blob(id).ok()?;
        let mut lines: HashMap<u64, u64> = HashMap::new();
        for line in content.data.split_inclusive(|it| *it == b'\n') {
            let mut hasher = DefaultHasher::new();
            line.hash(&mut hasher);
            *lines.entry(hasher.finish()).or_default() += line.len() as u64;
        }
        Some(Sketch { index, bytes: size, lines })
    }
}

fn shared_percent(one: &Sketch, other: &Sketch) -> u64 {
    let (least, most) = (one.bytes.min(other.bytes), one.bytes.max(other.bytes));
    if least * 100 < most * SHARED_MIN {
        return 0;
    }
    let (few, many) = if one.lines.len() < other.lines.len() { (one, other) } else { (other, one) };
    let shared: u64 =
        few.lines.iter().filter_map(|(line, bytes)| many.lines.get(line).map(|it| it.min(bytes))).sum();
    shared * 100 / most
}
