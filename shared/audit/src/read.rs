//! What do the records say? Leaves as they stand in the tree, payloads opened where their key is there. Reading proves
//! nothing: that is what [`crate::verify`] is for.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    AuditError, Digest,
    error::At,
    frame::{Frames, Kind, Next},
    keys::Keys,
    merkle::leaf_hash,
    pool::{Place, open_existing, places},
    record::Leaf,
    recover::header,
    seal::{Salted, Unreadable},
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
    /// At most so many, the latest.
    pub limit: Option<usize>,
}

/// Shows records as they become durable.
pub struct Follow {
    state: PathBuf,
    filter: Filter,
    places: BTreeMap<Place, Position>,
}

/// A record before its payload is opened.
struct Raw {
    leaf: Leaf,
    hash: Digest,
    sealed: Option<Vec<u8>>,
}

/// Where reading a journal goes on: always behind a checkpoint.
#[derive(Clone, Debug, Default)]
struct Position {
    offset: u64,
    origin: String,
}

/// The latest records that match, in the order of their time.
pub fn records(state: &Path, filter: &Filter) -> Result<Vec<Record>, AuditError> {
    Follow::from_start(state, filter.clone()).poll()
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
    let mut keys = Keys::load(state)?;
    let mut found = None;
    let mut size = 0;
    let mut position = Position::default();
    scan(&place, &mut position, |raw, origin| {
        size = raw.leaf.index + 1;
        if raw.leaf.index == index {
            found = Some(raw.open(&place, origin, keys.as_mut()));
        }
    })?;
    found.unwrap_or_else(|| Err(missing(&format!("the log has {size} records, from 0"))))
}

impl Follow {
    /// Begins with the first record there is; [`Filter::limit`] bounds each poll.
    pub fn from_start(state: &Path, filter: Filter) -> Follow {
        Follow { state: state.to_owned(), filter, places: BTreeMap::new() }
    }

    /// Records that became durable since the last poll. Blocks on the disk, and waits for nothing.
    pub fn poll(&mut self) -> Result<Vec<Record>, AuditError> {
        let mut keys = Keys::load(&self.state)?;
        let limit = self.filter.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for place in places(&self.state)? {
            if self.filter.log.as_ref().is_some_and(|it| *it != place.name()) {
                continue;
            }
            let position = self.places.entry(place.clone()).or_default();
            let mut latest = VecDeque::new();
            let mut begun = position.clone();
            scan(&place, &mut begun, |raw, _| {
                if self.filter.matches(&raw.leaf) {
                    latest.push_back(raw);
                }
                if latest.len() > limit {
                    latest.pop_front();
                }
            })?;
            *position = begun;
            for raw in latest {
                found.push((raw.leaf.time, raw.open(&place, &position.origin, keys.as_mut())?));
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
            && self.since.is_none_or(|since| leaf.time >= since)
    }
}

impl Raw {
    fn open(self, place: &Place, origin: &str, keys: Option<&mut Keys>) -> Result<Record, AuditError> {
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
fn scan(place: &Place, position: &mut Position, mut visit: impl FnMut(Raw, &str)) -> Result<(), AuditError> {
    let path = place.journal();
    let Some(mut file) = open_existing(&path)? else { return Ok(()) };
    if file.metadata().at("read", &path)?.len() < position.offset {
        // Another log stands here now.
        *position = Position::default();
    }
    file.seek(SeekFrom::Start(position.offset)).at("read", &path)?;
    let mut frames = Frames::new(BufReader::with_capacity(256 * 1024, file), position.offset);
    let mut commit: Vec<Raw> = Vec::new();
    while let Next::Frame(kind) = frames.step().at("read", &path)? {
        let content = frames.content();
        match kind {
            Kind::Header => position.origin = header(content).unwrap_or_default(),
            Kind::Leaf => {
                let Some(leaf) = Leaf::parse(content) else { return Ok(()) };
                commit.push(Raw { leaf, hash: leaf_hash(content), sealed: None });
            }
            Kind::Payload => {
                if let Some(last) = commit.last_mut() {
                    last.sealed = Some(content.to_vec());
                }
            }
            Kind::Checkpoint => {
                commit.drain(..).for_each(|raw| visit(raw, &position.origin));
                position.offset = frames.offset();
            }
        }
    }
    Ok(())
}
