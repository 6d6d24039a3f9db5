//! Is one log what its writer signed? Its segments one after the other, what was published of it, its head, and whatever
//! others saw of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ed25519_dalek::VerifyingKey as PublicKey;

use super::{
    frames::{self, Frames},
    operator::Deeds,
    place::contradicted,
    published::{Bundles, Came, Comparison, Kept, KeptPayloads, Published},
    report::Alteration,
    seen::{Compared, Sighting, Sightings, Source, What},
    signed::{self, Signed},
    walk::{Account, Given, Walk, Wrong},
};
use crate::{AuditError, Digest, anchor::last_note, error::At, pool::Place};

/// What one log turned out to be.
#[derive(Default)]
pub(crate) struct Judgement {
    pub(crate) it: Account,
    pub(crate) altered: Option<Alteration>,
    /// Bytes behind the last checkpoint.
    pub(crate) behind: u64,
    /// Records whose segments were dropped.
    pub(crate) dropped: u64,
    /// Records under the published checkpoint.
    pub(crate) published: Option<u64>,
    /// Records up to here are those that an anchor shows.
    pub(crate) anchored: u64,
}

/// One file of a journal.
pub(crate) struct Segment {
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

/// What a segment begins with.
struct Header {
    origin: String,
    first: u64,
    subtrees: Vec<Digest>,
}

/// Reads a log and judges it by what others saw of it.
pub(crate) fn judge(
    place: &Place,
    given: &Given<'_>,
    sightings: &Sightings,
) -> Result<Judgement, AuditError> {
    // Before the journal, which is never behind it.
    let published = Published::read(&place.folder.join("tlog"))?;
    let head = head(place, given)?;
    let segments = segments(&place.folder)?;
    let origin = origin(&segments)?;
    let seen = match &origin {
        Some(origin) => sightings.of(origin),
        // Nothing here says which log this was: whatever stood here counts.
        None => sightings.gone(&place.origin_prefix(), &|_| false).map(|(_, it)| it).collect(),
    };
    let mut judging = Judging { given, segments, dropped: 0, behind: 0, altered: None };
    let checkpoint = published.as_ref().map(|it| signed::open(&it.note, given.keys));
    let signed =
        checkpoint.as_ref().and_then(|it| it.as_ref().ok()).filter(|it| Some(&it.origin) == origin.as_ref());
    let beside = [(Source::Published, signed), (Source::Head, head.signed.as_ref())];
    let beside = beside.into_iter().filter_map(|(source, it)| Some((source, it?)));
    let sighting =
        |(source, it): (Source, &Signed)| Sighting { size: it.size, what: What::Root(it.root), source };
    let seen = seen.into_iter().chain(beside.map(sighting)).collect();
    let comparison =
        published.as_ref().zip(signed).map(|(it, signed)| Comparison::new(&it.folder, signed.size));
    let mut walk = Walk::new(given, Compared::new(seen), comparison);
    judging.read(&mut walk, place)?;
    if judging.altered.is_none() && published.is_some() && signed.is_none() {
        judging.altered = Some(Alteration {
            index: 0,
            file: "tlog/checkpoint".to_owned(),
            offset: 0,
            problem: "the published checkpoint is none of this log that one of the keys signed".to_owned(),
            likely: "what is published was replaced, or the wrong key was given".to_owned(),
        });
    }
    let mut it = judging.end(walk)?;
    it.published = signed.map(|it| it.size);
    if it.altered.is_none() {
        it.altered = misplaced_log(place, &it.it).or_else(|| given.deeds.trust.beyond(&it.it, false));
    }
    if head.spoilt && it.it.stopped && !place.is_held() {
        it.it.findings.add(|| "the head beside the journal is not what was written".to_owned());
    }
    Ok(it)
}

/// Reads one log file by file.
struct Judging<'a> {
    given: &'a Given<'a>,
    segments: Vec<Segment>,
    dropped: u64,
    behind: u64,
    altered: Option<Alteration>,
}

impl Judging<'_> {
    fn read(&mut self, walk: &mut Walk<'_>, place: &Place) -> Result<(), AuditError> {
        let segments = std::mem::take(&mut self.segments);
        if let Some(first) = segments.first().filter(|it| it.first > 0) {
            self.dropped(walk, place, first)?;
        }
        for (number, segment) in segments.iter().enumerate() {
            if self.altered.is_some() {
                return Ok(());
            }
            self.segment(walk, segment, number + 1 == segments.len())?;
        }
        Ok(())
    }

    /// Reads records whose segments are gone from what was published, and their payloads from where they were put.
    fn dropped(&mut self, walk: &mut Walk<'_>, place: &Place, first: &Segment) -> Result<(), AuditError> {
        if let Some(origin) = origin(std::slice::from_ref(first))? {
            walk.name(&origin);
        }
        let mut leaves = Bundles::new(&place.folder.join("tlog"), first.first);
        let mut payloads = KeptPayloads::new(&place.folder);
        loop {
            let index = walk.tree.size();
            let wrong = match leaves.next()? {
                Came::End => break,
                Came::Missing => Some(Wrong {
                    index,
                    problem: format!(
                        "the journal begins at record {}, and nothing published holds {index}",
                        first.first
                    ),
                    likely: "a segment was removed",
                }),
                Came::Surplus => Some(Wrong {
                    index,
                    problem: "an entry bundle holds more than its records".to_owned(),
                    likely: "what is published was changed",
                }),
                Came::Leaf => match walk.leaf(leaves.leaf())? {
                    Some(wrong) => Some(wrong),
                    None => kept(walk, payloads.next(index)?, index)?,
                },
            };
            if let Some(wrong) = wrong {
                self.wrong(wrong, "tlog", 0);
                return Ok(());
            }
        }
        self.dropped = first.first;
        Ok(())
    }

    fn segment(&mut self, walk: &mut Walk<'_>, segment: &Segment, last: bool) -> Result<(), AuditError> {
        let name = segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut frames = Frames::open(&segment.path)?;
        let (mut end, mut begins) = (0, false);
        loop {
            let offset = frames.offset();
            let Some(kind) = frames.next()? else { break };
            let content = frames.content();
            let wrong = match kind {
                frames::HEADER if offset == 0 => {
                    begins = segment.first > 0;
                    begin(walk, segment, content)
                }
                _ if offset == 0 => Some(misplaced(walk.tree.size())),
                frames::LEAF if !begins => walk.leaf(content)?,
                frames::PAYLOAD if !begins => walk.payload(content)?,
                frames::CHECKPOINT => walk.checkpoint(content, std::mem::take(&mut begins)),
                _ => Some(misplaced(walk.tree.size())),
            };
            if let Some(wrong) = wrong {
                self.wrong(wrong, &name, offset);
                return Ok(());
            }
            if walk.is_whole() && !begins {
                end = frames.offset();
            }
        }
        let offset = frames.offset();
        let behind = frames::behind(&segment.path, end, self.given.keys)?;
        let problem = match (last, behind.signed, behind.bytes) {
            (_, true, _) => "bytes that are no frame, with commits behind them",
            (false, _, 1..) => "bytes behind the last commit of a segment that others follow",
            (false, _, 0) if end == 0 => "a segment without a commit that others follow",
            _ => {
                self.behind = behind.bytes;
                return Ok(());
            }
        };
        let likely = "bytes were changed, or a commit was torn by a loss of power";
        self.wrong(Wrong { index: walk.it.size, problem: problem.to_owned(), likely }, &name, offset);
        Ok(())
    }

    fn wrong(&mut self, wrong: Wrong, file: &str, offset: u64) {
        let Wrong { index, problem, likely } = wrong;
        let (file, likely) = (file.to_owned(), likely.to_owned());
        self.altered = Some(Alteration { index, file, offset, problem, likely });
    }

    /// Compares the whole with what was published and with what others saw.
    fn end(mut self, walk: Walk<'_>) -> Result<Judgement, AuditError> {
        let Walk { mut it, tree, seen, published, .. } = walk;
        let anchored = seen.anchored();
        let mut differs = None;
        if let Some(published) = published.filter(|it| it.size() <= tree.size()) {
            let compared = published.end()?;
            for path in &compared.missing {
                it.findings
                    .add(|| format!("{} is not published; the next start makes it again", path.display()));
            }
            differs = compared.differs;
        }
        if let Some(contradiction) = seen.end(it.size).filter(|_| self.altered.is_none()) {
            self.altered = Some(contradicted(&contradiction, &it, self.given));
        }
        if let Some((index, path)) = differs.filter(|_| self.altered.is_none()) {
            self.altered = Some(Alteration {
                index,
                file: format!("tlog/{}", path.display()),
                offset: 0,
                problem: format!("what is published of record {index} is not what stands in the journal"),
                likely: "what is published was changed".to_owned(),
            });
        }
        let Judging { behind, dropped, altered, .. } = self;
        Ok(Judgement { it, altered, behind, dropped, published: None, anchored })
    }
}

/// A log that stands where it never was: copied, it would be two histories under one name.
fn misplaced_log(place: &Place, it: &Account) -> Option<Alteration> {
    let origin = it.origin.as_ref().filter(|it| !it.starts_with(&place.origin_prefix()))?;
    let problem = format!("this is log {origin}, which was never {}", place.name());
    let likely = "a log was moved or copied here".to_owned();
    Some(Alteration { index: 0, file: String::new(), offset: 0, problem, likely })
}

fn misplaced(index: u64) -> Wrong {
    let problem = "a frame where none of its kind belongs".to_owned();
    Wrong { index, problem, likely: "bytes were changed" }
}

/// The payload of a record whose segment was dropped.
fn kept(walk: &mut Walk<'_>, kept: Kept<'_>, index: u64) -> Result<Option<Wrong>, AuditError> {
    let wrong = |problem: &str, likely| Ok(Some(Wrong { index, problem: problem.to_owned(), likely }));
    match kept {
        Kept::Sealed([]) => Ok(None),
        Kept::Sealed(sealed) => walk.payload(sealed),
        Kept::Missing => {
            wrong("the payload bundle of dropped records is gone or not whole", "a payload was taken away")
        }
        Kept::Surplus => wrong("a payload bundle goes on behind its records", "bytes were added"),
    }
}

fn begin(walk: &mut Walk<'_>, segment: &Segment, content: &[u8]) -> Option<Wrong> {
    let index = walk.tree.size();
    let Some(Header { origin, first, subtrees }) = header(content).filter(|it| it.first == segment.first)
    else {
        let problem = "a header of another format, or of another place".to_owned();
        return Some(Wrong { index, problem, likely: "bytes were changed" });
    };
    match &walk.it.origin {
        Some(known) if *known != origin => {
            let problem = format!("a segment of another log, {origin}");
            return Some(Wrong { index, problem, likely: "parts of another log were put here" });
        }
        Some(_) => {}
        None => walk.name(&origin),
    }
    if first == 0 { None } else { walk.goes_on(first, &subtrees) }
}

/// Reads the first frame of a journal or of a later segment.
fn header(content: &[u8]) -> Option<Header> {
    let mut lines = std::str::from_utf8(content).ok()?.strip_suffix('\n')?.split('\n');
    let later = match lines.next()? {
        "bailiwick journal v1" => false,
        "bailiwick segment v1" => true,
        _ => return None,
    };
    let origin = lines.next()?.to_owned();
    let first = if later { lines.next()? } else { "0" };
    let first: u64 = first.parse().ok().filter(|it: &u64| it.to_string() == first && (*it > 0) == later)?;
    let subtrees = lines.map(|it| hex::decode(it).ok()?.try_into().ok()).collect::<Option<Vec<Digest>>>()?;
    (subtrees.len() == first.count_ones() as usize).then_some(Header { origin, first, subtrees })
}

/// The files of a journal, in the order of their records.
pub(crate) fn segments(folder: &Path) -> Result<Vec<Segment>, AuditError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", folder)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.at("list", folder)?.path();
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        let later = |it: &str| it.parse().ok().filter(|_| it.len() == 20);
        let first = if name == "journal" { Some(0) } else { name.strip_prefix("journal-").and_then(later) };
        found.extend(first.map(|first| Segment { first, path }));
    }
    found.sort_by_key(|it| it.first);
    Ok(found)
}

/// Which log it is, as its first segment says.
fn origin(segments: &[Segment]) -> Result<Option<String>, AuditError> {
    let Some(segment) = segments.first() else { return Ok(None) };
    let mut frames = Frames::open(&segment.path)?;
    let found = frames.next()? == Some(frames::HEADER);
    Ok(found.then(|| header(frames.content())).flatten().map(|it| it.origin))
}

/// The checkpoint in the head beside a journal.
struct Head {
    signed: Option<Signed>,
    /// Whether there is a head that says nothing.
    spoilt: bool,
}

/// The head proves nothing by itself, but the checkpoint in it is signed, and never newer than the journal.
fn head(place: &Place, given: &Given<'_>) -> Result<Head, AuditError> {
    const HEAD_BYTES_MAX: u64 = 1 << 20;
    let path = place.folder.join("head");
    let bytes = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Head { signed: None, spoilt: false });
        }
        other => match other.at("read", &path)?.len() <= HEAD_BYTES_MAX {
            true => fs::read(&path).at("read", &path)?,
            false => Vec::new(),
        },
    };
    let line = bytes.split(|it| *it == b'\n').next().unwrap_or_default();
    let note = serde_json::from_slice(line).ok().and_then(|it: serde_json::Value| {
        let note = it.get("checkpoint")?.as_str()?.to_owned();
        signed::open(note.as_bytes(), given.keys).ok()
    });
    Ok(Head { spoilt: note.is_none(), signed: note })
}

/// Signed heads in a log's own folder: beside the journal, published, and the last one in it.
pub(crate) fn heads_beside(place: &Place, keys: &[PublicKey]) -> Result<Vec<Signed>, AuditError> {
    let given = Given { keys, independent: false, state: None, policies: &[], deeds: &Deeds::default() };
    let published = Published::read(&place.folder.join("tlog"))?.map(|it| it.note);
    let last = last_note(place)?.map(String::into_bytes);
    let notes = published.into_iter().chain(last).filter_map(|it| signed::open(&it, keys).ok());
    Ok(head(place, &given)?.signed.into_iter().chain(notes).collect())
}

/// Paths of a journal's files, in the order of their records.
pub(crate) fn segment_paths(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    Ok(segments(folder)?.into_iter().map(|it| it.path).collect())
}
