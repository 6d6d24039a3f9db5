//! Was anything changed? Every log of a state folder, judged by its signatures, by what the others saw of it and by what somebody
//! kept elsewhere.
//!
//! Nothing here asks the code that writes: frames, leaves, trees, notes, tiles and payloads are read a second time, from
//! `FORMAT.md` and the C2SP texts. A log is read once for what it says of others and once record by record, so the memory
//! that a verification takes does not grow with the log.

pub(crate) mod claims;
mod collected;
pub(crate) mod frames;
mod json;
pub(crate) mod leaf;
pub(crate) mod log;
mod loss;
pub(crate) mod operator;
mod payload;
mod place;
mod published;
mod report;
mod seen;
pub(crate) mod signed;
mod steps;
mod succession;
pub(crate) mod tree;
mod trust;
mod walk;
mod witnessed;

use std::path::Path;

use ed25519_dalek::VerifyingKey as PublicKey;

use crate::{
    Anchor, AuditError, Digest, KeptReceipt, VerifyingKey, WitnessKey, Witnessed,
    keys::{self, NAME},
    pool::{Place, places},
};

pub(crate) use frames::Frames;
use operator::Deeds;
pub(crate) use operator::LOST_MAX;
pub use report::{Alteration, LogReport, Payloads, Report, Verdict};
use seen::{Sighting, Sightings, Source, What};
pub use trust::Revoked;
use walk::Given;

/// What a log is verified with.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Verifier keys that were kept elsewhere; with none, the key beside the logs is used, which proves little.
    pub keys: Vec<VerifyingKey>,
    /// Checkpoints that were kept elsewhere.
    pub anchors: Vec<Anchor>,
    /// Receipts that were kept elsewhere.
    pub receipts: Vec<KeptReceipt>,
    /// Digests of the policies that may have decided; empty: any may.
    pub policies: Vec<Digest>,
    /// Witnesses of another administrator: what they cosigned is as good as kept elsewhere.
    pub witnesses: Vec<WitnessKey>,
}

/// Verifies every log of a state folder with the given keys, or with the folder's own when none are given. Blocks on the disk.
pub fn verify(state: &Path, keys: &[VerifyingKey]) -> Result<Report, AuditError> {
    Verification { keys: keys.to_vec(), ..Verification::default() }.run(state)
}

/// The key beside the logs. Whoever can write them may have put it there.
pub fn key_beside(state: &Path) -> Result<VerifyingKey, AuditError> {
    keys::key_beside(state)?.ok_or_else(|| AuditError::Keys {
        path: state.join("keys/log.key"),
        problem: "no key to verify with; give one".to_owned(),
    })
}

/// What operators recorded, and which keys count: these, and those that they lead to.
pub(crate) fn deeds(state: &Path, keys: &[PublicKey]) -> Result<Deeds, AuditError> {
    let (with, none) = (Verification::default(), Deeds::default());
    Deeds::read(state, &with.given(keys, None, &none))
}

impl Verification {
    /// Verifies every log of a state folder. Blocks on the disk.
    pub fn run(&self, state: &Path) -> Result<Report, AuditError> {
        let mut keys = self.keys(state)?;
        let public: Vec<PublicKey> = keys.iter().map(|it| *it.public()).collect();
        let deeds = deeds(state, &public)?;
        let public = deeds.trust.keys.clone();
        keys.extend(public.iter().skip(keys.len()).map(|it| VerifyingKey::new(NAME, *it)));
        let given = self.given(&public, Some(state), &deeds);
        let mut sightings = self.kept();
        deeds.trust.show(&mut sightings);
        let mut witnessed = witnessed::of_anchors(&self.anchors, &self.witnesses);
        for place in places(state)? {
            witnessed.extend(witnessed::beside(&place.folder, &self.witnesses, &mut sightings)?);
        }
        for place in places(state)? {
            let by = Source::Sibling(place.name());
            claims::claims(&place, &public, |it| sightings.add(&it.origin, it.seen_by(&by)))?;
        }
        let mut logs = Vec::new();
        // Listed anew: a log that began meanwhile may have been seen already.
        for place in places(state)? {
            logs.push(place::report(&place, &given, &sightings)?);
        }
        let mut report = self.report(&keys, logs, &sightings, &given, witnessed);
        report.miss_keys();
        Ok(report)
    }

    /// Verifies what was published, and nothing else: a folder with a `checkpoint`, or one that holds such folders.
    pub fn run_published(&self, prefix: &Path) -> Result<Report, AuditError> {
        if self.keys.is_empty() {
            let problem = "what is published names no key; give the one that was kept".to_owned();
            return Err(AuditError::Keys { path: prefix.to_owned(), problem });
        }
        let public: Vec<PublicKey> = self.keys.iter().map(|it| *it.public()).collect();
        let (folders, none) = (published::folders(prefix)?, Deeds::default());
        let deeds = Deeds::read_published(&folders, &self.given(&public, None, &none))?;
        let public = deeds.trust.keys.clone();
        let mut keys = self.keys.clone();
        keys.extend(public.iter().skip(keys.len()).map(|it| VerifyingKey::new(NAME, *it)));
        let mut sightings = self.kept();
        deeds.trust.show(&mut sightings);
        let given = self.given(&public, None, &deeds);
        let mut witnessed = witnessed::of_anchors(&self.anchors, &self.witnesses);
        for folder in &folders {
            self.published_sightings(folder, &public, &mut sightings)?;
        }
        let mut logs = Vec::new();
        for folder in folders {
            witnessed.extend(witnessed::beside(&folder, &self.witnesses, &mut sightings)?);
            logs.push(place::published(&folder, &given, &sightings)?);
        }
        if let [only] = logs.as_slice()
            && only.log == prefix.display().to_string()
            && !only.origin.is_empty()
        {
            // The folder of one log says nothing of the others that an anchor may show, but for one that it replaced.
            sightings.retain(|origin| log_of(origin) == log_of(&only.origin));
        }
        let mut report = self.report(&keys, logs, &sightings, &given, witnessed);
        report.miss_unpublished(|origin| sightings.is_anchored(origin));
        Ok(report)
    }

    /// What a published log says of the others, and that it is there: it may be there twice.
    fn published_sightings(
        &self,
        folder: &Path,
        keys: &[PublicKey],
        sightings: &mut Sightings,
    ) -> Result<(), AuditError> {
        let Some(published) = published::Published::read(folder)? else { return Ok(()) };
        let by = Source::Sibling(folder.display().to_string());
        if let Ok(signed::Signed { origin, size, root }) = signed::open(&published.note, keys) {
            let what = What::Root(root);
            sightings.add(&origin, Sighting { size, what, source: by.clone() });
        }
        claims::published_claims(&published, keys, |it| sightings.add(&it.origin, it.seen_by(&by)))
    }

    fn given<'a>(&'a self, keys: &'a [PublicKey], state: Option<&'a Path>, deeds: &'a Deeds) -> Given<'a> {
        Given { keys, independent: !self.keys.is_empty(), state, policies: &self.policies, deeds }
    }

    /// The given keys, or the one beside the logs.
    fn keys(&self, state: &Path) -> Result<Vec<VerifyingKey>, AuditError> {
        if !self.keys.is_empty() {
            return Ok(self.keys.clone());
        }
        Ok(vec![key_beside(state)?])
    }

    /// What anchors and receipts show. Their own signatures are judged beside the log they speak of: whoever gave them
    /// vouches for them, so one that no key signed is held against the log and never ignored.
    fn kept(&self) -> Sightings {
        let mut sightings = Sightings::default();
        for anchor in &self.anchors {
            for it in anchor.claims() {
                let source = Source::Anchor(anchor.name().to_owned());
                sightings.add(&it.origin, Sighting { size: it.size, what: What::Root(it.root), source });
            }
        }
        for it in &self.receipts {
            let source = Source::Receipt(it.name.clone());
            let size = it.index.saturating_add(1);
            sightings.add(&it.log, Sighting { size, what: What::Leaf(it.leaf), source });
        }
        sightings
    }

    fn report(
        &self,
        keys: &[VerifyingKey],
        mut logs: Vec<LogReport>,
        sightings: &Sightings,
        given: &Given<'_>,
        witnessed: Vec<Witnessed>,
    ) -> Report {
        let witnessed = witnessed::latest(witnessed);
        let mut findings = steps::compare(&mut logs);
        self.forged_anchors(keys, &mut findings);
        let gone: Vec<LogReport> = {
            // A log whose first bytes were destroyed is here, and does not say which one it was.
            let nameless = |origin: &str| {
                logs.iter()
                    .any(|it| it.origin.is_empty() && origin.starts_with(&format!("bailiwick/{}/", it.log)))
            };
            let here = |origin: &str| logs.iter().any(|it| it.origin == origin) || nameless(origin);
            let gone = sightings.gone("", &here);
            let gone = gone.map(|(origin, it)| (place::gone(origin, &it), it)).collect();
            loss::report(gone, given.deeds, given.state)
        };
        logs.extend(gone);
        if logs.is_empty() {
            findings.push("there is no log here".to_owned());
        }
        if sightings.too_many {
            findings.push("more heads of other logs stand in the records than can be compared".to_owned());
        }
        let revoked = given.deeds.trust.told();
        let is_revoked = |it: &VerifyingKey| given.deeds.trust.is_revoked(it.public());
        if !self.keys.is_empty() && self.keys.iter().all(is_revoked) {
            findings.push("every key that was given is revoked; give the one that came next".to_owned());
        }
        let mut report = Report {
            verdict: Verdict::Intact,
            revoked,
            keys: keys.iter().map(VerifyingKey::to_string).collect(),
            independent: !self.keys.is_empty(),
            not_seen: self.not_seen(&logs, &witnessed),
            witnessed,
            logs,
            findings,
        };
        report.verdict = report.judge();
        report
    }

    /// An anchor that none of the keys signed is of another key: either it or the key is not what it was taken for.
    fn forged_anchors(&self, keys: &[VerifyingKey], findings: &mut Vec<String>) {
        let public: Vec<PublicKey> = keys.iter().map(|it| *it.public()).collect();
        for anchor in &self.anchors {
            let strange = anchor.notes().filter(|it| signed::open(it, &public).is_err()).count();
            if strange > 0 {
                findings.push(format!(
                    "anchor {}: {strange} checkpoints that none of the keys signed",
                    anchor.name()
                ));
            }
        }
    }

    /// What stays invisible. The attack table in `SECURITY.md` says the same, case by case.
    fn not_seen(&self, logs: &[LogReport], witnessed: &[Witnessed]) -> Vec<String> {
        let mut not_seen = Vec::new();
        if self.keys.is_empty() {
            not_seen.push(
                "logs and key replaced together: give the key that was kept elsewhere with --key".to_owned(),
            );
        }
        let later: u64 = logs.iter().map(|it| it.records.saturating_sub(it.anchored)).sum();
        let attacks = "cut with their checkpoints, replaced by an older copy, or rebuilt with a stolen key";
        if self.anchors.is_empty() && self.receipts.is_empty() && witnessed.is_empty() {
            not_seen
                .push(format!("no anchor: records {attacks}; keep what `audit checkpoint` prints elsewhere"));
        } else if later > 0 {
            not_seen.push(format!("{later} records are younger than the anchors: these {attacks}"));
        }
        for it in logs.iter().filter(|it| it.running) {
            not_seen
                .push(format!("where {} ends: a process holds it, which may write more at any time", it.log));
        }
        not_seen.extend(witnessed::not_seen(&self.witnesses, logs, witnessed));
        let closed: u64 = logs.iter().map(|it| it.payloads.without_keys).sum();
        if closed > 0 {
            not_seen.push(format!("{closed} payloads, whose keys are not here"));
        }
        not_seen
    }
}

/// The name of a log in its origin, `bailiwick/<server>/<n>/<digits>`; the origin itself where it is none of ours.
pub(crate) fn log_of(origin: &str) -> &str {
    let inner = origin.strip_prefix("bailiwick/").and_then(|it| it.rsplit_once('/'));
    inner.map_or(origin, |(log, _)| log)
}
