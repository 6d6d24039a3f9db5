//! Is what a collector holds what was sent to it? Every source by the key it was sent under, and all of them by what the logs have
//! seen of each other. What was never sent is missing here, which alters nothing: a collector knows what it acknowledged.

use std::{collections::BTreeMap, path::Path};

use ed25519_dalek::VerifyingKey as PublicKey;

use super::{
    LogReport, Report, Verification,
    claims::claims,
    deeds,
    leaf::Head,
    operator::Deeds,
    place,
    seen::{Sighting, Sightings, Source, What},
    signed::{self, Signed},
    walk::Given,
    witnessed,
};
use crate::{
    AuditError, VerifyingKey, Witnessed,
    anchor::last_note,
    collector::{self, Delivery, REFUSED},
    error::At,
    pool::{Place, names, places},
};

/// A log that a collector holds.
struct Collected {
    place: Place,
    /// `<sender>/<first digits of the key>/<server>/<n>`.
    name: String,
    origin: String,
    size: u64,
}

/// A delivery that was declined and kept: its file, and the checkpoints in it.
struct Kept {
    name: String,
    notes: Vec<Vec<u8>>,
}

impl Verification {
    /// Verifies what a collector holds, from the folder that it keeps. With keys, only their logs are taken for genuine; without,
    /// the key that each source was first sent under counts. Blocks on the disk.
    pub fn run_collected(&self, state: &Path) -> Result<Report, AuditError> {
        let sources = collector::sources(state)?;
        let held = held(&sources)?;
        let sizes: BTreeMap<&str, u64> =
            held.iter().flatten().map(|it| (it.origin.as_str(), it.size)).collect();
        let mut sightings = self.kept();
        let (mut witnessed, mut never_sent) = (Vec::new(), BTreeMap::new());
        let mut books = Vec::new();
        for (source, held) in sources.iter().zip(&held) {
            let keys = self.keys_of(source);
            let mut see = |head: &Head, by: &Source| see(head, by, &sizes, &mut sightings, &mut never_sent);
            for it in held {
                let by = Source::Sibling(it.name.clone());
                claims(&it.place, &keys, |head| see(&head, &by))?;
            }
            let deeds = deeds(&source.folder, &keys)?;
            let by = Source::Sibling(format!("{}/operator", source.sender));
            deeds.trust.heads().filter(|it| it.size > 0).for_each(|it| see(it, &by));
            books.push(deeds);
        }
        for it in held.iter().flatten() {
            witnessed.extend(witnessed::beside(&it.place.folder, &self.witnesses, &mut sightings)?);
        }
        let mut logs = Vec::new();
        for ((source, held), deeds) in sources.iter().zip(&held).zip(&books) {
            let given = self.given(&deeds.trust.keys, Some(&source.folder), deeds);
            for it in held {
                logs.push(report(it, &given, &mut sightings)?);
            }
        }
        Ok(self.told(&sources, logs, &sightings, witnessed, &never_sent))
    }

    fn keys_of(&self, source: &collector::Source) -> Vec<PublicKey> {
        match self.keys.as_slice() {
            [] => vec![*source.key.public()],
            given => given.iter().map(|it| *it.public()).collect(),
        }
    }

    fn told(
        &self,
        sources: &[collector::Source],
        mut logs: Vec<LogReport>,
        sightings: &Sightings,
        witnessed: Vec<Witnessed>,
        never_sent: &BTreeMap<String, u64>,
    ) -> Report {
        for it in &mut logs {
            let here = it.records;
            if let Some(size) = never_sent.get(&it.origin) {
                it.findings.push(format!("another log saw {size} records, and {here} were sent"));
            }
        }
        let mut keys = self.keys.clone();
        if keys.is_empty() {
            sources.iter().for_each(|it| keys.push(it.key.clone()));
            keys.sort_by_key(VerifyingKey::to_string);
            keys.dedup();
        }
        let public: Vec<PublicKey> = keys.iter().map(|it| *it.public()).collect();
        let deeds = Deeds::default();
        let mut report = self.report(&keys, logs, sightings, &self.given(&public, None, &deeds), witnessed);
        let absent = never_sent.keys().filter(|it| !report.logs.iter().any(|log| log.origin == **it)).count();
        if absent > 0 {
            report.not_seen.push(format!("{absent} logs that stood beside these and were never sent here"));
        }
        report
    }
}

/// What is held of every source, log by log.
fn held(sources: &[collector::Source]) -> Result<Vec<Vec<Collected>>, AuditError> {
    let of_source = |source: &collector::Source| {
        let id = source
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .chars()
            .take(8)
            .collect::<String>();
        let mut logs = Vec::new();
        for place in places(&source.folder)? {
            let head = last_note(&place)?.and_then(|it| signed::claim(it.as_bytes()));
            let (origin, size) = head.map_or((String::new(), 0), |it| (it.origin, it.size));
            let name = format!("{}/{id}/{}", source.sender, place.name());
            logs.push(Collected { place, name, origin, size });
        }
        Ok(logs)
    };
    sources.iter().map(of_source).collect()
}

/// A head of another log in the records of one: compared where as much of it is here.
fn see(
    head: &Head,
    by: &Source,
    sizes: &BTreeMap<&str, u64>,
    sightings: &mut Sightings,
    never_sent: &mut BTreeMap<String, u64>,
) {
    match sizes.get(head.origin.as_str()) {
        Some(size) if head.size <= *size => sightings.add(&head.origin, head.seen_by(by)),
        _ => {
            let most = never_sent.entry(head.origin.clone()).or_default();
            *most = head.size.max(*most);
        }
    }
}

/// Judges one log, by what was declined of it too.
fn report(it: &Collected, given: &Given<'_>, sightings: &mut Sightings) -> Result<LogReport, AuditError> {
    let (mut undecided, mut foreign) = (Vec::new(), 0);
    for Kept { name, notes } in kept(&it.place)? {
        let ours: Vec<Signed> = notes.iter().filter_map(|note| signed::open(note, given.keys).ok()).collect();
        foreign += u64::from(ours.is_empty());
        for note in ours.into_iter().filter(|note| note.origin == it.origin) {
            if note.size > it.size {
                undecided.push(format!(
                    "{REFUSED}/{name}: a signed checkpoint over {} records, to which the {} here did not lead",
                    note.size, it.size
                ));
                continue;
            }
            let source = Source::Declined(format!("{REFUSED}/{name}"));
            sightings.add(&it.origin, Sighting { size: note.size, what: What::Root(note.root), source });
        }
    }
    let mut report = place::collected(&it.place, given, sightings)?;
    report.log.clone_from(&it.name);
    report.findings.extend(undecided);
    if foreign > 0 {
        report.findings.push(format!(
            "{foreign} deliveries under another key claimed to be this log; they stand in {REFUSED}"
        ));
    }
    Ok(report)
}

/// Every delivery that was declined and kept.
fn kept(place: &Place) -> Result<Vec<Kept>, AuditError> {
    let folder = place.folder.join(REFUSED);
    let mut found = Vec::new();
    for name in names(&folder)?.into_iter().filter(|it| !it.starts_with('.')) {
        let path = folder.join(&name);
        let bytes = std::fs::read(&path).at("read", &path)?;
        let frames = Delivery::read(&bytes).map(|it| it.frames).unwrap_or_default();
        found.push(Kept { name, notes: collector::checkpoints(frames) });
    }
    Ok(found)
}
