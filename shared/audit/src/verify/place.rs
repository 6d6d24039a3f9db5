//! What is reported of one log? Read again where a running process was in the midst of a commit, and put into words.

use std::path::Path;

use super::{
    Place,
    log::{Judgement, judge},
    log_of,
    published::{Bundles, Came, Comparison, Published},
    report::{Alteration, LogReport},
    seen::{Compared, Contradiction, Sighting, Sightings},
    signed,
    walk::{Account, Given, Walk},
};
use crate::AuditError;

/// How often a log that is being written is read again.
const ATTEMPTS: usize = 10;

/// Judges a log of a state folder.
pub(crate) fn report(
    place: &Place,
    given: &Given<'_>,
    sightings: &Sightings,
) -> Result<LogReport, AuditError> {
    let running = place.is_held();
    let mut it = judge(place, given, sightings);
    if running {
        it = settle(it, || judge(place, given, sightings));
    }
    Ok(told(place.name(), running, it?))
}

/// Judges a log that a collector holds, which may be adding to it.
pub(crate) fn collected(
    place: &Place,
    given: &Given<'_>,
    sightings: &Sightings,
) -> Result<LogReport, AuditError> {
    let it = settle(judge(place, given, sightings), || judge(place, given, sightings));
    Ok(told(place.name(), false, it?))
}

/// A commit that a running process makes meanwhile looks torn for a moment, and a segment that it drops is gone; what was
/// altered stays where it is.
fn settle(
    mut it: Result<Judgement, AuditError>,
    mut again: impl FnMut() -> Result<Judgement, AuditError>,
) -> Result<Judgement, AuditError> {
    let place = |it: &Result<Judgement, AuditError>| {
        let altered = it.as_ref().ok()?.altered.as_ref()?;
        Some((altered.file.clone(), altered.offset, altered.likely.clone()))
    };
    for _ in 0..ATTEMPTS {
        let before = place(&it);
        if before.is_none() && it.is_ok() {
            return it;
        }
        it = again();
        if before.is_some() && before == place(&it) {
            return it;
        }
    }
    it.map(|mut it| {
        if it.altered.take().is_some() {
            it.it
                .findings
                .add(|| "it is written so fast that its end could not be read; verify it again".to_owned());
        }
        it
    })
}

/// Reports of a published folder by itself.
pub(crate) fn published(
    folder: &Path,
    given: &Given<'_>,
    sightings: &Sightings,
) -> Result<LogReport, AuditError> {
    Ok(told(folder.display().to_string(), false, judge_published(folder, given, sightings)?))
}

/// Judges a published folder by itself.
pub(crate) fn judge_published(
    folder: &Path,
    given: &Given<'_>,
    sightings: &Sightings,
) -> Result<Judgement, AuditError> {
    let altered = |problem: &str, likely: &str| Alteration {
        index: 0,
        file: "checkpoint".to_owned(),
        offset: 0,
        problem: problem.to_owned(),
        likely: likely.to_owned(),
    };
    let mut it = Judgement::default();
    let note = Published::read(folder)?.map(|it| it.note).unwrap_or_default();
    let checkpoint = match signed::open(&note, given.keys) {
        Ok(checkpoint) => checkpoint,
        Err(_) => {
            it.it.origin = signed::claim(&note).map(|it| it.origin);
            it.altered = Some(altered(
                "a checkpoint that none of the keys signed",
                "it was published with another key, or the wrong key was given",
            ));
            return Ok(it);
        }
    };
    let seen = Compared::new(sightings.of(&checkpoint.origin));
    let mut walk = Walk::new(given, seen, Some(Comparison::new(folder, checkpoint.size)));
    walk.name(&checkpoint.origin);
    it.altered = read(&mut walk, folder, checkpoint.size)?;
    if it.altered.is_none() {
        let wrong = walk.checkpoint(&note, false);
        it.altered =
            wrong.map(|wrong| Alteration { index: wrong.index, ..altered(&wrong.problem, wrong.likely) });
    }
    let Walk { it: account, seen, published, .. } = walk;
    it.anchored = seen.anchored();
    if it.altered.is_none() {
        let compared = published.map(Comparison::end).transpose()?;
        let differs = compared.as_ref().and_then(|it| it.differs.clone());
        let lacks = compared.and_then(|it| it.missing.into_iter().next());
        it.altered = match (differs, lacks) {
            (Some((index, path)), _) => Some(Alteration {
                index,
                file: path.display().to_string(),
                ..altered("a tile that does not belong to the entries", "what is published was changed")
            }),
            (None, Some(path)) => Some(Alteration {
                file: path.display().to_string(),
                ..altered("a tile that the checkpoint needs is not there", "what is published was removed")
            }),
            (None, None) => None,
        };
    }
    let size = account.size;
    it.it = account;
    if let Some(it_is) = seen.end(size).filter(|_| it.altered.is_none()) {
        hold_against(&mut it, &it_is, given);
    }
    if it.altered.is_none() {
        it.altered = given.deeds.trust.beyond(&it.it, true);
    }
    it.published = Some(size);
    Ok(it)
}

/// What is published may be behind what the journal had when another log looked; nothing else may differ.
fn hold_against(it: &mut Judgement, seen: &Contradiction, given: &Given<'_>) {
    let size = it.it.size;
    match seen.short && !seen.sighting.source.is_kept_elsewhere() {
        true => it
            .it
            .findings
            .add(|| format!("{}: the rest was not published yet, or was cut off", seen.problem(size))),
        false => it.altered = Some(contradicted(seen, &it.it, given)),
    }
}

/// Reads every published entry.
fn read(walk: &mut Walk<'_>, folder: &Path, size: u64) -> Result<Option<Alteration>, AuditError> {
    let mut leaves = Bundles::new(folder, size);
    loop {
        let index = walk.tree.size();
        let (problem, likely) = match leaves.next()? {
            Came::End => return Ok(None),
            Came::Missing => {
                (format!("no entry bundle holds record {index}"), "what is published was removed".to_owned())
            }
            Came::Surplus => (
                "an entry bundle holds more than its records".to_owned(),
                "what is published was changed".to_owned(),
            ),
            Came::Leaf => match walk.leaf(leaves.leaf())? {
                Some(wrong) => (wrong.problem, wrong.likely.to_owned()),
                None => {
                    walk.payload_elsewhere();
                    continue;
                }
            },
        };
        return Ok(Some(Alteration { index, file: "tile/entries".to_owned(), offset: 0, problem, likely }));
    }
}

/// What contradicts a log, as an alteration of it.
pub(crate) fn contradicted(it: &Contradiction, of: &Account, given: &Given<'_>) -> Alteration {
    let revoked = of.key.is_some_and(|it| given.deeds.trust.is_revoked(&it));
    Alteration {
        index: it.index,
        file: String::new(),
        offset: 0,
        problem: it.problem(of.size),
        likely: match revoked {
            true => "it was cut, or rebuilt with its own key, which was stolen and is revoked".to_owned(),
            false => it.likely(of.recovered, given.independent),
        },
    }
}

/// A log that somebody saw and that is not here.
pub(crate) fn gone(origin: &str, seen: &Sighting) -> LogReport {
    let mut it = Judgement::default();
    it.it.origin = Some(origin.to_owned());
    it.altered = Some(Alteration {
        index: 0,
        file: String::new(),
        offset: 0,
        problem: format!("log {origin} is gone; {} shows it with {} records", seen.source, seen.size),
        likely: "the whole log was removed, or another one was put in its place".to_owned(),
    });
    LogReport { gone: true, ..told(log_of(origin).to_owned(), false, it) }
}

fn told(log: String, running: bool, judgement: Judgement) -> LogReport {
    let Judgement { it, altered, behind, dropped, published, anchored } = judgement;
    let (mut findings, open) = (it.findings, it.open);
    if altered.is_none() && !running {
        if it.checkpoints == 0 {
            findings.add(|| "it holds no commit".to_owned());
        } else if !it.stopped {
            findings.add(|| "it ends without a stop record: its process was killed".to_owned());
        }
        for intent in &open {
            findings.add(|| format!("intent {intent} has no outcome; the next start calls it unknown"));
        }
        if behind > 0 {
            findings.add(|| {
                format!("{behind} bytes stand behind the last checkpoint: a commit was not completed")
            });
        }
    }
    if it.unexplained > 0 {
        findings.add(|| {
            format!(
                "{} payloads were sealed with keys that are gone, and no record erases them",
                it.unexplained
            )
        });
    }
    if it.restored > 0 {
        findings.add(|| {
            format!(
                "{} payloads can be opened although their subject was erased: its key was put back, or the erasure did not end",
                it.restored
            )
        });
    }
    LogReport {
        log,
        origin: it.origin.unwrap_or_default(),
        running,
        gone: false,
        records: it.size,
        root: hex::encode(it.root),
        last: it.last.map(|it| it.to_string()).unwrap_or_default(),
        checkpoints: it.checkpoints,
        recoveries: it.recoveries,
        dropped,
        published,
        anchored,
        payloads: it.payloads,
        policies: it.policies.iter().map(|(digest, count)| (hex::encode(digest), *count)).collect(),
        in_flight: if running { open.into_iter().collect() } else { Vec::new() },
        unknown: it.approvals.unknown(),
        approvals: it.approvals,
        altered,
        findings: findings.into_vec(),
    }
}
