//! What did witnesses see of the logs? Heads that they cosigned, wherever those stand: nobody else can make one, so it counts as
//! if it had been kept elsewhere.

use std::{collections::BTreeMap, path::Path};

use super::{
    LogReport, log_of,
    seen::{Sighting, Sightings, Source, What},
};
use crate::{Anchor, AuditError, WitnessKey, Witnessed, witness};

/// Heads among kept checkpoints that these witnesses cosigned.
pub(super) fn of_anchors(anchors: &[Anchor], witnesses: &[WitnessKey]) -> Vec<Witnessed> {
    let notes = anchors.iter().flat_map(Anchor::notes);
    notes.flat_map(|note| heads(note, witnesses).into_iter().map(|(it, _)| it)).collect()
}

/// Heads in a log's folder that these witnesses cosigned. Whoever can write there can take them away, and no more.
pub(super) fn beside(
    folder: &Path,
    witnesses: &[WitnessKey],
    sightings: &mut Sightings,
) -> Result<Vec<Witnessed>, AuditError> {
    if witnesses.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for note in witness::beside(folder)? {
        for (it, sighting) in heads(&note, witnesses) {
            sightings.add(&it.origin, sighting);
            found.push(it);
        }
    }
    Ok(found)
}

fn heads(note: &[u8], witnesses: &[WitnessKey]) -> Vec<(Witnessed, Sighting)> {
    let head = |key: &WitnessKey| {
        let (head, time) = key.witnessed(note)?;
        let by = key.name().to_owned();
        let source = Source::Witness(by.clone());
        let sighting = Sighting { size: head.size, what: What::Root(head.root), source };
        Some((Witnessed { origin: head.origin, size: head.size, time, by }, sighting))
    };
    witnesses.iter().filter_map(head).collect()
}

/// The largest head of every log that each witness saw.
pub(super) fn latest(all: Vec<Witnessed>) -> Vec<Witnessed> {
    let mut latest: BTreeMap<(String, String), Witnessed> = BTreeMap::new();
    for it in all {
        let place = latest.entry((it.origin.clone(), it.by.clone())).or_insert_with(|| it.clone());
        if (it.size, it.time) > (place.size, place.time) {
            *place = it;
        }
    }
    latest.into_values().collect()
}

/// What no witness saw.
pub(super) fn not_seen(witnesses: &[WitnessKey], logs: &[LogReport], witnessed: &[Witnessed]) -> Vec<String> {
    const WHAT: &str = "so others may be shown another history";
    if witnesses.is_empty() {
        return vec![format!("unwitnessed: nobody else has cosigned a checkpoint, {WHAT}")];
    }
    let mut not_seen = Vec::new();
    for log in logs.iter().filter(|it| !it.gone) {
        let sizes = witnessed.iter().filter(|it| it.origin == log.origin).map(|it| it.size);
        match (sizes.max(), log_of(&log.origin)) {
            (None, name) => not_seen.push(format!(
                "{name} is unwitnessed: no given witness has cosigned a checkpoint of it, {WHAT}"
            )),
            (Some(size), name) if size < log.records => {
                let later = log.records - size;
                not_seen.push(format!("{later} records of {name} are younger than its last cosigned head"));
            }
            _ => {}
        }
    }
    not_seen
}
