//! Who has seen a log, and what was it then? Anchors and receipts that somebody kept, the logs beside it, its head, what was
//! published: everything that a log must agree with.

use std::{collections::BTreeMap, fmt};

use crate::Digest;

/// Sightings of one log that are compared; a journal that claims more of them did not come from our program.
const SIGHTINGS_MAX: usize = 200_000;

/// Who has seen a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A checkpoint that was kept elsewhere: the name of its file.
    Anchor(String),
    /// A receipt that was kept elsewhere: the name of its file.
    Receipt(String),
    /// A head that a witness cosigned: the witness.
    Witness(String),
    /// A delivery that a collector declined and kept: its file.
    Declined(String),
    /// Records of another log: its name.
    Sibling(String),
    /// The head beside the journal.
    Head,
    /// The published checkpoint.
    Published,
}

/// What the log was when it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// The root over its records.
    Root(Digest),
    /// The hash of its last record.
    Leaf(Digest),
}

/// A log as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sighting {
    /// Records that it had at least.
    pub(crate) size: u64,
    pub(crate) what: What,
    pub(crate) source: Source,
}

/// Sightings by the origin of the log that was seen.
#[derive(Default)]
pub(crate) struct Sightings {
    by_origin: BTreeMap<String, BTreeMap<(u64, What), Source>>,
    count: usize,
    /// Whether there were more than are compared.
    pub(crate) too_many: bool,
}

impl Source {
    /// Whether it was kept where whoever writes the log can not change it; that is up to who kept it.
    pub(crate) fn is_kept_elsewhere(&self) -> bool {
        matches!(self, Source::Anchor(_) | Source::Receipt(_) | Source::Witness(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Anchor(name) => write!(out, "anchor {name}"),
            Source::Receipt(name) => write!(out, "receipt {name}"),
            Source::Witness(name) => write!(out, "witness {name}"),
            Source::Declined(name) => write!(out, "declined delivery {name}"),
            Source::Sibling(name) => write!(out, "log {name}"),
            Source::Head => write!(out, "the head beside it"),
            Source::Published => write!(out, "its published checkpoint"),
        }
    }
}

impl Sightings {
    /// Equal sightings count once; what was kept elsewhere comes before what stands beside the log.
    pub(crate) fn add(&mut self, origin: &str, sighting: Sighting) {
        if self.count >= SIGHTINGS_MAX {
            self.too_many = true;
            return;
        }
        let Sighting { size, what, source } = sighting;
        let of_log = self.by_origin.entry(origin.to_owned()).or_default();
        let known = of_log.entry((size, what)).or_insert_with(|| {
            self.count += 1;
            source.clone()
        });
        if source < *known {
            *known = source;
        }
    }

    /// Forgets logs that nobody asks about.
    pub(crate) fn retain(&mut self, asked: impl Fn(&str) -> bool) {
        self.by_origin.retain(|origin, _| asked(origin));
    }

    /// Whether anybody has kept elsewhere what a log was.
    pub(crate) fn is_anchored(&self, origin: &str) -> bool {
        self.by_origin.get(origin).is_some_and(|it| it.values().any(Source::is_kept_elsewhere))
    }

    /// Sightings of a log, by size.
    pub(crate) fn of(&self, origin: &str) -> Vec<Sighting> {
        let of_log = self.by_origin.get(origin).into_iter().flatten();
        of_log
            .map(|((size, what), source)| Sighting { size: *size, what: *what, source: source.clone() })
            .collect()
    }

    /// The largest sighting of every log whose origin begins so, unless its origin is among those that are here.
    pub(crate) fn gone<'a>(
        &'a self,
        begins: &'a str,
        here: &'a dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&'a str, Sighting)> {
        let ours =
            self.by_origin.iter().filter(move |(origin, _)| origin.starts_with(begins) && !here(origin));
        ours.filter_map(|(origin, seen)| {
            let ((size, what), source) = seen.last_key_value()?;
            Some((origin.as_str(), Sighting { size: *size, what: *what, source: source.clone() }))
        })
    }
}

/// Compares sightings with a log while it is read.
pub(crate) struct Compared {
    /// By size.
    sightings: Vec<Sighting>,
    next: usize,
    /// Largest size that a sighting agreed with before the first that did not.
    agreed: u64,
    /// The same of what was kept elsewhere.
    anchored: u64,
    differs: Option<usize>,
}

/// What contradicts a log.
pub(crate) struct Contradiction {
    /// First record that nobody vouches for.
    pub(crate) index: u64,
    pub(crate) sighting: Sighting,
    /// Whether the log has fewer records than were seen.
    pub(crate) short: bool,
}

impl Compared {
    pub(crate) fn new(mut sightings: Vec<Sighting>) -> Compared {
        sightings.sort();
        let next = sightings.partition_point(|it| it.size == 0);
        Compared { sightings, next, agreed: 0, anchored: 0, differs: None }
    }

    /// Whether anything was seen at this size.
    pub(crate) fn waits_for(&self, size: u64) -> bool {
        self.sightings.get(self.next).is_some_and(|it| it.size <= size)
    }

    /// The log has this size now, this root and this last leaf.
    pub(crate) fn see(&mut self, size: u64, root: &Digest, leaf: &Digest) {
        while let Some(it) = self.sightings.get(self.next).filter(|it| it.size <= size) {
            let same = match &it.what {
                What::Root(seen) => seen == root,
                What::Leaf(seen) => seen == leaf,
            };
            if !same {
                self.differs = self.differs.or(Some(self.next));
            } else if self.differs.is_none() && matches!(it.what, What::Root(_)) {
                self.agreed = size;
                self.anchored = if it.source.is_kept_elsewhere() { size } else { self.anchored };
            }
            self.next += 1;
        }
    }

    /// Records up to here are those that somebody kept an anchor of.
    pub(crate) fn anchored(&self) -> u64 {
        self.anchored
    }

    /// The first contradiction with a log of so many records.
    pub(crate) fn end(self, size: u64) -> Option<Contradiction> {
        if let Some(it) = self.differs.and_then(|at| self.sightings.get(at))
            && it.size <= size
        {
            return Some(Contradiction { index: self.agreed, sighting: it.clone(), short: false });
        }
        let mut longer = self.sightings.into_iter().rev().filter(|it| it.size > size);
        let longest = longer.next()?;
        // What was kept elsewhere says more than what another log saw, however much that was.
        let is_seen = matches!(longest.source, Source::Sibling(_));
        let kept = longer.find(|it| is_seen && it.source.is_kept_elsewhere());
        Some(Contradiction { index: size, sighting: kept.unwrap_or(longest), short: true })
    }
}

impl Contradiction {
    /// What does not fit, in a sentence.
    pub(crate) fn problem(&self, records: u64) -> String {
        let Sighting { size, what, source } = &self.sighting;
        match (self.short, what) {
            (true, What::Root(_)) => format!("{source} shows {size} records, and there are {records}"),
            (true, What::Leaf(_)) => format!("{source} shows record {}, and there are {records}", size - 1),
            (false, What::Root(_)) => format!("{source} shows other records up to {size}"),
            (false, What::Leaf(_)) => format!("record {} is not the one that {source} shows", size - 1),
        }
    }

    /// What it looks like. `recovered` is the last record in which a start says that a crash came before it.
    pub(crate) fn likely(&self, recovered: Option<u64>, independent: bool) -> String {
        match (self.short, &self.sighting.source, recovered.filter(|at| *at >= self.index)) {
            (false, Source::Declined(_), _) => {
                "its sender rewrote it with its own key, or went on from an older copy; what stands here came first".to_owned()
            }
            (true, source, _) if source.is_kept_elsewhere() => {
                "the tail was cut together with its checkpoints, or an older copy was put in its place"
                    .to_owned()
            }
            (true, ..) => "the tail was cut".to_owned(),
            (false, _, Some(at)) => format!("records were cut before record {at}, which claims a crash"),
            (false, _, None) if independent => "the log was rebuilt with its own key".to_owned(),
            (false, _, None) => "the log was rebuilt, with its own key or another".to_owned(),
        }
    }
}
