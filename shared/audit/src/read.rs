//! What do the records say? Leaves as they stand in the tree, payloads opened where their key is there. Reading proves
//! nothing: that is what [`crate::verify`] is for.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    AuditError, Digest,
    error::At,
    frame::{Frames, Kind, Next},
    head,
    keys::Subjects,
    merkle::leaf_hash,
    note::Checkpoint,
    pool::{Place, open_existing, places},
    publish::{CHECKPOINT, Folder, PAYLOADS, TLOG},
    record::Leaf,
    seal::{Salted, Unreadable},
    segment::{Header, Position, Segment, Walk},
    tiles::{self, Part, WIDTH, digits},
};

/// One record, to be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// `<server>/<n>`.
    pub log: String,
    /// Position in its log, from 0.
    pub index: u64,
    /// RFC 6962 leaf hash, in hex, as in the receipt.
    pub leaf_hash: String,
    /// What the tree commits to.
    pub leaf: Value,
    /// What lies beside the tree.
    pub payload: Payload,
}

/// What became of a record's payload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", content = "content", rename_all = "snake_case")]
pub enum Payload {
    /// The record has none.
    None,
    /// It was opened.
    Opened(Value),
    /// Its key was destroyed, or is not here.
    Erased,
    /// It does not belong to its leaf.
    Forged,
}

/// Which records to show; everything that is absent matches.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// `<server>/<n>`.
    pub log: Option<String>,
    /// Server of the tool.
    pub server: Option<String>,
    /// Tool.
    pub tool: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// How the call was decided.
    pub verdict: Option<String>,
    /// What a transition refers to, e.g. the id of an approval.
    pub reference: Option<String>,
    /// At most so many, the latest.
    pub limit: Option<usize>,
}

/// Shows records as they become durable.
pub struct Follow {
    state: PathBuf,
    filter: Filter,
    places: BTreeMap<Place, Reading>,
}

/// A record before its payload is opened.
struct Raw {
    leaf: Leaf,
    hash: Digest,
    sealed: Option<Vec<u8>>,
}

/// Where reading a log goes on: behind a checkpoint, or among the records of dropped segments.
#[derive(Clone, Debug, Default)]
struct Reading {
    position: Position,
    origin: String,
}

/// The latest records that match, in the order of their time.
pub fn records(state: &Path, filter: &Filter) -> Result<Vec<Record>, AuditError> {
    Follow::from_start(state, filter.clone()).poll()
}

/// Visits the records that match, log after log, each in its order; one is in memory at a time, or those of one commit.
/// [`Filter::limit`] bounds nothing here. A log that cannot be read to where it is known to reach is an error at the end, when
/// everything else was visited.
pub(crate) fn each(
    state: &Path,
    filter: &Filter,
    mut visit: impl FnMut(Record, &str) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let mut keys = Subjects::load(state)?;
    let mut short = None;
    for place in places(state)? {
        if filter.log.as_ref().is_some_and(|it| *it != place.name()) {
            continue;
        }
        // Before the journal, which is never behind it.
        let known = known_size(&place)?;
        let mut reading = Reading::default();
        scan(&place, &mut reading, |raw, origin| match filter.matches(&raw.leaf) {
            true => visit(raw.open(&place, origin, keys.as_mut())?, origin),
            false => Ok(()),
        })?;
        let read = reading.position.index;
        if read < known {
            let problem = format!("{read} of {known} records can be read");
            short.get_or_insert(AuditError::Damaged { log: place.name(), problem });
        }
    }
    short.map_or(Ok(()), Err)
}

/// How many records a log had by the head beside it and by what was published.
fn known_size(place: &Place) -> Result<u64, AuditError> {
    let head = head::size(&place.folder)?;
    let path = place.folder.join(TLOG).join(CHECKPOINT);
    let published = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        other => Checkpoint::parse(&other.at("read", &path)?),
    };
    let sizes = [head, published.map(|it| it.size)];
    Ok(sizes.into_iter().flatten().max().unwrap_or(0))
}

/// The record that `<server>/<n>:<index>` names.
pub fn show(state: &Path, selector: &str) -> Result<Record, AuditError> {
    let missing =
        |problem: &str| AuditError::NoRecord { selector: selector.to_owned(), problem: problem.to_owned() };
    let form = "expected <server>/<n>:<index>, e.g. code/0:17";
    let (log, index) = selector.split_once(':').ok_or_else(|| missing(form))?;
    let index: u64 = index.parse().map_err(|_| missing(form))?;
    let place = places(state)?.into_iter().find(|it| it.name() == log);
    let place = place.ok_or_else(|| missing("there is no such log"))?;
    let mut keys = Subjects::load(state)?;
    let (mut found, mut size) = (None, 0);
    scan(&place, &mut Reading::before(&place, index)?, |raw, origin| {
        size = raw.leaf.index + 1;
        if raw.leaf.index == index {
            found = Some(raw.open(&place, origin, keys.as_mut())?);
        }
        Ok(())
    })?;
    found.ok_or_else(|| missing(&format!("the log has {size} records, from 0")))
}

impl Reading {
    /// The last place before a record where reading can begin.
    fn before(place: &Place, index: u64) -> Result<Reading, AuditError> {
        let segments = Segment::list(&place.folder)?;
        let position = match Segment::of(&segments, index) {
            Some(Segment { first, .. }) => Position { segment: *first, offset: 0, index: *first },
            None => Position { index: index / WIDTH * WIDTH, ..Position::default() },
        };
        Ok(Reading { position, origin: String::new() })
    }
}

impl Follow {
    /// Begins with the first record there is; [`Filter::limit`] bounds each poll.
    pub fn from_start(state: &Path, filter: Filter) -> Follow {
        Follow { state: state.to_owned(), filter, places: BTreeMap::new() }
    }

    /// Records that became durable since the last poll. Blocks on the disk, and waits for nothing.
    pub fn poll(&mut self) -> Result<Vec<Record>, AuditError> {
        let mut keys = Subjects::load(&self.state)?;
        let limit = self.filter.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for place in places(&self.state)? {
            if self.filter.log.as_ref().is_some_and(|it| *it != place.name()) {
                continue;
            }
            let reading = self.places.entry(place.clone()).or_default();
            let mut latest = VecDeque::new();
            let mut begun = reading.clone();
            scan(&place, &mut begun, |raw, _| {
                if self.filter.matches(&raw.leaf) {
                    latest.push_back(raw);
                }
                if latest.len() > limit {
                    latest.pop_front();
                }
                Ok(())
            })?;
            *reading = begun;
            for raw in latest {
                found.push((raw.leaf.time, raw.open(&place, &reading.origin, keys.as_mut())?));
            }
        }
        // Records of one log stay in their order: the sort is stable.
        found.sort_by_key(|(time, _)| *time);
        let surplus = found.len().saturating_sub(limit);
        Ok(found.into_iter().skip(surplus).map(|(_, record)| record).collect())
    }
}

impl Filter {
    fn matches(&self, leaf: &Leaf) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        same(&self.server, &leaf.facts.server)
            && same(&self.tool, &leaf.facts.tool)
            && same(&self.verdict, &leaf.facts.verdict)
            && same(&self.reference, &leaf.facts.reference)
            && self.since.is_none_or(|since| leaf.time >= since)
    }
}

impl Raw {
    fn open(self, place: &Place, origin: &str, keys: Option<&mut Subjects>) -> Result<Record, AuditError> {
        let payload = match &self.sealed {
            None => Payload::None,
            Some(sealed) => {
                let subject = self.leaf.facts.subject.as_deref().unwrap_or_default();
                let key = keys.map(|it| it.find_subject(subject)).transpose()?.flatten();
                match Salted::open(sealed, key.as_ref(), origin, self.leaf.index, &self.hash) {
                    Ok(salted) => {
                        serde_json::from_slice(salted.payload()).map_or(Payload::Forged, Payload::Opened)
                    }
                    Err(Unreadable::Erased) => Payload::Erased,
                    Err(Unreadable::Forged) => Payload::Forged,
                }
            }
        };
        Ok(Record {
            log: place.name(),
            index: self.leaf.index,
            leaf_hash: hex::encode(self.hash),
            leaf: serde_json::to_value(&self.leaf).expect("a leaf is plain data"),
            payload,
        })
    }
}

/// Visits the records of whole commits behind a position, and moves it behind the last of them.
fn scan(
    place: &Place,
    position: &mut Reading,
    mut visit: impl FnMut(Raw, &str) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    // A segment that is dropped between listing and reading is read from bundles the next time.
    for _ in 0..3 {
        if scan_once(place, position, &mut visit)? {
            break;
        }
    }
    Ok(())
}

/// False when a segment went away meanwhile.
fn scan_once(
    place: &Place,
    reading: &mut Reading,
    visit: &mut impl FnMut(Raw, &str) -> Result<(), AuditError>,
) -> Result<bool, AuditError> {
    let segments = Segment::list(&place.folder)?;
    let Some(first) = segments.first() else { return Ok(true) };
    let at = reading.position;
    let last = segments.last().map_or(0, |it| it.first);
    let is_listed = |it: &&Segment| it.first == at.segment;
    let shorter = match segments.iter().find(is_listed).map(|it| fs::metadata(&it.path)) {
        Some(Ok(metadata)) => metadata.len() < at.offset,
        Some(Err(_)) => return Ok(false),
        None => at.segment > last,
    };
    if shorter {
        // Another log stands here now.
        *reading = Reading::default();
    }
    let at = reading.position;
    if !segments.iter().any(|it| it.first == at.segment) {
        reading.origin = origin(first)?;
        let Reading { position, origin } = reading;
        let gone = dropped(&place.folder, at.index, first.first, |index, leaf, sealed| {
            let Some(parsed) = Leaf::parse(leaf) else { return Ok(()) };
            let sealed = (!sealed.is_empty()).then(|| sealed.to_vec());
            visit(Raw { leaf: parsed, hash: leaf_hash(leaf), sealed }, origin)?;
            *position = Position { segment: first.first, offset: 0, index: index + 1 };
            Ok(())
        })?;
        if let Some(path) = gone {
            let problem = format!("{path} is gone or not whole, and the journal no longer has its records");
            return Err(AuditError::Damaged { log: place.name(), problem });
        }
        *position = Position { segment: first.first, offset: 0, index: first.first };
    }
    let mut walk = Walk::new(&place.folder, reading.position);
    let mut commit: Vec<Raw> = Vec::new();
    while let Some(kind) = walk.step()? {
        let content = walk.content();
        match kind {
            Kind::Leaf => {
                let Some(leaf) = Leaf::parse(content) else { return Ok(true) };
                commit.push(Raw { leaf, hash: leaf_hash(content), sealed: None });
            }
            Kind::Payload => {
                if let Some(last) = commit.last_mut() {
                    last.sealed = Some(content.to_vec());
                }
            }
            Kind::Checkpoint => {
                if let Some(origin) = walk.origin() {
                    reading.origin = origin.to_owned();
                }
                for raw in commit.drain(..) {
                    visit(raw, &reading.origin)?;
                }
                reading.position = walk.position();
            }
            Kind::Header => {}
        }
    }
    Ok(true)
}

/// The origin that a segment says.
fn origin(segment: &Segment) -> Result<String, AuditError> {
    let Some(file) = open_existing(&segment.path)? else { return Ok(String::new()) };
    let mut frames = Frames::new(BufReader::new(file), 0);
    let header = match frames.step().at("read", &segment.path)? {
        Next::Frame(Kind::Header) => Header::parse(frames.content()),
        _ => None,
    };
    Ok(header.map(|it| it.origin).unwrap_or_default())
}

/// Visits records of dropped segments: index, leaf and sealed payload, empty where there is none. Names the first bundle that
/// is gone or not whole, and ends there.
pub(crate) fn dropped(
    folder: &Path,
    from: u64,
    to: u64,
    mut visit: impl FnMut(u64, &[u8], &[u8]) -> Result<(), AuditError>,
) -> Result<Option<String>, AuditError> {
    let (tlog, sealed) = (Folder::new(&folder.join(TLOG)), Folder::private(&folder.join(PAYLOADS)));
    if from >= to {
        return Ok(None);
    }
    for number in from / WIDTH..to.div_ceil(WIDTH) {
        let path = Part::Entries.path(number, WIDTH);
        let leaves = tlog.get(&path)?.unwrap_or_default();
        let sealed = sealed.get(&digits(number))?.unwrap_or_default();
        let leaves = tiles::entries(&leaves).filter(|it| it.len() as u64 == WIDTH);
        let (Some(leaves), Some(sealed)) = (leaves, tiles::payloads(&sealed)) else {
            return Ok(Some(format!("{TLOG}/{path} or {PAYLOADS}/{}", digits(number))));
        };
        for (at, (leaf, sealed)) in leaves.into_iter().zip(sealed).enumerate() {
            let index = number * WIDTH + at as u64;
            if (from..to).contains(&index) {
                visit(index, leaf, sealed)?;
            }
        }
    }
    Ok(None)
}
